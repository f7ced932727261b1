"""The clock of ROS in reward files is the simulator's."""

from __future__ import annotations

import sys

import pytest

from lateapex.env.reward_ros import Clock, Time, rospy_with


def test_all_clocks_tell_the_time_that_it_is() -> None:
    clock = Clock()
    rospy = rospy_with(clock)
    start = rospy.Time.now()
    clock.seconds = 12.25
    assert rospy.get_time() == 12.25
    assert (rospy.get_rostime().secs, rospy.get_rostime().nsecs) == (12, 250_000_000)
    assert (rospy.Time.now() - start).to_sec() == 12.25
    assert (rospy.Time(1, 5) + rospy.Duration(0.5)).to_nsec() == 1_500_000_005
    assert "rospy" not in sys.modules


def test_time_before_zero_has_whole_seconds_below_it() -> None:
    assert ((Time(1.0) - Time(1.25)).secs, (Time(1.0) - Time(1.25)).nsecs) == (-1, 750_000_000)


def test_the_log_is_printed_with_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    rospy = rospy_with(Clock())
    rospy.loginfo("at %d of %s", 3, "five")
    rospy.logwarn("100% sure")
    assert capsys.readouterr().out == "at 3 of five\n100% sure\n"
