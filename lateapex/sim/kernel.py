"""How kernels are compiled: once per machine, kept on disk, and run without Python's lock.

Nothing here knows what they compute. Division by zero gives infinity or NaN, as in NumPy.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from numba import njit, types
from numba.extending import intrinsic

kernel: Final = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload] # _nrt is numba's own
"""Decorator of a kernel that only borrows its arrays: they outlive the call, since its caller holds them.

Counting references in it would cost more than its arithmetic: a car is located in 125 ns without, in 400 ns with.
"""

allocating_kernel: Final = njit(cache=True, nogil=True, error_model="numpy")
"""Decorator of a kernel that makes arrays."""


def _take(typing_context: Any, counter: Any, amount: Any) -> Any:
    del typing_context, amount

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", array.data, arguments[1], "seq_cst")

    return types.int64(counter, types.int64), generate


take: Final[Any] = intrinsic(_take)
"""In a kernel, take(counter, amount) adds to counter[0], int64, and returns what it was, as one indivisible step.

Threads share work by it without Python's lock, which one of them may be holding for milliseconds.
"""


def forget_stale(folder: Path) -> None:
    """Make the kernels in a folder of sources compile anew if any source is newer than what was kept of them.

    Numba looks at the file of a kernel alone, but the compiled code holds the kernels that it calls, too.
    """
    newest = max(path.stat().st_mtime_ns for path in folder.glob("*.py"))
    for kept in (folder / "__pycache__").glob("*.nbi"):
        with suppress(OSError):  # another process did it, or the folder cannot be written
            if kept.stat().st_mtime_ns < newest:
                kept.unlink()


forget_stale(Path(__file__).parent)
