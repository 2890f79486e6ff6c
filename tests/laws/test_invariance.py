"""A gradient that is zero by invariance: a right backward passes, whatever its roundings are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.result import GradientResult, Zero
from tests.support.verdicts import judge

Inputs = Mapping[str, Any]
Random = np.random.Generator
Family = Callable[[Random, float], Problem]


def normalized(a: Any, axis: int) -> tuple[Any, Any]:
    """(a − mean)/σ along an axis, and 1/σ."""
    centred = a - a.mean(axis=axis, keepdims=True)
    inverse = 1.0 / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 1e-5)
    return centred * inverse, inverse


def norm(random: Random, offset: float, axis: int, shape: tuple[int, int]) -> Problem:
    """A shift b before a norm, which takes it away again."""
    x, c = random.standard_normal((2, 6, 4))
    gamma = 1.0 + 0.3 * random.standard_normal(4)

    def forward(inputs: Inputs) -> Any:
        return gamma * normalized(x + inputs["b"], axis)[0]

    def backward(inputs: Inputs, delta: Any) -> Any:
        unit, inverse = normalized(x + inputs["b"], axis)
        d = delta * gamma
        mean, along = d.mean(axis=axis, keepdims=True), (d * unit).mean(axis=axis, keepdims=True)
        return {"b": np.sum(inverse * (d - mean - unit * along), axis=axis, keepdims=True)}

    return Problem({"b": offset * random.standard_normal(shape)}, forward, backward, c)


def batch_norm_bias(random: Random, offset: float) -> Problem:
    return norm(random, offset, 0, (1, 4))


def layer_norm_shift(random: Random, offset: float) -> Problem:
    return norm(random, offset, 1, (6, 1))


def softmax(z: Any) -> Any:
    raised = np.exp(z - z.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def key_bias(random: Random, offset: float) -> Problem:
    """The bias of the keys of attention: it adds the same to every logit of a query."""
    q, k, v, c = random.standard_normal((4, 5, 3))

    def forward(inputs: Inputs) -> Any:
        return softmax(q @ (k + inputs["b"]).T) @ v

    def backward(inputs: Inputs, delta: Any) -> Any:
        p, d = softmax(q @ (k + inputs["b"]).T), delta @ v.T
        logits = p * (d - (d * p).sum(-1, keepdims=True))
        return {"b": (logits.T @ q).sum(axis=0)}

    return Problem({"b": offset * random.standard_normal(3)}, forward, backward, c)


def logit_shift(random: Random, offset: float) -> Problem:
    """One number added to all logits of a softmax with cross-entropy."""
    z, labels = random.standard_normal((4, 6)), np.eye(6)[random.integers(6, size=4)]

    def forward(inputs: Inputs) -> Any:
        return -np.sum(labels * np.log(softmax(z + inputs["b"])), axis=1)

    def backward(inputs: Inputs, delta: Any) -> Any:
        return {"b": np.sum(delta[:, None] * (softmax(z + inputs["b"]) - labels), keepdims=True)[0]}

    return Problem({"b": offset * random.standard_normal(1)}, forward, backward, np.full(4, 0.25))


FAMILIES = (batch_norm_bias, layer_norm_shift, key_bias, logit_shift)
families = st.sampled_from(FAMILIES)
seeds = st.integers(0, 2**32 - 1)
offsets = st.sampled_from([1e-3, 0.1, 1.0, 30.0])


def judge_wrong(problem: Problem, error: float = 0.0) -> GradientResult:
    """The result of a problem whose backward is wrong by `error` in one entry."""

    def backward(inputs: Inputs, delta: Any) -> Any:
        gradient = problem.backward(inputs, delta)["b"]
        gradient[(0,) * gradient.ndim] += error
        return {"b": gradient}

    checked = Problem(problem.inputs, problem.forward, backward, problem.cotangent)
    return judge(checked).gradients[0]


@given(families, seeds, offsets)
def test_a_right_backward_passes_as_zero_to_rounding(
    family: Family, seed: int, offset: float
) -> None:
    result = judge_wrong(family(np.random.default_rng(seed), offset))
    assert (result.verdict, result.zero) == (Verdict.PASS, Zero.INVARIANT)
    assert result.bound is not None
    assert result.bound < 1e-10
    assert "of what it could be: moving b moves the outputs by no more" in result.notes[0]


@given(families, seeds, offsets)
def test_a_backward_that_is_not_zero_fails(family: Family, seed: int, offset: float) -> None:
    assert judge_wrong(family(np.random.default_rng(seed), offset), 1e-6).verdict == Verdict.FAIL


@given(seeds)
def test_entries_that_are_zero_by_invariance_stand_beside_others(seed: int) -> None:
    """One vector of the biases of keys and values: half of its gradient is zero."""
    random = np.random.default_rng(seed)
    q, k, v, c = random.standard_normal((4, 5, 3))

    def forward(inputs: Inputs) -> Any:
        return softmax(q @ (k + inputs["b"][:3]).T) @ (v + inputs["b"][3:])

    def backward(inputs: Inputs, delta: Any) -> Any:
        p, d = softmax(q @ (k + inputs["b"][:3]).T), delta @ (v + inputs["b"][3:]).T
        logits = p * (d - (d * p).sum(-1, keepdims=True))
        return {"b": np.concatenate([(logits.T @ q).sum(axis=0), (p.T @ delta).sum(axis=0)])}

    problem = Problem({"b": random.standard_normal(6)}, forward, backward, c)
    result = judge_wrong(problem)
    assert (result.verdict, result.zero) == (Verdict.PASS, None)
    assert judge_wrong(problem, 1e-6).verdict == Verdict.FAIL


@pytest.mark.parametrize("offset", [1e12, 1e14])
def test_a_slope_that_an_offset_hides_is_not_zero_by_invariance(offset: float) -> None:
    x = np.array([0.7, -1.2, 2.5])
    problem = Problem(
        {"x": x}, lambda inputs: inputs["x"] + offset, lambda _, delta: {"x": delta}, np.ones(3)
    )
    result = check(problem).gradients[0]
    assert result.zero is None
    assert result.verdict != Verdict.FAIL


def test_units_that_are_saturated_have_no_power() -> None:
    x = np.array([40.0, -45.0, 50.0])

    def backward(inputs: Inputs, delta: Any) -> Any:
        return {"x": delta * (1.0 - np.tanh(inputs["x"]) ** 2)}

    result = check(Problem({"x": x}, lambda inputs: np.tanh(inputs["x"]), backward, np.ones(3)))
    assert result.verdict == Verdict.PASS
    assert result.gradients[0].zero == Zero.UNSEEN
    assert (result.gradients[0].bound, result.gradients[0].resolution) == (None, None)


@given(offset=st.floats(17.0, 20.0))
def test_a_bump_between_two_ends_that_are_alike_is_no_invariance(offset: float) -> None:
    """All but a few steps lead from one saturated end to the other."""
    rate = 100.0

    def forward(inputs: Inputs) -> Any:
        return 3.0 + np.tanh(rate * (inputs["x"] - 1.0) + offset) ** 2

    def backward(inputs: Inputs, delta: Any) -> Any:
        z = rate * (inputs["x"] - 1.0) + offset
        return {"x": delta * 2.0 * rate * np.tanh(z) / np.cosh(z) ** 2}

    result = judge(Problem({"x": np.ones(1)}, forward, backward, np.ones(1)))
    assert result.verdict != Verdict.FAIL
    assert result.gradients[0].zero != Zero.INVARIANT


def test_an_input_that_is_not_used_is_named() -> None:
    inputs = {"x": np.array([0.7, -1.2]), "W1": np.array([0.4, 0.9])}

    def of(gradient: float) -> GradientResult:
        return check(
            Problem(
                inputs,
                lambda inputs: inputs["x"] ** 2,
                lambda inputs, delta: {
                    "x": 2 * inputs["x"] * delta,
                    "W1": gradient * np.ones(2),
                },
                np.ones(2),
            )
        ).gradients[1]

    assert of(0.0).notes == ("the forward does not depend on W1: its gradient is zero",)
    assert of(1.0).reason == "2 of 2 entries are wrong: the forward does not depend on W1"
