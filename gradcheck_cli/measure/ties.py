"""Entries of an input that are equal (a tie), where the forward has a maximum or sorts.

Moving one entry of a tie shows too little. Of three equal entries, one that is moved alone becomes
the first or the last; its slope in the middle shows only at points a little off the tie. And when
the whole tie moves together, no corner is crossed: so the sum of its subgradients is known, and
may be wrong though each of them lies between the slopes of its entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Allowance, Float, compare_entries
from gradcheck_cli.measure.measure import measure_entries_of, measure_roughly, scale_of
from gradcheck_cli.numeric.gradient import Entries, NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

# Random points near a tie, each with another order of its entries. Their distance, in units of the
# scale, is eps to this power: over that, the slopes of a smooth function hardly change.
DRAWS, OFF_POWER = 16, 0.4
VARIED = 1e-3  # of the largest slope: slopes that differ by more may be on two sides of a corner
# Points nearer by NEARER tell a corner from a curve: on a curve the difference of slopes shrinks
# with the distance, as in the inverse of a nearly singular matrix; at a corner more than STAYS of
# it stays.
NEARER, STAYS = 2.0**-4, 0.5
MOST_MEMBERS, MOST_TIES = 4, 8  # entries of a tie whose slopes are measured; ties of an input
CALLS = 8  # forwards that a slope off a tie takes at most
ALONG = 2.0**-7  # of the scale: how far a tie is moved to see whether it is still one there


def judge_ties(
    problem: Problem, name: str, claimed: Any, numeric: NumericGradient, allowance: Allowance
) -> tuple[NumericGradient, str]:
    """The numeric gradient corrected at ties, and a clause about a tie with a wrong sum, or empty.

    Only ties with an entry that is at a kink or looks wrong are examined. An entry that looks wrong
    is at a kink if its slopes at points near the tie differ; they are its slopes then. If the sum
    of a tie is wrong, its entries are compared with the nearest ones whose sum is right. Without
    such ties the numeric gradient is returned unchanged, as the same object.
    """
    if numeric.entries is not None:
        return numeric, ""
    ties, clause = Ties(problem, name), ""
    found = compare_entries(claimed, numeric, allowance)
    a = found.analytic.reshape(-1, ties.x.size)
    wrong = found.wrong.reshape(a.shape)
    for tie in ties.find(numeric.kink.reshape(a.shape), wrong):
        if wrong[:, tie].any():
            numeric = ties.widen(numeric, tie, wrong)
        if len(tie) > 1:
            allowed = allowance.rtol * np.sum(np.abs(a[:, tie]), axis=1)
            allowed += len(tie) * (allowance.atol + np.max(numeric.rounding))
            numeric, said = ties.hold_sum(numeric, tie, a[:, tie], allowed)
            clause = clause or said
    if ties.evaluations:
        numeric = replace(numeric, evaluations=numeric.evaluations + ties.evaluations)
    return numeric, clause


class Ties:
    """The ties of one input, and the slopes of their entries.

    evaluations: forwards taken so far.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        self.problem, self.name = problem, name
        self.x, self.scale = problem.inputs[name], scale_of(problem, name)
        self.evaluations = 0

    def find(self, kink: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> list[Entries]:
        """The ties to examine, each as the flat indices of its entries.

        An entry by itself is one, too, if it is at a kink and looks wrong.
        kink, wrong: outputs × entries.
        """
        _, place, counts = np.unique(self.x.ravel(), return_inverse=True, return_counts=True)
        asked = np.where(counts[place] > 1, kink | wrong, kink & wrong).any(axis=0)
        return [np.flatnonzero(place == at) for at in np.unique(place[asked])[:MOST_TIES]]

    def widen(
        self, numeric: NumericGradient, tie: Entries, wrong: NDArray[np.bool_]
    ) -> NumericGradient:
        """The numeric gradient with wrong entries of a tie at a kink between the smallest and the
        largest slope near the tie."""
        first = np.argsort(~wrong[:, tie].any(axis=0), kind="stable")[:MOST_MEMBERS]
        slopes, varied = self._take_slopes_off(tie[first])
        low, high, kink = _by_output(len(wrong), numeric.low, numeric.high, numeric.kink)
        for output in np.flatnonzero(varied.any(axis=1)):
            known, at = tie[kink[output, tie]], tie[wrong[output, tie]]
            least, most = np.nanmin(slopes[:, output]), np.nanmax(slopes[:, output])
            margin = VARIED * (most - least)
            low[output, at] = np.min(low[output, known], initial=least - margin)
            high[output, at] = np.max(high[output, known], initial=most + margin)
            kink[output, at] = True
        unused = numeric.unused and not varied.any()
        return replace(_with(numeric, low=low, high=high, kink=kink), unused=unused)

    def hold_sum(
        self, numeric: NumericGradient, tie: Entries, claimed: Float, allowed: Float
    ) -> tuple[NumericGradient, str]:
        """The numeric gradient, checked for the sum of the entries of a tie, and a clause.

        claimed: the analytic entries, outputs × entries of the tie; allowed: how far their sum may
        be off. The clause is empty where the sum is right.
        """
        moved = self._move_together(tie)
        slope, total = moved.value.reshape(-1), claimed.sum(axis=1)
        u = moved.uncertainty.reshape(-1)
        off = np.abs(total - slope) > u + allowed
        off &= ~moved.kink.reshape(-1)
        if off.any():
            off &= self._still_tie(tie)
        if not off.any():
            return numeric, ""
        arrays = numeric.value, numeric.uncertainty, numeric.kink
        value, uncertainty, kink = _by_output(off.size, *arrays)
        at = np.ix_(off, tie)
        value[at] = claimed[off] + (slope - total)[off, None] / len(tie)
        uncertainty[at], kink[at] = u[off, None] / len(tie), False
        first = np.flatnonzero(off)[0]
        index = [int(axis) for axis in np.unravel_index(tie[0], self.x.shape)]
        return _with(numeric, value=value, uncertainty=uncertainty, kink=kink), (
            f"the {len(tie)} entries that tie with {index} cross no corner when they are moved "
            f"together: their sum is {slope[first]:.6g}, and {total[first]:.6g} is claimed"
        )

    def _move_together(self, tie: Entries) -> NumericGradient:
        """The slope of the outputs when all entries of a tie move by the same amount."""
        x, unit = self.x, float(np.min(self.scale.flat[tie]))
        moves = unit * self._mask(tie)
        found = measure_entries_of(
            Problem(
                inputs={"moved": np.zeros(1, x.dtype)},
                forward=lambda inputs: self.problem.forward(
                    {
                        **self.problem.inputs,
                        self.name: x + (inputs["moved"] * moves).astype(x.dtype),
                    }
                ),
                backward=self.problem.backward,
                cotangent=self.problem.cotangent,
            ),
            "moved",
            Numeric(),
            None,
        )
        self.evaluations += found.evaluations
        return replace(found, value=found.value / unit, uncertainty=found.uncertainty / unit)

    def _still_tie(self, tie: Entries) -> NDArray[np.bool_]:
        """Which outputs depend on the order of the tie, here and where the whole tie has moved."""
        some = tie[:MOST_MEMBERS]
        step = ALONG * float(np.min(self.scale.flat[tie])) * self._mask(tie)
        at, *moved = (self._take_slopes_off(some, shift)[1] for shift in (0.0 * step, step, -step))
        return np.asarray(at.any(axis=1) & np.all([at == one for one in moved], axis=(0, 2)))

    def _take_slopes_off(
        self, entries: Entries, shift: Float | float = 0.0
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Slopes of entries at points near the tie, and which of them differ across a corner.

        shift: added to x. The slopes are DRAWS × outputs × entries, nan where they are not known.
        """
        slopes, spread, unknown = self._spread_off(entries, shift, 1.0)
        largest = np.nanmax(np.abs(slopes), axis=(0, 2), initial=0.0)[:, None]
        varied = spread > VARIED * largest + unknown
        if varied.any():
            _, nearer, unknown = self._spread_off(entries, shift, NEARER)
            varied &= nearer > STAYS * spread + unknown
        return slopes, varied

    def _spread_off(
        self, entries: Entries, shift: Float | float, share: float
    ) -> tuple[Float, Float, Float]:
        """Slopes at points near the tie, their spread, and the uncertainty of a slope.

        share: of the usual distance of the points. nan where a slope is not known.
        """
        random, x = np.random.default_rng(0), self.x
        off = share * float(np.finfo(x.dtype).eps) ** OFF_POWER * self.scale
        slopes = []
        for _ in range(DRAWS):
            near = (x + shift + off * random.standard_normal(x.shape)).astype(x.dtype)
            inputs = {**self.problem.inputs, self.name: near}
            at = replace(self.problem, inputs=inputs, room={self.name: off})
            found, unknown = np.reshape(
                measure_roughly(at, self.name, entries), (2, -1, len(entries))
            )
            slopes.append(np.where(unknown < np.inf, [found, unknown], np.nan))
        self.evaluations += DRAWS * CALLS * len(entries)
        values, u = np.moveaxis(np.array(slopes), 1, 0)
        spread = np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0)
        return values, spread, np.fmax.reduce(u, axis=0)

    def _mask(self, entries: Entries) -> Float:
        """An array of the shape of x with ones at these entries."""
        ones = np.zeros(self.x.shape)
        ones.flat[entries] = 1.0
        return ones


def _by_output(outputs: int, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Copies of arrays of the gradient's shape, as outputs × entries."""
    return [array.reshape(outputs, -1).copy() for array in arrays]


def _with(numeric: NumericGradient, **arrays: NDArray[Any]) -> NumericGradient:
    """The numeric gradient with some of its arrays replaced; they are outputs × entries."""
    shape = numeric.value.shape
    return replace(numeric, **{name: array.reshape(shape) for name, array in arrays.items()})
