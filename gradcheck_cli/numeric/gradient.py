"""Every entry of a gradient by central differences: its value and its uncertainty.

Outputs are differenced before they are contracted with the cotangent. A ladder of shrinking steps
is extrapolated (Ridders 1982); each entry stops where noise lets a finer step gain nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.invariance import settle_invariant
from gradcheck_cli.numeric.ladder import CLEAR_SLOPE, NOISE_SHARE, RATIO, TABLES, Best, Rungs
from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.numeric.pilots import Pilots
from gradcheck_cli.numeric.quotients import (
    LAST_PLACES,
    OWN_UNITS,
    WHOLE,
    Differences,
    WholeForwards,
)

# The first step, in units of the entry's scale: polynomial losses are exact at any step, so the
# largest is the best for them; others pay for it with some levels of the ladder.
FIRST_STEP = 0.5
# Down to 1e-16 of the scale: where one tensor holds entries of very different sizes, the scale of
# its surroundings may be that much larger than an entry's own. Noise ends most ladders at 1e-6.
MAX_LEVELS = 68
# Entries whose noise exceeds this share of the largest are tried again from a step so much larger,
# for as many levels as lead down to the first step: a polynomial does not mind, and noise shrinks.
UNRESOLVED = 1e-9
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
# Where outputs do not move at all, because units are saturated or other terms are far larger, the
# first step grows by leaps until they do.
LEAP, LEAPS, LARGEST_STEP = 2.0**12, 12, 1e150
# Of the largest entry: what is known worse is measured again on an entry's own scale.
RETRIED = 1e-7
# There, moves by a quarter of the first step are tried at these multiples of the leap: where they
# are seen at all of them, the slope there was not hidden at the first step, but is absent.
PROBES, SHARE_OF_FIRST = (1.0, 1.37), 0.25
# Of the largest entry: a fainter one may be of the size of what is rounded on the way to the
# outputs; and what that may come to at most.
FAINT, MOST_LOST = 1e-6, 1e-9
# Of all outputs, times ROUNDING·eps to this power: an entry that moves them by less over the first
# step may be smaller than 1e9 (in float32: 1e3) of their roundings.
SMALL, SMALL_POWER = 10.0, 0.4
# Of the uncertainty of a cell: its noise where its quotients have settled to that.
SETTLED = 0.1
# Of the uncertainty of all three quotients: that of one side, from which it counts alone. One that
# is hardly better is so by chance.
ALONE = 0.1
# Of the gap between the slopes of a kink: as well as both must be known for it to be one.
KINK_KNOWN = 0.1
# How many deviations of noise an uncertainty holds; the deviation itself is only an estimate.
DEVIATIONS = 5.0
PARABOLA = 2  # levels, after which one is recognized
# Another step must promise to divide the uncertainty by this much.
WORTH = 1.4
# A fixed step is judged by these shares of it: halving takes 3/4 or more of the truncation error
# away; the other share is there because one difference can be small by chance.
SHORTER = (0.5, 0.7)
FIXED_SAFETY = 3.0  # the gap to a shorter step, times this, bounds the truncation of a fixed one


Progress = Callable[[int], None]
Entries = NDArray[np.intp]
Counted = tuple[Best, int]
Work = Callable[[Entries], Counted]
Each = Callable[[Work, list[Entries], Callable[[Entries], None]], list[Counted]]


class NumericGradient(Struct, frozen=True):
    """The numeric gradient of one input; arrays of the gradient's shape.

    entries: where only some entries of the input were measured, their flat indices, ascending: the
        arrays then have one axis for them, after those of the outputs of a Jacobian.
    shape: of the input.
    value ± uncertainty; noise: the part of the uncertainty that the forward's noise makes.
    step: the one that gave the value.
    steepest: the largest slope of L between points a large step away: what a gradient could be.
    kink: where the slopes on the two sides differ; low, high: the interval they span there, each
        with its uncertainty, which holds every subgradient. Elsewhere value ± uncertainty.
    evaluations: of the forward, in all. method: how they were taken, one of METHODS.
    possible: of an entry that is zero by invariance, what it could be: Σ |c·y| over its scale,
        the size of a gradient of outputs that depend on it; 0 of all other entries.
    unused: whether the outputs do not move at all, whichever entry is moved.
    unsettled: the entries whose quotients went on to disagree by more than their noise, of which
        nothing is known: an infinite uncertainty.
    jumps: the height of the steps in which the forward moves; 0 where it moves smoothly.
    rounding: how far a gradient in low precision may be off beside the uncertainty.
    break_height: that of the jumps between smooth pieces of the forward, by which the uncertainty
        was widened; 0 where it was not.
    """

    value: Float
    uncertainty: Float
    noise: Float
    step: Float
    kink: NDArray[np.bool_]
    low: Float
    high: Float
    steepest: float
    evaluations: int
    shape: tuple[int, ...]
    entries: NDArray[np.intp] | None = None
    method: str = WHOLE
    possible: Float | None = None
    unused: bool = False
    unsettled: NDArray[np.bool_] | None = None
    jumps: float = 0.0
    break_height: float = 0.0
    rounding: float = 0.0

    @property
    def invariant(self) -> NDArray[np.bool_]:
        """Which entries are zero by invariance."""
        if self.possible is None:
            return np.zeros(self.value.shape, dtype=bool)
        return self.possible > 0

    def of(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """The measured entries of a gradient of this input, in the shape of the arrays here.

        The axes that it has before those of the input, such as a Jacobian's, stay as they are.
        """
        if self.entries is None:
            return gradient
        outputs = gradient.shape[: gradient.ndim - len(self.shape)]
        return gradient.reshape(*outputs, -1)[..., self.entries]

    def index(self, position: int) -> tuple[int, ...]:
        """The index in the whole gradient of an entry of the arrays here, by flat position."""
        index = np.unravel_index(position, self.value.shape)
        if self.entries is not None:
            index = (*index[:-1], *np.unravel_index(self.entries[index[-1]], self.shape))
        return tuple(int(axis) for axis in index)


def one_by_one(work: Work, chunks: list[Entries], done: Callable[[Entries], None]) -> list[Counted]:
    """[work(chunk) for chunk in chunks]."""
    found = []
    for chunk in chunks:
        found.append(work(chunk))
        done(chunk)
    return found


def measure_entries(
    differences: Differences,
    step: float | None = None,
    entries: NDArray[np.intp] | None = None,
    progress: Progress | None = None,
    each: Each = one_by_one,
    *,
    quick: bool = False,
    still: bool = True,
) -> NumericGradient:
    """The numeric gradient of an input, entry by entry, from quotients that are taken in some way.

    step: a fixed step; None: chosen for every entry by a ladder of steps.
    entries: flat indices of x, ascending: those that are measured; None: all.
    progress: is told, now and then, how many more entries are done.
    each: works on chunks of entries, in this process or in others.
    quick: whether fewer evaluations are worth an uncertainty of half the digits; see `Pilots`.
    still: whether what moves nothing by their step is looked at further; else it is a zero.

    The uncertainty holds the disagreement of extrapolations (or, for a fixed step, of shorter
    steps) and the measured noise over the step. Sources: C. Ridders, "Accurate computation of
    F'(x) and F'(x)F''(x)" (1982); J. Moré and S. Wild (2011) for the noise.
    """
    x = differences.x
    with np.errstate(all="ignore"):
        every = np.arange(x.size) if entries is None else entries
        order = differences.order(every)
        every = every[order]
        pilots = Pilots(differences, every, still) if quick and step is None else None
        before = differences.evaluations
        parts = each(
            partial(_measure_and_count, differences, step, pilots),
            differences.chunks(every),
            lambda some: progress(len(some)) if progress is not None else None,
        )
        best = Best.joined([part for part, _ in parts])
        differences.evaluations = before + sum(count for _, count in parts)
        if step is None:
            _refine(differences, best, every)
            _retry(differences, best, every)
            _doubt_zeros(differences, best, every)
            _doubt_small(differences, best, every, np.arange(len(every)))
            _doubt_faint(best)
        best.sort(order)
        inner = x.shape if entries is None else every.shape
        outputs = (*differences.outputs, *inner)
        found = _gradient(best, outputs, differences.evaluations, by_ladder=step is None)
        return replace(
            found,
            shape=x.shape,
            entries=entries,
            method=differences.method,
            jumps=differences.steps,
        )


def _measure_and_count(
    differences: Differences, step: float | None, pilots: Pilots | None, entries: Entries
) -> Counted:
    """Some entries, and the evaluations they took, which another process may have to tell."""
    before = differences.evaluations
    if pilots is not None and pilots.share and isinstance(differences, WholeForwards):
        best = pilots.measure(differences, entries)
        left = np.flatnonzero(~best.proven)
        if len(left):
            others = _measure_chunk(differences, entries[left], step)
            best.replace(left, others, np.ones(len(left), dtype=bool))
    else:
        best = _measure_chunk(differences, entries, step)
    return best, differences.evaluations - before


def _measure_chunk(differences: Differences, entries: NDArray[np.intp], step: float | None) -> Best:
    """Some entries at the step asked for, or by a ladder from a step that moves the outputs."""
    if step is not None:
        return _fixed(differences, entries, np.full(len(entries), step))
    scale = differences.reach * differences.scale[entries]
    best = _ladder(differences, entries, FIRST_STEP * scale, MAX_LEVELS)
    if isinstance(differences, WholeForwards):
        settle_invariant(differences, entries, best, FIRST_STEP * scale)
    _leap(differences, entries, best)
    return best


def _leap(differences: Differences, entries: NDArray[np.intp], best: Best) -> None:
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
        far = _ladder(differences, entries[still], first, MAX_LEVELS)
        best.replace(still, far, far.sloping)
        still = still[far.unmoved]


def _flat_here(
    differences: Differences, entries: NDArray[np.intp], far: Float
) -> NDArray[np.bool_]:
    """Which entries, that move nothing by the first step around x, would a step further off.

    Rounding that hides a slope around x hides it there, too. Where it is seen there, it would have
    been seen here: the function is flat around x, and what happens further off says nothing of it.
    """
    seen = np.ones((2, len(entries)), dtype=bool)
    small = SHARE_OF_FIRST * FIRST_STEP * differences.scale[entries]
    for probe in PROBES if len(entries) else ():
        steps = [differences.exact(entries, probe * far + more) for more in (0.0, small)]
        near, beyond = (differences.rung(entries, step) for step in steps)
        change = beyond.value[1:] * steps[1][:, None] - near.value[1:] * steps[0][:, None]
        noise = DEVIATIONS * (near.noise[1:] + beyond.noise[1:]) * steps[1][:, None]
        seen &= np.any(np.abs(change) > noise, axis=2)
    flat: NDArray[np.bool_] = np.any(seen, axis=0)
    return flat


def _refine(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Try larger steps for the entries that noise leaves unresolved, if the outputs are smooth.

    Where noise leaves hardly anything of an entry, ever larger ones, as long as they help.
    """
    if differences.reach < 1:
        return
    first = FIRST_STEP * differences.scale[every]
    _widen(differences, best, every, best.noisy(UNRESOLVED, MOSTLY), first, NOISE_SHARE)
    if differences.steps:
        return  # which may be as much higher as the outputs are larger there
    rows = best.noisy(HIDDEN, SOMEWHAT)
    for _ in range(MOST_WIDENINGS):
        if not len(rows):
            break
        # An entry that moved nothing at first was measured at a step that did.
        first[rows] = np.maximum(first[rows], np.max(best.step[0, rows], axis=1))
        before = best.uncertainty[0, rows].copy()
        still = _widen(differences, best, every, rows, first, SOMEWHAT)
        helped = np.any(best.uncertainty[0, rows] < before / HELPED, axis=1)
        going = helped | still
        rows = np.intersect1d(rows[going], best.noisy(HIDDEN, SOMEWHAT))


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
        wider = _ladder(differences, every[part], first[part], WIDER_LEVELS)
        near = best.slope[part] - best.first_noise[part]
        held = wider.slope + wider.first_noise >= HELD_SLOPE * near
        slope = np.abs(wider.value[0]) > CLEAR_SLOPE * wider.uncertainty[0]
        best.refine(part, wider, held & slope, noisy)
        still.append(wider.unmoved)
    return np.concatenate(still)


