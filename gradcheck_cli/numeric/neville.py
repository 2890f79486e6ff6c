"""Ridders extrapolation: difference quotients at shrinking steps are extrapolated to step zero.

There are three Neville tables, which grow together: one of central quotients, whose truncation
error has only even powers of the step, and one each of the right and the left one-sided quotients,
whose errors have all powers. Source: C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)"
(1982).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.numeric.rung import TABLES

# Each step is the one before it over RATIO. With a ratio of 2, an oscillation of which a whole
# number of periods fits the first step would fit many later steps, too, and look like a slow one;
# of the powers of √3 only the even ones are whole numbers.
RATIO = 3.0**0.5
MIN_LEVELS = 3  # two quotients may agree by chance; three and their extrapolations hardly ever do
COLUMNS = 6  # of a Neville table; later columns amplify noise and gain nothing
# The uncertainty of a cell is its spread times this factor: the cell with the smallest spread is
# chosen from many, and its spread is partly small by chance.
SPREAD_FACTOR = 4.0
JUMP_GROWTH = 1.3  # across a jump, a quotient grows by RATIO from one step to the next
# Quotients that grow by more from one step to the next diverge: those of |x|^p by RATIO^(1 − p).
DIVERGES = 1.2
# One-sided quotients, extrapolated once, drift if so many times in a row they change from one step
# to the next by more than this share of their change before. That share is 1 for x·log x and 0.95
# for |x|^1.1; for |x|^1.5, whose quotients converge, it is 0.76.
DRIFTS, IN_A_ROW = 0.8, 4
FEW_QUOTIENTS_FACTOR = 2.0  # times the noise, of which two quotients show less than three do
PARABOLA_NOISE = 1e-6  # over a quotient: with less noise, quotients do not agree by chance


def _powers(order: int) -> NDArray[np.int64]:
    """The power of the step that each column removes from the error, (columns, tables)."""
    columns = np.arange(COLUMNS - 1)
    return np.stack([order + 2 * columns, 1 + columns, 1 + columns], axis=1)


def _amplification(factors: Float) -> Float:
    """The noise of a cell over that of its quotient at the smallest step, (columns, tables).

    The quotients that a cell combines have independent noise, which grows like 1/step.
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
    """The divisors of Neville's formula and the amplification of noise, both (columns, tables).

    order: the order of the central stencil, the first power in its truncation error.
    """
    factors: Float = RATIO ** _powers(order).astype(np.float64) - 1.0
    return factors, _amplification(factors)


def _spread(new: Float, last: Float) -> Float:
    """The largest difference of each cell of the newest row to its three neighbours.

    These are the cell before it in its row, and the cells of the last row in its own column and
    the one before. The first column, which is not extrapolated, is left out.
    """
    columns = min(len(new), len(last))
    value = new[1:columns]
    spread = np.maximum(np.abs(value - new[: columns - 1]), np.abs(value - last[: columns - 1]))
    return np.maximum(spread, np.abs(value - last[1:columns]), out=spread)


