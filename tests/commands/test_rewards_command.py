"""`lateapex rewards`: what comes with the package can be listed, shown, and trained with as it was shown."""

from __future__ import annotations

import json

from small_runs import command

from lateapex.env.reward import load_reward, reward_names


def test_the_list_says_what_each_pays_for(capsys):
    said = command(capsys, "rewards", "list")
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == reward_names()
    assert "two_borders      Stay between the two borders" in lines
    assert lines[-1] == f"next: lateapex train --reward {reward_names()[0]}"


def test_the_list_is_one_line_of_json_where_that_is_asked(capsys):
    said = command(capsys, "rewards", "list", "--json")
    (line,) = said.out.splitlines()
    assert [reward["name"] for reward in json.loads(line)["rewards"]] == reward_names()


def test_a_reward_is_shown_as_it_is(capsys):
    assert command(capsys, "rewards", "show", "no_zigzag").out == load_reward("no_zigzag").text


def test_an_unknown_reward_is_told_with_the_nearest(capsys):
    assert "did you mean 'centre_line'?" in command(capsys, "rewards", "show", "center_line").error
