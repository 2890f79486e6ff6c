"""Quotients by whole forwards: the plain method, which assumes nothing."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import WHOLE, Differences
from gradcheck_cli.numeric.few_probes import measure_noise
from gradcheck_cli.numeric.ladder import TABLES, Rung
from gradcheck_cli.numeric.noise import (
    BLOCK_BYTES,
    FAINT,
    ROUNDING,
    Evaluate,
    Float,
    Noise,
    function_noise,
)
from gradcheck_cli.numeric.stencils import Stencil
from gradcheck_cli.numeric.units import entry_scale, move_one_by_one, shrink_scales

# Entries that climb the ladder together: enough to be worth numpy's calls, few enough that their
# tables stay small and progress is told now and then.
LEAST_CHUNK = 64
MAX_CELLS, MAX_MASK = 2**16, 2**22  # numbers of a table, entries × outputs of a mask
MOST_KEPT = 2**20  # numbers of outputs that are kept, where each point costs a forward: 8 MB
# Of a slow forward few entries are measured at once, so that progress is told in time: seconds, and
# how many evaluations an entry takes.
TOLD_EVERY, TYPICAL_EVALUATIONS = 0.5, 30

# Roundings of the outputs, of how they move far away or of the largest number around: a loss that
# is a difference of such numbers moves in steps of their last place, near x by few at once.
LAST_PLACES = 64.0
# Of the largest number around: an output as small may be a difference of larger ones.
FAINT_OUTPUT = 2.0**-6
# Of x: where units that x saturates do so no more, but what is zero stays so.
NEARER = 2.0**-6

# Of the scale of its surroundings: an entry that cannot be moved as far as that is confined.
LEAST_ROOM = 2.0**-10


class WholeForwards(Differences):
    """Evaluates the whole forward at every point: the plain method, which assumes nothing.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    cotangent: of the outputs' shape, or None for every basis vector in turn.
    scale: of every entry; one far below that of its surroundings cannot be moved further, so that
        outputs which stay where they are say nothing of it.
    noise: of the outputs around x, where it is known. alone: whether points are evaluated one by
        one, so that each of them costs. together: how many of them cost as much as one; scatter:
        how far outputs may then be off by what else is evaluated with them, beside their noise.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        x: NDArray[Any],
        scale: Float,
        cotangent: Float | None,
        stencil: Stencil,
        noise: Noise | None = None,
        *,
        alone: bool = False,
        scatter: Float | float = 0.0,
        together: int = 1,
    ) -> None:
        self.method = WHOLE
        self.asked = scale
        self.evaluate = evaluate
        self.cotangent = None if cotangent is None else cotangent.ravel()
        self.weight = None if self.cotangent is None else np.abs(self.cotangent)
        self.alone = alone
        started = time.perf_counter()
        scale, self.evaluations = shrink_scales(evaluate, x, scale, self.weight)
        super().__init__(x, scale, stencil)
        if noise is None:
            noise = (measure_noise if alone else function_noise)(evaluate, x, scale)
            self.evaluations += noise.evaluations
            noise = replace(noise, pace=(time.perf_counter() - started) / self.evaluations)
        told = TYPICAL_EVALUATIONS * noise.pace
        self.in_time = max(together, int(TOLD_EVERY / told)) if told else LEAST_CHUNK
        self.outputs = noise.center.shape if cotangent is None else ()
        self.scatter, self.together = scatter, together
        self.noise = noise.at_least(scatter).reshape(-1)
        self.reach, self.cancelled = noise.reach, noise.cancelled
        self.steps = float(np.max(noise.steps, initial=0.0))
        self.center = self.noise.center
        self.known: dict[tuple[int, float], Float] = {}
        stepped = np.maximum(np.abs(self.rounding * self.center), ROUNDING * self.noise.steps)
        # The steps of a type of few digits grow with its numbers.
        largest = np.max(np.abs(self.center), where=np.isfinite(self.center), initial=0.0)
        steps = self.noise.steps / (largest if largest > 0 else np.inf)
        self.place = np.maximum(self.rounding, ROUNDING * steps)
        # What an output may change by, around x, without a trace.
        unseen = np.where(np.isfinite(self.noise.near), self.noise.near, stepped)
        self.unseen = np.maximum(unseen, self.smallest)
        self.size = self._weighed(np.abs(self.center)[None])
        point_bytes = 8 * (x.size + self.center.size)
        pairs = max(1, together // 2)
        self.block = max(pairs, BLOCK_BYTES // (2 * point_bytes) // pairs * pairs)

    @cached_property
    def confined(self) -> NDArray[np.bool_]:
        """The entries that cannot be moved as far as the scale of their surroundings."""
        return np.asarray(self.asked < LEAST_ROOM * entry_scale(self.x)).ravel()

    def rescaled(self, scale: Float) -> Differences:
        """The same differences on another scale, with the noise there."""
        scale, alone = scale.reshape(self.x.shape), self.alone
        return WholeForwards(
            self.evaluate,
            self.x,
            scale,
            self.cotangent,
            self.stencil,
            alone=alone,
            scatter=self.scatter,
            together=self.together,
        )

    def last_place(self, moved: NDArray[np.bool_]) -> Float | None:
        """Some last places of the largest number around, of entries that move faint outputs alone.

        moved: which outputs each entry moves. Of others it is zero: their own rounding is as large.
        """
        sizes = np.where(np.isfinite(self.center), np.abs(self.center), 0.0)
        largest = max(np.max(sizes, initial=0.0), float(np.max(np.abs(self.x), initial=0.0)))
        faint = sizes <= FAINT_OUTPUT * largest
        place = LAST_PLACES * self.rounding * largest * self._weighed(moved & faint)
        return np.where(self._weighed(moved & ~faint) > 0, 0.0, place)

    def along(self, entry: int, moves: Float) -> Float:
        """Σ c·output, less what it is at x, where an entry is moved: a value for every move."""
        moved = self.move(np.full(len(moves), entry), moves) - self.center
        weighed: Float = np.sum(moved if self.cotangent is None else self.cotangent * moved, axis=1)
        return weighed

    def move(self, entries: NDArray[np.intp], by: Float) -> Float:
        """The outputs where one entry of x is moved, each of these by so much: (moves, outputs).

        Where each point costs a forward, none is evaluated twice.
        """
        if not self.alone:
            self.evaluations += len(entries)
            return move_one_by_one(self.evaluate, self.x, entries, by)
        places = self.x.ravel()[entries] + by.astype(self.x.dtype)
        keys = list(zip(entries.tolist(), places.tolist(), strict=True))
        if len(self.known) * self.center.size > MOST_KEPT:
            self.known.clear()
        new = [at for at, key in enumerate(keys) if key not in self.known]
        if new:
            self.evaluations += len(new)
            outputs = move_one_by_one(self.evaluate, self.x, entries[new], by[new])
            self.known.update(zip([keys[at] for at in new], outputs, strict=True))
        return np.stack([self.known[key] for key in keys])

    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """These entries in parts that climb the ladder together."""
        cotangents = self.center.size if self.cotangent is None else 1
        size = min(max(self.block, LEAST_CHUNK), self.in_time)
        size = max(1, min(size, MAX_CELLS // cotangents, MAX_MASK // self.center.size))
        return [entries[start : start + size] for start in range(0, len(entries), size)]

    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """The quotients of every entry (a flat index of x) at its own step.

        moved: which outputs an entry is known to move; by default those that it moves here.
        """
        parts = []
        for start in range(0, len(entries), self.block):
            part = slice(start, start + self.block)
            known = None if moved is None else moved[part]
            parts.append(self._stencil(entries[part], step[part], known))
        return parts[0] if len(parts) == 1 else Rung.concatenated(parts)

    def _pair(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        """Quotients of one point on each side, each over the step that was really taken."""
        count = len(entries)
        x, by = self.x.ravel()[entries], step.astype(self.x.dtype)
        here, above_x, below_x = x.astype(np.float64), x + by, x - by
        outputs = self.move(np.tile(entries, 2), np.concatenate([step, -step]))
        above, below = outputs[:count], outputs[count:]
        changes = np.empty((TABLES, *above.shape))
        changes[0], changes[1], changes[2] = above - below, above - self.center, self.center - below
        widths = np.empty((TABLES, count))
        widths[1], widths[2] = above_x - here, here - below_x
        widths[0] = above_x - below_x.astype(np.float64)
        move = np.maximum(np.abs(changes[1]), np.abs(changes[2]))
        slope = self._weighed(move)
        floor = np.zeros_like(slope)
        if moved is None:
            moved = move != 0  # where it left its domain, too
            floor = self._floor(slope, moved, step / self.scale[entries])
        else:
            # What moved before and does not now has moved by less than a rounding.
            unseen = np.maximum(self.noise.away, self.unseen)
            hidden = np.where(moved & (move == 0), unseen, 0.0)
            floor = np.where(slope == 0, self._weighed(hidden), 0.0)
            moved = moved | (move != 0)  # between two saturated ends nothing moved at first
        # An output rounds at the size it has here, which may be far from the size it has at x.
        rounding = self.place * np.maximum(np.abs(above), np.abs(below)) + self.smallest
        # An output that moves in steps and stays may have moved by less than one.
        counted = moved | (self.noise.steps > 0)
        noise = np.where(counted, np.maximum(self.noise.at(move), rounding), 0.0)
        value, deviation = self._contracted(changes, noise)
        return Rung(
            value / widths[..., None],
            deviation / widths[..., None],
            slope / step[:, None],
            floor / step[:, None],
            moved,
        )

    def _floor(self, slope: Float, moved: NDArray[np.bool_], share: Float) -> Float:
        """What outputs may change by without a trace at smaller steps.

        By a rounding of what moved at this one, a share of the scale; and by the noise around x
        where an entry moves them, or by a rounding of all of them where it moves none.
        """
        hidden = 2 * self.rounding * slope * np.maximum(share, 1.0)[:, None]
        around = self._weighed(np.where(moved, self.noise.away, 0.0))
        rounding = self._weighed(self.unseen[None])
        some = moved if self.weight is None else np.any(moved, axis=1, keepdims=True)
        return hidden + np.where(some, around, rounding)

    def hidden(self, entries: NDArray[np.intp], step: Float, far: Float) -> tuple[Float, Float]:
        """Of what slope outputs may be that move unseen by `step`, but are seen to elsewhere; and
        over that step, a rounding of all outputs that are seen to move at all.

        Elsewhere is far away, and where all of x is nearer to zero, so that fewer units saturate.
        """
        none = np.zeros((0, *self._weighed(self.unseen[None]).shape[1:]))
        unseen, lost = [none], [none]
        sizes = self.rounding * np.where(np.isfinite(self.center), np.abs(self.center), 0.0)
        for start in range(0, len(entries), self.block):
            part = slice(start, start + self.block)
            moved = self._pair(entries[part], step[part], None).moved
            seen = self._pair(entries[part], far[part], None).moved
            seen |= self._moved_nearer(entries[part], step[part])
            still = np.where(~moved & seen, self.unseen, 0.0)
            unseen.append(self._weighed(still) / step[part, None])
            lost.append(self._weighed(np.where(moved | seen, sizes, 0.0)) / step[part, None])
        return np.concatenate(unseen), np.concatenate(lost)

    def _moved_nearer(self, entries: NDArray[np.intp], step: Float) -> NDArray[np.bool_]:
        """Which outputs every entry moves where x is NEARER times as large: (entries, outputs)."""
        # The last one is not moved.
        outputs = move_one_by_one(
            self.evaluate, NEARER * self.x, np.append(entries, 0), np.append(NEARER * step, 0.0)
        )
        self.evaluations += len(outputs)
        change = outputs[:-1] - outputs[-1]
        moved: NDArray[np.bool_] = np.isfinite(change) & (change != 0)
        return moved

    def cancels(self, moved: Float) -> NDArray[np.bool_]:
        """Whether all outputs are faint beside how they moved elsewhere, as are differences."""
        return np.asarray(self.size <= FAINT * moved)

    def unseen_slope(self, moved: NDArray[np.bool_], step: Float) -> Float:
        """Of what slope the outputs that did not move by a step may be, as a deviation."""
        if self.weight is None:
            return np.zeros((len(step), 1))  # there it is the floor of their zeros
        unseen = np.where(moved, 0.0, self.weight * self.unseen)
        return np.asarray(np.sqrt(np.sum(unseen * unseen, axis=1)) / step)[:, None]

    def _weighed(self, sizes: Float) -> Float:
        """Σ |c|·size over the outputs; each for itself, if there is no cotangent."""
        return sizes if self.weight is None else np.asarray(sizes @ self.weight)[:, None]

    def _contracted(self, changes: Float, noise: Float) -> tuple[Float, Float]:
        """Σ c·change and the deviation of its noise, which is independent in every output."""
        if self.cotangent is None or self.weight is None:
            return changes, np.sqrt(2.0) * noise
        weighted = self.weight * noise
        # Scaled, because squares of 1e200 overflow.
        peak = np.max(weighted, axis=1, keepdims=True, initial=0.0)
        scaled = weighted / np.where(peak > 0, peak, 1.0)
        deviation = peak * np.sqrt(2.0 * np.sum(scaled * scaled, axis=1, keepdims=True))
        # Products of subnormal numbers are rounded to whole multiples of the smallest.
        some = np.any(noise > 0, axis=1, keepdims=True)
        deviation = deviation + np.where(some, self.smallest, 0.0)
        return (changes @ self.cotangent)[..., None], deviation
