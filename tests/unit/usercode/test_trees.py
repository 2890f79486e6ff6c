"""Inputs and gradients that are dicts, lists, dataclasses and other objects with attributes."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_value_and_grad
from gradcheck_cli.problem import Problem

Array = Any  # functions of users have no types

W = np.random.default_rng(1).normal(size=(3, 2))
B = np.random.default_rng(2).normal(size=2)
X = np.random.default_rng(3).normal(size=(4, 3))


def verdicts(problem: Problem) -> dict[str, str]:
    return {one.name: one.verdict.value for one in check(problem).gradients}


@dataclass(frozen=True)
class Params:
    W: Array
    b: Array


class Grads(NamedTuple):
    W: Array
    b: Array


class Plain:
    def __init__(self, W: Array, b: Array) -> None:
        self.W, self.b, self.name = W, b, "plain"


def loss(p: Any, x: Array, kind: Any, factor: float = 1.0) -> tuple[float, Any]:
    """A loss of parameters with attributes, and its gradients as `kind` has them."""
    error = x @ p.W + p.b
    return 0.5 * float((error**2).sum()), kind(W=factor * x.T @ error, b=error.sum(axis=0))


KINDS = [dict, SimpleNamespace, Params, Grads, Plain]


@pytest.mark.parametrize("given", [dict, SimpleNamespace, Params, Plain])
@pytest.mark.parametrize("returned", KINDS)
def test_parameters_with_attributes_have_a_gradient_of_every_leaf(
    given: Any, returned: Any
) -> None:
    inputs = {"p": given(W=W, b=B)}
    right = from_value_and_grad(lambda p, x: loss(p, x, returned), inputs, {"x": X})
    assert verdicts(right) == {"p.W": "pass", "p.b": "pass"}
    wrong = from_value_and_grad(lambda p, x: loss(p, x, returned, 2.0), inputs, {"x": X})
    assert verdicts(wrong) == {"p.W": "fail", "p.b": "pass"}


@pytest.mark.parametrize("returned", KINDS)
def test_gradients_with_attributes_are_those_of_inputs_of_their_names(returned: Any) -> None:
    def separate(W: Array, b: Array, x: Array) -> Any:
        return loss(SimpleNamespace(W=W, b=b), x, returned)

    problem = from_value_and_grad(separate, {"W": W, "b": B}, {"x": X})
    assert verdicts(problem) == {"W": "pass", "b": "pass"}


def test_a_constant_that_is_a_dict_has_attributes() -> None:
    def forward(x: Array, options: Any) -> Array:
        return x * options.scale * options["scale"]

    problem = from_functions(
        forward, lambda d, options: 4 * d, {"x": X}, {"options": {"scale": 2.0}}
    )
    assert verdicts(problem) == {"x": "pass"}


def test_a_list_of_one_array_has_a_list_of_one_gradient() -> None:
    def forward(weights: list[Array]) -> Array:
        return weights[0] ** 2

    def backward(d: Array, weights: list[Array]) -> list[Array]:
        return [2 * d * weights[0]]

    assert verdicts(from_functions(forward, backward, {"weights": [W]})) == {"weights[0]": "pass"}


@pytest.mark.parametrize("x", [0.3, [0.3, -0.2], [[0.3], [1]]])
def test_numbers_and_lists_of_them_are_inputs_where_there_is_no_array(x: Any) -> None:
    result = check(np.sin, lambda d, x: d * np.cos(x), {"x": x})
    assert (result.verdict, result.gradients[0].shape) == ("pass", np.shape(x))
