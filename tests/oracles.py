"""Well-known implementations of others that tests compare with; `oracles.txt` lists them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from typing import Any

import pytest


def oracle(module: str, package: str, without: str) -> Any:
    """Import a module of a package in `oracles.txt`; where it is absent the test skips, in CI it fails.

    Args:
        module: its name.
        package: what pip calls the package.
        without: what does not happen where it is absent.
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        message = f"{package.upper()} IS NOT INSTALLED: {without}; pip install --no-deps -r tests/oracles.txt"
        if os.environ.get("CI"):
            pytest.fail(message)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(message, stacklevel=2)
        pytest.skip(message)
    return importlib.import_module(module)
