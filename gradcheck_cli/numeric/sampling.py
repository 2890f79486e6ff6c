"""A sample of entries spread over a tensor, and what it could miss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_entries(size: int, count: int) -> NDArray[np.intp]:
    """Flat indices of `count` of `size` entries: one at random from each of `count` equal parts."""
    edges = np.arange(count + 1) * size // count
    return np.random.default_rng([size, count]).integers(edges[:-1], edges[1:]).astype(np.intp)


def chance_of_missing(wrong: int, size: int, count: int) -> float:
    """At most how likely a sample misses all of so many wrong entries, wherever they are.

    A part of w entries with j wrong ones is missed with the probability 1 − j/w ≤ (1 − 1/w)^j, so
    that k wrong ones are missed with at most (1 − 1/w)^k, w being the size of the largest part.
    """
    part = -(-size // count)
    return (1.0 - 1.0 / part) ** wrong
