"""The part of ROS that reward files use: its clock, which is the simulator's, and its log, which is printed.

deepracer-for-cloud's own example takes the time from `rospy.get_time()`, and many files begin as that.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

_NANOSECONDS = 1_000_000_000


class Clock:
    """Simulated time, s."""

    def __init__(self) -> None:
        self.seconds = 0.0


class Time:
    """A moment or a span of simulated time, as `rospy.Time` and `rospy.Duration`."""

    def __init__(self, secs: float = 0.0, nsecs: int = 0) -> None:
        self._nanoseconds = round(secs * _NANOSECONDS) + nsecs

    @property
    def secs(self) -> int:
        """Whole seconds."""
        return self._nanoseconds // _NANOSECONDS

    @property
    def nsecs(self) -> int:
        """Nanoseconds beyond them."""
        return self._nanoseconds % _NANOSECONDS

    def to_sec(self) -> float:
        """Seconds."""
        return self._nanoseconds / _NANOSECONDS

    def to_nsec(self) -> int:
        """Nanoseconds."""
        return self._nanoseconds

    def __add__(self, other: Time) -> Time:
        return Time(0, self._nanoseconds + other.to_nsec())

    def __sub__(self, other: Time) -> Time:
        return Time(0, self._nanoseconds - other.to_nsec())


def rospy_with(clock: Clock) -> ModuleType:
    """Make a module `rospy` that tells a clock's time."""

    def now() -> Time:
        return Time(clock.seconds)

    def log(message: object, *values: object) -> None:
        print(str(message) % values if values else message)

    module = ModuleType("rospy")
    moment = type("Time", (Time,), {"now": staticmethod(now)})
    logs = dict.fromkeys(("logdebug", "loginfo", "logwarn", "logerr", "logfatal"), log)
    clocks = SimpleNamespace(get_time=lambda: clock.seconds, get_rostime=now, Time=moment, Duration=Time)
    vars(module).update(vars(clocks) | logs)
    return module
