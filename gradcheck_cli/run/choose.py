"""Choose the checks to run, by id or by what failed last, and say which code they would run."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradcheck_cli.errors import UsageError
from gradcheck_cli.run.expression import Places, evaluate, is_expression
from gradcheck_cli.run.last_failed import Failed, key
from gradcheck_cli.text import count_of, name_some, printable, suggest

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck

MOST_IDS = 10  # that an error lists where no id is near a pattern
MOST_NAMES = 6  # of functions that a line lists
MOST_PLACES = 5  # that name code and get a line each


def select(checks: Sequence[ConfigCheck], patterns: Sequence[str]) -> list[ConfigCheck]:
    """The checks that any of the patterns matches; all checks if there are no patterns.

    A pattern is an id, a glob of ids, or an expression of both. Raises UsageError where one
    matches no check.
    """
    if not patterns:
        return list(checks)
    chosen = set().union(*(_find(pattern, checks) for pattern in patterns))
    return [checks[place] for place in sorted(chosen)]


def _find(pattern: str, checks: Sequence[ConfigCheck]) -> Places:
    """The places of the checks that a pattern matches."""
    found = {place for place, check in enumerate(checks) if _matches(check, pattern)}
    if not found and is_expression(pattern):
        found = evaluate(pattern, lambda part: _find(part, checks), len(checks))
    if not found:
        raise UsageError(f"no check matches '{pattern}'" + _suggest_ids(pattern, checks))
    return found


def _suggest_ids(pattern: str, checks: Sequence[ConfigCheck]) -> str:
    """The end of an error: ids that are near a pattern; if there are none, some of all ids."""
    ids = list(dict.fromkeys(id for check in checks for id in (check.name, check.id)))
    near = suggest(pattern, ids)
    if near:
        return near
    more = len(checks) - MOST_IDS
    rest = f" and {more} more; --list prints them" if more > 0 else ""
    return f"; there are: {', '.join(check.id for check in checks[:MOST_IDS])}{rest}"


def _matches(check: ConfigCheck, pattern: str) -> bool:
    """Whether a pattern matches the id of a check, or its name without the values of a matrix."""
    # Ids contain brackets, so only * and ? are wild.
    wild = pattern.replace("[", "[[]")
    return any(id == pattern or fnmatchcase(id, wild) for id in (check.id, check.name))


def describe_code(checks: Sequence[ConfigCheck]) -> str:
    """The Python code that these checks would run, with the places that name it; empty if none."""
    named: dict[str, dict[str, None]] = {}
    for check in checks:
        for code in check.layer.code:
            place = code.place if check.draft else f"{check.path}: {code.place}"
            named.setdefault(place, {})[code.name] = None
    if not named:
        return ""
    count = sum(bool(check.layer.code) for check in checks)
    verb = "was" if count == 1 else "were"
    head = f"{count_of(count, 'check')} of Python code {verb} not run"
    lines = [
        f"  {printable(place)}: {name_some(list(names), MOST_NAMES)}"
        for place, names in named.items()
    ]
    if len(lines) > MOST_PLACES:
        code = {code.place: None for check in checks for code in check.layer.code}
        lines = [f"  {name_some(list(map(printable, code)), 2 * MOST_PLACES)}"]
    return "\n".join([head, *lines, "read this code, then add --allow-code"])


def keep_failed(checks: Sequence[ConfigCheck], failed: Failed) -> list[ConfigCheck]:
    """The checks that failed when they were last run."""
    return [check for check in checks if key(check.path, check.id) in failed]


def share_processes(
    checks: Sequence[ConfigCheck], jobs: int, budget: float | None = None
) -> list[ConfigCheck]:
    """The checks, each with a number of processes and a budget in seconds for measuring entries.

    Every check gets one process; where there are more, several measure the entries of one check.
    """
    each = max(1, jobs // max(1, len(checks)))
    return [
        replace(check, numeric=replace(check.numeric, jobs=each, budget=budget)) for check in checks
    ]
