"""The noise of a function near a point: how much its values scatter about a smooth curve.

Source: J. Moré and S. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

POINTS = 9  # Moré and Wild find 6 to 8 differences enough, and more of no use
ORDERS = (5, 6, 7)  # differences of these orders: smooth parts are gone, some samples are left
# Spacings in units of the scale of x: one near the steps of the ladder, one far below, where
# functions of high curvature are smooth and a float32 inside still shows.
SPACINGS = (1e-3, 1e-6)
# The last rounding of a value: uniform within half a unit of eps|f|, hence its deviation.
ROUNDING = 0.29


def function_noise(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Float:
    """The standard deviation of the noise of every output of `evaluate` near `x`.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape; sets the spacing of the probes.
    Returns an array of the outputs' shape: the smaller of the estimates at two spacings, so that
    neither curvature nor a kink passes for noise; never less than the last rounding of a value.
    Where the probes are not finite, the estimate is that rounding.
    """
    direction = scale * np.random.default_rng(0).choice((-1.0, 1.0), size=x.shape)
    steps = np.arange(POINTS) - POINTS // 2
    estimates = []
    for spacing in SPACINGS:
        moved = np.multiply.outer(steps * spacing, direction)
        values = np.asarray(evaluate((x + moved).astype(x.dtype)), dtype=np.float64)
        estimates.append(_scatter(values))
    center = np.abs(values[POINTS // 2])
    rounding = ROUNDING * np.finfo(x.dtype).eps * np.where(np.isfinite(center), center, 0.0)
    smallest = np.nanmin(
        np.where(np.isfinite(estimates), estimates, np.nan), axis=0, initial=np.inf
    )
    noise: Float = np.maximum(rounding, np.where(np.isfinite(smallest), smallest, 0.0))
    return noise


def _scatter(values: Float) -> Float:
    """The deviation of samples (POINTS, *outputs) from smoothness, by their differences."""
    estimates = []
    for order in ORDERS:
        differences = np.diff(values, n=order, axis=0)
        # A k-th difference of independent noise has binom(2k, k) times its variance.
        unit = comb(2 * order, order) ** 0.5
        estimates.append(np.sqrt(np.mean((differences / unit) ** 2, axis=0)))
    return np.asarray(np.min(estimates, axis=0))
