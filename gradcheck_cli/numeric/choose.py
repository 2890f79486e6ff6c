"""The slope of every entry, of the three tables of its ladder: one, or both sides of a kink."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import NOISE_SHARE, UNRESOLVED, Best
from gradcheck_cli.numeric.climb import KINK_KNOWN
from gradcheck_cli.numeric.noise import Float

# Of the uncertainty of a cell: its noise where its quotients have settled to that.
SETTLED = 0.1


def choose_slopes(best: Best, largest: Float, *, by_ladder: bool) -> dict[str, NDArray[Any]]:
    """What the tables say of entries: central where smooth, sides at kinks; see NumericGradient.

    largest: the largest entry of all, of every table. Arrays are (entries, cotangents).
    """
    value, uncertainty, noise, step = _smooth(best)
    _, right, left = best.value
    _, u_right, u_left = best.uncertainty
    gap = np.abs(right - left)
    kink = KINK_KNOWN * gap > u_right + u_left
    settles = by_ladder & ~best.proven[:, None]
    going = best.unsettled(largest)
    sides = _unsettled(best.value[1:], best.uncertainty[1:], best.noise[1:], largest[1:])
    kink &= ~(settles & (np.any(sides, axis=0) | going))
    # Neither a kink that is known nor none: any value of both sides may be right.
    apart = [np.abs(value - side) for side in (right, left)]
    unclear = (gap > u_right + u_left) | (apart[0] > uncertainty + u_right)
    unclear = (unclear | (apart[1] > uncertainty + u_left)) & ~kink
    both = np.maximum(apart[0] + u_right, apart[1] + u_left)
    unsettled = ~kink & ~unclear & _unsettled(value, uncertainty, noise, largest[0]) | going
    unsettled &= settles
    uncertainty = np.where(unclear, np.maximum(uncertainty, both), uncertainty)
    uncertainty = np.maximum(
        uncertainty, np.where(kink, 0.0, _hidden_kink(best, value, uncertainty, noise))
    )
    low = np.minimum(right - u_right, left - u_left)
    high = np.maximum(right + u_right, left + u_left)
    floored = (value == 0.0) & ~best.invariant[:, None]
    uncertainty = np.where(floored, np.maximum(uncertainty, best.floor), uncertainty)
    noise = np.where(floored, np.maximum(noise, best.floor), noise)  # by which it is hidden
    uncertainty = np.where(unsettled, np.inf, uncertainty)
    return {
        "value": np.where(np.isfinite(uncertainty), value, np.nan),
        "uncertainty": uncertainty,
        "noise": noise,
        "step": step,
        "kink": kink,
        "low": np.where(kink, low, value - uncertainty),
        "high": np.where(kink, high, value + uncertainty),
        "possible": best.possible,
        "unsettled": unsettled,
    }


def _smooth(best: Best) -> Float:
    """The cell of every entry and cotangent where there is no kink: the central one, or the mean of
    both sides, which converge where the curvature jumps and the centre hardly does.
    """
    central, right, left = np.moveaxis(best.cells, 1, 0)
    mean = (right + left) / 2
    mean[1] += np.abs(right[0] - left[0]) / 2
    mean[3] = right[3]
    return np.asarray(np.where(mean[1] < central[1], mean, central))


def _hidden_kink(best: Best, value: Float, uncertainty: Float, noise: Float) -> Float:
    """How far off a value may be where both sides were clearly seen apart by large steps, it lies
    between, and noise hides whether they are apart at x: all values between may be right. Else 0.
    """
    low, high = best.between[:, 1:]
    apart = np.max(low, axis=0) - np.min(high, axis=0)
    known = KINK_KNOWN * apart
    hidden = (apart > np.sum(high - low, axis=0)) & (noise > NOISE_SHARE * uncertainty)
    hidden &= (np.sum(best.uncertainty[1:], axis=0) > known) & (uncertainty > known)
    below, above = value - np.min(low, axis=0), np.max(high, axis=0) - value
    hidden &= (below > 0) & (above > 0)
    return np.asarray(np.where(hidden, np.maximum(below, above), 0.0))


def _unsettled(value: Float, uncertainty: Float, noise: Float, largest: Float) -> NDArray[np.bool_]:
    """Which cells are of quotients that disagree by more than their noise, and are best by chance.

    What is known to UNRESOLVED of the largest entry has settled well enough.
    """
    known = uncertainty <= UNRESOLVED * largest
    return np.asarray((noise < SETTLED * uncertainty) & ~known)
