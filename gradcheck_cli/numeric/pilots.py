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

PILOTS = 3  # the middle one of their steps is taken
LEAST_ENTRIES = 8  # with fewer, pilots are no saving
# Steps of the pilots, in units of the scale: far enough apart that terms show in their difference.
PILOT_STEPS = (2.0**-7, 2.0**-10)
# Uncertainties that prove an entry, over its own size and over the largest one: a pass needs two
# thirds of the digits of rtol, 1e-6, which each entry is to have by itself. With eight digits of
# its own, one entry in twenty of losses of 300 entries climbs the ladder, for 15 forwards.
PROVEN, RESOLVED = 2.0**-20, 2.0**-27
# Of the first entries, two steps must settle this share; else they are not alike, and all climb.
TRIED, LEAST_PROVEN = 16, 0.5


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

    share: that step; 0 where every entry is to climb the ladder. largest: of the pilots' entries.
    """

    def __init__(self, differences: Differences, entries: NDArray[np.intp]) -> None:
        self.share = self.largest = 0.0
        self.tried = self.proven = 0
        exact = differences.x.dtype == np.float64 and differences.stencil.order == 2
        if not (exact and isinstance(differences, WholeForwards) and differences.alone):
            return
        if differences.reach == 1 and len(entries) >= LEAST_ENTRIES and not differences.steps:
            self._find(differences, entries)

    def _find(self, differences: WholeForwards, entries: NDArray[np.intp]) -> None:
        """Where truncation and noise add up to the least, 4·C·h³ + N/h or 4·C·h⁴ + N/h."""
        some = entries[np.linspace(0, len(entries) - 1, PILOTS + 2).astype(np.intp)[1:-1]]
        scale = differences.scale[some]
        steps = [differences.exact(some, share * scale) for share in PILOT_STEPS]
        far, near = (differences.rung(some, step) for step in steps)
        first, last = PILOT_STEPS
        terms = Terms.of(far.value, near.value, first / last)
        noise = DEVIATIONS * np.max(near.noise[0], axis=1) * last
        fourth, fifth = (np.max(term, axis=1) for term in (terms.fourth, terms.fifth))
        # Noise hides as much of them.
        fourth = np.maximum(fourth, noise / last) / first**3
        with np.errstate(all="ignore"):
            shares = np.minimum(
                (noise / (3 * SPREAD_FACTOR * fourth)) ** (1 / 4),
                first * (noise / (4 * SPREAD_FACTOR * fifth * first)) ** (1 / 5),
            )
        known = np.isfinite(shares) & (shares > 0)
        if np.any(known):
            share = np.sort(shares[known])[np.count_nonzero(known) // 2]
            self.share = min(float(share), first)
            self.largest = float(np.max(np.abs(near.value[0][known])))

    def measure(self, differences: WholeForwards, entries: NDArray[np.intp]) -> Best:
        """What two steps say of these entries; `proven` are those that they settle."""
        step = differences.exact(entries, self.share * differences.scale[entries])
        first = differences.rung(entries, step)
        best = Best.start(DEVIATIONS * first.floor, first.slope, DEVIATIONS * first.noise[0])
        moves = np.any(first.slope > 0, axis=1)
        moved, still = np.flatnonzero(moves), np.flatnonzero(~moves)
        if len(moved):
            cells = self._two_steps(differences, entries[moved], step[moved], first.of(moved))
            proven = self._proves(cells)
            best.offer(moved[proven], cells[:, :, proven])
            best.proven[moved[proven]] = True
        best.proven[still] = settle_unused(differences, entries, best, still)
        best.floor[~best.proven] = 0.0  # the ladder's is that of its own steps
        self.tried += len(entries)
        self.proven += int(np.count_nonzero(best.proven))
        if self.tried >= TRIED and self.proven < LEAST_PROVEN * self.tried:
            self.share = 0.0
        return best

    def _two_steps(
        self, differences: WholeForwards, entries: NDArray[np.intp], step: Float, first: Rung
    ) -> Float:
        """The cells of `Best` from the rung at this step and one more."""
        last = differences.exact(entries, step / RATIO)
        second = differences.rung(entries, last, first.moved)
        rungs = Rungs(differences.stencil.order)
        for rung, at in ((first, step), (second, last)):
            rungs.climb(rung.value, DEVIATIONS * rung.noise, at)
        _, cells = rungs.quadratic(last)
        terms = Terms.of(first.value, second.value, RATIO)
        cells[1, 0] = SPREAD_FACTOR * (terms.fourth + terms.fifth)
        cells[1, 0] += FEW_QUOTIENTS_FACTOR * cells[2, 0]
        cells[1:3] += DEVIATIONS * differences.unseen_slope(second.moved, last)
        return cells

    def _proves(self, cells: Float) -> NDArray[np.bool_]:
        """Of which entries the uncertainty is so little of the entry and of the largest one."""
        size = np.max(np.abs(cells[0, 0]), axis=1)
        most = np.minimum(PROVEN * size, RESOLVED * self.largest)
        return np.asarray(np.all(cells[1, 0] <= most[:, None], axis=1))
