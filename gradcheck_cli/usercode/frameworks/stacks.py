"""Many points of one input in one call of a framework's function, as its own vmap has it.

Probes must bear out that this gives what single calls give. What does not stack (operations in
place, branches on values, what draws at random) is evaluated point by point.
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

# Of the numbers that a call is handed and returns: what a convolution makes between them may be a
# hundred times as much. Nets of 2,000 to 5,000 parameters are as fast as with twice of it.
MOST_BYTES = 2**21
SLACK = 1e3  # times eps, of the largest output: what another order of sums may change
NEAR = 2.0**-10  # of the largest entry: how far from an input its other probe is, at most


class Sizes(Struct, frozen=True):
    """How many points a call of a framework takes; the first of any size may have to be compiled.

    many, few: points of a call, even numbers; no few: what is left over is evaluated one by one.
    worth: points of an input from which on such calls are made.
    """

    many: int
    few: int
    worth: int

    def fit(self, most: int) -> list[int]:
        """The sizes of calls of at most so many points, the larger one first."""
        sizes = dict.fromkeys([min(self.many, most - most % 2), self.few])
        return [size for size in sizes if 2 <= size <= most]


class Stacks:
    """What stacks of a function's inputs.

    forward: of one point; mapped: makes of the name of an input the forward of many points of it.
    """

    def __init__(self, forward: Forward, mapped: Callable[[str], Forward], sizes: Sizes) -> None:
        self.forward = forward
        self.mapped = mapped
        self.sizes = sizes
        self.found: dict[str, tuple[Arrays, Stack | None]] = {}
        self.stacked: dict[str, None] = {}

    def stack(self, inputs: Arrays, name: str, points: int) -> Stack | None:
        """See `Stackable`; it is found anew where the inputs are others than they were."""
        if points < self.sizes.worth:
            return None
        known = self.found.get(name)
        if known is None or not _same(known[0], inputs):
            known = self.found[name] = dict(inputs), self._prove(dict(inputs), name)
            self.stacked |= dict.fromkeys([name] * (known[1] is not None))
        return known[1]

    def notes(self, by: str) -> Iterator[str]:
        """A note on the inputs of which many points were evaluated at once; by: what does that."""
        if self.stacked:
            yield f"many points of {join_words([*self.stacked])} were evaluated at once, by {by}"

    def _prove(self, inputs: Arrays, name: str) -> Stack | None:
        """The way to stack an input, if calls of every size give what single calls give."""
        x, mapped = inputs[name], self.mapped(name)

        def one(point: Array) -> Array:
            return self.forward({**inputs, name: point})

        def many(points: Array) -> Array:
            return mapped({**inputs, name: points})

        def each(points: Array) -> Array:
            return np.stack([one(point) for point in points])

        pair = probes(x)
        alone = each(pair)
        numbers = sum(array.size for array in inputs.values()) + alone[0].size
        sizes = self.sizes.fit(MOST_BYTES // (8 * numbers))
        try:
            gaps = [_gap(many, pair, alone, size) for size in sizes]
        except Exception:  # whatever a framework raises that cannot map this
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
            except Exception:  # at these points, such as where memory ends
                return each(points)
            outputs = np.concatenate(parts)
            # What did not move is where it was, to the last digit.
            return np.where(np.abs(outputs - alone[0]) <= scatter, alone[0], outputs)

        return Stack(evaluate, scatter, sizes[0])


def agree(one: Array, other: Array) -> bool:
    """Whether outputs differ by no more than sums that are taken in another order."""
    if one.shape != other.shape:
        return False
    largest = float(np.max(np.abs(other), initial=0.0))
    return bool(np.all(np.abs(one - other) <= SLACK * np.finfo(other.dtype).eps * largest))


def _same(one: Arrays, other: Arrays) -> bool:
    """Whether these are the same inputs, in the same types."""
    return all(
        x.dtype == other[name].dtype and np.array_equal(x, other[name]) for name, x in one.items()
    )


def probes(x: Array) -> Array:
    """An input and a point near it, as (2, *input)."""
    peak = float(np.max(np.abs(x), initial=0.0)) or 1.0
    away = np.random.default_rng(0).uniform(0.5, 1.0, x.shape) * NEAR * peak
    return np.stack([x, (x + away).astype(x.dtype)])


def _gap(many: Callable[[Array], Array], pair: Array, alone: Array, size: int) -> Array:
    """How far outputs of two points are from those of single calls, wherever they are in a call.

    Raises ValueError where these do not have the shape of single ones.
    """
    found = many(np.concatenate([pair] * (size // 2)))
    return np.asarray(np.max(np.abs(found - np.concatenate([alone] * (size // 2))), axis=0))


def _cut(points: Array, sizes: Sequence[int]) -> Iterator[tuple[Array, int]]:
    """The points in parts, each with the size of the call that it fills to the half; 0: of none."""
    start = 0
    while start < len(points):
        left = len(points) - start
        size = next((size for size in sizes if left > size // 2), 0)
        yield points[start : start + (size or left)], size
        start += size or left


def _pad(points: Array, size: int) -> Array:
    """The points, filled up to so many with copies of the last one."""
    lacking = size - len(points)
    return np.concatenate([points, np.repeat(points[-1:], lacking, axis=0)]) if lacking else points
