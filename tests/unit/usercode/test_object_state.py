"""What objects hold beside plain arrays: views of one vector, properties, what cannot be copied."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_layer
from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.views import find_view

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 3))
THETA = np.random.default_rng(3).normal(size=12)


class Packed:
    """All parameters are views of one vector."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.theta = np.zeros(12)
        self.W, self.b = self.theta[:9].reshape(3, 3).T, self.theta[:8:-1]

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta: Array) -> Array:
        db = self.factor * delta.sum(axis=0)
        self.dtheta = np.concatenate([(self.x.T @ delta).T.ravel(), db[::-1]])
        return delta @ self.W.T


class Tied:
    """An autoencoder: the decoder is the transposed encoder."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.W = np.eye(3)
        self.decoder = self.W.T

    def forward(self, x: Array) -> Array:
        self.x, self.hidden = x, x @ self.W
        return self.hidden @ self.decoder

    def backward(self, delta: Array) -> Array:
        dhidden = delta @ self.decoder.T
        self.dW = self.x.T @ dhidden + self.factor * delta.T @ self.hidden
        return dhidden @ self.W.T


class Shown:
    """Shows its parameter by a property that cannot be set, and holds a module and a lock."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.kept = {"weight": np.zeros((3, 3))}
        self.numpy = np
        self.parts = [{"lock": threading.Lock()}]

    @property
    def W(self) -> Array:  # noqa: N802
        return self.kept["weight"]

    def forward(self, x: Array) -> Array:
        with self.parts[0]["lock"]:
            self.x = x
        return self.numpy.dot(x, self.W)

    def backward(self, delta: Array) -> Array:
        self.dW = self.factor * self.x.T @ delta
        return delta @ self.W.T


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [(Packed, {"theta": THETA}), (Tied, {"W": W}), (Shown, {"W": W})],
)
def test_an_object_may_hold_its_parameters_so(kind: type[Any], parameter: dict[str, Array]) -> None:
    assert check(from_layer(kind(), {"x": X, **parameter})).verdict == "pass"
    wrong = check(from_layer(kind(2.0), {"x": X, **parameter}))
    assert [str(one.verdict) for one in wrong.gradients] == ["pass", "fail"]


class Both(Shown):
    """Returns the gradient of its parameter, and keeps it."""

    def backward(self, delta: Array) -> Any:
        self.dW = self.factor * self.x.T @ delta
        return delta @ self.W.T, self.x.T @ delta


@pytest.mark.parametrize(("factor", "notes"), [(1.0, 0), (2.0, 1)])
def test_a_gradient_that_is_kept_beside_another_that_is_returned_is_told(
    factor: float, notes: int
) -> None:
    result = check(from_layer(Both(factor), {"x": X, "W": W}))
    told = [note for note in result.notes if "and leaves another one in its object" in note]
    assert (result.verdict, len(told)) == ("pass", notes)


def test_a_view_of_an_array_is_the_same_view_of_another() -> None:
    whole, other = np.zeros((3, 4)), np.arange(12.0).reshape(3, 4)
    pairs = [(a.T, a[1:, ::2], a[::-1, ::-1], a[2]) for a in (whole, other)]
    for of_whole, of_other in zip(*pairs, strict=True):
        view = find_view(of_whole, whole)
        assert view is not None
        assert np.array_equal(view.of(other), of_other)
    assert find_view(whole, whole[1:]) is None
    assert find_view(np.zeros(3), whole) is None
    assert find_view(whole.view(np.int64), whole) is None


class Stubborn:
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("one of a kind")


def test_a_constant_that_cannot_be_copied_is_shared() -> None:
    def forward(x: Array, tool: Any) -> Array:
        return x**2

    problem = from_functions(forward, lambda delta, x: 2 * delta * x, X, {"tool": [Stubborn()]})
    assert check(problem).verdict == "pass"


class Unmakeable(Shown):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return (Unmakeable.refuse, ())

    @staticmethod
    def refuse() -> None:
        raise ValueError("only one at a time")


def test_an_object_that_cannot_be_copied_is_told() -> None:
    with pytest.raises(
        CodeError, match="copying an object of Unmakeable raised ValueError: only one"
    ):
        from_layer(Unmakeable(), {"x": X, "W": W})


def test_an_array_in_the_place_of_an_object_is_told() -> None:
    with pytest.raises(CodeError, match="ndarray has no method 'forward'; it has all, any"):
        from_layer(np.zeros(3), {"x": X})
