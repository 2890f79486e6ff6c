"""What all reports for people say, and say in the same words; how it looks is theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, isfinite, log10

from msgspec import Struct

from gradcheck_cli.result import (
    BY_DIRECTIONS,
    WHOLE_FORWARDS,
    CheckReport,
    Code,
    ErrorMap,
    GradientResult,
    MutantStatus,
    Outcome,
    SuiteReport,
    Verdict,
)
from gradcheck_cli.text import count_of, format_shape

UNLIMITED = 10_000  # columns: without a terminal nothing is cut off or wrapped
MOST_SEEDS = 5  # in the summary line
MOST_ROWS = 200  # of the table; a row costs rich half a millisecond, and nobody reads more

Row = tuple[CheckReport, GradientResult]
OK, BAD, UNSURE = "ok", "bad", "unsure"  # of something told: how it is coloured
KINDS = {"pass": OK, "fail": BAD, "inconclusive": UNSURE, "error": BAD, "ok": OK, "wrong": BAD}


class Shade(Struct, frozen=True):
    """How an error map draws the relative errors from 10^least on; bound: the same in words."""

    least: float
    bound: str
    character: str
    kind: str


SHADES = (
    Shade(-300.0, "0", "░", UNSURE),
    Shade(-6.0, "1e-6", "▒", UNSURE),
    Shade(-3.0, "1e-3", "▓", BAD),
    Shade(-1.0, "0.1", "█", BAD),
)


class Detail(Struct, frozen=True):
    """What is wrong with a check, or with one gradient of it, from what to how to run it again.

    kind: of the heading: fail, inconclusive or error; place: where the config has it.
    values: of the worst entry, with their names, below `worst`; observed: what was seen, behind the
    code and title of the fault; told: evidence, cause and what to do, with what they are called.
    telling: whether the map shows more than that all is wrong.
    """

    kind: str
    id: str
    gradient: str
    place: str
    lines: tuple[str, ...]
    rerun: str
    worst: str = ""
    values: tuple[tuple[str, str], ...] = ()
    code: str = ""
    title: str = ""
    observed: str = ""
    told: tuple[tuple[str, str], ...] = ()
    where: str = ""
    map: ErrorMap | None = None
    telling: bool = False


def rows(report_checks: Sequence[CheckReport], most: int = MOST_ROWS) -> list[Row]:
    """A row a gradient; of more than `most`, those that did not come out as expected."""
    found = [
        (check, gradient)
        for check in report_checks
        if check.result is not None
        for gradient in check.result.gradients
    ]
    if len(found) <= most:
        return found
    return [row for row in found if row[0].outcome != Outcome.OK][:most]


def left_out(checks: Sequence[CheckReport], most: int = MOST_ROWS) -> str:
    """A note on the gradients that have no row; empty where all have."""
    shown = len(rows(checks, most))
    total = sum(len(check.result.gradients) for check in checks if check.result)
    if shown == total:
        return ""
    return (
        f"note: {total - shown} of {total} gradients are left out of the table: they came out "
        "as expected; --select shows them"
    )


def number(value: float | None) -> str:
    """An error in two digits; `–` where there is none."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def bound(value: float) -> str:
    """A bound in one digit, rounded up."""
    if value == 0 or not isfinite(value):
        return number(value)
    exponent = floor(log10(value))
    return f"{ceil(value / 10.0**exponent) * 10.0**exponent:.0e}"


def numbers(gradient: GradientResult) -> tuple[str, str, str]:
    """The absolute and the relative error, and the uncertainty."""
    errors = (gradient.max_abs_error, gradient.max_rel_error, gradient.uncertainty)
    first, second, third = map(number, errors)
    return first, second, third


def written(gradient: GradientResult, longest: int = UNLIMITED) -> str:
    """`∂L/∂W = XᵀΔ (52)`: the gradient, its rule and the rule's equation in the paper."""
    rule = gradient.rule
    if len(rule) > longest:
        rule = rule[: longest - 1] + "…"
    rule = f" = {rule}" if rule else ""
    equation = f" ({gradient.equation})" if gradient.equation is not None else ""
    return f"{gradient.gradient}{rule}{equation}"


