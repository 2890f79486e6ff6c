"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import Checker
from gradcheck_cli.checker.join import join_results
from gradcheck_cli.measure.precision import widen
from gradcheck_cli.numeric.gradient import Progress
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
    measured = widen(problem) if numeric.widen else problem
    asked = (numeric, tolerance, progress, power)
    if measured.narrow is None:
        result = Checker(measured, *asked).run(keep)
    else:
        from gradcheck_cli.checker.low_precision import check_low_precision

        result = check_low_precision(measured, measured.narrow, *asked, keep)
    return replace(result, seconds=time.perf_counter() - started)


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
