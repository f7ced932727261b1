"""Well-known implementations of others that tests compare with; `oracles.txt` lists them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from made_absent import absent


def oracle(module: str, package: str, without: str) -> Any:
    """Import a module of a package in `oracles.txt`; where it is absent the test skips, in CI it fails.

    Args:
        module: its name.
        package: what pip calls the package.
        without: what does not happen where it is absent.
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        absent(f"{package.upper()} IS NOT INSTALLED: {without}; pip install --no-deps -r tests/oracles.txt")
    return importlib.import_module(module)
