"""The walls round a stranger's reward: what its process may no longer do, once they are up.

Two kinds. The system's own (Linux) hold whatever the process does: limits on memory, files and processes, another
user, no network, Landlock (which files), seccomp (which calls of the kernel). The interpreter's audit hook knows what
Python is about to do: it names the deed and its line, but a determined intruder gets round it.

Runs in the sandbox's process before the stranger's file does; imports nothing of lateapex but the file's own needs.
Numbers: the kernel's headers `landlock.h`, `seccomp.h`, `filter.h`, `audit.h`, `unistd.h`, `capability.h`, `sched.h`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

NOBODY: Final = 65534
"""User and group that the process becomes when it is begun by root."""

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 8, 22, 38
_NEW_NETWORK, _NEW_IPC = 0x40000000, 0x08000000
_CAP_DAC_READ_SEARCH = 2
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_DENIED: Final = {
    # name: number on x86_64, on aarch64; None: there is no such call
    "socket": (41, 198),
    "connect": (42, 203),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "kill": (62, 129),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "creat": (85, None),
    "link": (86, None),
    "unlink": (87, None),
    "symlink": (88, None),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "mknod": (133, None),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "mount": (165, 40),
    "umount2": (166, 39),
    "tkill": (200, 130),
    "io_setup": (206, 0),
    "tgkill": (234, 131),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "fchownat": (260, 54),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "fchmodat": (268, 53),
    "unshare": (272, 97),
    "rt_tgsigqueueinfo": (297, 240),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "renameat2": (316, 276),
    "bpf": (321, 280),
    "execveat": (322, 281),
    "userfaultfd": (323, 282),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "pidfd_getfd": (438, 438),
    "fchmodat2": (452, 452),
}
"""Calls of the kernel that fail: processes, signals, the network, changes to files, and ways round the rest."""

_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # audit's number, place in _DENIED
_OPEN: Final = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}  # calls that open a file, place of the flags


def readable_roots() -> list[str]:
    """Folders and files that an import may need: the standard library, installed packages, shared libraries, ours."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [path for path in sys.path if path.endswith(("site-packages", "dist-packages", "lib-dynload"))]
    paths += [f"{sys.base_prefix}/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"]
    paths += ["/usr/share/zoneinfo", "/dev/urandom", str(Path(__file__).parents[1])]  # the last: to show a stack
    return sorted({os.path.realpath(path) for path in paths if path and Path(path).exists()})


