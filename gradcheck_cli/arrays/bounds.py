"""Bounds of an input: how its entries move between them, and away from one that they are at.

A function at a bound is continued past it as its mirror image through that point, 2f(x) − f(x + v)
for f(x − v): a slope that is measured from both sides there is the one-sided slope.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Roundings of an entry: nearer to a bound than that it counts as at it, as nothing is in between.
AT_BOUND = 8.0


def shorten(v: Array, length: Array) -> Array:
    """A step that never leads more than half of the way to where a domain ends.

    length: that of v, in units of that way. The step is v to third order, and odd in v.
    """
    return np.asarray(v / np.hypot(1.0, 2 * length))


def find_outside(x: Array, low: float, high: float) -> str:
    """Which entry is outside; empty if none is."""
    outside = np.argwhere((x < low) | (x > high))
    if not len(outside):
        return ""
    at = [int(axis) for axis in outside[0]]
    value = x[tuple(at)]
    side = f"below {low:g}" if value < low else f"above {high:g}"
    return f"it is {value:.6g} at {at}, {side}"


def draw_between(raw: Array, low: float, high: float) -> Array:
    """Any numbers as numbers between the bounds: mirrored at one, squeezed between two."""
    if np.isinf(low) and np.isinf(high):
        return raw
    if np.isinf(high):
        return np.asarray(low + np.abs(raw))
    if np.isinf(low):
        return np.asarray(high - np.abs(raw))
    return np.asarray(low + (high - low) / (1 + np.exp(-raw)))


def at_bounds(x: Array, low: float, high: float) -> Array:
    """The way inwards from a bound: 1 at the lower one, −1 at the upper one, 0 between them."""
    near = AT_BOUND * np.abs(np.spacing(x))
    return np.where(x - low <= near, 1.0, np.where(high - x <= near, -1.0, 0.0))


def move_between(x: Array, v: Array, low: float, high: float) -> list[tuple[float, Array]]:
    """Where v leads: as weights and points of a function that is continued past its bounds."""
    step = shorten(v, v / room_between(x, low, high))
    mirrored = at_bounds(x, low, high) * v < 0
    point = x + np.where(mirrored, -step, step)
    if not np.any(mirrored):
        return [(1.0, point)]
    return [(2.0, np.where(mirrored, x, point)), (-1.0, point)]


def room_between(x: Array, low: float, high: float) -> Array:
    """The way to the nearest bound; from a bound, that to the other one."""
    inward, below, above = at_bounds(x, low, high), x - low, high - x
    return np.where(inward > 0, above, np.where(inward < 0, below, np.fmin(below, above)))
