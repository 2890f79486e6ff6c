"""Further ladders, from larger or smaller first steps, for entries that the first one left open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import CLEAR_SLOPE, NOISE_SHARE, UNRESOLVED, Best
from gradcheck_cli.numeric.climb import FIRST_STEP, LARGEST_STEP, LEAP, LEAPS, MAX_LEVELS, climb
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.doubts import doubt_small
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.scales import OWN_UNITS

# Entries that noise leaves unresolved are measured again from a first step so much larger, because
# noise over a larger step is less, and polynomials extrapolate exactly from any steps.
WIDER, WIDER_LEVELS = 32.0, 7  # √3⁷ = 47: enough levels to get below the first step of before
# Over the largest entry: entries with more noise are tried from ever larger steps, as long as their
# uncertainty falls by HELPED each time. (Pure noise falls by WIDER.)
HIDDEN, HELPED = 1e-4, 4.0
MOST_WIDENINGS = 6  # 32⁶ = 1e9, for weights drawn with sizes from 1e-9 to 1
# Cells of a larger step count only if at least this share of the first step's Σ |c|·move/step is
# left there.
HELD_SLOPE = 0.5
# An uncertainty is mostly noise, or partly, if noise makes this share of it. (Even where quotients
# differ by noise alone, the spread of a few of them can be several times as large as expected.)
MOSTLY, SOMEWHAT = 0.5, 0.1
# Over the largest entry: entries with a larger uncertainty are measured again on their own scale.
RETRIED = 1e-7
# As a share of the first step: moves by this are tried just before and just after a far step. If
# both are seen, the slope near x is not hidden by rounding, but zero; a single one may be a jump.
SHARE_OF_FIRST = 0.25
# A slope found at a far step must exceed so many uncertainties on both sides: at a step of 1e17, a
# single rounding of saturated outputs looks like a slope of 7 uncertainties. A slope that is less
# clear is looked for one leap farther.
CLEAR_LEAP = 2.0**5
# At these shares of a far step, a slope is at most STEEPER times as large, as on a curve.
BETWEEN, STEEPER = (2.0**-4, 2.0**-8), 4.0


def leap_until_moved(differences: Differences, entries: NDArray[np.intp], best: Best) -> None:
    """Try larger and larger first steps for entries that moved no output.

    If a larger step shows a clear slope, rounding hid it at the first step, and its cells are kept.
    If not, it says nothing about the slope at x: it may lead from one saturated end to the other.
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
        steeper = _is_steeper_between(differences, entries[still], first, far.steepness)
        clear = far.has_slope_beyond(CLEAR_LEAP)
        best.replace(still, far, clear & ~steeper)
        faint = ~clear & np.any(far.noise[0] > SOMEWHAT * far.uncertainty[0], axis=1)
        still = still[far.unmoved | (faint & ~steeper)]


