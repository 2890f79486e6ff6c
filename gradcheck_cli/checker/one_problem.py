"""The method on one screen: call the backward, measure, compare, and diagnose what is wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.blind_spots import find_blind_spots
from gradcheck_cli.checker.gradients import GradientChecker
from gradcheck_cli.checker.join import worst_verdict
from gradcheck_cli.measure.purity import BackwardRun, ForwardRun, call_backward, observe_forward
from gradcheck_cli.result import CheckResult, GradientResult, Verdict


def check_one_problem(checker: GradientChecker) -> CheckResult:
    """Check all gradients of a problem, and diagnose those that are wrong."""
    started, options = time.perf_counter(), checker.options
    forward = observe_forward(checker.problem)
    backward = call_backward(checker.problem, options.tolerance.repeat)
    gradients = [checker.check(name, forward, backward) for name in checker.problem.inputs]
    result = _summarize(checker, gradients, forward, backward)
    if result.verdict == Verdict.FAIL or options.power:
        # Imported here: a check that passes does not need the catalogue of faults.
        from gradcheck_cli.checker.diagnose import diagnose
        from gradcheck_cli.checker.locate import locate

        if options.keep is not None:
            options.keep(replace(result, seconds=time.perf_counter() - started))
        result = locate(diagnose(result, checker, backward.values), checker.problem)
    return result


def _summarize(
    checker: GradientChecker,
    gradients: Sequence[GradientResult],
    forward: ForwardRun,
    backward: BackwardRun,
) -> CheckResult:
    """The result of the problem from those of its gradients."""
    problem = checker.problem
    notes = [*problem.notes, *find_blind_spots(problem), forward.note, backward.note]
    return CheckResult(
        verdict=worst_verdict([gradient.verdict for gradient in gradients]),
        gradients=tuple(gradients),
        rtol=checker.allowance.rtol,
        atol=checker.allowance.atol,
        evaluations=checker.measurements.evaluations,
        seconds=0.0,
        notes=(*filter(None, notes), *problem.late_notes()),
    )
