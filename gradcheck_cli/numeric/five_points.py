"""Slopes of entries from five points each: fewer digits than the ladder's, at a cost known before.

A verdict needs the best step of every entry, which takes a ladder to find. To tell one fault from
another, a diagnosis needs only some eight digits, and to know which entries have fewer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.neville import SPREAD_FACTOR
from gradcheck_cli.numeric.noise import BLOCK_BYTES, DEVIATIONS, ROUNDING, Evaluate, Float
from gradcheck_cli.numeric.pilots import Terms

# Steps, in units of the scale, are eps to these powers. At the first, the truncation error h⁴ is
# about as large as the noise eps/h. The second, smaller step is for entries that bend more sharply;
# noise leaves them two thirds of the digits.
POWERS = (1 / 5, 1 / 3)
ENOUGH = 2.0**-24  # over the largest slope: entries known so well need no second step
RATIO = 2.0  # the larger step over the smaller one


def measure_slopes(
    evaluate: Evaluate,
    x: NDArray[Any],
    scale: Float,
    entries: NDArray[np.intp],
    cotangent: Float | None = None,
) -> tuple[Float, Float]:
    """The slopes of some entries and their uncertainties, from four or eight evaluations each.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs). scale: of every entry of x.
    entries: flat indices of x.
    Returns the slopes of Σ cotangent · outputs and their uncertainties, (entries,); without a
    cotangent, those of every output, (outputs, entries). Slopes that are not finite have the value
    0 and an infinite uncertainty.
    """
    center = np.asarray(evaluate(x[None]), dtype=np.float64).ravel()
    rounding = ROUNDING * float(np.finfo(x.dtype).eps) * np.abs(center)
    count = center.size if cotangent is None else 1
    value, uncertainty = np.zeros((len(entries), count)), np.full((len(entries), count), np.inf)
    block = max(1, BLOCK_BYTES // (32 * (x.size + center.size)))
    unsure = np.arange(len(entries))
    for power in POWERS:
        share = float(np.finfo(x.dtype).eps) ** power
        for start in range(0, len(unsure), block):
            rows = unsure[start : start + block]
            at = entries[rows]
            quotients = _take_quotients(evaluate, x, at, share * scale.ravel()[at], center)
            found, off = _extrapolate(*quotients, rounding, cotangent)
            better = off < uncertainty[rows]
            value[rows] = np.where(better, found, value[rows])
            uncertainty[rows] = np.where(better, off, uncertainty[rows])
        largest = np.max(np.abs(value), initial=0.0)
        unsure = np.flatnonzero(np.any(uncertainty > ENOUGH * largest, axis=1))
    return (value.T, uncertainty.T) if cotangent is None else (value[:, 0], uncertainty[:, 0])


def _take_quotients(
    evaluate: Evaluate, x: NDArray[Any], entries: NDArray[np.intp], step: Float, center: Float
) -> tuple[Float, Float, Float]:
    """The central, right and left quotients of every output at a step and at half of it.

    Returns the quotients at both, each (3, entries, outputs), and the half steps.
    """
    size = np.abs(x.ravel()[entries]).astype(np.float64)
    # Rounded so that x ± half a step is a number of x's type.
    near = ((size + step / RATIO).astype(x.dtype) - size).astype(np.float64)
    rows, count = np.arange(4 * len(entries)), len(entries)
    points = np.repeat(x.reshape(1, -1), len(rows), axis=0)
    moves = np.concatenate([RATIO * near, -RATIO * near, near, -near])
    points[rows, np.tile(entries, 4)] += moves.astype(x.dtype)
    outputs = np.asarray(evaluate(points.reshape(-1, *x.shape)), dtype=np.float64)
    above, below, nearer_above, nearer_below = outputs.reshape(4, count, -1)
    far, close = (
        np.stack([(up - down) / 2, up - center, center - down]) / width[:, None]
        for up, down, width in (
            (above, below, RATIO * near),
            (nearer_above, nearer_below, near),
        )
    )
    return far, close, near


def _extrapolate(
    far: Float, close: Float, step: Float, rounding: Float, cotangent: Float | None
) -> tuple[Float, Float]:
    """The slope of every entry by Richardson extrapolation, and its uncertainty.

    far, close: the quotients at the larger and at the smaller step, (3, entries, outputs).
    step: the smaller steps. rounding: the standard deviation of the rounding of every output.
    """
    if cotangent is not None:
        weights = cotangent.ravel()
        far, close = (np.asarray(one @ weights)[..., None] for one in (far, close))
        rounding = np.array([np.sqrt(np.sum((weights * rounding) ** 2))])
    terms = Terms.of(far, close, RATIO)
    value = close[0] + (close[0] - far[0]) / (RATIO**2 - 1)
    # Where the slope is small beside the second term, as at a minimum, the ratio of the later terms
    # predicts the fifth one.
    shrinks = np.maximum(terms.third, terms.fourth) / np.maximum(terms.second, np.finfo(float).tiny)
    bent = terms.second * shrinks**3
    fifth = np.where(terms.first < terms.second, np.fmin(terms.fifth, bent), terms.fifth)
    uncertainty = SPREAD_FACTOR * (terms.fourth + fifth)
    uncertainty = uncertainty + DEVIATIONS * rounding / step[:, None]
    known = np.isfinite(value) & np.isfinite(uncertainty)
    return np.where(known, value, 0.0), np.where(known, uncertainty, np.inf)
