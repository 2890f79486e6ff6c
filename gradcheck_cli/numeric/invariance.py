"""Entries that a function does not depend on but for its rounding, such as a bias before a norm.

There a right backward returns 1e-16, and so do difference quotients: the entry is zero, as far as
rounding lets anyone see. The outputs stay where they are however far the entry is moved, which
tells it from an entry whose outputs are saturated here and move further off.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.noise import MOVED_DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import WholeForwards

# How far an entry is moved, in units of its scale: past the flat part of units that are saturated
# by hundreds of times what this entry gives them, not past all digits of a float32; up to where a
# leap looks first.
SHARES: Float = np.exp2(np.arange(12.0))
# Where nothing is seen to move that far, the entry may be tiny beside what it is added to: it is
# moved further, by these factors, until something moves or float64 has no digit in common with x.
FURTHER: Float = np.exp2(11.0 * np.arange(1.0, 5.0))
# The same of an entry that moved nothing at all near x, where each forward costs.
UNUSED_SHARES = tuple(np.array([share]) for share in (0.5, SHARES[-1], FURTHER[-1] * SHARES[-1]))
# Roundings, in eps of the outputs, that may move them where an entry is moved by its own scale: an
# offset of some hundreds, which a norm takes away again, rounds by as many.
ROUNDINGS = 2.0**12
# Quotients at so many moves in a row that differ by less than this share may be a slope, and are
# one if quotients at these multiples of the moves do not differ from them either.
STEADY, STEADY_MOVES, NEARBY = 0.3, 5, (1.13, 1.37, 1.71)
# Noises that the largest move must exceed for that: the least of the moves in a row then does, too.
CLEAR = 2.0**STEADY_MOVES
# Moves of which the largest is no more than so many times that of the first half of them are those
# of a bounded function that is small beside its offset, not of rounding, which grows as the entry.
GROWN = 16.0
# How much a right backward, which rounds in its own way, may differ from zero: in the noise of the
# outputs, and in the largest quotient. Those of tests/laws/test_invariance.py reach a third of it.
ROUNDED, QUOTIENTS = 32.0, 16.0
# How much further than by its own size an entry is moved, until rounding shows.
QUIET = 2.0**6
# Where each forward costs, an entry is moved by the least, the middle and the largest share alone
# if that moves the outputs as little as the entry before did: by so many times as much at most.
ALIKE = 4.0


class Invariance(Struct, frozen=True):
    """What the moves of an entry show that is zero by invariance; arrays of the cotangents.

    shares: how far it was moved, in units of its scale; share: from which on roundings show.
    quotient: the largest of Σ |c|·change over the share. uncertainty: of the slope over `share`.
    unused: whether no output moved at all.
    """

    shares: Float
    share: float
    quotient: Float
    uncertainty: Float
    unused: bool


class Limits(Struct, frozen=True):
    """By how much outputs may move where an entry is moved by its scale, and only rounding shows.

    hidden: Σ |c|·noise; possible: Σ |c·y|; unseen, within: of Σ |c|·change; each: of every output.
    """

    hidden: Float
    possible: Float
    unseen: Float
    within: Float
    each: Float

    @classmethod
    def of(cls, differences: WholeForwards) -> Limits:
        """Those of the outputs at x."""
        eps, size = float(np.finfo(differences.x.dtype).eps), np.abs(differences.center)
        noise = np.maximum(differences.noise.near, differences.noise.away)
        hidden = _weighed(differences, np.maximum(eps * size, noise))
        possible, unseen = _weighed(differences, size), MOVED_DEVIATIONS * hidden
        return cls(
            hidden=hidden,
            possible=possible,
            unseen=unseen,
            within=np.maximum(ROUNDINGS * eps * possible, unseen),
            # By itself: one that is far smaller than the others moves unseen among them.
            each=np.maximum(ROUNDINGS * eps * size, MOVED_DEVIATIONS * noise),
        )


def settle_invariant(differences: WholeForwards, entries: NDArray[np.intp], best: Best) -> None:
    """Set to zero ± rounding what `best` knows of entries that move no output by more than that.

    An entry that moved anything at a step of its ladder is not looked at, so that this costs
    nothing where there is no invariance; nor is one taken for it that the ladder saw between two
    saturated ends.
    """
    limits, found = Limits.of(differences), None
    still = np.all(best.most <= limits.within, axis=1)
    still &= ~best.sloping_beyond(CLEAR)
    if still.any():
        still &= ~differences.confined[entries]
    for row in map(int, np.flatnonzero(still)):
        entry = int(entries[row])
        alike = _alike(differences, entry, limits, found) if differences.alone and found else None
        shown = alike or _look(differences, entry, limits)
        if shown is not None:
            found, scale = shown, differences.scale[entry]
            possible = limits.possible / (shown.share * scale)
            uncertainty = shown.uncertainty / (shown.share * scale)
            best.settle_at_zero(row, possible, uncertainty, shown.unused)


def _look(differences: WholeForwards, entry: int, limits: Limits) -> Invariance | None:
    """What moves of an entry by many shares show, if it is an invariance."""
    far = SHARES[-1:]  # which alone shows most entries to be none
    if not _is_rounding(*_totals(differences, _changes(differences, entry, far)), far, limits):
        return None
    shares, changes = _move_until_seen(differences, entry, CLEAR * limits.unseen)
    move, total = _totals(differences, changes)
    if not _is_rounding(move, total, shares, limits):
        return None
    # What moves, but never clearly, is a bounded function that noise hides.
    if move.any() and not np.any(total > CLEAR * limits.unseen):
        return None
    if np.any(total > limits.unseen) and (
        _is_bounded(total, shares, limits.unseen) or _is_slope(differences, entry, shares, changes)
    ):
        return None
    # An entry that is tiny beside what it is added to could be as large as that. One that is seen
    # nowhere may be that of a saturated unit, of which larger moves tell nothing.
    seen = np.flatnonzero(np.any(total > limits.unseen, axis=1))
    quiet = shares[: seen[0]] if len(seen) else shares[:0]
    share = max(1.0, float(quiet[-1]) / QUIET) if len(quiet) else 1.0
    quotient = np.max((total / shares[:, None])[shares >= share], axis=0)
    # What is rounded on the way to the outputs is larger than they are by this; in a backward it is
    # multiplied by a derivative that is so much larger, too.
    eps = float(np.finfo(differences.x.dtype).eps)
    amplified = np.maximum(share * quotient / (eps * limits.possible), 1.0)
    uncertainty = np.maximum(ROUNDED * limits.hidden, QUOTIENTS * amplified * share * quotient)
    if not np.all(np.isfinite(uncertainty)):
        return None
    return Invariance(shares, share, quotient, uncertainty, not move.any())


def _alike(
    differences: WholeForwards, entry: int, limits: Limits, other: Invariance
) -> Invariance | None:
    """What another entry showed, if this one moves the outputs no more than that one did."""
    shares = other.shares[[0, len(other.shares) // 2, -1]]
    move, total = _totals(differences, _changes(differences, entry, shares))
    most = np.maximum(ALIKE * other.quotient * shares[:, None], limits.unseen)
    if np.all(total <= most) and _is_rounding(move, total, shares, limits):
        return replace(other, unused=other.unused and not move.any())
    return None


def _totals(differences: WholeForwards, changes: Float) -> tuple[Float, Float]:
    """The larger of the changes up and down, (shares, outputs), and Σ |c|·change of it."""
    move = np.max(np.abs(changes), axis=0)
    return move, np.stack([_weighed(differences, one) for one in move])


def _is_rounding(move: Float, total: Float, shares: Float, limits: Limits) -> bool:
    """Whether moves by these shares are no more than roundings of the entry that is moved."""
    far = np.maximum(shares, 1.0)[:, None]
    return bool(np.all(total <= limits.within * far) and not np.any(move > limits.each * far))


def settle_unused(
    differences: WholeForwards, entries: NDArray[np.intp], best: Best, rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Set to zero ± rounding the entries of these rows that move nothing at all, at any distance.

    Returns which they are. Such an entry meets a zero, or is not used: what moves is looked at by
    `settle_invariant`.
    """
    limits = Limits.of(differences)
    uncertainty = ROUNDED * limits.hidden
    unused = np.zeros(len(rows), dtype=bool)
    for at, row in enumerate(rows):
        entry = int(entries[row])
        known = not differences.confined[entry] and np.all(np.isfinite(uncertainty))
        if known and all(not _changes(differences, entry, share).any() for share in UNUSED_SHARES):
            scale = differences.scale[entry]
            possible = limits.possible / scale
            best.settle_at_zero(int(row), possible, uncertainty / scale, unused=True)
            unused[at] = True
    return unused


