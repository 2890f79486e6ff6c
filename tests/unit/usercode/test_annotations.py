"""Mappings become the records that a function's annotations ask for."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from gradcheck_cli import check, from_functions, from_value_and_grad

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))
B = np.random.default_rng(3).normal(size=2)
AFFINE = {"W": W, "b": B}


class Affine(NamedTuple):
    W: Array
    b: Array


@dataclasses.dataclass(frozen=True)
class Net:
    first: Affine
    scale: float = 2.0

    def apply(self, x: Array) -> Array:
        W, b = self.first
        return self.scale * (x @ W + b)


def test_a_named_tuple_can_be_unpacked() -> None:
    def forward(x: Array, p: Affine) -> tuple[Array, Array]:
        W, b = p
        return np.tanh(x @ W + b), (x, W, np.tanh(x @ W + b))

    def backward(delta: Array, cache: Array) -> tuple[Array, Affine]:
        x, W, y = cache
        dz = delta * (1 - y**2)
        return dz @ W.T, Affine(x.T @ dz, dz.sum(axis=0))

    result = check(from_functions(forward, backward, {"x": X, "p": AFFINE}))
    assert [one.gradient for one in result.gradients] == ["∂L/∂x", "∂L/∂p.W", "∂L/∂p.b"]
    assert result.verdict == "pass"


def test_a_dataclass_in_it_and_its_methods_are_there() -> None:
    def loss(net: Net, x: Array) -> tuple[Array, Net]:
        y = net.apply(x)
        return np.sum(y**2), Net(Affine(4 * x.T @ y, 4 * y.sum(axis=0)))

    def wrong(net: Net, x: Array) -> tuple[Array, Net]:
        value, of = loss(net, x)
        return value, Net(Affine(of.first.W, of.first.b / 2))

    inputs = {"net": {"first": AFFINE}}
    assert check(from_value_and_grad(loss, inputs, {"x": X})).verdict == "pass"
    result = check(from_value_and_grad(wrong, inputs, {"x": X}))
    assert {one.name: str(one.verdict) for one in result.gradients} == {
        "net.first.W": "pass",
        "net.first.b": "fail",
    }


def test_a_mapping_with_other_keys_stays_one() -> None:
    def forward(p: Affine) -> Array:
        return p["W"] @ p["other"]  # type: ignore[call-overload]

    def backward(delta: Array, p: Affine) -> Array:
        return {"dW": delta @ p["other"].T, "other": p["W"].T @ delta}  # type: ignore[call-overload]

    problem = from_functions(forward, backward, {"p": {"W": W, "other": W.T.copy()}})
    assert check(problem).verdict == "pass"
