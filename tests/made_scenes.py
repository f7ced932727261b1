"""A scene of a user's own class, as a file."""

from __future__ import annotations

from pathlib import Path

DUSK = '''
class Evening:
    base = "mild"
    car = {"grip": (0.6, 0.8), "speed_scale": 1.1}
    picture = {"brightness": 0}


class Dusk(Evening):
    """Darker with each car, and as noisy."""

    car = {"grip": [0.6, 0.8]}
    _darkest = 0.25

    def sample(self, rng, car, episode):
        dark = rng.uniform(self._darkest, 1.0)
        return {"light.red": dark, "light.blue": 0.5 + dark / 2, "picture.noise": 2.0 / dark, "start.offset": car / 50}
'''


def write_dusk(folder: Path, name: str = "dusk.py", text: str = DUSK) -> str:
    """Write the file; returns the reference to the class."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return f"{folder / name}:Dusk"
