"""Several tracks in one text: where it is split, and what they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.world.track import load_track, track_names
from lateapex.world.track_list import labels, split_tracks, track_label


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("oval", ["oval"]),
        ("oval,kidney", ["oval", "kidney"]),
        (" oval , kidney@reversed ", ["oval", "kidney@reversed"]),
        ("generated:medium:42,my/route.npy", ["generated:medium:42", "my/route.npy"]),
        ("oval,", ["oval", ""]),
        ("", [""]),
        ("~nobody/x.npy,oval", ["~nobody/x.npy", "oval"]),
        ("\0,oval", ["\0", "oval"]),
        ("x" * 5000 + ",oval", ["x" * 5000, "oval"]),
    ],
)
def test_names_are_split_at_commas(text, items):
    assert split_tracks(text) == items


@given(st.lists(st.sampled_from([*track_names(), "a/b.npy@reversed"]), min_size=1, max_size=6))
def test_what_is_joined_is_split_again(items):
    assert split_tracks(",".join(items)) == items


def test_a_comma_in_the_path_of_a_file_that_exists_is_part_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left,right.npy").write_bytes(b"")
    assert split_tracks("left,right.npy,oval") == ["left,right.npy", "oval"]
    assert split_tracks("oval,left,right.npy@reversed,kidney") == ["oval", "left,right.npy@reversed", "kidney"]
    assert split_tracks("left,wrong.npy") == ["left", "wrong.npy"]
    (tmp_path / "left").mkdir()
    assert split_tracks("left,right.npy") == ["left,right.npy"]  # the longest path that is there


def test_paths_are_relative_to_the_folder_that_is_given(tmp_path):
    (tmp_path / "a,b.npy").write_bytes(b"")
    assert split_tracks("a,b.npy,oval", tmp_path) == ["a,b.npy", "oval"]
    assert split_tracks("a,b.npy,oval") == ["a", "b.npy", "oval"]


def test_the_label_of_a_track_tells_its_direction():
    tracks = [load_track("oval"), load_track("kidney@reversed")]
    assert [track_label(track) for track in tracks] == ["oval", "kidney@reversed"]
    assert labels(tracks) == "oval,kidney@reversed"
