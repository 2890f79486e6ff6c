"""What is wrong with a check, and how to run it again, in words that all formats share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from gradcheck_cli.report import CheckReport
from gradcheck_cli.reporters.words import describe_gradient
from gradcheck_cli.result import CheckResult, Code, ErrorMap, GradientResult, Verdict
from gradcheck_cli.text import name_some

MOST_ALIKE = 3  # checks that are named where they fail in the same way as another


class Detail(Struct, frozen=True):
    """What is wrong with a check, or with one gradient of it.

    kind: fail, inconclusive, error or not run.
    id: of the check; place: its path and line in the config.
    gradient: the symbol of the gradient with its rule; symbol: without it; shape: of the gradient.
    source: where the user's code of the gradient is: `backward, layers.py:12`.
    lines: what is wrong.
    worst: the name of the worst entry; values: names and numbers of that entry.
    code, title, observed: the fault, and what was seen.
    advice: names and texts: evidence, usual cause, what to do next, lines to look at.
    where: the wrong entries in words; map: as a picture; shows_more: whether the picture shows
        anything that the words do not.
    rerun: the command that runs the check again; empty for a config on stdin, which is gone.
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
    advice: tuple[tuple[str, str], ...] = ()
    where: str = ""
    map: ErrorMap | None = None
    shows_more: bool = False
    source: str = ""
    symbol: str = ""
    shape: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """The config, the check and the gradient that this detail is about."""
        return self.place.rpartition(":")[0], self.id, self.symbol

    @property
    def code_place(self) -> str:
        """The file and the line of the user's code."""
        return self.source.partition(", ")[2]


def list_details(check: CheckReport) -> Iterator[Detail]:
    """What is wrong with a check, gradient by gradient."""
    place = f"{check.path}:{check.line}"
    if check.result is None:
        kind = check.outcome.value
        yield Detail(kind, check.id, "", place, tuple(check.error.splitlines()), check.rerun)
    elif check.result.verdict == Verdict.PASS:
        lines = ("every gradient is right, but the config says expect: fail",)
        yield Detail("fail", check.id, "", place, lines, check.rerun)
    else:
        for gradient in check.result.gradients:
            if gradient.verdict != Verdict.PASS:
                own = gradient.equation is None
                line = check.rule_lines.get(gradient.name, check.line) if own else check.line
                yield describe_failure(gradient, check.id, f"{check.path}:{line}", check.rerun)


def group_alike(checks: Iterable[CheckReport], *, every: bool = False) -> list[list[Detail]]:
    """What is wrong with checks, in groups of one item of a config and one reason, as the same
    check with many seeds has them.

    every: whether each detail is a group by itself.
    """
    groups: dict[tuple[object, ...], list[Detail]] = {}
    for check in checks:
        for detail in list_details(check):
            reason = detail.code or detail.lines[:1]
            key = (check.path, check.line, detail.symbol, detail.kind, reason)
            groups.setdefault((*key, len(groups)) if every else key, []).append(detail)
    return list(groups.values())


def name_alike(others: Sequence[Detail]) -> str:
    """A line that names the checks which fail in the same way as one that is shown in full."""
    return f"alike: {name_some([other.id for other in others], MOST_ALIKE)}"


def write_headline(check: CheckReport) -> str:
    """What is wrong with a check, in one line."""
    if check.result is not None and check.result.verdict != Verdict.PASS:
        return write_headline_of_result(check.result)
    return next(list_details(check)).lines[0]


def write_headline_of_result(result: CheckResult) -> str:
    """`∂L/∂W: 15 of 15 entries wrong, GC103 0.125 = 1/n`: what is wrong, in one line."""
    bad = (gradient for gradient in result.gradients if gradient.verdict != Verdict.PASS)
    return "; ".join(map(_write_headline, bad))


def _write_headline(gradient: GradientResult) -> str:
    counted = gradient.wrong and not gradient.directions
    entries = f"{gradient.wrong} of {gradient.measured} entries wrong"
    text = f"{gradient.gradient}: {entries if counted else gradient.reason}"
    fault = gradient.diagnosis
    return f"{text}, {fault.code} {fault.factor or fault.title}" if fault is not None else text


def describe_failure(gradient: GradientResult, id: str, place: str = "", rerun: str = "") -> Detail:
    """What is wrong with a gradient of the check with this id."""
    worst, values = _describe_worst_entry(gradient)
    fault = gradient.diagnosis
    advice: tuple[tuple[str, str], ...] = ()
    if fault is not None and fault.code != Code.NO_KNOWN_FAULT:
        named = (("evidence", fault.evidence), ("usual cause", fault.cause))
        advice = tuple(pair for pair in (*named, ("next", fault.next_step)) if pair[1])
    faulty = (("look at", gradient.faulty),) if gradient.faulty else ()
    return Detail(
        kind=gradient.verdict.value,
        id=id,
        gradient=describe_gradient(gradient),
        place=place,
        lines=tuple(filter(None, (gradient.reason,))),
        source=gradient.source,
        rerun=rerun,
        worst=worst,
        values=values,
        code=fault.code if fault else "",
        title=fault.title if fault else "",
        observed=fault.observation if fault else "",
        advice=(*advice, *faulty),
        where=gradient.where if gradient.wrong != gradient.measured else "",
        map=gradient.map,
        shows_more=_map_shows_more(gradient, explained=bool(advice)),
        symbol=gradient.gradient,
        shape=gradient.shape,
    )


def _map_shows_more(gradient: GradientResult, *, explained: bool) -> bool:
    """Whether the map of a gradient shows anything that the words around it do not."""
    if gradient.map is None or (explained and gradient.wrong == gradient.measured):
        return False
    return len({cell for row in gradient.map.cells for cell in row}) > 1


def _describe_worst_entry(gradient: GradientResult) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Which entry is the worst, and its numbers."""
    worst = gradient.worst
    if worst is None or gradient.verdict != Verdict.FAIL:
        return "", ()
    # Adding 0 turns -0 into 0.
    values = [
        ("analytic", f"{worst.analytic + 0.0: .15g}"),
        ("numeric", f"{worst.numeric + 0.0: .15g} ± {worst.uncertainty:.1e}"),
    ]
    if worst.ratio is not None:
        values.append(("analytic / numeric", f"{worst.ratio + 0.0:.10g}"))
    index = ", ".join(map(str, worst.index))
    return f"worst entry [{index}]" if index else "the only entry", tuple(values)
