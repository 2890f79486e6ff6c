"""The verdict: the rule for every entry, refusals before values, and what is inconclusive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.measure.compare import compare
from gradcheck_cli.measure.comparison import Allowance
from gradcheck_cli.measure.refuse import find_refusal
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Label
from gradcheck_cli.result import GradientResult, Verdict

LABEL = Label("∂L/∂W", "X.T @ delta")


def judged(
    analytic: list[float], numeric: list[float], u: float, rtol: float = 1e-9, atol: float = 0.0
) -> GradientResult:
    value = np.array(numeric)
    uncertainty = np.full(value.shape, u)
    no_kink = np.zeros(value.shape, dtype=bool)
    measured = NumericGradient(
        value,
        uncertainty,
        uncertainty,
        uncertainty,
        no_kink,
        value - u,
        value + u,
        1.0,
        1,
        value.shape,
    )
    return compare("W", LABEL, np.array(analytic), measured, Allowance(rtol, atol))


numbers = st.floats(-10, 10).filter(lambda value: value == 0 or abs(value) > 1e-3)


@given(numbers, numbers, st.floats(1e-14, 1), st.sampled_from([1e-9, 1e-6, 1e-2]))
def test_an_entry_is_wrong_exactly_where_its_error_exceeds_what_is_allowed(
    a: float, m: float, u: float, rtol: float
) -> None:
    result = judged([a], [m], u, rtol)
    error, allowed = abs(a - m), u + rtol * max(abs(a), abs(m))
    assert (result.verdict == Verdict.FAIL) == (error > allowed)
    assert result.max_over_allowed is not None
    if not np.isclose(error, allowed, rtol=1e-9):
        assert (result.max_over_allowed > 1) == (error > allowed)


def test_the_bound_holds_the_error_and_the_uncertainty() -> None:
    result = judged([2.0, 1.0], [2.0, 1.0 + 1e-12], 1e-11)
    assert result.verdict == Verdict.PASS
    assert result.resolution == pytest.approx(0.5e-11)
    assert result.bound == pytest.approx(0.55e-11)


def test_a_complex_gradient_without_imaginary_part_is_real() -> None:
    assert find_refusal(np.ones((3, 2), dtype=complex), (3, 2), LABEL) is None


def test_a_small_uncertainty_is_no_excuse_and_a_large_one_is() -> None:
    assert judged([1.0], [1.001], 1e-10).verdict == Verdict.FAIL
    assert judged([1.0], [1.001], 1e-2).verdict == Verdict.INCONCLUSIVE


def test_inconclusive_says_what_is_known_and_what_was_asked_for() -> None:
    reason = judged([1.0], [1.0], 2e-6).reason
    assert "only known to 2.0e-06 of its largest entry, too little for rtol 1e-09" in reason
    assert "the forward is noisy" in reason
    assert judged([1.0], [1.0], 2e-6, rtol=1e-8).verdict == Verdict.PASS


def test_atol_is_added() -> None:
    assert judged([1.0], [1.001], 1e-12, atol=1e-2).verdict == Verdict.PASS


def test_zero_on_both_sides_passes_with_a_note() -> None:
    result = judged([0.0, 0.0], [0.0, 0.0], 1e-12)
    assert result.verdict == Verdict.PASS
    assert result.notes == ("the gradient is zero on both sides: this check has no power",)


def test_a_numeric_gradient_that_is_not_finite_is_inconclusive() -> None:
    result = judged([1.0, 1.0], [1.0, float("nan")], float("inf"))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "not finite in 1 of 2 entries" in result.reason


def test_the_worst_entry_is_named_with_its_ratio() -> None:
    result = judged([1.0, 3.0, 1.0], [1.0, 1.5, 1.0], 1e-12)
    assert result.worst is not None
    assert (result.worst.index, result.worst.ratio, result.wrong) == ((1,), 2.0, 1)


def test_the_worst_entry_is_a_wrong_one_where_others_are_not_known() -> None:
    result = judged([1.0, 2.0], [np.nan, 1.0], 1e-6)
    assert (result.verdict, result.wrong) == (Verdict.FAIL, 1)
    assert result.worst is not None
    assert result.worst.index == (1,)
    assert (result.max_abs_error, result.max_rel_error) == (1.0, 0.5)


def test_a_numeric_zero_has_no_ratio() -> None:
    worst = judged([3.0], [0.0], 1e-12).worst
    assert worst is not None
    assert worst.ratio is None


@pytest.mark.parametrize(
    ("analytic", "sentence"),
    [
        (None, "the backward returned no ∂L/∂W"),
        (
            np.full((3, 2), 1j),
            "∂L/∂W must hold real numbers; the backward gives complex128",
        ),
        (np.full((3, 2), None), "∂L/∂W must hold real numbers; the backward gives object"),
        (np.ones((2, 3)), "∂L/∂W must be 3×2; 'X.T @ delta' gives 2×3"),
        (np.ones((1, 3, 2)), "∂L/∂W must be 3×2; 'X.T @ delta' gives 1×3×2"),
        (np.ones(2), "∂L/∂W must be 3×2; 'X.T @ delta' gives (2,)"),
        (1.0, "∂L/∂W must be 3×2; 'X.T @ delta' gives a single number"),
        (np.array([[1, 2], [3, np.inf], [5, np.nan]]), "∂L/∂W is inf at [1, 1] (2 of 6 entries)"),
    ],
)
def test_refused_before_values_are_compared(analytic: Any, sentence: str) -> None:
    refusal = find_refusal(analytic, (3, 2), LABEL)
    assert refusal is not None
    assert refusal.sentence == sentence


def test_a_gradient_of_the_right_shape_and_type_is_not_refused() -> None:
    for dtype in (np.float64, np.float32):
        assert find_refusal(np.ones((3, 2), dtype=dtype), (3, 2), LABEL) is None
