"""What is wrong with gradients that failed, and what a check like theirs could catch.

It needs the catalogue of faults, which a check that passes does not import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.diagnosis import (
    allowed_calls,
    diagnosed,
    of_reduction,
    same_reduction,
)
from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.faults.measured_gradient import Effort, Measured, Right
from gradcheck_cli.faults.mutation import mutants
from gradcheck_cli.faults.of_shape import shape_diagnosed
from gradcheck_cli.faults.where import error_map, where
from gradcheck_cli.measure.compare import compared
from gradcheck_cli.measure.measure import differences
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import Code, GradientResult, Mutant, Verdict


class Diagnosing:
    """The diagnoses of one check; measure: gives the numeric gradient of an input."""

    def __init__(
        self,
        problem: Problem,
        measure: Measured,
        numeric: Numeric,
        rtol: float,
        atol: float,
    ) -> None:
        self.problem = problem
        self.measure = measure
        self.numeric = numeric
        self.rtol = rtol
        self.atol = atol
        self.effort = Effort()
        self.notes: list[str] = []

    def told(
        self, results: list[GradientResult], claimed: Mapping[str, Any], evaluations: int
    ) -> list[GradientResult]:
        """The results, with what is wrong and where for those that failed.

        evaluations: of the forward, that the numeric gradients took.
        """
        factors: list[Factor | None] = []
        failed = [result.name for result in results if result.verdict == Verdict.FAIL]
        found: list[GradientResult] = []
        for result in results:
            share = (len(found) + 1) / len(failed) if failed else 1.0
            calls, by = share * allowed_calls(evaluations), None
            if result.verdict == Verdict.FAIL and not result.directions:
                # Whatever goes wrong here, the verdict stands.
                try:
                    with np.errstate(all="ignore"):
                        result, by = self.diagnosis(result, claimed.get(result.name), calls)
                except Exception as error:
                    self.notes.append(
                        f"the diagnosis of {result.gradient} failed: {type(error).__name__}: "
                        f"{error}; please report it"
                    )
            found.append(result)
            factors.append(by)
        told = same_reduction(factors, self.right(found[0].name)) if any(factors) else ""
        if not told:
            return found
        return [replace(result, diagnosis=of_reduction(result.diagnosis, told)) for result in found]

    def diagnosis(
        self, result: GradientResult, claimed: Any, calls: float
    ) -> tuple[GradientResult, Factor | None]:
        """A wrong gradient with its diagnosis, and the factor that is all that is wrong with it."""
        if result.diagnosis is not None:
            if result.diagnosis.code != Code.OTHER_SHAPE:
                return result, None
            found = shape_diagnosed(self.right(result.name), claimed, self.rtol, self.atol)
            return replace(result, diagnosis=found), None
        right = self.right(result.name)
        both = compared(claimed, right.gradient, self.rtol, self.atol)
        told, by = diagnosed(right, both, calls)
        place, picture = where(both, right.whole), error_map(both, right.whole)
        return replace(result, diagnosis=told, where=place, map=picture), by

    def mutants(self) -> tuple[Mutant, ...]:
        """The faults that apply to the gradients, and whether this check would see them."""

        def measure(problem: Problem, name: str) -> NumericGradient:
            return (
                self.measure(name)
                if problem is self.problem
                else differences(problem, name, self.numeric)
            )

        with np.errstate(all="ignore"):
            return tuple(mutants(self.problem, measure, self.rtol, self.atol))

    def right(self, name: str) -> Right:
        """What is known of the right gradient of an input."""
        return Right(self.problem, name, self.measure, self.effort, guessing=True)
