"""Extrapolation of quotients at shrinking steps to step zero, with what is known of its error.

Three tables at once: the central quotient, whose error has even powers of the step, and the
quotients of the right and the left side, whose errors have all powers. Source: C. Ridders (1982).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float

# Of a step to the next. With 2, an oscillation whose period fits the first step fits many more
# of them and passes for a slow one; no power of √3 but the even ones is a whole number.
RATIO = 3.0**0.5
MIN_LEVELS = 3  # two agreeing quotients can be chance, three with their extrapolations hardly
COLUMNS = 6  # of Neville's tables; later columns gain nothing over the noise
# Of a spread: the best of many cells has a small one partly by chance.
SPREAD_FACTOR = 4.0
NOISE_SHARE = 0.3  # noise below this share of an uncertainty does not explain it
KINK_NOISE_RATIO = 0.1  # of the gap of a kink: noise below this can still tell it from a sharp bend
JUMP_GROWTH = 1.3  # of a quotient from a step to the next; a jump makes it RATIO
# The same of quotients that go to infinity, or seem to: those of |x|^p grow by RATIO^(1 − p). Where
# noise is more than that share of them, it does not show whether they stopped growing.
GROWTH, GROWTH_NOISE = 1.2, 0.1
# Uncertainties that a slope exceeds which is seen far from x alone: less may be what the ends of a
# bounded unit differ by.
CLEAR_SLOPE = 4.0
FEW_QUOTIENTS_FACTOR = 2.0  # times the noise: two quotients show less of it than three or more do
PARABOLA_NOISE = 1e-6  # of a quotient: with noise below this share, what agrees does not by chance
TABLES = 3  # central, right, left
HELD = 2  # of these, right and left: cells that are kept until one contradicts them for sure


class Rung(Struct, frozen=True):
    """Quotients of some entries at one step each.

    value, noise: (TABLES, entries, cotangents), the noise as a deviation.
    slope: Σ |c|·move over the step, (entries, cotangents); a move is the larger of the changes of
        an output on the two sides.
    floor: what these quotients cannot tell from zero: the noise around x, over the step.
    moved: which outputs an entry moves, (entries, outputs).
    """

    value: Float
    noise: Float
    slope: Float
    floor: Float
    moved: NDArray[np.bool_]

    def of(self, rows: NDArray[np.intp]) -> Rung:
        """The same of some entries."""
        return Rung(
            self.value[:, rows],
            self.noise[:, rows],
            self.slope[rows],
            self.floor[rows],
            self.moved[rows],
        )

    @classmethod
    def concatenated(cls, parts: list[Rung]) -> Rung:
        """Rungs of consecutive entries as one."""
        return cls(
            np.concatenate([part.value for part in parts], axis=1),
            np.concatenate([part.noise for part in parts], axis=1),
            np.concatenate([part.slope for part in parts]),
            np.concatenate([part.floor for part in parts]),
            np.concatenate([part.moved for part in parts]),
        )


def _powers(order: int) -> NDArray[np.int64]:
    """The power of the step that each column removes, by column and table."""
    columns = np.arange(COLUMNS - 1)
    return np.stack([order + 2 * columns, 1 + columns, 1 + columns], axis=1)


def _amplification(factors: Float) -> Float:
    """The noise of a cell over that of its finest quotient, by column and table.

    The quotients of a cell have independent noise, which grows like 1/step.
    """
    weights = np.zeros((COLUMNS, COLUMNS, TABLES))  # column, level back from the finest, table
    weights[0, 0] = 1.0
    for column, factor in enumerate(factors):
        weights[column + 1] = weights[column] * (1 + 1 / factor)
        weights[column + 1, 1:] -= weights[column, :-1] / factor
    shrunk = weights * RATIO ** -np.arange(COLUMNS)[:, None]
    return np.asarray(np.sqrt(np.sum(shrunk**2, axis=1)))


@cache
def _tables(order: int) -> tuple[Float, Float]:
    """What the columns divide by, and their amplification of noise."""
    factors: Float = RATIO ** _powers(order).astype(np.float64) - 1.0
    return factors, _amplification(factors)


class Rungs:
    """Neville's tables: their newest row, and of each of its cells the uncertainty."""

    def __init__(self, order: int) -> None:
        self.factors, self.amplification = _tables(order)
        self.rows: list[Float] = []
        self.noise: Float | None = None

    @property
    def levels(self) -> int:
        """How many rows there are to compare; at most MIN_LEVELS."""
        return len(self.rows)

    @property
    def ready(self) -> bool:
        """Whether there are enough levels to compare."""
        return len(self.rows) >= MIN_LEVELS

    def climb(self, value: Float, noise: Float) -> None:
        """Add the quotients of the next smaller step, and how far noise may move them."""
        cells = [value]
        if self.rows:
            last = self.rows[-1]
            for column in range(min(len(last), COLUMNS - 1)):
                factor = self.factors[column][:, None, None]
                cells.append(cells[column] + (cells[column] - last[column]) / factor)
        self.rows = [*self.rows[-(MIN_LEVELS - 1) :], np.stack(cells)]
        self.noise = noise

    def quadratic(self, step: Float) -> tuple[NDArray[np.bool_], Float]:
        """Which entries a parabola fits at all five points of the first two steps, and its slopes.

        Its central quotients are the same at both steps, and both sides extrapolate to them: two
        conditions, which nothing else meets within noise so small. The cells are as in `Best`.
        """
        assert self.noise is not None
        (last,), (central, value) = self.rows[-2], self.rows[-1]
        noise = self.amplification[1, :, None, None] * self.noise
        apart = np.abs(value - value[0])
        apart[0] = np.maximum(np.abs(value[0] - central[0]), np.abs(value[0] - last[0]))
        agree = np.all(apart <= noise, axis=0) & (noise[0] <= PARABOLA_NOISE * np.abs(value[0]))
        cells = np.empty((4, *value.shape))
        uncertainty = SPREAD_FACTOR * apart + FEW_QUOTIENTS_FACTOR * noise
        cells[0], cells[1], cells[2], cells[3] = value, uncertainty, noise, step[:, None]
        return np.all(agree, axis=1), cells

    def jumps(self, noise: Float) -> NDArray[np.bool_]:
        """Where the quotients of both sides cancel, and grow as steps shrink.

        They span jumps, as of a unit between its saturated ends; a central quotient that agrees
        with itself there means nothing.
        """
        new, last = np.abs(self.rows[-1][0]), np.abs(self.rows[-2][0])
        grown = np.all(new[1:] > JUMP_GROWTH * last[1:] + noise[1:], axis=0)
        cancelling: NDArray[np.bool_] = grown & (2 * new[0] < np.min(new[1:], axis=0))
        return cancelling

    def growth(self, noise: Float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where the quotients of both sides grow as steps shrink, and where noise hides that."""
        new, last = np.abs(self.rows[-1][0, 1:]), np.abs(self.rows[-2][0, 1:])
        grows: NDArray[np.bool_] = np.all(new > GROWTH * last + noise[1:], axis=0)
        hidden: NDArray[np.bool_] = np.any(noise[1:] > GROWTH_NOISE * new, axis=0)
        return grows, hidden

    def keep(self, going: NDArray[np.bool_]) -> None:
        """Drop the entries that left the ladder."""
        self.rows = [row[:, :, going] for row in self.rows]

    def best_cells(self, step: Float) -> Float:
        """Of every table, entry and cotangent the best new cell; first axis as in `Best.cells`.

        A cell is as uncertain as it differs from its three neighbours of lower order or larger
        step, plus its noise.
        """
        assert self.noise is not None
        new, last = self.rows[-1], self.rows[-2]
        columns = min(len(new), len(last))
        value = new[1:columns]
        spread = np.maximum(np.abs(value - new[: columns - 1]), np.abs(value - last[: columns - 1]))
        np.maximum(spread, np.abs(value - last[1:columns]), out=spread)
        noise = self.amplification[1:columns, :, None, None] * self.noise
        uncertainty = SPREAD_FACTOR * spread + noise
        uncertainty[~np.isfinite(uncertainty)] = np.inf
        cells = np.empty((4, *value.shape))
        cells[0], cells[1], cells[2], cells[3] = value, uncertainty, noise, step[:, None]
        best = np.argmin(uncertainty, axis=0)
        tables, entries, cotangents = np.ogrid[tuple(map(slice, best.shape))]
        chosen: Float = cells[:, best, tables, entries, cotangents]
        return chosen


class Best:
    """The best cell so far of every table, entry and cotangent; after the tables, those held.

    cells: value, uncertainty, the noise in it, step. floor, slope, first_noise: of the first rung.
    done: which entries and cotangents a smaller step would not improve.
    grows: where quotients were last seen to grow without end.
    last: the slope, and Σ |c|·move, of the smallest step at which anything moved.
    place: what roundings of numbers on the way to the outputs may come to, unseen in these.
    possible: of entries that are zero by invariance, what they could be; else 0. unused: which of
        these move nothing at all. proven: which have proven their value by two steps; see `Pilots`.
    """

    def __init__(
        self, floor: Float, slope: Float, first_noise: Float, place: Float | None = None
    ) -> None:
        self.place = np.zeros(slope.shape) if place is None else place
        self.cells = np.full((4, TABLES + HELD, *slope.shape), np.inf)
        self.value, self.uncertainty, self.noise, self.step = self.cells
        self.floor = np.where(np.isfinite(floor), floor, 0.0)
        self.slope = slope
        self.first_noise = first_noise
        self.done = np.zeros(slope.shape, dtype=bool)
        self.possible = np.zeros(slope.shape)
        self.unused = np.zeros(len(slope), dtype=bool)
        self.proven = np.zeros(len(slope), dtype=bool)
        self.last = np.zeros((2, *slope.shape))
        self.grows = np.zeros(slope.shape, dtype=bool)

    @classmethod
    def joined(cls, parts: list[Best]) -> Best:
        """The best cells of consecutive entries as one."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(
            np.concatenate([part.floor for part in parts]),
            np.concatenate([part.slope for part in parts]),
            np.concatenate([part.first_noise for part in parts]),
        )
        np.concatenate([part.cells for part in parts], axis=2, out=whole.cells)
        whole.possible = np.concatenate([part.possible for part in parts])
        whole.unused = np.concatenate([part.unused for part in parts])
        whole.proven = np.concatenate([part.proven for part in parts])
        whole.last = np.concatenate([part.last for part in parts], axis=1)
        whole.grows = np.concatenate([part.grows for part in parts])
        whole.place = np.concatenate([part.place for part in parts])
        return whole

    def sort(self, order: NDArray[np.intp]) -> None:
        """Put the entries back in the order of which they were taken by this permutation."""
        if np.array_equal(order, np.arange(len(order))):
            return
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        self.cells[:] = self.cells[:, :, back]
        self.floor, self.slope = self.floor[back], self.slope[back]
        self.possible, self.unused = self.possible[back], self.unused[back]
        self.proven = self.proven[back]
        self.last, self.grows = self.last[:, back], self.grows[back]
        self.place = self.place[back]

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

    def settle_at_zero(self, row: int, possible: Float, uncertainty: Float, unused: bool) -> None:
        """An entry is zero by invariance: all there is to know of it."""
        self.value[:, row], self.noise[:, row] = 0.0, uncertainty
        self.grows[row] = False
        self.uncertainty[:, row] = uncertainty
        self.possible[row], self.unused[row] = possible, unused

    def settle_at_floor(self, rows: NDArray[np.intp]) -> None:
        """Entries of these rows move nothing: they are zero, to what may have moved unseen."""
        self.value[:, rows], self.noise[:, rows] = 0.0, 0.0
        self.uncertainty[:, rows] = self.floor[rows]
        self.proven[rows] = True

    def replace(self, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_]) -> None:
        """Take all that another knows for these rows, of which some are usable."""
        rows = rows[usable]
        self.cells[:, :, rows] = other.cells[:, :, usable]
        self.floor[rows] = np.maximum(self.floor[rows], other.floor[usable])
        self.slope[rows], self.first_noise[rows] = other.slope[usable], other.first_noise[usable]
        self.last[:, rows], self.grows[rows] = other.last[:, usable], other.grows[usable]
        self.possible[rows] = other.possible[usable]
        self.unused[rows] = other.unused[usable]

    def offer(self, rows: NDArray[np.intp], cells: Float) -> None:
        """Take new cells of a smaller step where they are less uncertain, or more to be believed.

        Quotients that agree at large steps can agree by chance. A value that lies outside the
        uncertainty of the one of larger steps refutes it; and only noise can make a smaller step
        worse than a larger one, so where noise is small, its uncertainty is the true one. Those
        that are held are refuted by what is certain only. Nothing is refuted by a step at which the
        two differ by no more than the last place of what outputs are made of: below it, as in the
        tail of 1 + erf(x), a factor stands still that moves at larger steps.
        """
        mine = self.cells[:, :, rows]
        cells = np.concatenate([cells, cells[:, TABLES - HELD :]], axis=1)
        apart = np.abs(cells[0] - mine[0])
        contradict = apart > mine[1]
        frozen = contradict & (apart * cells[3] <= self.place[rows])
        contradict[TABLES:] &= apart[TABLES:] > mine[1, TABLES:] + cells[1, TABLES:]
        quiet = cells[2] < NOISE_SHARE * mine[1]
        better = ((cells[1] < mine[1]) | contradict | quiet) & ~(self.done[rows] | frozen)
        self.cells[:, :, rows] = np.where(better, cells, mine)

    def note_moves(self, rows: NDArray[np.intp], slope: Float, step: Float) -> None:
        """Keep the slopes of these rows where anything moved, and the moves over the step."""
        moves = np.stack([slope, slope * step[:, None]])
        self.last[:, rows] = np.where(slope > 0, moves, self.last[:, rows])

    def note_growth(
        self, rows: NDArray[np.intp], grows: NDArray[np.bool_], hidden: NDArray[np.bool_]
    ) -> None:
        """Keep whether the quotients of these rows grow; as it was where noise hides that."""
        self.grows[rows] = np.where(hidden, self.grows[rows], grows)

    def finish(
        self, rows: NDArray[np.intp], noise: Float, jumps: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of these rows a step of this noise could still improve, for any cotangent.

        An entry is done when its central table is; but where the sides differ, or span a jump,
        smaller steps must confirm it, as long as noise lets them. Other cotangents may keep its row
        on the ladder, where noise would make it worse.
        """
        # Outside of a domain noise is not a number; a smaller step may lead back into it.
        central = ~(noise[0] >= self.uncertainty[0, rows])
        gap = np.abs(self.value[1, rows] - self.value[2, rows])
        kinked = (gap > self.uncertainty[1, rows] + self.uncertainty[2, rows]) & np.isfinite(gap)
        doubtful = kinked & (noise[1] < KINK_NOISE_RATIO * gap)
        self.done[rows] |= ~(central | doubtful | jumps)
        going: NDArray[np.bool_] = np.any(~self.done[rows], axis=1)
        return going

    def noisy(self, share: float, noisy: float) -> NDArray[np.intp]:
        """The entries that noise keeps from being known to this share of the largest.

        noisy: the least share of noise in their uncertainty.
        """
        size = np.abs(self.value[0])
        largest = np.max(size, where=np.isfinite(size), initial=0.0)
        uncertainty, noise = self.uncertainty[0], self.noise[0]
        unknown = (uncertainty > share * largest) & (noise > noisy * uncertainty)
        unknown &= np.isfinite(uncertainty) & ~(self.invariant | self.proven)[:, None]
        return np.flatnonzero(np.any(unknown, axis=1))

    def unresolved(self, share: float) -> NDArray[np.intp]:
        """The entries that are not known to this share of the largest, or do not settle."""
        uncertainty = self.uncertainty[0]
        size = np.where(np.isfinite(uncertainty), np.abs(self.value[0]), 0.0)
        known = (uncertainty <= share * np.max(size, initial=0.0)) & ~self.grows
        return np.flatnonzero(~np.all(known, axis=1) & ~(self.invariant | self.proven))

    def better_than(self, uncertainty: Float) -> NDArray[np.bool_]:
        """Which entries are less uncertain, settled and have a slope, for every cotangent."""
        known = (self.uncertainty[0] < uncertainty) & ~self.grows
        return np.asarray(np.all(known, axis=1) & self.sloping)

    def refine(
        self, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_], noisy: float
    ) -> None:
        """Take another's cells for these rows where they agree and noise is all that is left.

        usable: which of them may be taken, (rows, cotangents); noisy: the least share of noise in
        their uncertainty.
        """
        mine = self.cells[:, :, rows]
        agree = np.abs(other.value - mine[0]) <= other.uncertainty + mine[1]
        # Without noise nothing moved, as between two saturated ends: that tells no slope.
        settled = (other.noise >= noisy * other.uncertainty) & (other.noise > 0)
        better = agree & settled & (other.uncertainty < mine[1]) & usable
        better[TABLES:] = False  # these are for kinks nearer than a larger step
        self.grows[rows] &= ~better[0]
        self.cells[:, :, rows] = np.where(better, other.cells, mine)
