"""Judge one gradient of a problem: measure it and compare, or refuse what is no gradient."""

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
from gradcheck_cli.measure.comparison import Allowance
from gradcheck_cli.measure.measure import choose_mode
from gradcheck_cli.measure.precision import (
    call_backward_in_float64,
    describe_own_type,
    describe_rounding,
    find_low_type,
)
from gradcheck_cli.measure.purity import BackwardRun, ForwardRun
from gradcheck_cli.measure.refuse import find_integer_gradient, find_refusal, result_without_values
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.options import AUTO, DIRECTIONS_FIRST, ENTRIES, Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, GradientResult, Verdict

AT_RANDOM = (
    "the forward draws at random, and the backward with it: pass what is drawn as a constant, or "
    "set the seed in the forward"
)


class CheckOptions(Struct, frozen=True):
    """How to check a problem: the arguments of `check`, which describes each of them."""

    numeric: Numeric
    tolerance: Tolerance
    progress: Progress | None
    power: bool
    keep: Callable[[CheckResult], None] | None


class GradientChecker:
    """Checks the gradients of a problem one by one.

    measurements: the numeric gradients so far; allowance: the tolerance, see `Tolerance`.
    """

    def __init__(self, problem: Problem, options: CheckOptions) -> None:
        self.problem = problem
        self.options = options
        rtol = options.tolerance.rtol
        rtol = default_rtol(problem) if rtol is None else rtol
        self.allowance = Allowance(rtol, options.tolerance.atol)
        self.measurements = Measurements(problem, options.numeric, options.progress)

    @cached_property
    def cast_line(self) -> str:
        """The line of the forward that turns float64 into low precision, as a clause; or empty."""
        inputs = self.problem.copy_inputs()
        wide = {str(x.dtype) for x in inputs.values()} == {"float64"}
        if self.problem.cast_line or self.problem.identity is not None or not wide:
            return self.problem.cast_line
        return find_cast(self.problem.forward, inputs)

    def check(self, name: str, forward: ForwardRun, backward: BackwardRun) -> GradientResult:
        """The result of one gradient; what cannot be compared with a numeric gradient is refused.

        forward, backward: what they returned when they were run, and how they behaved.
        """
        problem, claimed = self.problem, backward.gradients.get(name)
        outputs = () if problem.cotangent is not None else forward.outputs.shape
        label, shape = problem.label(name), (*outputs, *problem.inputs[name].shape)
        if backward.differs and forward.note:
            return result_without_values(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE)
        refusal = forward.fault or backward.fault or find_refusal(claimed, shape, label)
        if refusal is None:
            result = self._judge_values(name, backward.values[name])
            if result.verdict == Verdict.FAIL:
                refusal = find_integer_gradient(claimed, label)
        if refusal is not None:
            refused = result_without_values(name, label, shape, refusal.sentence)
            return explain_refusal(refused, refusal)
        self.measurements.budget.finish_gradient()
        if backward.in_place is None or backward.place != name:
            return result
        return mark_in_place(result, backward.in_place, allowed=problem.in_place)

    def _judge_values(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient, with allowance for the rounding of a backward in low precision;
        an inconclusive one names the line of the forward that loses precision."""
        result = self._judge(name, claimed)
        if result.verdict == Verdict.FAIL and self.problem.narrow is not None:
            result = self._allow_rounding(result, claimed, self.problem.narrow)
        if result.verdict == Verdict.INCONCLUSIVE and self.cast_line:
            cast = f"; the forward turns float64 into low precision{self.cast_line}"
            result = replace(result, reason=result.reason + cast)
        return result

    def _judge(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient by random directions, by its entries, or by both.

        Where directions come first, entries are measured if directions do not settle the verdict,
        or if the gradient is wrong and small. In a large wrong gradient, directions find the place.
        """
        mode = self._choose_mode(name, claimed.size)
        result = None if mode == ENTRIES else self._judge_by_directions(name, claimed, mode)
        return result or self._judge_by_entries(name, claimed)

    def _has_room(self, size: int) -> bool:
        """Whether the budget allows measuring the entries of a gradient of this size."""
        return self.measurements.budget.has_room(self.options.numeric.entries(size))

    def _choose_mode(self, name: str, size: int) -> str:
        """How to judge a gradient of this size: by entries, by directions, or directions first."""
        numeric, known = self.options.numeric, name in self.measurements.gradients
        mode = ENTRIES if known else choose_mode(self.problem, name, numeric)
        if mode == DIRECTIONS_FIRST and self.options.power:  # mutants need every numeric entry
            return ENTRIES
        if mode == ENTRIES and numeric.mode == AUTO and not self._has_room(size):
            return DIRECTIONS_FIRST
        return mode

    def _judge_by_directions(self, name: str, claimed: Any, mode: str) -> GradientResult | None:
        """The result by random directions; None where entries must be measured after them."""
        from gradcheck_cli.checker.certify import Certifier

        size, measurements = claimed.size, self.measurements
        budget, tell = measurements.budget, measurements.tell
        certifier = Certifier(self.problem, name, claimed, self.allowance, budget, tell)
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
        """The result by the numeric gradient of all entries, or of a sample of them."""
        result = self._compare(name, claimed, self.measurements.measure(name))
        if result.verdict == Verdict.FAIL or result.kinks:
            result = self._judge_ties(result, claimed)
        return result if result.verdict != Verdict.FAIL else self._allow_breaks(result, claimed)

    def _compare(self, name: str, claimed: Any, numeric: NumericGradient) -> GradientResult:
        """Compare with a numeric gradient, under the tolerance of the check."""
        return compare(name, self.problem.label(name), claimed, numeric, self.allowance)

    def _judge_ties(self, result: GradientResult, claimed: Any) -> GradientResult:
        """The result when ties are taken into account: inputs that are equal, as in a maximum."""
        from gradcheck_cli.measure.ties import judge_ties

        name, numeric = result.name, self.measurements.gradients[result.name]
        found, clause = judge_ties(self.problem, name, claimed, numeric, self.allowance)
        if found is numeric:
            return result
        self.measurements.count(found.evaluations - numeric.evaluations)
        self.measurements.gradients[name] = found
        result = self._compare(name, claimed, found)
        return replace(result, reason=f"{result.reason}: {clause}") if clause else result

    def _allow_rounding(
        self, failed: GradientResult, claimed: Any, narrow: Problem
    ) -> GradientResult:
        """The result against the forward in the backward's own type, where only rounding is wrong.

        Near saturation float64 keeps digits that a backward in low precision cannot have. The
        failure is one of rounding if the backward is right when it is called in float64, and does
        not fail against a forward in its own type.

        narrow: the problem in that type.
        """
        name, wide = failed.name, call_backward_in_float64(self.problem, narrow, failed.name)
        in_float64 = Verdict.FAIL if wide is None else self._judge(name, wide).verdict
        if in_float64 == Verdict.FAIL:
            return failed
        own = GradientChecker(narrow, self.options)
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
        """The result where a gradient may be off by as much as simulated roundings move it.

        wide: what the backward returns in float64.
        """
        from gradcheck_cli.measure.rounded_backward import spread_by_rounding

        spread = spread_by_rounding(self.problem, narrow, name, wide)
        numeric = self.measurements.measure(name)
        numeric = replace(numeric, rounding=numeric.rounding + numeric.of(spread))
        result = self._compare(name, claimed, numeric)
        return replace(result, notes=(*result.notes, describe_rounding(result, narrow)))

    def _look_again(
        self, result: GradientResult, claimed: Any, located: NDArray[np.intp]
    ) -> GradientResult:
        """The result when entries that look wrong are measured again, with other steps.

        located: the flat indices of the entries where directions found the error.
        """
        if not self.measurements.budget.has_room(LEAST_ENTRIES):
            return result
        from gradcheck_cli.checker.second_look import look_again

        found, forwards = look_again(
            self.problem, result, claimed, located, self.options.numeric, self.allowance
        )
        self.measurements.count(forwards)
        return found

    def _allow_breaks(self, failed: GradientResult, claimed: Any) -> GradientResult:
        """The result when jumps between smooth pieces of the forward widen the uncertainty.

        The failure stands where they do not explain every error, or the budget has no room.
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
            self.allowance,
            lambda: self.measurements.is_smooth,
        )
        self.measurements.count(widened.evaluations - numeric.evaluations)
        result = self._compare(name, claimed, widened)
        if result.verdict == Verdict.FAIL:
            return failed
        self.measurements.gradients[name] = widened
        return result


def default_rtol(problem: Problem) -> float:
    """The rtol that goes with the coarsest type among the inputs."""
    return DEFAULT_RTOL[find_low_type(problem) or "float64"]
