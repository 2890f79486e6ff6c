"""A random sample of entries, spread over a tensor, and how likely it misses wrong ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_entries(size: int, count: int) -> NDArray[np.intp]:
    """Flat indices of `count` of `size` entries: one at random from each of `count` equal parts."""
    edges = np.arange(count + 1) * size // count
    return np.random.default_rng([size, count]).integers(edges[:-1], edges[1:]).astype(np.intp)


def chance_of_missing(wrong: int, size: int, count: int) -> float:
    """A bound of the probability that a sample misses all `wrong` entries, wherever they are.

    In a part of w entries with j wrong ones, these are missed with the probability
    1 − j/w ≤ (1 − 1/w)^j. Hence k wrong entries in all are missed with at most (1 − 1/w)^k, where w
    is the size of the largest part.
    """
    part = -(-size // count)
    return (1.0 - 1.0 / part) ** wrong
