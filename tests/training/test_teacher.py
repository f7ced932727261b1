"""The lesson before an algorithm begins: who drives, what is labelled, what is learned from it, and that it goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_models import judged, small_policy
from made_tasks import continuous_metadata, small_task

from lateapex.env.racing import RacingTask
from lateapex.env.starts import RandomStarts
from lateapex.models.drive import drive
from lateapex.models.policy import Policy
from lateapex.storage import MemoryStorage
from lateapex.training.apprentice import Apprentice
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.rollout import Rollout
from lateapex.training.teacher import Teacher, TeacherConfig, state_driver
from lateapex.world.vehicle import Vehicle

CONTINUOUS = {"metadata": continuous_metadata((-30.0, 30.0), (0.5, 1.0))}


class Fixed:
    """A driver with one command for all."""

    def __init__(self, degrees: float, speed: float) -> None:
        self.command = np.radians(degrees), speed

    def commands(self, cars: Any) -> Any:
        return tuple(np.full(len(cars), value) for value in self.command)


class After:
    """Notes what it gets."""

    def __init__(self) -> None:
        self.rollouts: list[Rollout] = []

    def update(self, rollout: Rollout) -> dict[str, float]:
        self.rollouts.append(rollout)
        return {"policy_loss": 0.25}

    def state(self, storage: Any) -> dict[str, Any]:
        return {"rollouts": len(self.rollouts)}

    def restore(self, state: Any, storage: Any) -> None:
        self.restored = state["rollouts"]

    def tidy(self, storage: Any) -> None:
        pass


def lesson(driver: Any = None, cars: int = 4, network: str = "lean", **settings: Any) -> tuple[LocalCollector, Policy]:
    more = settings.pop("task", {})
    task = small_task("oval", cars, **{"starts": RandomStarts(), "reward": "centre_line", "seed": 3, **more})
    driver = driver or state_driver("centre_line", task.tracks, Vehicle())
    config = TeacherConfig(**{"kind": "centre_line", "steps": 64, **settings})
    return LocalCollector(task, teacher=Teacher(driver, config)), small_policy(task, network=network)


# --------------------------------------------------------------------------------------------------- who drives


def test_the_teacher_hands_over_the_wheel_over_its_share_of_the_lesson() -> None:
    teacher = Teacher(Fixed(0.0, 1.0), TeacherConfig(steps=1000, mix=0.5))
    assert [teacher.share(steps) for steps in (0, 125, 250, 500, 900)] == [1.0, 0.75, 0.5, 0.0, 0.0]
    assert Teacher(Fixed(0.0, 1.0), TeacherConfig(mix=0.0)).share(0) == 0.0


def test_at_first_all_actions_are_the_teachers_and_later_none_are() -> None:
    # Place 9 is 30 degrees to the left at 1.0 m/s.
    collector, policy = lesson(Fixed(30.0, 1.0), steps=4000, mix=0.5)
    first = collector.collect(policy, Budget(1))
    assert first.actions.tolist() == [[9, 9, 9, 9]]
    while collector.steps < 2000:
        last = collector.collect(policy, Budget(100))
        assert last.labels is not None
        assert (last.labels == 9).all()
    own = collector.collect(policy, Budget(50)).actions
    assert 0.0 < (own == 9).float().mean() < 0.5


def test_labels_end_with_the_rollout_in_which_the_lesson_does() -> None:
    collector, policy = lesson(steps=64)
    labels = [collector.collect(policy, Budget(10)).labels for _ in range(3)]
    assert [None if part is None else tuple(part.shape) for part in labels] == [(10, 4), (10, 4), None]


def test_a_lesson_that_is_not_driven_in_leaves_the_students_driving_as_it_is() -> None:
    taught, policy = lesson(mix=0.0)
    alone = LocalCollector(small_task("oval", 4, starts=RandomStarts(), reward="centre_line", seed=3))
    one, two = taught.collect(policy, Budget(12)), alone.collect(policy, Budget(12))
    assert torch.equal(one.actions, two.actions)
    np.testing.assert_array_equal(one.rewards, two.rewards)


def test_labels_are_what_the_driver_would_do_in_the_state_in_which_the_picture_was_taken() -> None:
    collector, policy = lesson(mix=0.0)
    task, states = collector.task, []
    before = task.advance

    def noting(actions: Any) -> Any:
        states.append(task.simulator.cars.copy())
        return before(actions)

    task.advance = noting  # type: ignore[method-assign] # to look at the state before each step
    labels = collector.collect(policy, Budget(8)).labels
    assert labels is not None
    driver = state_driver("centre_line", task.tracks, Vehicle())
    for row, cars in zip(labels, states, strict=True):
        np.testing.assert_array_equal(row.numpy(), task.actions.nearest(*driver.commands(cars)))


class Following:
    """Takes a teacher's labels for its actions."""

    def __init__(self, teacher: Teacher, task: RacingTask) -> None:
        self.teacher, self.task = teacher, task

    def greedy(self, observations: Any, fresh: Any) -> Any:
        return self.teacher.labels(self.task).numpy()


