"""Sentences about a gradient that random directions have judged: its bound, or what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.checker.slopes import Slopes, divide, join_bounds
from gradcheck_cli.faults.catalogue import describe_fault
from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.measure.compare import DIGITS_NEEDED
from gradcheck_cli.numeric.bisection import Found
from gradcheck_cli.numeric.directions import DIRECTION_COUNT, SURE, Bounds
from gradcheck_cli.numeric.groups import Group
from gradcheck_cli.result import Code, Diagnosis, GradientResult, Verdict
from gradcheck_cli.text import count_of, join_words

MOST_LISTED = 5  # entries, rows or columns that a sentence lists


def describe_factor(factor: Factor, slopes: Slopes) -> Diagnosis:
    """The diagnosis of a gradient that is wrong by a factor alone."""
    rest = np.max(np.abs(slopes.analytic - factor.value * slopes.numeric))
    fits, count = float(rest / np.max(np.abs(slopes.numeric))), len(slopes.numeric)
    observation = f"it is {factor.text} times the numeric gradient"
    return replace(
        describe_fault(Code.FACTOR, observation, fits),
        evidence=f"so explained, {count} of {count} random directions agree to {fits:.0e}",
        factor=factor.text,
    )


def describe_errors(
    found: Found, entries: GradientResult, slopes: Slopes, index: Callable[[int, int], str]
) -> str:
    """What is wrong and where; index: writes the entry at a row and a column."""
    if found.exact:
        listed = [index(row, column) for row, column in found.entries[:MOST_LISTED]]
        more = len(found.entries) - len(listed)
        what = "entry is" if len(found.entries) == 1 else "entries are"
        tail = f" and {more} more" if more else ""
        return f"{len(found.entries)} {what} wrong: {', '.join(listed)}{tail}"
    rows = "every row" if found.rows is None else _list_ranges("row", found.rows)
    columns = "every column" if found.columns is None else _list_ranges("column", found.columns)
    return (
        f"it is wrong along {int(slopes.differ.sum())} of {len(slopes.gap)} random directions, "
        f"in {rows} and {columns}; {entries.wrong} of {entries.measured} entries looked at there "
        "are wrong"
    )


def describe_certificate(
    limits: Sequence[Bounds], groups: Sequence[Group], norm: float, counts: Sequence[int]
) -> str:
    """The bound on the error that random directions give, with its probability.

    limits: the bounds of each group of entries; norm: of the gradient; counts: how many directions
    each group had.
    """
    if norm == 0.0:
        return "the gradient is zero on both sides: this check has no power"
    seen = divide(join_bounds(limits).upper, norm)
    text = (
        f"by {count_of(sum(counts), 'random direction')}"
        + (" (the budget has no room for more)" if counts[0] < DIRECTION_COUNT else "")
        + f": an error above {seen:.0e} of the "
        f"gradient would have been seen, with probability 1 − {SURE:.0e}"
    )
    return text + "".join(
        f"; above {limit.upper:.0e} in {group.count} of its entries, "
        + (f"whose norm is {group.norm:.0e}" if group.norm else "claimed to be zero")
        for limit, group in zip(limits[1:], groups[1:], strict=True)
    )


def _list_ranges(word: str, parts: Sequence[range]) -> str:
    """`row 3`, `rows 3, 5 and 8–15`."""
    listed = [
        f"{part.start}" if len(part) == 1 else f"{part.start}–{part.stop - 1}" for part in parts
    ]
    more = [f"{len(listed) - MOST_LISTED} more"] if len(listed) > MOST_LISTED else []
    plural = "s" if len(listed) > 1 or any(len(part) > 1 for part in parts) else ""
    return f"{word}{plural} {join_words([*listed[:MOST_LISTED], *more])}"


def judge_bound(bound: float, norm: float, rtol: float, *, hidden: bool) -> tuple[Verdict, str]:
    """The verdict of a gradient in which no error was seen, with its reason if it is not pass.

    bound: the largest norm that the error may have; norm: of the gradient; hidden: whether the
    outputs move by no more than their uncertainty.
    """
    if not np.isfinite(bound):
        return Verdict.INCONCLUSIVE, (
            "the difference quotient along a random direction is not finite: the forward overflows "
            "near these inputs; mode: entries moves one entry at a time"
        )
    if bound <= rtol**DIGITS_NEEDED * norm or norm == 0:
        return Verdict.PASS, ""
    if hidden:
        return Verdict.INCONCLUSIVE, (
            "along random directions the outputs move by no more than their rounding: the gradient "
            "may be zero, as that of a bias before a norm; mode: entries can tell"
        )
    return Verdict.INCONCLUSIVE, (
        f"random directions only bound the error by {bound / norm:.1e} of the gradient, too much "
        f"for rtol {rtol:g}; mode: entries may resolve more"
    )
