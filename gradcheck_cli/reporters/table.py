"""The report for a person: a row a gradient, then what is wrong, then a summary line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from math import ceil, floor, isfinite, log10

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradcheck_cli.errors import plural, shown_shape
from gradcheck_cli.reporters import Screen
from gradcheck_cli.result import (
    BY_DIRECTIONS,
    WHOLE_FORWARDS,
    CheckReport,
    Diagnosis,
    ErrorMap,
    GradientResult,
    MutantStatus,
    Outcome,
    SuiteReport,
    Verdict,
)

UNLIMITED = 10_000  # columns: without a terminal nothing is cut off or wrapped
LONGEST_RULE = 40  # characters, in a window too narrow for the whole
MOST_SEEDS = 5  # in the summary line
MOST_ROWS = 200  # of the table; a row costs rich half a millisecond, and nobody reads more

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "error": "bold red"}

Row = tuple[CheckReport, GradientResult]
Line = Text | Padding | Table


def render(report: SuiteReport, screen: Screen) -> str:
    """The report as text, with colours if the screen has them."""
    return _printed(report.checks, screen, _summary(report))


def render_check(check: CheckReport) -> str:
    """The report of one check as text, for an exception."""
    return _printed([check], Screen(), None)


def _printed(checks: Sequence[CheckReport], screen: Screen, summary: Text | None) -> str:
    console = _console(screen)
    with console.capture() as capture:
        _print_rows(console, _rows(checks))
        for check in checks:
            if check.outcome != Outcome.OK:
                _print_lines(console, details_of(check))
        _print_lines(console, _notes(checks))
        _print_lines(console, [summary] if summary else [])
    return _without_padding(capture.get())


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


def _rows(checks: Sequence[CheckReport]) -> list[Row]:
    rows = [
        (check, gradient)
        for check in checks
        if check.result is not None
        for gradient in check.result.gradients
    ]
    if len(rows) <= MOST_ROWS:
        return rows
    return [row for row in rows if row[0].outcome != Outcome.OK][:MOST_ROWS]


def _print_rows(console: Console, rows: list[Row]) -> None:
    """The table; in a window too narrow for it, a few lines a gradient."""
    if not rows:
        return
    for longest in (UNLIMITED, LONGEST_RULE):
        table = _table(rows, longest)
        natural = Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum
        if natural <= console.width:
            console.print(table)
            return
    last = None
    for check, gradient in rows:
        if check is not last:
            _print_lines(console, [Text(check.id, style="bold")])
        _print_lines(console, _stacked(check, gradient))
        last = check


def simple_table(*names: str) -> Table:
    """A table with these columns and a line below their names."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name, no_wrap=True, vertical="bottom")
    return table


