"""What a forward computes on its way is read by name, and moved, and left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli.usercode.watching.inner_values import list_inner_values

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


class Kept:
    """Keeps what it computes on itself, from call to call."""

    def forward(self, W: Array) -> Array:
        self.z = X @ W
        return np.tanh(self.z)


def test_what_an_object_holds_from_an_earlier_call_is_not_of_this_one() -> None:
    kept = Kept()
    kept.forward(**W)
    (z,) = list_inner_values(lambda v: kept.forward(**v), W)
    assert z.name == "self.z"
    np.testing.assert_array_equal(z.read({"W": 2 * W["W"]}), 2 * X @ W["W"])


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


def inline(W: Array) -> Array:
    h = np.maximum(
        X.dot(W),
        0,
    )
    return 1 / (1 + np.exp(-(h @ np.ones((3, 2)))))


def test_what_a_line_hands_on_without_a_name_is_read_and_moved() -> None:
    values = list_inner_values(lambda v: inline(**v), W)
    by_name = {one.name: one for one in values}
    z, s = (by_name[name] for name in ("(X.dot(W))", "(h @ np.ones((3, 2)))"))
    assert "h" in by_name
    assert "(np.exp(-(h @ np.ones((3, 2)))))" in by_name
    other = {"W": -W["W"]}
    np.testing.assert_array_equal(z.read(other), -z.value)
    np.testing.assert_array_equal(z.move(W, np.zeros((6, 3))), inline(**W))
    moved = 1 / (1 + np.exp(-(np.maximum(z.value + 0.1, 0) @ np.ones((3, 2)))))
    np.testing.assert_allclose(z.move(W, np.full((6, 3), 0.1)), moved)
    np.testing.assert_allclose(s.move(W, -s.value), np.full((6, 2), 0.5))


def test_what_a_line_draws_or_writes_elsewhere_is_left_alone() -> None:
    place = np.zeros((6, 3))

    def forward(W: Array) -> Array:
        np.maximum(X @ W, 0, out=place)
        h = np.add(np.tanh(X @ W), 0, out=place)
        first, second = np.split(np.tanh(h * 1.0), 2)
        return first + second

    names = [one.name for one in list_inner_values(lambda v: forward(**v), W)]
    assert not any("X @ W" in name or "h * 1" in name for name in names)


def test_data_that_a_closure_holds_is_left_as_it_was() -> None:
    data = X.copy()

    def forward(values: Any) -> Array:
        return np.tanh(data @ values["W"])

    held, inside = list_inner_values(forward, W)
    assert (held.name, inside.name) == ("data", "(data @ values['W'])")
    moved = held.move(W, np.ones(X.shape))
    assert not np.array_equal(moved, forward(W))
    np.testing.assert_array_equal(data, X)


def halve(x: Array) -> Array:
    while np.max(np.abs(x)) > 1.0:
        x = x / 2
    return x


def halved(W: Array) -> Array:
    z = halve(X) @ halve(W)
    a = (lambda v: np.exp(-v))(z)
    return np.tanh(a).sum(axis=1)


def test_a_value_is_found_however_many_lines_other_functions_run_before() -> None:
    found = {one.name: one for one in list_inner_values(lambda v: halved(**v), W)}
    z = halve(X) @ halve(64 * W["W"])
    assert np.array_equal(found["z"].read({"W": 64 * W["W"]}), z)
    moved = np.tanh(np.exp(-(z + 1))).sum(axis=1)
    np.testing.assert_allclose(found["z"].move({"W": 64 * W["W"]}, np.ones_like(z)), moved)


def test_what_follows_a_value_is_read_where_that_is_moved() -> None:
    found = {one.name: one for one in list_inner_values(lambda v: halved(**v), W)}
    z, a = found["z"], found["a"]
    later, outputs = z.follow(W, np.ones_like(z.value), [a])
    np.testing.assert_allclose(later[a.event, "a"], np.exp(-(z.value + 1)))
    np.testing.assert_allclose(outputs, np.tanh(np.exp(-(z.value + 1))).sum(axis=1))
