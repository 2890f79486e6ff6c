"""What is known of entries so far: the best cell of each in the ladder's tables, and its moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import fields
from numpy.typing import NDArray

from gradcheck_cli.numeric.ladder import TABLES
from gradcheck_cli.numeric.noise import Float

# Of an uncertainty: noise that is less does not explain it, and hides no kink. With units of a net
# 1e-9 from their corners, 4 of 120 right gradients failed where none was taken to be hidden.
NOISE_SHARE = 0.3
# Of what roundings on the way to the outputs may come to: what they are to be expected to make. In
# 600 tails of x (1 + erf x) and its like, right entries of 20 were inconclusive or failed without.
EXPECTED = 2.0**-3
# Uncertainties that a slope exceeds which is seen far from x alone: less may be what the ends of a
# bounded unit differ by.
CLEAR_SLOPE = 4.0
# Of the largest entry: what is known to that has settled well enough.
UNRESOLVED = 1e-9
# What is asked for of entries that are clear: how they got there is not.
CLEAR_FIELDS = ("cells", "slope", "place", "proven")
BLOCK = 2**13  # entries that are judged at once: their arrays fit a cache
# The axis of the entries in arrays that have others before it; in all others it is the first.
ENTRY_AXES = {"cells": 2, "between": 2, "last": 1, "drift": 1}


class Best(Struct, eq=False):
    """The best cell so far of every table, entry and cotangent, and what else is known of entries.

    All arrays have an axis of the entries, and after it, but for `unused` and `proven`, one of the
    cotangents.
    cells: value, uncertainty, the noise in it, step, (4, TABLES, entries, cotangents).
    between: the narrowest interval that quotients and their first extrapolations were seen in, low
        and high, (2, TABLES, entries, cotangents). floor, slope, first_noise: of the first rung.
    place: what roundings of numbers on the way to the outputs may come to, unseen in these.
    done: which entries and cotangents a smaller step would not improve.
    grows: where quotients were last seen to grow without end.
    drift: by what those of each side were last seen to go on to change from a step to the next,
        (sides, entries, cotangents); 0 where they settle.
    last: the slope, and Σ |c|·move, of the smallest step at which anything moved, (2, entries, …).
    most: the largest Σ |c|·move of all steps so far.
    possible: of entries that are zero by invariance, what they could be; else 0. unused: which of
        these move nothing at all. proven: which have proven their value by two steps; see `Pilots`.
    """

    cells: Float
    between: Float
    floor: Float
    slope: Float
    first_noise: Float
    place: Float
    done: NDArray[np.bool_]
    grows: NDArray[np.bool_]
    drift: Float
    last: Float
    most: Float
    possible: Float
    unused: NDArray[np.bool_]
    proven: NDArray[np.bool_]

    @classmethod
    def start(
        cls, floor: Float, slope: Float, first_noise: Float, place: Float | None = None
    ) -> Best:
        """What the first rung tells, before any cell."""
        nothing = np.zeros(slope.shape, dtype=bool)
        return cls(
            cells=np.full((4, TABLES, *slope.shape), np.inf),
            between=np.multiply.outer([-np.inf, np.inf], np.ones((TABLES, *slope.shape))),
            floor=np.where(np.isfinite(floor), floor, 0.0),
            slope=slope,
            first_noise=first_noise,
            place=np.zeros(slope.shape) if place is None else place,
            done=nothing.copy(),
            grows=nothing.copy(),
            drift=np.zeros((2, *slope.shape)),
            last=np.zeros((2, *slope.shape)),
            most=np.zeros(slope.shape),
            possible=np.zeros(slope.shape),
            unused=np.zeros(len(slope), dtype=bool),
            proven=np.zeros(len(slope), dtype=bool),
        )

    @classmethod
    def joined(cls, parts: Iterable[Best], count: int) -> Best:
        """What is known of consecutive entries, `count` in all, as one.

        Of millions of entries, not all is held twice: a part is made when those before are taken;
        and of entries that are clear only what is asked for later.
        """
        whole: Best | None = None
        start = 0
        for part in parts:
            if len(part.proven) == count:
                return part
            whole = part.enlarged(count) if whole is None else whole
            rows = slice(start, start + len(part.proven))
            for name in CLEAR_FIELDS:
                getattr(whole, name)[_at(_AXES[name], rows)] = getattr(part, name)
            others = np.flatnonzero(~part.clear)
            if len(others):
                whole.put(start + others, part.take(others))
            start = rows.stop
        assert whole is not None
        return whole

    def enlarged(self, count: int) -> Best:
        """Arrays as these of so many entries, of zeros: those that are not set take no memory."""
        arrays = {}
        for name, axis in _AXES.items():
            mine = getattr(self, name)
            shape = (*mine.shape[:axis], count, *mine.shape[axis + 1 :])
            arrays[name] = np.zeros(shape, dtype=mine.dtype)
        return Best(**arrays)

    def blocks(self) -> Iterator[tuple[slice, Best]]:
        """The entries in parts, which are views, with where they are."""
        if len(self.proven) <= BLOCK:
            yield slice(None), self
            return
        for start in range(0, len(self.proven), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, self.take(rows)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Best:
        """The same of some entries, in this order."""
        return Best(**{name: getattr(self, name)[_at(axis, rows)] for name, axis in _AXES.items()})

    def put(self, rows: NDArray[np.intp], other: Best) -> None:
        """Set all that is known of the entries of these rows; but floors are never lowered."""
        floor = np.maximum(self.floor[rows], other.floor)
        for name, axis in _AXES.items():
            getattr(self, name)[_at(axis, rows)] = getattr(other, name)
        self.floor[rows] = floor

    @property
    def value(self) -> Float:
        """Of every table, entry and cotangent; a view."""
        value: Float = self.cells[0]
        return value

    @property
    def uncertainty(self) -> Float:
        """Of the values; a view."""
        uncertainty: Float = self.cells[1]
        return uncertainty

    @property
    def noise(self) -> Float:
        """The part of noise in the uncertainties; a view."""
        noise: Float = self.cells[2]
        return noise

    @property
    def step(self) -> Float:
        """That the values are from; a view."""
        step: Float = self.cells[3]
        return step

    @property
    def unmoved(self) -> NDArray[np.bool_]:
        """Which entries moved the outputs, by the largest step, no more than noise does."""
        still: NDArray[np.bool_] = np.all(self.slope <= self.first_noise, axis=1)
        return still & ~self.invariant

    @property
    def sloping(self) -> NDArray[np.bool_]:
        """Which entries have a slope that is clearly not zero."""
        clear = np.abs(self.value) > CLEAR_SLOPE * self.uncertainty
        sloping: NDArray[np.bool_] = np.any(clear, axis=(0, 2))
        return sloping

    def sloping_beyond(self, uncertainties: float) -> NDArray[np.bool_]:
        """Which entries have, in every table, a slope of more than so many uncertainties."""
        clear = np.all(np.abs(self.value) > uncertainties * self.uncertainty, axis=0)
        return np.asarray(np.any(clear, axis=1))

    @property
    def invariant(self) -> NDArray[np.bool_]:
        """Which entries are zero by invariance, for every cotangent."""
        known: NDArray[np.bool_] = np.all(self.possible > 0, axis=1)
        return known

    @property
    def largest(self) -> Float:
        """The largest entry that is known, of each table and cotangent: (TABLES, 1, cotangents)."""
        largest: Float = np.zeros((TABLES, 1, self.slope.shape[1]))
        for _, part in self.blocks():
            size = np.where(np.isfinite(part.uncertainty), np.abs(part.value), 0.0)
            np.maximum(largest, np.max(size, axis=1, keepdims=True, initial=0.0), out=largest)
        return largest

    def unsettled(self, largest: Float) -> NDArray[np.bool_]:
        """Which entries and cotangents have quotients that grow, or on a side drift by what counts
        beside the largest entry."""
        drifts = np.any(self.drift > UNRESOLVED * largest[0], axis=0)
        return np.asarray(self.grows | drifts)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Which entries have settled and are known to UNRESOLVED of themselves: no other step adds
        anything to that, and none is in doubt of being zero."""
        known = np.all(self.uncertainty < UNRESOLVED * np.abs(self.value), axis=(0, 2))
        going = np.any(self.grows | np.any(self.drift > 0, axis=0), axis=1)
        return np.asarray(known & ~going)

    def settle_at_zero(self, row: int, possible: Float, uncertainty: Float, unused: bool) -> None:
        """An entry is zero by invariance: all there is to know of it."""
        self.value[:, row], self.noise[:, row] = 0.0, uncertainty
        self.grows[row], self.drift[:, row] = False, 0.0
        self.uncertainty[:, row] = uncertainty
        self.possible[row], self.unused[row] = possible, unused

    def replace(self, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_]) -> None:
        """Take all that another knows for these rows, of which some are usable."""
        self.put(rows[usable], other.take(usable))

    def offer(self, rows: NDArray[np.intp], cells: Float) -> None:
        """Take new cells of a smaller step where they are less uncertain, or more to be believed.

        Quotients that agree at large steps can agree by chance. A value that lies outside the
        uncertainty of the one of larger steps refutes it; and only noise can make a smaller step
        worse than a larger one, so where noise is small, its uncertainty is the true one. Noise is
        that of numbers on the way to the outputs, too: over less than their last place, as in the
        tail of 1 + erf(x), a factor stands still that moves at larger steps. So nothing is refuted
        by a step at which the two differ by no more than that.
        """
        # A view where it is of all entries: of millions, a copy takes as long as what is done here.
        every = len(rows) == len(self.proven)
        mine = self.cells if every else self.cells[:, :, rows]
        place = self.place[rows]
        apart = np.abs(cells[0] - mine[0])
        contradict = apart > mine[1]
        frozen = contradict & (apart * cells[3] <= place)
        lost = EXPECTED * place / cells[3]
        quiet = np.maximum(cells[2], lost) < NOISE_SHARE * mine[1]
        better = ((cells[1] < mine[1]) | contradict | quiet) & ~(self.done[rows] | frozen)
        np.copyto(mine, cells, where=better)
        if not every:
            self.cells[:, :, rows] = mine


_AXES = {field.name: ENTRY_AXES.get(field.name, 0) for field in fields(Best)}


def _at(axis: int, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> tuple[object, ...]:
    """The index of these rows along an axis."""
    return (*(slice(None),) * axis, rows)
