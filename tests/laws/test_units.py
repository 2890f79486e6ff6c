"""Inputs of any scale, and tensors whose entries have units of their own: no false verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_cli import Verdict, check, from_functions, from_value_and_grad
from gradcheck_cli.numeric.scales import SHRINK, entry_scale
from gradcheck_cli.result import GradientResult, Zero
from tests.support.verdicts import judge

Float = Any
seeds = st.integers(0, 2**32 - 1)


def judge_loss(
    value: Callable[[Float], float], gradient: Callable[[Float], Float], w: Float
) -> Any:
    problem = from_value_and_grad(lambda w: (value(w), gradient(w)), {"w": w})
    return judge(problem).gradients[0]


def least_squares(random: np.random.Generator, widest: float) -> tuple[Any, Any, Float]:
    """½ ‖Xw − t‖² / n of features from 10^−widest to 10^widest, with weights that balance them."""
    scales = 10.0 ** random.permutation(np.linspace(-widest, widest, 6))
    X, t = random.normal(size=(20, 6)) * scales, random.normal(size=20)
    w = random.normal(size=6) / scales

    def value(w: Float) -> float:
        return float(np.sum((X @ w - t) ** 2) / 40)

    return value, lambda w: X.T @ (X @ w - t) / 20, w


@given(seeds, st.sampled_from([1.0, 3.0, 6.0, 9.0]))
def test_features_in_units_of_their_own_pass(seed: int, widest: float) -> None:
    value, gradient, w = least_squares(np.random.default_rng(seed), widest)
    assert judge_loss(value, gradient, w).verdict == Verdict.PASS


@given(seeds, st.sampled_from([1.0, 3.0]))
def test_a_wrong_gradient_of_the_largest_feature_fails(seed: int, widest: float) -> None:
    value, gradient, w = least_squares(np.random.default_rng(seed), widest)

    def wrong(w: Float) -> Float:
        right = gradient(w)
        right[np.argmax(np.abs(right))] *= 1 + 1e-6
        return right

    assert judge_loss(value, wrong, w).verdict == Verdict.FAIL


def tiny(random: np.random.Generator, scale: float) -> tuple[Any, Any, Float]:
    """A net with one hidden layer of tanh at weights of this scale: its gradient is as small."""
    X, t = random.normal(size=(6, 4)), random.normal(size=(6, 2))

    def value(w: Float) -> float:
        return float(np.sum((np.tanh(X @ w[:20].reshape(4, 5)) @ w[20:].reshape(5, 2) - t) ** 2))

    def gradient(w: Float) -> Float:
        W1, W2 = w[:20].reshape(4, 5), w[20:].reshape(5, 2)
        hidden = np.tanh(X @ W1)
        delta = 2 * (hidden @ W2 - t)
        inner = delta @ W2.T * (1 - hidden**2)
        return np.concatenate([(X.T @ inner).ravel(), (hidden.T @ delta).ravel()])

    return value, gradient, scale * random.normal(size=30)


@settings(max_examples=20)
@given(seeds, st.sampled_from([1e-4, 1e-6, 1e-8]))
def test_a_gradient_that_is_tiny_beside_its_loss_is_not_called_zero(
    seed: int, scale: float
) -> None:
    value, gradient, w = tiny(np.random.default_rng(seed), scale)
    result: GradientResult = judge_loss(value, gradient, w)
    assert result.verdict != Verdict.FAIL
    assert result.zero != Zero.INVARIANT


@settings(max_examples=20)
@given(seeds, st.sampled_from([1e-4, 1e-6, 1e-8]))
def test_a_tiny_gradient_that_is_wrong_fails(seed: int, scale: float) -> None:
    value, gradient, w = tiny(np.random.default_rng(seed), scale)
    assert judge_loss(value, lambda w: 1.2 * gradient(w), w).verdict == Verdict.FAIL


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_a_small_entry_without_units_of_its_own_keeps_its_surroundings(size: float) -> None:
    x = size * np.array([1.0, -0.7, 1e-5, 2.0])
    result = judge_loss(lambda x: float(np.sum(x**2)), lambda x: 2 * x, x)
    assert (result.verdict, result.wrong) == (Verdict.PASS, 0)


@given(seeds, st.sampled_from([3.0, 6.0]))
def test_entries_in_units_of_their_own_pass_where_units_saturate(seed: int, widest: float) -> None:
    random = np.random.default_rng(seed)
    units = 10.0 ** random.uniform(-widest, widest, (4, 5))
    W, x = random.normal(size=(5, 3)), random.normal(size=(4, 5)) * units

    def forward(x: Float) -> Float:
        return np.tanh((x / units) @ W)

    def backward(delta: Float, x: Float) -> Float:
        return delta * (1 - forward(x) ** 2) @ W.T / units

    assert check(from_functions(forward, backward, {"x": x})).verdict == Verdict.PASS


@given(seeds, st.sampled_from([6.0, 12.0]))
def test_tiny_numbers_beside_others_stay_in_the_domain_of_a_root(seed: int, widest: float) -> None:
    x = 10.0 ** np.random.default_rng(seed).uniform(-widest, 0, 8)
    problem = from_functions(np.sqrt, lambda delta, x: delta / (2 * np.sqrt(x)), {"x": x})
    assert check(problem).verdict == Verdict.PASS


@given(seeds, st.sampled_from([1e3, 1e5, 1e8]))
def test_a_wave_that_a_step_of_the_other_entries_meets_in_the_same_phase_passes(
    seed: int, waves: float
) -> None:
    """A thousandth of the scale around holds a whole number of periods, and moves nothing."""
    random = np.random.default_rng(seed)
    others = random.normal(size=6)
    period = entry_scale(np.append(0.0, others))[0] / SHRINK / waves
    x = np.append(period * random.normal() / 6, others)
    unit = np.append(period / (2 * np.pi), np.ones(6))
    problem = from_functions(
        lambda x: np.sin(x / unit), lambda delta, x: delta * np.cos(x / unit) / unit, {"x": x}
    )
    assert judge(problem).gradients[0].verdict == Verdict.PASS
