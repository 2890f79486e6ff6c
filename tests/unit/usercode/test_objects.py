"""Layers that are objects: where they keep parameters and gradients, and what their methods are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_layer
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem

Array = Any  # objects of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))
B = np.random.default_rng(3).normal(size=2)
V = np.random.default_rng(4).normal(size=(2, 5))


def verdicts(problem: Problem) -> dict[str, str]:
    return {one.name: one.verdict.value for one in check(problem).gradients}


def notes(problem: Problem) -> tuple[str, ...]:
    return check(problem).notes


class Linear:
    """Keeps its parameters in attributes."""

    def __init__(self, weight: Array = W, bias: Array = B) -> None:
        self.W, self.b = weight.copy(), bias.copy()
        self.dW: Array = None
        self.db: Array = None

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta: Array) -> Array:
        self.dW, self.db = self.x.T @ delta, delta.sum(axis=0)
        return delta @ self.W.T


class Lists:
    """Keeps its parameters and gradients in lists of one order."""

    def __init__(self) -> None:
        self.params = [W.copy(), B.copy()]
        self.grads: list[Array] = [np.zeros_like(one) for one in self.params]

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, delta: Array) -> Array:
        self.grads[0][...] = self.x.T @ delta
        self.grads[1] = delta.sum(axis=0)
        return delta @ self.params[0].T


class Net:
    """Has layers in a list, and shares their arrays in its params."""

    def __init__(self) -> None:
        self.layers = [Linear(), Linear(V, np.zeros(5))]
        self.params = {"W1": self.layers[0].W, "W2": self.layers[1].W}

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, delta: Array) -> Array:
        for layer in reversed(self.layers):
            delta = layer.backward(delta)
        return delta

    def gradient(self, delta: Array) -> dict[str, Array]:
        self.backward(delta)
        return {"W1": self.layers[0].dW, "W2": self.layers[1].dW}


class Lazy:
    """Makes its parameters in the first forward, when it sees how many inputs there are."""

    def __init__(self) -> None:
        self.built = False

    def forward(self, x: Array) -> Array:
        if not self.built:
            self.W, self.built = np.random.default_rng().normal(size=(x.shape[1], 2)), True
        self.x = x
        return x @ self.W

    def backward(self, delta: Array) -> Array:
        self.dW = self.x.T @ delta
        return delta @ self.W.T


class LazyNone(Lazy):
    """The same, with an attribute that is None before."""

    W: Array = None


class Forgetful(Linear):
    """Draws its W in every forward."""

    def forward(self, x: Array) -> Array:
        self.W = np.ones((3, 2))
        return super().forward(x)


class Renamed(Linear):
    """Has its gradients where nobody looks."""

    def backward(self, delta: Array) -> Array:
        self.gradient_of_weights = self.x.T @ delta
        return delta @ self.W.T


def test_lists_of_parameters_have_lists_of_gradients() -> None:
    found = verdicts(from_layer(Lists(), {"x": X, "params": [W + 1, B + 1]}))
    assert found == {"x": "pass", "params[0]": "pass", "params[1]": "pass"}


def test_a_list_of_gradients_that_is_not_checked_is_told() -> None:
    assert notes(from_layer(Lists(), {"x": X})) == (
        "∂L/∂params[0] is not checked: params[0] is no array of floats among the inputs",
        "∂L/∂params[1] is not checked: params[1] is no array of floats among the inputs",
    )


def test_parameters_of_layers_in_layers_are_named_by_their_path() -> None:
    inputs = {"x": X, "layers[0].W": W + 1, "layers[1].b": np.ones(5)}
    assert set(verdicts(from_layer(Net(), inputs)).values()) == {"pass"}


def test_gradients_of_layers_in_layers_that_are_not_checked_are_told() -> None:
    told = [note.split(" ")[0] for note in notes(from_layer(Net(), {"x": X}))]
    assert told == [f"∂L/∂layers[{place}].{name}" for place in (0, 1) for name in "Wb"]


def test_an_array_that_is_kept_in_two_places_is_set_in_both() -> None:
    problem = from_layer(Net(), {"W1": W + 1, "W2": V + 1}, {"x": X}, names=("forward", "gradient"))
    assert verdicts(problem) == {"W1": "pass", "W2": "pass"}


@pytest.mark.parametrize("kind", [Lazy, LazyNone])
def test_parameters_that_the_first_forward_makes_are_set_after_it(kind: type[Any]) -> None:
    assert verdicts(from_layer(kind(), {"x": X, "W": W})) == {"x": "pass", "W": "pass"}


def test_a_parameter_that_the_forward_replaces_is_told() -> None:
    (note, *_) = notes(from_layer(Forgetful(), {"x": X, "W": W}, {"b": B}))
    assert note == "∂L/∂b is not checked: b is no array of floats among the inputs"
    assert "Forgetful.forward changes W: it is not what was set before the call" in notes(
        from_layer(Forgetful(), {"x": X, "W": W, "b": B})
    )


def test_attributes_that_are_called_like_a_gradient_are_listed_where_none_fits() -> None:
    problem = from_layer(Renamed(), {"x": X, "W": W})
    assert verdicts(problem) == {"x": "pass", "W": "fail"}
    assert notes(problem) == (
        "Renamed.backward leaves no ∂L/∂W as dW, grads['W'] or W.grad; like a gradient, the "
        "object has gradient_of_weights",
    )


def with_names(forward: str, backward: str) -> Any:
    """A layer whose methods have these names."""
    methods = {forward: Linear.forward, backward: Linear.backward}
    return type("Dense", (), {"__init__": Linear.__init__, **methods})()


@pytest.mark.parametrize(
    ("forward", "backward"),
    [("forward_pass", "backward_pass"), ("fprop", "bprop"), ("feedforward", "backprop")],
)
def test_methods_have_any_of_the_usual_names(forward: str, backward: str) -> None:
    layer = with_names(forward, backward)
    assert set(verdicts(from_layer(layer, {"x": X, "W": W, "b": B})).values()) == {"pass"}


def test_methods_of_other_names_are_named() -> None:
    layer = with_names("run", "unrun")
    named = from_layer(layer, {"x": X}, names=("run", "unrun"))
    assert verdicts(named) == {"x": "pass"}
    with pytest.raises(CodeError, match=r"no method 'forward'; it has run and unrun; methods of"):
        from_layer(layer, {"x": X})
