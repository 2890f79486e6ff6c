"""Large gradients by directions: the verdict, where it is wrong, and what that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.options import Numeric
from gradcheck_cli.result import CheckResult
from tests.support.layers import Float, layer, problem

BY_DIRECTIONS = Numeric(mode="directions")
SIZES = {"n": 16, "N": 256, "M": 128}


def changed(change: Callable[[Float], None], **settings: Any) -> Problem:
    """A layer with its W gradient changed."""
    made = problem(layer("XW", **{**SIZES, "reduction": "mean", **settings}))

    def backward(inputs: Any, cotangent: Any) -> Any:
        found = dict(made.backward(inputs, cotangent))
        found["W"] = found["W"].copy()
        change(found["W"])
        return found

    # W alone, so that its forwards can be counted.
    X = made.inputs["X"]
    return replace(
        made,
        inputs={"W": made.inputs["W"]},
        forward=lambda inputs: made.forward({"X": X, **inputs}),
        backward=lambda inputs, cotangent: backward({"X": X, **inputs}, cotangent),
        locality=None,
    )


def checked(change: Callable[[Float], None], **settings: Any) -> CheckResult:
    return check(changed(change, **settings), numeric=BY_DIRECTIONS)


def test_a_right_gradient_passes_with_its_certificate_in_40_forwards() -> None:
    result = checked(lambda gradient: None)
    (gradient,) = result.gradients
    assert result.verdict == Verdict.PASS
    assert result.evaluations <= 40
    assert gradient.bound is not None
    assert gradient.bound < 1e-11
    assert gradient.directions == 7
    assert gradient.method == "directions"
    assert gradient.notes[0].startswith("by 7 random directions: an error above ")


@pytest.mark.parametrize("relative", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("place", [(0, 0), (255, 127), (101, 64)])
def test_one_wrong_entry_is_found_in_250_forwards(relative: float, place: tuple[int, int]) -> None:
    def change(gradient: Float) -> None:
        gradient[place] += relative * np.sqrt(np.mean(gradient**2))

    result = checked(change)
    (gradient,) = result.gradients
    assert result.verdict == Verdict.FAIL
    assert gradient.reason == f"1 entry is wrong: {list(place)}"
    assert gradient.worst is not None
    assert gradient.worst.index == place
    assert result.evaluations <= 250


def test_five_wrong_entries_are_all_found() -> None:
    places = [(3, 100), (77, 5), (78, 5), (200, 127), (255, 0)]

    def change(gradient: Float) -> None:
        for place in places:
            gradient[place] *= 1.001

    (gradient,) = checked(change).gradients
    assert gradient.reason == (
        "5 entries are wrong: [3, 100], [77, 5], [78, 5], [200, 127], [255, 0]"
    )
    assert gradient.wrong == 5


def test_a_row_is_found() -> None:
    def change(gradient: Float) -> None:
        gradient[17] = 0.0

    (gradient,) = checked(change).gradients
    assert "in row 17 and every column" in gradient.reason


def test_columns_are_found() -> None:
    def change(gradient: Float) -> None:
        gradient[:, [9, 50]] *= -1

    (gradient,) = checked(change).gradients
    assert "in every row and columns 9 and 50" in gradient.reason
    assert "8 of 8 entries looked at there are wrong" in gradient.reason


def test_what_is_wrong_everywhere_is_not_searched() -> None:
    def change(gradient: Float) -> None:
        gradient += 0.01 * np.random.default_rng(0).standard_normal(gradient.shape)

    result = checked(change)
    (gradient,) = result.gradients
    assert "in every row and every column" in gradient.reason
    assert result.evaluations <= 250


@pytest.mark.parametrize(("factor", "name"), [(1 / 16, "1/n"), (-1.0, "−1"), (2.0, "2")])
def test_a_factor_is_named_without_a_search(factor: float, name: str) -> None:
    def change(gradient: Float) -> None:
        gradient *= factor

    result = checked(change)
    (gradient,) = result.gradients
    assert result.verdict == Verdict.FAIL
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.code == "GC103"
    assert name in gradient.diagnosis.observation
    assert result.evaluations <= 40 + 8 * 4


def test_zeros_for_a_gradient_fail() -> None:
    def change(gradient: Float) -> None:
        gradient[:] = 0.0

    assert checked(change).verdict == Verdict.FAIL


def test_a_zero_gradient_has_no_power() -> None:
    made = changed(lambda gradient: None)
    still = replace(
        made,
        forward=lambda inputs: np.ones(16),
        backward=lambda inputs, cotangent: {"W": np.zeros(inputs["W"].shape)},
    )
    result = check(still, numeric=BY_DIRECTIONS)
    assert result.verdict == Verdict.PASS
    assert result.gradients[0].notes == (
        "the gradient is zero on both sides: this check has no power",
    )


def test_roundings_below_rtol_pass() -> None:
    def change(gradient: Float) -> None:
        gradient *= 1 + 1e-10 * np.random.default_rng(0).standard_normal(gradient.shape)

    assert checked(change).verdict == Verdict.PASS


@pytest.mark.parametrize("loss", ["softmax-cross-entropy", "logistic", "huber", "cosine"])
@pytest.mark.parametrize("activation", ["none", "tanh", "relu"])
def test_other_losses_and_activations_are_no_false_failures(loss: str, activation: str) -> None:
    result = checked(lambda gradient: None, loss=loss, activation=activation)
    assert result.verdict != Verdict.FAIL


def test_a_forward_in_single_precision_is_judged_by_its_own_tolerance() -> None:
    assert checked(lambda gradient: None, dtype="float32").verdict != Verdict.FAIL


def test_vectors_and_tensors_have_rows_too() -> None:
    for shape in ((40,), (3, 4, 5), (1, 30)):
        x = np.random.default_rng(0).standard_normal(shape)

        def backward(inputs: Any, cotangent: Any) -> Any:
            gradient = 2 * inputs["x"]
            gradient[tuple(length // 2 for length in inputs["x"].shape)] *= 1.01
            return {"x": gradient}

        made = Problem(
            inputs={"x": x},
            forward=lambda inputs: inputs["x"] ** 2,
            backward=backward,
            cotangent=np.ones(shape),
        )
        (gradient,) = check(made, numeric=BY_DIRECTIONS).gradients
        assert gradient.reason == (f"1 entry is wrong: {[length // 2 for length in shape]}")


def test_auto_takes_directions_where_a_budget_asks_for_them() -> None:
    made = changed(lambda gradient: None, N=64, M=64)
    assert check(made, numeric=Numeric(budget=1e-9)).gradients[0].method == "directions"
    assert check(made, numeric=Numeric(budget=1e9)).gradients[0].method == "whole forwards"


def test_auto_takes_entries_without_a_budget_and_the_mode_that_is_asked_for() -> None:
    made = problem(layer("XW"))
    for numeric, method in (
        (Numeric(), "whole forwards"),
        (Numeric(mode="entries", budget=1e-9), "whole forwards"),
        (BY_DIRECTIONS, "directions"),
    ):
        methods = {gradient.method for gradient in check(made, numeric=numeric).gradients}
        assert methods == {method}
