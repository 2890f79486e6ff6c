"""A ladder of shrinking steps for many entries at once, or one step that is asked for.

Source: C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)" (1982).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.ladder import DRIFTS, RATIO, Rungs
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.parabolas import fit_parabolas

# The first step, in units of the entry's scale: polynomial losses are exact at any step, so the
# largest is the best for them; others pay for it with some levels of the ladder.
FIRST_STEP = 0.5
# Down to 1e-16 of the scale: where one tensor holds entries of very different sizes, the scale of
# its surroundings may be that much larger than an entry's own. Noise ends most ladders at 1e-6.
MAX_LEVELS = 68
# Where outputs do not move at all, because units are saturated or other terms are far larger, the
# first step grows by leaps until they do.
LEAP, LEAPS, LARGEST_STEP = 2.0**12, 12, 1e150
PARABOLA = 2  # levels, after which one is recognized
# Another step must promise to divide the uncertainty by this much.
WORTH = 1.4
# Of the gap between the slopes of a kink: as well as both must be known for it to be one. Noise
# below that can still tell it from a sharp bend.
KINK_KNOWN = 0.1
# A fixed step is judged by these shares of it: halving takes 3/4 or more of the truncation error
# away; the other share is there because one difference can be small by chance.
SHORTER = (0.5, 0.7)
FIXED_SAFETY = 3.0  # the gap to a shorter step, times this, bounds the truncation of a fixed one


def climb(differences: Differences, entries: NDArray[np.intp], first: Float, levels: int) -> Best:
    """Extrapolates quotients at shrinking steps, for many entries at once.

    Every entry keeps the cell with the smallest uncertainty, and leaves the ladder when noise
    alone would exceed it at the next step.
    """
    step = differences.exact(entries, first)
    rung, fourth = differences.first_rung(entries, step)
    place = differences.last_place(rung.moved)
    best = Best.start(DEVIATIONS * rung.floor, rung.slope, DEVIATIONS * rung.noise[0], place)
    rungs = Rungs(differences.stencil.order, coarse=differences.steps > 0)
    rows = np.arange(len(entries))
    still = np.zeros(len(entries), dtype=bool)
    for _ in range(levels):
        noise = DEVIATIONS * rung.noise
        _note_moves(best, rows, rung.slope, step)
        rungs.climb(rung.value, noise, step)
        going = step > 0
        if rungs.levels == 1:
            going &= ~fit_parabolas(step, rung, fourth, best)
        else:
            _note_growth(best, rows, *rungs.growth(noise))
        if rungs.ready:
            _note_drift(best, rows, *rungs.drift(noise))
            _note_between(best, rows, rungs.between())
            best.offer(rows, rungs.best_cells(step))
            going &= _finish(best, rows, WORTH * RATIO * noise, rungs.jumps(noise))
        elif rungs.levels == PARABOLA:
            fits, cells = rungs.quadratic(step)
            best.offer(rows[fits], cells[:, :, fits])
            best.grows[rows[fits]] = False
            going &= ~fits
        rows, entries = rows[going], entries[going]
        if not len(rows):
            break
        rungs.keep(going)
        step = differences.exact(entries, step[going] / RATIO)
        rung = differences.rung(entries, step, rung.moved[going])
        stopped = rows[np.any(rung.floor > 0, axis=1) & ~still[rows]]
        if len(stopped):
            floor = DEVIATIONS * rung.floor[np.isin(rows, stopped)]
            best.floor[stopped] = np.maximum(best.floor[stopped], floor)
            still[stopped] = True
    return best


def _note_moves(best: Best, rows: NDArray[np.intp], slope: Float, step: Float) -> None:
    """Keep the slopes of these rows where anything moved, and the moves over the step."""
    move = slope * step[:, None]
    best.most[rows] = np.fmax(best.most[rows], move)
    moved = slope > 0
    for known, new in zip(best.last, (slope, move), strict=True):
        known[rows] = np.where(moved, new, known[rows])


def _note_growth(
    best: Best, rows: NDArray[np.intp], grows: NDArray[np.bool_], hidden: NDArray[np.bool_]
) -> None:
    """Keep whether the quotients of these rows grow; as it was where noise hides that."""
    best.grows[rows] = np.where(hidden, best.grows[rows], grows)


def _note_drift(
    best: Best, rows: NDArray[np.intp], change: Float, drifts: NDArray[np.bool_], noise: Float
) -> None:
    """Keep by what the quotients of these rows drift; as it was where noise hides that."""
    drift = best.drift[:, rows]
    settled = change + noise < DRIFTS * drift
    best.drift[:, rows] = np.where(drifts, change, np.where(settled, 0.0, drift))


def _note_between(best: Best, rows: NDArray[np.intp], between: Float) -> None:
    """Keep the interval of the quotients of these rows where it is narrower."""
    mine = best.between[:, :, rows]
    narrower = between[1] - between[0] < mine[1] - mine[0]
    best.between[:, :, rows] = np.where(narrower, between, mine)


def _finish(
    best: Best, rows: NDArray[np.intp], noise: Float, jumps: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of these rows a step of this noise could still improve, for any cotangent.

    An entry is done when its central table is; but where the sides differ, drift or span a
    jump, smaller steps must confirm it, as long as noise lets them. Other cotangents may keep
    its row on the ladder, where noise would make it worse.
    """
    # Outside of a domain noise is not a number; a smaller step may lead back into it.
    central = ~(noise[0] >= best.uncertainty[0, rows])
    gap = np.abs(best.value[1, rows] - best.value[2, rows])
    kinked = (gap > best.uncertainty[1, rows] + best.uncertainty[2, rows]) & np.isfinite(gap)
    doubtful = kinked & (noise[1] < KINK_KNOWN * gap)
    drifting = np.any(best.drift[:, rows] > noise[1:], axis=0)
    best.done[rows] |= ~(central | doubtful | jumps | drifting)
    going: NDArray[np.bool_] = np.any(~best.done[rows], axis=1)
    return going


def measure_at(differences: Differences, entries: NDArray[np.intp], step: Float) -> Best:
    """The quotients at one step; their truncation is judged by the quotients at shorter ones."""
    at = differences.rung(entries, step)
    noise = DEVIATIONS * at.noise
    uncertainty = noise.copy()
    for share in SHORTER:
        other = differences.rung(entries, step * share)
        gap = FIXED_SAFETY * np.abs(at.value - other.value) + DEVIATIONS * (at.noise + other.noise)
        uncertainty = np.maximum(uncertainty, gap)
    best = Best.start(at.floor, at.slope, noise[0])
    uncertainty = np.where(np.isfinite(uncertainty), uncertainty, np.inf)
    steps = np.broadcast_to(step[:, None], noise.shape)
    best.offer(np.arange(len(entries)), np.stack([at.value, uncertainty, noise, steps]))
    return best
