"""Entries of a gradient in groups of like size, each of which has random directions of its own.

Along one direction for all of them, an error of a small entry hides below the uncertainty of the
large ones.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.directions import root_mean_square

# Sizes within a group differ by no more than this; the uncertainty of a direction is some 1e-12 of
# its largest entries, so that errors of 1e-7 of the smallest are seen.
LIKE_SIZE = 1e4
MOST_GROUPS = 4  # of entries that are not zero; the smallest entries share the last one
# Of all entries: fewer smaller ones are the tail of the sizes above them.
LEAST_SHARE = 1e-3


class Group(Struct, frozen=True):
    """Entries of like size: where they are, a flat mask, and how many; None: everywhere.

    norm: of these entries; 0 of a group that is claimed to be zero.
    """

    mask: NDArray[np.bool_] | None
    count: int
    norm: float


def group_by_size(gradient: NDArray[Any]) -> list[Group]:
    """The groups of like size of a gradient as it is claimed, the largest first, zeros last."""
    sizes = np.abs(gradient.ravel())
    masks: list[NDArray[np.bool_]] = []
    left = sizes > 0
    while left.any() and np.isfinite(peak := float(np.max(sizes, where=left, initial=0.0))):
        last = len(masks) == MOST_GROUPS - 1
        masks.append(left & (sizes > 0 if last else sizes > peak / LIKE_SIZE))
        left &= ~masks[-1]
        if masks[1:] and np.count_nonzero(masks[-1]) <= LEAST_SHARE * sizes.size:
            tail = masks.pop()
            masks[-1] |= tail
    zeros = sizes == 0
    if masks and zeros.any():
        masks.append(zeros)
    if len(masks) < 2:
        return [Group(None, sizes.size, _norm(sizes))]
    return [Group(mask, int(np.count_nonzero(mask)), _norm(sizes[mask])) for mask in masks]


def _norm(sizes: NDArray[Any]) -> float:
    return root_mean_square(sizes) * sqrt(sizes.size)
