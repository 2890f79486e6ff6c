"""Bounds of an input: how differences move its entries without leaving them.

At a bound the function is continued past it by f(x − v) = 2f(x) − f(x + v), the reflection of its
graph through the point at x. A central difference there then gives the one-sided slope.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# An entry counts as at a bound if it is no further from it than so many spacings of numbers of its
# size: there is no room for steps in between.
AT_BOUND = 8.0


def shorten(v: Array, length: Array) -> Array:
    """The step v shortened so that it never goes more than half of the way to the boundary.

    length: the length of v over the distance to the boundary. For a small v, the step differs from
    it in third order only, and −v gives the opposite step.
    """
    return np.asarray(v / np.hypot(1.0, 2 * length))


def find_outside(x: Array, low: float, high: float) -> str:
    """The first entry outside of the bounds, in words; empty if there is none."""
    outside = np.argwhere((x < low) | (x > high))
    if not len(outside):
        return ""
    at = [int(axis) for axis in outside[0]]
    value = x[tuple(at)]
    side = f"below {low:g}" if value < low else f"above {high:g}"
    return f"it is {value:.6g} at {at}, {side}"


def draw_between(raw: Array, low: float, high: float) -> Array:
    """Map any numbers to numbers between the bounds: reflect at one, squeeze between two."""
    if np.isinf(low) and np.isinf(high):
        return raw
    if np.isinf(high):
        return np.asarray(low + np.abs(raw))
    if np.isinf(low):
        return np.asarray(high - np.abs(raw))
    return np.asarray(low + (high - low) / (1 + np.exp(-raw)))


def at_bounds(x: Array, low: float, high: float) -> Array:
    """The direction inwards: 1 at the lower bound, −1 at the upper one, 0 between them."""
    near = AT_BOUND * np.abs(np.spacing(x))
    return np.where(x - low <= near, 1.0, np.where(high - x <= near, -1.0, 0.0))


def move_between(x: Array, v: Array, low: float, high: float) -> list[tuple[float, Array]]:
    """Where v leads, as weights and points: f there is Σ weight · f(point).

    That is one point, or two where an entry at a bound would go past it.
    """
    step = shorten(v, v / room_between(x, low, high))
    mirrored = at_bounds(x, low, high) * v < 0
    point = x + np.where(mirrored, -step, step)
    if not np.any(mirrored):
        return [(1.0, point)]
    return [(2.0, np.where(mirrored, x, point)), (-1.0, point)]


def room_between(x: Array, low: float, high: float) -> Array:
    """The distance to the nearest bound; for an entry at a bound, to the other one."""
    inward, below, above = at_bounds(x, low, high), x - low, high - x
    return np.where(inward > 0, above, np.where(inward < 0, below, np.fmin(below, above)))