def _is_bounded(total: Float, shares: Float, noise: Float) -> bool:
    """Whether moves (shares, cotangents) are those of a bounded function, beside an offset."""
    half = np.max(total[: len(total) // 2], axis=0)
    bounded = GROWN * half > np.maximum(np.max(total, axis=0), noise)
    return bool(np.any(bounded) and np.any(total > noise * shares[:, None]))


def _is_slope(differences: WholeForwards, entry: int, shares: Float, changes: Float) -> bool:
    """Whether quotients at some moves in a row are alike, as of a slope, and not by chance.

    At the largest moves a function may be saturated, at the smallest the noise hides a slope.
    Roundings may be alike where they are multiples of one number: at other moves nearby they are
    not.
    """
    quotients = _quotients(shares, changes)
    alike = np.abs(np.diff(quotients, axis=0)) < STEADY * np.abs(quotients[1:])
    windows = np.lib.stride_tricks.sliding_window_view(alike, STEADY_MOVES - 1, axis=0)
    for start in np.flatnonzero(np.any(np.all(windows, axis=-1), axis=1)):
        window = slice(start, start + STEADY_MOVES)
        nearby = np.multiply.outer(NEARBY, shares[window]).ravel()
        others = _quotients(nearby, _changes(differences, entry, nearby))
        here = quotients[start + STEADY_MOVES - 1]
        apart = np.abs(np.concatenate([quotients[window], others]) - here)
        steady = np.all(apart < STEADY * np.abs(here), axis=0)
        weight = np.abs(here)
        held = _weighed(differences, np.where(steady, weight, 0.0))
        if np.any(2 * held > _weighed(differences, weight)):
            return True
    return False


def _quotients(shares: Float, changes: Float) -> Float:
    """What moves up and down differ by, over the share: (shares, outputs)."""
    quotients: Float = (changes[0] - changes[1]) / shares[:, None]
    return quotients


def _weighed(differences: WholeForwards, sizes: Float) -> Float:
    """Σ |c|·size over the outputs; each for itself, if there is no cotangent."""
    return sizes if differences.weight is None else np.array([sizes @ differences.weight])


def _move_until_seen(differences: WholeForwards, entry: int, clear: Float) -> tuple[Float, Float]:
    """How far an entry was moved, in units of its scale, and how the outputs changed.

    It is moved further until Σ |c|·change exceeds `clear`; and by less where outputs are smooth
    curves within a part of the scale alone. Returns the shares and the changes at each, (2, shares,
    outputs), up and down.
    """
    nearer = np.exp2(np.arange(np.floor(np.log2(differences.reach)), 0.0))
    shares = np.concatenate([nearer, SHARES])
    changes = _changes(differences, entry, shares)
    for factor in FURTHER:
        last = np.max(np.abs(changes[:, -1:]), axis=0)
        if not np.all(_weighed(differences, last) <= clear):
            break
        further = factor * SHARES[1:]
        shares = np.concatenate([shares, further])
        changes = np.concatenate([changes, _changes(differences, entry, further)], axis=1)
    return shares, changes


def _changes(differences: WholeForwards, entry: int, shares: Float) -> Float:
    """How the outputs change as an entry, a flat index of x, is moved up and down.

    Returns (2, shares, outputs).
    """
    entries = np.full(len(shares), entry)
    moves = differences.exact(entries, differences.scale[entry] * shares)
    outputs = differences.move(np.tile(entries, 2), np.concatenate([moves, -moves]))
    changes: Float = outputs.reshape(2, len(shares), -1) - differences.center
    return changes
