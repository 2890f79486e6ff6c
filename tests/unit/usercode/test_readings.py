"""`backward(self, x)`: its x is the upstream gradient, or the input of f′; the forward tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import Verdict, check, from_layer

Array = NDArray[Any]
X = np.random.default_rng(3).standard_normal((3, 4))


class Masked:
    """Its backward is handed the upstream gradient, and calls it x."""

    factor = 1.0

    def forward(self, x: Array) -> Array:
        self.mask = x > 0
        return x * self.mask

    def backward(self, x: Array) -> Array:
        return self.factor * x * self.mask


class Derivative:
    """Its backward is f′ of its input."""

    factor = 1.0

    def forward(self, x: Array) -> Array:
        return np.tanh(x)

    def backward(self, x: Array) -> Array:
        return self.factor * (1 - np.tanh(x) ** 2)


class WrongMasked(Masked):
    factor = 2.0


class WrongDerivative(Derivative):
    factor = 2.0


def test_a_masked_upstream_gradient_is_read_as_one_and_it_is_said() -> None:
    result = check(from_layer(Masked(), X))
    assert result.verdict == Verdict.PASS
    (note,) = result.notes
    assert note == (
        "Masked.backward was handed the upstream gradient as its 'x', which fits the forward; "
        "read as f′ it does not"
    )


def test_a_derivative_is_read_as_one() -> None:
    result = check(from_layer(Derivative(), X))
    assert result.verdict == Verdict.PASS
    (note,) = result.notes
    assert note.startswith("Derivative.backward takes no upstream gradient: it was called with x")


@pytest.mark.parametrize("layer", [WrongMasked(), WrongDerivative()])
def test_what_fits_in_neither_reading_fails(layer: Masked | Derivative) -> None:
    assert check(from_layer(layer, X)).verdict == Verdict.FAIL
