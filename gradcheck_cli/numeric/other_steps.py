"""Entries that the first ladder leaves open: larger steps, smaller ones, and what these say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import CLEAR_SLOPE, NOISE_SHARE, UNRESOLVED, Best
from gradcheck_cli.numeric.climb import FIRST_STEP, LARGEST_STEP, LEAP, LEAPS, MAX_LEVELS, climb
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.doubts import doubt_small
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.units import OWN_UNITS

# Entries whose noise leaves them unresolved are tried again from a step so much larger, for as many
# levels as lead down to the first step: a polynomial does not mind, and noise shrinks.
WIDER, WIDER_LEVELS = 32.0, 7  # √3⁷ = 47: down past the step before
# Of the largest; entries that noise lets be known no better are tried from larger steps yet, while
# their uncertainty falls by so much: by WIDER, where it is noise alone.
HIDDEN, HELPED = 1e-4, 4.0
MOST_WIDENINGS = 6  # 32⁶ = 1e9: from 1e-9 to 1, as weights may be drawn
# Of the slope of the outputs at the first step: what is left of it at a larger one that counts.
HELD_SLOPE = 0.5
# The share of noise in an uncertainty that is mostly noise, or to a good part: the spread of a few
# quotients that differ by noise alone can be some times what is expected of it.
MOSTLY, SOMEWHAT = 0.5, 0.1
# Of the largest entry: what is known worse is measured again on an entry's own scale.
RETRIED = 1e-7
# Of the first step: moves as large are tried up to where a leap leads, and on from there. Where
# both are seen, the slope there was not hidden at the first step, but is absent; one may be a jump.
SHARE_OF_FIRST = 0.25
# Uncertainties that a slope behind a leap exceeds on both sides: over a step of 1e17, a rounding of
# saturated outputs is a slope of 7 of them. One that is less clear is seen better a leap further.
CLEAR_LEAP = 2.0**5
# On the way there, at these shares of it, a slope stays the same, but for a factor of a curve.
BETWEEN, STEEPER = (2.0**-4, 2.0**-8), 4.0


def leap_until_moved(differences: Differences, entries: NDArray[np.intp], best: Best) -> None:
    """Try larger and larger first steps for the entries that move nothing.

    Where they show a slope, rounding hid it at the first one. Where they show none, they say
    nothing of the slope here: they may lead from one saturated end to the other.
    """
    still = np.flatnonzero(best.unmoved)
    for leap in range(1, LEAPS):
        first = LEAP**leap * FIRST_STEP * differences.scale[entries[still]]
        still, first = still[first < LARGEST_STEP], first[first < LARGEST_STEP]
        flat = _flat_here(differences, entries[still], first)
        still, first = still[~flat], first[~flat]
        if not len(still):
            break
        far = climb(differences, entries[still], first, MAX_LEVELS)
        steeper = _is_steeper_between(differences, entries[still], first, far.slope)
        clear = far.sloping_beyond(CLEAR_LEAP)
        best.replace(still, far, clear & ~steeper)
        faint = ~clear & np.any(far.noise[0] > SOMEWHAT * far.uncertainty[0], axis=1)
        still = still[far.unmoved | (faint & ~steeper)]


def _flat_here(
    differences: Differences, entries: NDArray[np.intp], far: Float
) -> NDArray[np.bool_]:
    """Which entries, that move nothing by the first step around x, would a step further off.

    Rounding that hides a slope around x hides it there, too. Where it is seen there, it would have
    been seen here: the function is flat around x, and what happens further off says nothing of it.
    """
    if not len(entries):
        return np.zeros(0, dtype=bool)
    small = SHARE_OF_FIRST * FIRST_STEP * differences.scale[entries]
    steps = [differences.exact(entries, far + more) for more in (-small, 0.0, small)]
    seen = np.ones((2, len(entries)), dtype=bool)
    rungs = [differences.rung(entries, step) for step in steps]
    for near, beyond, first, last in zip(rungs, rungs[1:], steps, steps[1:], strict=False):
        change = beyond.value[1:] * last[:, None] - near.value[1:] * first[:, None]
        noise = DEVIATIONS * (near.noise[1:] + beyond.noise[1:]) * last[:, None]
        seen &= np.any(np.abs(change) > noise, axis=2)
    flat: NDArray[np.bool_] = np.any(seen, axis=0)
    return flat


def _is_steeper_between(
    differences: Differences, entries: NDArray[np.intp], far: Float, slope: Float
) -> NDArray[np.bool_]:
    """Which entries move the outputs by far more between x and a far step than its slope would.

    So do those of bounded functions: what their quotients come to far away is no slope.
    """
    steeper = np.zeros(len(entries), dtype=bool)
    for share in BETWEEN:
        rung = differences.rung(entries, differences.exact(entries, share * far))
        seen = rung.slope - DEVIATIONS * rung.noise[0]
        steeper |= np.any(seen > STEEPER * slope, axis=1)
    return steeper


def widen_steps(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Try larger steps for the entries that noise leaves unresolved, if the outputs are smooth.

    Where noise leaves hardly anything of an entry, ever larger ones, as long as they help.
    """
    if differences.reach < 1 or not len(_find_noisy(best, UNRESOLVED, SOMEWHAT)):
        return
    first = FIRST_STEP * differences.scale[every]
    _widen(differences, best, every, _find_noisy(best, UNRESOLVED, MOSTLY), first, NOISE_SHARE)
    if differences.steps:
        return  # which may be as much higher as the outputs are larger there
    rows = _find_noisy(best, HIDDEN, SOMEWHAT)
    for _ in range(MOST_WIDENINGS):
        if not len(rows):
            break
        # An entry that moved nothing at first was measured at a step that did.
        first[rows] = np.maximum(first[rows], np.max(best.step[0, rows], axis=1))
        before = best.uncertainty[0, rows].copy()
        still = _widen(differences, best, every, rows, first, SOMEWHAT)
        helped = np.any(best.uncertainty[0, rows] < before / HELPED, axis=1)
        going = helped | still
        rows = np.intersect1d(rows[going], _find_noisy(best, HIDDEN, SOMEWHAT))


