"""What a test does where something that it needs is not on this machine."""

from __future__ import annotations

import os
import warnings
from typing import NoReturn

import pytest


def absent(message: str) -> NoReturn:
    """Skip the test with a warning; in CI, which has everything, it fails."""
    if os.environ.get("CI"):
        pytest.fail(message)
    skip_loudly(message)


def skip_loudly(message: str) -> NoReturn:
    """Skip the test with a warning, in CI too."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn(message, stacklevel=3)
    pytest.skip(message)
