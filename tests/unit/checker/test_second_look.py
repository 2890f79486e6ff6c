"""What random directions see of a right gradient is told for what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Numeric, Problem, Verdict, check

BY_DIRECTIONS = Numeric(mode="directions")


def normed(wrong: float) -> Problem:
    """A bias before a batch norm, whose gradient is zero, but for what is added to it."""
    random = np.random.default_rng(0)
    x, delta = random.normal(size=(2, 6, 120))

    def forward(inputs: Any) -> Any:
        z = x + inputs["b"]
        centered = z - z.mean(0)
        return centered / np.sqrt((centered**2).mean(0) + 1e-5)

    def backward(inputs: Any, cotangent: Any) -> Any:
        z = x + inputs["b"]
        centered = z - z.mean(0)
        s = np.sqrt((centered**2).mean(0) + 1e-5)
        inner = cotangent / s - centered * (cotangent * centered).mean(0) / s**3
        return {"b": (inner - inner.mean(0)).sum(0) + wrong}

    return Problem({"b": random.normal(size=120)}, forward, backward, delta)


def fixed_point(wrong: float, tolerance: float = 1e-8) -> Problem:
    """z = tanh(x + z w), iterated until it moves by less than a tolerance; an exact backward."""
    random = np.random.default_rng(1)
    x, w, delta = (
        random.normal(size=30),
        0.08 * random.normal(size=(30, 30)),
        random.normal(size=30),
    )

    def solve(x: Any, tolerance: float) -> Any:
        z, last = np.tanh(x), x + np.inf
        while np.max(np.abs(z - last)) >= tolerance:
            z, last = np.tanh(x + z @ w), z
        return z

    def backward(inputs: Any, cotangent: Any) -> Any:
        slope = 1 - solve(inputs["x"], 1e-15) ** 2
        exact = np.linalg.solve(np.eye(30) - slope[:, None] * w, slope * cotangent)
        return {"x": exact * (1 + wrong)}

    return Problem({"x": x}, lambda inputs: solve(inputs["x"], tolerance), backward, delta)


def test_a_gradient_that_is_zero_by_invariance_does_not_fail() -> None:
    (gradient,) = check(normed(0.0), numeric=BY_DIRECTIONS).gradients
    assert gradient.verdict != Verdict.FAIL
    (gradient,) = check(normed(1e-6), numeric=BY_DIRECTIONS).gradients
    assert gradient.verdict == Verdict.FAIL


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_what_an_inexact_solver_is_off_by_is_no_failure(wrong: float) -> None:
    (gradient,) = check(fixed_point(wrong), numeric=BY_DIRECTIONS).gradients
    assert (gradient.verdict == Verdict.FAIL) == (wrong > 0)