def _widen(
    differences: Differences,
    best: Best,
    every: NDArray[np.intp],
    rows: NDArray[np.intp],
    first: Float,
    noisy: float,
) -> NDArray[np.bool_]:
    """Climb from steps WIDER times the first ones of these rows, which become the first.

    Where they show no slope, or move the outputs by less than the same slope would, they may span a
    bump, or lead from one saturated end to the other. Returns which rows still moved nothing.
    """
    first[rows] *= WIDER
    still = [np.zeros(0, dtype=bool)]
    for part in differences.chunks(rows):
        wider = climb(differences, every[part], first[part], WIDER_LEVELS)
        near = best.slope[part] - best.first_noise[part]
        held = wider.slope + wider.first_noise >= HELD_SLOPE * near
        slope = np.abs(wider.value[0]) > CLEAR_SLOPE * wider.uncertainty[0]
        _refine(best, part, wider, held & slope, noisy)
        still.append(wider.unmoved)
    return np.concatenate(still)


def retry_nearer(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Measure what is not known again, on an entry's own scale where that is a far smaller one.

    In a tensor of many units, noise around is that of a function which oscillates, leaves its
    domain or grows by many orders of magnitude within the scale of the largest.
    """
    rows = _find_unresolved(best, RETRIED)
    if not len(rows):
        return
    own = differences.own_scale()
    apart = own < OWN_UNITS * differences.scale
    rows = rows[apart[every[rows]]]
    nearer = differences.rescaled(own) if len(rows) else None
    if nearer is None:
        return
    for chunk in nearer.chunks(rows):
        first = FIRST_STEP * nearer.reach * nearer.scale[every[chunk]]
        again = climb(nearer, every[chunk], first, MAX_LEVELS)
        better = _is_better(again, best.uncertainty[0, chunk])
        best.replace(chunk, again, better)
        doubt_small(nearer, best, every, chunk[better])
    differences.evaluations += nearer.evaluations


def _find_noisy(best: Best, share: float, noisy: float) -> NDArray[np.intp]:
    """The entries that noise keeps from being known to this share of the largest.

    noisy: the least share of noise in their uncertainty.
    """
    size = np.abs(best.value[0])
    largest = np.max(size, where=np.isfinite(size), initial=0.0)
    uncertainty, noise = best.uncertainty[0], best.noise[0]
    unknown = (uncertainty > share * largest) & (noise > noisy * uncertainty)
    unknown &= np.isfinite(uncertainty) & ~(best.invariant | best.proven)[:, None]
    return np.flatnonzero(np.any(unknown, axis=1))


def _find_unresolved(best: Best, share: float) -> NDArray[np.intp]:
    """The entries that are not known to this share of the largest, or do not settle."""
    largest = best.largest
    known = best.uncertainty[0] <= share * np.max(largest[0])
    known &= ~best.unsettled(largest)
    return np.flatnonzero(~np.all(known, axis=1) & ~(best.invariant | best.proven))


def _is_better(best: Best, uncertainty: Float) -> NDArray[np.bool_]:
    """Which entries are less uncertain, settled and have a slope, for every cotangent."""
    known = (best.uncertainty[0] < uncertainty) & ~best.unsettled(best.largest)
    return np.asarray(np.all(known, axis=1) & best.sloping)


def _refine(
    best: Best, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_], noisy: float
) -> None:
    """Take another's cells for these rows where they agree and noise is all that is left.

    usable: which of them may be taken, (rows, cotangents); noisy: the least share of noise in
    their uncertainty.
    """
    mine = best.cells[:, :, rows]
    agree = np.abs(other.value - mine[0]) <= other.uncertainty + mine[1]
    # Quotients may agree at larger steps by chance, far from those of these.
    low, high = best.between[:, :, rows]
    agree &= (other.value + other.uncertainty >= low) & (other.value - other.uncertainty <= high)
    # Without noise nothing moved, as between two saturated ends: that tells no slope.
    settled = (other.noise >= noisy * other.uncertainty) & (other.noise > 0)
    better = agree & settled & (other.uncertainty < mine[1]) & usable
    best.grows[rows] &= ~better[0]
    best.drift[:, rows] *= ~better[0]
    best.cells[:, :, rows] = np.where(better, other.cells, mine)
