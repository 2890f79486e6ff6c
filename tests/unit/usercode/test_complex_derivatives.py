"""Jacobians and products along tangents of complex functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import CheckResult, check, from_hessian, from_hvp, from_jacobian, from_jvp
from gradcheck_cli.errors import CodeError

Array = NDArray[Any]
random = np.random.default_rng(0)


def draw(*shape: int) -> Array:
    return random.normal(size=shape) + 1j * random.normal(size=shape)


Z, A = draw(3), draw(2, 3)


def phases(z: Array) -> Array:
    return np.asarray(np.exp(A @ z))


def phases_jacobian(z: Array) -> Array:
    return phases(z)[:, None] * A


def power(z: Array) -> Array:
    return np.abs(z) ** 2


def verdicts(result: CheckResult) -> list[str]:
    return [str(one.verdict) for one in result.gradients]


def observation(result: CheckResult, place: int = 0) -> str:
    diagnosis = result.gradients[place].diagnosis
    return "" if diagnosis is None else diagnosis.observation


def test_a_jacobian_of_complex_outputs_is_that_of_a_holomorphic_function() -> None:
    result = check(from_jacobian(phases, phases_jacobian, Z))
    assert [one.shape for one in result.gradients] == [(2, 2, 3, 2)]
    assert result.verdict == "pass"
    assert "holomorphic" in result.notes[-1]
    flat = check(from_jacobian(phases, lambda z: {"z": phases_jacobian(z)}, Z))
    assert flat.verdict == "pass"
    wrong = check(from_jacobian(phases, lambda z: phases_jacobian(z).conj(), Z))
    assert observation(wrong) == "it is the complex conjugate of the numeric Jacobian"
    none = check(from_jacobian(lambda z: power(z) + 0j, lambda z: np.diag(z.conj()), Z))
    assert none.verdict == "fail"


@pytest.mark.parametrize("convention", ["torch", "jax"])
def test_the_rows_of_real_outputs_are_gradients_in_the_convention(convention: str) -> None:
    turn = np.conj if convention == "jax" else np.asarray
    right = from_jacobian(power, lambda z: np.diag(turn(2 * z)), Z, convention=convention)
    assert check(right).verdict == "pass"
    wrong = from_jacobian(power, lambda z: np.diag(turn(2 * z).conj()), Z, convention=convention)
    assert observation(check(wrong)) == "it is the complex conjugate of the numeric gradient"


def test_a_jacobian_of_real_inputs_has_an_imaginary_part() -> None:
    def jacobian(x: Array) -> Array:
        return np.diag(1j * np.exp(1j * x))

    x = Z.real.copy()
    assert check(from_jacobian(lambda x: np.exp(1j * x), jacobian, x)).verdict == "pass"
    real = from_jacobian(lambda x: np.exp(1j * x), lambda x: jacobian(x).real, x)
    assert check(real).verdict == "fail"


def saturate(z: Array) -> Array:
    return np.asarray(z / np.sqrt(1 + np.abs(z) ** 2))


def saturate_jvp(z: Array, dz: Array, turn: Callable[[Array], Array] = np.conj) -> Array:
    root = np.sqrt(1 + np.abs(z) ** 2)
    return np.asarray(dz / root - z * np.real(turn(z) * dz) / root**3)


def saturate_backward(delta: Array, z: Array) -> Array:
    root = np.sqrt(1 + np.abs(z) ** 2)
    return np.asarray(delta / root - z * np.real(np.conj(z) * delta) / root**3)


def test_a_product_along_tangents_is_that_of_any_function() -> None:
    made = from_jvp(saturate, saturate_jvp, Z, backward=saturate_backward)
    assert verdicts(check(made)) == ["pass"] * 3
    wrong = from_jvp(
        saturate, lambda z, dz: saturate_jvp(z, dz, np.asarray), Z, backward=saturate_backward
    )
    assert verdicts(check(wrong)) == ["pass", "fail", "fail"]


def test_the_convention_plays_no_part_in_a_product_along_tangents() -> None:
    def conjugate(delta: Array, z: Array) -> Array:
        return saturate_backward(delta.conj(), z).conj()

    made = from_jvp(saturate, saturate_jvp, Z, backward=conjugate, convention="jax")
    assert verdicts(check(made)) == ["pass"] * 3


def quartic(z: Array) -> float:
    return float(np.sum(np.abs(z) ** 4) / 4)


def quartic_gradient(z: Array) -> Array:
    return np.asarray(np.abs(z) ** 2 * z)


def quartic_hvp(z: Array, v: Array) -> Array:
    return np.asarray(np.abs(z) ** 2 * v + 2 * np.real(np.conj(z) * v) * z)


@pytest.mark.parametrize("given", [True, False], ids=["by-gradient", "by-forward"])
@pytest.mark.parametrize("convention", ["torch", "jax"])
def test_the_product_of_a_hessian_is_the_derivative_of_the_gradient(
    given: bool, convention: str
) -> None:
    turn: Any = np.conj if convention == "jax" else np.asarray

    def made(of: Callable[[Array, Array], Array]) -> CheckResult:
        gradient = (lambda z: turn(quartic_gradient(z))) if given else None
        hvp = from_hvp(
            quartic, lambda z, v: turn(of(z, v)), Z, gradient=gradient, convention=convention
        )
        return check(hvp)

    assert made(quartic_hvp).verdict == "pass"
    assert made(lambda z, v: np.abs(z) ** 2 * v + 2 * np.real(z * v) * z).verdict == "fail"


def test_a_hessian_of_complex_numbers_is_refused_with_what_to_do() -> None:
    with pytest.raises(CodeError, match=r"give the product H·v, .* under hvp"):
        from_hessian(quartic, lambda z: np.eye(3), Z)
