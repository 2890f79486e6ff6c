"""The report in Markdown, for the summary of a CI step, a merge request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradcheck_cli.report import Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import group_alike, name_alike
from gradcheck_cli.reporters.notes import MOST_NOTES, list_notes
from gradcheck_cli.reporters.places import describe_places
from gradcheck_cli.reporters.summary import find_slowest, list_files, summarize
from gradcheck_cli.reporters.table import render_detail
from gradcheck_cli.reporters.words import (
    OK,
    describe_gradient,
    format_errors,
    format_number,
    list_rows,
)
from gradcheck_cli.text import format_shape, printable

MOST_ROWS = 200  # of the table
MOST_DETAILS = 50  # failures that are shown in full; a step summary holds a megabyte
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")
_HEAD = ("check", "gradient", "shape", "abs. error", "rel. error", "error / allowed", "verdict")
_FILE_HEAD = ("config", "checks", "gradients", *Outcome, "error / allowed", "time")


def render(report: SuiteReport, screen: Screen) -> str:
    """A heading with the counts, what is wrong, the table, the notes."""
    bad = [check for check in report.checks if check.outcome != Outcome.OK]
    title = "all as expected" if not bad else f"{len(bad)} of {len(report.checks)} not as expected"
    parts = [f"## gradcheck: {title}", _escape("".join(text for text, _ in summarize(report)))]
    groups = group_alike(bad)
    for first, *others in groups[:MOST_DETAILS]:
        gradient = f" {_escape(first.symbol)}" * bool(first.symbol)
        parts.append(f"### {_escape(first.id)}{gradient}: {first.kind}")
        parts += map(_escape, describe_places([first]))
        parts.append(_fence(render_detail(first)))
        parts += [_escape(name_alike(others))] * bool(others)
    if len(groups) > MOST_DETAILS:
        parts.append(f"and {len(groups) - MOST_DETAILS} more")
    if not screen.quiet:
        parts.append("\n".join(_list_table(report)))
        notes = list_notes(report.checks, MOST_NOTES)
        parts.append("\n".join(f"- {_escape(note)}" for note in notes))
    slow = find_slowest(report.checks, screen.durations)
    parts.append("\n".join(f"- {seconds:.2f} s {_escape(id)}" for seconds, id in slow))
    return "\n\n".join(filter(None, parts)) + "\n"


def _list_table(report: SuiteReport) -> Iterator[str]:
    """One row for each gradient; if there are more than MOST_ROWS, for each config file."""
    rows = list_rows(report.checks)
    if not rows:
        return
    if len(rows) > MOST_ROWS:
        yield from _list_files(report)
        return
    yield _join(_HEAD)
    yield _join(["---", "---", "---", "---:", "---:", "---:", "---"])
    for row in rows:
        word = _escape(row.verdict) if row.kind == OK else f"**{_escape(row.verdict)}**"
        names = (_escape(row.id), _escape(describe_gradient(row.gradient)))
        shape = format_shape(row.gradient.shape)
        yield _join([*names, shape, *format_errors(row.gradient), word + row.bound])


def _list_files(report: SuiteReport) -> Iterator[str]:
    yield _join(_FILE_HEAD)
    yield _join(["---"] + ["---:"] * (len(_FILE_HEAD) - 1))
    for file in list_files(report.checks, MOST_ROWS):
        counts = (file.checks, file.gradients, *file.outcomes.values())
        worst, seconds = format_number(file.worst), f"{file.seconds:.2f} s"
        yield _join([_escape(file.name), *map(str, counts), worst, seconds])


def _join(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", printable(text))


def _fence(text: str) -> str:
    """A code block with the text; its fence is longer than any in the text."""
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return "\n".join([f"{fence}text", text.strip("\n"), fence])