def _table(rows: list[Row], longest: int) -> Table:
    table = simple_table("check", "gradient", "shape")
    for name in ("abs.\nerror", "rel.\nerror", "uncer-\ntainty"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("verdict", no_wrap=True)
    last = None
    for check, gradient in rows:
        table.add_row(
            Text("" if check is last else check.id),
            Text(written(gradient, longest)),
            Text(shown_shape(gradient.shape)),
            *(Text(number(value)) for value in _numbers(gradient)),
            _verdict(check, gradient),
        )
        last = check
    return table


def _numbers(gradient: GradientResult) -> tuple[float | None, ...]:
    return gradient.max_abs_error, gradient.max_rel_error, gradient.uncertainty


def number(value: float | None) -> str:
    """An error in two digits; `–` where there is none."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def written(gradient: GradientResult, longest: int = UNLIMITED) -> str:
    """`∂L/∂W = XᵀΔ (52)`: the gradient, its rule and the rule's equation in the paper."""
    rule = gradient.rule
    if len(rule) > longest:
        rule = rule[: longest - 1] + "…"
    rule = f" = {rule}" if rule else ""
    equation = f" ({gradient.equation})" if gradient.equation is not None else ""
    return f"{gradient.gradient}{rule}{equation}"


def bound(value: float) -> str:
    """A bound in one digit, rounded up."""
    if value == 0 or not isfinite(value):
        return number(value)
    exponent = floor(log10(value))
    return f"{ceil(value / 10.0**exponent) * 10.0**exponent:.0e}"


def _verdict(check: CheckReport, gradient: GradientResult) -> Text:
    verdict = gradient.verdict.value
    text = Text(verdict, style=STYLES[verdict])
    if gradient.verdict == Verdict.PASS and gradient.bound is not None:
        text.append(f", to {bound(gradient.bound)}")
    if check.expected == Verdict.FAIL and check.result is not None:
        if gradient.verdict == Verdict.FAIL:
            return Text("fail, as expected", style=STYLES["pass"])
        if check.outcome != Outcome.OK:
            return Text(f"{verdict}, but fail expected", style=STYLES["fail"])
    return text


def _stacked(check: CheckReport, gradient: GradientResult) -> Iterator[Text]:
    yield Text(f"  {written(gradient)}")
    yield Text(f"    {shown_shape(gradient.shape)}  ").append_text(_verdict(check, gradient))
    error, relative, uncertainty = map(number, _numbers(gradient))
    if gradient.max_abs_error is not None:
        yield Text(f"    errors: abs. {error}, rel. {relative}")
        yield Text(f"    uncertainty {uncertainty}")


def details_of(check: CheckReport) -> Iterator[Line]:
    """What is wrong with a check, from what to how to run it again."""
    if check.result is None:
        yield Text("")
        yield _heading("error", check)
        yield from (Text(f"  {line}") for line in check.error.splitlines())
        yield Text(f"  rerun: {check.rerun}")
        return
    if check.result.verdict == Verdict.PASS:
        yield Text("")
        yield _heading("fail", check)
        yield Text("  every gradient is right, but the config says expect: fail")
        yield Text(f"  rerun: {check.rerun}")
        return
    for gradient in check.result.gradients:
        if gradient.verdict != Verdict.PASS:
            yield Text("")
            yield from _gradient_details(check, gradient)


def _heading(verdict: str, check: CheckReport, what: str = "", line: int | None = None) -> Text:
    text = Text(verdict.upper(), style=STYLES[verdict])
    text.append(f"  {check.id}{what}", style="bold")
    return text.append(f"  {check.path}:{line or check.line}" if check.path else "", style="dim")


def _gradient_details(check: CheckReport, gradient: GradientResult) -> Iterator[Line]:
    line = check.rule_lines.get(gradient.name) if gradient.equation is None else None
    yield _heading(gradient.verdict.value, check, f"  {written(gradient)}", line)
    yield Text(f"  {gradient.reason}")
    if gradient.source:
        yield indented(f"computed in {gradient.source}")
    worst = gradient.worst
    if worst is not None and gradient.verdict == Verdict.FAIL:
        index = "[" + ", ".join(map(str, worst.index)) + "]"
        yield Text(f"  worst entry {index}:")
        yield Text(f"    analytic  {worst.analytic: .15g}")
        yield Text(f"    numeric   {worst.numeric: .15g} ± {worst.uncertainty:.1e}")
        if worst.ratio is not None:
            yield Text(f"    analytic / numeric = {worst.ratio:.10g}")
    if gradient.diagnosis is not None:
        yield from _diagnosis(gradient.diagnosis)
    if gradient.where and gradient.wrong != gradient.measured:
        yield indented(f"where: {gradient.where}")
    if gradient.map is not None:
        yield from _picture(gradient.map)
    if check.rerun:
        yield Text(f"  rerun: {check.rerun}")


def _diagnosis(found: Diagnosis) -> Iterator[Line]:
    """What is wrong, how well that is known, the usual cause, what to do."""
    head = Text(f"{found.code} {found.title}", style="bold")
    yield indented(
        head.append(f": {found.observation}" if found.observation else "", style="default")
    )
    if found.code == UNKNOWN:
        return
    if found.evidence:
        yield indented(f"evidence: {found.evidence}", 4)
    yield indented(f"usual cause: {found.cause}", 4)
    yield indented(f"next: {found.next_step}", 4)


UNKNOWN = "GC100"  # has nothing to tell but that

# How a relative error is drawn, by its log10: from here on.
SHADES = ((-300.0, "░", "yellow"), (-6.0, "▒", "yellow"), (-3.0, "▓", "red"), (-1.0, "█", "red"))
NOTHING_WRONG = "·"


def _picture(of: ErrorMap) -> Iterator[Line]:
    """The relative errors as a map."""
    for row in of.cells:
        text = Text()
        for cell in row:
            text.append(*_shade(cell))
        yield indented(text, 4)
    down, across = of.pooled
    pooled = f"; a cell is {down}×{across} entries, the worst is shown" * ((down, across) != (1, 1))
    yield indented(f"relative error: · none  ░  1e-6  ▒  1e-3  ▓  0.1  █{pooled}", 4)


def _shade(cell: float | None) -> tuple[str, str]:
    if cell is None:
        return NOTHING_WRONG, "dim"
    return next((shade, style) for least, shade, style in reversed(SHADES) if cell >= least)


def indented(text: Text | str, by: int = 2) -> Line:
    """A line that stays indented where a narrow window breaks it."""
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, by))


