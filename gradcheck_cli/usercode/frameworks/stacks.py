"""Evaluate many points of one input in one call, by the vmap of a framework.

This is done only if probes show that it gives the outputs of single calls. Functions that cannot be
mapped (operations in place, branches on values, random draws) are evaluated point by point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct

from gradcheck_cli.problem import Stack
from gradcheck_cli.text import join_words
from gradcheck_cli.usercode.calling.values import Array

Arrays = Mapping[str, Array]
Forward = Callable[[Arrays], Array]

# Of the arguments and outputs of a call; what a convolution makes in between may be a hundred times
# as much. With twice as many, nets of 2,000 to 5,000 parameters are no faster.
MOST_BYTES = 2**21
SLACK = 1e3  # eps of the largest output, by which sums in another order may differ
NEAR = 2.0**-10  # of the largest entry: the second probe is no further from the input


class Sizes(Struct, frozen=True):
    """How many points a mapped call takes; each size may have to be compiled once.

    many, few: sizes of calls, even numbers; if few is 0, points that are left over are evaluated
    one by one. worth: the least number of points of an input for which calls are mapped.
    """

    many: int
    few: int
    worth: int

    def fit(self, most: int) -> list[int]:
        """The sizes that are at most this many points, the larger one first."""
        sizes = dict.fromkeys([min(self.many, most - most % 2), self.few])
        return [size for size in sizes if 2 <= size <= most]


class Stacks:
    """Finds out which inputs of a function can be evaluated at many points at once.

    forward: the function of one point. map_over: the name of an input → the function of many points
    of it. found: for each input, the inputs of its probes, and its `Stack` if there is one.
    """

    def __init__(self, forward: Forward, map_over: Callable[[str], Forward], sizes: Sizes) -> None:
        self.forward = forward
        self.map_over = map_over
        self.sizes = sizes
        self.found: dict[str, tuple[Arrays, Stack | None]] = {}
        self.stacked: dict[str, None] = {}

    def stack(self, inputs: Arrays, name: str, points: int) -> Stack | None:
        """The way to stack an input, see `Stackable`; it is found again if the inputs change."""
        if points < self.sizes.worth:
            return None
        known = self.found.get(name)
        if known is None or not _same(known[0], inputs):
            known = self.found[name] = dict(inputs), self._prove(dict(inputs), name)
            self.stacked |= dict.fromkeys([name] * (known[1] is not None))
        return known[1]

    def notes(self, by: str) -> Iterator[str]:
        """A note on inputs that were evaluated at many points at once; by: the mapper's name."""
        if self.stacked:
            yield f"many points of {join_words([*self.stacked])} were evaluated at once, by {by}"

    def _prove(self, inputs: Arrays, name: str) -> Stack | None:
        """The way to stack an input, if calls of every size give the outputs of single calls."""
        x, mapped = inputs[name], self.map_over(name)

        def one(point: Array) -> Array:
            return self.forward({**inputs, name: point})

        def many(points: Array) -> Array:
            return mapped({**inputs, name: points})

        def each(points: Array) -> Array:
            return np.stack([one(point) for point in points])

        pair = make_probes(x)
        alone = each(pair)
        numbers = sum(array.size for array in inputs.values()) + alone[0].size
        sizes = self.sizes.fit(MOST_BYTES // (8 * numbers))
        try:
            gaps = [_gap(many, pair, alone, size) for size in sizes]
        except Exception:  # a framework that cannot map this may raise anything
            return None
        gap = np.max(gaps, axis=0, initial=0.0)
        largest = np.max(np.abs(alone), axis=0)
        eps = float(np.finfo(alone.dtype).eps)
        if not sizes or not np.all(gap <= SLACK * eps * np.max(largest, initial=0.0)):
            return None
        scatter = 2 * np.maximum(gap, eps * largest * np.any(gap > 0))

        def evaluate(points: Array) -> Array:
            try:
                parts = [
                    many(_pad(part, size))[: len(part)] if size else each(part)
                    for part, size in _cut(points, sizes)
                ]
            except Exception:  # it fails at these points, such as for lack of memory
                return each(points)
            outputs = np.concatenate(parts)
            # Outputs that did not move are set to those of single calls, to the last digit.
            return np.where(np.abs(outputs - alone[0]) <= scatter, alone[0], outputs)

        return Stack(evaluate, scatter, sizes[0])


def agree(one: Array, other: Array) -> bool:
    """Whether outputs differ by no more than the order of sums can change them."""
    if one.shape != other.shape:
        return False
    largest = float(np.max(np.abs(other), initial=0.0))
    return bool(np.all(np.abs(one - other) <= SLACK * np.finfo(other.dtype).eps * largest))


def _same(one: Arrays, other: Arrays) -> bool:
    """Whether two sets of inputs have the same numbers and types."""
    return all(
        x.dtype == other[name].dtype and np.array_equal(x, other[name]) for name, x in one.items()
    )


def make_probes(x: Array) -> Array:
    """An input and a point near it, (2, *input)."""
    peak = float(np.max(np.abs(x), initial=0.0)) or 1.0
    away = np.random.default_rng(0).uniform(0.5, 1.0, x.shape) * NEAR * peak
    return np.stack([x, (x + away).astype(x.dtype)])


def _gap(many: Callable[[Array], Array], pair: Array, alone: Array, size: int) -> Array:
    """The largest difference between outputs of a mapped call and of single calls.

    The two points of a pair fill the call by turns. Raises ValueError where shapes differ.
    """
    found = many(np.concatenate([pair] * (size // 2)))
    return np.asarray(np.max(np.abs(found - np.concatenate([alone] * (size // 2))), axis=0))


def _cut(points: Array, sizes: Sequence[int]) -> Iterator[tuple[Array, int]]:
    """Cut points into parts for calls, each with the size of its call, or 0 for single calls.

    A part fills at least half of its call.
    """
    start = 0
    while start < len(points):
        left = len(points) - start
        size = next((size for size in sizes if left > size // 2), 0)
        yield points[start : start + (size or left)], size
        start += size or left


def _pad(points: Array, size: int) -> Array:
    """The points, filled up to `size` with copies of the last one."""
    lacking = size - len(points)
    return np.concatenate([points, np.repeat(points[-1:], lacking, axis=0)]) if lacking else points
