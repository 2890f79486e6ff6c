"""A forward that stops at a tolerance: neither of two right backwards fails, no wrong one passes.

One is exact, of what the forward would compute if it went on; the other is of the steps it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradcheck_cli import Problem, Tolerance, Verdict, check
from tests.support.verdicts import judge

Inputs = Mapping[str, Any]
SEEDS = st.integers(0, 2**32 - 1)


def iterates(x: Any, w: Any, tolerance: float) -> list[Any]:
    """z = tanh(x + z w), until it moves by less than a tolerance."""
    zs = [np.tanh(x)]
    for _ in range(1000):
        zs.append(np.tanh(x + zs[-1] @ w))
        if np.max(np.abs(zs[-1] - zs[-2])) < tolerance:
            break
    return zs


def slope(x: Any, w: Any, tolerance: float) -> Any:
    """∂z_j/∂x_i of the last of the iterates."""
    first, *others = iterates(x, w, tolerance)
    found = np.diag(1 - first**2)
    for z in others:
        found = (np.eye(len(x)) + found @ w) * (1 - z**2)
    return found


def solver(seed: int, tolerance: float, exact: bool) -> Problem:
    random = np.random.default_rng(seed)
    w = 0.3 * random.standard_normal((3, 3))
    w = w / max(1.0, float(np.linalg.norm(w, 2)) / 0.7)

    def forward(inputs: Inputs) -> Any:
        return iterates(inputs["x"], w, tolerance)[-1]

    def backward(inputs: Inputs, delta: Any) -> Any:
        return {"x": slope(inputs["x"], w, 1e-15 if exact else tolerance) @ delta}

    x, c = random.standard_normal((2, 3))
    return Problem({"x": x}, forward, backward, c)


def with_error(problem: Problem, share: float) -> Problem:
    """The problem with one entry of its backward off by a share of the largest."""

    def backward(inputs: Inputs, delta: Any) -> Any:
        right = dict(problem.backward(inputs, delta))["x"]
        return {"x": right + share * np.max(np.abs(right)) * np.array([0.0, 1.0, 0.0])}

    return replace(problem, backward=backward)


@given(SEEDS, st.sampled_from([1e-4, 1e-6, 1e-8]))
def test_an_exact_backward_of_an_inexact_forward_does_not_fail(seed: int, tolerance: float) -> None:
    result = check(solver(seed, tolerance, exact=True))
    assert result.verdict != Verdict.FAIL


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([1e-4, 1e-8]))
def test_the_backward_of_the_steps_that_are_taken_passes(seed: int, tolerance: float) -> None:
    (result,) = check(solver(seed, tolerance, exact=False)).gradients
    assert result.verdict == Verdict.PASS
    assert result.bound is not None
    assert result.bound < 1e-8


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([1e-4, 1e-8]), st.floats(-5.0, -2.0))
def test_an_error_above_what_jumps_explain_never_passes(
    seed: int, tolerance: float, size: float
) -> None:
    result = judge(with_error(solver(seed, tolerance, exact=True), 10.0**size))
    assert result.verdict != Verdict.PASS


@pytest.mark.parametrize("share", [1e-3, 0.1])
def test_an_error_far_above_what_the_jumps_explain_fails(share: float) -> None:
    result = judge(with_error(solver(3, 1e-8, exact=True), share))
    assert result.verdict == Verdict.FAIL


def test_the_reason_says_by_how_much_both_differ_and_why() -> None:
    (result,) = check(solver(3, 1e-4, exact=True)).gradients
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "analytic and numeric differ by" in result.reason
    assert "a solver that stops at a tolerance" in result.reason
    accepted = check(solver(3, 1e-4, exact=True), tolerance=Tolerance(rtol=1e-2))
    assert accepted.verdict == Verdict.PASS


def test_a_forward_that_is_meant_to_jump_excuses_nothing() -> None:
    x = np.array([0.2, 0.5, -0.4])

    def forward(inputs: Inputs) -> Any:
        return np.sin(inputs["x"]) + (inputs["x"] > x + 0.05)

    def wrong(inputs: Inputs, delta: Any) -> Any:
        return {"x": delta * np.cos(inputs["x"]) * (1 + 1e-4)}

    result = judge(Problem({"x": x}, forward, wrong, np.ones(3)))
    assert result.verdict == Verdict.FAIL


@pytest.mark.parametrize("seed", range(6))
def test_a_product_in_float16_fails_no_right_backward(seed: int) -> None:
    """At larger steps its outputs are larger, and so are the steps in which they move."""
    random = np.random.default_rng(seed)
    x, w, delta = (random.normal(size=size) for size in ((4, 5), (5, 3), (4, 3)))

    def forward(inputs: Any) -> Any:
        narrow = [inputs[name].astype(np.float16) for name in ("x", "w")]
        return (narrow[0] @ narrow[1]).astype(np.float64)

    problem = Problem(
        {"x": x, "w": w},
        forward,
        lambda inputs, delta: {"x": delta @ inputs["w"].T, "w": inputs["x"].T @ delta},
        delta,
    )
    assert check(problem).verdict != Verdict.FAIL