def verdict(check: CheckReport, gradient: GradientResult) -> tuple[str, str, str]:
    """The verdict of a gradient: the word, its kind, and what follows it."""
    word = gradient.verdict.value
    if check.expected == Verdict.FAIL and check.result is not None:
        if gradient.verdict == Verdict.FAIL:
            return "fail, as expected", OK, ""
        if check.outcome != Outcome.OK:
            return f"{word}, but fail expected", BAD, ""
    passed = gradient.verdict == Verdict.PASS and gradient.bound is not None
    return word, KINDS[word], f", to {bound(gradient.bound or 0.0)}" if passed else ""


def details(check: CheckReport) -> Iterator[Detail]:
    """What is wrong with a check."""
    place = f"{check.path}:{check.line}" if check.path else ""
    if check.result is None:
        yield Detail("error", check.id, "", place, tuple(check.error.splitlines()), check.rerun)
    elif check.result.verdict == Verdict.PASS:
        lines = ("every gradient is right, but the config says expect: fail",)
        yield Detail("fail", check.id, "", place, lines, check.rerun)
    else:
        for gradient in check.result.gradients:
            if gradient.verdict != Verdict.PASS:
                yield _detail(check, gradient)


def _detail(check: CheckReport, gradient: GradientResult) -> Detail:
    line = check.rule_lines.get(gradient.name) if gradient.equation is None else None
    source = (f"computed in {gradient.source}",) if gradient.source else ()
    worst, values = _worst(gradient)
    found = gradient.diagnosis
    told: tuple[tuple[str, str], ...] = ()
    if found is not None and found.code != Code.NO_KNOWN_FAULT:
        told = (
            *((("evidence", found.evidence),) if found.evidence else ()),
            ("usual cause", found.cause),
            ("next", found.next_step),
        )
    return Detail(
        kind=gradient.verdict.value,
        id=check.id,
        gradient=written(gradient),
        place=f"{check.path}:{line or check.line}" if check.path else "",
        lines=(gradient.reason, *source),
        rerun=check.rerun,
        worst=worst,
        values=values,
        code=found.code if found else "",
        title=found.title if found else "",
        observed=found.observation if found else "",
        told=told,
        where=gradient.where if gradient.wrong != gradient.measured else "",
        map=gradient.map,
        telling=_is_telling(gradient, bool(told)),
    )


def _is_telling(gradient: GradientResult, known: bool) -> bool:
    """Whether the map of a gradient shows anything that the words below it do not."""
    if gradient.map is None or (known and gradient.wrong == gradient.measured):
        return False
    return len({cell for row in gradient.map.cells for cell in row}) > 1


