"""What a backward may return for a gradient: lists of numbers, whole numbers, sparse matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from gradcheck_cli import check, from_functions, from_value_and_grad
from gradcheck_cli.errors import CodeError

Array = Any  # functions of users have no types

X = np.array([-0.7, 0.4, 1.3])


def cube(x: Array) -> list[Array]:
    return [one**3 for one in x]


@pytest.mark.parametrize("kind", [list, tuple])
def test_numbers_one_by_one_are_the_gradient_of_one_array(kind: Callable[[Any], Any]) -> None:
    def backward(delta: Array, x: Array, factor: float = 3.0) -> Any:
        return kind(factor * one**2 * upstream for one, upstream in zip(x, delta, strict=True))

    assert check(from_functions(cube, backward, X)).verdict == "pass"
    wrong = from_functions(cube, lambda delta, x: backward(delta, x, 2.0), X)
    assert check(wrong).verdict == "fail"


def test_so_are_rows() -> None:
    def backward(delta: Array, x: Array, factor: float = 2.0) -> list[Array]:
        return [factor * row * upstream for row, upstream in zip(x, delta, strict=True)]

    x = np.stack([X, X + 1])
    assert check(from_functions(np.square, backward, {"x": x})).verdict == "pass"
    wrong = from_functions(np.square, lambda delta, x: backward(delta, x, 1.0), {"x": x})
    assert check(wrong).verdict == "fail"


@pytest.mark.parametrize("kind", [bool, np.uint8, int])
def test_whole_numbers_are_right_where_the_gradient_is_one(kind: Any) -> None:
    def loss(x: Array) -> Any:
        return np.maximum(x, 0).sum(), (x > 0).astype(kind)

    def cut(x: Array) -> Any:
        return (x**2).sum(), (2 * x).astype(kind)

    assert check(from_value_and_grad(loss, X)).verdict == "pass"
    (gradient,) = check(from_value_and_grad(cut, X)).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.code == "GC153"


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "pass"), (1.0, "fail")])
def test_a_sparse_matrix_is_a_gradient(factor: float, verdict: str) -> None:
    def backward(delta: Array, x: Array) -> Any:
        return scipy.sparse.csr_matrix(factor * delta * x)

    x = np.stack([X, X + 1])
    assert check(from_functions(np.square, backward, {"x": x})).verdict == verdict


def test_an_entry_that_is_masked_has_no_value() -> None:
    def backward(delta: Array, x: Array) -> Array:
        return np.ma.masked_where(x < 0, 2 * delta * x)

    (gradient,) = check(from_functions(np.square, backward, {"x": X})).gradients
    assert gradient.reason.startswith("∂L/∂x is nan at")
    with pytest.raises(CodeError, match="returns masked entries, which have no value"):
        from_functions(lambda x: np.ma.masked_where(x < 0, x), lambda delta: delta, X)


def half_square(x: Array) -> Array:
    return (x**2).sum() / 2


@pytest.mark.parametrize(
    "backward", [lambda delta, x: delta, lambda dout, x: dout * 1.0, lambda g: g]
)
def test_the_upstream_gradient_alone_is_no_gradient_of_a_number(backward: Any) -> None:
    """Handed x in its place, it would be right."""
    assert check(from_functions(half_square, backward, X)).verdict == "fail"
