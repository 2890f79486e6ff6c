"""Faults of where slices of a gradient come from: shifted, reordered, or those of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import name_slices
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.text import join_words

LONGEST_SHIFT = 2  # of a gradient by a padding that is cut off in the wrong place
MOST_SLICES = 128  # along an axis; every slice is compared with every other


def shift_slices(measured: MeasuredGradient) -> Iterator[Injected]:
    """Slices are shifted by one, or the second one is a copy of the first."""
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
    """Slices along an axis are in another order, or some are copies of others."""
    # If all wrong entries should be zero, a mask is missing, and nothing comes from elsewhere.
    if not measured.whole or not measured.value[comparison.wrong].any():
        return
    for axis, size in enumerate(measured.shape):
        if 1 < size <= MOST_SLICES:
            sources = _find_sources(comparison, measured, axis)
            if sources is not None and not np.array_equal(sources, np.arange(size)):
                yield _take_slices(measured, axis, sources)
    yield from _shift_without_edges(measured, comparison)
    yield from _reorder_entries(measured, comparison)


def _shift_without_edges(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient is shifted along its last axes, as if a padding is cut off in the wrong place.

    What comes in at the edges is not known, and is not compared.
    """
    shape, places = measured.shape, np.arange(measured.value.size).reshape(measured.shape)
    axes = [axis for axis in range(len(shape))[-2:] if shape[axis] > LONGEST_SHIFT]
    for some in [*((axis,) for axis in axes), tuple(axes)][: 2 * len(axes) - 1]:
        for by in (-1, 1, -2, 2):
            to, source = (
                tuple(
                    slice(max(0, sign * by), size + min(0, sign * by))
                    if axis in some
                    else slice(None)
                    for axis, size in enumerate(shape)
                )
                for sign in (1, -1)
            )
            along = " and ".join(f"axis {axis}" for axis in some) if len(shape) > 1 else ""
            inside, value = comparison.analytic[to], measured.value[source]
            gap = np.abs(inside - value)
            if 2 * inside.size < measured.value.size or np.any(
                gap > comparison.allowed[to] + measured.uncertainty[source]
            ):
                continue
            yield Injected(
                Values(
                    value.ravel(),
                    measured.uncertainty[source].ravel(),
                    places[to].ravel(),
                ),
                f"it is shifted by {by}{along and ' along '}{along}, but for what comes in at the "
                "edge".replace("-", "−"),
                choices=12.0,
                cause="a slice, as one that cuts off a padding, begins elsewhere than it should",
                next_step="compare where the forward pads or shifts with where the backward cuts",
            )


def _reorder_entries(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The entries of the gradient are all there, but in another order."""
    analytic, value = comparison.analytic.ravel(), measured.value.ravel()
    sources = np.empty(value.size, dtype=np.intp)
    sources[np.argsort(analytic)] = np.argsort(value)
    gap = np.abs(analytic - value[sources])
    allowed = comparison.allowed.ravel() + measured.uncertainty.ravel()[sources]
    if min(measured.shape, default=0) < 2 or not np.all(gap <= allowed):
        return
    uncertainty = measured.uncertainty.ravel()[sources]
    yield Injected(
        Values(value[sources], uncertainty, np.arange(value.size)),
        "its entries are those of the numeric gradient in another order",
        parameters=1,
        choices=10.0 ** min(300.0, value.size * log10(value.size)),
        cause="a reshape, a repeat or a tile counts along another axis than the forward does",
        next_step="write down which entry of the input each output takes, and the shapes between",
    )


def _find_sources(
    comparison: Comparison, measured: MeasuredGradient, axis: int
) -> NDArray[np.intp] | None:
    """For each analytic slice, the numeric slice that it is equal to, its own if possible; None if
    some slice is equal to none."""
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
    """The gradient whose slices along an axis are those of other indices."""
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
