"""What a stranger's reward may not do: each deed ends in one line that names it, and leaves no process behind.

The deeds are real; what bounds them is what is tested, so each has a second limit below what could harm the machine.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from lateapex.env import sandbox
from lateapex.env.reward_prints import Prints
from lateapex.env.sandbox import Limits, SandboxedReward
from lateapex.errors import RewardError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

ROOT = Path(__file__).parents[2]
LIMITS = Limits(seconds=2.0, memory=300 << 20)


def paid(reward: SandboxedReward, cars: int = 3) -> Any:
    params = {"steps": np.full(cars, 31.0), "heading": np.arange(cars) / 8}
    return reward(params, {"waypoints": [[(0.0, 0.5)]] * cars}, np.ones(cars, np.bool_), np.zeros(cars, np.int64))


def refusal(body: str, before: str = "", limits: Limits = LIMITS) -> str:
    """The one line in which a deed ends; its process is gone by then."""
    text = f"{before}\ndef reward_function(params):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    reward = SandboxedReward(f"{text}    return 1.0\n", "my.py", limits=limits)
    try:
        with pytest.raises(RewardError) as caught:
            paid(reward)
        assert is_gone(reward._process.pid)
        with pytest.raises(RewardError) as again:
            paid(reward)
        assert str(again.value) == str(caught.value)
    finally:
        reward.close()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 2200
    return message


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


# ------------------------------------------------------------------------- what it does, and what is said of it


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os\nwhile True: os.fork()", "my.py:4: calls os.fork()"),
        ("open('/etc/passwd').read()", "my.py:3: reads /etc/passwd"),
        ("try:\n    open('/etc/passwd')\nexcept Exception: pass", "my.py:4: reads /etc/passwd"),
        ("import os\nopen(os.path.expanduser('~/.aws/credentials'))", "/.aws/credentials"),
        ("import pathlib\npathlib.Path('/root/.aws/config').read_text()", "my.py:4: reads /root/.aws/config"),
        (f"open({str(ROOT / 'pyproject.toml')!r})", f"my.py:3: reads {ROOT}/pyproject.toml"),
        ("open('run.toml')", "my.py:3: reads run.toml"),
        ("import os\nos.listdir('/')", "my.py:4: looks into /,"),
        ("import glob\nglob.glob('/home/*')", "my.py:4: looks into /home"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "my.py:3: imports socket"),
        ("import urllib.request", "my.py:3: imports urllib"),
        ("open('NEVER', 'w')", "my.py:3: writes NEVER"),
        ("import os\nos.open('NEVER', os.O_CREAT | os.O_WRONLY)", "my.py:4: writes NEVER"),
        ("import numpy as np\nnp.save('NEVER.npy', np.zeros(2))", "my.py:4: writes NEVER.npy"),
        ("import os\nos.remove('NEVER')", "my.py:4: calls os.remove('NEVER', -1)"),
        ("import os\nos.kill(os.getppid(), 9)", "my.py:4: calls os.kill("),
        ("import os\nos.system('true')", "my.py:4: calls os.system(b'true')"),
        ("import subprocess", "my.py:3: imports subprocess"),
        ("import ctypes\nctypes.string_at(0)", "my.py:4: calls ctypes.string_at(0, -1)"),
        ("import numpy as np\nnp.ctypeslib.ctypes.CDLL(None)", "my.py:4: calls ctypes.dlopen"),
        ("import lateapex.storage", "my.py:3: imports lateapex"),
        ("input()", "my.py:3: calls builtins.input()"),
    ],
)
def test_a_forbidden_deed_is_named_with_its_line(body: str, told: str) -> None:
    with TemporaryDirectory() as place:  # its name is short enough to be told whole
        never = f"{place}/never"
        message = refusal(body.replace("NEVER", never))
        assert told.replace("NEVER", never) in message
        assert message.endswith("which the sandbox does not allow")
        assert list(Path(place).iterdir()) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("while True: pass", "my.py:3: did not come back within 1 s"),
        ("while True:\n    try: x = 1\n    except BaseException: pass", "did not come back within 1 s"),
        ("import time\ntime.sleep(60)", "my.py:4: did not come back within 1 s"),
        ("while True: print('x' * 1000)", "my.py:3: did not come back within 1 s"),
        ("import os\nwhile True: os.write(2, b'x' * 1000)", "my.py:4: did not come back within 1 s"),
        ("return 9 ** 9 ** 9", "my.py:3: did not come back within 1 s"),
    ],
)
def test_what_never_comes_back_is_stopped_and_its_line_named(body: str, told: str) -> None:
    assert told in refusal(body, limits=Limits(1.0, 300 << 20))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("x = bytearray(10 * 10**9)", "my.py:3: MemoryError"),
        ("x = []\nwhile True: x.append(bytearray(10**7))", "my.py:4: MemoryError"),
        ("import numpy as np\nnp.ones((10**5, 10**5))", "my.py:4: "),
    ],
)
def test_memory_beyond_the_limit_is_refused(body: str, told: str) -> None:
    message = refusal(body, limits=Limits(20.0, 300 << 20))
    assert told in message
    assert message.endswith("; the sandbox gives 300 MB")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os\nos._exit(0)", "my.py: the process ended itself, with exit code 0"),
        ("import sys\nsys.exit(3)", "my.py:4: SystemExit 3, at step 31 of episode 0"),
        ("return reward_function(params)", "my.py:3: RecursionError maximum recursion depth exceeded"),
        ("raise KeyboardInterrupt", "my.py: reward_function raised KeyboardInterrupt"),
        ("class Odd(BaseException): pass\nraise Odd", "my.py: reward_function raised Odd"),
        ("import threading\nthreading.Thread(target=print).start()", "my.py:4: RuntimeError can't start new thread"),
        (
            "import numpy as np\nnp.lib.stride_tricks.as_strided(np.zeros(1), (9,), (1 << 40,)).sum()",
            "the process was ended by SIGSEGV",
        ),
        (
            "import os\nfor pipe in range(3, 64):\n    try: os.close(pipe)\n    except OSError: pass",
            "my.py: the process",
        ),
        ("1 / 0", "my.py:3: ZeroDivisionError division by zero, at step 31 of episode 0. params: steps: 31"),
        ("return None", "my.py:2: reward_function returned None at step 31 of episode 0"),
    ],
)
def test_an_end_of_another_kind_is_told(body: str, told: str) -> None:
    assert told in refusal(body)


@pytest.mark.parametrize(
    "noise", ["b'garbage' * 9", "b'late' + b'\\xff' * 9000", "b'late' + bytes(8) + b'{}'", "b'\\n'"]
)
def test_noise_on_the_pipe_is_no_answer(noise: str) -> None:
    body = f"import os\nfor pipe in range(3, 64):\n    try: os.write(pipe, {noise})\n    except OSError: pass"
    assert "my.py wrote something of its own into the pipe of the sandbox" in refusal(body)


def test_a_deed_while_the_file_is_loaded_is_named_too() -> None:
    with pytest.raises(RewardError, match=r"^my\.py:1: reads /etc/passwd, which the sandbox does not allow$"):
        SandboxedReward("open('/etc/passwd')\ndef reward_function(params):\n    return 1.0\n", "my.py")


def test_a_file_that_is_no_python_is_told_as_without_a_sandbox() -> None:
    with pytest.raises(RewardError, match=r"^my\.py:1: is not Python 3: this is Python 2; write print\(\.\.\.\)$"):
        SandboxedReward("print 'hello'\n", "my.py")


def test_what_steers_a_terminal_does_not_get_through() -> None:
    assert "\x1b" not in refusal("raise ValueError(chr(27) + '[2J')")
    prints = Prints()
    reward = SandboxedReward(
        "def reward_function(params):\n    print(chr(27) + '[2J')\n    return 1.0\n", "my.py", prints=prints
    )
    paid(reward, 1)
    reward.close()
    assert prints.take() == "?[2J\n"


def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    message = refusal("import os\nraise ValueError(' '.join(os.environ))")
    assert "AWS" not in message
    assert "ValueError LANG" in message


# ------------------------------------------------------------------------- the system's walls, without the hook

WALLED = """
import sys
sys.path.insert(0, {root!r})
import errno, os, socket, ctypes, signal
import numpy
from lateapex.env.sandbox_walls import raise_walls
walls, missing = raise_walls(300 << 20)
print(",".join(walls), "|", ",".join(missing))
def tried(name, deed):
    try:
        deed()
    except (OSError, MemoryError) as error:
        print(name, "refused")
    else:
        print(name, "DONE")
