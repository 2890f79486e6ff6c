"""The numeric gradient beyond the paper's layers: functions with known derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.scales import entry_scale
from tests.support.layers import Float
from tests.support.numeric import numeric_gradient

ONE = np.ones(1)


def gradient(
    function: Callable[[Float], Float], x: Float, step: float | None = None
) -> NumericGradient:
    """The derivative of Σ function(x), one output an entry."""
    return numeric_gradient(function, x, np.ones(x.shape), step=step)


FUNCTIONS: dict[str, tuple[Callable[[Float], Float], Callable[[Float], Float]]] = {
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "sin 100 x": (lambda x: np.sin(100 * x), lambda x: 100 * np.cos(100 * x)),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "x with an offset": (lambda x: x + 1e12, np.ones_like),
    "x**7": (lambda x: x**7, lambda x: 7 * x**6),
    "constant": (lambda x: 0 * x + 3, np.zeros_like),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_the_true_derivative_is_within_the_uncertainty(name: str, scale: float) -> None:
    function, derivative = FUNCTIONS[name]
    x = np.array([0.3, 0.7, 1.1, 2.9]) * scale
    with np.errstate(all="ignore"):
        measured, exact = gradient(function, x), derivative(x)
    usable = np.isfinite(measured.value)
    error = np.abs(measured.value - exact)
    assert np.all(error[usable] <= measured.uncertainty[usable])
    assert np.all(np.isinf(measured.uncertainty[~usable]))


def test_a_function_outside_its_domain_has_no_numeric_gradient() -> None:
    with np.errstate(all="ignore"):
        measured = gradient(np.log, np.array([-1.0]))
    assert np.isnan(measured.value[0])
    assert np.isinf(measured.uncertainty[0])


def test_the_step_really_taken_divides() -> None:
    # 1e16 + 1 is 1e16: a step of 1 is not taken, one of 3 is taken as 4.
    measured = gradient(lambda x: 2 * x, np.array([1e16]), step=3.0)
    assert measured.value[0] == 2.0


def test_a_step_lost_in_rounding_gives_no_number() -> None:
    measured = gradient(lambda x: 2 * x, np.array([1e16]), step=0.1)
    assert not np.isfinite(measured.value[0])


def test_inputs_are_not_changed() -> None:
    x = np.array([1.0, 2.0])
    gradient(np.exp, x)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_outputs_are_differenced_before_they_are_contracted() -> None:
    # A large output with weight 1 hides a small one only if they are added first.
    def outputs(points: Float) -> Float:
        return np.stack([1e8 + 0 * points[:, 0], points[:, 0] ** 2], axis=1)

    measured = numeric_gradient(outputs, np.array([3.0]), np.ones(2), step=0.5)
    assert measured.value[0] == 6.0
    assert measured.uncertainty[0] < 1e-13


def test_without_a_cotangent_the_whole_jacobian_is_measured() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    measured = numeric_gradient(lambda points: points @ matrix.T, np.ones(3), None)
    np.testing.assert_allclose(measured.value, matrix, atol=1e-13)
    assert np.all(np.abs(measured.value - matrix) <= measured.uncertainty)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(1, 2, 37)
    whole = gradient(np.sin, x)
    monkeypatch.setattr("gradcheck_cli.numeric.quotients.BLOCK_BYTES", 2000)
    monkeypatch.setattr("gradcheck_cli.numeric.quotients.LEAST_CHUNK", 1)
    parts = gradient(np.sin, x)
    np.testing.assert_array_equal(parts.value, whole.value)
    np.testing.assert_array_equal(parts.uncertainty, whole.uncertainty)


def test_the_scale_of_an_entry_is_its_own_or_the_tensors() -> None:
    np.testing.assert_allclose(entry_scale(np.array([3.0, 4.0])), [np.sqrt(12.5), 4.0])
    np.testing.assert_array_equal(entry_scale(np.zeros(2)), [1.0, 1.0])
    assert np.all(np.isfinite(entry_scale(np.array([1e300, 1e-300]))))
