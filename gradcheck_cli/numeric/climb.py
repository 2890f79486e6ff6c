"""Slopes of many entries at once, by a ladder of shrinking steps or at one fixed step.

Source of the ladder: C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)" (1982).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.neville import DRIFTS, RATIO, NevilleTables
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.parabolas import fit_parabolas

# The first step, in units of the entry's scale. Quotients of polynomials extrapolate exactly from
# any steps, and large ones have the least noise; other losses only need a few more steps for it.
FIRST_STEP = 0.5
# Enough to get down to 1e-16 of the scale: in a tensor of entries of very different sizes, an entry
# may be so much smaller than its scale. Noise ends most ladders at 1e-6 of it.
MAX_LEVELS = 68
# Where no output moves, because units are saturated or other terms are far larger, the first step
# is multiplied by LEAP until some do.
LEAP, LEAPS, LARGEST_STEP = 2.0**12, 12, 1e150
PARABOLA = 2  # steps after which a parabola is recognized
# The ladder goes on while the next step may divide the uncertainty by this factor.
WORTH = 1.4
# Two one-sided slopes make a kink if their uncertainties add up to at most this share of the gap
# between them. As long as noise is below that share, smaller steps tell a kink from a sharp bend.
KINK_KNOWN = 0.1
# A fixed step is compared with these shares of it. Half the step has at most 1/4 of the truncation
# error; the second share is there because one difference may be small by chance.
SHORTER = (0.5, 0.7)
FIXED_SAFETY = 3.0  # times the difference to a shorter step: a bound of the truncation error


def climb(differences: Differences, entries: NDArray[np.intp], first: Float, levels: int) -> Best:
    """Extrapolate quotients at shrinking steps, and keep the best cell of every entry.

    An entry leaves the ladder when the noise of the next step alone would exceed its uncertainty.
    first: the first step of each entry. levels: the most steps that are taken.
    """
    step = differences.exact(entries, first)
    rung, fourth = differences.first_rung(entries, step)
    hidden = differences.hidden_rounding(rung.moved)
    best = Best.start(DEVIATIONS * rung.floor, rung.steepness, DEVIATIONS * rung.noise[0], hidden)
    tables = NevilleTables(differences.stencil.order, coarse=differences.step_height > 0)
    rows = np.arange(len(entries))
    stopped = np.zeros(len(entries), dtype=bool)
    for _ in range(levels):
        noise = DEVIATIONS * rung.noise
        _note_moves(best, rows, rung.steepness, step)
        tables.add(rung.value, noise, step)
        going = step > 0
        if tables.levels == 1:
            going &= ~fit_parabolas(step, rung, fourth, best)
        else:
            _note_divergence(best, rows, *tables.divergence(noise))
        if tables.ready:
            going &= _judge(best, rows, tables, step, noise)
        elif tables.levels == PARABOLA:
            fits, cells = tables.find_parabolas(step)
            best.offer(rows[fits], cells[:, :, fits])
            best.diverges[rows[fits]] = False
            going &= ~fits
        rows, entries = rows[going], entries[going]
        if not len(rows):
            break
        tables.keep(going)
        step = differences.exact(entries, step[going] / RATIO)
        rung = differences.rung(entries, step, rung.moved[going])
        _raise_floors(best, rows, DEVIATIONS * rung.floor, stopped)
    return best


def _judge(
    best: Best, rows: NDArray[np.intp], tables: NevilleTables, step: Float, noise: Float
) -> NDArray[np.bool_]:
    """Keep what the tables show of these rows, and return which a smaller step could improve."""
    _note_drift(best, rows, *tables.drift(noise))
    _note_interval(best, rows, tables.interval())
    best.offer(rows, tables.best_cells(step))
    return _mark_done(best, rows, WORTH * RATIO * noise, tables.spans_jumps(noise))


def _raise_floors(
    best: Best, rows: NDArray[np.intp], floor: Float, stopped: NDArray[np.bool_]
) -> None:
    """Raise the floor of rows whose outputs stop moving at this step, the first time they do.

    stopped: which entries have stopped before; updated.
    """
    stopping = np.any(floor > 0, axis=1) & ~stopped[rows]
    at = rows[stopping]
    best.floor[at] = np.maximum(best.floor[at], floor[stopping])
    stopped[at] = True


def _note_moves(best: Best, rows: NDArray[np.intp], steepness: Float, step: Float) -> None:
    """Keep the steepness and the move of rows whose outputs moved, and the largest move of each.

    steepness: that of a rung, Σ |c|·move over the step.
    """
    move = steepness * step[:, None]
    best.largest_move[rows] = np.fmax(best.largest_move[rows], move)
    moved = steepness > 0
    for known, new in zip(best.last_seen, (steepness, move), strict=True):
        known[rows] = np.where(moved, new, known[rows])


def _note_divergence(
    best: Best, rows: NDArray[np.intp], diverges: NDArray[np.bool_], hidden: NDArray[np.bool_]
) -> None:
    """Keep whether the quotients of these rows diverge; where noise hides that, nothing changes."""
    best.diverges[rows] = np.where(hidden, best.diverges[rows], diverges)


def _note_drift(
    best: Best, rows: NDArray[np.intp], change: Float, drifts: NDArray[np.bool_], noise: Float
) -> None:
    """Keep by how much the quotients of these rows drift; where noise hides that, nothing changes.

    change, drifts, noise: see `NevilleTables.drift`.
    """
    drift = best.drift[:, rows]
    settled = change + noise < DRIFTS * drift
    best.drift[:, rows] = np.where(drifts, change, np.where(settled, 0.0, drift))


def _note_interval(best: Best, rows: NDArray[np.intp], interval: Float) -> None:
    """Keep the intervals of these rows that are narrower than those before."""
    mine = best.interval[:, :, rows]
    narrower = interval[1] - interval[0] < mine[1] - mine[0]
    best.interval[:, :, rows] = np.where(narrower, interval, mine)


def _mark_done(
    best: Best, rows: NDArray[np.intp], noise: Float, jumps: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mark what is done, and return which of these rows a smaller step could still improve.

    An entry is done for a cotangent when noise ends its central table. Where the sides differ,
    drift or span a jump, smaller steps must confirm that first, as long as noise lets them. Other
    cotangents may keep its row on the ladder; what is done then stays as it is.
    """
    # Outside of the domain noise is NaN; a smaller step may lead back into the domain.
    central = ~(noise[0] >= best.uncertainty[0, rows])
    gap = np.abs(best.value[1, rows] - best.value[2, rows])
    kinked = (gap > best.uncertainty[1, rows] + best.uncertainty[2, rows]) & np.isfinite(gap)
    doubtful = kinked & (noise[1] < KINK_KNOWN * gap)
    drifting = np.any(best.drift[:, rows] > noise[1:], axis=0)
    best.done[rows] |= ~(central | doubtful | jumps | drifting)
    going: NDArray[np.bool_] = np.any(~best.done[rows], axis=1)
    return going


def measure_at(differences: Differences, entries: NDArray[np.intp], step: Float) -> Best:
    """The quotients at one fixed step; those at shorter steps bound their truncation error."""
    at = differences.rung(entries, step)
    noise = DEVIATIONS * at.noise
    uncertainty = noise.copy()
    for share in SHORTER:
        other = differences.rung(entries, step * share)
        gap = FIXED_SAFETY * np.abs(at.value - other.value) + DEVIATIONS * (at.noise + other.noise)
        uncertainty = np.maximum(uncertainty, gap)
    best = Best.start(at.floor, at.steepness, noise[0])
    uncertainty = np.where(np.isfinite(uncertainty), uncertainty, np.inf)
    steps = np.broadcast_to(step[:, None], noise.shape)
    best.offer(np.arange(len(entries)), np.stack([at.value, uncertainty, noise, steps]))
    return best
