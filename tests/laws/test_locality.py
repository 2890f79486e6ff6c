"""Evaluating only what an entry touches changes no gradient, and is given up where it would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.arrays import Given
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.paper import DTYPES
from gradcheck_cli.measure import measure as measuring
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.local import quotients
from gradcheck_cli.options import Numeric
from gradcheck_cli.processes import thread_map
from tests.support.layers import extended_layers, layer, layers, problem
from tests.support.verdicts import judge

LARGE = measuring.AFFORDABLE
WHOLE = Numeric(locality=False)


@pytest.fixture(autouse=True)
def every_problem_is_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "AFFORDABLE", 0)
        yield


def both(checked: Problem, name: str) -> tuple[NumericGradient, NumericGradient]:
    return measure_gradient(checked, name, Numeric()), measure_gradient(checked, name, WHOLE)


def agree(local: NumericGradient, whole: NumericGradient) -> bool:
    smooth = ~(local.kink | whole.kink)
    apart = np.abs(local.value - whole.value)[smooth]
    return bool(np.all(apart <= (local.uncertainty + whole.uncertainty)[smooth]))


@given(layers() | extended_layers())
@settings(max_examples=2 * settings().max_examples)
def test_both_ways_agree_within_their_uncertainties(of: Any) -> None:
    checked = problem(of)
    for name in checked.inputs:
        assert agree(*both(checked, name))


LAYERS = [("Wx", NONE), ("xW", NONE), *(("XW", activation) for activation in (NONE, *ACTIVATIONS))]


# One type after the other, so that each loss and each activation has both.
@pytest.mark.parametrize(
    ("form", "activation", "loss", "dtype"),
    [
        (*of, loss, DTYPES[(place + number) % 2])
        for place, of in enumerate(LAYERS)
        for number, loss in enumerate(LOSSES)
    ],
)
def test_every_layer_passes_by_superposition(
    form: str, activation: str, loss: str, dtype: str
) -> None:
    checked = problem(layer(form, loss=loss, activation=activation, bias=True, dtype=dtype))
    result = check(checked)
    assert {gradient.method for gradient in result.gradients} == {"superposition"}
    assert result.verdict == check(checked, numeric=WHOLE).verdict


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("step", [None, 1e-3])
def test_a_stencil_and_a_step_are_those_that_were_asked_for(order: int, step: float | None) -> None:
    checked = problem(layer("XW", loss="logistic"))
    local = measure_gradient(checked, "W", Numeric(order=order, step=step))
    whole = measure_gradient(checked, "W", Numeric(order=order, step=step, locality=False))
    assert local.method == "superposition"
    assert agree(local, whole)
    if step is not None:
        assert np.all(local.step == whole.step)


def test_a_sample_of_entries_is_measured_at_the_same_places() -> None:
    checked = problem(layer("XW", n=8, N=20, M=15))
    local = measure_gradient(checked, "W", Numeric(sample=40))
    whole = measure_gradient(checked, "W", Numeric(sample=40, locality=False))
    assert local.method == "superposition"
    assert local.entries is not None
    np.testing.assert_array_equal(local.entries, whole.entries)
    assert agree(local, whole)


@pytest.mark.parametrize("loss", LOSSES)
def test_many_entries_agree_both_ways(loss: str) -> None:
    """So many that a squared error shows its parabolas by a fourth point; a Huber loss has none."""
    checked = problem(layer("XW", n=8, N=20, M=15, loss=loss))
    for name in checked.inputs:
        local, whole = both(checked, name)
        assert local.method == "superposition"
        assert agree(local, whole)
        assert np.array_equal(local.kink, whole.kink)


@pytest.mark.parametrize("loss", ["squared-error", "softmax-cross-entropy"])
def test_the_gradient_does_not_depend_on_how_many_cores_there_are(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = problem(layer("XW", n=8, N=20, M=15, loss=loss))
    monkeypatch.setattr(quotients, "CHUNK", 64)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(thread_map, "count_cores", lambda cores=cores: cores)
        found.append(measure_gradient(checked, "W", Numeric()))
    for name in ("value", "uncertainty", "evaluations"):
        np.testing.assert_array_equal(*(getattr(one, name) for one in found))


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e75])
def test_scales_do_not_matter(scale: float) -> None:
    checked = problem(layer("XW", loss="linear"))
    scaled = replace(checked, inputs={name: x * scale for name, x in checked.inputs.items()})
    for name in scaled.inputs:
        local, whole = both(scaled, name)
        assert local.method == "superposition"
        assert agree(local, whole)


@pytest.mark.parametrize("form", ["Wx", "xW", "XW"])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_input_of_zeros_leaves_a_gradient_of_zeros(form: str, loss: str) -> None:
    checked = problem(layer(form, loss=loss, bias=True))
    zeros = {**checked.inputs, "W": np.zeros_like(checked.inputs["W"])}
    checked = replace(checked, inputs=zeros)
    result, whole = check(checked), check(checked, numeric=WHOLE)
    assert {gradient.method for gradient in result.gradients} == {"superposition"}
    assert [one.verdict for one in result.gradients] == [one.verdict for one in whole.gradients]


def claiming(**claims: Any) -> Problem:
    """A batch that claims something else of its forward."""
    sizes = {key: claims.pop(key) for key in ("n", "N", "M", "loss") if key in claims}
    checked = problem(layer("XW", bias=True, **sizes))
    assert checked.locality is not None
    return replace(checked, locality=replace(checked.locality, **claims))


def methods(checked: Problem) -> set[str]:
    result = check(checked)
    assert result.verdict == Verdict.PASS
    return {gradient.method for gradient in result.gradients}


def test_a_loss_that_is_no_sum_over_outputs_is_found_out() -> None:
    lying = claiming(loss="softmax-cross-entropy", sums=True)
    assert methods(lying) == {"superposition"}  # with z whole
    assert agree(*both(lying, "W"))


def test_axes_that_are_not_those_of_the_form_are_found_out() -> None:
    # Square, so that the other axis has slices of the same shape.
    lying = claiming(n=5, N=5, M=5, axes={"X": (1, 1), "W": (0, 0), "b": (1, 1)})
    for name in ("X", "W"):
        assert measure_gradient(lying, name, Numeric()).method == "whole forwards"


def bent(values: Any) -> Any:
    """Slices by themselves, but z is not affine in W."""
    return values["X"] @ np.sin(values["W"]) + values["b"]


def mixed(values: Any) -> Any:
    """Affine, but each column of z also depends on the first column of W."""
    return values["X"] @ (values["W"] + values["W"][:, :1]) + values["b"]


def own(inner: Any) -> Problem:
    """A layer of the user's with such an inner, and the claims of the paper's form."""
    made = problem(layer("XW", bias=True))
    claimed = made.locality
    assert claimed is not None

    def forward(values: Any) -> Any:
        return claimed.outer(inner(values), lambda array: array)

    lying = replace(made, forward=forward, locality=replace(claimed, inner=inner))
    numeric = {name: measure_gradient(lying, name, WHOLE).value for name in lying.inputs}
    return replace(lying, backward=lambda *_: numeric)


def test_where_z_is_not_affine_slices_are_evaluated() -> None:
    found = measure_gradient(own(bent), "W", Numeric())
    assert found.method == "slices"
    assert agree(found, measure_gradient(own(bent), "W", WHOLE))


def test_where_slices_depend_on_others_whole_forwards_are() -> None:
    found = measure_gradient(own(mixed), "W", Numeric())
    assert found.method == "whole forwards"


def test_an_inner_that_is_not_the_forwards_is_found_out() -> None:
    made = problem(layer("XW", bias=True))
    claimed = made.locality
    assert claimed is not None
    lying = replace(made, locality=replace(claimed, inner=lambda values: 2 * claimed.inner(values)))
    assert methods(lying) == {"whole forwards"}


def test_a_small_kink_in_one_column_is_found_out() -> None:
    def creased(values: Any) -> Any:
        z = values["X"] @ values["W"] + values["b"]
        z[..., -1] = np.where(z[..., -1] > 0, z[..., -1], 1.001 * z[..., -1])
        return z

    assert measure_gradient(own(creased), "W", Numeric()).method == "whole forwards"


def test_it_can_be_turned_off() -> None:
    assert methods(claiming()) == {"superposition"}
    result = check(claiming(), numeric=WHOLE)
    assert {gradient.method for gradient in result.gradients} == {"whole forwards"}


def test_a_small_problem_goes_by_whole_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "AFFORDABLE", LARGE)
    assert methods(claiming()) == {"whole forwards"}


@settings(max_examples=20)
@given(layers(forms=("XW",)))
def test_a_wrong_gradient_fails_both_ways(of: Any) -> None:
    checked = problem(replace(of, own_rules={"W": "X.T @ delta * 1.0000001"}))
    local, whole = judge(checked), judge(checked, WHOLE)
    assert [one.verdict for one in local.gradients] == [one.verdict for one in whole.gradients]


def test_what_is_lost_beside_large_outputs_is_not_a_certain_zero() -> None:
    """A cosine of outputs of 1e7 lets steps be tiny, which 1e7 in turn rounds away."""
    made = layer("xW", N=3, M=2, loss="cosine")
    x = np.array([[1e7, 1e-6, 1.0]])
    checked = problem(replace(made, sources={**made.sources, "x": Given(x)}))
    right = checked.backward(checked.inputs, np.asarray(checked.cotangent))["W"]
    found = measure_gradient(checked, "W", Numeric())
    assert found.method == "superposition"
    assert np.all(np.abs(found.value - right) <= found.uncertainty)
