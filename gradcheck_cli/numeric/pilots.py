"""Entries of a smooth gradient from only two steps each, which a few of them, the pilots, choose.

A ladder looks for the best step of every entry anew. Where each point costs a forward, the pilots
find the step at which truncation and noise are balanced. Every other entry must prove its value
there: its five points show the terms of its Taylor series up to the fourth, whose decay bounds the
fifth; a corner adds as much to the fourth term as it changes the slope. Entries that do not prove
their value climb the ladder.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.invariance import settle_unused
from gradcheck_cli.numeric.neville import FEW_QUOTIENTS_FACTOR, RATIO, SPREAD_FACTOR, NevilleTables
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.rung import Rung

# One in ONE_IN entries is tried, and those PILOTS that move the outputs most choose the step: the
# median of theirs. Noise may hide the others.
PILOTS, ONE_IN = 3, 32
LEAST_ENTRIES = 8  # with fewer entries, pilots save nothing
# In units of the scale: the first step of the pilots, and the largest step, which is that of the
# ladder.
FIRST_SHARE, LARGEST_SHARE = 2.0**-7, 2.0**-1
# Where only noise is seen, the next step is the one at which it is QUIET of the uncertainty that is
# enough; it is at least NEARER and at most FARTHER times the last one. There are so many tries.
QUIET, NEARER, FARTHER, TRIES = 0.25, 1 / 3, 8.0, 3
# Truncation over the noise of a slope: less may be made by noise alone. In linear losses of 200
# entries, which have no truncation, it is 4 at most.
NOISE_ALONE = 8.0
# An entry has proven its value if its uncertainty is at most PROVEN of itself and RESOLVED of the
# largest entry. A pass needs two thirds of the digits of rtol, a relative error of 1e-6, which each
# entry gets for itself. If each had to be known to eight digits, one entry in twenty of losses with
# 300 entries would climb the ladder, for 15 forwards.
PROVEN, RESOLVED = 2.0**-20, 2.0**-27
# After TRIED entries, the two steps must have taken fewer forwards than they saved, some LADDER for
# each proven entry; else the entries are too different, and all climb the ladder.
TRIED, LADDER = 16, 15


class Terms(Struct, frozen=True):
    """The absolute values of the terms in the Taylor series of the right quotient at a step h.

    The first is the slope, the fourth the term with h³; arrays (entries, cotangents).
    """

    first: Float
    second: Float
    third: Float
    fourth: Float

    @classmethod
    def of(cls, far: Float, near: Float, ratio: float) -> Terms:
        """The terms at the larger of two steps, from the three quotients at both.

        far, near: (central, right, left) at a step, and at that step over `ratio`.
        """
        shrunk = 1 - ratio**-2
        bends = [right - left for _, right, left in (far, near)]
        third = (far[0] - near[0]) / shrunk
        fourth = (bends[0] - ratio * bends[1]) / (2 * shrunk)
        slope = near[0] - third / ratio**2
        return cls(*(np.abs(term) for term in (slope, bends[0] / 2, third, fourth)))

    @property
    def fifth(self) -> Float:
        """An estimate of the fifth term, if the terms go on to shrink as these do."""
        size = np.maximum(np.max(self.first, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray((self.third / size) ** 2 * size + (self.second / size) ** 4 * size)


class Pilots:
    """A step, found by a few entries, at which two rungs are enough for most entries.

    share: the step in units of the scale; 0 if all entries have to climb the ladder.
    largest: the largest entry so far, less its uncertainty.
    """

    def __init__(self, differences: Differences, entries: NDArray[np.intp]) -> None:
        self.share = self.largest = 0.0
        self.tried = self.spent = self.proven = 0
        exact = differences.x.dtype == np.float64 and differences.stencil.order == 2
        if not (exact and isinstance(differences, WholeForwards) and differences.alone):
            return
        if differences.reach == 1 and len(entries) >= LEAST_ENTRIES and not differences.step_height:
            self._find(differences, entries)

    def _find(self, differences: WholeForwards, entries: NDArray[np.intp]) -> None:
        """Set `share` to the median of the shares that are best for the pilots."""
        count = max(PILOTS, len(entries) // ONE_IN)
        some = entries[np.linspace(0, len(entries) - 1, count + 2).astype(np.intp)[1:-1]]
        share = FIRST_SHARE
        step = differences.exact(some, share * differences.scale[some])
        steepness = np.max(differences.rung(some, step).steepness, axis=1)
        some = some[np.argsort(np.where(np.isfinite(steepness), steepness, 0.0))[-PILOTS:]]
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
        """Measure entries at two steps; `proven` in the result are those with a proven value.

        The others are tried once more, each at the step that is best for itself.
        """
        before = differences.evaluations
        step = differences.exact(entries, self.share * differences.scale[entries])
        first = differences.rung(entries, step)
        best = Best.start(DEVIATIONS * first.floor, first.steepness, DEVIATIONS * first.noise[0])
        moves = np.any(first.steepness > 0, axis=1)
        # The next step may have less noise, but is at most FARTHER times as large.
        least_noise = FEW_QUOTIENTS_FACTOR * np.max(best.first_noise, axis=1) / FARTHER
        size = np.max(np.abs(first.value[0]), axis=1)
        largest = np.max(size, where=np.isfinite(size), initial=self.largest)
        hopeful = least_noise <= _proving_uncertainty(size, largest)
        moved, still = np.flatnonzero(moves & hopeful), np.flatnonzero(~moves)
        if len(moved):
            factor = self._try(differences, entries, moved, step[moved], first.of(moved), best)
            self._try_again(differences, entries, moved, step[moved], factor, best)
        self.spent += differences.evaluations - before
        best.proven[still] = settle_unused(differences, entries, best, still)
        best.floor[~best.proven] = 0.0  # the ladder sets a floor from its own steps
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
        """Keep the proven values of these rows, and return by what to multiply the other steps.

        first: the rung at `step`. The factor is NaN for proven rows, and where none is known.
        """
        cells, truncation = _two_steps(differences, entries[rows], step, first)
        enough = self._enough(cells)
        proven = np.all(cells[1, 0] <= enough[:, None], axis=1)
        best.offer(rows[proven], cells[:, :, proven])
        best.proven[rows[proven]] = True
        return np.where(proven, np.nan, _best_factor(cells, truncation, enough))

    def _try_again(
        self,
        differences: WholeForwards,
        entries: NDArray[np.intp],
        rows: NDArray[np.intp],
        step: Float,
        factor: Float,
        best: Best,
    ) -> None:
        """Try rows once more at their steps times a factor, where that is known."""
        again = np.isfinite(factor)
        rows, at = rows[again], entries[rows[again]]
        if len(rows):
            step = np.minimum(step[again] * factor[again], LARGEST_SHARE * differences.scale[at])
            step = differences.exact(at, step)
            self._try(differences, entries, rows, step, differences.rung(at, step), best)

    def _enough(self, cells: Float) -> Float:
        """The uncertainty that proves each entry. It also updates `largest`."""
        size, least = np.abs(cells[0, 0]), np.abs(cells[0, 0]) - cells[1, 0]
        self.largest = float(np.max(least, where=np.isfinite(least), initial=self.largest))
        return _proving_uncertainty(np.max(size, axis=1), self.largest)


def _proving_uncertainty(size: Float, largest: float) -> Float:
    """The uncertainty that proves entries of this size, beside the largest one; see PROVEN."""
    return np.asarray(np.minimum(PROVEN * size, RESOLVED * largest))


def _two_steps(
    differences: WholeForwards, entries: NDArray[np.intp], step: Float, first: Rung
) -> tuple[Float, Float]:
    """The cells of `Best` from the rung at this step and one at a smaller step.

    Returns the cells, and the truncation in their uncertainty, (entries, cotangents).
    """
    last = differences.exact(entries, step / RATIO)
    second = differences.rung(entries, last, first.moved)
    tables = NevilleTables(differences.stencil.order)
    for rung, at in ((first, step), (second, last)):
        tables.add(rung.value, DEVIATIONS * rung.noise, at)
    _, cells = tables.find_parabolas(last)
    terms = Terms.of(first.value, second.value, RATIO)
    truncation = SPREAD_FACTOR * (terms.fourth + terms.fifth)
    cells[1, 0] = truncation + FEW_QUOTIENTS_FACTOR * cells[2, 0]
    cells[1:3] += DEVIATIONS * differences.unseen_slope(second.moved, last)
    return cells, truncation


def _best_factor(cells: Float, truncation: Float, enough: Float) -> Float:
    """By what to multiply each step h so that truncation C·h³ plus noise N/h is least.

    Where truncation is not seen above noise, the factor makes the uncertainty QUIET of `enough`. It
    is NaN where nothing is known.
    """
    uncertainty, noise = (np.max(part[0], axis=1) for part in cells[1:3])
    worst = np.max(truncation, axis=1)
    least = (noise / (3 * worst)) ** (1 / 4)
    hidden = np.clip(uncertainty / (QUIET * enough), NEARER, FARTHER)
    factor = np.where(worst > NOISE_ALONE * noise, least, hidden)
    return np.where(np.isfinite(factor) & (noise > 0) & (enough > 0), factor, np.nan)
