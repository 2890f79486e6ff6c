"""One gradient of a problem: refused as it is, or measured, compared and judged."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.checker.measurements import MOST_SETTLED_BY_ENTRIES, Measurements
from gradcheck_cli.checker.refusals import explain_refusal, mark_in_place
from gradcheck_cli.measure.budget import LEAST_ENTRIES
from gradcheck_cli.measure.casts import find_cast
from gradcheck_cli.measure.compare import DEFAULT_RTOL, compare
from gradcheck_cli.measure.measure import mode_of
from gradcheck_cli.measure.precision import (
    claim_in_float64,
    describe_own_type,
    describe_rounding,
    low_type,
)
from gradcheck_cli.measure.purity import Claim, Conduct
from gradcheck_cli.measure.refuse import find_cut, find_refusal, result_without_values
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.options import AUTO, DIRECTIONS_FIRST, ENTRIES, Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, GradientResult, Verdict

AT_RANDOM = (
    "the forward draws at random, and the backward with it: pass what is drawn as a constant, or "
    "set the seed in the forward"
)


class Asked(Struct, frozen=True):
    """How a problem is to be checked: the arguments of `check`, where each is described."""

    numeric: Numeric
    tolerance: Tolerance
    progress: Progress | None
    power: bool
    keep: Callable[[CheckResult], None] | None


class GradientChecker:
    """Checks the gradients of a problem one by one: they share what is measured, and a tolerance.

    measurements: the numeric gradients so far; rtol, atol: see Tolerance.
    """

    def __init__(self, problem: Problem, asked: Asked) -> None:
        self.problem = problem
        self.asked = asked
        rtol = asked.tolerance.rtol
        self.rtol = rtol if rtol is not None else default_rtol(problem)
        self.atol = asked.tolerance.atol
        self.measurements = Measurements(problem, asked.numeric, asked.progress)

    @cached_property
    def lost(self) -> str:
        """The line of the forward that makes low precision of float64, as a clause, if one does."""
        inputs = self.problem.copy_inputs()
        wide = {str(x.dtype) for x in inputs.values()} == {"float64"}
        found = self.problem.identity is None and wide and not self.problem.lost
        return find_cast(self.problem.forward, inputs) if found else self.problem.lost

    def check(self, name: str, forward: Conduct, claim: Claim) -> GradientResult:
        """The result of one gradient: refused as it is, or compared with what is measured."""
        problem, claimed = self.problem, claim.gradients.get(name)
        outputs = () if problem.cotangent is not None else forward.outputs.shape
        label, shape = problem.label(name), (*outputs, *problem.inputs[name].shape)
        refusal = forward.fault or claim.fault or find_refusal(claimed, shape, label)
        if claim.differs and forward.note:
            return result_without_values(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE)
        if refusal is None:
            values = claim.values[name]
            result = self._judge(name, values)
            if result.verdict == Verdict.FAIL and problem.narrow is not None:
                result = self._allow_rounding(result, values, problem.narrow)
            refusal = find_cut(claimed, label) if result.verdict == Verdict.FAIL else None
        if refusal is not None:
            return explain_refusal(
                result_without_values(name, label, shape, refusal.sentence), refusal
            )
        if result.verdict == Verdict.INCONCLUSIVE and self.lost:
            reason = f"{result.reason}; the forward makes low precision of float64{self.lost}"
            result = replace(result, reason=reason)
        self.measurements.budget.finish_gradient()
        if claim.in_place is None or claim.place != name:
            return result
        return mark_in_place(result, claim.in_place, allowed=problem.in_place)

    def _judge(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient by random directions, by its entries, or by one then the other.

        Directions that are taken first leave to entries what they do not settle, and what is wrong
        with a gradient that is small enough; of a larger one they find where it is wrong.
        """
        mode = self._choose_mode(name, claimed.size)
        result = None if mode == ENTRIES else self._judge_by_directions(name, claimed, mode)
        return result or self._judge_by_entries(name, claimed)

    def _has_room(self, size: int) -> bool:
        """Whether the budget allows for the entries of a gradient of this size."""
        return self.measurements.budget.has_room(self.asked.numeric.entries(size))

    def _choose_mode(self, name: str, size: int) -> str:
        """How a gradient of this size is judged: by entries, directions, or directions first."""
        numeric, known = self.asked.numeric, name in self.measurements.gradients
        mode = ENTRIES if known else mode_of(self.problem, name, numeric)
        if mode == DIRECTIONS_FIRST and self.asked.power:  # faults are put into entries
            return ENTRIES
        if mode == ENTRIES and numeric.mode == AUTO and not self._has_room(size):
            return DIRECTIONS_FIRST
        return mode

    def _judge_by_directions(self, name: str, claimed: Any, mode: str) -> GradientResult | None:
        """The result by random directions; None where entries are to be measured after them."""
        from gradcheck_cli.checker.certify import Certifier

        size, measurements = claimed.size, self.measurements
        budget, tell = measurements.budget, measurements.tell
        certifier = Certifier(self.problem, name, claimed, self.rtol, self.atol, budget, tell)
        result = None
        small = size <= MOST_SETTLED_BY_ENTRIES or not certifier.differs
        if mode != DIRECTIONS_FIRST or certifier.passes or not (small and self._has_room(size)):
            result = certifier.certify()
        measurements.count(certifier.directions.evaluations)
        if result is None:
            return None
        located = certifier.flatten(certifier.located)
        if mode == DIRECTIONS_FIRST:
            measurements.located[name] = located
        again = certifier.doubtful and result.verdict == Verdict.FAIL
        return self._look_again(result, claimed, located) if again else result

    def _judge_by_entries(self, name: str, claimed: Any) -> GradientResult:
        """The result by the numeric gradient of every entry, or of a sample."""
        result = self._compare(name, claimed, self.measurements.measure(name))
        if result.verdict == Verdict.FAIL or result.kinks:
            result = self._judge_ties(result, claimed)
        return result if result.verdict != Verdict.FAIL else self._allow_breaks(result, claimed)

    def _compare(self, name: str, claimed: Any, numeric: NumericGradient) -> GradientResult:
        """The result of a gradient by a numeric one, under the tolerance of the check."""
        return compare(name, self.problem.label(name), claimed, numeric, self.rtol, self.atol)

    def _judge_ties(self, result: GradientResult, claimed: Any) -> GradientResult:
        """The result with what is known of entries that tie."""
        from gradcheck_cli.measure.ties import judge_ties

        name, numeric = result.name, self.measurements.gradients[result.name]
        found, clause = judge_ties(self.problem, name, claimed, numeric, self.rtol, self.atol)
        if found is numeric:
            return result
        self.measurements.count(found.evaluations - numeric.evaluations)
        self.measurements.gradients[name] = found
        result = self._compare(name, claimed, found)
        return replace(result, reason=f"{result.reason}: {clause}") if clause else result

    def _allow_rounding(
        self, failed: GradientResult, claimed: Any, narrow: Problem
    ) -> GradientResult:
        """The result by the forward in the backward's own type, where only rounding is wrong.

        A saturated unit leaves digits in float64 that a backward in another type cannot have. Two
        things show that: in float64 the backward is right, and in its own type nothing is seen.
        """
        name, wide = failed.name, claim_in_float64(self.problem, narrow, failed.name)
        in_float64 = Verdict.FAIL if wide is None else self._judge(name, wide).verdict
        if in_float64 == Verdict.FAIL:
            return failed
        own = GradientChecker(narrow, self.asked)
        own.measurements.budget = self.measurements.budget
        result = own._judge(name, claimed)
        self.measurements.evaluations += own.measurements.evaluations
        if result.verdict == Verdict.FAIL:
            return failed
        if result.verdict == Verdict.INCONCLUSIVE and in_float64 == Verdict.PASS:
            rounded = self._explain_by_rounding(name, claimed, wide, narrow)
            if rounded.verdict == Verdict.PASS:
                return rounded
        self.measurements.gradients |= own.measurements.gradients
        return replace(result, notes=(*result.notes, describe_own_type(narrow)))

    def _explain_by_rounding(
        self, name: str, claimed: Any, wide: Any, narrow: Problem
    ) -> GradientResult:
        """The result where a gradient may be off by what roundings of its backward are seen to
        make; wide: what that gives in float64."""
        from gradcheck_cli.measure.rounded_backward import spread_by_rounding

        spread = spread_by_rounding(self.problem, narrow, name, wide)
        numeric = self.measurements.measure(name)
        numeric = replace(numeric, rounding=numeric.rounding + numeric.of(spread))
        result = self._compare(name, claimed, numeric)
        return replace(result, notes=(*result.notes, describe_rounding(result, narrow)))

    def _look_again(
        self, result: GradientResult, claimed: Any, located: NDArray[np.intp]
    ) -> GradientResult:
        """The failure that directions saw, or what entries that look wrong say of it."""
        if not self.measurements.budget.has_room(LEAST_ENTRIES):
            return result
        from gradcheck_cli.checker.second_look import look_again

        found, forwards = look_again(
            self.problem, result, claimed, located, self.asked.numeric, self.rtol, self.atol
        )
        self.measurements.count(forwards)
        return found

    def _allow_breaks(self, failed: GradientResult, claimed: Any) -> GradientResult:
        """The result where jumps between smooth pieces of the forward are uncertainty.

        It stays as it is where these do not explain all that is wrong, or the budget has no room.
        """
        from gradcheck_cli.measure.breaks import widen_by_breaks
        from gradcheck_cli.numeric.jumps import MOST_EVALUATIONS

        name, numeric = failed.name, self.measurements.gradients[failed.name]
        if self.measurements.budget.share < MOST_EVALUATIONS:
            return failed
        widened = widen_by_breaks(
            self.problem,
            name,
            claimed,
            numeric,
            self.rtol,
            self.atol,
            lambda: self.measurements.jumps_nowhere,
        )
        self.measurements.count(widened.evaluations - numeric.evaluations)
        result = self._compare(name, claimed, widened)
        if result.verdict == Verdict.FAIL:
            return failed
        self.measurements.gradients[name] = widened
        return result


def default_rtol(problem: Problem) -> float:
    """The rtol of the coarsest type among the inputs."""
    return DEFAULT_RTOL[low_type(problem) or "float64"]
