"""Entries of an input that tie, as in a sort or a maximum: to move one of them shows too little.

Of three that tie, one that is moved alone comes first or last; what it is in the middle is seen a
little off the tie only. All of them moved together cross no corner: subgradients that lie between
the slopes of each entry may still have a wrong sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Float, compare_entries
from gradcheck_cli.measure.measure import measure_entries_of, measure_roughly, scale_of
from gradcheck_cli.numeric.gradient import Entries, NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

# Points off a tie, at each of which others come first; how far off, in units of the scale, is eps
# to this power: the slopes of a smooth function hardly change over that.
DRAWS, OFF_POWER = 16, 0.4
VARIED = 1e-3  # of the largest slope: what changes by more off a tie may cross a corner
# Points so much nearer tell a corner from a curve: what slopes differ by stays at a corner, and
# shrinks with the distance on a curve, such as that of an inverse of a matrix that is nearly
# singular.
NEARER, STAYS = 2.0**-4, 0.5
MOST_MEMBERS, MOST_TIES = 4, 8  # of a tie, whose slopes are measured there; of an input
CALLS = 8  # that such a slope takes at most
ALONG = 2.0**-7  # of the scale: how far those that tie are moved to see whether they still do


def judge_ties(
    problem: Problem, name: str, claimed: Any, numeric: NumericGradient, rtol: float, atol: float
) -> tuple[NumericGradient, str]:
    """The numeric gradient with what is known of entries that tie, and a clause on a wrong sum.

    Asked of ties in which an entry is at a kink or looks wrong. What looks wrong is at a kink where
    slopes differ off the tie; these are its slopes then. Where the sum of a tie is wrong, its
    entries are compared with the nearest ones that have the right one. Where there is none to ask
    of, it is the gradient itself.
    """
    if numeric.entries is not None:
        return numeric, ""
    ties, clause = Ties(problem, name), ""
    found = compare_entries(claimed, numeric, rtol, atol)
    a = found.analytic.reshape(-1, ties.x.size)
    wrong = found.wrong.reshape(a.shape)
    for tie in ties.find(numeric.kink.reshape(a.shape), wrong):
        if wrong[:, tie].any():
            numeric = ties.widen(numeric, tie, wrong)
        if len(tie) > 1:
            allowed = rtol * np.sum(np.abs(a[:, tie]), axis=1)
            allowed += len(tie) * (atol + np.max(numeric.rounding))
            numeric, said = ties.hold_sum(numeric, tie, a[:, tie], allowed)
            clause = clause or said
    if ties.evaluations:
        numeric = replace(numeric, evaluations=numeric.evaluations + ties.evaluations)
    return numeric, clause


class Ties:
    """The entries of an input of a problem that tie, and their slopes.

    evaluations: of the forward, so far.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        self.problem, self.name = problem, name
        self.x, self.scale = problem.inputs[name], scale_of(problem, name)
        self.evaluations = 0

    def find(self, kink: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> list[Entries]:
        """The flat indices of entries that are equal, or of one that is at a kink and looks wrong.

        kink, wrong: outputs × entries.
        """
        _, place, counts = np.unique(self.x.ravel(), return_inverse=True, return_counts=True)
        asked = np.where(counts[place] > 1, kink | wrong, kink & wrong).any(axis=0)
        return [np.flatnonzero(place == at) for at in np.unique(place[asked])[:MOST_TIES]]

    def widen(
        self, numeric: NumericGradient, tie: Entries, wrong: NDArray[np.bool_]
    ) -> NumericGradient:
        """The numeric gradient with the least and largest slope off a tie at what looks wrong."""
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
        """The numeric gradient with the sum of entries that tie, and a clause where it is wrong.

        claimed: outputs × those that tie; allowed: how far their sum may be off.
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
        """The slope of the outputs where these entries are moved by the same."""
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
        """Of which outputs the slopes vary off a tie, and as much where all of it has moved."""
        some = tie[:MOST_MEMBERS]
        step = ALONG * float(np.min(self.scale.flat[tie])) * self._mask(tie)
        at, *moved = (self._take_slopes_off(some, shift)[1] for shift in (0.0 * step, step, -step))
        return np.asarray(at.any(axis=1) & np.all([at == one for one in moved], axis=(0, 2)))

    def _take_slopes_off(
        self, entries: Entries, shift: Float | float = 0.0
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Slopes of entries at points off the tie, DRAWS × outputs × entries, NaN where they are
        not known, and which of them differ there by a corner. shift: is added to x."""
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
        """The slopes at points a share as far off, by how much they differ, and how far that may be
        off. NaN where nothing is known."""
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
        """Ones at these entries, in the shape of x."""
        ones = np.zeros(self.x.shape)
        ones.flat[entries] = 1.0
        return ones


def _by_output(outputs: int, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Copies of arrays of a gradient as outputs × entries."""
    return [array.reshape(outputs, -1).copy() for array in arrays]


def _with(numeric: NumericGradient, **arrays: NDArray[Any]) -> NumericGradient:
    """The numeric gradient with other arrays, which are outputs × entries."""
    shape = numeric.value.shape
    return replace(numeric, **{name: array.reshape(shape) for name, array in arrays.items()})
