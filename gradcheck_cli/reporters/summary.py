"""All checks in a few lines: outcomes by file, the most frequent faults, the slowest checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isfinite

from msgspec import Struct

from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters.words import BAD, KINDS, OK, UNSURE, format_bound, group_by_path
from gradcheck_cli.result import Verdict
from gradcheck_cli.text import count_of

MOST_SEEDS = 5  # that the summary line lists
MOST_CODES = 3  # faults that are listed, the most frequent ones


class FileRow(Struct, frozen=True):
    """A config file, or several, as a row of a table.

    name: its path; checks, gradients: how many; outcomes: how many checks have each outcome.
    worst: the largest error over what is allowed, among gradients that are expected to be right;
        None where none was measured.
    """

    name: str
    checks: int
    gradients: int
    outcomes: dict[Outcome, int]
    worst: float | None
    seconds: float

    @property
    def kind(self) -> str:
        """The kind of the row, which is its colour."""
        if self.outcomes[Outcome.WRONG] or self.outcomes[Outcome.ERROR]:
            return BAD
        return UNSURE if self.outcomes[Outcome.INCONCLUSIVE] else OK


def list_files(checks: Sequence[CheckReport], most: int) -> list[FileRow]:
    """One row for each config file.

    Of more than `most` files, only those with a check that is not ok have a row, `most` at most;
    one more row sums up all other files.
    """
    by_path = group_by_path(checks)
    if len(by_path) <= most:
        return [sum_up(path, of) for path, of in by_path.items()]
    bad = [path for path, of in by_path.items() if any(c.outcome != Outcome.OK for c in of)]
    shown = set(bad[:most])
    rest = [check for path, of in by_path.items() if path not in shown for check in of]
    rows = [sum_up(path, by_path[path]) for path in by_path if path in shown]
    return [*rows, sum_up(f"{len(by_path) - len(shown):,} other files", rest)]


def sum_up(name: str, checks: Sequence[CheckReport]) -> FileRow:
    """One row for these checks."""
    outcomes = Counter(check.outcome for check in checks)
    errors = [
        gradient.max_over_allowed
        for check in checks
        if check.result is not None and check.expected == Verdict.PASS
        for gradient in check.result.gradients
        if gradient.max_over_allowed is not None
    ]
    return FileRow(
        name=name,
        checks=len(checks),
        gradients=sum(len(check.result.gradients) for check in checks if check.result),
        outcomes={outcome: outcomes[outcome] for outcome in Outcome},
        worst=max(errors, default=None),
        seconds=sum(check.result.seconds for check in checks if check.result),
    )


def find_slowest(checks: Sequence[CheckReport], count: int) -> list[tuple[float, str]]:
    """The seconds and ids of the slowest `count` checks."""
    times = [(check.result.seconds, check.id) for check in checks if check.result is not None]
    return sorted(times, key=lambda time: -time[0])[:count]


def list_statistics(checks: Sequence[CheckReport]) -> Iterator[str]:
    """The most frequent faults of the gradients that fail, and the slowest file."""
    codes = Counter(
        f"{gradient.diagnosis.code} {gradient.diagnosis.title}"
        for check in checks
        if check.result is not None and check.outcome == Outcome.WRONG
        for gradient in check.result.gradients
        if gradient.verdict == Verdict.FAIL and gradient.diagnosis is not None
    )
    if codes:
        named = ", ".join(f"{name} ({count}×)" for name, count in codes.most_common(MOST_CODES))
        others = len(codes) - MOST_CODES
        yield f"most frequent: {named}" + (f" and {others} more" if others > 0 else "")
    slowest = max(list_files(checks, len(checks)), key=lambda file: file.seconds, default=None)
    if slowest is not None:
        yield f"slowest file: {slowest.name}, {slowest.seconds:.2f} s"


def summarize(report: SuiteReport) -> Iterator[tuple[str, str]]:
    """The parts of the summary line, each with its kind: the number of checks with each outcome,
    to what gradients that passed are right, the seeds and the time."""
    counted = [(name, count) for name, count in report.counts.items() if count]
    yield count_of(len(report.checks), "check") + ": " * bool(counted), ""
    for position, (name, count) in enumerate(counted):
        yield ", " if position else "", ""
        yield f"{count} {name}", KINDS[name]
    if report.interrupted:
        yield ", interrupted", UNSURE
    if report.not_reached:
        yield f", {report.not_reached} not reached", UNSURE
    worst = max(list_bounds(report.checks), default=None)
    if worst is not None:
        yield f" · gradients that passed are right to {format_bound(worst)}", ""
    seeds = sorted({check.settings.seed for check in report.checks})
    if seeds:
        yield f" · {_name_seeds(seeds)}", ""
    yield f" · {report.seconds:.2f} s", ""


def _name_seeds(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1, 7`; of many, their number, the first and the last."""
    if len(seeds) <= MOST_SEEDS:
        return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
    return f"{len(seeds):,} seeds from {seeds[0]} to {seeds[-1]}"


def list_bounds(checks: Sequence[CheckReport]) -> Iterator[float]:
    """The bounds of all gradients that passed."""
    for check in checks:
        for gradient in check.result.gradients if check.result is not None else ():
            if gradient.verdict == Verdict.PASS and gradient.bound and isfinite(gradient.bound):
                yield gradient.bound