def fork():
    if os.fork() == 0:
        os._exit(0)
tried("fork", fork)
tried("exec", lambda: os.execv("/bin/true", ["true"]))
tried("socket", lambda: socket.socket())
tried("unix socket", lambda: socket.socket(socket.AF_UNIX))
tried("kill", lambda: os.kill(os.getppid(), signal.SIGTERM))
tried("passwd", lambda: open("/etc/passwd"))
tried("checkout", lambda: open({root!r} + "/pyproject.toml"))
tried("list", lambda: os.listdir("/"))
tried("write", lambda: os.open({folder!r} + "/written", os.O_CREAT | os.O_WRONLY))
tried("remove", lambda: os.remove({folder!r} + "/victim"))
tried("rename", lambda: os.rename({folder!r} + "/victim", {folder!r} + "/moved"))
tried("chmod", lambda: os.chmod({folder!r} + "/victim", 0o777))
tried("memory", lambda: bytearray(10 ** 9))
tried("setuid", lambda: os.setuid(0) if os.getuid() else os.fork())
import colorsys, wave
print("imports work")
"""


def test_the_systems_walls_hold_where_python_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("whole")
    tmp_path.chmod(0o777)
    code = WALLED.format(root=str(ROOT), folder=str(tmp_path))
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    walls, *lines = said.stdout.splitlines()
    if "|" in walls and not walls.endswith("| "):
        pytest.skip(f"this system lacks some: {walls}")
    assert walls == "limits,Landlock,another user,seccomp | "
    assert lines == [f"{line.rpartition(' ')[0]} refused" for line in lines[:-1]] + ["imports work"]
    assert len(lines) == 15
    assert (tmp_path / "victim").read_text() == "whole"


def test_a_fork_bomb_is_bounded_by_the_system_too(tmp_path: Path) -> None:
    """A hundred tries at most, so that a wall that does not stand harms nobody."""
    code = f"""
