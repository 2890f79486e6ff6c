"""Faults of the upstream gradient δ a rule works with: left out, squared, some samples only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import Right
from gradcheck_cli.faults.solving import solved
from gradcheck_cli.faults.where import told_numbers
from gradcheck_cli.measure.compare import Comparison
from gradcheck_cli.problem import Stage, no_stages

Float = NDArray[np.float64]
Change = Callable[[Float], Float]

MOST_PAIRS = 12  # samples of which all pairs are tried in each other's place
MOST_PARTS = 64  # samples or outputs whose shares are solved for
WHOLE = 1e-4  # how far a solved share may be from 0 or 1
MOVED = 1e-6  # relative to the largest: by how much an entry differs
MOST_UNKNOWNS = 256  # entries of an upstream gradient that is solved for


def _stages(right: Right) -> Iterator[Stage]:
    """The stages whose upstream gradients rules work with; none where it is only a number."""
    for stage in right.stages:
        # That of a loss is 1, and is handed to nobody.
        handed = stage.cotangent.size > 1 or np.any(stage.cotangent != 1)
        if handed or right.problem.stages is not no_stages:
            yield stage


def _with(right: Right, change: Change, told: str, choices: float = 1.0) -> Iterator[Injected]:
    """The gradient with a changed upstream gradient, in whose words `δ` is its symbol."""
    for stage in _stages(right):
        yield _changed(right, stage, change, told, choices)


def _changed(
    right: Right, stage: Stage, change: Change, told: str, choices: float = 1.0
) -> Injected:
    delta, symbol = np.asarray(stage.cotangent, dtype=np.float64), stage.symbol
    values = right.contracted(stage, change(delta))
    same = f"{symbol} is the same with it" if np.array_equal(change(delta), delta) else ""
    return Injected(
        values,
        told if told.startswith("it is") else f"it is the gradient for {told.replace('δ', symbol)}",
        same=same,
        choices=choices,
    )


def left_out(right: Right) -> Iterator[Injected]:
    """Ones in its place."""
    yield from _with(right, np.ones_like, "ones in the place of δ")


def powers(right: Right) -> Iterator[Injected]:
    """Its square."""
    yield from _with(right, np.square, "δ² in the place of δ")


def distorted(right: Right, found: Comparison) -> Iterator[Injected]:
    """Its square, its sign, its size."""
    yield from powers(right)
    yield from _with(right, np.sign, "the sign of δ in its place")
    yield from _with(right, np.abs, "|δ| in the place of δ")


def turned(right: Right) -> Iterator[Injected]:
    """Its transpose, where it is square."""
    for stage in _stages(right):
        shape = stage.cotangent.shape
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            yield _changed(right, stage, np.transpose, "δᵀ in the place of δ")


def averaged(right: Right) -> Iterator[Injected]:
    """Its mean over the samples for each of them; and that mean subtracted."""
    for stage, axis, _ in _samples(right):

        def mean(delta: Float, axis: int = axis) -> Float:
            return np.broadcast_to(delta.mean(axis, keepdims=True), delta.shape)

        def centred(delta: Float, axis: int = axis) -> Float:
            return np.asarray(delta - delta.mean(axis, keepdims=True))

        told = "the mean of δ over the samples in the place of δ"
        yield _changed(right, stage, mean, told)
        yield _changed(right, stage, centred, "δ without its mean over the samples")


def some_samples(right: Right) -> Iterator[Injected]:
    """The first sample only, and all but the last."""
    for stage, axis, size in _samples(right):
        first = np.zeros(size)
        first[0] = 1.0
        yield _shared(right, stage, axis, first)
        if size > 2:
            yield _shared(right, stage, axis, np.ones(size) - first[::-1])


def samples_counted(right: Right, found: Comparison) -> Iterator[Injected]:
    """The samples that a wrong gradient counts, where its entries tell; else the usual ones."""
    for stage, axis, _ in _samples(right):
        shares = _solved(right, found, stage, axis)
        if shares is None:
            yield from some_samples(right)
        elif not np.all(shares == 1.0):
            yield _shared(right, stage, axis, shares)


def some_outputs(right: Right) -> Iterator[Injected]:
    """All outputs but the last; of several outputs that are joined, all but each."""
    yield from _parts(right)
    for stage, axis in list(_outputs(right))[-1:]:
        shares = np.ones(stage.cotangent.shape[axis])
        shares[-1] = 0.0
        yield _shared(right, stage, axis, shares)


def outputs_counted(right: Right, found: Comparison) -> Iterator[Injected]:
    """The outputs that a wrong gradient counts, where its entries tell; else all but the last."""
    yield from _parts(right)
    for stage, axis in _outputs(right):
        shares = _solved(right, found, stage, axis)
        if shares is None:
            last = np.ones(stage.cotangent.shape[axis])
            last[-1] = 0.0
            yield _shared(right, stage, axis, last)
        elif not np.all(shares == 1.0):
            yield _shared(right, stage, axis, shares)


def _parts(right: Right) -> Iterator[Injected]:
    """The gradient without each of several outputs that are joined in one."""
    for stage in right.declared[:1]:
        ends = np.cumsum(right.problem.parts)
        for place, end in enumerate(ends):
            kept = np.ones(stage.cotangent.shape)
            kept[end - right.problem.parts[place] : end] = 0.0
            told = f"δ without that of output {place}"
            yield _changed(right, stage, partial(np.multiply, kept), told)


def _samples(right: Right) -> Iterator[tuple[Stage, int, int]]:
    for stage in _stages(right):
        axis = stage.sample_axis
        if axis is not None and stage.cotangent.shape[axis] > 1:
            yield stage, axis, stage.cotangent.shape[axis]


def _outputs(right: Right) -> Iterator[tuple[Stage, int]]:
    for stage in _stages(right):
        shape = stage.cotangent.shape
        for axis in range(len(shape)):
            if axis != stage.sample_axis and shape[axis] > 1:
                yield stage, axis


def _shared(right: Right, stage: Stage, axis: int, shares: Float) -> Injected:
    """The gradient for δ times a share of 0 or 1 along an axis."""
    shape = [1] * stage.cotangent.ndim
    shape[axis] = len(shares)
    kept, lost = np.flatnonzero(shares), np.flatnonzero(shares == 0)
    part = "sample" if axis == stage.sample_axis else "output"
    some = kept if len(kept) <= len(lost) else lost
    named = f"{part}{'s' * (len(some) != 1)} {told_numbers(tuple(map(int, some)))}"
    along = f" along axis {axis}" if len(shape) > 1 and part == "output" else ""
    told = f"{named}{along} of δ only" if some is kept else f"δ without {named}{along}"
    choices = 2.0 ** min(len(shares), 300)
    return _changed(right, stage, lambda delta: delta * shares.reshape(shape), told, choices)


def _solved(right: Right, found: Comparison, stage: Stage, axis: int) -> Float | None:
    """The share of 0 or 1 with which each part of δ along an axis counts; None if none fits."""
    size = stage.cotangent.shape[axis]
    jacobian = right.jacobian(stage)
    if not size <= min(MOST_PARTS, len(jacobian.at) - 1):
        return None
    parts = []
    for index in range(size):
        mask = np.zeros(stage.cotangent.shape)
        np.moveaxis(mask, axis, 0)[index] = 1.0
        parts.append((stage.cotangent * mask).ravel() @ jacobian.value)
    weights = solved(np.stack(parts), found, jacobian.at, found.analytic)
    if weights is None or not np.any(weights):
        return None
    # A factor besides is found for itself.
    shares = weights / weights[np.argmax(np.abs(weights))]
    whole = np.round(shares)
    if np.max(np.abs(shares - whole)) > WHOLE or not set(whole) <= {0.0, 1.0}:
        return None
    return np.asarray(whole)


def samples_moved(right: Right) -> Iterator[Injected]:
    """Samples reversed, and shifted by one."""
    for stage, axis, size in _samples(right):
        yield _ordered(right, stage, axis, np.arange(size)[::-1], "in reversed order")
        if size > 2:
            yield _ordered(right, stage, axis, np.roll(np.arange(size), 1), "shifted by 1")


def samples_in_any_order(right: Right, found: Comparison) -> Iterator[Injected]:
    """Samples reversed, shifted, and any two in each other's place."""
    for stage, axis, size in _samples(right):
        every = np.arange(size)
        yield _ordered(right, stage, axis, every[::-1], "in reversed order")
        for shift in range(1, min(size, MOST_PARTS)):
            by = shift if shift <= size // 2 else shift - size
            told = f"shifted by {by}".replace("-", "−")
            yield _ordered(right, stage, axis, np.roll(every, shift), told)
        for first in range(min(size, MOST_PAIRS)):
            for second in range(first):
                order = every.copy()
                order[[first, second]] = second, first
                told = f"with samples {second} and {first} swapped"
                yield _ordered(right, stage, axis, order, told)


