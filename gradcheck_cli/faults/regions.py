"""Where wrong entries are: as a region of the gradient, in words, and as a picture of errors."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10, prod

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.result import ErrorMap
from gradcheck_cli.text import join_words

MOST_LISTED = 6  # indices along an axis that are listed one by one
LARGEST_SHARE = 0.9  # of the wrong entries: slices with so many hold most of them
MAP_ROWS, MAP_COLUMNS = 16, 40  # of the picture; a cell of it is the maximum of several entries
MOST_PANELS, PANEL_ROWS = 16, 48  # with three or more axes: panels, and rows of all panels


class Region(Struct, frozen=True):
    """A part of an array: the entries with some indices along some axes."""

    along: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def many(self) -> bool:
        """Whether it is described in the plural."""
        return len(self.along) == 1 and len(self.along[0][1]) > 1

    @property
    def choices(self) -> float:
        """About how many other regions of its size there are."""
        return float(2.0 ** min(300, sum(len(indices) for _, indices in self.along)))

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which entries are in the region."""
        inside = np.ones(shape, dtype=bool)
        for axis, indices in self.along:
            chosen = np.isin(np.arange(shape[axis]), indices)
            inside &= chosen.reshape([-1 if other == axis else 1 for other in range(len(shape))])
        return inside

    def describe(self, shape: tuple[int, ...]) -> str:
        """`row 3`, `columns 0 and 2`, `the block of rows 0–2 and columns 1–3`."""
        parts = [describe_indices(axis, indices, shape) for axis, indices in self.along]
        return parts[0] if len(parts) == 1 else f"the block of {join_words(parts)}"


def name_slices(axis: int, shape: tuple[int, ...]) -> str:
    """`rows`, `columns`, `entries`; `slices along axis 2` of arrays with more axes."""
    if len(shape) == 1:
        return "entries"
    if len(shape) == 2:
        if 1 in shape:
            return "entries"
        return ("rows", "columns")[axis]
    return f"slices along axis {axis}"


