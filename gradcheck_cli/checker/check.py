"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import Checker, default_rtol
from gradcheck_cli.checker.join import join_results
from gradcheck_cli.measure.compare import DEFAULT_RTOL
from gradcheck_cli.measure.precision import (
    EPS,
    as_reference,
    in_float64,
    low_type,
    widen,
)
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict


def check(
    problem: Problem,
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    """Check every gradient of a problem against central differences.

    numeric, tolerance: see their classes; what they leave open is found or has its default.
    progress: is told, now and then, how many more entries were measured.
    power: also put the faults of the catalogue into the right gradients, and see which of them a
        check like this would catch.
    keep: is handed the result without diagnoses, which take more calls of the forward, before they
        are made.
    Returns the verdict, a result per input, and the work it took. What the backward returns is
    never trusted: a wrong type, shape or value is a failure with its reason, not an exception.
    Raises ForwardError where the forward's outputs are no numbers or do not fit the cotangent.
    """
    started = time.perf_counter()
    numeric, tolerance = numeric or Numeric(), tolerance or Tolerance()
    rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
    problem = widen(problem) if numeric.widen else problem
    result: CheckResult | None = None
    known: dict[str, NumericGradient] = {}
    wide = None if problem.narrow is None else in_float64(problem, problem.narrow)
    if problem.narrow is not None and wide is not None:
        strict = tolerance.rtol if tolerance.rtol is not None else EPS[low_type(problem.narrow)]
        result, known = check_strictly(wide, numeric, tolerance, strict, (progress, power, keep))
    if result is None or result.verdict != Verdict.FAIL:
        seen = None if result is None else result.mutants
        alone = power and seen is None  # what is seen in float64 need not be seen again
        checker = Checker(problem, numeric, replace(tolerance, rtol=rtol), progress, alone)
        checker.measurements.take_over(known, 0 if result is None else result.evaluations)
        result = checker.run(keep)
        if known and problem.narrow is not None:
            result = blame_rounding(result, low_type(problem.narrow))
        result = replace(result, mutants=seen if seen is not None else result.mutants)
    return replace(result, seconds=time.perf_counter() - started)


def check_strictly(
    wide: Problem,
    numeric: Numeric,
    tolerance: Tolerance,
    strict: float,
    asked: tuple[Progress | None, bool, Callable[[CheckResult], None] | None],
) -> tuple[CheckResult, dict[str, NumericGradient]]:
    """The result of a backward of low precision that is handed float64, and its gradients if right.

    strict: the rtol by which it is judged. What is wrong is diagnosed by all digits there are.
    """
    progress, power, keep = asked
    first = Checker(wide, numeric, replace(tolerance, rtol=strict), progress, power)
    result = first.run(None)
    if result.verdict == Verdict.PASS:
        return result, as_reference(wide, result.gradients) | first.measurements.gradients
    if result.verdict == Verdict.FAIL:
        sharp = tolerance.rtol if tolerance.rtol is not None else DEFAULT_RTOL["float64"]
        checker = Checker(wide, numeric, replace(tolerance, rtol=sharp), progress, power)
        checker.measurements.take_over(first.measurements.gradients, first.measurements.evaluations)
        result = checker.run(keep)
    return result, {}


def blame_rounding(result: CheckResult, kind: str) -> CheckResult:
    """The result in low precision of a backward that is right in float64."""
    told = f"; in float64 it is right: this is lost in {kind}, by rounding or overflow"
    gradients = [
        replace(one, reason=one.reason + told) if one.verdict == Verdict.FAIL else one
        for one in result.gradients
    ]
    return replace(result, gradients=tuple(gradients))


def check_problems(
    problems: Sequence[Problem],
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    """Check several problems, such as a backward and a Jacobian of one forward, as one result."""
    results: list[CheckResult] = []
    for problem in problems:
        if problem.otherwise is not None and results and results[0].verdict != Verdict.PASS:
            problem = problem.otherwise
        results.append(
            check(
                problem,
                numeric=numeric,
                tolerance=tolerance,
                progress=progress,
                power=power,
                keep=keep,
            )
        )
    return join_results(results)
