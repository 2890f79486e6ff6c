"""Diagnose the wrong gradients of a check, and find out which faults the check would catch.

This is apart from the check itself, because it imports the whole catalogue of faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.checker.gradients import GradientChecker
from gradcheck_cli.checker.measurements import MOST_DIAGNOSED
from gradcheck_cli.faults.diagnosis import diagnose_gradient, use_hidden_stages
from gradcheck_cli.faults.hidden_stages import find_hidden_stages
from gradcheck_cli.faults.kinds.shape_faults import match_shape_fault
from gradcheck_cli.faults.measured_gradient import Measure, MeasuredGradient
from gradcheck_cli.faults.mutation import mutate
from gradcheck_cli.faults.regions import describe_location, map_errors
from gradcheck_cli.faults.shared_explanations import (
    Wrong,
    describe_reduction,
    explain_by_common_upstream,
    explain_by_one_fault,
    explain_by_others,
    find_reduction,
    try_faults_of_others,
)
from gradcheck_cli.faults.values import Effort, remember
from gradcheck_cli.measure.comparison import Allowance, compare_entries
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem, Stage
from gradcheck_cli.result import (
    CheckResult,
    Code,
    Diagnosis,
    Exercise,
    GradientResult,
    Mutant,
    Verdict,
)

# Forwards that the diagnoses of a check may call: CALLS_PER_EVALUATION for each that the check
# called, or LEAST_CALLS if that is more, which is enough for most faults. The search for faults
# inside the forward may call as many again.
CALLS_PER_EVALUATION, LEAST_CALLS = 1, 1_000
# The share of the calls inside the forward that may be used to find its stages, and how many of
# them at most.
SEARCH_SHARE, MOST_SEARCHED = 0.5, 10_000


def diagnose(
    result: CheckResult, checker: GradientChecker, claimed: Mapping[str, Any]
) -> CheckResult:
    """The result with a diagnosis of each wrong gradient and, if `power` is on, with mutants.

    claimed: the analytic gradients by input.
    """
    measurements = checker.measurements
    skipped = {one.name for one in result.gradients if one.directions}
    if measurements.budget.has_room(MOST_DIAGNOSED):
        skipped -= set(measurements.located)
    diagnoser = Diagnoser(
        checker.problem,
        measurements.measure,
        checker.options.numeric,
        checker.allowance,
        skipped,
    )
    gradients = diagnoser.diagnose(list(result.gradients), claimed, measurements.evaluations)
    notes = (*result.notes, *diagnoser.notes)
    result = replace(result, gradients=tuple(gradients), notes=notes)
    if not checker.options.power:
        return result
    mutants, exercise = diagnoser.mutate()
    return replace(result, mutants=tuple(mutants), exercise=tuple(exercise))


class Diagnoser:
    """Diagnoses the gradients of one check.

    measure: gives the numeric gradient of an input; allowance: the check's tolerance.
    skipped: inputs whose gradients are not diagnosed, since their entries were not measured.
    notes: sentences on diagnoses that failed.
    """

    def __init__(
        self,
        problem: Problem,
        measure: Measure,
        numeric: Numeric,
        allowance: Allowance,
        skipped: Set[str],
    ) -> None:
        # Diagnoses of all gradients call the forward at the same points, so its outputs are kept.
        self.problem = (
            problem if problem.batched else replace(problem, forward=remember(problem.forward))
        )
        self.measure = measure
        self.numeric = numeric
        self.allowance = allowance
        self.skipped = skipped
        self.calls = 0.0  # forwards that all diagnoses may call, and as many inside the forward
        self.outside, self.inside = Effort(), Effort()
        self.notes: list[str] = []
        self.hidden: list[Stage] | None = None  # the stages inside the forward; None: not searched
        self.search_calls = 0  # forwards that this search took
        self.wrong: dict[str, Wrong] = {}
        self.views_inside: dict[str, MeasuredGradient] = {}

    def diagnose(
        self, results: list[GradientResult], claimed: Mapping[str, Any], evaluations: int
    ) -> list[GradientResult]:
        """The results with the diagnoses of those that failed, and where they are wrong.

        claimed: the analytic gradients by input; evaluations: how many forwards the check called,
        which bounds how many the diagnoses may call.
        """
        self.calls = max(CALLS_PER_EVALUATION * evaluations, LEAST_CALLS)
        failed = [result.name for result in results if result.verdict == Verdict.FAIL]
        shares = {name: (place + 1) / len(failed) for place, name in enumerate(failed)}
        diagnosed = [
            self._try(result, claimed.get(result.name), shares[result.name])
            if result.name in shares
            else result
            for result in results
        ]
        try:
            with np.errstate(all="ignore"):
                explained = self._explain_together(diagnosed)
        except Exception as error:
            self._note("what gradients have in common", error)
            return diagnosed
        return [
            replace(result, diagnosis=explained.get(result.name, result.diagnosis))
            for result in diagnosed
        ]

    def _explain_together(self, results: Sequence[GradientResult]) -> dict[str, Diagnosis | None]:
        """Better diagnoses of gradients that are found only from several of them, by input."""
        wrong = self.wrong
        reduction = find_reduction([wrong.get(result.name) for result in results])
        if reduction:
            return {
                result.name: describe_reduction(result.diagnosis, reduction) for result in results
            }
        by_others = {name: explain_by_others(one, wrong.values()) for name, one in wrong.items()}
        by_upstream = explain_by_common_upstream(wrong) if len(wrong) > 1 else {}
        by_one_fault = explain_by_one_fault(wrong, lambda one: self._look_inside(one.measured, 1.0))
        found = {name: one for name, one in by_others.items() if one is not None}
        return {**by_upstream, **found, **by_one_fault}

    def mutate(self) -> tuple[list[Mutant], list[Exercise]]:
        """The faults that apply to the gradients, with whether this check would catch each, and how
        much of the Jacobian its inputs exercise."""

        def measure(problem: Problem, name: str) -> NumericGradient:
            if problem is self.problem:
                return self.measure(name)
            return measure_gradient(problem, name, self.numeric)

        with np.errstate(all="ignore"):
            return mutate(self.problem, measure, self.allowance)

    def _try(self, result: GradientResult, claimed: Any, share: float) -> GradientResult:
        """The result with its diagnosis, or as it is, with a note, if the diagnosis fails.

        share: the share of all calls that may be used up after this diagnosis.
        """
        if result.name in self.skipped:
            return result
        try:
            with np.errstate(all="ignore"):
                return self._diagnose_gradient(result, claimed, share)
        except Exception as error:
            self._note(f"the diagnosis of {result.gradient}", error)
            return result

    def _note(self, what: str, error: Exception) -> None:
        """Note that something failed which the verdict does not need."""
        failed = f"{type(error).__name__}: {error}"
        self.notes.append(f"{what} failed: {failed}; please report it")

    def _diagnose_gradient(
        self, result: GradientResult, claimed: Any, share: float
    ) -> GradientResult:
        """The result of a wrong gradient with its diagnosis."""
        if result.diagnosis is not None and result.diagnosis.code != Code.OTHER_SHAPE:
            return result
        measured = self._describe(result.name)
        if result.diagnosis is not None:
            diagnosis = match_shape_fault(measured, claimed, self.allowance)
            return replace(result, diagnosis=diagnosis)
        comparison = compare_entries(claimed, measured.gradient, self.allowance)
        if not comparison.wrong.any():  # directions saw an error, the measured entries do not
            return result
        self.outside.most = share * self.calls
        look_inside = partial(self._look_inside, measured, share)
        found = try_faults_of_others(measured, comparison, self.wrong.values(), look_inside)
        found = found or diagnose_gradient(measured, comparison, look_inside)
        inside = self.views_inside.get(result.name)
        self.wrong[result.name] = Wrong(measured, comparison, found, inside)
        return replace(
            result,
            diagnosis=found.diagnosis,
            where=describe_location(comparison, measured.whole),
            map=map_errors(comparison, measured.whole),
        )

    def _look_inside(self, measured: MeasuredGradient, share: float) -> MeasuredGradient | None:
        """The gradient with the stages inside the forward, which are found once for all."""
        if self.hidden is None:
            self.hidden = []  # so that a search that fails is not repeated
            self.inside.most = min(SEARCH_SHARE * self.calls, MOST_SEARCHED)
            self.hidden = find_hidden_stages(self.problem, self.inside)
            self.search_calls = self.inside.calls
        left = max(0.0, self.calls - self.search_calls)
        self.inside.most = self.search_calls + share * left
        if measured.name in self.views_inside:
            return self.views_inside[measured.name]
        view = use_hidden_stages(measured, self.hidden, self.inside)
        if view is not None:
            self.views_inside[measured.name] = view
        return view

    def _describe(self, name: str) -> MeasuredGradient:
        """The right gradient of an input, with the budget of this diagnosis."""
        return MeasuredGradient(self.problem, name, self.measure, self.outside, guess=True)
