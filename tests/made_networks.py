"""Networks of users, as files for tests."""

from __future__ import annotations

from pathlib import Path

TINY = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass
class Sizes:
    features: int = 8


class Tiny(nn.Module):
    \"\"\"Means of a coarse grid of every picture, and lidars, through one layer.\"\"\"

    def __init__(self, spaces):
        super().__init__()
        self.dense = nn.LazyLinear(Sizes().features)

    def forward(self, seen):
        parts = [functional.avg_pool2d(value, 8).flatten(1) if value.ndim == 4 else value for value in seen.values()]
        return torch.tanh(self.dense(torch.cat(parts, dim=1)))
"""

BRIGHTER = """
class Brighter:
    def __init__(self, by: int = 1):
        self.by = by

    def __call__(self, pictures, draws):
        return pictures.clamp(max=255 - self.by) + self.by
"""


def write_tiny(folder: Path, name: str = "tiny.py", text: str = TINY) -> str:
    """Write a file with a network; returns the text that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return f"{folder / name}:Tiny"
