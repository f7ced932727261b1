"""How a car moves in one decision step.

A rigid body on four wheels that all turn at one common speed, without a differential, each tyre limited by friction
along and across by itself. Six constants, fitted to public step logs of the original simulator; a kinematic bicycle
is an order of magnitude further from those logs.

State of a car: centre x, y, yaw; velocity forward u and to the left v; yaw rate r; steering angle of the joint.
"""

from __future__ import annotations

import math

from numba import njit

SUBSTEPS = 8
"""Integration steps per decision; 4 change the position after a second by 2 mm, the tyres ring below that."""

_GRAVITY = 9.81


@njit(cache=True, nogil=True)
def wheel_speed(command, car):  # type: ignore[no-untyped-def] # numba infers: float, record of VEHICLE_DTYPE -> float
    """Wheel surface speed in m/s for a commanded speed in m/s."""
    return min(car.speed_gain * command + car.speed_offset, car.max_wheel_speed)


@njit(cache=True, nogil=True)
def drive(state, car, steer, wheel, seconds):  # type: ignore[no-untyped-def] # numba infers: records and floats
    """Advance one car by `seconds`, in place.

    Args:
        state: record with x, y, yaw, u, v, r, steering, steering_command.
        car: record of VEHICLE_DTYPE.
        steer: commanded steering angle, rad, left positive.
        wheel: wheel surface speed, m/s.
    """
    dt = seconds / SUBSTEPS
    lf = car.front_axle
    lr = car.rear_axle
    b = car.half_track
    front_load = car.friction * _GRAVITY * lr / (2.0 * (lf + lr))
    rear_load = car.friction * _GRAVITY * lf / (2.0 * (lf + lr))
    ex = car.slip_forward
    ey = car.slip_sideways
    x, y, yaw, u, v, r = state.x, state.y, state.yaw, state.u, state.v, state.r
    delta = state.steering
    if car.steering_lag <= 0.0:
        delta = steer
        follow = 0.0
    else:
        delta += car.steering_jump * (steer - state.steering_command)
        follow = min(dt / car.steering_lag, 1.0)
    ca = math.cos(delta)
    sa = math.sin(delta)
    for _ in range(SUBSTEPS):
        if follow > 0.0:
            delta += (steer - delta) * follow
            ca = math.cos(delta)
            sa = math.sin(delta)
        force_x = 0.0
        force_y = 0.0
        torque = 0.0
        vy_front = v + r * lf
        vy_rear = v - r * lr
        for side in (b, -b):
            cx = u - r * side
            slip = cx * ca + vy_front * sa - wheel
            slide = -cx * sa + vy_front * ca
            fx = -front_load * slip / (abs(slip) + ex)
            fy = -front_load * slide / (abs(slide) + ey)
            body_x = fx * ca - fy * sa
            body_y = fx * sa + fy * ca
            force_x += body_x
            force_y += body_y
            torque += lf * body_y - side * body_x
            slip = cx - wheel
            fx = -rear_load * slip / (abs(slip) + ex)
            fy = -rear_load * vy_rear / (abs(vy_rear) + ey)
            force_x += fx
            force_y += fy
            torque += -lr * fy - side * fx
        u1 = u + (force_x + r * v) * dt
        v1 = v + (force_y - r * u) * dt
        r1 = r + torque / car.yaw_inertia * dt
        um = 0.5 * (u + u1)
        vm = 0.5 * (v + v1)
        rm = 0.5 * (r + r1)
        middle = yaw + 0.5 * rm * dt
        c = math.cos(middle)
        s = math.sin(middle)
        x += (um * c - vm * s) * dt
        y += (um * s + vm * c) * dt
        yaw += rm * dt
        u, v, r = u1, v1, r1
    state.x, state.y, state.u, state.v, state.r = x, y, u, v, r
    state.yaw = yaw - 2.0 * math.pi * math.floor((yaw + math.pi) / (2.0 * math.pi))
    state.steering = delta
    state.steering_command = steer
