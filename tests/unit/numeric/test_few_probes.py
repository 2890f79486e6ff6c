"""The noise of a function from twenty values: that of many, or the many are taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradcheck_cli.numeric.few_probes import measure_noise
from gradcheck_cli.numeric.many_probes import noise_from_many
from tests.support.layers import Float

FEW = 20
Function = Callable[[Float], Float]


def layer(points: Float) -> Float:
    weights = np.random.default_rng(1).standard_normal((12, 30))
    return np.asarray(np.tanh(points @ weights))


def loss(points: Float) -> Float:
    return np.asarray(np.sum((layer(points) - 0.3) ** 2, axis=1, keepdims=True))


@pytest.mark.parametrize("function", [layer, loss, lambda p: loss(p) + 1e3])
def test_smooth_functions_take_twenty_values(function: Function) -> None:
    ratios = []
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal(12)
        few, many = (
            measure(function, x, np.ones(12)) for measure in (measure_noise, noise_from_many)
        )
        assert few.evaluations == FEW
        np.testing.assert_array_equal(few.center, many.center)
        ratios.append(
            [
                np.linalg.norm(few.near) / np.linalg.norm(many.near),
                np.linalg.norm(few.growth) / np.linalg.norm(many.growth),
            ]
        )
    assert np.quantile(ratios, 0.1) > 0.5
    assert np.median(ratios, axis=0).max() < 10


@pytest.mark.parametrize(
    "function",
    [
        lambda p: np.round(p, 2),
        lambda p: np.sin(1e5 * p),
        lambda p: np.abs(p - 0.5 - 1e-7),
        lambda p: np.log(p - 0.499),
        lambda p: p + 1e12,
    ],
    ids=["steps", "fast waves", "corner", "not finite", "moves of a rounding"],
)
def test_what_few_values_cannot_tell_takes_all(function: Function) -> None:
    x = np.full(3, 0.5)
    with np.errstate(all="ignore"):
        few = measure_noise(function, x, np.ones(3))
        many = noise_from_many(function, x, np.ones(3))
    assert few.evaluations == many.evaluations + FEW
    np.testing.assert_array_equal(few.near, many.near)
    np.testing.assert_array_equal(few.step_height, many.step_height)
    assert few.reach == many.reach


def test_units_that_are_dead_cost_nothing_more() -> None:
    x = np.linspace(0.1, 1.0, 10)
    found = measure_noise(lambda p: np.concatenate([0 * p, np.sin(p)], axis=1), x, np.ones(10))
    assert found.evaluations == FEW
    assert not found.near[:10].any()


def test_noise_of_single_precision_inside_a_forward_is_seen() -> None:
    def single(points: Float) -> Float:
        return np.asarray(layer(points.astype(np.float32)), dtype=np.float32).astype(np.float64)

    x = np.random.default_rng(0).standard_normal(12)
    assert np.median(measure_noise(single, x, np.ones(12)).near) > 1e-9


LOSSES: dict[str, Function] = {
    "x (1 + tanh x)": lambda p: np.sum(p * (1 + np.tanh(p)), axis=-1),
    "log Σ exp(x)²": lambda p: np.log(np.sum(np.exp(p) ** 2, axis=-1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_one_output_whose_fine_line_lies_on_a_tooth_of_its_rounding_is_not_told_to_be_quiet(
    name: str,
) -> None:
    function, ratios = LOSSES[name], []
    for seed in range(300):
        random = np.random.default_rng(seed)
        x = random.normal(size=3)
        around = x + 1e-4 * random.normal(size=(200, 3))
        true = float(np.std(function(around) - function(around.astype(np.longdouble))))
        ratios.append(float(measure_noise(function, x, np.ones(3)).near) / true)
    assert min(ratios) > 1 / 3
    assert np.median(ratios) < 3
