"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.numeric.entries import NumericGradient, Progress, numeric_gradient
from gradcheck_cli.numeric.noise import Evaluate
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.purity import call_backward, observe_forward
from gradcheck_cli.result import CheckResult, GradientResult, Verdict
from gradcheck_cli.verdict import DEFAULT_RTOL, agrees, compare, refusal, refused

AT_RANDOM = (
    "the forward draws at random, and the backward with it: pass what is drawn as a constant, or "
    "set the seed in the forward"
)


def check(
    problem: Problem,
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """Check every gradient of a problem against central differences.

    numeric, tolerance: see their classes; what they leave open is found or has its default.
    progress: is told, now and then, how many more entries were measured.
    Returns the verdict, a result per input, and the work it took. What the backward returns is
    never trusted: a wrong type, shape or value is a failure with its reason, not an exception.
    Raises ForwardError where the forward's outputs are no numbers or do not fit the cotangent.
    """
    started = time.perf_counter()
    checker = _Checker(problem, numeric or Numeric(), tolerance or Tolerance(), progress)
    gradients = checker.gradients()
    return CheckResult(
        verdict=worst_verdict([gradient.verdict for gradient in gradients]),
        gradients=tuple(gradients),
        rtol=checker.rtol,
        atol=checker.atol,
        evaluations=sum(measured.evaluations for measured in checker.measured.values()),
        seconds=time.perf_counter() - started,
        notes=(*checker.notes, *problem.observed()),
    )


class _Checker:
    """One check: numeric gradients are measured once, when they are needed."""

    def __init__(
        self,
        problem: Problem,
        numeric: Numeric,
        tolerance: Tolerance,
        progress: Progress | None,
    ) -> None:
        self.problem = problem
        self.numeric = numeric
        self.progress = progress
        self.rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
        self.atol = tolerance.atol
        self.measured: dict[str, NumericGradient] = {}
        self.notes = [*problem.notes, *vacuous(problem)]

    def gradients(self) -> list[GradientResult]:
        """A result for every input, in their order."""
        forward, claim = observe_forward(self.problem), call_backward(self.problem)
        self.notes += [forward.note] if forward.note else []
        outputs = () if self.problem.cotangent is not None else forward.outputs.shape
        results = []
        for name, x in self.problem.inputs.items():
            label, shape = self.problem.label(name), (*outputs, *x.shape)
            claimed = claim.gradients.get(name)
            reason = forward.fault or claim.fault or refusal(claimed, shape, label)
            if claim.differs and forward.note:
                results.append(refused(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE))
            elif reason:
                results.append(refused(name, label, shape, reason))
            else:
                measured = self.measure(name)
                results.append(compare(name, label, claimed, measured, self.rtol, self.atol))
        return (
            results if forward.fault or claim.fault else self.told_swaps(results, claim.gradients)
        )

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input."""
        if name not in self.measured:
            self.measured[name] = differences(self.problem, name, self.numeric, self.progress)
        return self.measured[name]

    def told_swaps(self, results: list[GradientResult], claimed: Any) -> list[GradientResult]:
        """The results, with gradients that were returned in each other's place named."""
        failed = [result for result in results if result.verdict == Verdict.FAIL]
        for first in failed:
            for other in failed:
                if first is not other and self.is_of(claimed.get(first.name), other):
                    told = f"{first.reason}; what was returned for it is {other.gradient}"
                    results[results.index(first)] = replace(first, reason=told)
        return results

    def is_of(self, claimed: Any, result: GradientResult) -> bool:
        """Whether an array is the right gradient of another input."""
        if refusal(claimed, result.shape, self.problem.label(result.name)):
            return False
        return agrees(claimed, self.measure(result.name), self.rtol, self.atol)


def vacuous(problem: Problem) -> list[str]:
    """What makes a check blind: it passes, and would for many a wrong rule."""
    notes = []
    if problem.cotangent is not None and not np.any(problem.cotangent):
        notes.append("the upstream gradient is zero: every gradient is zero, whatever the rule")
    for name, x in problem.inputs.items():
        if x.size > 1 and np.all(x == x.flat[0]):
            notes.append(f"all entries of {name} are equal: permuted or summed entries go unseen")
        elif x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and np.array_equal(x, x.T):
            notes.append(f"{name} is symmetric: a missing or extra transpose goes unseen")
    return notes


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
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def differences(
    problem: Problem, name: str, numeric: Numeric, progress: Progress | None = None
) -> NumericGradient:
    """The numeric gradient of one input of a problem."""
    cotangent = problem.cotangent
    return numeric_gradient(
        points_evaluator(problem, name),
        problem.inputs[name],
        None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
        order=numeric.order,
        step=numeric.step,
        sample=numeric.sample,
        progress=progress,
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
    strict = DEFAULT_RTOL["float64"]
    return max(DEFAULT_RTOL.get(str(x.dtype), strict) for x in problem.inputs.values())


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """One verdict for many: fail before inconclusive before pass."""
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
