"""What a check could catch: caught, survived with its reason, or nothing to catch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions
from gradcheck_cli.checker.check import check as check_problem
from gradcheck_cli.options import Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import Mutant, MutantStatus
from tests.support.layers import given, layer, problem

CAUGHT, SURVIVED, EQUAL = MutantStatus.CAUGHT, MutantStatus.SURVIVED, MutantStatus.EQUAL


def mutants(of: Problem, status: MutantStatus, tolerance: Tolerance | None = None) -> list[Mutant]:
    found = check_problem(of, power=True, tolerance=tolerance).mutants
    assert found is not None
    return [mutant for mutant in found if mutant.status == status]


def reasons(found: list[Mutant], code: str) -> set[str]:
    return {mutant.reason for mutant in found if mutant.code == code}


def test_mutants_are_made_where_they_are_asked_for() -> None:
    assert check(problem(layer())).mutants is None


def test_a_check_of_a_batch_catches_all() -> None:
    of = problem(layer())
    assert not mutants(of, SURVIVED)
    assert not mutants(of, EQUAL)
    codes = {mutant.code for mutant in mutants(of, CAUGHT)}
    assert {"GC102", "GC103", "GC109", "GC121", "GC123", "GC124", "GC126"} <= codes


def test_with_one_sample_a_factor_n_changes_nothing() -> None:
    found = mutants(problem(layer(n=1)), EQUAL)
    assert reasons(found, "GC103") == {"n = 1, so n and 1/n are 1"}
    assert all(mutant.remedy == "" for mutant in found)
    assert not mutants(problem(layer(n=1)), SURVIVED)


def test_a_symmetric_matrix_hides_its_transpose() -> None:
    x, t = np.array([[0.4, -1.0, 2.0]]), np.array([[0.1, 0.7, -0.3]])
    W = np.array([[2.0, 0.3, 1.0], [0.3, -1.0, 0.6], [1.0, 0.6, 0.8]])
    found = mutants(problem(given("xW", x, W, t)), SURVIVED)
    assert reasons(found, "GC106") == {"W is symmetric"}
    assert {mutant.remedy for mutant in found} == {
        "inputs that are not symmetric; sizes that differ make it an error of shapes"
    }


def test_a_gradient_of_zero_hides_everything() -> None:
    of = problem(given("xW", np.ones((1, 2)), np.eye(2), np.ones((1, 2))))
    found = mutants(of, SURVIVED)
    assert reasons(found, "GC102") == {"δ is zero, and every gradient with it"}
    assert "GC103" in {mutant.code for mutant in found}


def test_an_upstream_gradient_of_ones_hides_that_it_is_left_out() -> None:
    of = problem(
        given(
            "xW",
            np.array([[1.0, -2.0]]),
            np.array([[1.0, 0.0], [3.0, 1.0]]),
            np.array([[1.0, 1.0]]),
            loss="linear",
        )
    )
    found = mutants(of, SURVIVED)
    assert reasons(found, "GC121") == {"δ is the same with it"}
    assert reasons(found, "GC122") == {"δ is the same with it"}


def test_a_loose_tolerance_hides_what_is_small() -> None:
    found = mutants(problem(layer()), SURVIVED, Tolerance(rtol=0.1))
    (reason, *_) = reasons(found, "GC115")
    assert reason.endswith("of an entry, below what this check resolves")
    assert "GC114" in {mutant.code for mutant in found}


def test_relu_may_be_differentiated_at_its_output() -> None:
    found = mutants(problem(layer(activation="relu")), EQUAL)
    assert {mutant.code for mutant in found} == {"GC132", "GC133"}
    assert not mutants(problem(layer(activation="relu")), SURVIVED)


def test_a_sum_over_samples_has_no_order() -> None:
    found = mutants(problem(layer(bias=True, loss="linear", n=4)), EQUAL)
    assert ("GC124", "∂L/∂b") in {(mutant.code, mutant.gradient) for mutant in found}


def test_a_wrong_rule_does_not_change_what_the_check_could_catch() -> None:
    right, wrong = problem(layer()), problem(layer(own_rules={"W": "X.T @ delta / n"}))
    assert mutants(right, CAUGHT) == mutants(wrong, CAUGHT)


@pytest.mark.parametrize("raises", [OSError("not there"), ValueError("no"), FloatingPointError()])
def test_a_forward_that_fails_elsewhere(raises: Exception) -> None:
    x = np.linspace(0.5, 2.0, 4)

    def forward(x: Any) -> Any:
        if np.any(x < 0.05):
            raise raises
        return np.sqrt(x)

    of = from_functions(forward, lambda delta, x: delta / (2 * np.sqrt(x)), {"x": x})
    assert not mutants(of, SURVIVED)
    assert mutants(of, CAUGHT)


def test_functions_that_do_not_depend_on_an_input() -> None:
    of = from_functions(
        lambda x, unused: x * 2.0,
        lambda delta, x, unused: (delta * 2.0, unused * 0),
        {"x": np.array([1.0, 2.0]), "unused": np.array([3.0, 4.0])},
    )
    survived = mutants(of, SURVIVED)
    assert {mutant.gradient for mutant in survived} <= {"∂L/∂unused"}
