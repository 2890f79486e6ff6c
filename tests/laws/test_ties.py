"""Where entries tie, a subgradient is right in any order of them; its sum over the tie is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.result import GradientResult
from tests.support.layers import Float
from tests.support.verdicts import judge

Weights = Callable[[int], Any]


# Of the entries of an input in order, by how many there are: outputs × entries.
IN_ORDER: dict[str, Weights] = {
    "sort": lambda n: np.eye(n),
    "the two largest": lambda n: np.eye(n)[-2:],
    "maximum": lambda n: np.eye(n)[-1:],
    "median": lambda n: (np.eye(n)[[(n - 1) // 2]] + np.eye(n)[[n // 2]]) / 2,
    "range": lambda n: np.eye(n)[-1:] - np.eye(n)[:1],
    "distances": lambda n: 2 * np.arange(n)[None] - n + 1.0,
}
ties = st.lists(st.integers(-1, 1), min_size=3, max_size=7)


def judge_one(x: Float, weights: Weights, claimed: Float, cotangent: Float) -> GradientResult:
    problem = Problem(
        {"x": x},
        lambda inputs: weights(len(x)) @ np.sort(inputs["x"]),
        lambda inputs, delta: {"x": claimed},
        cotangent,
    )
    (gradient,) = judge(problem).gradients
    return gradient


def draw(weights: Weights, x: Float, seed: int) -> tuple[Float, Float]:
    """A subgradient, where entries that tie stand in a random order, and its cotangent."""
    random = np.random.default_rng(seed)
    cotangent = random.uniform(1, 2, len(weights(len(x))))
    gradient = np.empty(len(x))
    gradient[np.lexsort((random.uniform(size=len(x)), x))] = cotangent @ weights(len(x))
    return gradient, cotangent


@pytest.mark.parametrize("weights", IN_ORDER.values(), ids=IN_ORDER)
@settings(max_examples=10)
@given(ties, st.sampled_from([1e-3, 1.0, 1e3]), st.integers(0, 2**31))
def test_any_order_of_what_ties_is_right(
    weights: Weights, values: list[int], scale: float, seed: int
) -> None:
    x = scale * np.array(values, dtype=float)
    gradient, cotangent = draw(weights, x, seed)
    assert judge_one(x, weights, gradient, cotangent).verdict != Verdict.FAIL


@pytest.mark.parametrize("weights", IN_ORDER.values(), ids=IN_ORDER)
@settings(max_examples=10)
@given(st.lists(st.just(1), min_size=2, max_size=4), st.integers(0, 2**31))
def test_a_wrong_sum_over_a_tie_fails(weights: Weights, tie: list[int], seed: int) -> None:
    """Though each entry is between the slopes of its kink."""
    x = np.array([0.0, *tie, 2.0, -1.0])
    if weights is IN_ORDER["maximum"] or weights is IN_ORDER["the two largest"]:
        x = np.minimum(x, 1.0)
    gradient, cotangent = draw(weights, x, seed)
    at = np.flatnonzero(x == 1)
    gradient[at] += 0.1
    result = judge_one(x, weights, gradient, cotangent)
    assert result.verdict == Verdict.FAIL


def test_a_wrong_sum_is_told_as_one() -> None:
    result = judge_one(
        np.array([1.0, 3.0, 3.0, 3.0]),
        IN_ORDER["maximum"],
        np.array([0.0, 0.5, 0.5, 0.5]),
        np.ones(1),
    )
    assert result.reason == (
        "3 of 4 entries are wrong: the 3 entries that tie with [1] cross no corner when they are "
        "moved together: their sum is 1, and 1.5 is claimed"
    )


def test_units_that_do_not_tie_may_have_any_subgradients() -> None:
    """Of max(x, 0) at zeros: moved together they cross their corners."""
    problem = Problem(
        {"x": np.array([0.0, 0.0, 0.0, 1.0])},
        lambda inputs: np.maximum(inputs["x"], 0),
        lambda inputs, delta: {"x": delta * np.array([0.0, 1.0, 0.3, 1.0])},
        np.array([1.0, -2.0, 1.0, 1.0]),
    )
    assert check(problem).verdict == Verdict.PASS


def test_slopes_that_a_curve_varies_off_a_tie_excuse_nothing() -> None:
    """Those of the inverse of a matrix that is nearly singular, whose entries tie."""
    hilbert = 1.0 / (1 + np.add.outer(np.arange(4.0), np.arange(4.0)))
    cotangent = np.random.default_rng(0).normal(size=(4, 4))
    inverse = np.linalg.inv(hilbert)
    gradient = -inverse.T @ cotangent @ inverse.T
    error = np.zeros((4, 4))
    error[0, 1], error[1, 0] = 1.0, -1.0  # which leaves the sum of this tie as it is

    def verdict_of(share: float) -> Verdict:
        claimed = gradient + share * np.abs(gradient).max() * error
        problem = Problem(
            {"A": hilbert},
            lambda inputs: np.linalg.inv(inputs["A"]),
            lambda inputs, delta: {"A": claimed},
            cotangent,
        )
        return check(problem).verdict

    assert verdict_of(0.0) == Verdict.PASS
    assert verdict_of(1e-5) == Verdict.FAIL
