"""What random directions say of a gradient holds, wherever its errors sit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.numeric.directions import DIRECTION_COUNT, Bounds, Directions, bounds
from gradcheck_cli.options import Numeric
from tests.support.layers import Float

SHAPE = (20, 15)
PROBLEMS = 1000


def quadratic(seed: int) -> tuple[Any, Float, Float, Float]:
    """A forward of a matrix, the matrix, a cotangent and the exact gradient."""
    random = np.random.default_rng(seed)
    x, target = random.standard_normal((2, *SHAPE))
    left, cotangent = random.standard_normal((6, SHAPE[0])), random.standard_normal(6)

    def forward(point: Float) -> Float:
        outputs: Float = np.sum((left @ (point - target)) ** 2, axis=1)
        return outputs

    return forward, x, cotangent, 2 * left.T @ (cotangent[:, None] * (left @ (x - target)))


def error(seed: int, size: float) -> Float:
    """An error of random entries: one, a row, a column, some or all."""
    random = np.random.default_rng([seed, 1])
    values = size * random.standard_normal(SHAPE)
    kept = np.zeros(SHAPE, dtype=bool)
    row, column = (int(random.integers(length)) for length in SHAPE)
    places: list[Any] = [
        (row, column),
        row,
        (slice(None), column),
        random.random(SHAPE) < 0.02,
        ...,
    ]
    kept[places[seed % len(places)]] = True
    return np.where(kept, values, 0.0)


def told(seed: int, size: float, sure: float) -> tuple[Bounds, float, float]:
    """The bounds of a wrong gradient, the norm of its error and of itself."""
    forward, x, cotangent, exact = quadratic(seed)
    directions = Directions(forward, x, cotangent, seed=seed)
    wrong = error(seed, size)
    gaps, uncertainties = [], []
    for number in range(DIRECTION_COUNT):
        directions.draw(number)
        analytic, numeric = directions.product(exact + wrong), directions.derivative()
        gaps.append(analytic.value - numeric.value)
        uncertainties.append(analytic.uncertainty + numeric.uncertainty)
    found = bounds(np.array(gaps), np.array(uncertainties), sure)
    return found, float(np.linalg.norm(wrong)), float(np.linalg.norm(exact))


def test_a_bound_holds_in_all_of_1000_problems() -> None:
    for seed in range(PROBLEMS):
        found, norm, _ = told(seed, 10.0 ** -(seed % 10), 1e-6)
        assert found.lower <= norm <= found.upper, seed


def test_a_bound_of_95_percent_holds_as_often_and_is_not_vacuous() -> None:
    held, ratios, problems = 0, [], 300
    for seed in range(problems):
        found, norm, _ = told(seed, 1.0, 0.05)
        held += found.lower <= norm <= found.upper
        ratios.append(found.upper / norm if norm else 1.0)
    assert held >= 0.9 * problems
    assert np.median(ratios) < 3


def test_a_right_gradient_is_bounded_by_roundings() -> None:
    found, norm, whole = told(0, 0.0, 1e-6)
    assert norm == 0.0
    assert found.lower == 0.0
    assert found.upper < 1e-11 * whole


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_more_directions_bound_better(count: int) -> None:
    one, more = (bounds(np.ones(k), np.zeros(k)) for k in (count, count + 1))
    assert more.upper < one.upper
    assert one.lower < one.upper


def test_two_equal_errors_of_opposite_signs_do_not_hide() -> None:
    forward, x, cotangent, exact = quadratic(3)
    directions = Directions(forward, x, cotangent)
    wrong = exact.copy()
    wrong[0, 0] += 1e-6
    wrong[7, 9] -= 1e-6
    directions.draw(1)
    gap = directions.product(wrong).value - directions.derivative().value
    assert abs(gap) > 1e-8


def test_the_point_is_put_back_and_the_inputs_are_left_alone() -> None:
    forward, x, cotangent, _ = quadratic(1)
    before = x.copy()
    directions = Directions(forward, x, cotangent)
    for _ in range(2):
        directions.draw(0)
        first = directions.derivative()
        directions.derivative((slice(3, 5), slice(0, 4)))
        assert directions.derivative() == first
    np.testing.assert_array_equal(x, before)


def test_a_direction_is_the_same_whenever_it_is_drawn() -> None:
    forward, x, cotangent, _ = quadratic(1)
    directions = Directions(forward, x, cotangent, seed=5)
    first = directions.draw(3).copy()
    directions.draw(4)
    np.testing.assert_array_equal(directions.draw(3), first)


def test_where_no_direction_moves_the_outputs_the_reason_is_that() -> None:
    """The shift before a norm is zero by invariance, which only moving entries far can tell."""
    random = np.random.default_rng(0)
    x, cotangent = random.standard_normal((2, 6, 40))

    def forward(inputs: Any) -> Any:
        centred = x + inputs["b"] - np.mean(x + inputs["b"], axis=0)
        return centred / np.sqrt(np.mean(centred**2, axis=0) + 1e-5)

    def backward(inputs: Any, delta: Any) -> Any:
        unit, norm = forward(inputs), np.std(x, axis=0)
        mean, along = np.mean(delta, axis=0), np.mean(delta * unit, axis=0)
        return {"b": np.sum((delta - mean - unit * along) / norm, axis=0)}

    problem = Problem({"b": random.standard_normal(40)}, forward, backward, cotangent)
    (found,) = check(problem, numeric=Numeric(mode="directions")).gradients
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.reason == (
        "along random directions the outputs move by no more than their rounding: the gradient may "
        "be zero, as that of a bias before a norm; mode: entries can tell"
    )
    assert check(problem).verdict == Verdict.PASS
