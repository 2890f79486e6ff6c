"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradcheck_cli.numeric.entries import NumericGradient, numeric_gradient
from gradcheck_cli.numeric.noise import Evaluate
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, GradientResult, Verdict
from gradcheck_cli.verdict import DEFAULT_RTOL, compare, refusal, refused


def check(
    problem: Problem, *, numeric: Numeric | None = None, tolerance: Tolerance | None = None
) -> CheckResult:
    """Check every gradient of a problem against central differences.

    numeric, tolerance: see their classes; what they leave open is found or has its default.
    Returns the verdict, a result per input, and the work it took. What the backward returns is
    never trusted: a wrong type, shape or value is a failure with its reason, not an exception.
    """
    started = time.perf_counter()
    numeric = numeric or Numeric()
    tolerance = tolerance or Tolerance()
    rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
    copies = {name: array.copy() for name, array in problem.inputs.items()}
    claimed = problem.backward(copies, problem.cotangent)
    results: list[GradientResult] = []
    evaluations = 0
    outputs = np.shape(problem.forward(problem.inputs)) if problem.cotangent is None else ()
    for name, x in problem.inputs.items():
        label, shape = problem.label(name), (*outputs, *x.shape)
        reason = refusal(claimed.get(name), shape, label)
        if reason is not None:
            results.append(refused(name, label, shape, reason))
            continue
        measured = differences(problem, name, numeric)
        evaluations += measured.evaluations
        results.append(compare(name, label, claimed[name], measured, rtol, tolerance.atol))
    return CheckResult(
        verdict=worst_verdict([result.verdict for result in results]),
        gradients=tuple(results),
        rtol=rtol,
        atol=tolerance.atol,
        evaluations=evaluations,
        seconds=time.perf_counter() - started,
    )


def joined(results: Iterable[CheckResult]) -> CheckResult:
    """Several results under the same tolerance as one: gradients in order, the worst verdict."""
    parts = list(results)
    return CheckResult(
        verdict=worst_verdict([part.verdict for part in parts]),
        gradients=tuple(gradient for part in parts for gradient in part.gradients),
        rtol=parts[0].rtol,
        atol=parts[0].atol,
        evaluations=sum(part.evaluations for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


def differences(problem: Problem, name: str, numeric: Numeric) -> NumericGradient:
    """The numeric gradient of one input of a problem."""
    cotangent = problem.cotangent
    return numeric_gradient(
        points_evaluator(problem, name),
        problem.inputs[name],
        None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
        order=numeric.order,
        step=numeric.step,
    )


def points_evaluator(problem: Problem, name: str) -> Evaluate:
    """The forward as a function of K points of one input: (K, *input) → (K, *outputs)."""

    def at_once(points: Any) -> Any:
        return problem.forward({**problem.inputs, name: points})

    def one_by_one(points: Any) -> Any:
        return np.stack([np.asarray(at_once(point)) for point in points])

    return at_once if problem.batched else one_by_one


def default_rtol(problem: Problem) -> float:
    """The rtol of the coarsest type among the inputs."""
    return max(DEFAULT_RTOL.get(str(x.dtype), 1e-9) for x in problem.inputs.values())


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """One verdict for many: fail before inconclusive before pass."""
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
