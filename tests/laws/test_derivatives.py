"""Jacobians, tangents and Hessians of random compositions: right ones pass, wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import from_hessian, from_jacobian, from_jvp
from tests.support.verdicts import judge

Array = NDArray[Any]

# Entry by entry: a function, its derivative and its second derivative, complex as well.
ENTRYWISE: tuple[tuple[Callable[[Array], Array], ...], ...] = (
    (np.sin, np.cos, lambda z: -np.sin(z)),
    (np.exp, np.exp, np.exp),
    (np.tanh, lambda z: 1 - np.tanh(z) ** 2, lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2)),
    (lambda z: z**3, lambda z: 3 * z**2, lambda z: 6 * z),
)
SEEDS = range(12)


def draw(seed: int) -> tuple[Any, Array, Array, Array]:
    """A function entry by entry, the matrices A and B around it, and a point."""
    random = np.random.default_rng(seed)
    rows, inner, size = random.integers(1, 5, size=3)
    a = random.normal(size=(rows, inner)) / np.sqrt(inner)
    b = random.normal(size=(inner, size)) / np.sqrt(size)
    return ENTRYWISE[seed % len(ENTRYWISE)], a, b, random.normal(size=size)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_jacobian_and_its_products_pass(seed: int) -> None:
    (f, slope, _), a, b, x = draw(seed)

    def forward(x: Array) -> Array:
        return np.asarray(a @ f(b @ x))

    def jacobian(x: Array) -> Array:
        return np.asarray(a @ np.diag(slope(b @ x)) @ b)

    assert judge(from_jacobian(forward, jacobian, x)).verdict == "pass"
    along = from_jvp(
        forward,
        lambda x, v: jacobian(x) @ v,
        x,
        backward=lambda delta, x: jacobian(x).T @ delta,
    )
    assert judge(along).verdict == "pass"
    by_complex_step = [
        np.imag(forward(x + 1e-30j * np.eye(len(x))[entry])) / 1e-30 for entry in range(len(x))
    ]
    np.testing.assert_allclose(jacobian(x), np.stack(by_complex_step, axis=1), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("given", [True, False], ids=["by-gradient", "by-forward"])
def test_a_hessian_passes_and_a_term_left_out_does_not(seed: int, given: bool) -> None:
    (f, slope, curvature), _, b, x = draw(seed)

    def loss(x: Array) -> float:
        return float(np.sum(f(b @ x)) + np.sum(x**2))

    def gradient(x: Array) -> Array:
        return np.asarray(b.T @ slope(b @ x) + 2 * x)

    def hessian(x: Array) -> Array:
        return np.asarray(b.T @ np.diag(curvature(b @ x)) @ b + 2 * np.eye(len(x)))

    def check_of(claimed: Callable[[Array], Array]) -> str:
        return judge(from_hessian(loss, claimed, x, gradient=gradient if given else None)).verdict

    assert check_of(hessian) == "pass"
    assert check_of(lambda x: hessian(x) - 2 * np.eye(len(x))) == "fail"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("given", [True, False], ids=["by-gradient", "by-forward"])
def test_the_hessian_of_a_quadratic_form_is_its_symmetric_part(seed: int, given: bool) -> None:
    a = np.random.default_rng(seed).normal(size=(3, 3))
    x = np.random.default_rng(seed + 100).normal(size=3)
    symmetric = (a + a.T) / 2

    def check_of(claimed: Array) -> str:
        gradient = (lambda x: symmetric @ x) if given else None
        return judge(
            from_hessian(lambda x: x @ a @ x / 2, lambda x: claimed, x, gradient=gradient)
        ).verdict

    assert (check_of(symmetric), check_of(a)) == ("pass", "fail")
