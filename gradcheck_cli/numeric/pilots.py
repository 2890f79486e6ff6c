"""Entries of a smooth gradient from two steps each, which a few of them have found.

A ladder looks for the best step of every entry. Where each point costs a forward, a few entries,
the pilots, tell how large a step truncation and noise allow. Every other entry has to prove its own
value there: its five points show its Taylor series up to the fourth power, whose decay bounds the
fifth, and in which a corner leaves as much as it moves the slope. The ladder measures what is left.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.invariance import settle_unused
from gradcheck_cli.numeric.ladder import FEW_QUOTIENTS_FACTOR, RATIO, SPREAD_FACTOR, Rung, Rungs
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import WholeForwards

# The middle one of their steps is taken. Of one in so many entries they are those that move the
# outputs most: noise may hide others.
PILOTS, ONE_IN = 3, 32
LEAST_ENTRIES = 8  # with fewer, pilots are no saving
# In units of the scale: the first step of the pilots, and the largest, which is that of the ladder.
FIRST_SHARE, LARGEST_SHARE = 2.0**-7, 2.0**-1
# Of the uncertainty that is enough: that which is best where noise is all that is seen. The next
# step is that much nearer or farther, within these factors; after so many, none is.
QUIET, NEARER, FARTHER, TRIES = 0.25, 1 / 3, 8.0, 3
# Of the noise of a slope: what noise alone makes of the terms after it. Of linear losses of 200
# entries, which have none, it is 4 at most.
NOISE_ALONE = 8.0
# Uncertainties that prove an entry, over its own size and over the largest one: a pass needs two
# thirds of the digits of rtol, 1e-6, which each entry is to have by itself. With eight digits of
# its own, one entry in twenty of losses of 300 entries climbs the ladder, for 15 forwards.
PROVEN, RESOLVED = 2.0**-20, 2.0**-27
# After so many entries, two steps must have taken no more forwards than they save, which are about
# so many for an entry that needs no ladder; else entries are not alike, and all climb.
TRIED, LADDER = 16, 15


class Terms(Struct, frozen=True):
    """The terms of the Taylor series of the right quotient at the larger step, absolute values.

    first is the slope, fourth that of h³; arrays (entries, cotangents).
    """

    first: Float
    second: Float
    third: Float
    fourth: Float

    @classmethod
    def of(cls, far: Float, near: Float, ratio: float) -> Terms:
        """From central, right and left quotients at a step, and at that over `ratio`."""
        shrunk = 1 - ratio**-2
        bends = [right - left for _, right, left in (far, near)]
        third = (far[0] - near[0]) / shrunk
        fourth = (bends[0] - ratio * bends[1]) / (2 * shrunk)
        slope = near[0] - third / ratio**2
        return cls(*(np.abs(term) for term in (slope, bends[0] / 2, third, fourth)))

    @property
    def fifth(self) -> Float:
        """What the next one may be, of terms that shrink as these do."""
        size = np.maximum(np.max(self.first, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray((self.third / size) ** 2 * size + (self.second / size) ** 4 * size)


class Pilots:
    """Where two quotients are enough, as a step in units of the scale.

    share: that step; 0 where every entry is to climb the ladder. largest: of the entries so far.
    """

    def __init__(self, differences: Differences, entries: NDArray[np.intp]) -> None:
        self.share = self.largest = 0.0
        self.tried = self.spent = self.proven = 0
        exact = differences.x.dtype == np.float64 and differences.stencil.order == 2
        if not (exact and isinstance(differences, WholeForwards) and differences.alone):
            return
        if differences.reach == 1 and len(entries) >= LEAST_ENTRIES and not differences.steps:
            self._find(differences, entries)

    def _find(self, differences: WholeForwards, entries: NDArray[np.intp]) -> None:
        """The middle one of the shares that are best for a few entries."""
        count = max(PILOTS, len(entries) // ONE_IN)
        some = entries[np.linspace(0, len(entries) - 1, count + 2).astype(np.intp)[1:-1]]
        share = FIRST_SHARE
        step = differences.exact(some, share * differences.scale[some])
        slope = np.max(differences.rung(some, step).slope, axis=1)
        some = some[np.argsort(np.where(np.isfinite(slope), slope, 0.0))[-PILOTS:]]
        for _ in range(TRIES):
            step = differences.exact(some, share * differences.scale[some])
            cells, truncation = _two_steps(differences, some, step, differences.rung(some, step))
            factor = _best_factor(cells, truncation, self._enough(cells))
            known = np.isfinite(factor)
            if not known.any():
                return
            middle = np.sort(factor[known])[np.count_nonzero(known) // 2]
            self.share = min(share * float(middle), LARGEST_SHARE)
            if self.share <= share:
                return
            share = self.share

    def measure(self, differences: WholeForwards, entries: NDArray[np.intp]) -> Best:
        """What two steps say of these entries; `proven` are those that they settle.

        Those that they do not are tried once more, each at the step that is best for itself.
        """
        before = differences.evaluations
        step = differences.exact(entries, self.share * differences.scale[entries])
        first = differences.rung(entries, step)
        best = Best.start(DEVIATIONS * first.floor, first.slope, DEVIATIONS * first.noise[0])
        moves = np.any(first.slope > 0, axis=1)
        # Noise is less over a longer step, but the next one is only so much longer.
        least_noise = FEW_QUOTIENTS_FACTOR * np.max(best.first_noise, axis=1) / FARTHER
        size = np.max(np.abs(first.value[0]), axis=1)
        largest = np.max(size, where=np.isfinite(size), initial=self.largest)
        hopeful = least_noise <= np.minimum(PROVEN * size, RESOLVED * largest)
        moved, still = np.flatnonzero(moves & hopeful), np.flatnonzero(~moves)
        if len(moved):
            factor = self._try(differences, entries, moved, step[moved], first.of(moved), best)
            again = np.isfinite(factor)
            rows, at = moved[again], entries[moved[again]]
            best_step = np.minimum(
                step[rows] * factor[again], LARGEST_SHARE * differences.scale[at]
            )
            best_step = differences.exact(at, best_step)
            if len(rows):
                rung = differences.rung(at, best_step)
                self._try(differences, entries, rows, best_step, rung, best)
        self.spent += differences.evaluations - before
        best.proven[still] = settle_unused(differences, entries, best, still)
        best.floor[~best.proven] = 0.0  # the ladder's is that of its own steps
        self.tried += len(entries)
        self.proven += int(np.count_nonzero(best.proven))
        if self.tried >= TRIED and self.spent > LADDER * self.proven:
            self.share = 0.0
        return best

    def _try(
        self,
        differences: WholeForwards,
        entries: NDArray[np.intp],
        rows: NDArray[np.intp],
        step: Float,
        first: Rung,
        best: Best,
    ) -> Float:
        """Keep what two steps prove of these rows; by what the step of each would be better."""
        cells, truncation = _two_steps(differences, entries[rows], step, first)
        enough = self._enough(cells)
        proven = np.all(cells[1, 0] <= enough[:, None], axis=1)
        best.offer(rows[proven], cells[:, :, proven])
        best.proven[rows[proven]] = True
        return np.where(proven, np.nan, _best_factor(cells, truncation, enough))

    def _enough(self, cells: Float) -> Float:
        """The uncertainty that proves an entry: so little of itself, and of the largest one.

        The largest is at least as large as any is known to be.
        """
        size, least = np.abs(cells[0, 0]), np.abs(cells[0, 0]) - cells[1, 0]
        self.largest = float(np.max(least, where=np.isfinite(least), initial=self.largest))
        size = np.max(size, axis=1)
        return np.asarray(np.minimum(PROVEN * size, RESOLVED * self.largest))


def _two_steps(
    differences: WholeForwards, entries: NDArray[np.intp], step: Float, first: Rung
) -> tuple[Float, Float]:
    """The cells of `Best` from the rung at this step and one more, and their truncation alone."""
    last = differences.exact(entries, step / RATIO)
    second = differences.rung(entries, last, first.moved)
    rungs = Rungs(differences.stencil.order)
    for rung, at in ((first, step), (second, last)):
        rungs.climb(rung.value, DEVIATIONS * rung.noise, at)
    _, cells = rungs.quadratic(last)
    terms = Terms.of(first.value, second.value, RATIO)
    truncation = SPREAD_FACTOR * (terms.fourth + terms.fifth)
    cells[1, 0] = truncation + FEW_QUOTIENTS_FACTOR * cells[2, 0]
    cells[1:3] += DEVIATIONS * differences.unseen_slope(second.moved, last)
    return cells, truncation


def _best_factor(cells: Float, truncation: Float, enough: Float) -> Float:
    """By what to multiply the steps of entries for truncation, C·h³, and noise, N/h, to be least.

    Where noise is all that is seen of truncation, as far as makes it a share of what is enough. It
    is not a number where nothing is known.
    """
    uncertainty, noise = (np.max(part[0], axis=1) for part in cells[1:3])
    worst = np.max(truncation, axis=1)
    least = (noise / (3 * worst)) ** (1 / 4)
    hidden = np.clip(uncertainty / (QUIET * enough), NEARER, FARTHER)
    factor = np.where(worst > NOISE_ALONE * noise, least, hidden)
    return np.where(np.isfinite(factor) & (noise > 0) & (enough > 0), factor, np.nan)
