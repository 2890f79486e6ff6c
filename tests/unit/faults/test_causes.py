"""The cause belongs to the pattern: of codes with several, one that fits and one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check
from gradcheck_cli.result import Diagnosis

Array = Any  # functions of users have no types

draw = np.random.default_rng(4).normal
X, W, B = draw(size=(5, 4)), draw(size=(4, 3)), draw(size=3)
OTHER = draw(size=(4, 3))
SQUARE = draw(size=(4, 4))


def of_product(wrong: Callable[[Array, Array, Array], Array]) -> Diagnosis:
    """What is said of ∂L/∂w of x @ w, of δ, x and w."""
    result = check(
        lambda x, w: x @ w, lambda delta, x, w: (delta @ w.T, wrong(delta, x, w)), {"x": X, "w": W}
    )
    (found,) = [one.diagnosis for one in result.gradients if one.diagnosis is not None]
    return found


def of_function(forward: Any, backward: Any, **inputs: Array) -> Diagnosis:
    """What is said of the first wrong gradient."""
    result = check(forward, backward, inputs)
    return next(one.diagnosis for one in result.gradients if one.diagnosis is not None)


def softplus_layer(x: Array, w: Array, b: Array) -> Array:
    return np.logaddexp(x @ w + b, 0)


def of_softplus(b: Callable[[Array], Array]) -> Diagnosis:
    """What is said where a layer computes z anew with another bias."""

    def backward(delta: Array, x: Array, w: Array, bias: Array) -> tuple[Array, ...]:
        dz = delta / (1 + np.exp(-(x @ w + b(bias))))
        right = delta / (1 + np.exp(-(x @ w + bias)))
        return dz @ w.T, x.T @ right, right.sum(0)

    def forward(x: Array, w: Array, bias: Array) -> Array:
        return softplus_layer(x, w, bias)

    return of_function(forward, backward, x=X, w=W, bias=B)


def of_relu(mask: Callable[[Array], Array]) -> Diagnosis:
    """What is said of a slope by cases."""
    x = np.array([-1.5, 0.3, -0.2, 2.0, 0.9, -0.7])
    return of_function(lambda x: np.where(x > 0, x, 0.1 * x), lambda delta, x: delta * mask(x), x=x)


# Code, what the cause says, an example of that, and one of the same code with another cause.
CAUSES: list[tuple[str, str, Callable[[], Diagnosis], Callable[[], Diagnosis]]] = [
    (
        "GC103",
        "a sign is lost",
        lambda: of_product(lambda d, x, w: -x.T @ d),
        lambda: of_product(lambda d, x, w: 2 * x.T @ d),
    ),
    (
        "GC103",
        "without its ½",
        lambda: of_product(lambda d, x, w: 2 * x.T @ d),
        lambda: of_product(lambda d, x, w: x.T @ d / len(x)),
    ),
    (
        "GC103",
        "an average where a sum belongs",
        lambda: of_product(lambda d, x, w: x.T @ d / len(x)),
        lambda: of_product(lambda d, x, w: x.T @ d / 2),
    ),
    (
        "GC109",
        "a loop or a slice ends early",
        lambda: of_product(lambda d, x, w: x.T @ d * (np.arange(4) < 3)[:, None]),
        lambda: of_relu(lambda x: np.where(x > 0, 1.0, 0.0)),
    ),
    (
        "GC116",
        "in the gradient that is not in the loss",
        lambda: of_product(lambda d, x, w: x.T @ d + 0.1 * w),
        lambda: of_product(lambda d, x, w: x.T @ d - 0.1 * w),
    ),
    (
        "GC116",
        "a constant is added",
        lambda: of_product(lambda d, x, w: x.T @ d + 1e-3),
        lambda: of_product(lambda d, x, w: x.T @ d + 1e-3 * w),
    ),
    (
        "GC116",
        "different factors",
        lambda: of_product(lambda d, x, w: x.T @ d / 3 + 0.1 * w),
        lambda: of_product(lambda d, x, w: x.T @ d + 0.1 * w),
    ),
    (
        "GC120",
        "leaves out what this input brings",
        lambda: of_softplus(lambda b: 0 * b),
        lambda: of_function(
            lambda x, g: g * np.sin(x), lambda d, x, g: (d * np.cos(x), (d * np.sin(x)).sum(0)),
            x=X, g=draw(size=4),
        ),
    ),
    (
        "GC119",
        "another sign",
        lambda: of_softplus(lambda b: -b),
        lambda: of_function(
            lambda x, w: x @ w, lambda d, x, w: (d @ (w + OTHER).T, x.T @ d), x=X, w=W
        ),
    ),
    (
        "GC130",
        "an epsilon",
        lambda: of_product(lambda d, x, w: x.T @ d * (1 + 1e-5 * np.arange(1, 5))[:, None]),
        lambda: of_product(lambda d, x, w: x.T @ d / np.array([[2], [3], [2], [4]])),
    ),
    (
        "GC130",
        "an index that is repeated",
        lambda: of_product(lambda d, x, w: x.T @ d / np.array([[2], [3], [2], [4]])),
        lambda: of_product(lambda d, x, w: x.T @ d * np.array([[1.3], [0.7], [2.6], [1.9]])),
    ),
    (
        "GC131",
        "around the layer",
        lambda: of_function(lambda x: x + np.tanh(x @ SQUARE), lambda d, x: d, x=X),
        lambda: of_function(np.tanh, lambda d, x: d, x=X),
    ),
    (
        "GC142",
        "lacks a factor",
        lambda: of_function(
            lambda a, b: np.outer(a, b), lambda d, a, b: (d.sum(1), d.T @ a), a=draw(size=4), b=B
        ),
        lambda: of_function(
            lambda x, b: x + b, lambda d, x, b: (d, np.full(4, d.sum())), x=X, b=draw(size=4)
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "fits", "other"), CAUSES)
def test_the_cause_belongs_to_the_pattern(
    code: str, says: str, fits: Callable[[], Diagnosis], other: Callable[[], Diagnosis]
) -> None:
    right, wrong = fits(), other()
    assert (right.code, wrong.code) == (code, code)
    assert says in right.cause
    assert says not in wrong.cause
