"""What is noticed in a run: each finding by hand-made records, and what healthy runs look like finds nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from made_records import episode, evaluation, update

from lateapex.diagnosis import CHECKS, QUIET, Diagnosis, History, diagnose, payment
from lateapex.records import STATUSES, Payment

HEALTHY = {
    "policy_loss": -0.01,
    "value_loss": 1.2,
    "entropy": 2.0,
    "kl": 0.02,
    "clip_share": 0.3,
    "gradient_norm": 6.0,
    "explained_variance": 0.7,
    "weight_norm": 26.0,
}
PAID = {
    "lowest": 0.001,
    "highest": 1.0,
    "still_steps": 0,
    "still_reward": math.nan,
    "moving_steps": 1000,
    "moving_reward": 0.4,
    "immobilized": 0,
    "immobilized_reward": math.nan,
    "others": 30,
    "others_reward": 20.0,
}


def drove(iteration, progress=10.0, reward=20.0, actions=(200, 300, 100, 250), paid=None, **losses):
    return update(
        iteration,
        mean_progress=progress,
        mean_reward=reward,
        finished=30,
        losses={**HEALTHY, **losses},
        actions=actions,
        payment=Payment(**{**PAID, **(paid or {})}),
    )


def codes(updates, evaluations=()):
    return [finding.code for finding in diagnose(History(updates, evaluations))]


def many(count, **values):
    """Updates in which a car learns to drive further."""
    return [drove(number, **{"progress": 10.0 + number, **values}) for number in range(1, count + 1)]


def test_a_car_that_learns_has_nothing_wrong():
    assert codes(many(50), [evaluation(10), evaluation(20)]) == []


FOUND = {
    "not_finite": ([*many(1), drove(2, value_loss=math.nan)], "value_loss is no finite number at update 2"),
    "loss_exploded": ([*many(9), drove(10, value_loss=121.0)], "value_loss is 121, over the 9 updates before"),
    "kl_large": (many(9, kl=0.3), "5 of the last 5 updates .* above 0.2, the newest by 0.3"),
    # 0.05 ln 4 = 0.0693
    "entropy_collapsed": (many(5, entropy=0.069), r"among 4 actions has only 5\.0% of its full entropy"),
    "gradient_vanished": (many(5, gradient_norm=9e-7), "at most 9.0e-07 in the last 5 updates"),
    "critic_blind": (many(20, explained_variance=-0.3), "explained -30% .* at best in the last 20 updates"),
    "reward_constant": (many(5, paid={"lowest": 1.0, "highest": 1.0}), "last 5 updates paid 1, whatever"),
    "reward_for_standing": (
        many(1, paid={"still_steps": 300, "still_reward": 0.5}),
        "300 steps in which the car hardly moved paid 0.5 each, 1000 in which it drove 0.4",
    ),
    "action_unused": (many(20, progress=30.0, actions=(5, 0, 9, 9)), "of 4 actions number 1 was not tried once"),
    "not_learning": (many(40, progress=19.9), r"drove 19\.9% of the lap for a reward of 20, the 20 before them 19\.9%"),
}


@pytest.mark.parametrize("code", FOUND)
def test_each_trouble_is_found_alone_and_told_with_its_numbers(code):
    updates, words = FOUND[code]
    (finding,) = diagnose(History(updates, []))
    assert finding.code == code
    assert re.search(words, finding.found), finding.found
    assert (finding.iteration, finding.steps) == (updates[-1].iteration, updates[-1].steps)
    assert finding.advice == CHECKS[code].advice


JUST_NOT = {
    "loss_exploded": [*many(9), drove(10, value_loss=119.0)],
    "a loss that is large from the beginning": [*many(4), drove(5, value_loss=1e6)],
    "kl_large": [*many(9), drove(10, kl=0.3)],
    "entropy_collapsed": many(5, entropy=0.070),
    "entropy of a car that laps": many(5, progress=90.0, entropy=0.0),
    "gradient_vanished": many(4, gradient_norm=0.0),
    "critic_blind": [*many(19, explained_variance=-0.3), drove(20, progress=40.0, explained_variance=0.02)],
    "reward_constant": many(5, paid={"lowest": 1.0, "highest": 1.0001}),
    "reward_for_standing": many(1, paid={"still_steps": 300, "still_reward": 0.39}),
    "few steps of standing": many(1, paid={"still_steps": 199, "still_reward": 5.0}),
    "an action that a car needs no more": many(20, progress=40.0, actions=(5, 0, 9, 9)),
    "a rest on the way": many(40, progress=20.0),
    "few episodes": [replace(drove(n), finished=4) for n in range(1, 41)],
    "slow learning by reward": [drove(n, reward=20.0 if n <= 20 else 21.1) for n in range(1, 41)],
    "slow learning by progress": [drove(n, 10.0 if n <= 20 else 10.6) for n in range(1, 41)],
}


@pytest.mark.parametrize("case", JUST_NOT)
def test_what_lies_just_inside_is_nothing(case):
    assert codes(JUST_NOT[case]) == []


def test_a_single_update_that_turns_the_policy_over_is_enough():
    assert codes(many(1, kl=5.1)) == ["kl_large"]


def test_continuous_actions_collapse_by_their_deviation():
    # Two numbers with deviation s have the entropy 2 (ln s + 1.41894).
    narrow, wide = (2.0 * (math.log(s) + 1.418938533) for s in (0.0199, 0.0201))
    assert codes(many(5, actions=(), entropy=narrow)) == ["entropy_collapsed"]
    assert codes(many(5, actions=(), entropy=wide)) == []


def test_episodes_that_end_standing_may_not_pay_more():
    paid = {"immobilized": 5, "immobilized_reward": 20.1}
    assert codes(many(1, paid=paid)) == ["reward_for_standing"]
    assert codes(many(1, paid={**paid, "immobilized_reward": 20.0})) == []


def test_two_bad_evaluations_after_a_good_one_are_a_loss_of_progress():
    judged = [evaluation(n, mean_progress=progress) for n, progress in ((1, 80.0), (2, 39.0), (3, 39.9))]
    assert codes(many(3), judged) == ["progress_lost"]
    assert codes(many(3), [*judged[:2], evaluation(3, mean_progress=40.0)]) == []
    assert codes(many(3), judged[:2]) == []


def test_a_finding_is_told_once_and_again_only_after_it_was_gone_for_long():
    diagnosis, told = Diagnosis(), []
    for number in range(1, 61):
        large = number <= 10 or number == 10 + QUIET or number == 60
        told += [
            finding.iteration for finding in diagnosis.take(drove(number, 10.0 + number, kl=9.0 if large else 0.02))
        ]
    # At 30 it had been gone for 20 updates, no more than may pass between two of the same trouble; at 60 for 30.
    assert told == [1, 60]


def test_a_diagnosis_that_replayed_a_log_goes_on_as_the_one_that_saw_it():
    records = [*many(9, kl=0.3), *[drove(n, kl=0.3, value_loss=900.0) for n in (10, 11)]]
    seen, replayed = Diagnosis(), Diagnosis()
    for record in records[:9]:
        seen.take(record)
    replayed.replay(records[:9])
    assert [replayed.take(record) for record in records[9:]] == [seen.take(record) for record in records[9:]]


def standing(rewards, moved, status="off_track"):
    """An episode of 1 + len(rewards) rows whose car moves so many metres a step."""
    record = episode(length=1 + len(rewards), status=status)
    record.steps["x"] = np.arange(1 + len(rewards)) * moved
    record.steps["y"] = 0.0
    record.steps["reward"][1:] = rewards
    return record


def test_payment_parts_steps_by_motion_after_the_first_second():
    # Rows 1 to 15 are the first second; of the 5 after it the last has no following pose.
    still, fast = standing([9.0] * 14 + [1.0, 2.0, 3.0, 4.0, 5.0], 0.019), standing([0.0] * 14 + [7.0] * 5, 0.021)
    paid = payment([still, fast])
    assert (paid.still_steps, paid.still_reward) == (4, 2.5)
    assert (paid.moving_steps, paid.moving_reward) == (4, 7.0)
    assert (paid.lowest, paid.highest) == (0.0, 9.0)


def test_payment_parts_episodes_by_how_they_ended():
    paid = payment([standing([3.0], 0.0, "immobilized"), standing([1.0], 1.0), standing([2.0, 3.0], 1.0)])
    assert (paid.immobilized, paid.immobilized_reward, paid.others, paid.others_reward) == (1, 3.0, 2, 3.0)
    assert math.isnan(paid.still_reward)


def test_the_prepare_row_is_not_paid_and_does_not_count():
    record = standing([1.0, 1.0], 1.0)
    assert record.steps["status"][0] == STATUSES.index("prepare")
    assert payment([record]).lowest == 1.0


def test_no_episode_has_no_payment():
    assert payment([]) is None
