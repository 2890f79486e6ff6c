"""Slopes from five points: as near as they say, at a price that is known before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.numeric.five_points import measure_slopes
from gradcheck_cli.numeric.noise import Float

CURVES: dict[str, tuple[Any, Any]] = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "exp": (np.exp, np.exp),
    "sine": (np.sin, np.cos),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "steep": (lambda x: np.tanh(300 * x), lambda x: 300 / np.cosh(300 * x) ** 2),
}


class Counted:
    """A function of points, one after another, that counts them."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, points: Float) -> Float:
        self.calls += len(points)
        return np.asarray(self.function(points))


@pytest.mark.parametrize("curve", CURVES)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_slopes_are_as_near_as_they_say(curve: str, seed: int, size: float) -> None:
    function, slope = CURVES[curve]
    random = np.random.default_rng(seed)
    x, cotangent = size * random.standard_normal(7), random.standard_normal(7)
    evaluate = Counted(lambda points: function(points / size))
    scale, entries = np.full(7, size), np.array([0, 3, 6])
    with np.errstate(all="ignore"):
        value, uncertainty = measure_slopes(evaluate, x, scale, entries, cotangent)
        exact = (cotangent * slope(x / size) / size)[entries]
    assert np.all(np.abs(value - exact) <= uncertainty)
    assert evaluate.calls <= 1 + 8 * len(entries)


def test_a_smooth_slope_takes_four_evaluations_and_has_nine_digits() -> None:
    x = np.linspace(-1, 1, 9)
    evaluate = Counted(lambda points: np.tanh(points) @ np.arange(1.0, 10.0)[:, None])
    value, uncertainty = measure_slopes(evaluate, x, np.ones(9), np.arange(9))
    assert evaluate.calls == 1 + 4 * 9
    assert value.shape == (1, 9)
    assert np.max(uncertainty) < 1e-9 * np.max(value)


def test_what_is_not_finite_is_not_known() -> None:
    evaluate = Counted(lambda points: np.log(points))
    with np.errstate(all="ignore"):
        value, uncertainty = measure_slopes(
            evaluate, np.array([-1.0, 1.0]), np.ones(2), np.arange(2), np.ones(2)
        )
    assert not np.any(value)
    assert np.all(np.isinf(uncertainty))
