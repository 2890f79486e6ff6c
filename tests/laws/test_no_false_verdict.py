"""No right gradient fails and no wrong one passes, where finite differences are easily wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.arrays import Drawn
from gradcheck_cli.result import GradientResult
from tests.support.layers import Float, layer, problem
from tests.support.numeric import numeric_gradient
from tests.support.verdicts import judge

Function = Callable[[Any], Any]


def judged(function: Function, x: Any, slope: Function) -> GradientResult:
    """An elementwise function of x, with a derivative that is claimed."""
    points = np.asarray(x, dtype=np.float64)
    cotangent = np.random.default_rng(1).normal(size=np.shape(function(points)))
    problem = Problem(
        {"x": points},
        lambda inputs: function(inputs["x"]),
        lambda inputs, delta: {"x": delta * slope(inputs["x"])},
        cotangent,
    )
    return judge(problem).gradients[0]


def relu(x: Any) -> Any:
    return np.maximum(x, 0.0)


DEAD_ZONES: dict[str, tuple[Function, Function, Function]] = {
    "hard threshold": (lambda x: x * (abs(x) > 1), lambda x: abs(x) > 1, np.ones_like),
    "hinge of square": (
        lambda x: relu(x * x - 1),
        lambda x: 2 * x * (abs(x) > 1),
        lambda x: 2 * x,
    ),
    "soft threshold": (lambda x: np.sign(x) * relu(abs(x) - 1), lambda x: abs(x) > 1, np.ones_like),
    "hinge of exponential": (
        lambda x: relu(np.exp(x) - 3),
        lambda x: np.exp(x) * (np.exp(x) > 3),
        np.exp,
    ),
    "far hinge": (lambda x: relu(x - 30), lambda x: x > 30, np.ones_like),
}
inside = st.lists(st.floats(0.05, 0.9), min_size=1, max_size=5)


@pytest.mark.parametrize("name", DEAD_ZONES)
@settings(max_examples=15)
@given(inside)
def test_a_function_that_is_constant_around_x_has_slope_zero(name: str, x: list[float]) -> None:
    function, right, wrong = DEAD_ZONES[name]
    assert judged(function, x, right).verdict == Verdict.PASS
    assert judged(function, x, wrong).verdict == Verdict.FAIL


@given(st.integers(0, 2**32 - 1))
def test_clipped_ratios_are_judged_where_they_are_clipped(seed: int) -> None:
    """As of a policy gradient: min(rA, clip(r)A) of r = exp(x), which is astronomic far away."""
    random = np.random.default_rng(seed)
    x, A = 0.3 * random.normal(size=8), random.normal(size=8)

    def value(x: Any) -> Any:
        return np.mean(np.minimum(np.exp(x) * A, np.clip(np.exp(x), 0.8, 1.2) * A))

    def slope(x: Any) -> Any:
        r = np.exp(x)
        return r * A / 8 * ((r * A < np.clip(r, 0.8, 1.2) * A) | (abs(r - 1) < 0.2))

    assert judged(value, x, slope).verdict == Verdict.PASS
    if np.any(slope(x)):
        assert judged(value, x, lambda x: slope(x) + 1e-6).verdict == Verdict.FAIL


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_splines_are_judged_on_both_sides_of_their_knots(degree: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    knots, weights, x = random.normal(size=3), random.normal(size=3), 2 * random.normal(size=8)

    def spline(x: Any) -> Any:
        return sum(w * relu(x - k) ** degree for w, k in zip(weights, knots, strict=True))

    def slope(x: Any) -> Any:
        parts = zip(weights, knots, strict=True)
        return degree * sum(w * relu(x - k) ** (degree - 1) for w, k in parts)

    def off(x: Any) -> Any:
        return slope(x) + 1e-6 * np.max(np.abs(slope(x)))

    assert judged(spline, x, slope).verdict == Verdict.PASS
    if np.any(slope(x)):
        assert judged(spline, x, off).verdict == Verdict.FAIL


@given(st.floats(1.0, 1e6), st.floats(0.1, 1.0))
def test_a_slope_that_rounding_hides_is_looked_for_further_off(offset: float, x: float) -> None:
    """1e16·offset + x does not move near x, though its slope is 1."""
    found = judged(lambda at: 1e16 * offset + at, [x, -x], np.ones_like)
    assert found.verdict != Verdict.FAIL


@given(st.integers(0, 2**31), st.lists(st.integers(-9, 3), min_size=2, max_size=4))
def test_columns_have_scales_of_their_own(seed: int, exponents: list[int]) -> None:
    scales = 10.0 ** np.array(exponents)
    x = np.random.default_rng(seed).normal(size=(3, len(exponents))) * scales
    found = judged(lambda at: np.sin(at / scales), x, lambda at: np.cos(at / scales) / scales)
    assert found.verdict == Verdict.PASS


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(10, 200))
def test_what_saturated_outputs_hide_is_counted(seed: int, size: float) -> None:
    logits = size * np.random.default_rng(seed).normal(size=(3, 4))
    problem = Problem(
        {"x": logits},
        lambda inputs: softmax(inputs["x"]),
        lambda inputs, delta: {"x": softmax_gradient(softmax(inputs["x"]), delta)},
        np.random.default_rng(seed + 1).normal(size=(3, 4)),
    )
    assert check(problem).verdict != Verdict.FAIL


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_gradient(y: Float, delta: Float) -> Float:
    """y_i (δ_i − Σ y δ), without the cancellation where y_i is near 1."""
    apart = delta[..., :, None] - delta[..., None, :]
    gradient: Float = y * (y[..., None, :] * apart).sum(-1)
    return gradient


@given(st.floats(1e-320, 1e-300), st.integers(1, 6))
def test_at_the_smallest_numbers_nothing_right_fails(scale: float, count: int) -> None:
    x = scale * np.linspace(1, 2, count)
    assert judged(lambda at: 2 * at, x, lambda at: np.full(at.shape, 2.0)).verdict != Verdict.FAIL


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_a_forward_that_rounds_is_told_as_such(decimals: int) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5))
    found = judged(lambda at: np.round(at * at, decimals), x, lambda at: 2 * at)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert "the forward moves in steps of about" in found.reason


@pytest.mark.parametrize("apart", [1e-9, 1e-11, -1e-10, -1e-12])
def test_a_corner_near_by_is_told_as_what_leaves_tiny_steps(apart: float) -> None:
    x = np.array([0.3, 0.875 + apart, -0.4, 1.5])
    found = judged(lambda at: np.minimum(at, 0.875), x, lambda at: (at < 0.875).astype(float))
    assert found.verdict == Verdict.INCONCLUSIVE
    assert "something near by, such as a corner, leaves only steps of" in found.reason


@settings(max_examples=15)
@given(st.floats(0.02, 0.98))
def test_a_value_between_two_slopes_that_are_not_those_of_a_kink_fails(share: float) -> None:
    """Beside a corner there is one slope, however near it is."""
    x = np.array([1e-5, -1e-5, 0.5, -1.0])
    found = judged(relu, x, lambda at: np.where(abs(at) < 1e-3, share, at > 0))
    assert found.verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("form", "loss", "reduction", "activation", "bias", "seed"),
    [
        ("Wx", "softmax-cross-entropy", "sum", "elu", True, 479),
        ("Wx", "logistic", "sum", "elu", True, 695),
        ("xW", "softmax-cross-entropy", "sum", "silu", True, 1811),
        ("XW", "logistic", "mean", "relu", False, 3365),
        ("XW", "logistic", "mean", "silu", False, 3425),
    ],
)
def test_a_saturated_loss_that_moves_by_its_last_place_fails_no_right_rule(
    form: str, loss: str, reduction: str, activation: str, bias: bool, seed: int
) -> None:
    """In float32, log(1 + e⁻ᶻ) is a few last places of z: flat at x, and its slope is not zero."""
    made = layer(
        form,
        n=4,
        N=3,
        M=2,
        loss=loss,
        reduction=reduction,
        activation=activation,
        bias=bias,
        dtype="float32",
        seed=seed,
        sources={"X" if form == "XW" else "x": Drawn(scale=10.0)},
    )
    assert check(problem(made)).verdict != Verdict.FAIL


@given(st.integers(0, 2**31))
def test_steps_from_one_saturated_end_to_the_other_tell_no_slope(seed: int) -> None:
    """Where tanh is 1 but for its last digits, the largest steps move less than the first does."""
    random = np.random.default_rng(seed)
    x, w = 10 * random.normal(size=3), np.abs(random.normal(size=(3, 2)))
    b = random.choice([-1, 1]) * random.uniform(16, 24, 2) - x @ w

    def forward(x: Float) -> Float:
        y = np.tanh(x @ w + b)
        return np.asarray(np.log(np.exp(y).sum(-1)) - y[..., 1])

    y = np.exp(np.tanh(x @ w + b))
    slope = (w / np.cosh(x @ w + b) ** 2) @ (y / y.sum() - [0, 1])
    measured = numeric_gradient(forward, x, np.ones(()))
    assert np.all(np.abs(measured.value - slope) <= measured.uncertainty)


KINKS: dict[str, tuple[Function, Function]] = {
    "relu": (relu, lambda x: x > 0),
    "absolute": (np.abs, np.sign),
    "leaky": (lambda x: np.maximum(x, 0.2 * x), lambda x: np.where(x > 0, 1.0, 0.2)),
    "bent": (lambda x: np.maximum(np.sin(x), x / 2), lambda x: np.where(x > 0, np.cos(x), 0.5)),
}


@given(st.sampled_from(sorted(KINKS)), st.integers(0, 2**31), st.integers(-14, -3))
def test_an_entry_beside_a_kink_is_known_or_uncertain(kind: str, seed: int, decade: int) -> None:
    """The true slope is within the uncertainty, also where noise hides on which side x is."""
    random, (function, slope) = np.random.default_rng(seed), KINKS[kind]
    near = 10.0 ** (decade + random.uniform(size=3)) * random.choice([-1.0, 1.0], 3)
    x, w = np.concatenate([near, [1.0, -1.1, 1.3]]), random.uniform(0.5, 2.0, 6)
    measured, true = numeric_gradient(function, x, w), w * slope(x)
    assert np.all((measured.low <= true) & (true <= measured.high))


def iterate_logistic_map(x: Any, slope: bool = False) -> Any:
    """Eight steps of h ↦ 3.7 h (1 − h), which diverge outside of [0, 1]; or their derivative."""
    h, derivative = x, np.ones_like(x)
    for _ in range(8):
        h, derivative = 3.7 * h * (1 - h), 3.7 * (1 - 2 * h) * derivative
    return derivative if slope else h


@settings(max_examples=15)
@given(st.lists(st.floats(0.3, 0.9), min_size=2, max_size=6))
def test_noise_of_places_where_a_function_diverges_is_not_that_at_x(x: list[float]) -> None:
    found = judged(iterate_logistic_map, x, lambda at: iterate_logistic_map(at, slope=True))
    assert found.verdict == Verdict.PASS


def test_a_gradient_that_rounding_hides_as_a_whole_is_inconclusive() -> None:
    """Logits are so far apart that the softmax is 1 and 0, whatever the backward claims."""
    x = 100 * np.random.default_rng(3).normal(size=(5, 6))
    y = softmax(x)
    delta = np.random.default_rng(1).normal(size=(5, 6))
    slope = softmax_gradient(y, delta) / delta
    for found in (judged(softmax, x, lambda at: slope), judged(softmax, x, lambda at: 2 * slope)):
        assert found.verdict == Verdict.INCONCLUSIVE
        assert "rounding hides the whole gradient: its analytic entries" in found.reason


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_a_small_slope_that_is_seen_is_no_zero_by_invariance(seed: int) -> None:
    """The output is e⁻⁴⁰ here and 1 a step away, where it rounds by more than it moves here."""
    random = np.random.default_rng(seed)
    x = np.concatenate([[1.0], random.uniform(0.5, 2.0, 3)])

    def forward(x: Float) -> Float:
        return np.asarray(np.exp(-80 * (x[..., :1] - 0.5)) * np.tanh(x[..., 1:]))

    y = forward(x)
    slope = np.concatenate([[-80 * y.sum()], np.exp(-40) / np.cosh(x[1:]) ** 2])
    measured = numeric_gradient(forward, x, np.ones(3))
    assert np.all(measured.value != 0.0)
    assert np.all(np.abs(measured.value - slope) <= measured.uncertainty)


@pytest.mark.parametrize(
    ("reduction", "activation", "dtype", "seed"),
    [("sum", "gelu", "float64", 2000536), ("mean", "softplus", "float32", 2000599)],
)
def test_a_loss_that_is_a_difference_of_large_numbers_fails_no_right_rule(
    reduction: str, activation: str, dtype: str, seed: int
) -> None:
    """log Σ eʸ − y_k is 7e-15 or 0, and both it and its rule round as numbers of 34 do."""
    made = layer(
        "Wx",
        n=1,
        N=6,
        M=4,
        loss="softmax-cross-entropy",
        reduction=reduction,
        activation=activation,
        bias=True,
        dtype=dtype,
        seed=seed,
        sources={"x": Drawn(scale=10.0)},
    )
    assert check(problem(made)).verdict != Verdict.FAIL


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(["table", "decimals", "float16"]))
def test_steps_of_a_forward_hide_slopes_and_make_none(seed: int, kind: str) -> None:
    """What agrees by chance, or is the end of a bounded function far away, is no slope."""
    x = np.random.default_rng(seed).normal(size=8)
    forwards: dict[str, Function] = {
        "table": lambda x: np.sin(np.round(x * 1000) / 1000),
        "decimals": lambda x: np.round(np.sin(x), 3),
        "float16": lambda x: np.sin(np.asarray(x).astype(np.float16)).astype(np.float64),
    }
    assert judged(forwards[kind], x, np.cos).verdict != Verdict.FAIL