def _worst(gradient: GradientResult) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Which entry is the worst, and its numbers."""
    worst = gradient.worst
    if worst is None or gradient.verdict != Verdict.FAIL:
        return "", ()
    index = "[" + ", ".join(map(str, worst.index)) + "]"
    values = [
        ("analytic", f"{worst.analytic: .15g}"),
        ("numeric", f"{worst.numeric: .15g} ± {worst.uncertainty:.1e}"),
    ]
    if worst.ratio is not None:
        values.append(("analytic / numeric", f"{worst.ratio:.10g}"))
    return f"worst entry {index}", tuple(values)


def shade(cell: float | None) -> int:
    """Which of SHADES an error has, from 1; 0 where nothing is wrong."""
    if cell is None:
        return 0
    return max(place for place, of in enumerate(SHADES, start=1) if cell >= of.least)


def name_shades() -> list[str]:
    """What each of SHADES stands for, in order: `below 1e-6`, `to 1e-3`, `to 0.1`, `above`."""
    bounds = [of.bound for of in SHADES[1:]]
    return [f"below {bounds[0]}", *(f"to {bound}" for bound in bounds[1:]), "above"]


def pooled(of: ErrorMap) -> str:
    """What a cell of a map stands for, where it is more than an entry."""
    down, across = of.pooled
    if (down, across) == (1, 1):
        return ""
    return f"a cell is {down}×{across} entries, the worst is shown"


def notes(checks: Sequence[CheckReport]) -> Iterator[str]:
    """What else a reader should know, check by check."""
    for check in checks:
        if check.result is not None:
            yield from _power(check)
            yield from (f"note: {check.id}: {note}" for note in check.result.notes)
            yield from _methods(check.id, check.result.gradients)
            for gradient in check.result.gradients:
                about = f"{check.id} {gradient.gradient}"
                yield from (f"note: {about}: {note}" for note in gradient.notes)


def _methods(id: str, gradients: Sequence[GradientResult]) -> Iterator[str]:
    """Which gradients were not measured by whole forwards."""
    for method in dict.fromkeys(gradient.method for gradient in gradients):
        if method not in ("", WHOLE_FORWARDS, BY_DIRECTIONS):
            names = [gradient.gradient for gradient in gradients if gradient.method == method]
            yield f"note: {id}: {', '.join(names)} measured by {method}"


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


def about(check: CheckReport) -> Iterator[str]:
    """Settings, steps and work of a check, for those who ask for more."""
    of = check.settings
    sizes = ", ".join(f"{name} = {size}" for name, size in of.sizes.items())
    what = of.equation or of.forward or ""
    words = [
        *[f"loss {of.loss}"] * bool(of.loss),
        *[f"reduction {of.reduction}"] * bool(of.reduction),
        *[f"delta {of.delta}"] * bool(of.delta),
        of.dtype,
        f"order {of.order}",
        f"step {of.step}",
        f"seed {of.seed}",
    ]
    yield ", ".join(filter(None, (what, sizes, *words)))
    if check.result is None:
        return
    for gradient in check.result.gradients:
        told = [f"{gradient.measured} of {gradient.entries} entries measured"]
        if gradient.method:
            told.append(f"by {gradient.method}")
        if gradient.step is not None:
            told.append(f"step {gradient.step:.2g}")
        if gradient.resolution is not None:
            told.append(f"an error above {number(gradient.resolution)} would have been seen")
        yield f"{gradient.gradient}, {format_shape(gradient.shape)}: {', '.join(told)}"
    work = f"{check.result.evaluations:,} evaluations of the forward"
    yield f"{work}, {check.result.seconds:.2f} s"


def slowest(checks: Sequence[CheckReport], count: int) -> list[tuple[float, str]]:
    """So many of the slowest checks: seconds and id."""
    times = [(check.result.seconds, check.id) for check in checks if check.result is not None]
    return sorted(times, key=lambda time: -time[0])[:count]


def summary(report: SuiteReport) -> Iterator[tuple[str, str]]:
    """How many checks came out how, how well that is known, the seed, the time; texts and kinds."""
    yield f"{count_of(len(report.checks), 'check')}: ", ""
    counted = [(name, count) for name, count in report.counts.items() if count]
    for position, (name, count) in enumerate(counted):
        yield ", " if position else "", ""
        yield f"{count} {name}", KINDS[name]
    if report.interrupted:
        yield ", interrupted" if counted else "interrupted", UNSURE
    if report.not_reached:
        yield f", {report.not_reached} not reached", UNSURE
    worst = max(_bounds(report), default=None)
    if worst is not None:
        yield f" · gradients that passed are right to {bound(worst)}", ""
    seeds = sorted({check.settings.seed for check in report.checks})
    if seeds:
        yield f" · {_seeds(seeds)}", ""
    yield f" · {report.seconds:.2f} s", ""


def _seeds(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1, 7`; of many, the first, the last and how many."""
    if len(seeds) <= MOST_SEEDS:
        return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
    return f"{len(seeds):,} seeds from {seeds[0]} to {seeds[-1]}"


def _bounds(report: SuiteReport) -> Iterator[float]:
    for check in report.checks:
        if check.result is not None:
            for gradient in check.result.gradients:
                if gradient.verdict == Verdict.PASS and gradient.bound is not None:
                    yield gradient.bound
