"""What this machine calls itself, for notes on runs, diagnoses and measurements."""

from __future__ import annotations

import platform
import re
from pathlib import Path


def processor_name(proc: Path = Path("/proc")) -> str:
    """Return the processor's model; its architecture where the system does not tell.

    Args:
        proc: where a Linux kernel tells its figures.
    """
    try:
        names = re.findall(r"^model name\s*: (.*)$", (proc / "cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
