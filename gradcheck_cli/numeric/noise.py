"""The noise of a function near a point: how much its values scatter about a smooth curve.

Source: J. Moré and S. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

DIRECTIONS = 5  # one line has too few samples: its estimate is often five times too small
POINTS = 9  # on a line; Moré and Wild find 6 to 8 differences enough
ORDERS = (5, 6, 7)  # of differences: smooth parts are gone, some samples are left
# Spacings of the points in units of the scale of x. The usual one is FINE. A function that rounds
# to few digits is flat there and shows its steps at the COARSE one; one that oscillates fast is
# curved there and smooth at the FINEST.
FINEST, FINE, COARSE = 1e-9, 1e-6, 1e-3
FLAT = 0.25  # a share of equal neighbours that chance does not give
CURVED = 0.1  # of a variance from the lowest to the highest order; noise leaves it the same
# The last rounding of a value: uniform within half a unit of eps|f|, hence its deviation.
ROUNDING = 0.29


def function_noise(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Float:
    """The standard deviation of the noise of every output of `evaluate` near `x`.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape; sets the spacing of the probes.
    Returns an array of the outputs' shape, never less than the last rounding of a value. Where
    the probes are not finite, it is that rounding.
    """
    fine = _scatter(evaluate, x, FINE * scale)
    noise = fine.deviation
    if np.any(fine.flat):
        coarse = _scatter(evaluate, x, COARSE * scale).deviation
        noise = np.where(fine.flat, np.fmax(noise, coarse), noise)
    if np.any(fine.curved):
        finest = _scatter(evaluate, x, FINEST * scale).deviation
        noise = np.where(fine.curved, np.fmin(noise, finest), noise)
    size = np.where(np.isfinite(fine.center), np.abs(fine.center), 0.0)
    rounding = ROUNDING * np.finfo(x.dtype).eps * size
    found: Float = np.maximum(rounding, np.where(np.isfinite(noise), noise, 0.0))
    return found


@dataclass(frozen=True, slots=True)
class _Scatter:
    """What lines of equidistant points tell of every output.

    deviation: of its values from a smooth curve; flat, curved: whether another spacing would tell
    more; center: its value at x.
    """

    deviation: Float
    flat: NDArray[np.bool_]
    curved: NDArray[np.bool_]
    center: Float


def _scatter(evaluate: Evaluate, x: NDArray[Any], spacing: Float) -> _Scatter:
    random = np.random.default_rng(0)
    directions = random.uniform(0.5, 1.5, size=(DIRECTIONS, *x.shape))
    directions *= random.choice((-1.0, 1.0), size=directions.shape)
    steps = np.arange(POINTS) - POINTS // 2
    moved = x + np.multiply.outer(steps, directions * spacing)
    points = moved.astype(x.dtype).reshape(POINTS * DIRECTIONS, *x.shape)
    outputs = np.asarray(evaluate(points), dtype=np.float64)
    values = outputs.reshape(POINTS, DIRECTIONS, *outputs.shape[1:])
    variances = []
    for order in ORDERS:
        # A k-th difference of independent noise has binom(2k, k) times its variance.
        differences = np.diff(values, n=order, axis=0)
        variances.append(np.mean(differences**2, axis=(0, 1)) / comb(2 * order, order))
    first = np.diff(values, axis=0)
    flat = (np.mean(first == 0, axis=(0, 1)) > FLAT) & np.any(first != 0, axis=(0, 1))
    # Of the orders, the smallest: what is left of a smooth part only adds to the lower ones.
    deviation = np.sqrt(np.min(variances, axis=0))
    curved = variances[-1] < CURVED * variances[0]
    return _Scatter(deviation, flat, curved, values[POINTS // 2, 0])
