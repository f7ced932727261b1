"""What a race adds to the rules of episodes: crashes, penalties, respawns, laps on the fly, grids, and who is where.

With resets left a mishap does not end the episode: the car is put back on the road at once and waits for its penalty,
during which steps go on, nothing is paid and nobody can touch it. `docs/races.md` says where what comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.env.contacts import contacts
from lateapex.env.placement import places
from lateapex.env.race_config import RaceConfig
from lateapex.env.rules import (
    CRASHED,
    IMMOBILIZED,
    IN_PROGRESS,
    LAP_COMPLETE,
    OFF_TRACK,
    PAUSE,
    PREPARE,
    REVERSED,
    Quirks,
)
from lateapex.env.starts import StartPoses
from lateapex.env.traffic_params import Objects
from lateapex.errors import ConfigError
from lateapex.sim.simulator import Simulator
from lateapex.sim.traffic import OPAQUE, LaneChanges, lane_poses
from lateapex.world.lanes import INNER, OUTER
from lateapex.world.vehicle import STEP_SECONDS

CLEAR: Final = 1.0
"""m along the line from a start or respawn to the nearest obstacle; what is nearer moves the car."""
LANE_OFFSET: Final = 0.25
"""Share of the width from the centre line to a lane's middle."""

MISHAP_DTYPE: Final = np.dtype(
    [
        ("pause", np.int64),  # steps that it still waits
        ("resets", np.int64),
        ("crash_count", np.int64),
        ("off_track_count", np.int64),
        ("immobilized_count", np.int64),
        ("reversed_count", np.int64),
        ("laps", np.int64),  # complete ones of this episode
        ("hit", np.int64),  # the thing that it last crashed into or was put back for; -1: none
        ("hits", np.int64),  # how often in a row
        ("lane", np.int64),  # nearer one at the step before
        ("progress", np.float64),  # percent, at the step before
    ]
)
"""What a race remembers of each car's episode."""

_COUNTS: Final = {
    CRASHED: "crash_count",
    OFF_TRACK: "off_track_count",
    IMMOBILIZED: "immobilized_count",
    REVERSED: "reversed_count",
}
_BLINK: Final = np.array([4, 3, 2, 1, 1, 2, 3, 4])  # samples of OPAQUE, over half a second: from 1 down to 0.3 and back