@pytest.mark.parametrize("more", [{}, CONTINUOUS, {"mirror": True}])
def test_who_does_what_the_centre_line_teacher_says_laps(more: Any) -> None:
    task = small_task(["kidney", "hairpin"], 4, pictures=False, reward="centre_line", **more)
    teacher = Teacher(state_driver("centre_line", task.tracks, Vehicle()), TeacherConfig())
    poses = RandomStarts().draw(1, np.arange(4), np.zeros(4, np.int64))
    assert [episode.status for episode in drive(Following(teacher, task), task, poses)] == ["lap_complete"] * 4


# --------------------------------------------------------------------------------------------------- what is learned


@pytest.mark.parametrize("network", ["lean", "recurrent"])
@pytest.mark.parametrize("more", [{}, CONTINUOUS])
def test_the_student_comes_to_do_what_it_is_told(network: str, more: Any) -> None:
    collector, policy = lesson(Fixed(15.0, 1.0), network=network, steps=2000, task=more)
    apprentice = Apprentice(policy, TeacherConfig(batch_size=32, epochs=4.0), After(), discount=0.9)
    errors = [apprentice.update(collector.collect(policy, Budget(16)))["imitation_error"] for _ in range(8)]
    assert errors[-1] < 0.1 < errors[0]


def test_the_critic_learns_what_the_states_are_worth_meanwhile() -> None:
    collector, policy = lesson(steps=4000)
    apprentice = Apprentice(policy, TeacherConfig(batch_size=32, epochs=4.0), After(), discount=0.5)
    losses = [apprentice.update(collector.collect(policy, Budget(16)))["value_loss"] for _ in range(10)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_round_takes_as_many_gradient_steps_as_its_new_samples_ask_for() -> None:
    collector, policy = lesson(steps=4000)
    apprentice = Apprentice(policy, TeacherConfig(batch_size=16, epochs=1.5), After(), discount=0.9)
    batches: list[int] = []
    policy.actor.head.register_forward_hook(lambda _, given, __: batches.append(len(given[0])))
    for _ in range(3):
        rollout = collector.collect(policy, Budget(16))  # 64 steps
        batches.clear()
        apprentice.update(rollout)
        assert batches == [16] * 6


def test_all_rounds_are_learned_from_until_the_memory_is_full_and_then_the_newest() -> None:
    collector, policy = lesson(steps=4000)
    apprentice = Apprentice(policy, TeacherConfig(capacity=100), After(), discount=0.9)
    rows = []
    for _ in range(3):
        apprentice.update(collector.collect(policy, Budget(10)))
        rows.append(len(apprentice.memory))
    assert rows == [10, 20, 25]


def test_rollouts_without_labels_are_the_next_algorithms_and_the_memory_is_given_up() -> None:
    collector, policy = lesson(steps=64)
    after = After()
    apprentice = Apprentice(policy, TeacherConfig(), after, discount=0.9)
    for _ in range(2):
        assert "imitation_loss" in apprentice.update(collector.collect(policy, Budget(10)))
    assert len(apprentice.memory) == 20
    assert apprentice.update(collector.collect(policy, Budget(10))) == {"policy_loss": 0.25}
    assert len(after.rollouts) == 1
    assert len(apprentice.memory) == 0


def test_with_the_last_round_of_the_lesson_the_memory_is_given_up() -> None:
    collector, policy = lesson(steps=64)
    apprentice, storage = Apprentice(policy, TeacherConfig(steps=64), After(), discount=0.9), MemoryStorage()
    kept = []
    for _ in range(2):
        apprentice.update(collector.collect(policy, Budget(10)))
        apprentice.state(storage)
        apprentice.tidy(storage)
        kept.append(sorted(storage.files))
    assert kept == [["model/lesson/0-10.pt"], []]


def test_the_step_size_falls_with_the_steps_of_the_lesson_to_its_end() -> None:
    collector, policy = lesson(steps=4000)
    config = TeacherConfig(steps=160, learning_rate=1e-3, final_learning_rate=2e-4)
    apprentice = Apprentice(policy, config, After(), discount=0.9)
    rates = [
        apprentice.update(collector.collect(policy, Budget(10)))["learning_rate"] for _ in range(5)
    ]  # 40 steps each
    np.testing.assert_allclose(rates, [1e-3, 8e-4, 6e-4, 4e-4, 2e-4], rtol=1e-12)
    assert {group["lr"] for item in apprentice._optimizers.values() for group in item.param_groups} == {rates[-1]}


def test_the_step_size_stays_where_none_is_given_for_the_end() -> None:
    collector, policy = lesson(steps=4000)
    apprentice = Apprentice(policy, TeacherConfig(steps=80), After(), discount=0.9)
    rates = [apprentice.update(collector.collect(policy, Budget(10)))["learning_rate"] for _ in range(3)]
    assert rates == [1e-3] * 3


# --------------------------------------------------------------------------------------------------- reproducible


def rounds(network: str, count: int, resumed_after: int | None = None) -> Policy:
    collector, policy = lesson(steps=4000, network=network)
    config, storage = TeacherConfig(batch_size=16, capacity=100, steps=500, final_learning_rate=1e-4), MemoryStorage()
    apprentice = Apprentice(policy, config, After(), discount=0.9, seed=4)
    for number in range(count):
        apprentice.update(collector.collect(policy, Budget(10)))
        if number == resumed_after:
            saved, weights, drive_state = apprentice.state(storage), policy.state_dict(), collector.snapshot()
            collector, policy = lesson(steps=4000, network=network)
            apprentice = Apprentice(policy, config, After(), discount=0.9, seed=4)
            policy.load_state_dict(weights)
            apprentice.restore(saved, storage)
            collector.restore(drive_state)
    return policy


@pytest.mark.parametrize("network", ["lean", "recurrent"])
@pytest.mark.parametrize("resumed_after", [0, 3])
def test_a_lesson_that_is_resumed_ends_with_the_same_weights(network: str, resumed_after: int) -> None:
    whole, again = rounds(network, 5), rounds(network, 5, resumed_after)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_what_the_saved_state_no_longer_names_is_deleted() -> None:
    collector, policy = lesson(steps=64)
    storage = MemoryStorage()
    apprentice = Apprentice(policy, TeacherConfig(), After(), discount=0.9)
    kept = []
    for _ in range(3):
        apprentice.update(collector.collect(policy, Budget(10)))
        apprentice.state(storage)
        apprentice.tidy(storage)
        kept.append(sorted(storage.files))
    assert kept == [["model/lesson/0-10.pt"], ["model/lesson/0-10.pt", "model/lesson/10-20.pt"], []]


# --------------------------------------------------------------------------------------------------- the losses


def test_imitation_of_numbers_is_the_squared_error_of_the_mean_and_fits_the_deviation_to_it() -> None:
    task = small_task("oval", 2, **CONTINUOUS)
    head = small_policy(task).actor.head
    parameters = torch.tensor([[0.3, -0.2, -1.0, 0.5]], requires_grad=True)
    labels = torch.tensor([[0.5, -0.2]])
    loss = head.imitation(parameters, labels)
    # 0.2² + (0.2² e² / 2 - 1) and 0 + 0.5
    assert loss.item() == pytest.approx(0.04 + 0.02 * np.exp(2.0) - 1.0 + 0.5, abs=1e-6)
    loss.sum().backward()
    assert parameters.grad is not None
    # -2 · 0.2 for the mean; 1 - 0.2² e² and 1 for the deviations
    expected = [-0.4, 0.0, 1.0 - 0.04 * np.exp(2.0), 1.0]
    np.testing.assert_allclose(parameters.grad[0].numpy(), expected, atol=1e-6)


def test_imitation_of_a_list_is_the_cross_entropy() -> None:
    collector, policy = lesson()
    stem = {"flat": collector.collect(policy, Budget(1)).actor_stem["flat"][0]}
    parameters = judged(policy.actor, stem)
    labels = torch.tensor([0, 3, 9, 5])
    expected = torch.nn.functional.cross_entropy(parameters, labels, reduction="none")
    torch.testing.assert_close(policy.actor.head.imitation(parameters, labels), expected)
