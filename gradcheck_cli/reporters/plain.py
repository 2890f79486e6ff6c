"""The report for cut and awk: one line for each gradient, with tabs between its fields.

The order of fields never changes. An empty field is `-`; numbers have all their digits; there is no
header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradcheck_cli.report import CheckReport, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.result import GradientResult
from gradcheck_cli.text import printable

NOTHING = "-"

Value = str | float | int | None
# The fields of a line, in this order; new ones are added to LATER.
WHICH: dict[str, Callable[[CheckReport], Value]] = {
    "outcome": lambda check: check.outcome.value,
    "check": lambda check: check.id,
}
GRADIENT: dict[str, Callable[[GradientResult], Value]] = {
    "gradient": lambda of: of.gradient,
    "verdict": lambda of: of.verdict.value,
    "shape": lambda of: "x".join(map(str, of.shape)),
    "entries": lambda of: of.entries,
    "wrong": lambda of: of.wrong,
    "abs. error": lambda of: of.max_abs_error,
    "rel. error": lambda of: of.max_rel_error,
    "uncertainty": lambda of: of.uncertainty,
    "bound": lambda of: of.bound,
    "code": lambda of: of.diagnosis.code if of.diagnosis else None,
}
WHERE: dict[str, Callable[[CheckReport], Value]] = {
    "seed": lambda check: check.settings.seed,
    "config": lambda check: check.path,
    "line": lambda check: check.line,
}
LATER: dict[str, Callable[[GradientResult], Value]] = {
    "error / allowed": lambda of: of.max_over_allowed,
}
FIELDS = (*WHICH, *GRADIENT, *WHERE, *LATER)


def render(report: SuiteReport, screen: Screen) -> str:
    """One line for each gradient, and one for each check that could not be run."""
    return "".join(
        "\t".join(map(_field, _values(check, gradient))) + "\n"
        for check in report.checks
        for gradient in (check.result.gradients if check.result else (None,))
    )


def _values(check: CheckReport, gradient: GradientResult | None) -> Iterator[Value]:
    yield from (value(check) for value in WHICH.values())
    yield from (value(gradient) if gradient else None for value in GRADIENT.values())
    yield from (value(check) for value in WHERE.values())
    yield from (value(gradient) if gradient else None for value in LATER.values())


def _field(value: Value) -> str:
    if value is None or value == "":
        return NOTHING
    return repr(value) if isinstance(value, float) else printable(str(value))
