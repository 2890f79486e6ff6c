"""The report for a person: a row a gradient, then what is wrong, then a summary line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.wording import (
    BAD,
    KINDS,
    OK,
    SHADES,
    UNLIMITED,
    UNSURE,
    Detail,
    Row,
    about,
    details,
    left_out,
    notes,
    numbers,
    pooled,
    rows,
    shade,
    slowest,
    summary,
    verdict,
    written,
)
from gradcheck_cli.result import CheckReport, ErrorMap, Outcome, SuiteReport, Verdict
from gradcheck_cli.text import count_of, format_shape

LONGEST_RULE = 40  # characters, in a window too narrow for the whole
STYLES = {OK: "green", BAD: "bold red", UNSURE: "yellow", "": ""}
SHADE_STYLES = {BAD: "red", UNSURE: "yellow"}
NOTHING_WRONG = "·"

Line = Text | Padding | Table


def render(report: SuiteReport, screen: Screen) -> str:
    """The report as text, with colours if the screen has them."""
    return _printed(report.checks, screen, report)


def render_check(check: CheckReport) -> str:
    """The report of one check as text, for an exception."""
    return _printed([check], Screen(), None)


def detailed(check: CheckReport) -> str:
    """What is wrong with a check as text, for formats that hold some."""
    return printed((line for detail in details(check) for line in lines_of(detail)), Screen())


def _printed(checks: Sequence[CheckReport], screen: Screen, report: SuiteReport | None) -> str:
    console = _console(screen)
    most = UNLIMITED if screen.verbose else None
    with console.capture() as capture:
        if not screen.quiet:
            _print_rows(console, rows(checks, most) if most else rows(checks))
            if screen.verbose:
                _print_lines(console, _about(checks))
        for check in checks:
            failed = check.result is not None and check.result.verdict == Verdict.FAIL
            if check.outcome != Outcome.OK or (screen.verbose and failed):
                for detail in details(check):
                    _print_lines(console, lines_of(detail))
        if not screen.quiet:
            told = [*notes(checks), *filter(None, [left_out(checks)] if not most else [])]
            _print_lines(console, [Text("")] * bool(told))
            _print_lines(console, (Text(note, style="dim") for note in told))
        _print_lines(console, _slowest(checks, screen.durations))
        if report is not None:
            _print_lines(console, [summary_line(report)])
    text = _without_padding(capture.get())
    return text.lstrip("\n") if screen.quiet else text


def summary_line(report: SuiteReport) -> Text:
    """The last line, behind an empty one."""
    text = Text("\n")
    for part, kind in summary(report):
        text.append(part, style=STYLES[kind])
    return text


def printed(lines: Iterable[Line], screen: Screen) -> str:
    """Lines and tables as text."""
    console = _console(screen)
    with console.capture() as capture:
        _print_lines(console, lines)
    return _without_padding(capture.get())


def _without_padding(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def _console(screen: Screen) -> Console:
    return Console(
        file=StringIO(),
        width=screen.width or UNLIMITED,
        force_terminal=screen.color,
        no_color=not screen.color,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def _print_rows(console: Console, shown: list[Row]) -> None:
    """The table; in a window too narrow for it, a few lines a gradient."""
    if not shown:
        return
    for longest in (UNLIMITED, LONGEST_RULE):
        table = _table(shown, longest)
        natural = Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum
        if natural <= console.width:
            console.print(table)
            return
    last = None
    for row in shown:
        if row[0] is not last:
            _print_lines(console, [Text(row[0].id, style="bold")])
        _print_lines(console, _stacked(row))
        last = row[0]


def simple_table(*names: str) -> Table:
    """A table with these columns and a line below their names."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name, no_wrap=True, vertical="bottom")
    return table


def _table(shown: list[Row], longest: int) -> Table:
    table = simple_table("check", "gradient", "shape")
    for name in ("abs.\nerror", "rel.\nerror", "uncer-\ntainty"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("verdict", no_wrap=True)
    last = None
    for check, gradient in shown:
        table.add_row(
            Text("" if check is last else check.id),
            Text(written(gradient, longest)),
            Text(format_shape(gradient.shape)),
            *map(Text, numbers(gradient)),
            _verdict((check, gradient)),
        )
        last = check
    return table


def _verdict(row: Row) -> Text:
    word, kind, rest = verdict(*row)
    return Text(word + rest, style=STYLES[kind])


def _stacked(row: Row) -> Iterator[Text]:
    gradient = row[1]
    yield Text(f"  {written(gradient)}")
    yield Text(f"    {format_shape(gradient.shape)}  ").append_text(_verdict(row))
    if gradient.max_abs_error is not None:
        error, relative, uncertainty = numbers(gradient)
        yield Text(f"    errors: abs. {error}, rel. {relative}")
        yield Text(f"    uncertainty {uncertainty}")


def lines_of(detail: Detail) -> Iterator[Line]:
    """What is wrong, behind an empty line."""
    yield Text("")
    head = Text(detail.kind.upper(), style=STYLES[KINDS[detail.kind]])
    head.append(f"  {detail.id}{'  ' * bool(detail.gradient)}{detail.gradient}", style="bold")
    yield head.append(f"  {detail.place}" if detail.place else "", style="dim")
    yield from (indented(line) for line in detail.lines)
    if detail.worst:
        yield Text(f"  {detail.worst}:")
        for name, value in detail.values:
            yield indented(f"{name} = {value}" if "/" in name else f"{name:8}  {value}", 4)
    if detail.code:
        code = Text(f"{detail.code} {detail.title}", style="bold")
        observed = f": {detail.observed}" if detail.observed else ""
        yield indented(code.append(observed, style="default"))
    yield from (indented(f"{name}: {text}", 4) for name, text in detail.told)
    if detail.where:
        yield indented(f"where: {detail.where}")
    if detail.map is not None and detail.telling:
        yield from _picture(detail.map)
    if detail.rerun:
        # Never broken by us, so that it can be copied.
        yield Text(f"  rerun: {detail.rerun}", no_wrap=True)


def _picture(of: ErrorMap) -> Iterator[Line]:
    """The relative errors as a map."""
    for row in of.cells:
        text = Text()
        for cell in row:
            if shade(cell):
                of_cell = SHADES[shade(cell) - 1]
                text.append(of_cell.character, SHADE_STYLES[of_cell.kind])
            else:
                text.append(NOTHING_WRONG, "dim")
        yield indented(text, 4)
    more = f"; {pooled(of)}" if pooled(of) else ""
    bounded = "  ".join(f"{one.bound}  {one.character}" for one in SHADES[1:])
    legend = f"{NOTHING_WRONG} none  {SHADES[0].character}  {bounded}"
    yield indented(f"relative error: {legend}{more}", 4)


def indented(text: Text | str, by: int = 2) -> Line:
    """A line that stays indented where a narrow window breaks it."""
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, by))


def _about(checks: Sequence[CheckReport]) -> Iterator[Line]:
    for check in checks:
        yield Text("")
        yield Text(check.id, style="bold").append(f"  {check.path}:{check.line}", style="dim")
        yield from (indented(line) for line in about(check))


def _slowest(checks: Sequence[CheckReport], count: int) -> Iterator[Line]:
    found = slowest(checks, count)
    if found:
        yield Text(f"\nslowest {count_of(len(found), 'check')}:")
    for seconds, id in found:
        yield Text(f"  {seconds:7.2f} s  {id}")


def _print_lines(console: Console, lines: Iterable[Line]) -> None:
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, Text) and bool(line.no_wrap))
