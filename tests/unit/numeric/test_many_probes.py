"""The noise of a function: found where it is, and nothing else taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_cli.numeric.many_probes import noise_from_many
from tests.support.layers import Float


@pytest.mark.parametrize("level", [1e-12, 1e-9, 1e-6])
def test_planted_noise_is_measured_within_a_factor_of_four(level: float) -> None:
    def noisy(points: Float) -> Float:
        first = points[:, :1]
        uniform = np.modf(43758.5453 * np.sin(first * 1e10))[0]
        waves: Float = np.sin(points.sum(1, keepdims=True)) + level * np.sqrt(3) * uniform
        return waves

    found = [noise_from_many(noisy, np.full(3, 0.1 * k), np.ones(3)).near[0] for k in range(1, 40)]
    assert level / 4 < np.median(found) < level * 4


def test_rounding_is_measured_in_the_precision_of_the_forward() -> None:
    def float32(points: Float) -> Float:
        rounded: Float = np.sin(points.astype(np.float32)).astype(np.float64)
        return rounded

    x = np.linspace(0.5, 1.5, 20)
    assert np.median(noise_from_many(float32, x, np.ones(20)).near) > 1e-9
    assert np.max(noise_from_many(np.sin, x, np.ones(20)).near) < 1e-15


def test_cancellation_inside_a_forward_is_noise() -> None:
    x = np.linspace(0.5, 1.5, 20)
    assert np.median(noise_from_many(lambda p: (p + 1e8) - 1e8, x, np.ones(20)).near) > 1e-10


def test_a_value_is_never_surer_than_its_last_rounding() -> None:
    assert noise_from_many(lambda p: 0 * p + 1e12, np.ones(1), np.ones(1)).near[0] > 1e-5


def test_values_that_are_not_finite_give_no_noise() -> None:
    with np.errstate(all="ignore"):
        found = noise_from_many(lambda p: np.log(p - 5), np.ones(2), np.ones(2))
    np.testing.assert_array_equal(found.near, [0.0, 0.0])


def test_what_is_left_of_large_numbers_is_as_coarse_as_they_were() -> None:
    """The loss of a saturated softmax in float32: it is flat at x, and 9.5e-7 is its last place."""

    def loss(points: Float) -> Float:
        logits = np.concatenate([np.full_like(points, 12.6), points], axis=1).astype(np.float32)
        largest = logits.max(axis=1)
        total = np.exp(logits - largest[:, None]).sum(axis=1)
        return np.asarray((np.log(total) + largest) - logits[:, 0], dtype=np.float64)[:, None]

    noise = noise_from_many(loss, np.array([1.0], dtype=np.float32), np.array([2.0]))
    for level in (noise.near[0], noise.away[0]):
        assert 1e-7 < level < 1e-6, noise


def test_a_unit_between_its_ends_is_not_coarse() -> None:
    x = np.array([0.1, -0.2])
    assert np.max(noise_from_many(lambda p: np.tanh(1e9 * p), x, np.ones(2)).near) < 1e-15


def test_the_end_of_a_clip_is_not_noise_wherever_it_is() -> None:
    x = np.linspace(-1.0, 1.0, 12)
    for low in np.linspace(-1.6, -0.2, 400):

        def clip(points: Float, low: float = low) -> Float:
            return np.asarray(np.maximum(points, low))

        found = noise_from_many(clip, x, np.ones(12))
        smooth = np.abs(x - low) > 0.01
        assert np.all(found.growth[smooth] < 1e-14)
        assert np.all(found.near[smooth] < 1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_several_saturated_units_are_no_steps_of_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights, outer = random.normal(size=(4, 6)), random.normal(size=(6, 1))
    x = random.normal(size=4)

    def units(points: Float) -> Float:
        return np.tanh(1e5 * points @ weights) @ outer

    def rounds(points: Float) -> Float:
        return np.round(points @ weights @ outer, 1)

    assert noise_from_many(units, x, np.ones(4)).step_height[0] == 0
    assert noise_from_many(rounds, x, np.ones(4)).step_height[0] == pytest.approx(0.1)


def test_a_difference_that_stands_still_over_the_finest_probes_rounds_over_others() -> None:
    """The last place of (1 + x)² is 2e-16, so that of x² by this formula is, too, of any size."""
    for seed in range(10):
        x = 1e-6 * np.random.default_rng(seed).normal(size=6)
        found = noise_from_many(lambda p: (1 + p) ** 2 - 1 - 2 * p, x, np.full(6, 1e-6))
        assert np.all((found.near > 1e-17) & (found.near < 1e-15)), seed