def _retry(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Measure what is not known again, on an entry's own scale where that is a far smaller one.

    In a tensor of many units, noise around is that of a function which oscillates, leaves its
    domain or grows by many orders of magnitude within the scale of the largest.
    """
    own = differences.own_scale()
    apart = own < OWN_UNITS * differences.scale
    rows = best.unresolved(RETRIED)
    rows = rows[apart[every[rows]]]
    nearer = differences.rescaled(own) if len(rows) else None
    if nearer is None:
        return
    for chunk in nearer.chunks(rows):
        first = FIRST_STEP * nearer.reach * nearer.scale[every[chunk]]
        again = _ladder(nearer, every[chunk], first, MAX_LEVELS)
        better = again.better_than(best.uncertainty[0, chunk])
        best.replace(chunk, again, better)
        _doubt_small(nearer, best, every, chunk[better])
    differences.evaluations += nearer.evaluations


def _doubt_zeros(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Ask what rounding hides where nothing is seen to move: far away, which shows a saturated
    unit, and at the step that the zero was seen at, which shows no smaller slope than a rounding.

    What last moved by some places of what it is made of may still move by one, unseen.
    """
    doubtful = np.any(best.value == 0, axis=(0, 2)) & ~best.invariant & ~best.proven
    for rows in differences.chunks(np.flatnonzero(doubtful)):
        entries = every[rows]
        far = LEAP * FIRST_STEP * differences.scale[entries]
        near = differences.exact(entries, np.max(best.step[0, rows], axis=1))
        near = np.where((near > 0) & (near < far), near, far)
        further, nearer = (differences.rung(entries, step) for step in (far, near))
        floor = DEVIATIONS * np.fmax(further.floor, nearer.floor)
        slope, move = best.last[:, rows]
        size = np.fmax(differences.size, further.slope * far[:, None])
        place = LAST_PLACES * differences.rounding * size
        floor = np.fmax(floor, np.where(move <= place, RATIO * slope, 0.0))
        floor = np.where(np.isfinite(floor), floor, 0.0)
        best.floor[rows] = np.maximum(best.floor[rows], floor)


def _doubt_small(
    differences: Differences, best: Best, every: NDArray[np.intp], among: NDArray[np.intp]
) -> None:
    """Count what saturated outputs may hide, where an entry is so small that it matters.

    In a softmax the largest output is 1 to rounding: a logit of 1e-20 moves its own output alone,
    though what it takes from the largest one is as much. An entry below the rounding of the outputs
    and of the largest entry is hidden whatever is seen of it. among: the rows that are looked at.
    """
    share = SMALL * differences.rounding**SMALL_POWER
    step = differences.reach * FIRST_STEP * differences.scale
    most = share * differences.size / step[every, None]
    values = np.abs(best.value)
    size = np.min(np.where(values > 0, values, np.inf), axis=0)
    largest = np.max(np.where(np.isfinite(size), size, 0.0), axis=0)
    known = np.min(best.uncertainty, axis=0)
    small = (size < most) & (known < most)
    for rows in differences.chunks(among[np.any(small[among], axis=1)]):
        entries = every[rows]
        # The step that a value was seen at may be far larger than the first.
        seen = np.max(best.step[0, rows], axis=1, where=known[rows] < np.inf, initial=0.0)
        first = differences.exact(entries, np.maximum(step[entries], seen))
        far = differences.exact(entries, LEAP * FIRST_STEP * differences.scale[entries])
        hidden = DEVIATIONS * differences.hidden(entries, first, far)
        lost = DEVIATIONS * differences.rounding * differences.size / first[:, None]
        tiny = size[rows] <= np.minimum(lost, differences.rounding * largest)
        hidden = np.maximum(hidden, np.where(tiny, lost, 0.0))
        best.uncertainty[:, rows] = np.maximum(best.uncertainty[:, rows], hidden)
        best.noise[:, rows] = np.maximum(best.noise[:, rows], hidden)


def _doubt_faint(best: Best) -> None:
    """Count what numbers on the way to outputs round, where an entry is far below the largest.

    The tail of x·(1 + erf(x)) is a product with a difference of ones: it moves in steps of their
    last place, which next to an output of that size are no rounding.
    """
    size, step = np.abs(best.value[0]), best.step[0]
    largest = np.max(size, axis=0, where=size < np.inf, initial=0.0)
    faint = (size > 0) & (size <= FAINT * largest) & (step > 0)
    lost = np.minimum(best.place / step, MOST_LOST * largest)
    for part in (best.uncertainty, best.noise):
        np.copyto(part, np.maximum(part, lost), where=faint)


def _ladder(differences: Differences, entries: NDArray[np.intp], first: Float, levels: int) -> Best:
    """Extrapolates quotients at shrinking steps, for many entries at once.

    Every entry keeps the cell with the smallest uncertainty, and leaves the ladder when noise
    alone would exceed it at the next step.
    """
    step = differences.exact(entries, first)
    rung = differences.rung(entries, step)
    place = differences.last_place(rung.moved)
    best = Best(DEVIATIONS * rung.floor, rung.slope, DEVIATIONS * rung.noise[0], place)
    rungs = Rungs(differences.stencil.order)
    rows = np.arange(len(entries))
    still = np.zeros(len(entries), dtype=bool)
    for _ in range(levels):
        noise = DEVIATIONS * rung.noise
        best.note_moves(rows, rung.slope, step)
        rungs.climb(rung.value, noise)
        going = step > 0
        if rungs.levels > 1:
            best.note_growth(rows, *rungs.growth(noise))
        if rungs.ready:
            best.offer(rows, rungs.best_cells(step))
            going &= best.finish(rows, WORTH * RATIO * noise, rungs.jumps(noise))
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


def _fixed(differences: Differences, entries: NDArray[np.intp], step: Float) -> Best:
    """The quotients at one step; their truncation is judged by the quotients at shorter ones."""
    at = differences.rung(entries, step)
    noise = DEVIATIONS * at.noise
    uncertainty = noise.copy()
    for share in SHORTER:
        other = differences.rung(entries, step * share)
        gap = FIXED_SAFETY * np.abs(at.value - other.value) + DEVIATIONS * (at.noise + other.noise)
        uncertainty = np.maximum(uncertainty, gap)
    best = Best(at.floor, at.slope, noise[0])
    uncertainty = np.where(np.isfinite(uncertainty), uncertainty, np.inf)
    steps = np.broadcast_to(step[:, None], noise.shape)
    best.offer(np.arange(len(entries)), np.stack([at.value, uncertainty, noise, steps]))
    return best


def _smooth(best: Best) -> Float:
    """The cell of every entry and cotangent where there is no kink: the central one, or a side's.

    Where the curvature jumps, sides converge and the centre hardly. Where there is a kink near by,
    one side does not meet it: it counts alone where smaller steps refute the other, and noise hides
    the rest. (One that shows no slope may lead to a saturated end, where quotients vanish as the
    step grows.)
    """
    central, right, left, *held = np.moveaxis(best.cells, 1, 0)
    mean = (right + left) / 2
    mean[1] += np.abs(right[0] - left[0]) / 2
    mean[3] = right[3]
    chosen = np.where(mean[1] < central[1], mean, central)
    agree = np.abs(held[0][0] - held[1][0]) <= held[0][1] + held[1][1]
    for side in held:
        usable = agree & (np.abs(side[0] - chosen[0]) <= chosen[1] + side[1])
        usable &= (np.abs(side[0]) > side[1]) & (side[1] < ALONE * chosen[1])
        chosen = np.where(usable, side, chosen)
    return np.asarray(chosen)


def _unsettled(value: Float, uncertainty: Float, noise: Float) -> NDArray[np.bool_]:
    """Which cells are of quotients that disagree by more than their noise, and are best by chance.

    What is known to UNRESOLVED of the largest entry has settled well enough.
    """
    size = np.where(np.isfinite(uncertainty), np.abs(value), 0.0)
    large = UNRESOLVED * np.max(size, axis=-2, keepdims=True, initial=0.0)
    return np.asarray((noise < SETTLED * uncertainty) & (uncertainty > large))


def _gradient(
    best: Best, shape: tuple[int, ...], evaluations: int, *, by_ladder: bool
) -> NumericGradient:
    """The three tables of the ladder as one gradient: central where smooth, sides at kinks.

    by_ladder: whether there was one, for entries to settle on; else steps are fixed.
    """
    value, uncertainty, noise, step = _smooth(best)
    _, right, left, *_ = best.value
    _, u_right, u_left, *_ = best.uncertainty
    gap = np.abs(right - left)
    kink = KINK_KNOWN * gap > u_right + u_left
    settles = by_ladder & ~best.proven[:, None]
    sides = _unsettled(best.value, best.uncertainty, best.noise)[1:TABLES]
    kink &= ~(settles & (np.any(sides, axis=0) | best.grows))
    # Neither a kink that is known nor none: any value of both sides may be right.
    apart = [np.abs(value - side) for side in (right, left)]
    unclear = (gap > u_right + u_left) | (apart[0] > uncertainty + u_right)
    unclear = (unclear | (apart[1] > uncertainty + u_left)) & ~kink
    both = np.maximum(apart[0] + u_right, apart[1] + u_left)
    unsettled = ~kink & ~unclear & _unsettled(value, uncertainty, noise) | best.grows
    unsettled &= settles
    uncertainty = np.where(unclear, np.maximum(uncertainty, both), uncertainty)
    low = np.minimum(right - u_right, left - u_left)
    high = np.maximum(right + u_right, left + u_left)
    floored = (value == 0.0) & ~best.invariant[:, None]
    uncertainty = np.where(floored, np.maximum(uncertainty, best.floor), uncertainty)
    noise = np.where(floored, np.maximum(noise, best.floor), noise)  # by which it is hidden
    uncertainty = np.where(unsettled, np.inf, uncertainty)

    def shaped(array: NDArray[Any]) -> NDArray[Any]:
        return array.T.reshape(shape)

    return NumericGradient(
        value=shaped(np.where(np.isfinite(uncertainty), value, np.nan)),
        uncertainty=shaped(uncertainty),
        noise=shaped(noise),
        step=shaped(step),
        kink=shaped(kink),
        low=shaped(np.where(kink, low, value - uncertainty)),
        high=shaped(np.where(kink, high, value + uncertainty)),
        steepest=float(np.max(best.slope, where=np.isfinite(best.slope), initial=0.0)),
        evaluations=evaluations,
        shape=shape,
        possible=shaped(best.possible),
        unused=bool(np.all(best.unused)),
        unsettled=shaped(unsettled),
    )