def raise_walls(memory: int) -> tuple[list[str], list[str]]:
    """Give up, for good, whatever a reward has no need of.

    Args:
        memory: bytes that may be taken on top of what is in use.

    Returns:
        The walls that the system holds, and those that it does not offer.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    walls = {
        "network namespace": _leave_network(libc),
        "limits": _limit(memory),
    }
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    walls["Landlock"] = _lock_files(libc)
    walls["another user"] = _become_nobody(libc, keep_reading=walls["Landlock"])
    walls["seccomp"] = _filter_calls(libc)
    if walls["seccomp"]:
        walls.pop("network namespace")  # no socket is made at all
    return [name for name, up in walls.items() if up], [name for name, up in walls.items() if not up]


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that began it is gone; a change of user forgets it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _leave_network(libc: Any) -> bool:
    return bool(libc.unshare(_NEW_NETWORK | _NEW_IPC) == 0)


def _limit(memory: int) -> bool:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for kind, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + memory),
        (resource.RLIMIT_CPU, 86_400),  # s; an endless loop ends far sooner, by the deadline of a step
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    return True


def _become_nobody(libc: Any, *, keep_reading: bool) -> bool:
    """Stop being root; true as well where the process never was.

    A home that only root reads may hold the interpreter itself. Where Landlock says which files are read, the right
    to look past their modes is kept, so that imports go on working; all other rights go.
    """
    if os.geteuid() != 0:
        die_with_parent()
        return True
    libc.prctl(_PR_SET_KEEPCAPS, int(keep_reading), 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    rights = 1 << _CAP_DAC_READ_SEARCH if keep_reading else 0
    header = struct.pack("Ii", 0x20080522, 0)
    libc.capset(header, struct.pack("6I", rights, rights, 0, 0, 0, 0))
    die_with_parent()
    return os.getresuid() == (NOBODY, NOBODY, NOBODY)


def _lock_files(libc: Any) -> bool:
    """Landlock: read below the roots, and nothing else; no TCP, no signal to anyone outside, where it is new enough."""
    create, add, restrict = 444, 445, 446
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    files = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    rules = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(create, rules, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for root in readable_roots():
        handle = os.open(root, os.O_PATH | os.O_CLOEXEC)
        rights = 0b1100 if Path(root).is_dir() else 0b100  # read a file, list a folder
        libc.syscall(add, ruleset, 1, struct.pack("=Qi", rights, handle), 0)
        os.close(handle)
    locked = libc.syscall(restrict, ruleset, 0) == 0
    os.close(ruleset)
    return bool(locked)


def _filter_calls(libc: Any) -> bool:
    """Seccomp: a small program that the kernel runs before each of its calls."""
    if platform.machine() not in _MACHINES:
        return False
    filters = _program(platform.machine())
    buffer = ctypes.create_string_buffer(b"".join(filters))
    header = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, header, 0, 0) == 0)


def _program(machine: str) -> list[bytes]:
    """The filter, an instruction each (`struct sock_filter`)."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    refuse, unknown = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS

    def line(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("HBBI", code, then, otherwise, value)

    audit, place = _MACHINES[machine]
    lines = [line(load, 4), line(equal, audit, 1, 0), line(answer, kill), line(load, 0)]
    if machine == "x86_64":  # the same calls by other numbers
        lines += [line(at_least, 0x40000000, 0, 1), line(answer, refuse)]
    for name, numbers in _DENIED.items():
        if numbers[place] is not None:
            reply = unknown if name in ("clone3", "openat2") else refuse  # libraries then use the older call
            lines += [line(equal, numbers[place] or 0, 0, 1), line(answer, reply)]
    for number, argument in _OPEN[machine]:
        lines += [
            line(equal, number, 0, 4),
            line(load, 16 + 8 * argument),
            line(any_bit, _WRITING, 0, 1),
            line(answer, refuse),
            line(answer, allow),
        ]
    return [*lines, line(answer, allow)]


_REFUSED_EVENTS: Final = (
    "socket.",
    "subprocess.",
    "ctypes.",
    "shutil.",
    "tempfile.",
    "fcntl.",
    "resource.",
    "syslog.",
    "ftplib.",
    "imaplib.",
    "poplib.",
    "smtplib.",
    "telnetlib.",
    "nntplib.",
    "sqlite3.",
    "urllib.",
    "http.",
    "webbrowser.",
    "pty.",
    "mmap.",
    "os.chdir",
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.lockf",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.removexattr",
    "os.rename",
    "os.rmdir",
    "os.setxattr",
    "os.spawn",
    "os.startfile",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.unlink",
    "os.utime",
    "signal.pthread_kill",
    "builtins.input",
    "builtins.breakpoint",
    "gc.get_objects",
    "gc.get_referrers",
    "cpython.run_",
)
_REFUSED_IMPORTS: Final = frozenset(
    (
        "_ctypes",
        "_multiprocessing",
        "_posixsubprocess",
        "_socket",
        "antigravity",
        "asyncio",
        "cffi",
        "concurrent",
        "ctypes",
        "ftplib",
        "http",
        "lateapex",
        "mmap",
        "multiprocessing",
        "pty",
        "smtplib",
        "socket",
        "socketserver",
        "ssl",
        "subprocess",
        "urllib",
        "webbrowser",
        "xmlrpc",
    )
)
_PATH_EVENTS: Final = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.")


def watch_deeds(source: str, told: Callable[[str], None]) -> None:
    """Refuse, by Python's audit hook, what the walls refuse, and tell it with the line of the reward file.

    Args:
        source: the name under which the reward's code was compiled.
        told: gets one line on each deed, also where the file itself swallows the error.
    """
    roots = tuple(f"{root}{os.sep}" for root in readable_roots())
    words = _words  # bound here: by the time the hook runs the stranger may have changed this module

    def hook(event: str, details: tuple[Any, ...]) -> None:
        deed = words(event, details, roots, source)
        if deed:
            message = f"{_line_in(source)}: {deed}, which the sandbox does not allow"
            told(message)
            raise PermissionError(errno.EPERM, deed)

    sys.addaudithook(hook)


def _words(event: str, details: tuple[Any, ...], roots: tuple[str, ...], source: str) -> str:
    """What is about to be done, in words; "" where it is allowed."""
    if event == "import":
        name = str(details[0]).partition(".")[0]
        return f"imports {name}" if name in _REFUSED_IMPORTS and _importer() == source else ""
    if event == "open":
        path, _, flags = details
        if isinstance(path, int):
            return ""
        if (flags or 0) & _WRITING:
            return f"writes {os.fsdecode(path)}"
        # Without the stranger on the stack it is Python itself that looks for a line to show in a message.
        return "" if _below(path, roots) or _line_in(source) == source else f"reads {os.fsdecode(path)}"
    if event.startswith(_PATH_EVENTS):
        path = details[0] if details else None
        return "" if _below("." if path is None else path, roots) else f"looks into {path or 'its folder'}"
    if event.startswith(_REFUSED_EVENTS):
        shown = ", ".join(repr(item)[:60] for item in details[:2] if isinstance(item, str | bytes | int | tuple | list))
        return f"calls {event}({shown})"
    return ""


def _below(path: Any, roots: tuple[str, ...]) -> bool:
    if isinstance(path, int):
        return True
    if not Path(os.fsdecode(path)).is_absolute():
        return False  # its own folder is empty
    return f"{os.path.realpath(os.fsdecode(path))}{os.sep}".startswith(roots)


def _importer() -> str:
    """File of the innermost code that is no part of the import system."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


def _line_in(source: str) -> str:
    """File and line of the reward's innermost frame; the file alone where it has none on the stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == source:
            return f"{source}:{frame.f_lineno}"
        frame = frame.f_back
    return source
