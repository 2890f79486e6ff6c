"""A row is a batch of one; transposing everything turns Wx into xW; mean is sum over n."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from msgspec.structs import replace

from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.numeric.gradient import NumericGradient
from tests.support.layers import Float, data, layers, measured, problem
from tests.support.layers import given as layer_with


def agree(left: NumericGradient, right: NumericGradient, scale: float = 1.0) -> None:
    """Two numeric gradients differ by no more than both uncertainties."""
    assert left.value.shape == right.value.shape
    gap = np.abs(left.value - right.value * scale)
    assert np.all(gap <= left.uncertainty + right.uncertainty * scale)


def analytic(layer: Layer, name: str) -> Float:
    checked = problem(layer)
    gradient: Float = checked.backward(checked.inputs, checked.cotangent)[name]
    return gradient


def transposed(numeric: NumericGradient) -> NumericGradient:
    return replace(numeric, value=numeric.value.T, uncertainty=numeric.uncertainty.T)


@given(layers(forms=("xW",)))
def test_a_row_is_a_batch_of_one(row: Layer) -> None:
    batch = layer_with("XW", *data(row), loss=row.loss.name, reduction=row.reduction)
    for of_row, of_batch in (("x", "X"), ("W", "W")):
        agree(measured(row, of_row), measured(batch, of_batch))
        np.testing.assert_allclose(
            analytic(row, of_row), analytic(batch, of_batch), rtol=1e-9, atol=1e-13
        )


@given(layers(forms=("Wx",)))
def test_transposing_everything_turns_a_column_into_a_row(column: Layer) -> None:
    x, W, target = data(column)
    row = layer_with("xW", x.T, W.T, target.T, loss=column.loss.name, reduction=column.reduction)
    for name in ("x", "W"):
        agree(transposed(measured(column, name)), measured(row, name))
        np.testing.assert_allclose(
            analytic(column, name).T, analytic(row, name), rtol=1e-9, atol=1e-13
        )


@given(layers(forms=("XW",), reduction="sum"))
def test_mean_is_sum_over_n(summed: Layer) -> None:
    averaged = replace(summed, reduction="mean")
    per_sample = replace(averaged, delta="per-sample")
    for name in ("X", "W"):
        share = 1 / summed.samples
        agree(measured(averaged, name), measured(summed, name), scale=share)
        expected = analytic(summed, name) * share
        for layer in (averaged, per_sample):
            np.testing.assert_allclose(analytic(layer, name), expected, rtol=1e-9, atol=1e-13)
