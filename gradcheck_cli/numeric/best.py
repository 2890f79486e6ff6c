"""The best cell of every entry so far, from its Neville tables, and what else the steps showed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import fields
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.numeric.rung import TABLES

# Noise below this share of an uncertainty does not explain it, and hides no kink. Where no kink was
# taken to be hidden, 4 of 120 right gradients of nets with units 1e-9 from their corners failed.
NOISE_SHARE = 0.3
# Roundings on the way to the outputs are expected to be this share of the largest that they can be.
# With none expected, right entries were inconclusive or failed in 20 of 600 tails of functions such
# as x (1 + erf x).
EXPECTED = 2.0**-3
# A slope that is seen only far from x counts if it exceeds so many uncertainties: a smaller one may
# be the difference between the two ends of a bounded unit.
CLEAR_SLOPE = 4.0
# Over the largest entry: a smaller uncertainty is good enough, whatever made it.
UNRESOLVED = 1e-9
# The fields that are still needed of entries that are clear.
CLEAR_FIELDS = ("cells", "steepness", "hidden_rounding", "proven")
BLOCK = 2**13  # entries that are judged at once: their arrays fit a cache
# The axis of the entries where it is not the first.
ENTRY_AXES = {"cells": 2, "interval": 2, "last_seen": 1, "drift": 1}


class Best(Struct, eq=False):
    """The best cell so far of every table, entry and cotangent, and what else the steps showed.

    Arrays are (entries, cotangents) unless it says otherwise.
    cells: value, uncertainty, the noise in it, and step, (4, TABLES, entries, cotangents).
    interval: the narrowest one so far that held the quotients and the first extrapolations of a
        step, low and high, (2, TABLES, entries, cotangents).
    floor, steepness, first_noise: those of the first rung; see `Rung`.
    hidden_rounding: what roundings on the way to the outputs may add up to, unseen in the outputs.
    done: where a smaller step would not improve the cells.
    diverges: where the quotients seem to diverge; see `NevilleTables.divergence`.
    drift: the change of one-sided quotients that drift from one step to the next, (sides, entries,
        cotangents); 0 where they converge.
    last_seen: steepness and Σ |c|·move at the smallest step at which any output moved, (2, entries,
        cotangents).
    largest_move: the largest Σ |c|·move at any step.
    possible: how large an entry that is zero by invariance could be; 0 of other entries.
    unused: which of these entries move no output at all, (entries,).
    proven: which entries have proven their value at two steps, (entries,); see `Pilots`.
    """

    cells: Float
    interval: Float
    floor: Float
    steepness: Float
    first_noise: Float
    hidden_rounding: Float
    done: NDArray[np.bool_]
    diverges: NDArray[np.bool_]
    drift: Float
    last_seen: Float
    largest_move: Float
    possible: Float
    unused: NDArray[np.bool_]
    proven: NDArray[np.bool_]

    @classmethod
    def start(
        cls,
        floor: Float,
        steepness: Float,
        first_noise: Float,
        hidden_rounding: Float | None = None,
    ) -> Best:
        """What the first rung shows; there are no cells yet."""
        zeros, nothing = np.zeros(steepness.shape), np.zeros(steepness.shape, dtype=bool)
        return cls(
            cells=np.full((4, TABLES, *steepness.shape), np.inf),
            interval=np.multiply.outer([-np.inf, np.inf], np.ones((TABLES, *steepness.shape))),
            floor=np.where(np.isfinite(floor), floor, 0.0),
            steepness=steepness,
            first_noise=first_noise,
            hidden_rounding=zeros if hidden_rounding is None else hidden_rounding,
            done=nothing.copy(),
            diverges=nothing.copy(),
            drift=np.zeros((2, *steepness.shape)),
            last_seen=np.zeros((2, *steepness.shape)),
            largest_move=zeros.copy(),
            possible=zeros.copy(),
            unused=np.zeros(len(steepness), dtype=bool),
            proven=np.zeros(len(steepness), dtype=bool),
        )

    @classmethod
    def joined(cls, parts: Iterable[Best], count: int) -> Best:
        """One table of all `count` entries from parts of consecutive entries.

        To save memory where there are millions of entries, each part is copied before the next is
        made, and of entries that are clear only CLEAR_FIELDS are copied.
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
        """Arrays like these for `count` entries, all zeros, which take no memory until set."""
        arrays = {}
        for name, axis in _AXES.items():
            mine = getattr(self, name)
            shape = (*mine.shape[:axis], count, *mine.shape[axis + 1 :])
            arrays[name] = np.zeros(shape, dtype=mine.dtype)
        return Best(**arrays)

    def blocks(self) -> Iterator[tuple[slice, Best]]:
        """The entries in parts, as views, each with the slice of its rows."""
        if len(self.proven) <= BLOCK:
            yield slice(None), self
            return
        for start in range(0, len(self.proven), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, self.take(rows)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Best:
        """The rows of these entries, in this order."""
        return Best(**{name: getattr(self, name)[_at(axis, rows)] for name, axis in _AXES.items()})

    def put(self, rows: NDArray[np.intp], other: Best) -> None:
        """Overwrite these rows; only a floor is never lowered."""
        floor = np.maximum(self.floor[rows], other.floor)
        for name, axis in _AXES.items():
            getattr(self, name)[_at(axis, rows)] = getattr(other, name)
        self.floor[rows] = floor

    @property
    def value(self) -> Float:
        """The values of the best cells, (TABLES, entries, cotangents); a view."""
        value: Float = self.cells[0]
        return value

    @property
    def uncertainty(self) -> Float:
        """The uncertainties of the values; a view."""
        uncertainty: Float = self.cells[1]
        return uncertainty

    @property
    def noise(self) -> Float:
        """The noise in the uncertainties; a view."""
        noise: Float = self.cells[2]
        return noise

    @property
    def step(self) -> Float:
        """The steps of the values; a view."""
        step: Float = self.cells[3]
        return step

    @property
    def unmoved(self) -> NDArray[np.bool_]:
        """Which entries moved the outputs by no more than noise at the first step.

        Entries that are zero by invariance are left out.
        """
        still: NDArray[np.bool_] = np.all(self.steepness <= self.first_noise, axis=1)
        return still & ~self.invariant

    @property
    def has_slope(self) -> NDArray[np.bool_]:
        """Which entries have a slope that is clearly not zero."""
        clear = np.abs(self.value) > CLEAR_SLOPE * self.uncertainty
        return np.asarray(np.any(clear, axis=(0, 2)))

    def has_slope_beyond(self, uncertainties: float) -> NDArray[np.bool_]:
        """Which entries have a slope of more than so many uncertainties in all three tables."""
        clear = np.all(np.abs(self.value) > uncertainties * self.uncertainty, axis=0)
        return np.asarray(np.any(clear, axis=1))

    @property
    def invariant(self) -> NDArray[np.bool_]:
        """Which entries are zero by invariance, for every cotangent."""
        known: NDArray[np.bool_] = np.all(self.possible > 0, axis=1)
        return known

    @property
    def largest(self) -> Float:
        """The largest value with a finite uncertainty, (TABLES, 1, cotangents)."""
        largest: Float = np.zeros((TABLES, 1, self.steepness.shape[1]))
        for _, part in self.blocks():
            size = np.where(np.isfinite(part.uncertainty), np.abs(part.value), 0.0)
            np.maximum(largest, np.max(size, axis=1, keepdims=True, initial=0.0), out=largest)
        return largest

    def unsettled(self, largest: Float) -> NDArray[np.bool_]:
        """Where quotients diverge, or drift by more than UNRESOLVED of the largest entry."""
        drifts = np.any(self.drift > UNRESOLVED * largest[0], axis=0)
        return np.asarray(self.diverges | drifts)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Which entries need no further steps: their quotients converge, and their uncertainty is
        below UNRESOLVED of their own value, so that they are not zero either."""
        known = np.all(self.uncertainty < UNRESOLVED * np.abs(self.value), axis=(0, 2))
        going = np.any(self.diverges | np.any(self.drift > 0, axis=0), axis=1)
        return np.asarray(known & ~going)

    def settle_at_zero(self, row: int, possible: Float, uncertainty: Float, unused: bool) -> None:
        """Record that an entry is zero by invariance; see `Best` for the arguments."""
        self.value[:, row], self.noise[:, row] = 0.0, uncertainty
        self.diverges[row], self.drift[:, row] = False, 0.0
        self.uncertainty[:, row] = uncertainty
        self.possible[row], self.unused[row] = possible, unused

    def replace(self, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_]) -> None:
        """Overwrite those of these rows that are usable with those of another measurement."""
        self.put(rows[usable], other.take(usable))

    def offer(self, rows: NDArray[np.intp], cells: Float) -> None:
        """Take new cells, of a smaller step, where they are less uncertain or more trustworthy.

        A new cell replaces an old one in three cases. It is less uncertain. Or it lies outside the
        uncertainty of the old one, which it refutes: quotients at large steps may have agreed by
        chance. Or its noise is small: only noise makes a smaller step worse than a larger one, so
        its own, larger uncertainty is the honest one.

        Numbers on the way to the outputs are rounded, too. In the tail of 1 + erf(x), a factor that
        moves at large steps stands still when the step moves it by less than its last place. So a
        step at which the two values differ by no more than such roundings refutes nothing.
        """
        # A view where possible: a copy of millions of entries takes as long as the work itself.
        every = len(rows) == len(self.proven)
        mine = self.cells if every else self.cells[:, :, rows]
        hidden = self.hidden_rounding[rows]
        apart = np.abs(cells[0] - mine[0])
        contradict = apart > mine[1]
        frozen = contradict & (apart * cells[3] <= hidden)
        lost = EXPECTED * hidden / cells[3]
        quiet = np.maximum(cells[2], lost) < NOISE_SHARE * mine[1]
        better = ((cells[1] < mine[1]) | contradict | quiet) & ~(self.done[rows] | frozen)
        np.copyto(mine, cells, where=better)
        if not every:
            self.cells[:, :, rows] = mine


_AXES = {field.name: ENTRY_AXES.get(field.name, 0) for field in fields(Best)}


def _at(axis: int, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> tuple[object, ...]:
    """The index of these rows along an axis."""
    return (*(slice(None),) * axis, rows)
