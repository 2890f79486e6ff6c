"""Where a gradient is wrong, found by halving: along a direction that is zero outside of a part.

The gap between analytic and numeric of one half is measured; that of the other follows. The search
ends when nothing is left to halve, or when as much has been evaluated as it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from gradcheck_cli.numeric.directions import Box

MANY = 8  # parts, all of which are wrong: then so is everything, until an entry tells otherwise
MOST_ROWS = 16  # that are searched one by one
SAMPLE = 8  # entries that are looked at of a row, a column or the whole
MOST_ENTRIES = 64  # that are looked at in all

Ranges = list[range]


class Gap(Struct, frozen=True):
    """Analytic minus numeric along a direction, and its uncertainty."""

    value: float
    uncertainty: float

    @property
    def seen(self) -> bool:
        """Whether it is more than the uncertainty explains."""
        return not abs(self.value) <= self.uncertainty

    def without(self, other: Gap) -> Gap:
        """What is left of it for the rest."""
        return Gap(self.value - other.value, self.uncertainty + other.uncertainty)


class Found(Struct, frozen=True):
    """Where the wrong entries are: in these rows and columns of the matrix; None: in all of them.

    entries: (row, column) of entries to look at: the wrong ones, or some of where they are.
    exact: whether these entries are all that was found.
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
    """The parts of range(count) that are wrong; None where MANY parts are, and all of them.

    going: whether more may be measured. most: parts that are searched on; more of them are left as
    they are.
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
    """The halves of a wrong part that are wrong; the part itself where neither shows it."""
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
    """Where a gap along a direction comes from.

    shape: of the matrix. measure: the gap within a box of rows and columns. going: whether more may
    be measured.
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
    """Where in these rows; whole rows, or entries."""
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
