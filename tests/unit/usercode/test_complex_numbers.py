"""Complex inputs and outputs: both parts are checked, in either convention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import CheckResult, check, from_derivative, from_functions

Array = NDArray[Any]


def draw(*shape: int, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    return random.normal(size=shape) + 1j * random.normal(size=shape)


Z, W = draw(4, 3), draw(3, 2, seed=1)


def product(z: Array, w: Array) -> Array:
    return np.asarray(z @ w)


def backward(delta: Array, z: Array, w: Array) -> tuple[Array, Array]:
    return delta @ w.conj().T, z.conj().T @ delta


def as_if_real(delta: Array, z: Array, w: Array) -> tuple[Array, Array]:
    return delta @ w.T, z.T @ delta


def verdicts(result: CheckResult) -> list[str]:
    return [str(one.verdict) for one in result.gradients]


def test_both_parts_of_every_entry_are_compared() -> None:
    result = check(product, backward, {"z": Z, "w": W})
    assert [(one.shape, str(one.verdict)) for one in result.gradients] == [
        ((4, 3, 2), "pass"),
        ((3, 2, 2), "pass"),
    ]
    assert result.notes == (
        "w, z and the outputs are complex: real and imaginary parts are along the last axis, and "
        "gradients are those of torch, ∂L/∂Re z + i ∂L/∂Im z",
    )


@pytest.mark.parametrize(
    ("convention", "rule", "verdict"),
    [
        ("torch", backward, "pass"),
        ("jax", as_if_real, "pass"),
        ("torch", as_if_real, "fail"),
        ("jax", backward, "fail"),
    ],
)
def test_a_holomorphic_rule_of_jax_has_no_conjugates(
    convention: str, rule: Callable[..., Any], verdict: str
) -> None:
    problem = from_functions(product, rule, {"z": Z, "w": W}, convention=convention)
    assert check(problem).verdict == verdict


@pytest.mark.parametrize(
    ("rule", "observation"),
    [
        (as_if_real, "it is the gradient with the other factor in the place of its conjugate"),
        (
            lambda delta, z, w: [np.conj(one) for one in backward(delta, z, w)],
            "it is the complex conjugate of the numeric gradient",
        ),
        (
            lambda delta, z, w: backward(np.conj(delta), z, w),
            "it is the gradient with the conjugate of the upstream gradient",
        ),
    ],
)
def test_a_missing_conjugate_is_named(rule: Callable[..., Any], observation: str) -> None:
    for gradient in check(product, rule, {"z": Z, "w": W}).gradients:
        assert gradient.diagnosis is not None
        assert (gradient.diagnosis.code, gradient.diagnosis.observation) == ("GC163", observation)


def test_real_outputs_of_complex_inputs() -> None:
    right = check(lambda z: np.abs(z) ** 2, lambda delta, z: 2 * delta * z, {"z": Z})
    wrong = check(lambda z: np.abs(z) ** 2, lambda delta, z: 2 * delta * z.conj(), {"z": Z})
    assert (right.verdict, wrong.verdict) == ("pass", "fail")
    assert wrong.gradients[0].diagnosis is not None
    assert wrong.gradients[0].diagnosis.code == "GC163"


def test_complex_outputs_of_real_inputs() -> None:
    angle = np.array([0.3, -1.2, 2.0])

    def turn(angle: Array) -> Array:
        return np.exp(1j * angle)

    right = check(turn, lambda delta, angle: np.real(np.conj(1j * turn(angle)) * delta), angle)
    assert right.verdict == "pass"
    complex_gradient = check(turn, lambda delta, angle: np.conj(1j * turn(angle)) * delta, angle)
    (gradient,) = complex_gradient.gradients
    assert gradient.reason == "∂L/∂angle must hold real numbers; the backward gives complex128"


@pytest.mark.parametrize("function", ["sin", "exp", "tanh"])
def test_a_derivative_entry_by_entry_is_that_of_the_holomorphic_function(function: str) -> None:
    slopes: dict[str, Callable[[Array], Array]] = {
        "sin": np.cos,
        "exp": np.exp,
        "tanh": lambda z: 1 - np.tanh(z) ** 2,
    }
    problem = from_derivative(getattr(np, function), slopes[function], {"z": 0.5 * Z})
    assert check(problem).verdict == "pass"
