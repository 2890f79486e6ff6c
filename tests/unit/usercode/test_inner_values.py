"""What a forward computes on its way is read by name, and moved, and left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli.usercode.inner_values import list_inner_values

Array = Any  # functions of users have no types

X = np.random.default_rng(0).normal(size=(6, 4))
W = {"W": np.random.default_rng(1).normal(size=(4, 3))}


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def net(W: Array) -> Array:
    z = X @ W
    h = relu(z)
    cache = {"twice": 2 * h}
    return (cache["twice"] ** 2).sum(axis=1)


class Layer:
    def forward(self, W: Array) -> Array:
        self.z = X @ W
        return np.tanh(self.z)


def columns(W: Array) -> Array:
    total = np.zeros((6, 3))
    for k in range(3):
        total[:, k] = X @ W[:, k]
    return np.tanh(total)


def test_the_names_are_those_of_the_code() -> None:
    names = [one.name for one in list_inner_values(lambda v: net(**v), W)]
    assert names == ["z", "h", "cache['twice']"]
    (of_layer,) = list_inner_values(lambda v: Layer().forward(**v), W)
    assert of_layer.name == "self.z"
    assert of_layer.source.startswith("tests/unit/usercode/test_inner_values.py:")


def test_an_array_that_is_filled_in_a_loop_is_there_when_it_is_full() -> None:
    (total,) = list_inner_values(lambda v: columns(**v), W)
    np.testing.assert_allclose(total.value, X @ W["W"])


def test_a_value_is_read_at_other_inputs_and_moved() -> None:
    z, h, _ = list_inner_values(lambda v: net(**v), W)
    other = {"W": 2 * W["W"]}
    np.testing.assert_array_equal(z.read(other), X @ other["W"])
    np.testing.assert_array_equal(
        h.move(W, np.ones((6, 3))), (4 * (relu(X @ W["W"]) + 1) ** 2).sum(axis=1)
    )
    np.testing.assert_array_equal(z.move(W, np.zeros((6, 3))), net(**W))


def test_data_that_a_closure_holds_is_left_as_it_was() -> None:
    data = X.copy()

    def forward(values: Any) -> Array:
        return np.tanh(data @ values["W"])

    (held,) = list_inner_values(forward, W)
    moved = held.move(W, np.ones(X.shape))
    assert not np.array_equal(moved, forward(W))
    np.testing.assert_array_equal(data, X)
