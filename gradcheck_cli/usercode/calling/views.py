"""Arrays that are views of another: blocks of a vector of all parameters, a transposed weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]


class View(Struct, frozen=True):
    """Which entries of an array a view shows.

    offset: the position of its first entry. strides: from one entry to the next along each axis.
    Both count entries of the array, row by row.
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, array: Array) -> Array:
        """The same view of an array of the same shape."""
        flat = np.ascontiguousarray(array).reshape(-1)
        steps = [stride * flat.itemsize for stride in self.strides]
        return as_strided(flat[self.offset :], self.shape, steps)


def find_view(part: Array, whole: Array) -> View | None:
    """`part` as a view of `whole`; None if it is no such view, or if `whole` has gaps itself."""
    if part.dtype != whole.dtype or not part.size or not whole.flags.c_contiguous:
        return None
    if not np.may_share_memory(part, whole):
        return None
    (low, high), (start, end), size = _bounds(part), _bounds(whole), part.itemsize
    if low < start or high > end or any(stride % size for stride in part.strides):
        return None
    offset = part.ctypes.data - start
    strides = tuple(stride // size for stride in part.strides)
    return None if offset % size else View(offset // size, part.shape, strides)


def same_memory(left: Array, right: Array) -> bool:
    """Whether two arrays are the same entries in the same order."""
    return left.ctypes.data == right.ctypes.data and (left.shape, left.strides) == (
        right.shape,
        right.strides,
    )


def _bounds(array: Array) -> tuple[int, int]:
    """The addresses of the first byte of an array and of the byte after its last."""
    reach = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    start = array.ctypes.data
    below, above = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
    return start + below, start + above + array.itemsize