def _ordered(right: Right, stage: Stage, axis: int, order: NDArray[np.intp], told: str) -> Injected:
    choices = float(len(order) ** 2)
    return _changed(
        right,
        stage,
        lambda delta: np.take(delta, order, axis),
        f"the samples of δ {told}",
        choices,
    )


def another(right: Right, found: Comparison) -> Iterator[Injected]:
    """The upstream gradient with which the rule would give what it gave, where it can be solved."""
    for stage in _stages(right):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        if not 1 < delta.size <= MOST_UNKNOWNS:
            continue
        jacobian = right.jacobian(stage)
        if len(jacobian.at) <= delta.size:
            continue
        other = solved(jacobian.value, found, jacobian.at, found.analytic)
        if other is None:
            continue
        other = other.reshape(delta.shape)
        differ = np.argwhere(np.abs(other - delta) > MOVED * np.max(np.abs(delta)))
        for first in differ[:1]:
            index = tuple(int(axis) for axis in first)
            yield Injected(
                jacobian.contracted(other.ravel()),
                f"it is the gradient for another upstream gradient than {stage.symbol}: for "
                f"{other[index]:.6g} at {list(index)} in the place of "
                f"{delta[index]:.6g}, {len(differ)} of {delta.size} entries differ",
                fitted=delta.size,
            )


def summed(right: Right) -> Iterator[Injected]:
    """Its sum over another axis than that of samples, where that has the shape of the gradient."""
    if right.whole and right.value.size > 1:
        for stage in _stages(right):
            for axis, total in _sums(stage, right.shape):
                if axis != stage.sample_axis:
                    told = f"it is the sum of {stage.symbol} over axis {axis}"
                    yield Injected(right.whole_values(total), told)


def summed_wrongly(claimed: Any, right: Right) -> Iterator[tuple[str, Float]]:
    """What a claim of another shape could be: sums of the upstream gradient over each axis."""
    for stage in right.declared:
        for axis, total in _sums(stage, np.shape(claimed)):
            yield f"the sum of {stage.symbol} over axis {axis}", total


def _sums(stage: Stage, shape: tuple[int, ...]) -> Iterator[tuple[int, Float]]:
    """The sums of an upstream gradient that have this shape, and over which axis they are."""
    delta = np.asarray(stage.cotangent, dtype=np.float64)
    for axis in range(delta.ndim):
        for total in (delta.sum(axis), delta.sum(axis, keepdims=True)):
            if total.shape == shape:
                yield axis, total
