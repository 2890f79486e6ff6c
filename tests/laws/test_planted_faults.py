"""Wrong rules, planted on purpose, fail, each with its sentence."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gradcheck_cli import Verdict, check
from gradcheck_cli.result import GradientResult
from tests.support.layers import layer, problem
from tests.support.verdicts import judge

ENTRIES = "15 of 15 entries are wrong"

# form, the wrong rule of W, and what must be said of it
RULES = [
    ("XW", "X.T @ delta / n", ENTRIES),
    ("XW", "X.T @ delta * n", ENTRIES),
    ("XW", "2 * X.T @ delta", ENTRIES),
    ("XW", "-X.T @ delta", ENTRIES),
    ("XW", "X.T @ delta * (1 + 1e-8)", ENTRIES),
    ("XW", "X.T @ ones(n, M)", ENTRIES),
    ("XW", "X.T @ delta**2", ENTRIES),
    ("XW", "delta.T @ X", "∂L/∂W must be 5×3; 'delta.T @ X' gives 3×5"),
    ("XW", "sum(delta)", "∂L/∂W must be 5×3; 'sum(delta)' gives a single number"),
    ("XW", "sum(X.T @ delta, 1)", "∂L/∂W must be 5×3; 'sum(X.T @ delta, 1)' gives (5,)"),
    ("XW", "log(-abs(X)).T @ delta", "∂L/∂W is nan at [0, 0] (15 of 15 entries)"),
    ("XW", "X.T @ (delta / (y - y))", "∂L/∂W is nan at [0, 0] (15 of 15 entries)"),
    ("xW", "x.T @ delta + 1e-7", ENTRIES),
    ("xW", "x.T @ sign(delta)", ENTRIES),
    ("Wx", "delta @ x.T / 2", ENTRIES),
    ("Wx", "x @ delta.T", "∂L/∂W must be 3×5; 'x @ delta.T' gives 5×3"),
]


def weights(results: tuple[GradientResult, ...]) -> GradientResult:
    return next(result for result in results if result.name == "W")


@pytest.mark.parametrize(("form", "rule", "sentence"), RULES)
def test_a_wrong_rule_fails_and_says_why(form: str, rule: str, sentence: str) -> None:
    result = check(problem(layer(form, own_rules={"W": rule})))
    assert result.verdict == Verdict.FAIL
    assert weights(result.gradients).reason == sentence
    assert [other.verdict for other in result.gradients if other.name != "W"] == [Verdict.PASS]


@pytest.mark.parametrize(
    ("reduction", "delta", "gradient_reduction", "factor"),
    [
        ("sum", "total", "mean", 1 / 8),
        ("mean", "total", "mean", 1 / 8),
        ("mean", "per-sample", "sum", 8),
        ("sum", "per-sample", "mean", 1 / 8),
    ],
)
def test_a_wrong_way_to_combine_samples_fails_by_its_factor(
    reduction: str, delta: str, gradient_reduction: str, factor: float
) -> None:
    wrong = layer(reduction=reduction, delta=delta, gradient_reduction=gradient_reduction)
    result = weights(check(problem(wrong)).gradients)
    assert result.verdict == Verdict.FAIL
    assert result.worst is not None
    assert result.worst.ratio == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("delta", ["total", "per-sample"])
def test_what_calculus_asks_for_is_the_default(reduction: str, delta: str) -> None:
    assert check(problem(layer(reduction=reduction, delta=delta))).verdict == Verdict.PASS


@pytest.mark.parametrize("index", [(0, 0), (2, 1), (4, 2)])
def test_one_wrong_entry_is_found_and_named(index: tuple[int, int]) -> None:
    row, column = index
    checked = problem(layer())

    def off_by_one_in_ten_million(values: object, cotangent: object) -> dict[str, object]:
        claimed = dict(checked.backward(checked.inputs, cotangent))
        claimed["W"] = claimed["W"].copy()
        claimed["W"][row, column] *= 1 + 1e-7
        return claimed

    result = weights(judge(replace(checked, backward=off_by_one_in_ten_million)).gradients)
    assert (result.wrong, result.reason) == (1, "1 of 15 entries is wrong")
    assert result.worst is not None
    assert result.worst.index == index
    assert result.worst.ratio == pytest.approx(1 + 1e-7, abs=1e-11)


@pytest.mark.parametrize("form", ["Wx", "xW", "XW"])
def test_the_jacobians_pass_and_a_wrong_one_fails(form: str) -> None:
    jacobians = layer(form, n=2, N=3, M=4, jacobian=True).problems()[1]
    assert check(jacobians).verdict == Verdict.PASS

    def scaled(values: object, cotangent: object) -> dict[str, object]:
        claimed = jacobians.backward(jacobians.inputs, None)
        return {name: 1.5 * array for name, array in claimed.items()}

    assert judge(replace(jacobians, backward=scaled)).verdict == Verdict.FAIL
