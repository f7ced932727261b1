"""The training loop: what ends it, when it evaluates and saves, which model is the best; with parts made up for it."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_models import made_policy
from made_records import episode
from pydantic import ValidationError

from lateapex.env.starts import RoundRobinStarts
from lateapex.errors import RunError, StorageError, TrainingError
from lateapex.models.model_file import read_model
from lateapex.records import EpisodeRecord, EvaluationRecord, FindingRecord, UpdateRecord
from lateapex.storage import MemoryStorage
from lateapex.training.checkpoint import NAMES, STATE, load_state, load_version, version_files
from lateapex.training.rollout import Rollout
from lateapex.training.trainer import Trainer, TrainerConfig
from lateapex.world.track import load_track

CARS = 4
LAP, OFF = "lap_complete", "off_track"


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class MadeCollector:
    """Rollouts without driving: one episode that ends off the track, and nothing driven, unless told otherwise."""

    def __init__(self, clock, ended=(OFF,), laps_driven=0.0, seconds=1.0):
        self.task, self.cars = SimpleNamespace(simulator=SimpleNamespace(count=CARS)), CARS
        self.clock = clock
        self.ended, self.laps_driven, self.seconds = ended, laps_driven, seconds
        self.budgets = []

    def collect(self, policy, budget):
        self.budgets.append(budget)
        self.clock.now += self.seconds
        count = len(self.budgets)
        shape = (budget.steps, CARS)
        return Rollout(
            *({"flat": torch.zeros(*shape, 4)} for _ in range(2)),
            *(torch.zeros(shape) for _ in range(5)),
            *(np.zeros(shape, np.float32) for _ in range(5)),
            last=None,
            episodes=[episode(count, status=status) for status in self.ended],
            laps=np.array([self.laps_driven]),
        )

    def snapshot(self):
        return {"count": np.array([len(self.budgets)])}

    def restore(self, snapshot):
        self.budgets = [None] * int(snapshot["count"][0])


class MadeAlgorithm:
    """Adds one to a weight at each update."""

    def __init__(self, policy, losses=None):
        self.policy = policy
        self.losses = losses or {"policy_loss": 0.5}

    def update(self, rollout):
        with torch.no_grad():
            self.policy.critic.head.bias.add_(1.0)
        return self.losses

    def state(self, storage):
        return {}

    def restore(self, state, storage):
        pass

    def tidy(self, storage):
        pass


class ListSink:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)

    def state(self):
        return {"records": len(self.records)}

    def restore(self, state):
        del self.records[state.get("records", 0) :]

    def close(self):
        pass

    def of(self, kind):
        return [record for record in self.records if isinstance(record, kind)]


class MadeEvaluator:
    """Two trials without driving, which end as `trials` says for each update."""

    count, seed, max_steps = 2, 7, 3000

    def __init__(self, clock, trials):
        self.clock, self.trials = clock, trials
        self.tracks = [load_track("oval")]
        self.asked = []  # poses, clock and episode of each evaluation

    def evaluate(self, policy, poses, clock, episode_before):
        self.clock.now += 0.25
        self.asked.append((poses, clock, episode_before))
        return [
            episode(90, phase="evaluation", status=LAP)
            if trial == LAP
            else episode(90, phase="evaluation", progress=30.0 if trial == OFF else trial)
            for trial in self.trials(episode_before)
        ]


class Run:
    """A trainer of made-up parts; `evaluations` says how the trials of each evaluation end."""

    def __init__(self, evaluations=None, storage=None, sink=None, losses=None, collected=None, **settings):
        self.clock = Clock()
        self.policy = made_policy()
        self.collector = MadeCollector(self.clock, **(collected or {}))
        self.storage = storage or MemoryStorage()
        self.sink = sink or ListSink()
        self.evaluator = MadeEvaluator(self.clock, evaluations or (lambda update: (OFF, OFF)))
        self.trainer = Trainer(
            TrainerConfig(**{"rollout_steps": 5, "evaluation_trials": 2, **settings}),
            policy=self.policy,
            collector=self.collector,
            evaluator=self.evaluator,
            algorithm=MadeAlgorithm(self.policy, losses),
            storage=self.storage,
            sinks={"list": self.sink},
            clock=self.clock,
        )

    def go(self):
        return self.trainer.run()

    @property
    def evaluated(self):
        return [record.iteration for record in self.sink.of(EvaluationRecord)]


@pytest.fixture
def run():
    return Run


def laps_from(update):
    return lambda updates: (LAP, LAP) if updates >= update else (LAP, OFF)


ALWAYS_DUE = {"ended": (), "laps_driven": 1.0}  # no failure at all


# --------------------------------------------------------------------------------------------- what ends it


def test_the_goal_is_two_evaluations_of_nothing_but_laps_in_a_row(run):
    made = run(until_laps=True, collected=ALWAYS_DUE, evaluations=laps_from(3))
    assert made.go() == "goal"
    assert made.evaluated == [1, 2, 3, 4]
    assert made.trainer.progress.updates == 4


def test_an_evaluation_with_a_failure_between_starts_the_count_anew(run):
    made = run(until_laps=True, collected=ALWAYS_DUE, evaluations=lambda update: (LAP, OFF if update == 2 else LAP))
    assert made.go() == "goal"
    assert made.evaluated == [1, 2, 3, 4]


def test_an_update_that_is_too_poor_to_evaluate_starts_the_count_anew(run):
    made = run(until_laps=True, collected=dict(ALWAYS_DUE), evaluations=laps_from(1))
    ended = iter([(), (OFF, OFF), (), ()])
    collect = made.collector.collect

    def changing(policy, budget):
        made.collector.ended = next(ended)
        return collect(policy, budget)

    made.collector.collect = changing
    assert made.go() == "goal"
    assert made.evaluated == [1, 3, 4]


def test_laps_end_nothing_unless_asked_for(run):
    made = run(updates=12, evaluations=laps_from(0), collected=ALWAYS_DUE)
    assert made.go() == "updates"
    assert made.evaluated == [10, 12]


def test_the_step_budget_is_used_up_to_whole_steps_of_all_cars(run):
    # 4 cars x 5 steps = 20 a rollout; 51 leaves 11 for the third, which takes 3 steps of all four cars.
    made = run(steps=51)
    assert made.go() == "steps"
    assert [budget.steps for budget in made.collector.budgets] == [5, 5, 3]
    assert made.trainer.progress.steps == 52


def test_a_rollout_of_episodes_asks_for_that_many(run):
    made = run(updates=1, rollout_episodes=20, rollout_steps=10_000)
    made.go()
    assert [(budget.steps, budget.episodes) for budget in made.collector.budgets] == [(10_000, 20)]


def test_the_time_is_up_after_training_and_evaluation_together(run):
    # An update lasts 1 s, an evaluation 0.25 s and comes at updates 2 and 4: 4.5 s after 4 updates.
    made = run(duration=4.5, evaluation_interval=2)
    assert made.go() == "duration"
    progress = made.trainer.progress
    assert (progress.updates, progress.train_seconds, progress.evaluation_seconds) == (4, 4.0, 0.5)


def test_time_counts_over_a_resume(run):
    first = run(duration=3.0)
    first.go()
    second = run(duration=5.0, storage=first.storage)
    second.trainer.resume()
    assert second.go() == "duration"
    assert second.trainer.progress.updates == 5


def test_to_stop_ends_it_after_the_update_that_is_under_way(run):
    made = run(collected={"seconds": 0.0})
    collect = made.collector.collect

    def stop_in_the_middle(policy, budget):
        made.trainer.stopping = len(made.collector.budgets) == 2
        return collect(policy, budget)

    made.collector.collect = stop_in_the_middle
    assert made.go() == "stopped"
    assert made.trainer.progress.updates == 3
    assert load_version(made.storage, "last")[0] == "3_Step-60.pt"


def test_a_run_stopped_before_its_first_update_has_a_model(run):
    made = run()
    made.trainer.stopping = True
    assert made.go() == "stopped"
    assert load_version(made.storage, "best")[0] == "0_Step-0.pt"
    assert made.sink.records == []


@pytest.mark.parametrize(
    "wrong",
    [{"duration": 0.0}, {"steps": 0}, {"updates": 0}, {"rollout_steps": 0}, {"save_seconds": 0.0}, {"until_laps": 1}],
)
def test_bounds_that_bound_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrainerConfig(**wrong)


# ------------------------------------------------------------------------------------- records and evaluations


def test_records_come_in_the_order_in_which_things_happened(run):
    made = run(updates=2, evaluation_interval=2)
    made.go()
    kinds = [(type(record).__name__, getattr(record, "phase", "")) for record in made.sink.records]
    cycle = [("EpisodeRecord", "training"), ("UpdateRecord", "")]
    assert kinds == [*cycle, *cycle, *2 * [("EpisodeRecord", "evaluation")], ("EvaluationRecord", "")]


def test_an_update_tells_of_the_episodes_that_ended_in_it(run):
    made = run(updates=2, collected={"ended": (OFF, LAP, OFF)})
    made.go()
    first, second = made.sink.of(UpdateRecord)
    progress = np.mean([record.progress for record in made.sink.of(EpisodeRecord)[:3]])
    assert (first.finished, first.laps, first.episodes, first.steps) == (3, 1, 3, 20)
    assert (first.mean_progress, first.best_lap) == (pytest.approx(progress), pytest.approx(3 / 15))
    weights = torch.cat([weight.flatten() for weight in made.trainer.policy.parameters()])
    norm = pytest.approx(float(weights.detach().norm()))
    assert (second.episodes, second.steps) == (6, 40)
    assert second.losses == {"policy_loss": 0.5, "weight_norm": norm}


def test_an_update_in_which_nothing_ended_has_no_means(run):
    made = run(updates=1, collected={"ended": ()})
    made.go()
    (record,) = made.sink.of(UpdateRecord)
    assert math.isnan(record.mean_progress)
    assert math.isnan(record.mean_reward)
    assert record.best_lap is None


@pytest.mark.parametrize(
    ("ended", "laps_driven", "due"),
    [
        ((OFF,), 1.0, True),  # one failure in a lap
        ((OFF,), 0.9, False),
        ((OFF, OFF, LAP), 2.0, True),
        ((OFF, OFF, LAP), 1.9, False),
        ((), 1.0, True),  # no failure at all
        ((), 0.6, False),  # less than a lap says nothing yet
    ],
)
def test_evaluations_come_early_once_the_car_fails_no_more_than_once_a_lap(run, ended, laps_driven, due):
    made = run(updates=2, until_laps=True, collected={"ended": ended, "laps_driven": laps_driven})
    made.go()
    assert made.evaluated == ([1, 2] if due else [2])


def test_short_rollouts_are_judged_together_once_a_lap_is_driven(run):
    made = run(updates=8, until_laps=True, evaluation_interval=100, collected={"ended": (), "laps_driven": 0.4})
    made.go()
    assert made.evaluated == [3, 6, 8]  # after 1.2 laps each, and at the end
    made = run(updates=8, until_laps=True, evaluation_interval=100, collected={"ended": (OFF,), "laps_driven": 0.4})
    made.go()
    assert made.evaluated == [8]


def test_the_last_update_is_evaluated_once(run):
    for updates, evaluated in ((3, [2, 3]), (4, [2, 4])):
        made = run(updates=updates, evaluation_interval=2)
        made.go()
        assert made.evaluated == evaluated


def test_each_evaluation_has_starts_of_its_own_that_depend_on_seed_and_update_alone(run):
    first, again = run(updates=2, evaluation_interval=1), run(updates=2, evaluation_interval=1)
    first.go()
    again.go()
    one, two = (poses.fraction.tolist() for poses, *_ in first.evaluator.asked)
    assert one != two
    assert [poses.fraction.tolist() for poses, *_ in again.evaluator.asked] == [one, two]


def test_an_evaluation_begins_where_training_stands(run):
    made = run(updates=4, evaluation_interval=2)
    made.go()
    assert [asked[1:] for asked in made.evaluator.asked] == [(2 * 5, 2), (4 * 5, 4)]  # steps of each car, updates


def test_the_newest_of_equally_good_models_is_the_best(run):
    trials = {1: (50.0, 50.0), 2: (60.0, 80.0), 3: (70.0, 70.0), 4: (60.0, 60.0)}
    made = run(updates=4, evaluation_interval=1, evaluations=trials.get)
    made.go()
    assert [record.is_best for record in made.sink.of(EvaluationRecord)] == [True, True, True, False]
    assert load_version(made.storage, "best")[0] == "3_Step-60.pt"
    assert load_version(made.storage, "last")[0] == "4_Step-80.pt"
    names = json.loads(made.storage.read(NAMES))
    assert [names[key]["avg_eval_metric"] for key in ("best_checkpoint", "last_checkpoint")] == [70.0, 60.0]


def test_the_best_and_the_last_model_hold_the_weights_of_their_updates(run):
    made = run(updates=3, evaluation_interval=1, evaluations={1: (1.0, 1.0), 2: (9.0, 9.0), 3: (3.0, 3.0)}.get)
    start = made.policy.critic.head.bias.item()
    made.go()
    biases = [load_version(made.storage, which)[1].critic.head.bias.item() for which in ("best", "last")]
    assert biases == [start + 2.0, start + 3.0]


# --------------------------------------------------------------------------------------------- saving, going on


def saves(made):
    return [name for name in made.storage.written if name == STATE]


class CountingStorage(MemoryStorage):
    """Notes what was written; from `full` writes on there is no room."""

    def __init__(self, full=10_000):
        super().__init__()
        self.written = []
        self.full = full

    def write(self, name, data):
        if len(self.written) == self.full:
            raise StorageError("cannot write: No space left on device")
        self.written.append(name)
        super().write(name, data)


def test_the_state_is_saved_as_often_as_asked_and_at_the_end(run):
    made = run(updates=7, save_seconds=3.0, storage=CountingStorage())
    made.go()
    assert len(saves(made)) == 3  # after 3, 6 and 7 updates of a second each


def models(made):
    return sorted(name for name in made.storage.files if name.endswith(".pt") and name != STATE)


@pytest.mark.parametrize(("keep", "updates"), [(1, [2, 9]), (2, [2, 8, 9]), (4, [2, 6, 7, 8, 9]), (8, range(2, 10))])
@pytest.mark.parametrize("save_seconds", [0.5, 2.5, 1e9])
def test_the_newest_evaluated_models_and_the_best_stay_however_often_it_saves(run, keep, updates, save_seconds):
    made = run(
        updates=9,
        evaluation_interval=1,
        save_seconds=save_seconds,
        keep=keep,
        evaluations=lambda n: (n, n) if n < 3 else (0, 0),
    )
    made.go()
    assert models(made) == [f"model/{n}_Step-{20 * n}.pt" for n in updates]


def test_models_that_were_only_saved_on_the_way_do_not_stay(run):
    made = run(updates=7, evaluation_interval=3, save_seconds=0.5)
    made.go()
    assert models(made) == ["model/3_Step-60.pt", "model/6_Step-120.pt", "model/7_Step-140.pt"]


def test_a_run_that_goes_on_with_fewer_to_keep_keeps_fewer(run):
    made = run(updates=5, evaluation_interval=1)
    made.go()
    assert len(models(made)) == 4
    again = run(updates=6, evaluation_interval=1, keep=2, storage=made.storage)
    again.trainer.resume()
    again.go()
    assert models(again) == ["model/5_Step-100.pt", "model/6_Step-120.pt"]


def test_every_model_that_the_saved_state_names_is_there_at_every_moment(run):
    moments = 0

    class Watched(MemoryStorage):
        def write(self, name, data):
            super().write(name, data)
            self.check()

        def delete(self, name):
            super().delete(name)
            self.check()

        def check(self):
            nonlocal moments
            if self.exists(STATE):
                progress = load_state(self)["progress"]
                moments += 1
                assert {f"model/{name}" for name in progress["versions"]} <= self.files.keys()

    run(updates=12, evaluation_interval=1, save_seconds=4.5, keep=2, storage=Watched()).go()
    assert moments > 12


def test_between_two_saves_there_are_never_many_more_models_than_are_kept(run):
    most = 0

    class Watched(MemoryStorage):
        def write(self, name, data):
            nonlocal most
            super().write(name, data)
            most = max(most, sum("_Step-" in name for name in self.files))

    run(updates=30, evaluation_interval=1, save_seconds=1e9, keep=2, storage=Watched()).go()
    assert most <= 4  # two, the best, and the one just written


def test_an_evaluation_tells_of_each_track_and_every_track_weighs_the_same(run):
    made = run(updates=1, evaluations=lambda update: (LAP, 40.0, LAP, 60.0))
    made.evaluator.tracks = [load_track("oval"), load_track("kidney").reverse()]
    made.go()
    (record,) = made.sink.of(EvaluationRecord)
    oval, kidney = record.tracks
    assert (oval.track, oval.laps_completed, oval.trials, oval.mean_progress) == ("oval", 2, 2, 100.0)
    assert (kidney.track, kidney.laps_completed, kidney.trials) == ("kidney@reversed", 0, 2)
    assert (kidney.mean_progress, kidney.best_lap) == (50.0, None)
    assert (record.mean_progress, record.laps_completed, record.best_lap) == (75.0, 2, oval.best_lap)


def test_whenever_the_disk_fills_the_best_and_the_last_model_and_the_state_are_whole_and_fit_together(run):
    def start(storage):
        better = {"evaluations": lambda update: (10.0 * update, 10.0 * update)}
        return run(updates=6, evaluation_interval=1, save_seconds=2.5, storage=storage, **better)

    whole = start(CountingStorage())
    whole.go()
    for full in range(1, len(whole.storage.written)):
        made = start(CountingStorage(full))
        with pytest.raises(StorageError):
            made.go()
        made.storage.full = 10_000
        if made.storage.exists(NAMES):
            load_version(made.storage, "best")
            load_version(made.storage, "last")
        again = start(made.storage)
        again.trainer.resume()
        if best := again.trainer.progress.best_name:
            assert made.storage.exists(f"model/{best}")
        again.go()
        assert again.storage.files[NAMES] == whole.storage.files[NAMES]
        assert again.storage.files.keys() == whole.storage.files.keys()


def test_a_run_that_goes_on_does_so_as_if_nothing_had_stopped_it(run):
    def start(**settings):
        return run(updates=5, evaluation_interval=2, evaluations=lambda update: (update, 9.0), **settings)

    whole, stopped = start(), start()
    whole.go()
    count = stopped.trainer._count

    def stop_after_three(rollout):
        count(rollout)
        stopped.trainer.stopping = stopped.trainer.progress.updates == 3

    stopped.trainer._count = stop_after_three
    assert stopped.go() == "stopped"
    assert stopped.evaluated == [2, 3]  # whoever stops it is told how good it is by now
    resumed = start(storage=stopped.storage, sink=stopped.sink)
    resumed.trainer.resume()
    assert resumed.evaluated == [2]  # and whoever goes on never hears of it
    resumed.go()
    assert resumed.evaluated == whole.evaluated == [2, 4, 5]
    assert resumed.storage.files[NAMES] == whole.storage.files[NAMES]
    assert resumed.policy.critic.head.bias.item() == whole.policy.critic.head.bias.item()


def test_a_finished_run_that_is_resumed_has_nothing_left_to_do(run):
    made = run(updates=2)
    made.go()
    again = run(updates=2, storage=made.storage, sink=made.sink)
    count = len(made.sink.records)
    again.trainer.resume()
    assert again.go() == "updates"
    assert len(again.sink.records) == count
    assert again.collector.budgets == [None, None]


def test_without_a_saved_state_a_run_begins_again_and_its_sinks_too(run):
    made = run(updates=1)
    made.sink.records = ["of a run that was killed"]
    made.trainer.resume()
    assert made.sink.records == []
    assert made.trainer.progress.updates == 0


def test_a_sink_that_comes_later_goes_on_from_what_it_had_then(run):
    made = run(updates=2)
    made.go()
    again = run(updates=3, storage=made.storage)
    again.trainer.resume()
    late = ListSink()
    late.records = list(range(1000))
    again.trainer.watch({"list": late})
    assert len(late.records) == len(made.sink.records)
    again.go()
    assert isinstance(late.records[-1], EvaluationRecord)


def test_the_state_of_other_settings_is_refused_in_one_line(run):
    made = run(updates=1)
    made.go()
    other = run(updates=2, storage=made.storage)
    other.trainer.policy = made_policy(8, 8, 1, 4)
    with pytest.raises(RunError, match=r"does not fit run\.toml .*size mismatch.*put them back") as told:
        other.trainer.resume()
    assert "\n" not in str(told.value)


def test_a_damaged_log_is_refused_in_one_line(run):
    made = run(updates=1)
    made.go()
    other = run(updates=2, storage=made.storage)

    def damaged(state):
        raise ValueError("no UTF-8")

    other.sink.restore = damaged
    with pytest.raises(RunError, match=r"a log of the run is damaged: no UTF-8; bring it back or start a new run"):
        other.trainer.resume()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_that_are_no_numbers_end_the_run_and_leave_the_model_that_was_saved(run, value):
    losses = {"policy_loss": 0.5, "value_loss": 1.0}
    made = run(losses=losses, save_seconds=0.5)
    collect = made.collector.collect

    def breaking(policy, budget):
        losses["value_loss"] = value if len(made.collector.budgets) == 2 else 1.0
        return collect(policy, budget)

    made.collector.collect = breaking
    with pytest.raises(TrainingError, match=r"value_loss is (nan|inf) at update 3; .* smaller learning rate"):
        made.go()
    assert load_version(made.storage, "last")[0] == "2_Step-40.pt"


def test_weights_that_are_no_numbers_never_get_into_a_model(run):
    """Losses are of the moment before the last step: they may be finite when the weights are not."""
    made = run(evaluation_interval=1, save_seconds=0.5)
    learn = made.trainer._algorithm.update

    def breaking(rollout):
        losses = learn(rollout)
        if len(made.collector.budgets) == 3:
            with torch.no_grad():
                made.trainer.policy.actor.head.linear.weight[0, 0] = math.nan
        return losses

    made.trainer._algorithm.update = breaking
    with pytest.raises(TrainingError, match="weight_norm is nan at update 3"):
        made.go()
    assert [finding.code for finding in made.sink.of(FindingRecord)] == ["not_finite"]
    names = [load_version(made.storage, which)[0] for which in ("best", "last")]
    assert names == ["2_Step-40.pt"] * 2
    for name in version_files(made.storage):
        state = read_model(made.storage.read(f"model/{name}"), name).state_dict()
        assert all(bool(torch.isfinite(weight).all()) for weight in state.values())


def test_a_finding_follows_the_record_that_shows_it(run):
    made = run(losses={"policy_loss": 0.5, "kl": 9.0}, updates=3)
    made.go()
    kinds = [type(record) for record in made.sink.records if not isinstance(record, EpisodeRecord)]
    assert kinds[:3] == [UpdateRecord, FindingRecord, UpdateRecord]
    (finding,) = made.sink.of(FindingRecord)
    assert (finding.code, finding.iteration) == ("kl_large", 1)


def test_seconds_by_phase_add_up_to_the_time_of_the_cycle_and_none_counts_twice(run):
    made = run(updates=1)
    collect = made.collector.collect
    made.collector.collect = lambda *given: collect(*given)._replace(seconds={"inference": 0.25, "reward": 0.125})
    made.go()
    (record,) = made.sink.of(UpdateRecord)
    assert record.seconds == {"simulate": 0.625, "inference": 0.25, "reward": 0.125, "update": 0.0, "save": 0.0}


def test_an_evaluation_may_start_where_the_first_cars_next_episode_does(run):
    made = run(evaluation_starts="training", evaluation_interval=1, updates=2)
    task = made.collector.task
    task.starts, task.seed, task.episodes = RoundRobinStarts(), 3, {"episode": np.array([6, 2, 0, 0])}
    made.go()
    assert [poses.fraction.tolist() for poses, *_ in made.evaluator.asked] == [pytest.approx([0.35, 0.35])] * 2
    assert task.episodes["episode"].tolist() == [6, 2, 0, 0]
