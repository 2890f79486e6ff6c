"""Groups of entries of similar size, each of which gets random directions of its own.

Along a direction that moves all entries, an error of a small entry hides in the uncertainty that
the large entries make.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.directions import root_mean_square

# The largest entry of a group over its smallest one is at most this. The uncertainty of a direction
# is some 1e-12 of its largest entries, so that errors of 1e-7 of the smallest are still seen.
LIKE_SIZE = 1e4
MOST_GROUPS = 4  # of nonzero entries; all smaller entries share the last one
# As a share of all entries: a smaller group is no group, but the tail of the one before.
LEAST_SHARE = 1e-3


class Group(Struct, frozen=True):
    """Entries of similar size.

    mask: where they are, flat; None: everywhere. count: how many they are.
    norm: √Σ entry²; 0 for the group of entries that are claimed to be zero.
    """

    mask: NDArray[np.bool_] | None
    count: int
    norm: float


def group_by_size(gradient: NDArray[Any]) -> list[Group]:
    """The groups of an analytic gradient, those of the largest entries first, zeros last."""
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
