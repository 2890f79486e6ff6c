"""Many entries along which the loss is a parabola, recognized by four points each.

The parabola through x and a point on either side predicts the fourth point. Another curve may pass
there by chance, if its cubic and its quartic term cancel, but not those of many entries at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.neville import FEW_QUOTIENTS_FACTOR, RATIO, SPREAD_FACTOR
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.rung import Rung

MANY = 2**6  # at least so many entries must all be parabolas; a single one may look so by chance
# The noise of a right quotient at the smaller step minus its prediction, over that of the quotient
# at the larger step: √(11/3) = 1.9, rounded up.
PREDICTION_NOISE = 2.0
LITTLE_NOISE = 1e-9  # over the slope: with less noise, hardly a curve looks like a parabola
# Over Σ |c|·move/step: with a larger difference to its prediction, the fourth point is clearly not
# on a parabola.
BENT = 1e-6


def predict_fourth(right: Float, left: Float) -> Float:
    """The right quotient at the step over RATIO, predicted from the two at the step."""
    return (right + left) / 2 + (right - left) / (2 * RATIO)


def is_bent(right: Float, left: Float, fourth: Float, steepness: Float) -> bool:
    """Whether the fourth point of some entry is clearly not on a parabola.

    right, left: the quotients at the step. fourth: the right one at the step over RATIO.
    steepness: Σ |c|·move/step. All may be multiplied by the step.
    """
    return not np.all(np.abs(fourth - predict_fourth(right, left)) <= BENT * steepness)


def fit_parabolas(step: Float, first: Rung, fourth: Float | None, best: Best) -> NDArray[np.bool_]:
    """Keep the slopes of entries that are parabolas at the points of their first rung and a fourth.

    fourth: the right quotients at the step over RATIO, if they were taken.
    Returns which entries these are: none if a single one is no parabola, or if there are few.
    Entries with more than LITTLE_NOISE are left to the ladder.
    """
    none = np.zeros(len(step), dtype=bool)
    if fourth is None or len(step) < MANY:
        return none
    slope, right, left = first.value
    noise, hidden = DEVIATIONS * first.noise[0], PREDICTION_NOISE * DEVIATIONS * first.noise[1]
    apart = np.abs(fourth - predict_fourth(right, left))
    if not np.all(apart <= hidden):
        return none
    fits: NDArray[np.bool_] = np.all(hidden <= LITTLE_NOISE * np.abs(slope), axis=1)
    uncertainty = SPREAD_FACTOR * apart + FEW_QUOTIENTS_FACTOR * noise
    for known, new in zip(best.cells, (slope, uncertainty, noise, step[:, None]), strict=True):
        np.copyto(known, new, where=fits[:, None])
    return fits
