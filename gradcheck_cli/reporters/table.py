"""The report for a person: a table, then what is wrong, then a summary line.

The table has one row for each gradient, or, if they do not fit on a screen, for each config file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import (
    Detail,
    describe_failure,
    group_alike,
    list_details,
    name_alike,
)
from gradcheck_cli.reporters.error_map import (
    LEGEND,
    SHADES,
    describe_panels,
    describe_pooling,
    find_shade,
    split_panels,
)
from gradcheck_cli.reporters.lines import STYLES, Line, indent, render_lines
from gradcheck_cli.reporters.notes import MOST_NOTES, describe_work, list_notes, list_result_notes
from gradcheck_cli.reporters.rows import layout_files, layout_rows
from gradcheck_cli.reporters.summary import find_slowest, list_files, list_statistics, summarize
from gradcheck_cli.reporters.words import KINDS, describe_row, group_by_path, list_rows
from gradcheck_cli.result import CheckResult, ErrorMap, Verdict
from gradcheck_cli.text import count_of, name_some

SCREENFUL = 40  # rows of gradients, about what a window shows at once
# Of config files: rich takes 0.35 to 0.6 ms a row, and nobody reads more.
MOST_FILES = 60
MAP_WIDTH, GAP = 74, 2  # columns of all panels of a map, and between two
MOST_IDS = 6  # checks of a file that were not run and are named
MOST_NOT_RUN = 3  # files with such checks that have a line each; of more, only the number is shown
# Failures that are described in full; of more, a line says how many checks they are of.
MOST_DETAILS = 100


def render(report: SuiteReport, screen: Screen) -> str:
    """The report as text, in colours if the screen has them."""
    lines = [*_list_details(report.checks, screen), *_list_slowest(report.checks, screen.durations)]
    if not screen.quiet:
        notes = list_notes(report.checks, None if screen.verbose else MOST_NOTES)
        lines = [*_layout_table(report.checks, screen), *lines, *_list_notes(notes)]
    if screen.statistics or (not screen.quiet and _is_long(report.checks)):
        lines += map(Text, ("", *list_statistics(report.checks)))
    return render_lines([*lines, summary_line(report)], screen).lstrip("\n")


def render_result(result: CheckResult, name: str) -> str:
    """The report of one check, as the text of an exception."""
    screen = Screen()
    rows = [describe_row(name, gradient) for gradient in result.gradients]
    failures = (
        describe_failure(gradient, name)
        for gradient in result.gradients
        if gradient.verdict != Verdict.PASS
    )
    notes = [f"note: {subject}: {note}" for subject, note in list_result_notes(name, result)]
    lines = [*layout_rows(rows, screen), *_layout_details(failures), *_list_notes(notes)]
    return render_lines(lines, screen)


def render_details(check: CheckReport) -> str:
    """What is wrong with a check as text, for formats that contain such text."""
    return render_lines(_layout_details(list_details(check)), Screen())


def render_detail(detail: Detail) -> str:
    """One detail as text, for formats that contain such text."""
    return render_lines(layout_detail(detail), Screen())


def summary_line(report: SuiteReport) -> Text:
    """The last line of the report, after an empty one."""
    text = Text("\n")
    for part, kind in summarize(report):
        text.append(part, style=STYLES[kind])
    return text


def _layout_table(checks: Sequence[CheckReport], screen: Screen) -> Iterator[Line]:
    if screen.verbose or not _is_long(checks):
        yield from layout_rows(list_rows(checks), screen)
    else:
        yield from layout_files(list_files(checks, MOST_FILES), screen)
    if screen.verbose:
        for check in checks:
            yield Text("")
            yield Text(check.id, style="bold").append(f"  {check.path}:{check.line}", style="dim")
            yield from map(indent, describe_work(check))


def _is_long(checks: Sequence[CheckReport]) -> bool:
    """Whether the checks have more gradients than fit on a screen."""
    return sum(len(check.result.gradients) for check in checks if check.result) > SCREENFUL


def _list_details(checks: Sequence[CheckReport], screen: Screen) -> Iterator[Line]:
    """What is wrong, in full; expected failures only with --verbose."""
    found = [
        check
        for check in checks
        if check.outcome not in (Outcome.OK, Outcome.NOT_RUN)
        or (screen.verbose and check.result is not None and check.result.verdict == Verdict.FAIL)
    ]
    groups = group_alike(found, every=screen.verbose)
    most = len(groups) if screen.verbose else MOST_DETAILS
    for first, *others in groups[:most]:
        yield from layout_detail(first)
        if others:
            yield indent(name_alike(others))
    listed = {detail.id for group in groups[:most] for detail in group}
    left = {detail.id for group in groups[most:] for detail in group} - listed
    if left:
        more = f"{count_of(len(left), 'more check')} did not come out as expected"
        yield Text(f"\n{more}; --verbose shows all")
    yield from layout_not_run(checks)


def layout_not_run(checks: Sequence[CheckReport]) -> Iterator[Line]:
    """A line for each config file with the ids of its checks that were not run."""
    by_path = group_by_path([check for check in checks if check.outcome == Outcome.NOT_RUN])
    if by_path:
        yield Text("")
    if len(by_path) > MOST_NOT_RUN:
        count = count_of(sum(map(len, by_path.values())), "check")
        head = Text("NOT RUN", style=STYLES[KINDS[Outcome.NOT_RUN]])
        yield head.append(f"  {count} of {len(by_path)} config files", style="bold")
        return
    for path, of_file in by_path.items():
        head = Text("NOT RUN", style=STYLES[KINDS[Outcome.NOT_RUN]])
        head.append(f"  {name_some([one.id for one in of_file], MOST_IDS)}", style="bold")
        yield head.append(f"  {path}", style="dim")


def _layout_details(details: Iterable[Detail]) -> Iterator[Line]:
    return (line for detail in details for line in layout_detail(detail))


def layout_detail(detail: Detail) -> Iterator[Line]:
    """The lines of a detail, after an empty one."""
    yield Text("")
    head = Text(detail.kind.upper(), style=STYLES[KINDS[detail.kind]])
    head.append(f"  {detail.id}{'  ' * bool(detail.gradient)}{detail.gradient}", style="bold")
    yield head.append(f"  {detail.place}" if detail.place else "", style="dim")
    yield from map(indent, detail.lines)
    if detail.source:
        yield indent(f"computed in {detail.source}")
    if detail.worst:
        yield Text(f"  {detail.worst}:")
        for name, value in detail.values:
            yield indent(f"{name} = {value}" if "/" in name else f"{name:8}  {value}", 4)
    if detail.code:
        code = Text(f"{detail.code} {detail.title}", style="bold")
        observed = f": {detail.observed}" if detail.observed else ""
        yield indent(code.append(observed, style="default"))
    yield from (indent(f"{name}: {text}", 4) for name, text in detail.advice)
    if detail.where:
        yield indent(f"where: {detail.where}")
    if detail.map is not None and detail.shows_more:
        yield from _draw_map(detail.map)
    if detail.rerun:
        # Never broken, so that it can be copied.
        yield Text(f"  rerun: {detail.rerun}", no_wrap=True)


def _draw_map(of: ErrorMap) -> Iterator[Line]:
    """The relative errors as a picture, with panels beside each other, and its legend."""
    panels = [rows for _, rows in split_panels(of)]
    beside = max(1, MAP_WIDTH // (len(panels[0][0]) + GAP))
    for first in range(0, len(panels), beside):
        if first:
            yield Text("")
        for rows in zip(*panels[first : first + beside], strict=True):
            yield indent(Text(" " * GAP).join(map(_draw_row, rows)), 4)
    yield indent("; ".join(filter(None, (LEGEND, describe_panels(of), describe_pooling(of)))), 4)


def _draw_row(row: Sequence[float | None]) -> Text:
    text = Text()
    for cell in row:
        shade = SHADES[find_shade(cell)]
        text.append(shade.character, STYLES[shade.kind].removeprefix("bold ") or "dim")
    return text


def _list_notes(notes: Sequence[str]) -> Iterator[Line]:
    if notes:
        yield Text("")
        yield from (Text(note, style="dim") for note in notes)


def _list_slowest(checks: Sequence[CheckReport], count: int) -> Iterator[Line]:
    slowest = find_slowest(checks, count)
    if slowest:
        yield Text(f"\nslowest {count_of(len(slowest), 'check')}:")
    for seconds, id in slowest:
        yield Text(f"  {seconds:7.2f} s  {id}")
