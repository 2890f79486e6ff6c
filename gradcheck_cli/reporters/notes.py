"""The notes of a report, and the settings and the work that --verbose shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from gradcheck_cli.report import CheckReport, Settings
from gradcheck_cli.reporters.words import format_number
from gradcheck_cli.result import (
    BY_DIRECTIONS,
    BY_IDENTITY,
    WHOLE_FORWARDS,
    CheckResult,
    GradientResult,
    MutantStatus,
)
from gradcheck_cli.text import format_shape, join_words, name_some

MOST_SUBJECTS = 3  # gradients that are named where a note holds for several
MOST_NOTES = 20  # lines; with --verbose all of them


def list_notes(checks: Sequence[CheckReport], most: int | None) -> list[str]:
    """The notes of all checks, each once with the gradients it holds for; at most so many."""
    subjects: dict[str, list[str]] = {}
    for check in checks:
        if check.result is not None:
            for subject, note in list_result_notes(check.id, check.result):
                subjects.setdefault(note, []).append(subject)
    lines = [f"note: {name_some(of, MOST_SUBJECTS)}: {note}" for note, of in subjects.items()]
    more = len(lines) - most if most is not None else 0
    if more > 0:
        lines[most:] = [f"note: {more} more notes; --verbose shows them"]
    powers = (
        line for check in checks for line in (_describe_power(check), describe_exercise(check))
    )
    return [*filter(None, powers), *lines]


def list_result_notes(id: str, result: CheckResult) -> Iterator[tuple[str, str]]:
    """The notes of one check: what each is about, and its text; id: of the check."""
    yield from ((id, note) for note in result.notes)
    for gradient in result.gradients:
        if gradient.method not in ("", WHOLE_FORWARDS, BY_DIRECTIONS, BY_IDENTITY):
            yield f"{id} {gradient.gradient}", f"measured by {gradient.method}"
        yield from ((f"{id} {gradient.gradient}", note) for note in gradient.notes)


def _describe_power(check: CheckReport) -> str:
    """How many faults the check would catch, where that was asked for."""
    if check.result is None or check.result.mutants is None:
        return ""
    statuses = [mutant.status for mutant in check.result.mutants]
    caught, survived = map(statuses.count, (MutantStatus.CAUGHT, MutantStatus.SURVIVED))
    command = check.rerun.replace("gradcheck run", "gradcheck mutate", 1)
    which = f"; which would not: {command}" if survived and command else ""
    return (
        f"power: {check.id}: {caught} of {caught + survived} injected bugs would have been caught "
        f"here{which}"
    )


def describe_exercise(check: CheckReport) -> str:
    """How much of the forward's Jacobian the inputs exercise, where that was asked for."""
    of = check.result.exercise if check.result is not None else ()
    entries, exercised = sum(one.entries for one in of), sum(one.exercised for one in of)
    if not entries:
        return ""
    start = f"exercise: {check.id}: these inputs reach"
    can = "of the forward's Jacobian that can be nonzero"
    idle = [one.idle for one in of if one.idle]
    if exercised == entries:
        return f"{start} all {entries} entries {can}"
    share = f"{start} {exercised} of {entries} entries {can} ({exercised / entries:.0%})"
    if not idle:
        return f"{share}, and every entry of the inputs by some of them"
    return (
        f"{share}; no output depends on {join_words(idle)} here, as where a unit is off, saturated "
        "or not the largest: a rule that is wrong there alone passes; more seeds (--seeds 5) or "
        "other numbers show it"
    )


def describe_work(check: CheckReport) -> Iterator[str]:
    """The settings of a check, how each gradient was measured, and what that took."""
    yield _describe_settings(check.settings)
    if check.result is None:
        return
    yield from map(_describe_measuring, check.result.gradients)
    yield f"{check.result.evaluations:,} evaluations of the forward, {check.result.seconds:.2f} s"


def _describe_settings(of: Settings) -> str:
    sizes = ", ".join(f"{name} = {size}" for name, size in of.sizes.items())
    named = {"loss": of.loss, "reduction": of.reduction, "delta": of.delta}
    words = [f"{name} {value}" for name, value in named.items() if value]
    words += [of.dtype, f"order {of.order}", f"step {of.step}", f"seed {of.seed}"]
    return ", ".join(filter(None, (of.equation or of.forward, sizes, *words)))


def _describe_measuring(gradient: GradientResult) -> str:
    words = [f"{gradient.measured} of {gradient.entries} entries measured"]
    if gradient.method:
        words.append(f"by {gradient.method}")
    if gradient.uncertainty is not None:
        words.append(f"uncertainty {format_number(gradient.uncertainty)}")
    seen = gradient.resolution is not None and 0 < gradient.resolution < inf
    # For a gradient of zero the ladder does not converge, so its step means nothing.
    if seen and gradient.step is not None and gradient.zero is None:
        words.append(f"step {gradient.step:.2g}")
    if seen:
        words.append(f"an error above {format_number(gradient.resolution)} would have been seen")
    return f"{gradient.gradient}, {format_shape(gradient.shape)}: {', '.join(words)}"
