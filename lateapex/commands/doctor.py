"""`lateapex doctor`: is this machine ready, and is it as fast as it can be."""

from __future__ import annotations

import json
from typing import Final

from rich.text import Text

from lateapex.commands.terminal import Json, console

_STYLES: Final = {"ok": "green", "slow": "yellow", "missing": "bold red"}


def doctor(
    json_line: Json = False,
) -> None:
    """Look at versions, processor, threads, disk and speed, and say what to type about what is slow or missing.

    Takes a few seconds, or a minute where the simulator is not compiled yet.
    """
    from lateapex.jobs.doctor import diagnose

    shown = console(json_line)
    found = []
    for finding in diagnose():
        found.append(finding)
        mend = f"    -> {finding.fix}" if finding.fix else ""
        mark = (f"{finding.mark:<9}", _STYLES[finding.mark])
        shown.print(Text.assemble(mark, f"{finding.what}: {finding.detail}", (mend, "bold")))
    slow, missing = (sum(finding.mark == mark for finding in found) for mark in ("slow", "missing"))
    if slow or missing:
        shown.print(f"{slow} slow, {missing} missing; what to do stands behind the arrows")
    else:
        shown.print("all is well    next: lateapex train --track kidney --until-laps")
    if json_line:
        findings = [finding._asdict() for finding in found]
        print(json.dumps({"slow": slow, "missing": missing, "findings": findings}))
