"""Faults of parts of a gradient: rows that are zero, have a factor, or come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, factor, fitted
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import Right, Values
from gradcheck_cli.faults.where import Region, confined, told_slices
from gradcheck_cli.measure.compare import Comparison
from gradcheck_cli.text import join_words

Float = NDArray[np.float64]

MOST_SLICES = 128  # of an axis whose slices are looked for among each other


def parts_zeroed(right: Right) -> Iterator[Injected]:
    """A row, a column and a block left at zero."""
    if not right.whole or right.value.size < 2:
        return
    shape = right.shape
    for axis in (0, len(shape) - 1)[: min(2, len(shape))]:
        if shape[axis] > 1:
            yield _part(right, Region(((axis, (0,)),)), Factor(0.0, ()))
    if len(shape) > 1 and min(shape[-2:]) > 2:
        halves = tuple(
            (axis, tuple(range(shape[axis] // 2))) for axis in (len(shape) - 2, len(shape) - 1)
        )
        yield _part(right, Region(halves), Factor(0.0, ()))


def parts_scaled(right: Right, found: Comparison) -> Iterator[Injected]:
    """A factor, or zeros, in a part of the gradient; in all wrong entries, wherever they are."""
    region = confined(found.wrong) if right.whole else None
    if region is not None:
        yield _part(right, region, _between(right, found, region.mask(right.shape)))
    count = int(found.wrong.sum())
    if 1 < count < found.wrong.size:
        by = _between(right, found, found.wrong)
        told = f"the {count} wrong entries are all {_times(by)}, the rest is right"
        yield Injected(_scaled_there(right, found.wrong, by), told, None, "", by.fitted, by.choices)


def _between(right: Right, found: Comparison, inside: NDArray[np.bool_]) -> Factor:
    """The factor between the two gradients in a part of them."""
    value, precision = fitted(found.analytic[inside], right.value[inside], found.allowed[inside])
    return Factor(0.0, ()) if value == 0.0 else factor(value, precision, right.numbers)


def _times(by: Factor) -> str:
    return "zero" if by.value == 0.0 else f"{by.shown} times the numeric gradient"


def _scaled_there(right: Right, inside: NDArray[np.bool_], by: Factor) -> Values:
    return right.whole_values(
        np.where(inside, by.value * right.value, right.value),
        np.where(inside, abs(by.value) * right.uncertainty, right.uncertainty),
    )


def _part(right: Right, region: Region, by: Factor) -> Injected:
    inside, where = region.mask(right.shape), region.told(right.shape)
    verb = "are" if region.many else "is"
    zero = by.value == 0.0 and not right.value[inside].any()
    return Injected(
        _scaled_there(right, inside, by),
        f"{where} {verb} {_times(by)}, the rest is right",
        same=f"{where} of the gradient {verb} zero anyway" if zero else "",
        fitted=by.fitted,
        choices=by.choices * region.choices,
    )


def moved(right: Right) -> Iterator[Injected]:
    """Slices shifted by one, and the first one where the second belongs."""
    if not right.whole:
        return
    for axis, size in enumerate(right.shape):
        if size > 1:
            yield _taken(right, axis, np.roll(np.arange(size), 1))
    if right.shape and right.shape[0] > 1:
        stale = np.arange(right.shape[0])
        stale[1] = 0
        yield _taken(right, 0, stale)


def taken_elsewhere(right: Right, found: Comparison) -> Iterator[Injected]:
    """Slices of the numeric gradient, along an axis, in another order or more than once."""
    if not right.whole:
        return
    for axis, size in enumerate(right.shape):
        if 1 < size <= MOST_SLICES:
            sources = _sources(found, right, axis)
            if sources is not None and not np.array_equal(sources, np.arange(size)):
                yield _taken(right, axis, sources)


def _sources(found: Comparison, right: Right, axis: int) -> NDArray[np.intp] | None:
    """Which slice of the numeric gradient every slice of the analytic one is; its own if it can."""
    analytic, value, allowed = (
        np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        for array in (found.analytic, right.value, found.allowed + right.uncertainty)
    )
    sources = np.empty(len(value), dtype=np.intp)
    for index in range(len(value)):
        gap = np.abs(analytic[index] - value)
        fits = np.flatnonzero(np.all(gap <= np.maximum(allowed[index], allowed), axis=1))
        if not len(fits):
            return None
        sources[index] = index if index in fits else fits[0]
    return sources


def _taken(right: Right, axis: int, sources: NDArray[np.intp]) -> Injected:
    value, size = np.take(right.value, sources, axis), len(sources)
    words = told_slices(axis, right.shape)
    every = np.arange(size)
    shift = next((k for k in range(1, size) if np.array_equal(np.roll(every, k), sources)), 0)
    if shift:
        by = shift if shift <= size // 2 else shift - size
        told = f"its {words} are shifted by {by}".replace("-", "−")
    elif np.array_equal(sources, range(size - 1, -1, -1)):
        told = f"its {words} are reversed"
    elif len(set(sources.tolist())) == size:
        off = [k for k in range(size) if sources[k] != k]
        told = f"its {words} are in another order: {_mapping(off, sources)}"
    else:
        off = [k for k in range(size) if sources[k] != k]
        told = f"its {words} are those of others: {_mapping(off, sources)}"
    return Injected(
        right.whole_values(value, np.take(right.uncertainty, sources, axis)),
        told,
        same=f"these {words} of the gradient are equal"
        if np.array_equal(value, right.value)
        else "",
        choices=size if shift else 10.0 ** (sum(sources != range(size)) * log10(size)),
    )


def _mapping(off: Sequence[int], sources: NDArray[np.intp]) -> str:
    shown = [f"{index} is {sources[index]}" for index in off[:6]]
    return join_words(shown) + (f" and {len(off) - 6} more" if len(off) > 6 else "")
