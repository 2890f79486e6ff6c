"""Which faults the checks would catch, for a person: a table, then every survivor.

The table of one check has a row for each fault, that of several a row for each check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import list_details
from gradcheck_cli.reporters.lines import Line, indent, render_lines
from gradcheck_cli.reporters.notes import describe_exercise
from gradcheck_cli.reporters.table import layout_detail, layout_not_run
from gradcheck_cli.reporters.words import label_checks
from gradcheck_cli.result import Mutant, MutantStatus, Verdict
from gradcheck_cli.text import count_of

NAMES = {
    MutantStatus.CAUGHT: "caught",
    MutantStatus.SURVIVED: "survived",
    MutantStatus.EQUAL: "no change",
}
LEGEND = """
caught: the check would fail; survived: it would not, and could; – or no change: there is nothing to
see, whatever the inputs are"""

STYLES = {
    MutantStatus.CAUGHT: "green",
    MutantStatus.SURVIVED: "bold red",
    MutantStatus.EQUAL: "dim",
}


def render(report: SuiteReport, screen: Screen) -> str:
    """The report as text, in colours if the screen has them."""
    checks = [check for check in report.checks if check.result is not None]
    table = _layout_faults(checks[0]) if len(checks) == 1 else _layout_checks(checks)
    lines: list[Line] = [table] if checks and not screen.quiet else []
    for check in report.checks:
        lines += _list_survivors(check, screen.quiet)
    lines += layout_not_run(report.checks)
    has_table = bool(checks) and not screen.quiet
    legend = [Text(LEGEND, style="dim")] if has_table else []
    text = render_lines([*lines, *legend, _summarize(report)], screen)
    return text if has_table else text.lstrip("\n")


def _start_table(*names: str) -> Table:
    """A table with these columns and a line below their names."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name, no_wrap=True, vertical="bottom")
    return table


def _list_mutants(check: CheckReport) -> Sequence[Mutant]:
    return (check.result.mutants or ()) if check.result is not None else ()


def _layout_faults(check: CheckReport) -> Table:
    """A table with a row for each fault and a column for each gradient."""
    mutants = _list_mutants(check)
    gradients = list(dict.fromkeys(mutant.gradient for mutant in mutants))
    table = _start_table("fault", *gradients)
    table.columns[0].no_wrap = False
    for code, title in dict.fromkeys((mutant.code, mutant.title) for mutant in mutants):
        cells = [
            _count_statuses([m for m in mutants if m.code == code and m.gradient == gradient])
            for gradient in gradients
        ]
        table.add_row(Text(f"{code} {title}"), *cells)
    return table


def _count_statuses(mutants: Sequence[Mutant]) -> Text:
    """`caught`, or, of several mutants, how many have each status."""
    if not mutants:
        return Text("–", style="dim")
    counts = Counter(mutant.status for mutant in mutants)
    text = Text()
    for status in MutantStatus:
        if counts[status]:
            number = f"{counts[status]} " if len(mutants) > 1 else ""
            text.append(", " if text else "").append(f"{number}{NAMES[status]}", STYLES[status])
    return text


def _layout_checks(checks: Sequence[CheckReport]) -> Table:
    """A table with a row for each check."""
    table = _start_table("check", *NAMES.values())
    for label, check in zip(label_checks(checks), checks, strict=True):
        counts = Counter(mutant.status for mutant in _list_mutants(check))
        cells = [
            Text(str(counts[status]), STYLES[status] if counts[status] else "dim")
            for status in MutantStatus
        ]
        table.add_row(Text(label), *cells)
    return table


def _list_survivors(check: CheckReport, quiet: bool) -> Iterator[Line]:
    """The survivors of a check, and the faults that change nothing; or why it could not be run."""
    if check.outcome == Outcome.ERROR:
        yield from (line for detail in list_details(check) for line in layout_detail(detail))
    mutants = _list_mutants(check)
    if check.result is not None and check.result.verdict == Verdict.FAIL and not quiet:
        yield Text("")
        note = f"note: {check.id} itself fails; this is of what it would see in right gradients"
        yield Text(note, style="dim")
    survivors: dict[tuple[str, ...], list[Mutant]] = {}
    for mutant in mutants:
        if mutant.status == MutantStatus.SURVIVED:
            survivors.setdefault((mutant.reason, mutant.remedy), []).append(mutant)
    for (reason, remedy), alike in survivors.items():
        yield Text("")
        head = Text("SURVIVED", style=STYLES[MutantStatus.SURVIVED])
        gradients = ", ".join(dict.fromkeys(mutant.gradient for mutant in alike))
        head.append(f"  {check.id}  {gradients}", style="bold")
        head.append(f"  {check.path}:{check.line}", style="dim")
        yield head
        for code, title, change in dict.fromkeys((m.code, m.title, m.told) for m in alike):
            yield indent(f"{code} {title}: {change}")
        yield indent(f"unseen, because {reason}")
        yield indent(f"what would show it: {remedy}")
    same = [mutant for mutant in mutants if mutant.status == MutantStatus.EQUAL and not quiet]
    for reason in dict.fromkeys(mutant.reason for mutant in same):
        count = sum(mutant.reason == reason for mutant in same)
        yield Text("")
        note = f"note: {check.id}: {count_of(count, 'fault')} would change nothing: {reason}"
        yield Text(note, style="dim")
    exercise = describe_exercise(check)
    if exercise and not quiet:
        yield Text("")
        yield Text(exercise, style="dim")


def _summarize(report: SuiteReport) -> Text:
    counts = report.mutants or {}
    caught, survived = counts.get("caught", 0), counts.get("survived", 0)
    text = Text(f"\n{count_of(len(report.checks), 'check')}: ")
    whole = f"{caught} of {caught + survived} faults would be caught"
    text.append(whole, style="green" if not survived else "yellow")
    if survived:
        text.append(f", {survived} survived", style="bold red")
    if counts.get("equal"):
        text.append(f", {counts['equal']} would change nothing", style="dim")
    if report.counts[Outcome.ERROR]:
        errors = count_of(report.counts[Outcome.ERROR], "check")
        text.append(f", {errors} could not be run", style="bold red")
    if report.counts[Outcome.NOT_RUN]:
        text.append(f", {report.counts[Outcome.NOT_RUN]} not run", style="yellow")
    if report.interrupted:
        text.append(", interrupted", style="yellow")
    return text.append(f" · {report.seconds:.2f} s")