def _flat_here(
    differences: Differences, entries: NDArray[np.intp], far: Float
) -> NDArray[np.bool_]:
    """Which of these entries, which move no output near x, do so by an equal move a far step away.

    Rounding that hides a slope near x would hide it there, too. So if an equal move is seen there,
    the function is flat near x, and its slope far away says nothing about x. far: the far steps.
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
    differences: Differences, entries: NDArray[np.intp], far: Float, steepness: Float
) -> NDArray[np.bool_]:
    """Which entries have a far larger steepness between x and a far step than at that step.

    The function is bounded then, and a quotient over a far step is not its slope at x.
    steepness: that at the far step.
    """
    steeper = np.zeros(len(entries), dtype=bool)
    for share in BETWEEN:
        rung = differences.rung(entries, differences.exact(entries, share * far))
        seen = rung.steepness - DEVIATIONS * rung.noise[0]
        steeper |= np.any(seen > STEEPER * steepness, axis=1)
    return steeper


def widen_steps(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Try larger steps for entries that noise leaves unresolved, if the outputs are smooth.

    Entries of which noise hides nearly everything are tried at ever larger steps, while these help.
    """
    if differences.reach < 1 or not len(_find_noisy(best, UNRESOLVED, SOMEWHAT)):
        return
    first = FIRST_STEP * differences.scale[every]
    _widen(differences, best, every, _find_noisy(best, UNRESOLVED, MOSTLY), first, NOISE_SHARE)
    if differences.step_height:
        return  # outputs that are larger farther away may move there in higher steps
    rows = _find_noisy(best, HIDDEN, SOMEWHAT)
    for _ in range(MOST_WIDENINGS):
        if not len(rows):
            break
        # An entry that moved no output at its first step was measured at a larger one.
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
    """Climb from first steps that are WIDER times as large, and keep better cells.

    first: of all entries; multiplied here for these rows. noisy: see `_refine`.
    Cells without a clear slope do not count, nor those of steps that move the outputs by less than
    the slope of before would: such a step may span a bump, or lead from one saturated end to the
    other. Returns which rows still moved no output.
    """
    first[rows] *= WIDER
    still = [np.zeros(0, dtype=bool)]
    for part in differences.chunks(rows):
        wider = climb(differences, every[part], first[part], WIDER_LEVELS)
        near = best.steepness[part] - best.first_noise[part]
        held = wider.steepness + wider.first_noise >= HELD_SLOPE * near
        slope = np.abs(wider.value[0]) > CLEAR_SLOPE * wider.uncertainty[0]
        _refine(best, part, wider, held & slope, noisy)
        still.append(wider.unmoved)
    return np.concatenate(still)


def retry_on_own_scale(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Measure unresolved entries again on their own scale, where it is far smaller than before.

    Where the entries of a tensor have different units, the function may oscillate, leave its domain
    or grow by orders of magnitude within the scale of the largest; noise measured on that scale is
    too large for small entries.
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
    """The entries whose uncertainty exceeds this share of the largest entry because of noise.

    noisy: the least share of noise in their uncertainty.
    """
    size = np.abs(best.value[0])
    largest = np.max(size, where=np.isfinite(size), initial=0.0)
    uncertainty, noise = best.uncertainty[0], best.noise[0]
    unknown = (uncertainty > share * largest) & (noise > noisy * uncertainty)
    unknown &= np.isfinite(uncertainty) & ~(best.invariant | best.proven)[:, None]
    return np.flatnonzero(np.any(unknown, axis=1))


def _find_unresolved(best: Best, share: float) -> NDArray[np.intp]:
    """The entries whose uncertainty exceeds this share of the largest, or that do not converge."""
    largest = best.largest
    known = best.uncertainty[0] <= share * np.max(largest[0])
    known &= ~best.unsettled(largest)
    return np.flatnonzero(~np.all(known, axis=1) & ~(best.invariant | best.proven))


def _is_better(best: Best, uncertainty: Float) -> NDArray[np.bool_]:
    """Which entries have a slope, converge and are less uncertain, for all cotangents."""
    known = (best.uncertainty[0] < uncertainty) & ~best.unsettled(best.largest)
    return np.asarray(np.all(known, axis=1) & best.has_slope)


def _refine(
    best: Best, rows: NDArray[np.intp], other: Best, usable: NDArray[np.bool_], noisy: float
) -> None:
    """Take the cells of another measurement for these rows where they are better.

    They must agree with the cells of before, be less uncertain, and have an uncertainty that is
    mainly noise. usable: which cells may be taken, (rows, cotangents). noisy: the least share of
    noise in their uncertainty.
    """
    mine = best.cells[:, :, rows]
    agree = np.abs(other.value - mine[0]) <= other.uncertainty + mine[1]
    # Quotients at larger steps may agree with each other by chance, far from those of before.
    low, high = best.interval[:, :, rows]
    agree &= (other.value + other.uncertainty >= low) & (other.value - other.uncertainty <= high)
    # Cells without noise are those of outputs that did not move, as between two saturated ends.
    settled = (other.noise >= noisy * other.uncertainty) & (other.noise > 0)
    better = agree & settled & (other.uncertainty < mine[1]) & usable
    best.diverges[rows] &= ~better[0]
    best.drift[:, rows] *= ~better[0]
    best.cells[:, :, rows] = np.where(better, other.cells, mine)