class Race:
    """The race of a task's cars.

    Args:
        config: what kind of race.
        simulator: the cars; the first `config.cars` of it are in world 0, and so on.
        lengths: `[N]` length of each car's track, m.
        quirks: "original", or "fixed".
        first_world: number of world 0, to which all draws belong; kept by the simulator's traffic.
    """

    def __init__(
        self,
        config: RaceConfig,
        simulator: Simulator,
        lengths: NDArray[np.float64],
        quirks: Quirks,
        first_world: int = 0,
    ) -> None:
        self.config = config
        self.mishaps = np.zeros(simulator.count, MISHAP_DTYPE)
        """`[N]` of MISHAP_DTYPE."""
        self._simulator, self._lengths, self._fixed = simulator, lengths, quirks == "fixed"
        self._penalty = {
            CRASHED: config.collision_penalty,
            OFF_TRACK: config.off_track_penalty,
            REVERSED: config.off_track_penalty,
            IMMOBILIZED: config.immobilized_penalty,
        }
        self._respawns: list[tuple[int, float, int]] = []
        self._met = np.full(simulator.count, -1)
        if (traffic := simulator.traffic) is not None:
            traffic.first_world = first_world
            others = traffic.others
            others["kind"] = config.kind
            others["paint"] = np.arange(config.things) % 7
            if config.has_bots:
                others["speed"] = config.bot_car_speed
                if config.is_lane_change:
                    lower, upper = config.lower_lane_change_time, config.upper_lane_change_time
                    traffic.changes = LaneChanges(lower, upper, config.lane_change_distance)

    # ------------------------------------------------------------------------------------------- how episodes begin

    def line_up(
        self, cars: NDArray[np.int64], poses: StartPoses, episode: NDArray[np.int64], seed: int, *, grid: bool
    ) -> StartPoses:
        """Put the things of beginning worlds to their places, and say where the cars start among them.

        Args:
            cars: `[M]` those that begin an episode.
            poses: where they would start if they were alone.
            episode: `[M]` numbers of the episodes.
            seed: of the things' places.
            grid: several cars of a world line up behind the first one's place, the others in the other lane.
        """
        fresh = np.zeros(1, MISHAP_DTYPE)
        fresh["hit"], fresh["lane"] = -1, OUTER
        self.mishaps[cars] = fresh
        self._set_traffic(cars, episode, seed)
        each = self.config.cars
        if self._simulator.traffic is not None:
            self._simulator.traffic.things["opacity"][cars // each, cars % each] = OPAQUE
        seat = cars % each
        fraction, offset, heading = (np.array(part, np.float64) for part in poses)
        if grid and each > 1:
            of_car = dict(zip(cars.tolist(), fraction.tolist(), strict=True))
            lead = np.array([of_car.get(car - car % each, share) for car, share in of_car.items()])
            fraction = lead - seat * self.config.start_pos_offset / self._lengths[cars]
            offset, heading = self._offset(cars, np.where(seat % 2, INNER, OUTER)), np.zeros(len(cars))
        near, lane = self._nearest_thing(cars, fraction * self._lengths[cars])
        moved = near < CLEAR
        offset = np.where(moved, self._offset(cars, -lane), offset)
        return StartPoses(fraction, offset, np.where(moved, 0.0, heading))

    def _set_traffic(self, cars: NDArray[np.int64], episode: NDArray[np.int64], seed: int) -> None:
        """Put the things of all worlds anew of which every car is among `cars`."""
        traffic, each = self._simulator.traffic, self.config.cars
        if traffic is None or not self.config.things:
            return
        traffic.seed = seed
        worlds, counts = np.unique(cars // each, return_counts=True)
        worlds = worlds[counts == each]
        if not len(worlds):
            return
        number = dict(zip((cars // each).tolist(), episode.tolist(), strict=True))
        lengths = self._lengths[worlds * each]
        found = [
            places(self.config, float(length), seed, traffic.first_world + world, number[world])
            for world, length in zip(worlds.tolist(), lengths, strict=True)
        ]
        traffic.put(
            worlds,
            track=self._simulator.cars["track"][worlds * each],
            along=np.stack([along for along, _ in found]),
            lane=np.stack([lane for _, lane in found]),
            episode=[number[world] for world in worlds.tolist()],
        )

    def _offset(self, cars: NDArray[np.int64], lane: NDArray[Any]) -> NDArray[np.float64]:
        """Share of the width, left positive, at which a lane's middle lies."""
        ccw = self._simulator.tables.tracks["ccw"][self._simulator.cars["track"][cars]]
        return np.where((lane == INNER) == ccw, LANE_OFFSET, -LANE_OFFSET)

    def _nearest_thing(
        self, cars: NDArray[np.int64], along: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """How far along the line the nearest box or bot is from a place, m, and in which lane it stands."""
        traffic = self._simulator.traffic
        if traffic is None or not self.config.things:
            return np.full(len(cars), np.inf), np.full(len(cars), OUTER)
        others, length = traffic.others[cars // self.config.cars], self._lengths[cars, None]
        away = others["along"] - along[:, None]
        away = np.abs(away - length * np.round(away / length))
        nearest = away.argmin(axis=1)
        rows = np.arange(len(cars))
        return away[rows, nearest], others["lane"][rows, nearest].astype(np.int64)

    # -------------------------------------------------------------------------------------------------- step by step

    def crashes(self) -> NDArray[np.bool_]:
        """`[N]` cars that are guilty of a contact now; bots that are stop."""
        traffic = self._simulator.traffic
        if traffic is None:
            return np.zeros(self._simulator.count, np.bool_)
        crashed, self._met = contacts(
            self._simulator.cars,
            traffic.things,
            self._lengths,
            apart=self.mishaps["pause"] > 0,
            bots=self.config.has_bots,
            bot_wait=round(self.config.penalty_seconds / STEP_SECONDS),
            fixed=self._fixed,
        )
        return crashed

    def rule(self, status: NDArray[np.int8], episodes: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Forgive what the race forgives.

        Args:
            status: `[N]` as the rules of an episode judged it; changed for cars that wait, or begin another lap.
            episodes: `[N]` of EPISODE_DTYPE.

        Returns:
            `[N]` cars that stand still in this step, and those whose episode is over.
        """
        mishaps = self.mishaps
        waits = (mishaps["pause"] > 0) & (status != PREPARE)
        mishaps["pause"][waits] -= 1
        episodes["still"][waits] = episodes["falling"][waits] = 0
        status[waits] = PAUSE
        lap = (
            (status == LAP_COMPLETE) & (mishaps["laps"] + 1 < self.config.number_of_trials) & self.config.is_continuous
        )
        mishaps["laps"][status == LAP_COMPLETE] += 1
        episodes["previous_progress"][lap] = 0.0
        status[lap] = IN_PROGRESS
        forgiven = np.zeros(len(status), np.bool_)
        for fault, name in _COUNTS.items():
            found = status == fault
            mishaps[name][found] += 1
            forgiven |= found
        forgiven &= mishaps["resets"] < self.config.number_of_resets
        for car in np.flatnonzero(forgiven).tolist():
            self._forgive(car, int(status[car]), float(episodes["start"][car]))
        held = waits | forgiven | (status == PREPARE)
        self._remember(episodes)
        return held, ~held & (status != IN_PROGRESS)

    def _remember(self, episodes: NDArray[Any]) -> None:
        cars = self._simulator.cars
        ccw = self._simulator.tables.tracks["ccw"][cars["track"]]
        self.mishaps["progress"] = episodes["progress"]
        self.mishaps["lane"] = np.where(cars["is_left_of_line"] == ccw, INNER, OUTER)

    def _forgive(self, car: int, fault: int, start: float) -> None:
        """Note the penalty of a car and where it goes on."""
        mishap = self.mishaps[car]
        mishap["resets"] += 1
        mishap["pause"] = _steps(self._penalty[fault])
        traffic = self._simulator.traffic
        if fault == CRASHED and traffic is not None:
            thing = traffic.things[self._simulator.cars["world"][car], self._met[car]]
            if thing["car"] < 0 and not self.config.has_bots:
                self._respawns.append((car, *self._beside(car, int(self._met[car]))))
            return
        length = float(self._lengths[car])
        along = float(mishap["progress"]) / 100.0 * length + (start * length if self._fixed else 0.0)
        lane = int(mishap["lane"])
        one = np.array([car])
        if traffic is not None and self._nearest_thing(one, np.array([along]))[0][0] < CLEAR:
            others = traffic.others[car // self.config.cars]
            away = others["along"] - along
            near = int(np.abs(away - length * np.round(away / length)).argmin())
            along, lane = self._beside(car, traffic.cars_each + near)
        self._respawns.append((car, along, lane))

    def _beside(self, car: int, place: int) -> tuple[float, int]:
        """Where a car goes on that meets a thing: before it or, by mercy, beyond it, in the other lane."""
        assert self._simulator.traffic is not None
        thing = self._simulator.traffic.things[self._simulator.cars["world"][car], place]
        mishap, config = self.mishaps[car], self.config
        mishap["hits"] = mishap["hits"] + 1 if mishap["hit"] == place else 1
        mishap["hit"] = place
        mercy = config.enable_mercy_reset and mishap["hits"] > config.max_resets_after_crash
        move = config.reset_ahead_dist if mercy else -config.reset_behind_dist
        return float(thing["along"]) + move, -int(thing["lane"])

    def put_back(self, episodes: NDArray[Any]) -> None:
        """Put the cars that were forgiven to where they go on; to be called after the simulator's step."""
        simulator = self._simulator
        for car, along, lane in self._respawns:
            one = np.array([car])
            track, before = simulator.cars["track"][car], float(simulator.cars["along"][car])
            x, y, yaw = lane_poses(simulator.lanes, simulator.tables, track, along, lane)
            simulator.place(one, x, y, yaw)
            if self._fixed:
                length = float(self._lengths[car])
                way = float(simulator.cars["along"][car]) - before
                way -= length * round(way / length)
                episodes["previous_progress"][car] += 100.0 * way / length
        self._respawns.clear()
        if self.config.cars > 1 and simulator.traffic is not None:
            wait = self.mishaps["pause"]
            shown = np.where(wait > 0, _BLINK[wait % len(_BLINK)], OPAQUE)
            simulator.traffic.things["opacity"][:, : self.config.cars] = shown.reshape(-1, self.config.cars)

    def objects(self) -> Objects | None:
        """What rewards are told of the things in each car's world; None: there are none."""
        traffic, config = self._simulator.traffic, self.config
        if traffic is None:
            return None
        speed = config.bot_car_speed if config.has_bots else 0.0
        return Objects(
            traffic.things.copy(),
            config.cars,
            self._simulator.cars["world"],
            bots=config.has_bots,
            bot_speed=speed,
            fixed=self._fixed,
        )

    def worlds_over(self, over: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """`[N]` cars in a world of which some car's episode is over."""
        some = over.reshape(-1, self.config.cars).any(axis=1)
        return np.repeat(some, self.config.cars)

    # ------------------------------------------------------------------------------------------------------- state

    def snapshot(self) -> dict[str, Any]:
        """What the race remembers, as copies."""
        return {"mishaps": self.mishaps.copy()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot of a race of as many cars."""
        self.mishaps[:] = snapshot["mishaps"]


def worlds_of(config: RaceConfig, cars: int) -> NDArray[np.int32]:
    """World of each of so many cars, `[N]`.

    Raises:
        ConfigError: they do not fill their worlds.
    """
    if cars % config.cars:
        raise ConfigError(f"{cars} cars in worlds of {config.cars}; a multiple of {config.cars} is needed")
    return np.asarray(np.arange(cars) // config.cars, np.int32)


def _steps(seconds: float) -> int:
    """Steps that a wait takes: one more than its time, as logs of the original show (31 for 2 s); none for none."""
    return round(seconds / STEP_SECONDS) + 1 if seconds > 0.0 else 0
