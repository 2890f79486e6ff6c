"""A loss between a forward and its backward: named, an object, or found beside them."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_layer
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))
Y = np.random.default_rng(3).integers(0, 2, (4, 2)).astype(float)
INPUTS, CONSTANTS = {"X": X, "W": W}, {"Y": Y}


def verdict(problem: Problem) -> str:
    return check(problem).verdict.value


def forward(X: Array, W: Array) -> tuple[Array, Array]:
    A = 1 / (1 + np.exp(-X @ W))
    return A, (X, W, A)


def backward(cache: Array, Y: Array) -> tuple[Array, Array]:
    X, W, A = cache
    dZ = (A - Y) / len(Y)
    return dZ @ W.T, X.T @ dZ


def half(cache: Array, Y: Array) -> tuple[Array, Array]:
    dX, dW = backward(cache, Y)
    return dX / 2, dW


def cross_entropy(A: Array, Y: Array) -> float:
    return float(-np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / len(Y))


def square_error(A: Array, Y: Array) -> float:
    return float(np.sum((A - Y) ** 2) / len(Y))


def in_file(function: Any, **names: Any) -> Any:
    """The function as if it stood in a file with these names alone."""
    return FunctionType(function.__code__, {"np": np, "len": len, "backward": backward, **names})


def test_the_only_loss_in_the_file_is_what_a_backward_is_of() -> None:
    right = check(
        from_functions(forward, in_file(backward, compute_cost=cross_entropy), INPUTS, CONSTANTS)
    )
    assert right.verdict == "pass"
    assert right.notes[0] == (
        "backward takes no upstream gradient: it was checked as that of cross_entropy, a loss in "
        "its file; 'loss' says that this is so"
    )
    wrong = in_file(half, compute_cost=cross_entropy)
    assert verdict(from_functions(forward, wrong, INPUTS, CONSTANTS)) == "fail"


def test_of_several_losses_the_one_that_fits_is_meant() -> None:
    losses = {"square_loss": square_error, "cross_entropy": cross_entropy}
    right = from_functions(forward, in_file(backward, **losses), INPUTS, CONSTANTS)
    assert verdict(right) == "pass"
    with pytest.raises(
        CodeError, match=r"belongs under value_and_grad.*in its file are square_error and cross_e"
    ):
        from_functions(forward, in_file(half, **losses), INPUTS, CONSTANTS)


def test_what_is_called_after_a_loss_and_is_none_is_not_taken() -> None:
    names = {"cost_gradient": cross_entropy, "dloss": cross_entropy, "loss_backward": cross_entropy}
    with pytest.raises(CodeError, match=r"a loss that the backward is of under loss$"):
        from_functions(forward, in_file(backward, **names), INPUTS, CONSTANTS)


class MeanSquare:
    """A loss that remembers, as layers do."""

    def forward(self, predicted: Array, Y: Array) -> Array:
        self.error = predicted - Y
        return np.mean(self.error**2)

    def backward(self) -> Array:
        return 2 * self.error / self.error.size


class HalfMeanSquare(MeanSquare):
    def backward(self) -> Array:
        return self.error / self.error.size


class Entropy:
    """A loss of two methods that take the same."""

    def loss(self, Y: Array, p: Array) -> Array:
        return -np.sum(Y * np.log(p) + (1 - Y) * np.log(1 - p))

    def gradient(self, Y: Array, p: Array) -> Array:
        return -Y / p + (1 - Y) / (1 - p)


def chained(delta: Array, cache: Array) -> tuple[Array, Array]:
    X, W, A = cache
    dZ = delta * A * (1 - A)
    return dZ @ W.T, X.T @ dZ


@pytest.mark.parametrize(
    ("loss", "expected"), [(MeanSquare, "pass"), (HalfMeanSquare, "fail"), (Entropy, "pass")]
)
def test_a_loss_may_be_an_object(loss: type, expected: str) -> None:
    assert verdict(from_functions(forward, chained, INPUTS, CONSTANTS, loss=loss())) == expected


class Net:
    """Its loss is a method, and leaves something for its backward."""

    def __init__(self) -> None:
        self.W = np.zeros((3, 2))

    def forward(self, X: Array) -> Array:
        self.X = X
        return np.tanh(X @ self.W)

    def compute_loss(self, out: Array, Y: Array) -> float:
        self.d = (out - Y) * (1 - out**2)
        return float(0.5 * np.sum((out - Y) ** 2))

    def backward(self) -> None:
        self.dW = self.X.T @ self.d


class WrongNet(Net):
    def backward(self) -> None:
        self.dW = 2 * self.X.T @ self.d


@pytest.mark.parametrize("named", [True, False])
def test_a_loss_may_be_a_method_of_the_layer(named: bool) -> None:
    for kind, expected in ((Net, "pass"), (WrongNet, "fail")):
        layer = kind()
        loss = layer.compute_loss if named else None
        made = from_layer(layer, {"W": W}, {"X": X, "Y": Y}, loss=loss)
        assert verdict(made) == expected


def forward_all(X: Array, W: Array) -> tuple[Array, Array]:
    return forward(X, W)


def backward_of_output(AL: Array, Y: Array, caches: Array) -> tuple[Array, Array]:
    X, W, _ = caches
    dZ = (AL - Y) / len(Y)
    return dZ @ W.T, X.T @ dZ


def cost_of_output(AL: Array, Y: Array) -> float:
    return cross_entropy(AL, Y)


def test_a_parameter_that_is_the_output_in_a_loss_is_not_handed_the_upstream_gradient() -> None:
    taken = in_file(backward_of_output, compute_cost=cost_of_output)
    result = check(from_functions(forward_all, taken, INPUTS, CONSTANTS))
    assert result.verdict == "pass"
    assert "it was checked as that of cost_of_output" in result.notes[0]


def test_a_jacobian_is_told_where_it_belongs() -> None:
    with pytest.raises(CodeError, match="gives a Jacobian, outputs × input; give it under jac"):
        from_functions(lambda x: 2 * x, lambda x: 2 * np.eye(2), {"x": np.ones(2)})
