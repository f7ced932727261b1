"""Who drives a run's cars: this process, a crew in others, or workers at an exchange, as the settings say.

A crew's evaluations are driven where it works, too; else this process drives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from lateapex.env.reward_base import Reward
from lateapex.errors import ConfigError
from lateapex.jobs.exchange_job import one_share, store_collector
from lateapex.jobs.job_reward import job_reward
from lateapex.jobs.run_folder import REWARD, input_files
from lateapex.jobs.run_parts import Cars, RunParts
from lateapex.jobs.train_config import TrainConfig
from lateapex.models.blueprint import Blueprint
from lateapex.models.policy import BLOCK, Policy
from lateapex.storage import MemoryStorage, Storage
from lateapex.training.collect import Collector
from lateapex.training.evaluator import Evaluator, LocalEvaluator
from lateapex.workers.async_crew import AsyncCrew
from lateapex.workers.crew import WORKPLACES, Crew, Share, SharedCars
from lateapex.workers.evaluation import Evaluation


@contextmanager
def collecting(parts: RunParts, storage: Storage, reward: Reward, tell: Callable[[str], None]) -> Iterator[Collector]:
    """Yield what drives a run's cars.

    Args:
        parts: of the run, which has begun.
        storage: its folder.
        reward: pays the cars here, and is what is known here of the rewards elsewhere.
        tell: gets a line on whatever a racer may not expect.

    Raises:
        LateapexError: the workers cannot be had.
    """
    config, workers = parts.config, parts.config.workers
    if config.exchange.url is not None:
        if workers.count:
            raise ConfigError(
                f"workers.count is {workers.count} and exchange.url {config.exchange.url}: two ways to drive the cars; "
                "leave one of --workers and --exchange out"
            )
        with closing(store_collector(parts, storage, parts.task(reward, one_share(config)), tell)) as collector:
            yield collector
        return
    if not workers.count:
        yield parts.collector(parts.task(reward))
        return
    spans = shares(config.cars, workers.count, config.race.cars)
    if workers.max_stale:
        _check_asynchronous(config, spans)
    make = WORKPLACES.get(workers.workplace)
    files = input_files(storage)
    if config.cars < BLOCK * len(spans):
        tell(
            f"{len(spans)} workers share {config.cars} cars, and a network decides for {BLOCK} in the time of one: "
            f"--cars {BLOCK * len(spans)} costs each of them little more"
        )
    with ExitStack() as around:
        makers = [ShareMaker(files, config, span, reward.source) for span in spans]
        workplace = around.enter_context(closing(make(makers, workers, tell)))
        task, counts = parts.task(reward, Cars(first=0, count=config.race.cars)), [span.count for span in spans]
        if not workers.max_stale:
            yield Crew(workplace, counts, task)
            return
        one_each = config.trainer.rollout_episodes is not None
        crew = AsyncCrew(workplace, counts, task, max_stale=workers.max_stale, one_each=one_each)
        yield around.enter_context(closing(crew))


def _check_asynchronous(config: TrainConfig, spans: Sequence[Cars]) -> None:
    """See that workers who do not wait can bring what the settings ask for.

    Raises:
        ConfigError: they cannot.
    """
    workers, world, count = config.workers, config.race.cars, len(spans)
    if config.trainer.rollout_episodes is not None and workers.max_stale < count:
        raise ConfigError(
            f"workers.max_stale is {workers.max_stale}, and trainer.rollout_episodes makes each worker's rollout an "
            f"update of its own, so {count} workers are {count} versions behind; give --max-stale {count} or more, or 0"
        )
    remembers = {"algorithm sac": config.algorithm == "sac", "a teacher": config.teacher.kind != "none"}
    needing = [name for name, given in remembers.items() if given]
    if needing and len({span.count for span in spans}) > 1:
        each = count * (BLOCK if BLOCK % world == 0 and config.cars >= BLOCK * count else world)
        near = each * max(round(config.cars / each), 1)
        raise ConfigError(
            f"{config.cars} cars are not as many for each of {count} workers, which {needing[0]} needs where they do "
            f"not wait for each other; give --cars {near}, or --max-stale 0"
        )


def evaluating(parts: RunParts, storage: Storage, reward: Reward, policy: Policy, collector: Collector) -> Evaluator:
    """Return what drives a run's evaluations: those who work with a crew, else this process; see `collecting`."""
    config = parts.config
    if not isinstance(collector, SharedCars):
        return LocalEvaluator(parts.evaluation(reward))
    maker = EvaluationMaker(input_files(storage), config, reward.source, policy.blueprint)
    return collector.evaluator(maker, parts.evaluation_cars, config.seed, parts.tracks)


