"""Judge a large gradient by derivatives along random directions, and find where it is wrong.

Where all directions agree, they bound the norm of the error. Where one does not, the error is
searched by halving, down to rows, columns or entries, which are then measured by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.checker.certificate import (
    describe_certificate,
    describe_errors,
    describe_factor,
    judge_bound,
)
from gradcheck_cli.checker.slopes import Slopes, divide, find_factor, join_bounds
from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.measure.budget import FORWARDS_PER_DIRECTION, Budget
from gradcheck_cli.measure.compare import DIGITS_NEEDED, compare
from gradcheck_cli.measure.comparison import Allowance
from gradcheck_cli.measure.refuse import result_without_values
from gradcheck_cli.numeric.bisection import Found, Gap, locate, some_entries
from gradcheck_cli.numeric.directions import (
    DIRECTION_COUNT,
    WHOLE_BOX,
    Box,
    Directions,
    root_mean_square,
)
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.groups import group_by_size
from gradcheck_cli.numeric.line import Derivative
from gradcheck_cli.numeric.noise import DEVIATIONS
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import BY_DIRECTIONS, Diagnosis, GradientResult, Verdict

SEED = 0x6772  # any number: directions have a random stream of their own, apart from the inputs
# Directions for each group of smaller entries. With three, an error is found as surely as with
# more, but its bound is 20 times wider.
DIRECTIONS_OF_OTHERS = 3
MOST_SEARCHED = 400  # forwards after which the search for wrong entries stops where it is
# A derivative along a direction of at most so many uncertainties may be zero.
NOTHING_SEEN = 10.0
# Over the norm of the gradient: a smaller error in every row may be that of a forward that stops at
# a tolerance, so that entries are measured before it is a failure.
MOST_DOUBTED = 1e-3
# Over the scale of x: over smaller steps, a forward in which large numbers cancel may be constant.
TINY_STEP = 2.0**-10
# An entry is clearly wrong if it is off by more than so many uncertainties. Right ones of sinh(x),
# x up to 70, were off by two; with 10, relu nets that are wrong by 1e-6 were not clear.
CLEAR_GAP = 4.0


class Certifier:
    """Checks one gradient of a problem against derivatives along random directions.

    tell: called now and then while it works.
    located: (row, column) of entries that look wrong.
    doubtful: whether the error that was seen may not be the backward's, so that entries should be
        measured before it is a failure.
    """

    def __init__(
        self,
        problem: Problem,
        name: str,
        claimed: Any,
        allowance: Allowance,
        budget: Budget,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        array: NDArray[Any] = np.asarray(claimed)
        self.problem = problem
        self.name = name
        self.claimed = array.real if array.dtype.kind == "c" else array
        self.norm = float(root_mean_square(self.claimed) * self.claimed.size**0.5)
        self.rounding = problem.precision * float(np.max(np.abs(self.claimed), initial=0.0))
        self.groups = group_by_size(self.claimed)
        self.located: list[tuple[int, int]] = []
        self.doubtful = False
        wanted = [DIRECTION_COUNT, *[DIRECTIONS_OF_OTHERS] * (len(self.groups) - 1)]
        cut = budget.fit_directions(sum(wanted)) / sum(wanted)
        self.counts = [max(1, int(count * cut)) for count in wanted]  # directions, by group
        self.most_forwards = budget.share
        self.allowance = allowance
        self.tell = tell
        self.directions = Directions(
            lambda point: problem.forward({**problem.inputs, name: point}),
            problem.inputs[name],
            np.asarray(problem.cotangent, dtype=np.float64),
            SEED,
        )

    @cached_property
    def slopes(self) -> Slopes:
        """Both derivatives along all directions. Those that differ are measured again, unless a
        factor explains all differences."""
        with np.errstate(all="ignore"):
            slopes = self._measure_slopes()
            return slopes if self._find_factor(slopes) else self._confirm(slopes)

    @property
    def differs(self) -> bool:
        """Whether a direction shows an error."""
        return bool(self.slopes.differ.any())

    @property
    def passes(self) -> bool:
        """Whether no direction shows an error, and together they bound it well enough for rtol."""
        limits = join_bounds(self.slopes.bound(self.counts))
        known = limits.upper <= self.allowance.rtol**DIGITS_NEEDED * self.norm
        return known and self.norm > 0 and not self.differs

    def certify(self) -> GradientResult:
        """The verdict, with the bound on the error, or with what is wrong and where."""
        with np.errstate(all="ignore"):
            factor = self._find_factor(self.slopes)
            if factor is not None:
                everywhere = Found(None, None, some_entries(*self.directions.matrix.shape), False)
                return self._report(everywhere, describe_factor(factor, self.slopes))
            return self._report(self._locate(self.slopes) if self.differs else None)

    def _draw(self, number: int) -> None:
        """Draw direction `number`; directions are counted group by group."""
        group = self.groups[int(np.searchsorted(np.cumsum(self.counts), number, side="right"))]
        self.directions.draw(number, group.mask)

    def _project(self, box: Box = WHOLE_BOX) -> Derivative:
        """The analytic derivative along the current direction, with its uncertainty by rounding.

        A backward in low precision is off by some e with |e| ≤ `rounding` in every entry; along a
        normal direction v, e·v is normal with deviation ‖e‖.
        """
        found = self.directions.product(self.claimed, box)
        count = np.count_nonzero(self.directions.vector[box])
        rounded = DEVIATIONS * self.rounding * float(count**0.5)
        return replace(found, uncertainty=found.uncertainty + rounded)

    def _measure_slopes(self) -> Slopes:
        """The analytic and the numeric derivative along all directions."""
        rows = []
        for number in range(sum(self.counts)):
            self.tell()
            self._draw(number)
            analytic, numeric = self._project(), self.directions.derivative()
            rows.append((analytic.value, numeric.value, analytic.uncertainty + numeric.uncertainty))
        return Slopes(*np.array(rows).T)

    def _find_factor(self, slopes: Slopes) -> Factor | None:
        return find_factor(slopes, self.allowance.rtol, self.problem.numbers)

    def _confirm(self, slopes: Slopes) -> Slopes:
        """Measure directions that differ again, the worst first, until a difference is confirmed.

        Where it is not, the uncertainty grows by how far the two measurements are apart.
        """
        uncertainty = slopes.uncertainty.copy()
        shares = np.abs(slopes.gap) / uncertainty
        for number in np.argsort(-shares):
            if not shares[number] > 1:
                break
            self._draw(int(number))
            again = self.directions.confirm()
            apart = abs(again.value - slopes.numeric[number])
            if apart <= again.uncertainty + uncertainty[number]:
                break
            uncertainty[number] += apart
        return replace(slopes, uncertainty=uncertainty)

    def _locate(self, slopes: Slopes) -> Found:
        """Find the part of the gradient that is wrong, along the direction that shows it best."""
        best = int(np.nanargmax(np.abs(slopes.gap) / slopes.uncertainty))
        self._draw(best)

        def measure(box: Box) -> Gap:
            self.tell()
            analytic = self._project(box)
            numeric = self.directions.derivative(box)
            return Gap(analytic.value - numeric.value, analytic.uncertainty + numeric.uncertainty)

        whole = Gap(float(slopes.gap[best]), float(slopes.uncertainty[best]))
        last = min(self.directions.evaluations + MOST_SEARCHED, self.most_forwards)
        return locate(
            self.directions.matrix.shape,
            whole,
            measure,
            lambda: self.directions.evaluations < last,
        )

    def _report(self, found: Found | None, diagnosis: Diagnosis | None = None) -> GradientResult:
        """The result: the bound on the error, and wrong entries that were measured by themselves.

        found: where the error is; None where no direction shows one.
        """
        slopes = self.slopes
        of_groups = slopes.bound(self.counts)
        limits = join_bounds(of_groups)
        # The bound if both sides were equal: what could be seen at all.
        equal = Slopes(slopes.numeric, slopes.numeric, slopes.uncertainty).bound(self.counts)
        self.located = found.entries if found else []
        result = self._compare_entries(self.located)
        over_allowed = max(
            divide(
                bound.lower,
                self.allowance.rtol * group.norm + self.allowance.atol * group.count**0.5,
            )
            for bound, group in zip(of_groups, self.groups, strict=True)
        )
        hidden = self._is_hidden()
        verdict, reason = judge_bound(limits.upper, self.norm, self.allowance.rtol, hidden=hidden)
        notes: tuple[str, ...] = (
            describe_certificate(of_groups, self.groups, self.norm, self.counts),
        )
        wrong = False
        if found is not None:
            unsure = diagnosis is None and (self._is_doubtful(found) or self._is_unclear(result))
            self.doubtful = unsure or self._may_stand_still()
            wrong = result.wrong > 0 or over_allowed > 1 or diagnosis is not None
            if wrong:
                reason = describe_errors(found, result, slopes, self._index)
                verdict, notes = Verdict.FAIL, ()
        largest_gap = float(np.max(np.abs(slopes.gap)))
        return replace(
            result,
            verdict=verdict,
            reason=reason,
            wrong=result.wrong if wrong else 0,
            worst=result.worst if wrong else None,
            max_abs_error=largest_gap,
            max_rel_error=divide(largest_gap, self.norm),
            max_over_allowed=max(over_allowed, result.max_over_allowed or 0.0),
            uncertainty=float(np.max(slopes.uncertainty)),
            resolution=divide(join_bounds(equal).upper, self.norm),
            bound=divide(limits.upper, self.norm),
            diagnosis=diagnosis,
            directions=len(slopes.gap),
            notes=notes,
            method=BY_DIRECTIONS,
        )

    def _is_doubtful(self, found: Found) -> bool:
        """Whether an error in every row may not be the backward's: it is small, or the gradient may
        be zero, or only tiny steps were taken."""
        gap = np.max(np.abs(self.slopes.gap))
        everywhere = found.rows is None and not found.exact
        small = self._is_hidden() or gap <= MOST_DOUBTED * self.norm
        return bool(everywhere and (small or self._is_tiny()))

    def _is_tiny(self) -> bool:
        """Whether only tiny steps were taken, over which a forward that cancels may be constant."""
        return bool(self.directions.step < TINY_STEP * self.directions.scale)

    def _may_stand_still(self) -> bool:
        """Whether the forward may be constant over these steps: they are tiny, and the error is
        larger than the gradient."""
        return self._is_tiny() and bool(np.max(np.abs(self.slopes.gap)) > self.norm)

    def _is_hidden(self) -> bool:
        """Whether every numeric derivative may be zero within its uncertainty."""
        moved = np.abs(self.slopes.numeric) > NOTHING_SEEN * self.slopes.uncertainty
        return not np.any(moved)

    def _is_unclear(self, result: GradientResult) -> bool:
        """Whether even the worst entry that was measured is wrong by few uncertainties only."""
        worst = result.worst
        if worst is None:
            return False
        return not abs(worst.analytic - worst.numeric) > CLEAR_GAP * worst.uncertainty

    def _compare_entries(self, entries: Sequence[tuple[int, int]]) -> GradientResult:
        """The result of some entries, each measured by itself; without entries, an empty pass."""
        label = self.problem.label(self.name)
        room = max(1.0, (self.most_forwards - self.directions.evaluations) / FORWARDS_PER_DIRECTION)
        entries = entries[: int(min(room, len(entries)))]
        if not entries:
            return result_without_values(self.name, label, self.claimed.shape, "", Verdict.PASS)
        measured = self._measure_entries(entries)
        return compare(self.name, label, self.claimed, measured, self.allowance)

    def _measure_entries(self, entries: Sequence[tuple[int, int]]) -> NumericGradient:
        """The numeric gradient at these (row, column) entries."""
        places = sorted(set(entries))
        measured = [self.directions.at(row, column) for row, column in places]
        value = np.array([one.value for one in measured])
        uncertainty = np.array([max(one.uncertainty, self.rounding) for one in measured])
        return NumericGradient(
            value=value,
            uncertainty=uncertainty,
            noise=uncertainty,
            step=np.zeros(len(places)),
            kink=np.zeros(len(places), dtype=bool),
            low=value - uncertainty,
            high=value + uncertainty,
            steepest=float(np.max(np.abs(value))),
            evaluations=self.directions.evaluations,
            shape=self.claimed.shape,
            entries=self.flatten(places),
        )

    def flatten(self, places: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
        """The flat indices of (row, column) entries."""
        width = self.directions.matrix.shape[1]
        return np.array([row * width + column for row, column in places], dtype=np.intp)

    def _index(self, row: int, column: int) -> str:
        """The index in the gradient of an entry of the matrix, as reports write it."""
        flat = row * self.directions.matrix.shape[1] + column
        return str([int(axis) for axis in np.unravel_index(flat, self.claimed.shape)])
