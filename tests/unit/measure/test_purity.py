"""Functions that work on their arguments or remember calls: each fails, or is noted, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Problem, Tolerance, Verdict, check
from gradcheck_cli.errors import ForwardError
from gradcheck_cli.measure import purity
from tests.support.layers import Float

X = np.array([[0.3, -1.2], [0.8, 0.5]])
W = np.array([[1.1, -0.4], [0.2, 0.9]])
C = np.array([[1.0, -2.0], [0.5, 3.0]])

Inputs = Mapping[str, Any]
Backward = Callable[[Inputs, Any], Any]


@pytest.fixture(autouse=True, params=["copies", "the arrays themselves"])
def handed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What functions are handed: of large arrays there are no copies to spare."""
    if request.param != "copies":
        monkeypatch.setattr(purity, "LARGE", 0)


def forward(inputs: Inputs) -> Any:
    return np.tanh(inputs["x"]) @ inputs["W"]


def right(inputs: Inputs, delta: Any) -> dict[str, Float]:
    hidden = np.tanh(inputs["x"])
    return {"x": (delta @ inputs["W"].T) * (1 - hidden**2), "W": hidden.T @ delta}


def layer(backward: Backward, ahead: Callable[[Inputs], Any] = forward) -> Problem:
    return Problem({"x": X.copy(), "W": W.copy()}, ahead, backward, C.copy())


def reasons(problem: Problem) -> list[str]:
    result = check(problem)
    assert result.verdict == Verdict.FAIL
    return [gradient.reason for gradient in result.gradients]


def test_the_right_backward_passes() -> None:
    assert check(layer(right)).verdict == Verdict.PASS