def shares(cars: int, count: int, world: int = 1) -> list[Cars]:
    """Deal a run's cars out to `count` workers.

    Each gets cars in a row, as many as the others or nearly so, and whole worlds of `world` cars; where there are
    enough, whole blocks of inference, so that none computes what nobody needs.

    Raises:
        ConfigError: there are more workers than worlds.
    """
    worlds = cars // world
    if count > worlds:
        what = "cars" if world == 1 else f"worlds of {world} cars"
        raise ConfigError(
            f"{count} workers for {worlds} {what}: one each is needed; give fewer --workers or more --cars"
        )
    block = BLOCK if BLOCK % world == 0 and cars >= BLOCK * count else world
    blocks, rest = divmod(cars, block)
    ends = [block * (blocks * (place + 1) // count) for place in range(count)]
    ends[-1] += rest
    return [Cars(first=first, count=end - first) for first, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class ShareMaker:
    """Makes a share of a run's cars from copies of the run's files."""

    files: dict[str, bytes]
    """Of `run_folder.input_files`."""
    config: TrainConfig
    span: Cars
    reward_source: str
    """How the reward's file is called in messages."""

    def begin(self) -> None:
        """One thread of arithmetic: other workers have the other cores."""
        self._parts().begin(torch_threads=1)

    def __call__(self) -> Share:
        """Make it here."""
        parts, config = self._parts(), self.config
        reward = _reward_there(self.files, config, self.reward_source, self.span.first)
        task = parts.task(reward, self.span)
        return Share(parts.collector(task, config.cars), parts.policy(task))

    def _parts(self) -> RunParts:
        return _parts_there(self.files, self.config.model_copy(update={"threads": 1}))


@dataclass(frozen=True)
class EvaluationMaker:
    """Makes the cars of a run's evaluations from copies of the run's files."""

    files: dict[str, bytes]
    """Of `run_folder.input_files`."""
    config: TrainConfig
    reward_source: str
    """How the reward's file is called in messages."""
    blueprint: Blueprint
    """Of the policy that is evaluated."""

    def begin(self) -> None:
        """As many threads as the learner has, which evaluates where there is no crew."""
        _parts_there(self.files, self.config).begin()

    def __call__(self) -> Evaluation:
        """Make them here."""
        parts, config = _parts_there(self.files, self.config), self.config
        reward = _reward_there(self.files, config, self.reward_source)
        policy = Policy(self.blueprint, config.seed, parts.code)
        return Evaluation(LocalEvaluator(parts.evaluation(reward)), policy)


def _parts_there(files: Mapping[str, bytes], config: TrainConfig) -> RunParts:
    """The parts of a run where its folder is not."""
    storage = MemoryStorage()
    storage.files.update(files)
    return RunParts(storage, config)


def _reward_there(files: Mapping[str, bytes], config: TrainConfig, source: str, first_car: int = 0) -> Reward:
    return job_reward(
        files[REWARD].decode(errors="replace"),
        source,
        seed=config.seed,
        first_car=first_car,
        sandbox=config.sandbox,
        call_at_step_1=config.call_at_step_1,
    )
