"""Wrong gradients that one slip explains have one name, though each alone may have another."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli import check

Array = Any  # functions of users have no types
draw = np.random.default_rng(1).normal
INPUTS = {"x": draw(size=(2, 3, 2)), "h": draw(size=(2, 3)), "U": draw(size=(2, 3)),
          "W": draw(size=(3, 3)), "b": draw(size=3)}  # fmt: skip


def recurrent(x: Array, h: Array, U: Array, W: Array, b: Array) -> Array:
    states = []
    for t in range(x.shape[1]):
        a = x[:, t] @ U + h @ W + b
        h = np.tanh(a)
        states.append(h)
    return np.stack(states, 1)


def backward_without_carry(
    delta: Array, x: Array, h: Array, U: Array, W: Array, b: Array
) -> tuple[Array, ...]:
    states = recurrent(x, h, U, W, b)
    before = np.concatenate([h[:, None], states[:, :-1]], 1)
    da = delta * (1 - states**2)  # the carry da[:, t + 1] @ W.T is missing
    dU, dW = (np.einsum("nti,ntj->ij", array, da) for array in (x, before))
    return da @ U.T, da[:, 0] @ W.T, dU, dW, da.sum((0, 1))


def test_a_carry_that_is_lost_is_one_fault_of_all_gradients() -> None:
    found = [one.diagnosis for one in check(recurrent, backward_without_carry, INPUTS).gradients]
    assert len(found) == 5
    assert {one.code for one in found if one is not None} == {"GC145"}
    (told,) = {one.observation for one in found if one is not None}
    assert told.startswith("it is the gradient without what goes back from a (tests/")


def product(x: Array, w: Array) -> Array:
    return np.tanh(x @ w)


def test_two_slips_keep_their_names() -> None:
    def backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
        dz = delta * (1 - product(x, w) ** 2)
        return 2 * dz @ w.T, x.T @ delta

    found = [
        one.diagnosis
        for one in check(
            product, backward, {"x": draw(size=(4, 3)), "w": draw(size=(3, 2))}
        ).gradients
    ]
    assert [one.code for one in found if one is not None] == ["GC103", "GC131"]
