"""How a car moves in one decision step.

A rigid body on four wheels that all turn at one common speed, without a differential, each tyre limited by friction
along and across by itself. Six constants, fitted to public step logs of the original simulator; a kinematic bicycle
is an order of magnitude further from those logs.

State of a car: centre x, y, yaw; velocity forward u and to the left v; yaw rate r; steering angle of the joint.
"""

from __future__ import annotations

import math

from lateapex.sim.kernel import kernel
from lateapex.world.vehicle import SUBSTEPS

_GRAVITY = 9.81


@kernel
def wheel_speed(command, car):  # type: ignore[no-untyped-def] # numba: float, record of VEHICLE_DTYPE -> float
    """Wheel surface speed in m/s for a commanded speed in m/s."""
    return min(max(car.speed_gain * command + car.speed_offset, -car.max_wheel_speed), car.max_wheel_speed)


@kernel
def drive(state, car, steer, wheel, seconds):  # type: ignore[no-untyped-def] # numba: records and floats
    """Advance one car by some seconds, in place.

    Args:
        state: record of STATE_DTYPE: x, y, yaw, u, v, r, steering, steering_command are read and written.
        car: record of VEHICLE_DTYPE.
        steer: commanded steering angle, rad, left positive.
        wheel: wheel surface speed, m/s.
        seconds: how long; one decision step is STEP_SECONDS.
    """
    dt = seconds / SUBSTEPS
    x, y, yaw, u, v, r = state.x, state.y, state.yaw, state.u, state.v, state.r
    delta, follow = _turn_joint(state, car, steer, dt)
    tyres = _tyres(car)
    yaw_inertia = car.yaw_inertia
    c = math.cos(delta)
    s = math.sin(delta)
    for _ in range(SUBSTEPS):
        if follow > 0.0:
            delta += (steer - delta) * follow
            c = math.cos(delta)
            s = math.sin(delta)
        force_x, force_y, torque = _forces(u, v, r, c, s, wheel, tyres)
        u1 = u + (force_x + r * v) * dt
        v1 = v + (force_y - r * u) * dt
        r1 = r + torque / yaw_inertia * dt
        forward = 0.5 * (u + u1)
        left = 0.5 * (v + v1)
        turn = 0.5 * (r + r1)
        middle = yaw + 0.5 * turn * dt
        east = math.cos(middle)
        north = math.sin(middle)
        x += (forward * east - left * north) * dt
        y += (forward * north + left * east) * dt
        yaw += turn * dt
        u, v, r = u1, v1, r1
    state.x, state.y, state.u, state.v, state.r = x, y, u, v, r
    state.yaw = yaw - 2.0 * math.pi * math.floor((yaw + math.pi) / (2.0 * math.pi))
    state.steering = delta
    state.steering_command = steer


@kernel
def _turn_joint(state, car, steer, dt):  # type: ignore[no-untyped-def] # numba: see drive
    """Angle of the steering joint as the command arrives, and the share of its error that a substep removes."""
    if car.steering_lag <= 0.0:
        return steer, 0.0
    return state.steering + car.steering_jump * (steer - state.steering_command), min(dt / car.steering_lag, 1.0)


@kernel
def _tyres(car):  # type: ignore[no-untyped-def] # numba: VEHICLE_DTYPE -> 8 floats
    """Where the tyres are, what each can hold per mass of the car, and how much slip that takes."""
    lf, lr = car.front_axle, car.rear_axle
    front = car.friction * _GRAVITY * lr / (2.0 * (lf + lr))
    rear = car.friction * _GRAVITY * lf / (2.0 * (lf + lr))
    return lf, lr, car.half_track, front, rear, car.slip_forward, car.slip_sideways, car.slip_sideways_rear


@kernel
def _forces(u, v, r, c, s, wheel, tyres):  # type: ignore[no-untyped-def] # numba: floats, see _tyres -> forward, left, torque
    """Sum the tyre forces per mass; c and s are cosine and sine of the steering angle."""
    lf, lr, b, front, rear, ex, ey, ey_rear = tyres
    force_x = 0.0
    force_y = 0.0
    torque = 0.0
    sideways_front = v + r * lf
    rear_fy = _grip(v - r * lr, rear, ey_rear)
    for side in (b, -b):
        forward = u - r * side
        fx = _grip(forward * c + sideways_front * s - wheel, front, ex)
        fy = _grip(-forward * s + sideways_front * c, front, ey)
        body_x = fx * c - fy * s
        body_y = fx * s + fy * c
        force_x += body_x
        force_y += body_y
        torque += lf * body_y - side * body_x
        fx = _grip(forward - wheel, rear, ex)
        force_x += fx
        force_y += rear_fy
        torque += -lr * rear_fy - side * fx
    return force_x, force_y, torque


@kernel
def _grip(slip, most, half):  # type: ignore[no-untyped-def] # numba: m/s, m/s2, m/s -> m/s2
    """Force per mass against a slip: `most` at its limit, half of that at a slip of `half`."""
    return -most * slip / (abs(slip) + half)
