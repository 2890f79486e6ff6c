"""Backwards in low precision are checked in float64 first, where rounding hides no fault."""

from __future__ import annotations

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import CheckOptions, GradientChecker, default_rtol
from gradcheck_cli.checker.one_problem import check_one_problem
from gradcheck_cli.measure.compare import DEFAULT_RTOL
from gradcheck_cli.measure.precision import EPS, find_low_type, make_references, widen_backward
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict


def check_low_precision(problem: Problem, narrow: Problem, options: CheckOptions) -> CheckResult:
    """Check a problem that was widened to float64.

    narrow: the problem as it was. If its backward accepts float64, it is checked there first. A
    failure there is the result: with all digits the diagnosis is sharp. If it passes there, it is
    called in its own type and compared with the gradients that it gave in float64: what is wrong
    then is rounding.
    """
    own = _with_rtol(options, default_rtol(narrow))
    wide = widen_backward(problem, narrow)
    if wide is None:
        return check_one_problem(GradientChecker(problem, own))
    kind = find_low_type(narrow)
    first = GradientChecker(wide, replace(_with_rtol(options, EPS[kind]), keep=None))
    found = check_one_problem(first)
    measured, evaluations = first.measurements.gradients, found.evaluations
    if found.verdict == Verdict.FAIL:
        again = GradientChecker(wide, _with_rtol(options, DEFAULT_RTOL["float64"]))
        again.measurements.take_over(measured, evaluations)
        found = check_one_problem(again)
    if found.verdict == Verdict.FAIL:
        return found
    # The mutants of float64 serve for both: there is no need to make them again.
    checker = GradientChecker(problem, replace(own, power=options.power and found.mutants is None))
    right = found.verdict == Verdict.PASS
    known = make_references(wide, found.gradients) | measured if right else {}
    checker.measurements.take_over(known, evaluations)
    result = check_one_problem(checker)
    if found.mutants is not None:
        result = replace(result, mutants=found.mutants, exercise=found.exercise)
    return blame_rounding(result, kind) if right else result


def _with_rtol(options: CheckOptions, rtol: float) -> CheckOptions:
    """The options with this rtol, unless the user gave one."""
    if options.tolerance.rtol is not None:
        return options
    return replace(options, tolerance=replace(options.tolerance, rtol=rtol))


def blame_rounding(result: CheckResult, kind: str) -> CheckResult:
    """The result in low precision of a backward that is right in float64: its failures say so."""
    cause = f"; in float64 it is right: this is lost in {kind}, by rounding or overflow"
    gradients = [
        replace(one, reason=one.reason + cause) if one.verdict == Verdict.FAIL else one
        for one in result.gradients
    ]
    return replace(result, gradients=tuple(gradients))
