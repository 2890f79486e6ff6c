"""The report as annotations of a GitHub workflow, at the lines of the configs."""

from __future__ import annotations

from collections.abc import Iterator

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.report import Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import Detail, group_alike, name_alike
from gradcheck_cli.reporters.places import Place, find_place, list_places
from gradcheck_cli.reporters.summary import summarize
from gradcheck_cli.reporters.words import KINDS, UNSURE
from gradcheck_cli.text import printable, printable_lines

MOST = 9  # annotations; GitHub shows ten of each kind a step, and one says how many more


def render(report: SuiteReport, screen: Screen) -> str:
    """At most MOST annotations, one that says how many more, and the summary line."""
    found = group_alike(check for check in report.checks if check.outcome != Outcome.OK)
    # Wrong gradients come before inconclusive ones.
    found.sort(key=lambda group: KINDS[group[0].kind] == UNSURE)
    lines = [_annotate(*group) for group in found[:MOST]]
    lines += _count_rest(len(found) - MOST)
    return "\n".join([*lines, "".join(text for text, _ in summarize(report)), ""])


def annotate_config(error: ConfigError) -> str:
    """The errors of configs as annotations."""
    lines = [
        _format_command(
            "error",
            "gradcheck: config",
            printable(finding.message),
            find_place(path, finding.mark.line),
        )
        for path, finding in error.places[:MOST]
    ]
    return "\n".join([*lines, *_count_rest(error.count - MOST), ""])


def _count_rest(count: int) -> Iterator[str]:
    if count > 0:
        verb = "is" if count == 1 else "are"
        yield f"::error title=gradcheck::and {count} more {verb} in the report of the job"


def _annotate(detail: Detail, *others: Detail) -> str:
    kind = "warning" if KINDS[detail.kind] == UNSURE else "error"
    places = list_places(detail)
    title = f"gradcheck: {detail.id}: {detail.kind}"
    code = f"{detail.code} {detail.title}" if detail.code else ""
    observed = ": ".join(filter(None, (code, detail.observed)))
    values = [f"{name}: {value.strip()}" for name, value in detail.values]
    text = [
        ": ".join(filter(None, (detail.gradient, detail.lines[0] if detail.lines else ""))),
        *detail.lines[1:],
        *[f"computed in {detail.source}"] * bool(detail.source),
        *[f"{detail.worst}: {', '.join(values)}"] * bool(detail.worst),
        *filter(None, (observed,)),
        *(f"{name}: {text}" for name, text in detail.advice),
        *[f"config: {detail.place}"] * (len(places) > 1),
        f"rerun: {detail.rerun}",
        *[name_alike(others)] * bool(others),
    ]
    return _format_command(kind, title, "\n".join(text), places[0] if places else None)


def _format_command(kind: str, title: str, message: str, place: Place | None) -> str:
    """A workflow command, at a line of a file if there is a place."""
    where = f"file={_escape_property(place.path)},line={place.line}," if place is not None else ""
    return f"::{kind} {where}title={_escape_property(title)}::{_escape_data(message)}"


def _escape_data(text: str) -> str:
    return printable_lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
