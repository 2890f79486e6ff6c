"""Extrapolation of quotients at shrinking steps to step zero, with what is known of its error.

Three tables at once: the central quotient, whose error has even powers of the step, and the
quotients of the right and the left side, whose errors have all powers. Source: C. Ridders (1982).
"""

from __future__ import annotations

from functools import cache
from typing import Any

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
JUMP_GROWTH = 1.3  # of a quotient from a step to the next; a jump makes it RATIO
# The same of quotients that go to infinity, or seem to: those of |x|^p grow by RATIO^(1 − p).
GROWTH = 1.2
# Of what the quotients of a side change by from a step to the next, once extrapolated, that of the
# step before: at that many steps in a row they drift. Those of x·log x change by the same, of
# |x|^1.1 by 0.95 and of |x|^1.5, which settle, by 0.76 times as much.
DRIFTS, IN_A_ROW = 0.8, 4
FEW_QUOTIENTS_FACTOR = 2.0  # times the noise: two quotients show less of it than three or more do
PARABOLA_NOISE = 1e-6  # of a quotient: with noise below this share, what agrees does not by chance
TABLES = 3  # central, right, left


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


def _spread(new: Float, last: Float) -> Float:
    """How far the cells of the newest row, but the first, are from their neighbours."""
    columns = min(len(new), len(last))
    value = new[1:columns]
    spread = np.maximum(np.abs(value - new[: columns - 1]), np.abs(value - last[: columns - 1]))
    return np.maximum(spread, np.abs(value - last[1:columns]), out=spread)


class Rungs:
    """Neville's tables: their last rows, and of each cell of the newest one the uncertainty.

    rows: of the quotients, (columns, TABLES, entries, cotangents); bends: of what those of the two
        sides differ by over two steps, whose error has even powers of the step, too.
    coarse: whether outputs move in steps, so that values agree by chance: then a cell is as
        uncertain as it differs from the quotient at its own step.
    """

    def __init__(self, order: int, *, coarse: bool = False) -> None:
        self.coarse = coarse
        self.factors, self.amplification = _tables(order)
        self.rows: list[Float] = []
        self.bends: list[Float] = []
        self.noise: Float | None = None
        self.in_a_row: NDArray[Any] = np.zeros((1, 1, 1))  # steps at which quotients drifted

    @property
    def levels(self) -> int:
        """How many rows there are to compare; at most MIN_LEVELS."""
        return len(self.rows)

    @property
    def ready(self) -> bool:
        """Whether there are enough levels to compare."""
        return len(self.rows) >= MIN_LEVELS

    def climb(self, value: Float, noise: Float, step: Float) -> None:
        """Add the quotients of the next smaller step, and how far noise may move them.

        step: of every entry.
        """
        bend = (value[1:2] - value[2:]) / (2 * step[:, None])
        self.rows = self._extrapolated(self.rows, value, self.factors)
        self.bends = self._extrapolated(self.bends, bend, self.factors[:, :1])
        self.noise = noise

    def _extrapolated(self, rows: list[Float], value: Float, factors: Float) -> list[Float]:
        """The last rows of a table with its next one, whose first column is given."""
        cells = [value]
        for column in range(min(len(rows[-1]), COLUMNS - 1) if rows else 0):
            factor = factors[column][:, None, None]
            cells.append(cells[column] + (cells[column] - rows[-1][column]) / factor)
        return [*rows[-(MIN_LEVELS - 1) :], np.stack(cells)]

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
        """Where the quotients of both sides grow as steps shrink, and where noise hides whether."""
        new, last = np.abs(self.rows[-1][0, 1:]), np.abs(self.rows[-2][0, 1:])
        grows: NDArray[np.bool_] = np.all(new - noise[1:] > GROWTH * last, axis=0)
        not_so: NDArray[np.bool_] = np.any(new + noise[1:] <= GROWTH * last, axis=0)
        return grows, ~(grows | not_so)

    def drift(self, noise: Float) -> tuple[Float, NDArray[np.bool_], Float]:
        """By what the quotients of each side, extrapolated once, changed from the step before;
        whether they drift; and how far noise may move them. All are (sides, entries, cotangents).
        """
        hidden = self.amplification[1, 1:, None, None] * noise[1:]
        newest, last, before = (row[min(1, len(row) - 1), 1:] for row in self.rows[::-1])
        change = np.abs(newest - last)
        drifts = change - hidden > DRIFTS * np.abs(last - before)
        self.in_a_row = (self.in_a_row + 1) * drifts
        return change, self.in_a_row >= IN_A_ROW, hidden

    def between(self) -> Float:
        """Where the newest quotients and their first extrapolations lie, low and high, as far as
        noise goes: (2, TABLES, entries, cotangents)."""
        assert self.noise is not None
        value, noise = self.rows[-1][:2], self.amplification[:2, :, None, None] * self.noise
        return np.stack([np.min(value - noise, axis=0), np.max(value + noise, axis=0)])

    def keep(self, going: NDArray[np.bool_]) -> None:
        """Drop the entries that left the ladder."""
        if going.all():  # of millions of entries a copy takes time
            return
        self.rows = [row[:, :, going] for row in self.rows]
        self.bends = [row[:, :, going] for row in self.bends]
        if self.ready:
            self.in_a_row = self.in_a_row[:, going]

    def best_cells(self, step: Float) -> Float:
        """Of every table, entry and cotangent the best new cell; first axis as in `Best.cells`.

        A cell is as uncertain as it differs from its three neighbours of lower order or larger
        step, plus its noise. A central one may agree with these by luck where noise hides a corner
        within the step, whose error is then as large in the bend: over the step that must agree,
        too, but for its noise.
        """
        assert self.noise is not None
        new, last = self.rows[-1], self.rows[-2]
        columns = min(len(new), len(last))
        value, spread = new[1:columns], _spread(new, last)
        if self.coarse:
            np.maximum(spread, np.abs(value - new[0]), out=spread)
        noise = self.amplification[1:columns, :, None, None] * self.noise
        bend = step[:, None] * _spread(*self.bends[:-3:-1])[:, 0] - noise[:, 0]
        mirrored = (new[0, 0] == 0) & (last[0, 0] == 0)  # where no corner has an error
        spread[:, 0] = np.fmax(spread[:, 0], np.where(mirrored, 0.0, bend))
        uncertainty = SPREAD_FACTOR * spread + noise
        uncertainty[~np.isfinite(uncertainty)] = np.inf
        cells = np.empty((4, *value.shape))
        cells[0], cells[1], cells[2], cells[3] = value, uncertainty, noise, step[:, None]
        best = np.argmin(uncertainty, axis=0)
        tables, entries, cotangents = np.ogrid[tuple(map(slice, best.shape))]
        chosen: Float = cells[:, best, tables, entries, cotangents]
        return chosen