def test_a_backward_that_changes_its_inputs() -> None:
    def backward(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        inputs["x"][0] *= 0.5
        return found

    told = "the backward changes its input x in place; let it work on a copy"
    assert reasons(layer(backward))[0].startswith(told)


def test_a_backward_that_changes_the_upstream_gradient() -> None:
    def backward(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        delta *= 2
        return found

    assert "the upstream gradient it was handed in place" in reasons(layer(backward))[0]


def test_a_backward_that_accumulates() -> None:
    total = {"x": np.zeros((2, 2)), "W": np.zeros((2, 2))}

    def backward(inputs: Inputs, delta: Any) -> Any:
        for name, value in right(inputs, delta).items():
            total[name] += value
        return total

    assert (
        "answers differently when called again: ∂L/∂x at [1, 1] is" in reasons(layer(backward))[0]
    )


def test_a_backward_that_draws_at_random() -> None:
    random = np.random.default_rng(0)

    def backward(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        return {**found, "W": found["W"] * random.uniform(0.9, 1.1)}

    assert "it must not remember earlier calls or draw at random" in reasons(layer(backward))[0]


def test_a_backward_that_uses_what_an_earlier_call_left() -> None:
    seen: list[Any] = []

    def backward(inputs: Inputs, delta: Any) -> Any:
        seen.append(inputs["x"].copy())
        return right({**inputs, "x": seen[0]}, delta)

    assert reasons(layer(backward))[1] == "4 of 4 entries are wrong"


def test_a_backward_that_returns_no_mapping() -> None:
    assert set(reasons(layer(lambda inputs, delta: (1, 2)))) == {
        "the backward must return gradients by input name, not tuple"
    }


def test_a_backward_that_leaves_a_gradient_out() -> None:
    found = check(layer(lambda inputs, delta: {"x": right(inputs, delta)["x"]}))
    assert [gradient.reason for gradient in found.gradients] == [
        "",
        "the backward returned no ∂L/∂W",
    ]


def test_gradients_returned_in_each_others_place() -> None:
    def backward(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        return {"x": found["W"], "W": found["x"]}

    found = [gradient.diagnosis for gradient in check(layer(backward)).gradients]
    assert [(one.code, one.observation) for one in found if one] == [
        ("GC101", "it is ∂L/∂W"),
        ("GC101", "it is ∂L/∂x"),
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: g.astype(int), "∂L/∂W must hold real numbers; the backward gives int64"),
        (lambda g: g + 1j, "∂L/∂W must hold real numbers; the backward gives complex128"),
        (lambda g: g.astype(object), "∂L/∂W must hold real numbers; the backward gives object"),
        (lambda g: g[None], "∂L/∂W must be 2×2; the backward gives 1×2×2"),
        (lambda g: g[0], "∂L/∂W must be 2×2; the backward gives (2,)"),
        (lambda g: np.where(g > g.mean(), np.nan, g), "∂L/∂W is nan at"),
    ],
)
def test_wrong_types_and_shapes_are_named(change: Callable[[Float], Any], sentence: str) -> None:
    def backward(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        return {**found, "W": change(found["W"])}

    assert reasons(layer(backward))[1].startswith(sentence)


def test_a_float32_inside_a_float64_backward_is_named() -> None:
    def cast(inputs: Inputs, delta: Any) -> Any:
        found = right(inputs, delta)
        return {name: value.astype(np.float32).astype(np.float64) for name, value in found.items()}

    found = [gradient.diagnosis for gradient in check(layer(cast)).gradients]
    assert [one.code for one in found if one] == ["GC114", "GC114"]


def test_a_forward_that_changes_its_inputs() -> None:
    def ahead(inputs: Inputs) -> Any:
        outputs = forward(inputs)
        inputs["x"][0, 0] += 1
        return outputs

    assert "the forward changes its input x in place" in reasons(layer(right, ahead))[0]


def test_a_forward_that_is_not_repeatable_is_noted_and_its_noise_counted() -> None:
    random = np.random.default_rng(0)

    def ahead(inputs: Inputs) -> Any:
        return forward(inputs) + 1e-6 * random.normal(size=(2, 2))

    result = check(layer(right, ahead))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert (
        "the forward is not repeatable: called again, its outputs differ by up to"
        in result.notes[0]
    )
    assert "the forward is noisy" in result.gradients[0].reason


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        (lambda inputs: forward(inputs).astype(str), "must return real numbers"),
        (lambda inputs: forward(inputs) * 1j, "must return real numbers; it gives complex128"),
        (lambda inputs: forward(inputs)[0], "the forward gives (2,), but the cotangent is 2×2"),
        (lambda inputs: forward(inputs) / 0.0, "the forward gives"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_forward_that_cannot_be_checked(ahead: Callable[[Inputs], Any], sentence: str) -> None:
    with pytest.raises(ForwardError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        check(layer(right, ahead))


@pytest.mark.parametrize(
    ("inputs", "cotangent", "note"),
    [
        ({"x": X, "W": W}, np.zeros((2, 2)), "the upstream gradient is zero"),
        ({"x": X, "W": W + W.T}, C, "W is symmetric: a missing or extra transpose goes unseen"),
        ({"x": np.ones((2, 2)), "W": W}, C, "all entries of x are equal"),
    ],
)
def test_a_check_that_cannot_fail_says_so(inputs: Any, cotangent: Float, note: str) -> None:
    result = check(Problem(inputs, forward, right, cotangent))
    assert result.verdict == Verdict.PASS
    assert any(line.startswith(note) for line in result.notes)


def test_one_sample_under_a_mean_says_so() -> None:
    from tests.support.layers import layer as paper
    from tests.support.layers import problem

    result = check(problem(paper(n=1, reduction="mean")))
    assert result.notes == ("n = 1: sum and mean coincide, so no 1/n can go wrong here",)


def unsteady(share: float) -> Problem:
    """A problem whose backward is right, and moves by a share of it between calls."""
    calls = iter(range(100))
    x = np.linspace(0.5, 2.0, 4)
    return Problem(
        inputs={"x": x},
        forward=lambda inputs: np.sin(inputs["x"]),
        backward=lambda inputs, delta: {
            "x": delta * np.cos(inputs["x"]) * (1 + share * (next(calls) % 2))
        },
        cotangent=np.ones(4),
    )


def test_a_second_answer_within_the_tolerance_passes_with_a_note() -> None:
    result = check(unsteady(1e-13), tolerance=Tolerance(repeat=1e-12))
    assert result.verdict == "pass"
    assert result.notes == (
        "the backward answers differently when called again: ∂L/∂x at [0] is 0.877583, then "
        "0.877583, which differ by 8.8e-14; tolerance.repeat allows it",
    )


@pytest.mark.parametrize(("share", "accepts"), [(1e-13, True), (1e-3, False)])
def test_a_second_answer_beyond_it_fails_and_says_by_how_much(share: float, accepts: bool) -> None:
    (gradient,) = check(unsteady(share)).gradients
    assert gradient.verdict == "fail"
    assert f"differ by {0.877583 * share:.1e}; it must not remember" in gradient.reason
    assert gradient.reason.endswith(", or accept it by tolerance.repeat") == accepts
