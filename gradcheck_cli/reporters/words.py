"""How reports for people write numbers, gradients and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from msgspec import Struct

from gradcheck_cli.report import CheckReport, Outcome
from gradcheck_cli.result import GradientResult, Verdict, Zero

OK, BAD, UNSURE = "ok", "bad", "unsure"  # the kinds of a text, each with its colour
# The kind of every verdict and outcome.
KINDS = {
    "pass": OK,
    "fail": BAD,
    "inconclusive": UNSURE,
    "error": BAD,
    "ok": OK,
    "wrong": BAD,
    "not run": UNSURE,
}


class Row(Struct, frozen=True):
    """A gradient as a row of a table.

    id: the label of its check; verdict: in words, with their kind; bound: follows the verdict, such
    as `, to 3e-12`.
    """

    id: str
    gradient: GradientResult
    verdict: str
    kind: str
    bound: str


def list_rows(checks: Sequence[CheckReport]) -> list[Row]:
    """One row for each gradient of the checks that could be run."""
    return [
        describe_row(label, gradient, check.expected, check.outcome)
        for label, check in zip(label_checks(checks), checks, strict=True)
        if check.result is not None
        for gradient in check.result.gradients
    ]


def label_checks(checks: Sequence[CheckReport]) -> list[str]:
    """The id of every check, followed by its path if a check of another file has the same id."""
    files: dict[str, set[str]] = {}
    for check in checks:
        files.setdefault(check.id, set()).add(check.path)
    return [
        check.id if len(files[check.id]) == 1 else f"{check.id} ({check.path})" for check in checks
    ]


def group_by_path(checks: Sequence[CheckReport]) -> dict[str, list[CheckReport]]:
    """The checks of each config file, in the order of the files."""
    by_path: dict[str, list[CheckReport]] = {}
    for check in checks:
        by_path.setdefault(check.path, []).append(check)
    return by_path


def describe_row(
    id: str,
    gradient: GradientResult,
    expected: Verdict = Verdict.PASS,
    outcome: Outcome | None = None,
) -> Row:
    """The row of a gradient.

    id: of its check; expected: the verdict that its config expects; outcome: how the check came
    out.
    """
    word = gradient.verdict.value
    if expected == Verdict.FAIL and gradient.verdict == Verdict.FAIL:
        return Row(id, gradient, "fail, as expected", OK, "")
    if expected == Verdict.FAIL and outcome != Outcome.OK:
        return Row(id, gradient, f"{word}, but fail expected", BAD, "")
    return Row(id, gradient, word, KINDS[word], describe_bound(gradient))


def describe_bound(gradient: GradientResult) -> str:
    """`, to 3e-12`: how well a gradient that passed is known; empty if it did not pass."""
    if gradient.zero == Zero.UNSEEN:
        return ", no power"
    if gradient.verdict != Verdict.PASS or not gradient.bound or not isfinite(gradient.bound):
        return ""
    zero = "zero " if gradient.zero == Zero.INVARIANT else ""
    return f", {zero}to {format_bound(gradient.bound)}"


def format_number(value: float | None) -> str:
    """A number in two digits; `–` for None."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def format_bound(value: float) -> str:
    """A bound in one digit, rounded up so that it still holds."""
    if value == 0 or not isfinite(value):
        return format_number(value)
    rounded = f"{value:.0e}"
    if float(rounded) >= value:
        return rounded
    digit, exponent = rounded.split("e")
    return f"{float(f'{int(digit) + 1}e{exponent}'):.0e}"


def format_errors(gradient: GradientResult) -> tuple[str, str, str]:
    """The largest absolute error, the relative error of the worst entry, and error over allowed."""
    errors = (gradient.max_abs_error, gradient.max_rel_error, gradient.max_over_allowed)
    first, second, third = map(format_number, errors)
    return first, second, third


def describe_gradient(gradient: GradientResult) -> str:
    """`∂L/∂W = XᵀΔ (52)`: the gradient, its rule and the rule's equation in the paper."""
    rule = f" = {gradient.rule}" if gradient.rule else ""
    equation = f" ({gradient.equation})" if gradient.equation is not None else ""
    return f"{gradient.gradient}{rule}{equation}"
