"""A bisection that finds the wrong entries of a gradient by derivatives along random directions.

A direction that is zero outside of a part of the matrix shows whether the gradient is wrong in that
part. Wrong parts are halved: the gap (analytic minus numeric) of one half is measured, and that of
the other is what is left. The search ends at single rows or entries, or when the budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from gradcheck_cli.numeric.directions import Box

MANY = 8  # if all of so many parts are wrong, all rows (or entries) are taken to be wrong
MOST_ROWS = 16  # wrong rows or columns that are searched one by one
SAMPLE = 8  # how many entries represent a row, a column or the whole matrix
MOST_ENTRIES = 64  # entries that are reported at most

Ranges = list[range]


class Gap(Struct, frozen=True):
    """Analytic minus numeric along a direction, and its uncertainty."""

    value: float
    uncertainty: float

    @property
    def seen(self) -> bool:
        """Whether the gap exceeds its uncertainty, so that the gradient is wrong."""
        return not abs(self.value) <= self.uncertainty

    def without(self, other: Gap) -> Gap:
        """The gap of the rest of a part, where `other` is that of one half."""
        return Gap(self.value - other.value, self.uncertainty + other.uncertainty)


class Found(Struct, frozen=True):
    """Where the wrong entries are.

    rows, columns: the ranges of the matrix that hold wrong entries; None: all of them.
    entries: (row, column) of the wrong entries if `exact`; else of some entries of these rows and
        columns, any of which may be right.
    """

    rows: Ranges | None
    columns: Ranges | None
    entries: list[tuple[int, int]]
    exact: bool


def find_wrong_parts(
    count: int,
    whole: Gap,
    measure: Callable[[range], Gap],
    going: Callable[[], bool],
    most: int = MOST_ENTRIES,
) -> Ranges | None:
    """The wrong parts of range(count), single numbers if the search gets so far; None: all of it.

    whole: the gap of range(count). measure: the gap of a part. going: whether more may be measured.
    most: once there are more wrong parts than this, they are halved no further.
    """
    parts: list[tuple[range, Gap]] = [(range(count), whole)]
    while any(len(part) > 1 for part, _ in parts) and len(parts) <= most and going():
        halves = [half for part, gap in parts for half in _halves(part, gap, measure, going)]
        split = sum(1 if len(part) == 1 else 2 for part, _ in parts)
        if len(halves) == split >= min(MANY, count) and split > 1 and _cover(halves, count):
            return None
        parts = halves
    return [part for part, _ in parts]


def _cover(halves: list[tuple[range, Gap]], count: int) -> bool:
    return sum(len(part) for part, _ in halves) == count


def _halves(
    part: range, gap: Gap, measure: Callable[[range], Gap], going: Callable[[], bool]
) -> Iterator[tuple[range, Gap]]:
    """The wrong halves of a wrong part; the part itself where neither half shows a gap."""
    if len(part) == 1 or not going():
        yield part, gap
        return
    first, second = part[: len(part) // 2], part[len(part) // 2 :]
    one = measure(first)
    two = gap.without(one)
    if not (one.seen or two.seen):
        two = measure(second)
    found = [(half, gap) for half, gap in ((first, one), (second, two)) if gap.seen]
    yield from found or [(part, gap)]


def locate(
    shape: tuple[int, int],
    whole: Gap,
    measure: Callable[[Box], Gap],
    going: Callable[[], bool],
) -> Found:
    """Find the rows, the columns or the entries that make a gap along a direction.

    shape: that of the matrix. whole: the gap of the matrix. measure: the gap of a box of rows and
    columns. going: whether more may be measured.
    """
    height, width = shape

    def along_rows(part: range) -> Gap:
        return measure((_slice(part), slice(0, width)))

    def along_columns(part: range) -> Gap:
        return measure((slice(0, height), _slice(part)))

    rows = find_wrong_parts(height, whole, along_rows, going, MOST_ROWS)
    if rows is None:
        columns = find_wrong_parts(width, whole, along_columns, going, MOST_ROWS)
        return Found(None, columns, _some(range(height), columns or [range(width)]), False)
    if any(len(part) > 1 for part in rows):
        return Found(rows, None, _some(rows, [range(width)]), False)
    return _in_rows(rows, width, whole, measure, going)


def _in_rows(
    rows: Ranges,
    width: int,
    whole: Gap,
    measure: Callable[[Box], Gap],
    going: Callable[[], bool],
) -> Found:
    """Find the wrong entries of these rows; a row of which too many are wrong counts as a whole."""
    entries: list[tuple[int, int]] = []
    full: Ranges = []
    for row in rows:
        parts: Ranges | None = [range(width)]
        if going():
            gap = whole if len(rows) == 1 else measure((_slice(row), slice(0, width)))
            parts = find_wrong_parts(width, gap, partial(_across, measure, row), going)
        if parts is None or any(len(part) > 1 for part in parts):
            full.append(row)
            entries += _some([row], parts or [range(width)])
        else:
            entries += [(row.start, part.start) for part in parts]
    if full:
        return Found(rows, None, entries[:: -(-len(entries) // SAMPLE)], False)
    return Found(rows, [], entries[:MOST_ENTRIES], True)


def _across(measure: Callable[[Box], Gap], row: range, part: range) -> Gap:
    return measure((_slice(row), _slice(part)))


def some_entries(height: int, width: int) -> list[tuple[int, int]]:
    """Some entries spread over a matrix."""
    return _some(range(height), [range(width)])


def _some(rows: Ranges | range, columns: Ranges) -> list[tuple[int, int]]:
    """Some entries spread over these rows and columns."""
    down = _spread([row for part in _listed(rows) for row in _spread(part)])
    across = _spread([column for part in columns for column in _spread(part)])
    count = max(len(down), len(across))
    return [(down[at % len(down)], across[at * 3 % len(across)]) for at in range(count)]


def _listed(rows: Ranges | range) -> Ranges:
    return [rows] if isinstance(rows, range) else rows


def _spread(values: range | list[int]) -> list[int]:
    """At most SAMPLE of these, evenly spread."""
    step = -(-len(values) // SAMPLE)
    return list(values[step // 2 :: step]) or list(values[:1])


def _slice(part: range) -> slice:
    return slice(part.start, part.stop)
