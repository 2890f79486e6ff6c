"""Own code that is evaluated one point at a time: random directions first, entries where needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.options import Numeric
from tests.support.layers import Float

Change = Callable[[Float], Any]


def net(rows: int, columns: int, change: Change | None = None, scale: Any = 1.0) -> Problem:
    """A layer y = tanh(x W) whose ∂L/∂W is changed in place; scale: of the rows of W's gradient."""
    random = np.random.default_rng(3)
    x = random.standard_normal((8, rows)) / rows**0.5 * scale
    W, cotangent = random.standard_normal((rows, columns)), random.standard_normal((8, columns))

    def backward(inputs: Any, delta: Any) -> Any:
        gradient = x.T @ (delta * (1 - np.tanh(x @ inputs["W"]) ** 2))
        if change is not None:
            change(gradient)
        return {"W": gradient}

    return Problem(
        inputs={"W": W},
        forward=lambda inputs: np.tanh(x @ inputs["W"]),
        backward=backward,
        cotangent=cotangent,
    )


def at(*index: Any) -> Change:
    """Adds a millionth to these entries of themselves."""

    def change(gradient: Float) -> None:
        gradient[index] *= 1 + 1e-6

    return change


def test_a_right_gradient_takes_the_same_few_forwards_however_large_it_is() -> None:
    taken = []
    for size in (20, 200):
        result = check(net(size, size))
        (gradient,) = result.gradients
        assert result.verdict == Verdict.PASS
        assert gradient.method == "directions"
        (note,) = gradient.notes
        assert note.startswith("by 7 random directions: an error above ")
        assert "of the gradient would have been seen" in note
        taken.append(result.evaluations)
    assert max(taken) <= 150


def test_a_small_gradient_is_measured_entry_by_entry() -> None:
    (gradient,) = check(net(10, 10)).gradients
    assert gradient.method == "whole forwards"
    assert gradient.measured == 100


def test_mode_entries_measures_entries() -> None:
    (gradient,) = check(net(20, 20), numeric=Numeric(mode="entries")).gradients
    assert gradient.measured == 400


@pytest.mark.parametrize("numeric", [Numeric(step=1e-5), Numeric(sample=50)])
def test_a_step_or_a_sample_of_the_users_is_taken(numeric: Numeric) -> None:
    (gradient,) = check(net(20, 20), numeric=numeric).gradients
    assert gradient.method == "whole forwards"


def test_a_gradient_that_is_wrong_has_its_entries_measured_and_a_diagnosis() -> None:
    (gradient,) = check(net(20, 20, at(3, 4))).gradients
    assert gradient.verdict == Verdict.FAIL
    assert gradient.measured == 400
    assert gradient.worst is not None
    assert gradient.worst.index == (3, 4)
    assert gradient.diagnosis is not None


def test_a_large_gradient_that_is_wrong_is_searched_and_diagnosed_by_some_entries() -> None:
    (gradient,) = check(net(100, 100, at(31, 4))).gradients
    assert gradient.reason == "1 entry is wrong: [31, 4]"
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.code == "GC111"


def test_a_large_gradient_with_a_wrong_row_is_diagnosed() -> None:
    def change(gradient: Float) -> None:
        gradient[31] = 0

    (gradient,) = check(net(100, 100, change)).gradients
    assert "in row 31 and every column" in gradient.reason


@pytest.mark.parametrize("row", [2, 20])
def test_an_error_of_entries_that_are_far_smaller_is_seen(row: int) -> None:
    scale = np.where(np.arange(40) < 10, 1.0, 1e-9)

    def wrong(gradient: Float) -> None:
        gradient[row] *= 1.001

    right = check(net(40, 30, scale=scale))
    assert right.verdict == Verdict.PASS
    assert right.gradients[0].directions == 10
    assert "above" in right.gradients[0].notes[0].split(";")[1]
    (gradient,) = check(net(40, 30, wrong, scale)).gradients
    assert gradient.verdict == Verdict.FAIL
    assert gradient.directions == 10


def test_what_is_claimed_to_be_zero_has_directions_of_its_own() -> None:
    def forget(gradient: Float) -> None:
        gradient[-1, -2:] = 0

    tiny = np.where(np.arange(40) < 39, 1.0, 1e-9)
    (gradient,) = check(net(40, 30, forget, tiny)).gradients
    assert gradient.verdict == Verdict.FAIL


def test_what_directions_do_not_settle_is_left_to_entries() -> None:
    x = np.random.default_rng(0).standard_normal(200)
    x[:5] = 0.0
    problem = Problem(
        inputs={"x": x},
        forward=lambda inputs: np.maximum(inputs["x"], 0),
        backward=lambda inputs, delta: {"x": delta * (inputs["x"] > 0)},
        cotangent=np.random.default_rng(1).standard_normal(200),
    )
    (gradient,) = check(problem).gradients
    assert gradient.method == "whole forwards"
    assert gradient.kinks == 5
    assert gradient.verdict == Verdict.PASS


def test_a_gradient_of_zero_is_left_to_entries() -> None:
    problem = replace(
        net(15, 15),
        forward=lambda inputs: np.zeros((8, 15)) + 0 * inputs["W"].sum(),
        backward=lambda inputs, delta: {"W": np.zeros((15, 15))},
    )
    (gradient,) = check(problem).gradients
    assert gradient.method == "whole forwards"
    assert gradient.verdict == Verdict.PASS


def test_a_budget_holds_for_a_forward_that_takes_its_time() -> None:
    """Some 100 forwards; entries take what 16 of them and their noise do."""
    quick = net(30, 30, at(3, 4))

    def forward(inputs: Any) -> Any:
        time.sleep(0.005)
        return quick.forward(inputs)

    for change, mode in ((None, "auto"), (at(3, 4), "auto"), (None, "entries")):
        slow = replace(net(30, 30, change), forward=forward)
        numeric = Numeric(budget=0.5, mode=mode)
        result = check(slow, numeric=numeric)
        limit = 600 if mode == "entries" else 200
        assert result.evaluations <= limit
        assert result.verdict == (Verdict.PASS if change is None else Verdict.FAIL)


def test_a_budget_for_a_few_forwards_says_what_it_left_out() -> None:
    quick = net(30, 30)

    def forward(inputs: Any) -> Any:
        time.sleep(0.01)
        return quick.forward(inputs)

    result = check(replace(quick, forward=forward), numeric=Numeric(budget=0.3))
    (gradient,) = result.gradients
    assert result.evaluations <= 50
    assert 0 < gradient.directions < 7
    assert "the budget has no room for more" in gradient.notes[0]
