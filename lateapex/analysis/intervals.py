"""How sure a share is that was counted."""

from __future__ import annotations

import math
from typing import Final

_SIGMAS: Final = 1.959964  # 95 %


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which `successes` in `trials` were counted; 0 to 1 where none were.

    It takes trials to be independent. Unlike the usual interval it stays within 0 and 1, and 20 of 20 is not certain.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _SIGMAS**2
    middle = share + square / (2.0 * trials)
    reach = _SIGMAS * math.sqrt(share * (1.0 - share) / trials + square / (4.0 * trials**2))
    whole = 1.0 + square / trials
    return max((middle - reach) / whole, 0.0), min((middle + reach) / whole, 1.0)