import sys, os, time
sys.path.insert(0, {str(ROOT)!r})
from lateapex.env.sandbox_walls import raise_walls
raise_walls(300 << 20)
made = 0
for _ in range(100):
    try:
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
        made += 1
    except OSError:
        pass
print(made)
"""
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "0\n"


def test_no_socket_is_reached_even_where_one_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = refusal(
            f"import sys\nsys.modules.pop('socket', None)\nimport _socket\n_socket.socket().connect(('', {port}))"
        )
    assert "which the sandbox does not allow" in told


# ------------------------------------------------------------------------- its life


def test_close_ends_the_process_and_its_folder_goes() -> None:
    reward = SandboxedReward("def reward_function(params):\n    return 1.0\n", "my.py")
    folder = Path(f"/proc/{reward._process.pid}/cwd").readlink()
    assert paid(reward).tolist() == [1.0, 1.0, 1.0]
    reward.close()
    reward.close()
    assert is_gone(reward._process.pid)
    assert not folder.exists()
    with pytest.raises(RewardError, match=r"^my\.py: the sandbox is closed$"):
        paid(reward)


def test_the_process_dies_with_the_one_that_began_it(tmp_path: Path) -> None:
    code = f"""
import sys, os, signal
sys.path.insert(0, {str(ROOT)!r})
from lateapex.env.sandbox import SandboxedReward
reward = SandboxedReward("def reward_function(params):\\n    while True: pass\\n", "my.py")
print(reward._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == -signal.SIGKILL
    pid = int(said.stdout)
    for _ in range(200):
        if is_gone(pid) or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.01)  # the kernel's own doing, which nothing can be awaited of
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the process outlived its parent")


def test_elsewhere_than_on_linux_a_clear_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(
        RewardError, match="a sandbox needs Linux, this is darwin; use a container, or leave --sandbox out"
    ):
        SandboxedReward("def reward_function(params):\n    return 1.0\n", "my.py")
