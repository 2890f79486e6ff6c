"""The verdict of the ladder for every entry: one slope, both slopes of a kink, or none at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import NOISE_SHARE, UNRESOLVED, Best
from gradcheck_cli.numeric.climb import KINK_KNOWN
from gradcheck_cli.numeric.noise import Float

# Quotients have converged to within their noise if it makes at least this share of the uncertainty.
SETTLED = 0.1


def choose_slopes(best: Best, largest: Float, *, by_ladder: bool) -> dict[str, NDArray[Any]]:
    """The arrays of a `NumericGradient`, by name, each (entries, cotangents).

    A smooth entry has the value of the central table, one at a kink the interval between the slopes
    of the two sides.
    largest: see `Best.largest`. by_ladder: False for a fixed step, at which nothing can converge.
    """
    value, uncertainty, noise, step = _smooth(best)
    may_converge = by_ladder & ~best.proven[:, None]
    never = may_converge & best.unsettled(largest)
    sides = _unsettled(best.value[1:], best.uncertainty[1:], best.noise[1:], largest[1:])
    kink = _is_kink(best) & ~(may_converge & np.any(sides, axis=0)) & ~never
    unclear, apart = _compare_with_sides(best, value, uncertainty)
    unclear &= ~kink
    unsettled = ~kink & ~unclear & _unsettled(value, uncertainty, noise, largest[0])
    unsettled = (may_converge & unsettled) | never
    uncertainty = np.where(unclear, np.maximum(uncertainty, apart), uncertainty)
    hidden = np.where(kink, 0.0, _hidden_kink(best, value, uncertainty, noise))
    uncertainty = np.maximum(uncertainty, hidden)
    floored = (value == 0.0) & ~best.invariant[:, None]
    uncertainty = np.where(floored, np.maximum(uncertainty, best.floor), uncertainty)
    noise = np.where(floored, np.maximum(noise, best.floor), noise)
    uncertainty = np.where(unsettled, np.inf, uncertainty)
    low = np.min(best.value[1:] - best.uncertainty[1:], axis=0)
    high = np.max(best.value[1:] + best.uncertainty[1:], axis=0)
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
    """The cells (value, uncertainty, noise, step) of entries that are at no kink.

    The central cell counts, or the mean of both sides if it is less uncertain: where the curvature
    jumps, one-sided quotients converge faster than central ones.
    """
    central, right, left = np.moveaxis(best.cells, 1, 0)
    mean = (right + left) / 2
    mean[1] += np.abs(right[0] - left[0]) / 2
    mean[3] = right[3]
    return np.asarray(np.where(mean[1] < central[1], mean, central))


def _is_kink(best: Best) -> NDArray[np.bool_]:
    """Where the slopes of both sides differ, and are known well enough to tell; see KINK_KNOWN."""
    _, right, left = best.value
    _, u_right, u_left = best.uncertainty
    return np.asarray(KINK_KNOWN * np.abs(right - left) > u_right + u_left)


def _compare_with_sides(
    best: Best, value: Float, uncertainty: Float
) -> tuple[NDArray[np.bool_], Float]:
    """Where it is unclear whether there is a kink, and how far off a value may be then.

    It is unclear where the slopes of the two sides contradict each other or the value; then any
    value between the sides may be right.
    """
    _, right, left = best.value
    _, u_right, u_left = best.uncertainty
    off_right, off_left = np.abs(value - right), np.abs(value - left)
    unclear = np.abs(right - left) > u_right + u_left
    unclear |= (off_right > uncertainty + u_right) | (off_left > uncertainty + u_left)
    return unclear, np.maximum(off_right + u_right, off_left + u_left)


def _hidden_kink(best: Best, value: Float, uncertainty: Float, noise: Float) -> Float:
    """How far off a value may be because noise hides whether there is a kink at x; 0 where it
    does not.

    Noise hides a kink where large steps clearly show two different one-sided slopes, the value lies
    between them, and small steps are too noisy to show whether they differ at x, too.
    """
    low, high = best.interval[:, 1:]
    apart = np.max(low, axis=0) - np.min(high, axis=0)
    known = KINK_KNOWN * apart
    hidden = (apart > np.sum(high - low, axis=0)) & (noise > NOISE_SHARE * uncertainty)
    hidden &= (np.sum(best.uncertainty[1:], axis=0) > known) & (uncertainty > known)
    below, above = value - np.min(low, axis=0), np.max(high, axis=0) - value
    hidden &= (below > 0) & (above > 0)
    return np.asarray(np.where(hidden, np.maximum(below, above), 0.0))


def _unsettled(value: Float, uncertainty: Float, noise: Float, largest: Float) -> NDArray[np.bool_]:
    """Which cells come from quotients that do not converge: they disagree by more than their noise.

    An uncertainty of at most UNRESOLVED of the largest entry is good enough, whatever made it.
    """
    known = uncertainty <= UNRESOLVED * largest
    return np.asarray((noise < SETTLED * uncertainty) & ~known)
