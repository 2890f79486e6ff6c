"""Faults below a hidden layer are named at the values that the user's forward computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_torch
from gradcheck_cli.result import Diagnosis

Array = Any  # functions of users have no types

draw = np.random.default_rng(0).normal
X, Y = draw(size=(6, 4)), draw(size=(6, 2))
INPUTS = {"W1": draw(size=(4, 5)), "b1": draw(size=5), "W2": draw(size=(5, 2))}


def loss(W1: Array, b1: Array, W2: Array) -> Array:
    z = X @ W1 + b1
    h = np.maximum(z, 0)
    out = h @ W2
    return 0.5 * np.sum((out - Y) ** 2) / len(X)


def with_delta(of_hidden: Callable[[Array, Array, Array], Array]) -> Callable[..., Any]:
    """The backward of the net with some ∂L/∂z, of ∂L/∂h, z and h."""

    def backward(delta: Array, W1: Array, b1: Array, W2: Array) -> tuple[Array, ...]:
        z = X @ W1 + b1
        h = np.maximum(z, 0)
        out = delta * (h @ W2 - Y) / len(X)
        dz = of_hidden(out @ W2.T, z, h)
        return X.T @ dz, dz.sum(0), h.T @ out

    return backward


def diagnose(forward: Any, backward: Any, inputs: Any) -> dict[str, Diagnosis]:
    return {
        one.name: one.diagnosis
        for one in check(forward, backward, inputs).gradients
        if one.diagnosis is not None
    }


@pytest.mark.parametrize(
    ("code", "of_hidden"),
    [
        ("GC131", lambda dh, z, h: dh),
        ("GC134", lambda dh, z, h: dh * (z < 0)),
        ("GC135", lambda dh, z, h: dh * h),
        ("GC121", lambda dh, z, h: 1.0 * (z > 0)),
    ],
)
def test_the_lower_layer_of_a_net_with_a_loss(code: str, of_hidden: Any) -> None:
    found = diagnose(loss, with_delta(of_hidden), INPUTS)
    assert set(found) == {"W1", "b1"}
    assert found["W1"].code == code
    assert found["b1"].code == code
    assert "test_hidden_stages.py:2" in found["W1"].observation


def regularised(W1: Array, b1: Array, W2: Array) -> Array:
    h = np.maximum(X @ W1 + b1, 0)
    return 0.5 * np.sum((h @ W2 - Y) ** 2) / len(X) + 0.1 * np.sum(W1**2)


def test_a_layer_whose_product_has_no_name_beside_a_regulariser() -> None:
    without_mask = with_delta(lambda dh, z, h: dh)

    def backward(delta: Array, W1: Array, b1: Array, W2: Array) -> tuple[Array, ...]:
        dW1, db1, dW2 = without_mask(delta, W1, b1, W2)
        return dW1 + 0.2 * delta * W1, db1, dW2

    found = diagnose(regularised, backward, INPUTS)
    assert (found["W1"].code, found["b1"].code) == ("GC131", "GC131")
    assert "without f′(z), at ∂L/∂(X @ W1 + b1) (tests/" in found["W1"].observation


def test_a_sample_that_is_left_out_below_a_hidden_layer() -> None:
    kept = (np.arange(6) < 5)[:, None]
    found = diagnose(loss, with_delta(lambda dh, z, h: dh * (z > 0) * kept), INPUTS)
    assert found["W1"].code == "GC123"


def test_a_right_net_with_a_hidden_layer_is_right() -> None:
    assert diagnose(loss, with_delta(lambda dh, z, h: dh * (z > 0)), INPUTS) == {}


def recurrent(U: Array, V: Array) -> Array:
    h = np.zeros((1, 3))
    for x in X:
        h = np.tanh(x @ V + h @ U)
    return h


def test_a_time_step_that_is_not_added() -> None:
    """Backward in time without dh = dz @ U.T: the last step alone."""

    def backward(delta: Array, U: Array, V: Array) -> tuple[Array, Array]:
        hs = [np.zeros((1, 3))]
        for x in X:
            hs.append(np.tanh(x @ V + hs[-1] @ U))
        dz = delta * (1 - hs[-1] ** 2)
        return hs[-2].T @ dz, X[-1:].T @ dz

    found = diagnose(recurrent, backward, {"U": draw(size=(3, 3)), "V": draw(size=(4, 3))})
    # Alone, that of V is literally that for U = 0: nothing comes from earlier steps.
    assert (found["U"].code, found["V"].code) == ("GC145", "GC145")
    assert found["V"].observation == found["U"].observation
    assert "without what flows through h (" in found["U"].observation
    assert "time 5" in found["U"].observation


def branches(x: Array) -> Array:
    side = np.sin(x)
    return x * x + side


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("without what flows through side", lambda delta, x: 2 * delta * x),
        ("is −1 times what it should be", lambda delta, x: delta * (2 * x - np.cos(x))),
        ("that flows through side", lambda delta, x: delta * np.cos(x)),
        ("is 2 times what it should be", lambda delta, x: 2 * delta * (x + np.cos(x))),
    ],
)
def test_a_branch_left_out_or_counted_twice(said: str, wrong: Any) -> None:
    (found,) = diagnose(branches, wrong, {"x": draw(size=(3, 4))}).values()
    assert found.code == "GC145"
    assert said in found.observation
    (right,) = check(
        branches, lambda delta, x: delta * (2 * x + np.cos(x)), {"x": draw(size=(3, 4))}
    ).gradients
    assert right.diagnosis is None


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


LABELS = np.eye(4)[[0, 1, 2, 3, 0]]


def cross_entropy(W: Array) -> Array:
    z = X[:5] @ W
    p = softmax(z)
    return -np.sum(LABELS * np.log(p)) / len(p)


@pytest.mark.parametrize("logits", [True, False])
def test_logits_for_probabilities(logits: bool) -> None:
    def backward(delta: Array, W: Array) -> Array:
        z = X[:5] @ W
        return delta * X[:5].T @ ((z if logits else softmax(z)) - LABELS) / len(z)

    found = diagnose(cross_entropy, backward, {"W": draw(size=(4, 4))})
    if not logits:
        assert found == {}
        return
    assert found["W"].code == "GC146"
    assert "in the place of" in found["W"].observation


def clipped(x: Array) -> Array:
    z = np.clip(x, -1, 1)
    return np.logaddexp(z, 0)


def test_a_mask_that_is_decided_by_the_output() -> None:
    def backward(by: Any) -> Any:
        def rule(delta: Array, x: Array) -> Array:
            inside = np.abs(clipped(x) if by == "output" else x) < 1
            return delta * inside / (1 + np.exp(-x))

        return rule

    x = {"x": np.array([-3.0, -0.4, 0.8, 2.0, 0.2, 0.9, -2.0, 0.5])}
    assert diagnose(clipped, backward("input"), x) == {}
    found = diagnose(clipped, backward("output"), x)["x"]
    assert found.code == "GC147"
    assert "should be zero" in found.observation
    assert "should not be zero" in found.observation


def normalised(x: Array) -> Array:
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    return (x - mu) / np.sqrt(var + 1e-5)


def test_a_mean_and_a_variance_that_are_taken_for_constants() -> None:
    found = diagnose(normalised, lambda delta, x: delta / np.sqrt(x.var(0) + 1e-5), {"x": X})
    assert found["x"].code == "GC145"
    assert "without what flows through mu (" in found["x"].observation
    assert " and through var (" in found["x"].observation


def test_a_function_of_torch_inside_a_module() -> None:
    torch = pytest.importorskip("torch")

    class Relu(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, z: Any) -> Any:
            return z.clamp(min=0)

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            return delta

    def net(x: Any, W: Any) -> Any:
        z = x @ W
        return ((Relu.apply(z) + 1) ** 2).sum()

    def in_one_line(x: Any, W: Any) -> Any:
        h = Relu.apply(x @ W)
        return ((h + 1) ** 2).sum()

    inputs = {"x": torch.tensor(X), "W": torch.tensor(INPUTS["W1"])}
    for forward, place in ((net, "∂L/∂z (tests/"), (in_one_line, "∂L/∂(x @ W) (tests/")):
        found = [one.diagnosis for one in check(from_torch(forward, inputs)).gradients]
        assert {one.code for one in found if one is not None} == {"GC131"}
        assert all(place in one.observation for one in found if one is not None)


def attention(Q: Array, K: Array, V: Array) -> Array:
    S = Q @ K.T / 2
    P = np.exp(S - S.max(1, keepdims=True))
    P = P / P.sum(1, keepdims=True)
    return P @ V


def test_the_diagonal_of_an_inner_softmax_alone() -> None:
    def backward(delta: Array, Q: Array, K: Array, V: Array) -> tuple[Array, Array, Array]:
        P = np.exp(Q @ K.T / 2)
        P = P / P.sum(1, keepdims=True)
        dS = P * (1 - P) * (delta @ V.T)
        return dS @ K / 2, dS.T @ Q / 2, P.T @ delta

    found = diagnose(attention, backward, {name: draw(size=(5, 4)) for name in "QKV"})
    assert {name: one.code for name, one in found.items()} == {"Q": "GC129", "K": "GC129"}
    assert "at ∂L/∂S (" in found["Q"].observation


def cell(a: Array, c0: Array) -> tuple[Array, Array]:
    c = c0 + a
    h = a * np.tanh(c)
    return h, c


def test_a_slope_missing_of_a_value_that_is_an_output_too() -> None:
    def backward(dh: Array, dc: Array, a: Array, c0: Array) -> tuple[Array, Array]:
        c = c0 + a
        dc = dc + dh * a
        return dh * np.tanh(c) + dc, dc

    found = diagnose(cell, backward, {"a": draw(size=(3, 4)), "c0": draw(size=(3, 4))})
    assert {name: one.code for name, one in found.items()} == {"a": "GC131", "c0": "GC131"}


def correlate(x: Array, w: Array) -> Array:
    return np.array([[np.sum(x[i : i + 3, j : j + 3] * w) for j in range(3)] for i in range(3)])


def test_a_kernel_that_is_turned_by_half() -> None:
    def backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i, j in np.ndindex(3, 3):
            dx[i : i + 3, j : j + 3] += delta[i, j] * w[::-1, ::-1]
            dw += delta[i, j] * x[i : i + 3, j : j + 3]
        return dx, dw

    found = diagnose(correlate, backward, {"x": draw(size=(5, 5)), "w": draw(size=(3, 3))})
    assert found["x"].code == "GC106"
    assert "w reversed along axis 0 and axis 1" in found["x"].observation
