"""The noise of outputs, measured once for all inputs of a check where it is that of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.measure.joint_noise import JointNoise
from gradcheck_cli.measure.measure import points_evaluator, scale_of
from gradcheck_cli.numeric.few_probes import PROBES, measure_noise
from tests.support.layers import Float

OF_EACH = 3  # forwards that show how an input moves the outputs by itself
Inputs = Mapping[str, Any]


def net(seed: int, digits: int | None = None) -> Problem:
    """Three inputs through a tanh; digits: those that b is rounded to on its way."""
    random = np.random.default_rng(seed)
    inputs = {name: random.standard_normal(shape) for name, shape in SHAPES.items()}
    cotangent = random.standard_normal((4, 2))

    def forward(given: Inputs) -> Float:
        b = given["b"] if digits is None else np.round(given["b"], digits)
        return np.asarray(np.tanh(given["x"] @ given["W"] + b))

    def backward(given: Inputs, delta: Float) -> Inputs:
        grad_z = delta * (1 - forward(given) ** 2)
        return {
            "x": grad_z @ given["W"].T,
            "W": given["x"].T @ grad_z,
            "b": grad_z.sum(axis=0),
        }

    return Problem(inputs, forward, backward, cotangent)


SHAPES = {"x": (4, 3), "W": (3, 2), "b": (2,)}


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_all_inputs_together_is_that_of_each(seed: int) -> None:
    problem = net(seed)
    shared = JointNoise(problem)
    for name, x in problem.inputs.items():
        joint = shared.of(name)
        own = measure_noise(points_evaluator(problem, name), x, scale_of(problem, name))
        assert joint is not None
        np.testing.assert_array_equal(joint.center, own.center)
        assert 0.1 < np.linalg.norm(joint.near) / np.linalg.norm(own.near) < 10
    assert shared.evaluations == PROBES + OF_EACH * len(problem.inputs)


@pytest.mark.parametrize("digits", range(2, 13))
def test_steps_of_one_input_are_not_hidden_by_how_others_move(digits: int) -> None:
    """To one digit they are as far apart as the ends of units: a staircase, of slope 0."""
    problem = net(0, digits)
    assert JointNoise(problem).of("b") is None
    result = check(problem)
    assert result.gradients[2].verdict != Verdict.FAIL


def test_inputs_that_cannot_be_moved_together_have_noise_of_their_own() -> None:
    problem = net(0)

    def forward(given: Inputs) -> Float:
        moved = [name for name, x in problem.inputs.items() if np.any(given[name] != x)]
        if len(moved) > 1:
            raise ValueError(moved)
        return np.asarray(problem.forward(given))

    result = check(replace(problem, forward=forward))
    assert result.verdict == Verdict.PASS


def test_inputs_that_are_large_together_are_not_moved_together() -> None:
    inputs = {"W": np.ones((600, 600)), "b": np.ones(3)}
    shared = JointNoise(replace(net(0), inputs=inputs))
    assert shared.of("b") is None
    assert shared.evaluations == 0


def test_a_check_of_some_inputs_takes_fewer_forwards_than_one_of_each() -> None:
    problem = net(0)
    together, alone = check(problem), [check(only(problem, name)) for name in problem.inputs]
    assert together.verdict == Verdict.PASS
    assert together.evaluations < sum(one.evaluations for one in alone)


def only(problem: Problem, name: str) -> Problem:
    """The check of one input."""
    return replace(
        problem,
        inputs={name: problem.inputs[name]},
        forward=lambda given: problem.forward({**problem.inputs, **given}),
        backward=lambda given, delta: {
            name: problem.backward({**problem.inputs, **given}, delta)[name]
        },
    )
