"""Vehicles by name and from files: what is taken, what is refused, and with which words."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import ConfigError
from lateapex.sim.state import VEHICLE_DTYPE
from lateapex.world.vehicle import CameraMount, Vehicle
from lateapex.world.vehicles import load_vehicle, read_vehicle, vehicle_names, vehicle_of_version, write_vehicle


def test_there_is_a_preset_for_every_measured_generation() -> None:
    assert vehicle_names() == ["version2", "version3", "version4", "version5", "version6"]
    assert [load_vehicle(name).name for name in vehicle_names()] == vehicle_names()


def test_the_default_vehicle_is_version5() -> None:
    assert load_vehicle("version5") == Vehicle()


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1", "version2"),
        ("2.0", "version2"),
        ("3", "version3"),
        ("4.0", "version4"),
        ("5", "version5"),
        ("5.9", "version5"),
        ("6", "version6"),
        ("7.1", "version6"),
    ],
)
def test_metadata_picks_the_generation_by_its_integer_part(version: str, name: str) -> None:
    assert vehicle_of_version(version) == name


def test_only_version2_logs_a_point_behind_its_front_axle_and_looks_from_higher_up() -> None:
    for name in vehicle_names():
        car = load_vehicle(name)
        # 0.14 m before the rear axle in version 2, before the middle of the car in all others.
        from_rear = car.front_point + car.rear_axle
        assert from_rear == pytest.approx(0.14 if name == "version2" else 0.2217)
        assert car.camera == (
            CameraMount(forward=0.08, height=0.164, pitch=0.2618) if name == "version2" else CameraMount()
        )


def test_a_file_changes_what_it_says_and_takes_the_rest_from_its_base(tmp_path: Path) -> None:
    file = tmp_path / "my_car.toml"
    file.write_text('base = "version4"\nfriction = 1\n[camera]\npitch = 0.3\n')
    base = load_vehicle("version4")
    expected = replace(base, name="my_car", friction=1.0, camera=replace(base.camera, pitch=0.3))
    assert load_vehicle(str(file)) == expected
    assert load_vehicle(file) == expected


def test_a_file_without_a_base_changes_version5() -> None:
    assert read_vehicle('name = "mine"\nsteering_lag = 0.2', "car.toml") == replace(
        Vehicle(), name="mine", steering_lag=0.2
    )


@pytest.mark.parametrize("name", vehicle_names())
def test_what_is_written_reads_back_the_same(name: str) -> None:
    assert read_vehicle(write_vehicle(load_vehicle(name)), "any.toml") == load_vehicle(name)


@given(friction=st.floats(0.01, 5.0), lag=st.floats(0.0, 5.0), jump=st.floats(0.0, 1.0))
def test_any_numbers_within_the_ranges_come_back_bit_for_bit(friction: float, lag: float, jump: float) -> None:
    car = replace(Vehicle(), friction=friction, steering_lag=lag, steering_jump=jump)
    assert read_vehicle(write_vehicle(car), "any.toml") == car


def test_every_number_of_a_vehicle_has_a_range_that_a_file_is_held_to() -> None:
    for name, value in asdict(Vehicle()).items():
        if isinstance(value, float):
            with pytest.raises(ConfigError, match=rf"^car\.toml: {name} is 1000(\.0)?; expected less than or equal to"):
                read_vehicle(f"{name} = 1000.0", "car.toml")


def test_the_kernels_are_given_every_number_of_a_vehicle() -> None:
    assert set(VEHICLE_DTYPE.names or ()) == set(asdict(Vehicle())) - {"name", "camera"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frction = 1.0", "no field of a vehicle is called 'frction'; did you mean 'friction'?"),
        ("[camera]\npich = 0.2", "no field of a vehicle is called 'camera.pich'; did you mean 'pitch'?"),
        ("qqq = 1.0", "no field of a vehicle is called 'qqq'; known: name, front_axle, "),
        ('friction = "0.3"', "friction is '0.3'; expected a valid number"),
        ("friction = true", "friction is True; expected a valid number"),
        ("friction = 0.0", "friction is 0.0; expected greater than 0"),
        ("friction = nan", "friction is nan; expected "),
        ("max_wheel_speed = inf", "max_wheel_speed is inf; expected less than or equal to 50"),
        ("[camera]\nheight = 9.0", "camera.height is 9.0; expected less than or equal to 2"),
        ("name = 5", "name is 5; expected a valid string"),
        ("camera = 3", "camera is 3; a table is needed: write [camera] on a line of its own"),
        ('base = "version9"', "base is 'version9', which is no preset; did you mean 'version6'?"),
        ("base = 5", "base is 5, which is no preset; known: version2, version3, "),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_vehicle(text, "car.toml")
    assert str(caught.value).startswith(f"car.toml: {message}")


def test_a_file_that_is_no_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"car\.toml is not TOML: .*line 1"):
        read_vehicle("friction == 1", "car.toml")
    with pytest.raises(
        ConfigError, match=r"there is no vehicle file .*none.toml; lateapex vehicles show version5 --toml"
    ):
        load_vehicle(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        load_vehicle(f"{tmp_path}/")
    with pytest.raises(ConfigError, match=r"cannot read ~nobody-here/car.toml"):
        load_vehicle("~nobody-here/car.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read .*bytes.toml"):
        load_vehicle(tmp_path / "bytes.toml")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no vehicle is called 'verson4'; did you mean 'version4'"):
        load_vehicle("verson4")
    with pytest.raises(ConfigError, match=r"no vehicle is called 'lorry'; known: version2, .*my_car.toml"):
        load_vehicle("lorry")
