"""A backward that changes what it is handed: its numbers are compared, and it is said once."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, assert_gradients, check, from_functions

Array = Any  # functions of users have no types

X = np.array([[0.3, -1.2], [0.8, 0.5]])
W = np.array([[1.1, -0.4], [0.2, 0.9]])
TOLD = "the backward changes its input x in place"


def problem(factor: float = 1.0, *, allowed: bool = False) -> Problem:
    """Of a product; factor: of ∂L/∂x, which is right with 1."""

    def backward(delta: Array, x: Array, w: Array) -> Any:
        found = factor * delta @ w.T, x.T @ delta
        x *= 0.5
        return found

    made = from_functions(lambda x, w: x @ w, backward, {"x": X, "w": W})
    return replace(made, in_place=allowed)


def test_it_fails_beside_one_gradient_and_all_are_compared() -> None:
    result = check(problem())
    remedy = "; let it work on a copy, or accept it by in_place: allowed"
    assert [one.reason for one in result.gradients] == [TOLD + remedy, ""]
    assert [one.verdict for one in result.gradients] == [Verdict.FAIL, Verdict.PASS]
    assert [one.max_over_allowed is None for one in result.gradients] == [False, False]


def test_it_passes_with_a_note_where_it_is_allowed() -> None:
    result = check(problem(allowed=True))
    assert result.verdict == Verdict.PASS
    assert [one.notes for one in result.gradients] == [(f"{TOLD}, which is allowed",), ()]


def test_a_wrong_one_fails_by_its_numbers() -> None:
    for one in (problem(2.0), problem(2.0, allowed=True)):
        x, w = check(one).gradients
        assert (x.verdict, w.verdict) == (Verdict.FAIL, Verdict.PASS)
        assert x.diagnosis is not None
        assert x.diagnosis.code == "GC103"
        assert x.notes[0].startswith(TOLD)


def test_the_functions_of_python_take_it_as_an_argument() -> None:
    def backward(delta: Array, x: Array) -> Array:
        delta *= 2 * x
        return delta

    def square(x: Array) -> Array:
        return x**2

    assert check(square, backward, {"x": X}).verdict == Verdict.FAIL
    assert assert_gradients(square, backward, {"x": X}, in_place=True).verdict == Verdict.PASS
