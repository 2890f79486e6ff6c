"""Law: a loss that is a difference of numbers near 1 rounds as they do, not as it does.

Near its minimum it is zero to rounding wherever it is looked at, and that is no gradient of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import Problem, Verdict, from_functions
from tests.support.verdicts import judge

Function = Callable[[Any], Any]
SEEDS = 2
# Each with its derivative, in a form that does not cancel.
LOSSES: dict[str, tuple[Function, Function]] = {
    "Kullback-Leibler, of logarithms of variances": (
        lambda x: -0.5 * (1 + x - np.exp(x)),
        lambda x: 0.5 * np.expm1(x),
    ),
    "1 - cos x": (lambda x: 1 - np.cos(x), np.sin),
    "√(1 + x²) - 1": (lambda x: np.sqrt(1 + x * x) - 1, lambda x: x / np.hypot(1, x)),
    "log cosh x": (lambda x: np.log(np.cosh(x)), np.tanh),
    "log(1 + x)": (lambda x: np.log(1 + x), lambda x: 1 / (1 + x)),
    "exp x - 1": (lambda x: np.exp(x) - 1, np.exp),
}


def problem(
    name: str, scale: float, seed: int, *, summed: bool, batched: bool, error: float
) -> Problem:
    """A loss at inputs of a scale; the largest entry of its gradient is off by a share."""
    (loss, slope), random = LOSSES[name], np.random.default_rng(seed)
    x, w = scale * random.normal(size=6), np.ones(()) if summed else random.normal(size=6)
    gradient = w * slope(x)
    gradient[np.argmax(np.abs(gradient))] *= 1 + error
    return Problem(
        {"x": x},
        lambda inputs: loss(inputs["x"]).sum(axis=-1) if summed else loss(inputs["x"]),
        lambda inputs, delta: {"x": gradient},
        w,
        batched=batched,
    )


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("summed", [True, False])
@pytest.mark.parametrize("scale", [1e-6, 1e-8, 1e-9, 1e-12])
@pytest.mark.parametrize("name", LOSSES)
def test_no_right_gradient_fails_and_no_wrong_one_passes(
    name: str, scale: float, *, summed: bool, batched: bool
) -> None:
    for seed in range(SEEDS):
        right = problem(name, scale, seed, summed=summed, batched=batched, error=0.0)
        assert judge(right).verdict != Verdict.FAIL
        wrong = problem(name, scale, seed, summed=summed, batched=batched, error=1e-4)
        assert judge(wrong).verdict != Verdict.PASS


@pytest.mark.parametrize("name", ["1 - cos x", "log cosh x", "exp x - 1"])
def test_the_reason_says_what_cancels(name: str) -> None:
    result = judge(problem(name, 1e-12, 0, summed=True, batched=True, error=0.0))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "the forward is a difference of numbers of about" in result.gradients[0].reason


@given(st.integers(0, 2**32 - 1))
def test_the_loss_of_a_saturated_softmax_is_no_zero(seed: int) -> None:
    """That of logits y and 0, of which it has the rounding, where y is 0 itself further off."""
    random = np.random.default_rng(seed)
    b = random.choice([-1.0, 1.0]) * random.uniform(1, 10, 1)
    z = random.uniform(28, 36.5) - b

    def loss(b: Any) -> Any:
        y = np.maximum(z + b, 0.0)
        return np.log(np.exp(y) + 1) - y

    def slope(delta: Any, b: Any) -> Any:
        return delta * np.where(z + b > 0, -1 / (1 + np.exp(z + b)), 0.0)

    assert judge(from_functions(loss, slope, {"b": b})).verdict != Verdict.FAIL


DEAD: dict[str, tuple[Function, Function]] = {
    "zero up to 9": (lambda x: np.where(x > 9.0, x, 0.0), np.zeros_like),
    "saturated": (lambda x: np.tanh(1e3 * x), np.zeros_like),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_unit_and_a_saturated_one_are_no_rounding(name: str) -> None:
    (function, slope), (x, w) = DEAD[name], np.random.default_rng(0).normal(size=(2, 6))
    made = Problem(
        {"x": x},
        lambda inputs: function(inputs["x"]),
        lambda inputs, delta: {"x": delta * slope(x)},
        w,
        batched=True,
    )
    assert judge(made).verdict == Verdict.PASS
