"""Many entries along which the loss is a parabola, from three points each.

A parabola through x and a point on either side of it foretells a fourth point. A curve of one entry
may pass there by chance, where its cubic and its quartic part cancel; those of many do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.ladder import FEW_QUOTIENTS_FACTOR, RATIO, SPREAD_FACTOR, Rung
from gradcheck_cli.numeric.noise import DEVIATIONS, Float

MANY = 2**6  # entries all of which must be parabolas: by chance one of them may seem to be
# The noise of a quotient of one side at the smaller step, less what three points foretell of it,
# over that at the larger one: the root of 11/3.
FORETOLD_NOISE = 2.0
LITTLE_NOISE = 1e-9  # of a slope: the less of it, the less passes for a parabola by chance
# Of Σ |c|·move over the step: a fourth point that is further off is clearly no parabola's.
BENT = 1e-6


def foretell(right: Float, left: Float) -> Float:
    """The quotient of the right side at the step over RATIO, of a parabola with these at it."""
    return (right + left) / 2 + (right - left) / (2 * RATIO)


def is_bent(right: Float, left: Float, fourth: Float, slope: Float) -> bool:
    """Whether the fourth point of some entry is clearly no parabola's; all are quotients."""
    return not np.all(np.abs(fourth - foretell(right, left)) <= BENT * slope)


def fit_parabolas(step: Float, first: Rung, fourth: Float | None, best: Best) -> NDArray[np.bool_]:
    """Keep the slopes of entries whose parabolas, from their first rung, meet a fourth point.

    fourth: the quotients of the right side at the step over RATIO, if they were taken.
    Returns which these are: none where one of the entries has no parabola, or they are few. An
    entry that noise hides a part of is left to a ladder.
    """
    none = np.zeros(len(step), dtype=bool)
    if fourth is None or len(step) < MANY:
        return none
    slope, right, left = first.value
    noise, hidden = DEVIATIONS * first.noise[0], FORETOLD_NOISE * DEVIATIONS * first.noise[1]
    apart = np.abs(fourth - foretell(right, left))
    if not np.all(apart <= hidden):
        return none
    fits: NDArray[np.bool_] = np.all(hidden <= LITTLE_NOISE * np.abs(slope), axis=1)
    uncertainty = SPREAD_FACTOR * apart + FEW_QUOTIENTS_FACTOR * noise
    for known, new in zip(best.cells, (slope, uncertainty, noise, step[:, None]), strict=True):
        np.copyto(known, new, where=fits[:, None])
    return fits