class NevilleTables:
    """The Neville tables of some entries: their last rows, which is all that a new row needs.

    rows: of the quotients, (columns, TABLES, entries, cotangents).
    bends: rows of a fourth table, of the bend (right − left quotient) / (2·step), whose error has
        only even powers of the step, too.
    coarse: whether the outputs are quantized, so that cells may agree by chance: then the spread of
        a cell includes its difference to the quotient at its own step.
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
        """How many rows are kept for comparison, at most MIN_LEVELS."""
        return len(self.rows)

    @property
    def ready(self) -> bool:
        """Whether there are enough rows to judge cells by."""
        return len(self.rows) >= MIN_LEVELS

    def add(self, value: Float, noise: Float, step: Float) -> None:
        """Add a row to each table: the quotients at the next smaller step.

        noise: how far noise may move them. step: that of each entry.
        """
        bend = (value[1:2] - value[2:]) / (2 * step[:, None])
        self.rows = self._extrapolated(self.rows, value, self.factors)
        self.bends = self._extrapolated(self.bends, bend, self.factors[:, :1])
        self.noise = noise

    def _extrapolated(self, rows: list[Float], value: Float, factors: Float) -> list[Float]:
        """The last rows of a table and a new one, which starts with `value`."""
        cells = [value]
        for column in range(min(len(rows[-1]), COLUMNS - 1) if rows else 0):
            factor = factors[column][:, None, None]
            cells.append(cells[column] + (cells[column] - rows[-1][column]) / factor)
        return [*rows[-(MIN_LEVELS - 1) :], np.stack(cells)]

    def find_parabolas(self, step: Float) -> tuple[NDArray[np.bool_], Float]:
        """Which entries are parabolas at the five points of the first two steps, and their cells.

        On a parabola, the central quotients of both steps are equal, and both sides extrapolate to
        them; within so little noise, no other function meets both conditions. The cells are laid
        out as in `Best`.
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

    def spans_jumps(self, noise: Float) -> NDArray[np.bool_]:
        """Where the one-sided quotients grow as steps shrink, and cancel in the central quotient.

        The step spans jumps there, such as a unit that goes from one saturated end to the other.
        That central quotients agree at several steps then means nothing.
        """
        new, last = np.abs(self.rows[-1][0]), np.abs(self.rows[-2][0])
        grown = np.all(new[1:] > JUMP_GROWTH * last[1:] + noise[1:], axis=0)
        cancelling: NDArray[np.bool_] = grown & (2 * new[0] < np.min(new[1:], axis=0))
        return cancelling

    def divergence(self, noise: Float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where both one-sided quotients diverge as steps shrink, and where noise hides that."""
        new, last = np.abs(self.rows[-1][0, 1:]), np.abs(self.rows[-2][0, 1:])
        grows: NDArray[np.bool_] = np.all(new - noise[1:] > DIVERGES * last, axis=0)
        not_so: NDArray[np.bool_] = np.any(new + noise[1:] <= DIVERGES * last, axis=0)
        return grows, ~(grows | not_so)

    def drift(self, noise: Float) -> tuple[Float, NDArray[np.bool_], Float]:
        """Whether the one-sided quotients, extrapolated once, drift instead of converging.

        Returns their change from the step before, whether they drift, and how far noise may move
        them, each (sides, entries, cotangents).
        """
        hidden = self.amplification[1, 1:, None, None] * noise[1:]
        newest, last, before = (row[min(1, len(row) - 1), 1:] for row in self.rows[::-1])
        change = np.abs(newest - last)
        drifts = change - hidden > DRIFTS * np.abs(last - before)
        self.in_a_row = (self.in_a_row + 1) * drifts
        return change, self.in_a_row >= IN_A_ROW, hidden

    def interval(self) -> Float:
        """The interval of the newest quotients and their first extrapolations, widened by noise.

        Returns its low and high ends, (2, TABLES, entries, cotangents).
        """
        assert self.noise is not None
        value, noise = self.rows[-1][:2], self.amplification[:2, :, None, None] * self.noise
        return np.stack([np.min(value - noise, axis=0), np.max(value + noise, axis=0)])

    def keep(self, going: NDArray[np.bool_]) -> None:
        """Drop the entries that have left the ladder."""
        if going.all():  # copying the tables of millions of entries takes time
            return
        self.rows = [row[:, :, going] for row in self.rows]
        self.bends = [row[:, :, going] for row in self.bends]
        if self.ready:
            self.in_a_row = self.in_a_row[:, going]

    def best_cells(self, step: Float) -> Float:
        """The least uncertain cell of the newest row, by table, entry and cotangent.

        The first axis is that of `Best.cells`. The uncertainty of a cell is its spread, the largest
        difference to its three neighbours of lower order or larger step, plus its noise. Where
        noise hides a corner within the step, central cells may agree by chance. The corner makes an
        equal error in step × bend; so the spread of a central cell is at least that of step × bend,
        less its noise.
        """
        assert self.noise is not None
        new, last = self.rows[-1], self.rows[-2]
        columns = min(len(new), len(last))
        value, spread = new[1:columns], _spread(new, last)
        if self.coarse:
            np.maximum(spread, np.abs(value - new[0]), out=spread)
        noise = self.amplification[1:columns, :, None, None] * self.noise
        bend = step[:, None] * _spread(*self.bends[:-3:-1])[:, 0] - noise[:, 0]
        mirrored = (new[0, 0] == 0) & (last[0, 0] == 0)  # even around x: no corner counts
        spread[:, 0] = np.fmax(spread[:, 0], np.where(mirrored, 0.0, bend))
        uncertainty = SPREAD_FACTOR * spread + noise
        uncertainty[~np.isfinite(uncertainty)] = np.inf
        cells = np.empty((4, *value.shape))
        cells[0], cells[1], cells[2], cells[3] = value, uncertainty, noise, step[:, None]
        best = np.argmin(uncertainty, axis=0)
        tables, entries, cotangents = np.ogrid[tuple(map(slice, best.shape))]
        chosen: Float = cells[:, best, tables, entries, cotangents]
        return chosen
