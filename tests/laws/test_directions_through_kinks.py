"""Random directions cross kinks of relu units and max-pools at almost every step: that is no error.

A study of 100 seeds a net is tests/benchmarks/kinks.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.numeric.line import LineNoise, differentiate
from gradcheck_cli.options import Numeric
from tests.support.kinked import NETS, with_wrong_entry
from tests.support.layers import Float

BY_DIRECTIONS = Numeric(mode="directions")
UNITS = [100, 1000]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("net", NETS)
def test_a_right_gradient_passes_in_120_forwards_an_input(net: str, units: int) -> None:
    for seed in range(4):
        result = check(NETS[net](units, seed), numeric=BY_DIRECTIONS)
        assert result.verdict == Verdict.PASS, [found.reason for found in result.gradients]
        assert result.evaluations <= 120 * len(result.gradients)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("net", NETS)
def test_an_entry_off_by_a_millionth_of_itself_is_found_in_250_forwards(
    net: str, units: int
) -> None:
    for seed in range(4):
        problem, name, place = with_wrong_entry(NETS[net](units, seed), seed)
        alone = check(of_one_input(problem, name), numeric=BY_DIRECTIONS)
        (found,) = alone.gradients
        assert found.reason == f"1 entry is wrong: {list(place)}"
        assert alone.evaluations <= 250


def of_one_input(problem: Problem, name: str) -> Problem:
    """The same function of one of its inputs."""
    rest = problem.inputs
    return Problem(
        inputs={name: rest[name]},
        forward=lambda inputs: problem.forward({**rest, **inputs}),
        backward=lambda inputs, delta: {name: problem.backward({**rest, **inputs}, delta)[name]},
        cotangent=problem.cotangent,
    )


LAST_ROUNDING = 6e-17  # of a value, relative, as a deviation
NOISE = LineNoise(np.full(1, LAST_ROUNDING), 0.0, LAST_ROUNDING)


def slope(function: object) -> tuple[float, float, int]:
    """The measured derivative at 0 of a function of one number, its uncertainty, evaluations."""
    calls = 0

    def evaluate(at: float) -> Float:
        nonlocal calls
        calls += 1
        assert callable(function)
        return np.array([function(at)])

    found = differentiate(evaluate, evaluate(0.0), np.ones(1), NOISE, 0.5)
    return found.value, found.uncertainty, calls


@pytest.mark.parametrize("place", 10.0 ** -np.arange(1.0, 7.0))
def test_the_slope_beside_a_kink_is_that_of_its_side(place: float) -> None:
    value, uncertainty, calls = slope(lambda at: 2 * at + 3 * max(at - place, 0.0))
    assert abs(value - 2) <= uncertainty < 1e-7
    assert calls <= 40


def test_a_kink_at_the_point_is_as_uncertain_as_its_sides_differ() -> None:
    value, uncertainty, _ = slope(lambda at: 2 * at + abs(at))
    assert abs(value - 2) < 1e-12
    assert 1 <= uncertainty < 1.1


def test_a_parabola_takes_four_evaluations_besides_its_center() -> None:
    value, uncertainty, calls = slope(lambda at: 1 + 2 * at - 3 * at * at)
    assert abs(value - 2) <= uncertainty < 1e-14
    assert calls == 5


def test_a_smooth_function_is_extrapolated() -> None:
    value, uncertainty, calls = slope(lambda at: np.exp(2 * at))
    assert abs(value - 2) <= uncertainty < 1e-12
    assert calls <= 19  # 15 or 17: which step settles it is up to the last digit of exp


def test_a_jump_nearby_ends_by_count() -> None:
    _, uncertainty, calls = slope(lambda at: at + (at > 0))
    assert uncertainty > 1
    assert calls <= 60
