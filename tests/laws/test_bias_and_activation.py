"""With a bias, an activation or both: right rules pass, wrong ones fail, in every form."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from msgspec.structs import replace

from gradcheck_cli import Verdict, check
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.paper import DELTAS, Layer, make_arrays
from gradcheck_cli.measure.measure import points_evaluator
from gradcheck_cli.options import Numeric
from gradcheck_cli.result import CheckResult
from tests.support.exact import exact_gradients
from tests.support.layers import data, extended_layers, layer, measured, problem
from tests.support.verdicts import judge

BOTH = ("sum", "mean")
EXTENSIONS = [
    (form, bias, activation)
    for form, bias, activation in product(FORMS, (False, True), (NONE, *ACTIVATIONS))
    if bias or activation != NONE
]


def verdicts(result: CheckResult) -> dict[str, Verdict]:
    return {gradient.name: gradient.verdict for gradient in result.gradients}


def exact(of: Layer) -> dict[str, Any]:
    inputs, _ = make_arrays(of)
    bias = np.asarray(inputs["b"], dtype=np.float64) if "b" in inputs else None
    activation = of.form.activation.name if of.form.activation else NONE
    found = exact_gradients(of.form.name, of.loss.name, of.reduction, *data(of), bias, activation)
    return dict(zip(inputs, found, strict=True))


# In turn, so that each form, bias and activation meets every reduction and delta.
@pytest.mark.parametrize(
    ("form", "bias", "activation", "reduction", "delta"),
    [
        (*extension, *of_loss)
        for extension, of_loss in zip(EXTENSIONS, cycle(product(BOTH, DELTAS)), strict=False)
    ],
)
def test_the_rules_pass(form: str, bias: bool, activation: str, reduction: str, delta: str) -> None:
    changes: dict[str, Any] = {"reduction": reduction, "delta": delta, "seed": 1}
    made = layer(form, bias=bias, activation=activation, **changes)
    result = check(problem(made))
    assert set(verdicts(result)) == set(made.form.arrays)
    assert set(verdicts(result).values()) == {Verdict.PASS}


@given(extended_layers())
def test_a_right_layer_never_fails(made: Layer) -> None:
    assert check(problem(made)).verdict != Verdict.FAIL


@given(extended_layers())
def test_the_rules_give_the_exact_gradient(made: Layer) -> None:
    checked = problem(made)
    claimed = checked.backward(checked.inputs, checked.cotangent)
    for name, truth in exact(made).items():
        largest = np.abs(truth).max()
        np.testing.assert_allclose(claimed[name], truth, rtol=1e-10, atol=1e-11 * largest)


@given(extended_layers())
def test_the_true_error_of_every_entry_is_within_its_uncertainty(made: Layer) -> None:
    for name, truth in exact(made).items():
        numeric = measured(made, name)
        assert np.all(np.abs(numeric.value - truth) <= numeric.uncertainty)


@given(extended_layers())
def test_the_formulas_can_be_copied(made: Layer) -> None:
    own = {rule.of: made.rule(rule)[0] for rule in made.form.rules}
    checked, copied = problem(made), problem(replace(made, own_rules=own))
    claimed = checked.backward(checked.inputs, checked.cotangent)
    for name, gradient in copied.backward(copied.inputs, copied.cotangent).items():
        np.testing.assert_array_equal(gradient, claimed[name])


@pytest.mark.parametrize(("form", "bias", "activation"), EXTENSIONS)
@pytest.mark.parametrize("jacobian", [0, 1])
def test_the_forward_takes_many_points_of_one_input(
    form: str, bias: bool, activation: str, jacobian: int
) -> None:
    made = layer(form, n=4, N=3, M=4, bias=bias, activation=activation, jacobian=True)
    checked = made.problems()[jacobian]
    for name, x in checked.inputs.items():
        points = x + np.random.default_rng(0).normal(size=(4, *x.shape))
        at_once = points_evaluator(checked, name)(points)
        one_by_one = points_evaluator(replace(checked, batched=False), name)(points)
        np.testing.assert_allclose(at_once, one_by_one, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("form", "bias", "activation"), EXTENSIONS)
def test_the_jacobians_pass_and_a_wrong_one_fails(form: str, bias: bool, activation: str) -> None:
    made = layer(form, n=2, N=3, M=4, bias=bias, activation=activation, jacobian=True, seed=1)
    jacobians = made.problems()[1]
    assert check(jacobians).verdict == Verdict.PASS

    def scaled(values: object, cotangent: object) -> dict[str, object]:
        claimed = jacobians.backward(jacobians.inputs, None)
        return {name: 1.5 * array for name, array in claimed.items()}

    assert set(verdicts(judge(replace(jacobians, backward=scaled))).values()) == {Verdict.FAIL}


@pytest.mark.parametrize(("name", "form"), list(zip(ACTIVATIONS, cycle(FORMS), strict=False)))
def test_a_wrong_derivative_in_the_table_is_found(name: str, form: str) -> None:
    made = layer(form, bias=True, seed=1, jacobian=True)
    wrong = replace(
        ACTIVATIONS[name], derivative=f"{ACTIVATIONS[name].derivative} * (1 + 0.001 * sin(z))"
    )
    for checked in replace(made, form=made.form.with_activation(wrong)).problems():
        assert set(verdicts(judge(checked)).values()) == {Verdict.FAIL}


# What is wrong, the rule of an input, and what must be said of it.
WRONG = [
    ("b", "delta", NONE, "∂L/∂b must be 1×3; 'delta' gives 8×3"),
    ("b", "sum(delta, 0)", NONE, "∂L/∂b must be 1×3; 'sum(delta, 0)' gives (3,)"),
    ("b", "mean(delta, 0, keepdims=True)", NONE, "3 of 3 entries are wrong"),
    ("b", "sum(delta, 0, keepdims=True)", "tanh", "3 of 3 entries are wrong"),
    ("b", "sum(delta * (1 - tanh(Y)**2), 0, keepdims=True)", "tanh", "3 of 3 entries are wrong"),
    ("W", "X.T @ delta", "sigmoid", "15 of 15 entries are wrong"),
    ("W", "X.T @ (delta * (1 - Z**2))", "tanh", "15 of 15 entries are wrong"),
    ("W", "X.T @ (delta * sigmoid(Y) * sigmoid(-Y))", "sigmoid", "15 of 15 entries are wrong"),
    ("W", "X.T @ (delta * (Z > 0)) / n", "relu", "15 of 15 entries are wrong"),
    ("X", "delta @ W.T * (X > 0)", "relu", "39 of 40 entries are wrong"),
    ("X", "delta @ W.T", "gelu", "40 of 40 entries are wrong"),
]


@pytest.mark.parametrize(("name", "rule", "activation", "sentence"), WRONG)
def test_a_wrong_rule_fails_and_says_why(
    name: str, rule: str, activation: str, sentence: str
) -> None:
    made = layer(bias=True, activation=activation, own_rules={name: rule}, seed=1)
    result = check(problem(made))
    assert {gradient.name: gradient.reason for gradient in result.gradients if gradient.reason} == {
        name: sentence
    }


@pytest.mark.parametrize("activation", [NONE, *ACTIVATIONS])
@pytest.mark.parametrize(
    ("reduction", "delta", "gradient_reduction", "factor"),
    [
        ("sum", "total", "mean", 1 / 8),
        ("mean", "total", "mean", 1 / 8),
        ("mean", "per-sample", "sum", 8),
    ],
)
def test_the_bias_gets_its_1_n_with_the_weights(
    activation: str, reduction: str, delta: str, gradient_reduction: str, factor: float
) -> None:
    wrong = layer(
        bias=True,
        activation=activation,
        reduction=reduction,
        delta=delta,
        gradient_reduction=gradient_reduction,
    )
    result = {gradient.name: gradient for gradient in check(problem(wrong)).gradients}
    assert result["X"].verdict == Verdict.PASS
    for name in ("W", "b"):
        assert result[name].verdict == Verdict.FAIL
        worst = result[name].worst
        assert worst is not None
        assert worst.ratio == pytest.approx(factor, rel=1e-6)


def test_the_labels_keep_the_numbers_of_the_paper() -> None:
    made = layer(bias=True, activation="relu", jacobian=True)
    shown = [
        (label.gradient, label.rule, label.equation)
        for checked in made.problems()
        for label in checked.labels.values()
    ]
    assert shown == [
        ("∂L/∂X", "(Δ⊙relu′(Z))Wᵀ", 45),
        ("∂L/∂W", "Xᵀ(Δ⊙relu′(Z))", 52),
        ("∂L/∂b", "Σ_a (Δ⊙relu′(Z))_a", None),
        ("∂Y/∂X", "relu′(Z_ak) 1(a=b) Wᵀ", 29),
        ("∂Y/∂W", "relu′(Z_ak) 1(k=j) X_ai", 33),
        ("∂Y/∂b", "relu′(Z_ak) 1(k=j)", None),
    ]
    assert [made.rule(rule)[0] for rule in made.form.rules] == [
        "(delta * (z > 0)) @ W.T",
        "X.T @ (delta * (z > 0))",
        "sum(delta * (z > 0), 0, keepdims=True)",
    ]


def test_the_bias_counts_in_entries_and_memory() -> None:
    plain, biased = layer(jacobian=True), layer(bias=True, jacobian=True)
    assert sum(dict(biased.gradients).values()) - sum(dict(plain.gradients).values()) == 3
    assert len(biased.gradients) - len(plain.gradients) == 2
    assert biased.bytes(Numeric()) > plain.bytes(Numeric())
