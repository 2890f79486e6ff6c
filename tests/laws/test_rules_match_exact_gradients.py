"""The paper's rules, the numeric gradient and the exact gradient tell the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.result import Verdict
from tests.support.exact import exact_gradients
from tests.support.layers import data, layers, measured, problem


def names(layer: Layer) -> tuple[str, str]:
    return ("X" if layer.form.name == "XW" else "x"), "W"


@given(layers())
def test_the_true_error_of_every_entry_is_within_its_uncertainty(layer: Layer) -> None:
    exact = exact_gradients(layer.form.name, layer.loss.name, layer.reduction, *data(layer))
    for name, truth in zip(names(layer), exact, strict=True):
        numeric = measured(layer, name)
        assert np.all(np.abs(numeric.value - truth) <= numeric.uncertainty)


@given(layers())
def test_the_papers_rules_give_the_exact_gradient(layer: Layer) -> None:
    exact = exact_gradients(layer.form.name, layer.loss.name, layer.reduction, *data(layer))
    checked = problem(layer)
    claimed = checked.backward(checked.inputs, checked.cotangent)
    for name, truth in zip(names(layer), exact, strict=True):
        np.testing.assert_allclose(
            claimed[name], truth, rtol=1e-10, atol=1e-12 * np.abs(truth).max()
        )


@given(layers())
def test_a_right_layer_never_fails(layer: Layer) -> None:
    from gradcheck_cli import check

    assert check(problem(layer)).verdict != Verdict.FAIL