def _methods(id: str, gradients: Sequence[GradientResult]) -> Iterator[str]:
    """Which gradients were not measured by whole forwards."""
    for method in dict.fromkeys(gradient.method for gradient in gradients):
        if method not in ("", WHOLE_FORWARDS, BY_DIRECTIONS):
            names = [gradient.gradient for gradient in gradients if gradient.method == method]
            yield f"note: {id}: {', '.join(names)} measured by {method}"


def _seeds(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1, 7`; of many, the first, the last and how many."""
    if len(seeds) <= MOST_SEEDS:
        return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
    return f"{len(seeds):,} seeds from {seeds[0]} to {seeds[-1]}"


def _notes(checks: Sequence[CheckReport]) -> Iterator[Text]:
    notes: list[str] = []
    for check in checks:
        if check.result is not None:
            notes += _power(check)
            notes += [f"note: {check.id}: {note}" for note in check.result.notes]
            notes += _methods(check.id, check.result.gradients)
            for gradient in check.result.gradients:
                about = f"{check.id} {gradient.gradient}"
                notes += [f"note: {about}: {note}" for note in gradient.notes]
    shown = len(_rows(checks))
    total = sum(len(check.result.gradients) for check in checks if check.result)
    if shown < total:
        notes.append(
            f"note: {total - shown} of {total} gradients are left out of the table: they came out "
            "as expected; --select shows them"
        )
    if notes:
        yield Text("")
    for note in notes:
        yield Text(note, style="dim")


def _power(check: CheckReport) -> Iterator[str]:
    """How many faults the check would catch, where that was asked for."""
    if check.result is None or check.result.mutants is None:
        return
    statuses = [mutant.status for mutant in check.result.mutants]
    caught, survived = (
        statuses.count(status) for status in (MutantStatus.CAUGHT, MutantStatus.SURVIVED)
    )
    command = check.rerun.replace("gradcheck run", "gradcheck mutate", 1)
    which = f"; which would not: {command}" if survived and command else ""
    yield (
        f"power: {check.id}: {caught} of {caught + survived} injected bugs would have been caught "
        f"here{which}"
    )


def _summary(report: SuiteReport) -> Text:
    """How many checks came out how, how well that is known, the seed, the time."""
    text = Text(f"\n{plural(len(report.checks), 'check')}: ")
    styles = {"ok": "green", "wrong": "bold red", "inconclusive": "yellow", "error": "bold red"}
    counted = [(name, count) for name, count in report.counts.items() if count]
    for position, (name, count) in enumerate(counted):
        text.append(", " if position else "")
        text.append(f"{count} {name}", style=styles[name])
    if report.interrupted:
        text.append(", interrupted" if counted else "interrupted", style="yellow")
    worst = max(_bounds(report), default=None)
    if worst is not None:
        text.append(f" · gradients that passed are right to {bound(worst)}")
    seeds = sorted({check.settings.seed for check in report.checks})
    if seeds:
        text.append(f" · {_seeds(seeds)}")
    return text.append(f" · {report.seconds:.2f} s")


def _bounds(report: SuiteReport) -> Iterator[float]:
    for check in report.checks:
        if check.result is not None:
            for gradient in check.result.gradients:
                if gradient.verdict == Verdict.PASS and gradient.bound is not None:
                    yield gradient.bound


def _print_lines(console: Console, lines: Iterable[Line]) -> None:
    for line in lines:
        console.print(line, soft_wrap=False)
