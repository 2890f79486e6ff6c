"""Entries from two steps: few forwards, values within u, and the ladder for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli.numeric.gradient import NumericGradient, measure_entries
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS
from tests.support.layers import Float

MOST_EVALUATIONS, MOST_SATURATED = 4.5, 12.0  # an entry
SAMPLES, INPUTS, OUTPUTS = 8, 20, 15
Function = Callable[[Any], Any]

RANDOM = np.random.default_rng(3)
DATA, COTANGENT = (
    RANDOM.standard_normal((SAMPLES, INPUTS)),
    RANDOM.standard_normal((SAMPLES, OUTPUTS)),
)
WEIGHTS = RANDOM.standard_normal((INPUTS, OUTPUTS)) / 4

SMOOTH: dict[str, tuple[Function, Function]] = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "exp": (np.exp, np.exp),
    "square": (np.square, lambda z: 2 * z),
    "linear": (lambda z: 3 * z, lambda z: 3 + 0 * z),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: 1.0 * (z > 0)),
}


def measure(activation: Function, data: Float = DATA, quick: bool = True) -> NumericGradient:
    """The gradient of Σ cotangent · activation(data W) in W, one point at a time."""

    def evaluate(points: Float) -> Float:
        return np.stack([activation(data @ point) for point in points])

    differences = WholeForwards(
        evaluate, WEIGHTS, entry_scale(WEIGHTS), COTANGENT, STENCILS[2], alone=True
    )
    return measure_entries(differences, quick=quick)


@pytest.mark.parametrize("name", SMOOTH)
def test_entries_take_two_steps_and_are_known_to_half_their_digits(name: str) -> None:
    activation, slope = SMOOTH[name]
    found = measure(activation)
    exact = DATA.T @ (COTANGENT * slope(DATA @ WEIGHTS))
    assert found.evaluations <= MOST_EVALUATIONS * WEIGHTS.size
    assert np.all(np.abs(found.value - exact) <= found.uncertainty)
    assert np.max(found.uncertainty) <= 1e-8 * np.max(np.abs(exact))


def test_without_pilots_every_entry_climbs_the_ladder() -> None:
    quick, slow = measure(np.tanh), measure(np.tanh, quick=False)
    assert slow.evaluations > 3 * quick.evaluations
    assert np.all(np.abs(quick.value - slow.value) <= quick.uncertainty + slow.uncertainty)
    assert np.median(slow.uncertainty) < np.median(quick.uncertainty)


@pytest.mark.parametrize("scale", [4.0, 20.0, 80.0])
def test_saturated_entries_of_a_softmax_cost_few_forwards(scale: float) -> None:
    def log_sum_exp(z: Float) -> Float:
        return np.asarray(np.log(np.sum(np.exp(z - np.max(z)))) + np.max(z))

    def evaluate(points: Float) -> Float:
        return np.array([[log_sum_exp(row) for row in DATA @ point] for point in points])

    weights, cotangent = scale * WEIGHTS, np.ones(SAMPLES)
    differences = WholeForwards(
        evaluate, weights, entry_scale(weights), cotangent, STENCILS[2], alone=True
    )
    found = measure_entries(differences, quick=True)
    z = DATA @ weights
    shares = np.exp(z - np.max(z, axis=1, keepdims=True))
    exact = DATA.T @ (shares / np.sum(shares, axis=1, keepdims=True))
    assert found.evaluations <= MOST_SATURATED * WEIGHTS.size
    assert np.all(np.abs(found.value - exact) <= found.uncertainty)
    assert np.max(found.uncertainty) <= 1e-8 * np.max(np.abs(exact))


def test_no_point_is_evaluated_twice_where_each_costs_a_forward() -> None:
    points: list[bytes] = []

    def evaluate(some: Float) -> Float:
        points.extend(point.tobytes() for point in some)
        return np.stack([np.maximum(DATA @ point - 20.0, 0.0) for point in some])

    differences = WholeForwards(
        evaluate, WEIGHTS, entry_scale(WEIGHTS), COTANGENT, STENCILS[2], alone=True
    )
    measure_entries(differences, quick=True)
    again = len(points) - len(set(points))
    assert again <= len(points) / 100  # x itself, and nothing else


@pytest.mark.parametrize("place", 10.0 ** -np.arange(1.0, 9.0))
def test_a_corner_beside_an_entry_is_not_part_of_its_slope(place: float) -> None:
    corner = float((DATA @ WEIGHTS)[2, 3]) + place

    def bent(z: Float) -> Float:
        return np.asarray(np.sin(z) + 1e-3 * np.maximum(z - corner, 0.0))

    found = measure(bent)
    z = DATA @ WEIGHTS
    exact = DATA.T @ (COTANGENT * (np.cos(z) + 1e-3 * (z > corner)))
    inside = (found.low <= exact) & (exact <= found.high)
    assert np.all(inside)


def test_entries_that_meet_a_zero_cost_few_forwards() -> None:
    ones = np.eye(INPUTS)[np.arange(SAMPLES) % 5]
    found = measure(np.tanh, ones)
    unused = ~np.any(ones, axis=0)
    assert found.invariant[unused].all()
    assert not found.value[unused].any()
    assert found.evaluations <= 8 * WEIGHTS.size


def test_a_dead_unit_that_lives_further_off_is_no_zero_by_invariance() -> None:
    found = measure(lambda z: np.maximum(z - 20.0, 0.0))
    assert not found.value.any()
    assert not found.invariant.any()


@pytest.mark.parametrize("name", ["tanh", "exp", "square", "relu"])
def test_entries_of_a_loss_of_one_number_take_two_steps_too(name: str) -> None:
    activation, slope = SMOOTH[name]

    def evaluate(points: Float) -> Float:
        return np.stack([np.sum(COTANGENT * activation(DATA @ point)) for point in points])

    scale = entry_scale(WEIGHTS)
    differences = WholeForwards(evaluate, WEIGHTS, scale, np.ones(()), STENCILS[2], alone=True)
    found = measure_entries(differences, quick=True)
    exact = DATA.T @ (COTANGENT * slope(DATA @ WEIGHTS))
    assert found.evaluations <= MOST_EVALUATIONS * WEIGHTS.size
    assert np.all(np.abs(found.value - exact) <= found.uncertainty)
    assert np.all(found.uncertainty <= 1e-6 * np.abs(exact))


def log_sum_exp(x: Float) -> float:
    """Of a tenth of x, so that it hardly bends: noise asks for a large step."""
    return float(np.log(np.sum(np.exp(x / 10))))


def waves(x: Float) -> float:
    """Σ sin(s·x), with frequencies s from 0.03 to 30."""
    return float(np.sum(np.sin(FREQUENCIES * x)))


FREQUENCIES = np.exp(np.linspace(-3.5, 3.5, WEIGHTS.size))


@pytest.mark.parametrize(
    ("loss", "slope", "most"),
    [
        (log_sum_exp, lambda x: np.exp(x / 10) / np.sum(np.exp(x / 10)) / 10, 4.5),
        (waves, lambda x: FREQUENCIES * np.cos(FREQUENCIES * x), 7.0),
    ],
)
def test_steps_follow_how_a_loss_bends(loss: Function, slope: Function, most: float) -> None:
    x = 4 * WEIGHTS.ravel()

    def evaluate(points: Float) -> Float:
        return np.array([loss(point) for point in points])

    differences = WholeForwards(evaluate, x, entry_scale(x), np.ones(()), STENCILS[2], alone=True)
    found = measure_entries(differences, quick=True)
    assert found.evaluations <= most * x.size
    assert np.all(np.abs(found.value - slope(x)) <= found.uncertainty)
