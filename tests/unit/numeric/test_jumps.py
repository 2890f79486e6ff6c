"""Jumps between smooth pieces: found with their height, and no kink or bend taken for one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradcheck_cli import Problem, check
from gradcheck_cli.numeric.jumps import GAPS, LINES_EACH, MOST_EVALUATIONS, find_jumps
from tests.support.layers import Float

X = np.array([0.3, -0.7, 1.1])
SCALE = np.ones(3)
ONES = np.ones(3)


@pytest.mark.parametrize("height", [1e-8, 1e-5, 1e-2])
def test_a_jump_near_x_has_the_height_that_was_planted(height: float) -> None:
    def jumping(points: Float) -> Float:
        return np.asarray(np.sin(points) + height * (points > X + 0.04))

    found = find_jumps(jumping, X, SCALE, ONES)
    assert found.height == pytest.approx(height, rel=1e-3)
    assert np.all(found.slope > height)


def test_without_a_cotangent_every_output_has_the_slope_of_its_own_jumps() -> None:
    def jumping(points: Float) -> Float:
        return np.asarray(np.sin(points) + [0.0, 1e-6, 0.0] * (points > X + 0.04))

    slope = find_jumps(jumping, X, SCALE, None).slope
    assert slope.shape == (3,)
    assert slope[1] > 1e4 * max(slope[0], slope[2])


def test_outputs_that_jump_near_one_another_are_told_apart() -> None:
    places = X + np.array([0.04, 0.045, 0.05])

    def jumping(points: Float) -> Float:
        return np.asarray(np.sin(points) + [1e-6, 1e-5, 1e-4] * (points > places))

    assert find_jumps(jumping, X, SCALE, ONES).height == pytest.approx(1e-4, rel=1e-3)


def test_a_jump_that_is_too_steep_does_not_count() -> None:
    def jumping(points: Float) -> Float:
        return np.asarray(np.sin(points) + 1e-6 * (points > X + 0.04) + (points < X - 0.04))

    assert find_jumps(jumping, X, SCALE, ONES).height == pytest.approx(1.0, rel=1e-3)
    assert find_jumps(jumping, X, SCALE, ONES, most=0.1).height == 0.0


@pytest.mark.parametrize(
    "smooth",
    [
        np.exp,
        lambda points: np.maximum(points, 0.31),
        lambda points: np.abs(points - X - 0.02),
        lambda points: 1.0 / (points - X - 0.1),
        lambda points: np.tanh(50 * points),
        lambda points: 0.0 * points,
        np.log,
    ],
)
def test_kinks_poles_bends_and_the_end_of_a_domain_are_no_jumps(
    smooth: Callable[[Float], Float],
) -> None:
    with np.errstate(all="ignore"):
        assert find_jumps(smooth, X, SCALE, ONES).height == 0.0


def test_no_line_is_nearer_than_those_that_are_smooth_to_rounding() -> None:
    far = find_jumps(np.sin, X, SCALE, ONES).evaluations
    near = find_jumps(lambda points: np.sin(8 * points), X, SCALE, ONES).evaluations
    assert far == (LINES_EACH + 1) * (GAPS + 1)
    assert far < near < MOST_EVALUATIONS


def test_a_small_error_in_many_gradients_has_jumps_looked_for_once() -> None:
    inputs = {name: X + place for place, name in enumerate("abcd")}
    problem = Problem(
        inputs=inputs,
        forward=lambda given: np.sin(sum(given.values())),
        backward=lambda given, delta: {
            name: 1.001 * delta * np.cos(sum(given.values())) for name in given
        },
        cotangent=ONES,
    )
    found = check(problem)
    assert [one.wrong for one in found.gradients] == [3] * 4
    assert found.evaluations < 2 * MOST_EVALUATIONS