def describe_indices(axis: int, indices: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Indices along an axis in words."""
    words = name_slices(axis, shape)
    one = {"entries": "entry", "rows": "row", "columns": "column"}.get(
        words, f"the slice along axis {axis} at"
    )
    if len(indices) == 1:
        return f"{one} {indices[0]}"
    words = words if words in ("entries", "rows", "columns") else f"{words} at"
    return f"{words} {describe_numbers(indices)}"


def describe_numbers(numbers: tuple[int, ...]) -> str:
    """`0 and 2`, `0–8`, `1, 3, 4, 7, 9, 11 and 5 more`."""
    if len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}–{numbers[-1]}"
    listed, more = [str(number) for number in numbers[:MOST_LISTED]], len(numbers) - MOST_LISTED
    return join_words(listed if more <= 0 else [*listed, f"{more} more"])


def list_entries(mask: NDArray[np.bool_], otherwise: str = "") -> str:
    """The entries of a mask in words: as a region if they fill one, or as the indices of a vector.

    otherwise: the words for all other masks; empty: `the 5 wrong entries`.
    """
    region = find_region(mask)
    if region is not None and np.array_equal(region.mask(mask.shape), mask):
        return region.describe(mask.shape)
    if mask.ndim == 1:
        return describe_indices(0, tuple(map(int, np.flatnonzero(mask))), mask.shape)
    return otherwise or f"the {int(mask.sum())} wrong entries"


def find_region(wrong: NDArray[np.bool_]) -> Region | None:
    """The smallest region with all wrong entries; None if that is everything or nothing.

    Slices along one axis are preferred to a block, unless that is much smaller or all wrong.
    """
    if not wrong.any() or wrong.ndim == 0:
        return None
    sides = []
    for axis in range(wrong.ndim):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        inside = tuple(map(int, np.flatnonzero(wrong.any(axis=others))))
        if len(inside) < wrong.shape[axis]:
            sides.append((len(inside) / wrong.shape[axis], axis, inside))
    if not sides:
        return None
    share, axis, indices = min(sides)
    block = Region(tuple((axis, indices) for _, axis, indices in sides))
    filled = np.array_equal(block.mask(wrong.shape), wrong)
    if len(sides) > 1 and (filled or prod(side[0] for side in sides) <= share / 2):
        return block
    return Region(((axis, indices),))


def describe_location(comparison: Comparison, whole: bool) -> str:
    """Where the wrong entries are, as a sentence: `31 of 32 wrong entries are in row 3`."""
    wrong = comparison.wrong
    count, shape = int(wrong.sum()), wrong.shape
    if not whole or wrong.size < 2 or not count:
        return ""
    if count == wrong.size:
        return "every entry is wrong"
    region = find_region(wrong)
    filled = region is not None and np.array_equal(region.mask(shape), wrong)
    description = "" if filled else _describe_triangle(wrong) or _describe_most(wrong, count)
    if description:
        return description
    if region is None:
        return f"the {count} wrong entries are spread over the whole array"
    entries = "the wrong entry is" if count == 1 else f"all {count} wrong entries are"
    right = int((region.mask(shape) & ~wrong).sum())
    rest = f", and {right} there {'is' if right == 1 else 'are'} right" if right else ""
    return f"{entries} in {region.describe(shape)}{rest}"


def _describe_most(wrong: NDArray[np.bool_], count: int) -> str:
    """A few slices that hold most of the wrong entries, in words; empty if there are none."""
    for axis in range(wrong.ndim):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        counts = wrong.sum(axis=others)
        order = np.argsort(-counts, kind="stable")
        held = np.cumsum(counts[order])
        needed = int(np.searchsorted(held, LARGEST_SHARE * count)) + 1
        if needed <= max(1, wrong.shape[axis] // 3) and held[needed - 1] < count:
            indices = tuple(sorted(int(index) for index in order[:needed]))
            slices = describe_indices(axis, indices, wrong.shape)
            return f"{int(held[needed - 1])} of {count} wrong entries are in {slices}"
    return ""


def _describe_triangle(wrong: NDArray[np.bool_]) -> str:
    """Wrong entries that are just the diagonal of a matrix or a side of it; else empty."""
    if wrong.ndim != 2 or wrong.shape[0] != wrong.shape[1] or len(wrong) < 2:
        return ""
    rows, columns = np.indices(wrong.shape)
    for what, mask in (
        ("on the diagonal", rows == columns),
        ("off the diagonal", rows != columns),
        ("above the diagonal", rows < columns),
        ("below the diagonal", rows > columns),
        ("on or above the diagonal", rows <= columns),
        ("on or below the diagonal", rows >= columns),
    ):
        if np.array_equal(wrong, mask):
            return f"all {int(wrong.sum())} wrong entries are {what}"
    return ""


def map_errors(comparison: Comparison, whole: bool) -> ErrorMap | None:
    """The relative errors as a picture, with the last axis across and all others down.

    Large gradients are pooled by maximum, and those with three or more axes have a panel for each
    matrix if these are few. None for a sample of entries, or for fewer than four entries.
    """
    wrong = comparison.wrong
    if not whole or wrong.size < 4 or not wrong.any():
        return None
    with np.errstate(all="ignore"):
        relative = np.where(wrong, comparison.relative, 0.0)
    relative = np.where(np.isnan(relative), np.inf, relative)
    panels = wrong.shape[:-2]
    count = prod(panels)
    if not 1 < count <= MOST_PANELS:
        panels, count = (), 1
    whole_rows = relative.reshape(count, -1, wrong.shape[-1])
    if count == 1 and whole_rows.shape[2] == 1:
        whole_rows = whole_rows.transpose(0, 2, 1)
    most = MAP_ROWS if count == 1 else PANEL_ROWS // count
    down, across = -(-whole_rows.shape[1] // most), -(-whole_rows.shape[2] // MAP_COLUMNS)
    cells = tuple(row for panel in whole_rows for row in _pool(panel, down, across))
    return ErrorMap(cells=cells, pooled=(down, across), panels=panels)


def _pool(panel: Float, down: int, across: int) -> Iterator[tuple[float | None, ...]]:
    """The rows of a panel; each cell is the largest error of down × across entries."""
    for row in range(0, panel.shape[0], down):
        yield tuple(
            _round_exponent(float(np.max(panel[row : row + down, column : column + across])))
            for column in range(0, panel.shape[1], across)
        )


def _round_exponent(error: float) -> float | None:
    """log10 of an error, to two digits of the error; None where nothing is wrong."""
    if error == 0.0:
        return None
    return round(log10(min(error, 1.0)), 2)
