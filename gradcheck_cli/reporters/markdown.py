"""The report in Markdown, for the summary of a CI step, a merge request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.table import detailed
from gradcheck_cli.reporters.wording import (
    left_out,
    notes,
    numbers,
    rows,
    slowest,
    summary,
    verdict,
    written,
)
from gradcheck_cli.result import Outcome, SuiteReport
from gradcheck_cli.text import format_shape, printable

MOST_DETAILS = 50  # checks that are shown in full; a step summary holds a megabyte
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")
_HEAD = ("check", "gradient", "shape", "abs. error", "rel. error", "uncertainty", "verdict")


def render(report: SuiteReport, screen: Screen) -> str:
    """A heading with the counts, what is wrong, the table, the notes."""
    bad = [check for check in report.checks if check.outcome != Outcome.OK]
    title = "all as expected" if not bad else f"{len(bad)} of {len(report.checks)} not as expected"
    parts = [f"## gradcheck: {title}", _text("".join(text for text, _ in summary(report)))]
    for check in bad[:MOST_DETAILS]:
        parts += [f"### {_text(check.id)}: {check.outcome.value}", _fenced(detailed(check))]
    if len(bad) > MOST_DETAILS:
        parts.append(f"and {len(bad) - MOST_DETAILS} more")
    if not screen.quiet:
        parts.append("\n".join(_table(report)))
        told = [*notes(report.checks), *filter(None, [left_out(report.checks)])]
        parts += ["\n".join(f"- {_text(note)}" for note in told)] * bool(told)
    slow = slowest(report.checks, screen.durations)
    parts += ["\n".join(f"- {seconds:.2f} s {_text(id)}" for seconds, id in slow)] * bool(slow)
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(report: SuiteReport) -> Iterator[str]:
    shown = rows(report.checks)
    if not shown:
        return
    yield _row(_HEAD)
    yield _row(["---", "---", "---", "---:", "---:", "---:", "---"])
    for check, gradient in shown:
        word, kind, rest = verdict(check, gradient)
        told = f"**{_text(word)}**" if kind != "ok" else _text(word)
        cells = [_text(check.id), _text(written(gradient)), format_shape(gradient.shape)]
        yield _row([*cells, *numbers(gradient), told + rest])


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", printable(text))


def _fenced(text: str) -> str:
    """Text as it is; the fence is longer than any in it."""
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return "\n".join([f"{fence}text", text.strip("\n"), fence])
