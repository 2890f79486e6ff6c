"""The table of activations: values and derivatives against mpmath, and at the ends of float64."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.formula import parse
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from tests.support import exact
from tests.support.layers import Float

# Beyond these the exact values need more digits than their test is worth, or underflow.
points = st.floats(-300, 300).filter(lambda z: abs(z) > 1e-9)
ROUNDING = 2e-15


def evaluate(formula: str, z: Float) -> Float:
    found: Float = np.asarray(parse(formula, {"z": z.shape})({"z": z}))
    return found


def close(found: float, truth: mp.mpf, z: float) -> bool:
    """Within rounding: of the value's exponent in the tails, of terms that cancel in the middle."""
    if abs(truth) < 1e-290:
        return abs(found) < 1e-289
    tail = abs(mp.log(abs(truth)))
    allowed = ROUNDING * (8 + tail) * abs(truth) + (ROUNDING if abs(z) < 3 else 0)
    return bool(abs(found - truth) <= allowed)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(z=points)
def test_value_and_derivative_are_those_of_the_definition(name: str, z: float) -> None:
    value, derivative = exact.activated(name, z)
    at = np.array([z])
    assert close(float(evaluate(ACTIVATIONS[name].value, at)[0]), value, z)
    assert close(float(evaluate(ACTIVATIONS[name].derivative, at)[0]), derivative, z)


def test_every_activation_has_its_definition() -> None:
    assert set(exact.ACTIVATIONS) == set(ACTIVATIONS)
    assert NONE not in ACTIVATIONS


LIMITS = {  # f(z) and f′(z) far to the left and far to the right
    "relu": ("0", "0", "z", "1"),
    "leaky-relu": ("0.01 * z", "0.01", "z", "1"),
    "elu": ("-1", "0", "z", "1"),
    "softplus": ("0", "0", "z", "1"),
    "sigmoid": ("0", "0", "1", "0"),
    "silu": ("0", "0", "z", "1"),
    "tanh": ("-1", "0", "1", "0"),
    "gelu": ("0", "0", "z", "1"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(
    ("dtype", "powers"), [("float64", (4, 104, 160, 300)), ("float32", (4, 37))]
)
def test_nothing_overflows(name: str, dtype: str, powers: tuple[int, ...]) -> None:
    far = np.array([10.0**power for power in powers], dtype=dtype)
    activation = ACTIVATIONS[name]
    for z, limits in ((-far, LIMITS[name][:2]), (far, LIMITS[name][2:])):
        for formula, limit in zip((activation.value, activation.derivative), limits, strict=True):
            expected = evaluate(f"{limit} + 0 * z", z)
            np.testing.assert_allclose(evaluate(formula, z), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_needs_no_parentheses_as_a_factor(name: str) -> None:
    z = np.linspace(-3, 3, 7)
    derivative = ACTIVATIONS[name].derivative
    expected = 2 * evaluate(derivative, z)
    np.testing.assert_allclose(evaluate(f"2 * {derivative}", z), expected, rtol=1e-14)
    np.testing.assert_allclose(evaluate(f"{derivative} * 2", z), expected, rtol=1e-14)
