"""Compiled kernels on disk: none outlives a change of the sources it was made of."""

from __future__ import annotations

import os
from pathlib import Path

from lateapex.sim.kernel import forget_stale


def folder_with(tmp_path: Path, times: dict[str, int]) -> Path:
    """Files with a modification time each, seconds."""
    (tmp_path / "__pycache__").mkdir()
    for name, seconds in times.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    return tmp_path


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "__pycache__").iterdir()}


def test_kernels_older_than_any_source_are_forgotten(tmp_path: Path) -> None:
    times = {"geometry.py": 200, "simulator.py": 100, "__pycache__/old.nbi": 150, "__pycache__/new.nbi": 250}
    folder = folder_with(tmp_path, times)
    forget_stale(folder)
    assert kept(folder) == {"new.nbi"}


def test_kernels_newer_than_all_sources_are_kept_and_so_is_everything_else(tmp_path: Path) -> None:
    times = {"geometry.py": 200, "__pycache__/new.nbi": 201, "__pycache__/geometry.pyc": 100}
    folder = folder_with(tmp_path, times)
    forget_stale(folder)
    assert kept(folder) == {"new.nbi", "geometry.pyc"}


def test_a_folder_without_kernels_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "geometry.py").touch()
    forget_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["geometry.py"]


def test_a_file_that_vanishes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"geometry.py": 200, "__pycache__/old.nbi": 150})
    (folder / "__pycache__" / "gone.nbi").symlink_to(folder / "nowhere")
    forget_stale(folder)
    assert kept(folder) == {"gone.nbi"}
