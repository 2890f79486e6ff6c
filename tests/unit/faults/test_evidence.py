"""What refutes a fault early: three entries, or two slopes, and never one that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import Problem
from gradcheck_cli.faults.evidence import explains_all_entries, is_refuted_by_few_entries
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.other_inputs import use_inputs
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Allowance, Comparison, compare_entries
from gradcheck_cli.measure.measure import as_numeric_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from tests.support.faults import rights

draw = np.random.default_rng(0).standard_normal
INPUTS = {"x": draw((5, 4)), "w": draw((4, 3)), "b": draw(3)}
COTANGENT = draw((5, 3))


def forward(inputs: Any) -> Any:
    return np.tanh(inputs["x"] @ inputs["w"] + inputs["b"])


def measured_and_claimed(factor: float = 1.5) -> tuple[MeasuredGradient, Comparison]:
    """∂L/∂x of a layer, and a claim that it is the gradient for 2·w, times a factor."""
    problem = Problem(INPUTS, forward, lambda *_: {}, COTANGENT)
    right = next(iter(rights(problem)))
    y = forward(INPUTS | {"w": 2 * INPUTS["w"]})
    claimed = factor * (COTANGENT * (1 - y * y)) @ (2 * INPUTS["w"]).T
    comparison = compare_entries(claimed, right.gradient, Allowance(1e-9))
    right.claimed = comparison
    return right, comparison


def values_of(gradient: NumericGradient) -> Values:
    return Values(gradient.value, gradient.uncertainty, np.arange(gradient.value.size))


@given(
    seed=st.integers(0, 10**6),
    factor=st.floats(-1e6, 1e6).filter(lambda c: abs(c) > 1e-6),
    size=st.integers(1, 12),
)
def test_what_fits_is_never_refuted(seed: int, factor: float, size: int) -> None:
    random = np.random.default_rng(seed)
    right = as_numeric_gradient(random.standard_normal(size), 1e-12)
    part = values_of(right) * random.standard_normal(size)
    wrong = factor * part.value * (1 + 1e-10 * random.uniform(-1, 1, size))
    comparison = compare_entries(wrong, right, Allowance(1e-9))
    assert explains_all_entries(part * factor, comparison)
    assert not is_refuted_by_few_entries(part, comparison)


@given(seed=st.integers(0, 10**6))
def test_what_three_entries_contradict_is_refuted(seed: int) -> None:
    random = np.random.default_rng(seed)
    right = as_numeric_gradient(random.uniform(1, 2, 9), 1e-12)
    comparison = compare_entries(np.arange(1.0, 10.0), right, Allowance(1e-9))
    assert is_refuted_by_few_entries(values_of(right), comparison)


def test_an_input_that_does_not_fit_takes_four_forwards_a_stage() -> None:
    right, _ = measured_and_claimed()
    assert not list(use_inputs(right, {"w": -INPUTS["w"]}, "", ""))
    before = right.effort.calls
    assert not list(use_inputs(right, {"w": 0.5 * INPUTS["w"]}, "", ""))
    assert right.effort.calls == before + 4 * len(right.stages)


def test_an_input_that_fits_but_for_a_factor_is_measured() -> None:
    right, comparison = measured_and_claimed()
    (found,) = use_inputs(right, {"w": 2 * INPUTS["w"]}, "it is that for 2·w", "")
    assert explains_all_entries(found.values * 1.5, comparison)


def test_an_input_that_the_gradient_does_not_depend_on_is_not_measured() -> None:
    problem = Problem(INPUTS, lambda v: v["x"] @ v["w"] + v["b"], lambda *_: {}, COTANGENT)
    right = next(iter(rights(problem)))
    right.claimed = compare_entries(draw((5, 4)), right.gradient, Allowance(1e-9))
    assert not list(use_inputs(right, {"b": 2 * INPUTS["b"]}, "", ""))
    assert right.effort.calls == 4


def test_the_jacobian_of_a_single_output_is_the_gradient_that_was_measured() -> None:
    def loss(v: Any) -> Any:
        return np.sum(np.tanh(v["x"] @ v["w"] + v["b"])).reshape(1)

    right = next(iter(rights(Problem(INPUTS, loss, lambda *_: {}, np.full(1, 0.25)))))
    jacobian = right.measure_jacobian(right.declared[0])
    slope = 1 - np.tanh(INPUTS["x"] @ INPUTS["w"] + INPUTS["b"]) ** 2
    np.testing.assert_allclose(jacobian.value[0], (slope @ INPUTS["w"].T).ravel(), rtol=1e-9)
    assert right.effort.calls == 0
