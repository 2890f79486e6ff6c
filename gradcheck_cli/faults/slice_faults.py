"""Faults of where slices of a gradient come from: shifted, reordered, or those of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import name_slices
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.text import join_words

Float = NDArray[np.float64]

MOST_SLICES = 128  # along an axis; every slice is compared with every other


def shift_slices(measured: MeasuredGradient) -> Iterator[Injected]:
    """Slices shifted by one, and the first one where the second belongs."""
    if not measured.whole:
        return
    for axis, size in enumerate(measured.shape):
        if size > 1:
            yield _take_slices(measured, axis, np.roll(np.arange(size), 1))
    if measured.shape and measured.shape[0] > 1:
        stale = np.arange(measured.shape[0])
        stale[1] = 0
        yield _take_slices(measured, 0, stale)


def fit_slice_sources(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Slices of the numeric gradient, along an axis, in another order or more than once."""
    if not measured.whole:
        return
    for axis, size in enumerate(measured.shape):
        if 1 < size <= MOST_SLICES:
            sources = _find_sources(comparison, measured, axis)
            if sources is not None and not np.array_equal(sources, np.arange(size)):
                yield _take_slices(measured, axis, sources)


def _find_sources(
    comparison: Comparison, measured: MeasuredGradient, axis: int
) -> NDArray[np.intp] | None:
    """Which slice of the numeric gradient every slice of the analytic one is; its own if it can."""
    analytic, value, allowed = (
        np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        for array in (
            comparison.analytic,
            measured.value,
            comparison.allowed + measured.uncertainty,
        )
    )
    sources = np.empty(len(value), dtype=np.intp)
    for index in range(len(value)):
        gap = np.abs(analytic[index] - value)
        fits = np.flatnonzero(np.all(gap <= np.maximum(allowed[index], allowed), axis=1))
        if not len(fits):
            return None
        sources[index] = index if index in fits else fits[0]
    return sources


def _take_slices(measured: MeasuredGradient, axis: int, sources: NDArray[np.intp]) -> Injected:
    value, size = np.take(measured.value, sources, axis), len(sources)
    words = name_slices(axis, measured.shape)
    every = np.arange(size)
    shift = next((k for k in range(1, size) if np.array_equal(np.roll(every, k), sources)), 0)
    if shift:
        by = shift if shift <= size // 2 else shift - size
        observation = f"its {words} are shifted by {by}".replace("-", "−")
    elif np.array_equal(sources, range(size - 1, -1, -1)):
        observation = f"its {words} are reversed"
    elif len(set(sources.tolist())) == size:
        off = [k for k in range(size) if sources[k] != k]
        observation = f"its {words} are in another order: {_describe_mapping(off, sources)}"
    else:
        off = [k for k in range(size) if sources[k] != k]
        observation = f"its {words} are those of others: {_describe_mapping(off, sources)}"
    return Injected(
        measured.whole_values(value, np.take(measured.uncertainty, sources, axis)),
        observation,
        same=f"these {words} of the gradient are equal"
        if np.array_equal(value, measured.value)
        else "",
        choices=size if shift else 10.0 ** (sum(sources != range(size)) * log10(size)),
    )


def _describe_mapping(off: Sequence[int], sources: NDArray[np.intp]) -> str:
    listed = [f"{index} is {sources[index]}" for index in off[:6]]
    return join_words(listed) + (f" and {len(off) - 6} more" if len(off) > 6 else "")
