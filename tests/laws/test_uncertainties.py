"""What hides from quotients, beside noise and truncation, is within their uncertainty, too."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import Problem
from gradcheck_cli.measure import measure as measuring
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from tests.support.layers import given, problem

Float = NDArray[np.float64]


def measured(forward: Any, x: Any, cotangent: Float, *, batched: bool = False) -> NumericGradient:
    """The numeric gradient of a forward of one input."""
    checked = Problem(
        {"x": x}, lambda inputs: forward(inputs["x"]), lambda *_: {}, cotangent, batched=batched
    )
    return measure_gradient(checked, "x", Numeric())


def holds(found: NumericGradient, truth: Float) -> bool:
    return bool(np.all(np.abs(found.value - truth) <= found.uncertainty))


@pytest.mark.parametrize("slope", [1e-9, 1e-6, 1e-3, 1e-2])
def test_a_slope_that_an_offset_hides_is_seen_by_steps_that_move_the_outputs(slope: float) -> None:
    x = np.linspace(0.5, 1.0, 4)
    found = measured(lambda x: 1e12 + slope * x, x, np.ones(4))
    assert np.all(found.uncertainty < 1e-3 * slope)
    assert holds(found, np.full(4, slope))


@pytest.mark.parametrize("size", [3e-4, 1e-3, 3e-3, 3e-2])
def test_a_bounded_function_that_an_offset_hides_is_not_zero_by_invariance(size: float) -> None:
    """It comes back to where it is at x from time to time, however far x is moved."""
    x = size * np.linspace(0.5, 1.0, 64)
    assert holds(measured(lambda x: 1e12 + np.cos(x), x, np.ones(64)), -np.sin(x))


@pytest.mark.parametrize("saturation", [18.0, 20.0, 22.0, 24.0, 26.0])
def test_a_side_that_is_flat_far_from_x_says_nothing_of_the_last_digits_there(
    saturation: float,
) -> None:
    """One unit is nearly dead at x, and comes to life within the larger steps to the left."""
    x, steepness = np.array([0.01, 1.0]), 100 * saturation

    def forward(x: Float) -> Float:
        return np.array([2e4 * np.sum(x) + np.logaddexp(0.0, -steepness * x[0])])

    dying = steepness / (1 + np.exp(saturation))
    assert holds(measured(forward, x, np.ones(1)), np.array([2e4 - dying, 2e4]))


@pytest.mark.parametrize(
    ("dtype", "offset", "seeds"), [("float32", 0.0, (3, 6)), ("float64", 1e12, (0, 1, 3))]
)
def test_where_noise_hides_corners_quotients_that_agree_by_luck_are_not_believed(
    dtype: str, offset: float, seeds: tuple[int, ...]
) -> None:
    """Sums of Huber losses: what the sides differ by shows that a slope bends within the step."""
    for seed in seeds:
        random = np.random.default_rng(seed)
        a, b = random.normal(size=(2, 8, 400))
        a, b, x = (array.astype(dtype) for array in (a, 3 * b, random.normal(size=400)))

        def forward(x: Any, a: Any = a, b: Any = b) -> Any:
            z = np.abs(a * x[..., None, :] + b)
            losses = np.where(z < 1, z * z / 2, z - z.dtype.type(0.5))
            return losses.sum(axis=-2) + z.dtype.type(offset)

        slopes = a * np.clip(a.astype(np.float64) * x + b, -1, 1)
        found = measured(forward, x, np.ones(400), batched=True)
        known = np.isfinite(found.uncertainty)
        off = np.abs(found.value - slopes.sum(axis=0))
        assert np.all(off[known] <= found.uncertainty[known])


@pytest.mark.parametrize("waves", [1e4, 1e5, 1e6, 1e7, 1e8])
@pytest.mark.parametrize("seed", range(4))
def test_a_fast_wave_on_a_slope_is_no_noise(waves: float, seed: int) -> None:
    """It scatters by a millionth and less, and yet makes half of the slope at a point."""
    random = np.random.default_rng(seed)
    x, w = random.normal(size=(2, 6))
    found = measured(lambda x: x + np.sin(waves * x) / waves, x, w)
    slope = w * (1 + np.cos(waves * x))
    assert np.all(np.abs(found.value - slope) <= found.uncertainty + 1e-15 * waves)
    assert np.max(found.uncertainty) < 1e-5


@pytest.mark.parametrize("seed", range(40))
def test_the_rounding_of_a_sum_is_in_what_superposition_says_at_a_minimum(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the gradient is the rounding of the outputs, which every point has in common."""
    monkeypatch.setattr(measuring, "AFFORDABLE", 0)
    x, W = (np.random.default_rng(seed).normal(size=shape) for shape in ((1, 40), (40, 8)))
    target = x @ W
    products = [
        [Fraction(a) * Fraction(b) for a, b in zip(x[0], W[:, j], strict=True)] for j in range(8)
    ]
    rounding = [float(sum(each) - Fraction(t)) for each, t in zip(products, target[0], strict=True)]
    found = measure_gradient(problem(given("xW", x, W, target, reduction="sum")), "W", Numeric())
    assert holds(found, np.multiply.outer(x[0], rounding))
