"""Compare analytic with numeric ± uncertainty entry by entry, and find those that are wrong."""

from __future__ import annotations

from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.result import Zero

Float = NDArray[np.float64]


class Allowance(Struct, frozen=True):
    """How far a right entry may be off beyond its uncertainty; see `Tolerance`."""

    rtol: float
    atol: float = 0.0

    def error(self, a: Float, m: Float, u: Float) -> Float:
        """How far a may be from m ± u: u + rtol·max(|a|, |m|) + atol."""
        return np.asarray(u + self.rtol * np.maximum(np.abs(a), np.abs(m)) + self.atol)


class Comparison(Struct, frozen=True, dict=True):
    """Both sides of a gradient, and the error of every entry; all arrays have one shape.

    At a kink every value between the two slopes is a subgradient, so the analytic value is compared
    with the nearest one, and the entry does not count for the resolution.

    error: |a − m|; allowed: u + rtol·max(|a|, |m|) + atol; wrong: where error > allowed.
    relative: error / max(|a|, |m|); over_allowed: error / allowed. allowance: the tolerance.
    """

    analytic: Float
    numeric: NumericGradient
    error: Float
    allowed: Float
    relative: Float
    over_allowed: Float
    wrong: NDArray[np.bool_]
    allowance: Allowance

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """The entries whose errors a report shows: all, or those with a finite error over allowed
        if some entry is wrong."""
        known = np.isfinite(self.over_allowed)
        return known if self.wrong.any() else np.ones(known.shape, dtype=bool)

    @cached_property
    def worst(self) -> int:
        """The flat index of the largest error over what is allowed."""
        # np.argmax counts nan as the largest, and nan is what should be shown first.
        return int(np.argmax(np.where(self.shown, self.over_allowed, -1.0)))

    @cached_property
    def smooth(self) -> NDArray[np.bool_]:
        """The entries that are not at a kink."""
        return ~self.numeric.kink

    @cached_property
    def zero(self) -> Zero | None:
        """Why both gradients are zero within the uncertainty; None where one of them is not.

        It is by invariance only if the numeric gradient shows that for every smooth entry.
        """
        numeric, smooth = self.numeric, self.smooth
        u = numeric.uncertainty
        zero = (np.abs(numeric.value) <= u) & (np.abs(self.analytic) <= u + numeric.rounding)
        if not np.all(zero | numeric.kink):
            return None
        invariant = smooth.any() and np.all(numeric.invariant[smooth])
        return Zero.INVARIANT if invariant else Zero.UNSEEN

    @cached_property
    def largest_entry(self) -> float:
        """The largest |entry| of the numeric gradient, kinks left out."""
        finite = np.isfinite(self.numeric.value) & self.smooth
        return float(np.max(np.abs(self.numeric.value), where=finite, initial=0.0))

    def over_largest(self, values: Float) -> float:
        """The largest of `values` at smooth entries, over the largest entry."""
        value, entry = largest(values[self.smooth]), self.largest_entry
        if value == 0.0:
            return 0.0
        return value / entry if entry > 0 else np.inf


def compare_entries(analytic: Any, numeric: NumericGradient, allowance: Allowance) -> Comparison:
    """Compare every entry that was measured; analytic has the shape of the whole gradient."""
    array = numeric.of(np.asarray(analytic))
    a = np.asarray(array.real if array.dtype.kind == "c" else array, dtype=np.float64)
    nearest = np.where(numeric.kink, np.clip(a, numeric.low, numeric.high), numeric.value)
    u = np.where(numeric.kink, 0.0, numeric.uncertainty) + numeric.rounding
    with np.errstate(all="ignore"):
        error = np.abs(a - nearest)
        size = np.maximum(np.abs(a), np.abs(nearest))
        allowed = allowance.error(a, nearest, u)
        wrong = error > allowed
        relative = np.where(error == 0, 0.0, error / size)
        over_allowed = np.where(error == 0, 0.0, error / allowed)
    return Comparison(a, numeric, error, allowed, relative, over_allowed, wrong, allowance)


def agrees(analytic: Any, numeric: NumericGradient, allowance: Allowance) -> bool:
    """Whether no entry is wrong."""
    return not compare_entries(analytic, numeric, allowance).wrong.any()


def largest(values: Float) -> float:
    """The largest value; inf if one of them is nan, 0 if there are none."""
    found = float(np.max(values, initial=0.0))
    return float("inf") if isnan(found) else found
