"""Settings of a race: what stands and drives on the track, and what a mishap costs. Names are the original's keys."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lateapex.config import Config
from lateapex.errors import ConfigError
from lateapex.world.bodies import BODIES, CAR, body_place

RaceType: TypeAlias = Literal["TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL"]
Seconds = Annotated[float, Field(ge=0.0, le=600.0)]
Metres = Annotated[float, Field(ge=0.0, le=100.0)]

_WANTED: Final = "a share of the lap from 0 to 1 and a lane, 1 (inner) or -1 (outer), such as '0.25,1'"


def _positions(value: Any) -> tuple[tuple[float, int], ...]:
    """Read places: as deepracer-for-cloud writes them, "0.25,1;0.5,-1", as a list of such texts, or as numbers."""
    listed = [part for part in value.split(";") if part.strip()] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        raise ValueError(f"expected a list; each of {_WANTED}")
    return tuple(_position(part) for part in listed)


def _position(value: Any) -> tuple[float, int]:
    parts = value.split(",") if isinstance(value, str) else value
    try:
        fraction, lane = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError(f"expected {_WANTED}") from None
    if not 0.0 <= fraction <= 1.0 or lane not in (1.0, -1.0):
        raise ValueError(f"expected {_WANTED}")
    return fraction, int(lane)


def _known(name: str) -> str:
    try:
        body_place(name)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return name


class RaceConfig(Config):
    """One race; a time trial with one life if nothing is given."""

    race_type: RaceType = "TIME_TRIAL"
    """TIME_TRIAL: alone. OBJECT_AVOIDANCE: obstacles. HEAD_TO_BOT: bot cars. HEAD_TO_MODEL: several cars a world."""
    number_of_obstacles: int = Field(default=6, ge=0, le=1000)
    """OBJECT_AVOIDANCE: how many, unless object_positions lists them."""
    object_positions: Annotated[tuple[tuple[float, int], ...], BeforeValidator(_positions)] = ()
    """Where obstacles or bots are: share of the lap and lane, 1 inner or -1 outer; outweighs number and randomising."""
    obstacle_type: Annotated[str, AfterValidator(_known)] = "box_obstacle"
    """box_obstacle, deepracer_box_obstacle or amazon_box_obstacle."""
    is_obstacle_bot_car: bool = False
    """Obstacles are cars that stand."""
    randomize_obstacle_locations: bool = False
    """New places and lanes each episode; else evenly spaced, in alternating lanes."""
    min_distance_between_obstacles: Metres = 2.0
    """m, or what min_distance_unit says."""
    min_distance_unit: Literal["metres", "percent"] = "metres"
    """percent: share of the lap, which shrinks with every episode, as the original's 5 and 6 have it by mistake."""
    number_of_bot_cars: int = Field(default=4, ge=0, le=1000)
    """HEAD_TO_BOT: how many."""
    bot_car_speed: float = Field(default=0.2, gt=0.0, le=4.0)
    """m/s"""
    randomize_bot_car_locations: bool = False
    """As randomize_obstacle_locations."""
    min_distance_between_bot_cars: Metres = 2.0
    """m"""
    is_lane_change: bool = False
    """Bots change lanes now and then."""
    lower_lane_change_time: Seconds = 3.0
    """s between two changes, at least."""
    upper_lane_change_time: Seconds = 5.0
    """s, at most."""
    lane_change_distance: float = Field(default=1.0, gt=0.0, le=100.0)
    """m that a change takes."""
    cars_per_world: int = Field(default=2, ge=2, le=20)
    """HEAD_TO_MODEL: cars that race each other."""
    start_pos_offset: Metres = 0.75
    """HEAD_TO_MODEL: m from a car's start back to the next one's."""
    number_of_resets: int = Field(default=0, ge=0)
    """Mishaps after which a car waits and goes on; 0: the first ends the episode."""
    is_continuous: bool = False
    """Laps follow on the fly; an episode is number_of_trials laps."""
    number_of_trials: int = Field(default=3, ge=1, le=1000)
    """is_continuous: laps."""
    penalty_seconds: Seconds = 2.0
    """s that a bot stands which ran into a car."""
    off_track_penalty: Seconds = 2.0
    """s; of driving backwards too."""
    collision_penalty: Seconds = 5.0
    """s"""
    immobilized_penalty: Seconds = 0.0
    """s"""
    reset_behind_dist: Metres = 1.0
    """m before the obstacle, where a car goes on that crashed into it."""
    reset_ahead_dist: Metres = 1.0
    """m beyond it, by mercy."""
    enable_mercy_reset: bool = False
    """Beyond the obstacle after max_resets_after_crash crashes into the same one."""
    max_resets_after_crash: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> RaceConfig:
        if self.lower_lane_change_time > self.upper_lane_change_time:
            raise ValueError("lower_lane_change_time is above upper_lane_change_time")
        return self

    @property
    def things(self) -> int:
        """Boxes or bot cars in each world."""
        if self.race_type == "OBJECT_AVOIDANCE":
            return len(self.object_positions) or self.number_of_obstacles
        if self.race_type == "HEAD_TO_BOT":
            return len(self.object_positions) or self.number_of_bot_cars
        return 0

    @property
    def kind(self) -> int:
        """Place of those things in BODIES."""
        boxes = self.race_type == "OBJECT_AVOIDANCE" and not self.is_obstacle_bot_car
        return body_place(self.obstacle_type) if boxes else CAR

    @property
    def cars(self) -> int:
        """Cars in each world."""
        return self.cars_per_world if self.race_type == "HEAD_TO_MODEL" else 1

    @property
    def has_bots(self) -> bool:
        """Whether the things drive."""
        return self.race_type == "HEAD_TO_BOT" and self.things > 0

    @property
    def is_plain(self) -> bool:
        """Whether this is a time trial with one life, of which the rules of episodes are enough."""
        return not (self.things or self.cars > 1 or self.number_of_resets or self.is_continuous)


OBSTACLE_TYPES: Final = tuple(body.name for place, body in enumerate(BODIES) if place != CAR)
"""What obstacle_type may be."""
