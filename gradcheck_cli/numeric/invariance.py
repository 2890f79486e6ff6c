"""Zeros by invariance: entries that the function does not depend on, but for rounding.

An example is a bias before batch norm. A right backward returns some 1e-16 there, and so do
difference quotients: the entry is zero to within rounding. The outputs stay where they are however
far such an entry moves; where units are only saturated, they move if it goes far enough.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.noise import MOVED_DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import WholeForwards

# How far an entry is moved, in units of its scale: far enough to bring units out of a saturation
# hundreds of times as large as the entry's term in them, and not so far that a float32 loses all
# digits. The largest is about the first step of the first leap; see `leap_until_moved`.
SHARES: Float = np.exp2(np.arange(12.0))
# If nothing moves even then, the entry may be tiny beside what it is added to. It is moved by these
# factors further, until outputs move or float64 has no digits left for x.
FURTHER: Float = np.exp2(11.0 * np.arange(1.0, 5.0))
# The shares for an entry that moved no output near x, where each forward is costly.
UNUSED_SHARES = tuple(np.array([share]) for share in (0.5, SHARES[-1], FURTHER[-1] * SHARES[-1]))
# In eps of the outputs: how far rounding may move them when an entry moves by its scale. An offset
# of some hundreds that a norm subtracts again makes roundings of some hundreds.
ROUNDINGS = 2.0**12
# Quotients at STEADY_MOVES consecutive shares that differ by less than STEADY of themselves may be
# a slope. They are one if the quotients at these multiples of the shares do not differ either.
STEADY, STEADY_MOVES, NEARBY = 0.3, 5, (1.13, 1.37, 1.71)
# Times the noise: if the largest move exceeds that, the smallest of STEADY_MOVES moves in a row
# exceeds the noise, too.
CLEAR = 2.0**STEADY_MOVES
# The largest move over the largest one of the first half of the shares. Less is a bounded function
# that is small beside its offset; rounding grows in proportion to the entry.
GROWN = 16.0
# How far from zero a right backward, which rounds in other places, may be: in units of the noise of
# the outputs and of the largest quotient. In tests/laws/test_invariance.py they reach a third.
ROUNDED, QUOTIENTS = 32.0, 16.0
# The share from which quotients count is the last one at which no rounding shows, over this.
QUIET = 2.0**6
# Where each forward is costly, an entry is first moved by only three shares. If the outputs move by
# at most so many times as much as by the entry before, it is taken to be like that one.
ALIKE = 4.0


class Invariance(Struct, frozen=True):
    """What the moves of an entry that is zero by invariance show; arrays are (cotangents,).

    shares: how far the entry was moved, in units of its scale.
    share: the one from which quotients count.
    quotient: the largest Σ |c|·change over the share, from `share` on.
    uncertainty: of the change of Σ c·output when the entry moves by `share`.
    unused: whether no output moved at all.
    """

    shares: Float
    share: float
    quotient: Float
    uncertainty: Float
    unused: bool


class Limits(Struct, frozen=True):
    """How far outputs may move by rounding alone when an entry moves by its scale.

    hidden: Σ |c|·noise. possible: Σ |c·y|, the size of the outputs.
    unseen: Σ |c|·change below this is noise. within: below this it may be rounding.
    each: the change of each output below this may be rounding.
    """

    hidden: Float
    possible: Float
    unseen: Float
    within: Float
    each: Float

    @classmethod
    def of(cls, differences: WholeForwards) -> Limits:
        """The limits for the outputs at x."""
        eps, size = float(np.finfo(differences.x.dtype).eps), np.abs(differences.center)
        noise = np.maximum(differences.noise.near, differences.noise.away)
        hidden = _weighed(differences, np.maximum(eps * size, noise))
        possible, unseen = _weighed(differences, size), MOVED_DEVIATIONS * hidden
        return cls(
            hidden=hidden,
            possible=possible,
            unseen=unseen,
            within=np.maximum(ROUNDINGS * eps * possible, unseen),
            # An output far smaller than the others would move unseen in their sum.
            each=np.maximum(ROUNDINGS * eps * size, MOVED_DEVIATIONS * noise),
        )


def settle_invariant(differences: WholeForwards, entries: NDArray[np.intp], best: Best) -> None:
    """Set entries that move no output by more than rounding to zero ± rounding in `best`.

    Only entries whose ladder saw no more than rounding are tried, so that this costs nothing where
    there is no invariance. Entries with a clear slope, which may lie between two saturated ends,
    and confined ones are left out.
    """
    limits, found = Limits.of(differences), None
    still = np.all(best.largest_move <= limits.within, axis=1)
    still &= ~best.has_slope_beyond(CLEAR)
    if still.any():
        still &= ~differences.confined[entries]
    for row in map(int, np.flatnonzero(still)):
        entry = int(entries[row])
        shown = None
        if differences.alone and found is not None:
            shown = _compare_with(differences, entry, limits, found)
        shown = shown or _examine(differences, entry, limits)
        if shown is not None:
            found, scale = shown, differences.scale[entry]
            possible = limits.possible / (shown.share * scale)
            uncertainty = shown.uncertainty / (shown.share * scale)
            best.settle_at_zero(row, possible, uncertainty, shown.unused)


def _examine(differences: WholeForwards, entry: int, limits: Limits) -> Invariance | None:
    """What moves of an entry by many shares show; None if it is not zero by invariance."""
    far = SHARES[-1:]  # this one alone shows most entries not to be
    if not _is_rounding(*_totals(differences, _changes(differences, entry, far)), far, limits):
        return None
    shares, changes = _move_until_seen(differences, entry, CLEAR * limits.unseen)
    move, total = _totals(differences, changes)
    if not _is_rounding(move, total, shares, limits):
        return None
    # Outputs that move, but never clearly, are a bounded function that noise hides.
    if move.any() and not np.any(total > CLEAR * limits.unseen):
        return None
    if np.any(total > limits.unseen) and (
        _is_bounded(total, shares, limits.unseen) or _is_slope(differences, entry, shares, changes)
    ):
        return None
    found = _estimate_rounding(differences, shares, move, total, limits)
    return found if np.all(np.isfinite(found.uncertainty)) else None


def _estimate_rounding(
    differences: WholeForwards, shares: Float, move: Float, total: Float, limits: Limits
) -> Invariance:
    """How far rounding may move a right entry from zero; move, total: see `_totals`."""
    # If rounding shows only at large shares, the entry is tiny beside what it is added to, and may
    # be moved that far. If it shows nowhere, units may be saturated: large moves say nothing then.
    seen = np.flatnonzero(np.any(total > limits.unseen, axis=1))
    quiet = shares[: seen[0]] if len(seen) else shares[:0]
    share = max(1.0, float(quiet[-1]) / QUIET) if len(quiet) else 1.0
    quotient = np.max((total / shares[:, None])[shares >= share], axis=0)
    # Numbers on the way are larger than the outputs by this factor. A backward multiplies their
    # roundings by derivatives that are larger by the same factor.
    eps = float(np.finfo(differences.x.dtype).eps)
    amplified = np.maximum(share * quotient / (eps * limits.possible), 1.0)
    uncertainty = np.maximum(ROUNDED * limits.hidden, QUOTIENTS * amplified * share * quotient)
    return Invariance(shares, share, quotient, uncertainty, not move.any())


def _compare_with(
    differences: WholeForwards, entry: int, limits: Limits, other: Invariance
) -> Invariance | None:
    """What another entry showed, if this one moves the outputs hardly more; else None."""
    shares = other.shares[[0, len(other.shares) // 2, -1]]
    move, total = _totals(differences, _changes(differences, entry, shares))
    most = np.maximum(ALIKE * other.quotient * shares[:, None], limits.unseen)
    if np.all(total <= most) and _is_rounding(move, total, shares, limits):
        return replace(other, unused=other.unused and not move.any())
    return None


def _totals(differences: WholeForwards, changes: Float) -> tuple[Float, Float]:
    """The move of each output, the larger of its changes up and down, and Σ |c|·move.

    Returns (shares, outputs) and (shares, cotangents).
    """
    move = np.max(np.abs(changes), axis=0)
    return move, np.stack([_weighed(differences, one) for one in move])


def _is_rounding(move: Float, total: Float, shares: Float, limits: Limits) -> bool:
    """Whether these moves may all be rounding, which grows with the share."""
    far = np.maximum(shares, 1.0)[:, None]
    return bool(np.all(total <= limits.within * far) and not np.any(move > limits.each * far))


def settle_unused(
    differences: WholeForwards, entries: NDArray[np.intp], best: Best, rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Set entries of these rows that move no output at all, however far, to zero ± rounding.

    Returns which they are. The function multiplies such an entry by zero, or does not use it.
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
    """Whether these moves (shares, cotangents) are those of a bounded function plus an offset."""
    half = np.max(total[: len(total) // 2], axis=0)
    bounded = GROWN * half > np.maximum(np.max(total, axis=0), noise)
    return bool(np.any(bounded) and np.any(total > noise * shares[:, None]))


def _is_slope(differences: WholeForwards, entry: int, shares: Float, changes: Float) -> bool:
    """Whether quotients at consecutive shares agree as those of a slope do, and not by chance.

    Only some shares may show a slope: at large ones the function may be saturated, and noise hides
    it at small ones. Quotients of roundings may agree where these are multiples of one number, but
    not at other shares nearby.
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
    """The changes up minus those down, over the share: (shares, outputs)."""
    quotients: Float = (changes[0] - changes[1]) / shares[:, None]
    return quotients


def _weighed(differences: WholeForwards, sizes: Float) -> Float:
    """Σ |c|·size over the outputs; without a cotangent, the size of each."""
    return sizes if differences.weight is None else np.array([sizes @ differences.weight])


def _move_until_seen(differences: WholeForwards, entry: int, clear: Float) -> tuple[Float, Float]:
    """Move an entry further and further, until Σ |c|·change exceeds `clear`.

    Where outputs are smooth within only a part of the scale, smaller shares are tried, too.
    Returns the shares, and the changes of the outputs up and down, (2, shares, outputs).
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
    """The changes of the outputs when an entry (a flat index of x) moves up and down.

    Returns (2, shares, outputs).
    """
    entries = np.full(len(shares), entry)
    moves = differences.exact(entries, differences.scale[entry] * shares)
    outputs = differences.move(np.tile(entries, 2), np.concatenate([moves, -moves]))
    changes: Float = outputs.reshape(2, len(shares), -1) - differences.center
    return changes
