"""Difference quotients by whole forwards: the plain method, which assumes nothing."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import WHOLE, Differences
from gradcheck_cli.numeric.few_probes import measure_noise
from gradcheck_cli.numeric.many_probes import noise_from_many
from gradcheck_cli.numeric.noise import (
    BLOCK_BYTES,
    FAINT,
    ROUNDING,
    Evaluate,
    Float,
    Noise,
)
from gradcheck_cli.numeric.rung import TABLES, Rung
from gradcheck_cli.numeric.scales import entry_scale, move_one_by_one, shrink_scales
from gradcheck_cli.numeric.stencils import Stencil

# Entries that climb the ladder together: enough that numpy's overhead does not matter.
LEAST_CHUNK = 64
MAX_CELLS, MAX_MASK = 2**16, 2**22  # entries × cotangents, and entries × outputs, of a chunk
MOST_KEPT = 2**20  # numbers of outputs that are kept where each point costs a forward: 8 MB
# A chunk of a slow forward should take so many seconds, to show progress; and an entry takes about
# so many evaluations.
PROGRESS_EVERY, TYPICAL_EVALUATIONS = 0.5, 30

# A loss that is a difference of large numbers moves in steps of their last place, and near x by few
# of them. A move of so many roundings of these numbers or less may be such steps.
LAST_PLACES = 64.0
# Over the largest number among x and the outputs: an output so small may be a difference.
FAINT_OUTPUT = 2.0**-6
# With x multiplied by this, units that x saturates are no longer saturated, and zeros stay zeros.
NEARER = 2.0**-6

# Over the scale of its surroundings: an entry whose own scale is smaller is confined.
LEAST_ROOM = 2.0**-10


class WholeForwards(Differences):
    """Difference quotients that evaluate the whole forward at every point.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    cotangent: of the outputs' shape, or None for every basis vector in turn.
    scale: of every entry.
    noise: of the outputs around x; None: it is measured.
    alone: whether points are evaluated one by one, so that each costs a forward.
    together: how many points in one call cost as much as a single one.
    scatter: how far outputs may depend on the other points of their call, as a standard deviation.
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
        self.given_scale = scale
        self.evaluate = evaluate
        self.cotangent = None if cotangent is None else cotangent.ravel()
        self.weight = None if self.cotangent is None else np.abs(self.cotangent)
        self.alone = alone
        started = time.perf_counter()
        scale, self.evaluations = shrink_scales(evaluate, x, scale, self.weight)
        super().__init__(x, scale, stencil)
        if noise is None:
            noise = (measure_noise if alone else noise_from_many)(evaluate, x, scale)
            self.evaluations += noise.evaluations
            noise = replace(noise, pace=(time.perf_counter() - started) / self.evaluations)
        self.pace, self.scatter, self.together = noise.pace, scatter, together
        self.outputs = noise.center.shape if cotangent is None else ()
        self.noise = noise.at_least(scatter).reshape(-1)
        self.reach, self.cancelled = noise.reach, noise.cancelled
        self.step_height = float(np.max(noise.step_height, initial=0.0))
        self.center = self.noise.center
        self.total_output = self._weighed(np.abs(self.center)[None])
        self.kept: dict[tuple[int, float], Float] = {}
        point_bytes = 8 * (x.size + self.center.size)
        pairs = max(1, together // 2)
        self.block = max(pairs, BLOCK_BYTES // (2 * point_bytes) // pairs * pairs)

    @cached_property
    def relative_rounding(self) -> Float:
        """The rounding of every output over its size, as a standard deviation."""
        # If the outputs are rounded to few digits, their steps grow with their size.
        largest = np.max(np.abs(self.center), where=np.isfinite(self.center), initial=0.0)
        relative_height = self.noise.step_height / (largest if largest > 0 else np.inf)
        return np.maximum(self.rounding, ROUNDING * relative_height)

    @cached_property
    def unseen(self) -> Float:
        """How far every output may change around x without a trace."""
        rounding = np.maximum(
            np.abs(self.rounding * self.center), ROUNDING * self.noise.step_height
        )
        unseen = np.where(np.isfinite(self.noise.near), self.noise.near, rounding)
        return np.maximum(unseen, self.smallest)

    @cached_property
    def confined(self) -> NDArray[np.bool_]:
        """Which entries have a scale far below that of their surroundings.

        They cannot be moved far; so outputs that stay where they are do not show an invariance.
        """
        return np.asarray(self.given_scale < LEAST_ROOM * entry_scale(self.x)).ravel()

    def rescaled(self, scale: Float) -> Differences:
        """These differences with another scale, and the noise measured on it."""
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

    def hidden_rounding(self, moved: NDArray[np.bool_]) -> Float | None:
        """LAST_PLACES roundings of the largest number among x and the outputs.

        moved: which outputs each entry moves. If one of them is not faint, it is 0: the rounding of
        that output is as large. Returns (entries, cotangents).
        """
        sizes = np.where(np.isfinite(self.center), np.abs(self.center), 0.0)
        largest = max(np.max(sizes, initial=0.0), float(np.max(np.abs(self.x), initial=0.0)))
        faint = sizes <= FAINT_OUTPUT * largest
        hidden = LAST_PLACES * self.rounding * largest * self._weighed(moved & faint)
        return np.where(self._weighed(moved & ~faint) > 0, 0.0, hidden)

    def along(self, entry: int, moves: Float) -> Float:
        """The change of Σ c·output when an entry moves by each of these moves."""
        moved = self.move(np.full(len(moves), entry), moves) - self.center
        weighed: Float = np.sum(moved if self.cotangent is None else self.cotangent * moved, axis=1)
        return weighed

    def move(self, entries: NDArray[np.intp], by: Float) -> Float:
        """The outputs when one entry of x moves, for each of these entries: (entries, outputs).

        by: how far each moves. Where each point costs a forward, no point is evaluated twice.
        """
        if not self.alone:
            self.evaluations += len(entries)
            return move_one_by_one(self.evaluate, self.x, entries, by)
        places = self.x.ravel()[entries] + by.astype(self.x.dtype)
        keys = list(zip(entries.tolist(), places.tolist(), strict=True))
        if len(self.kept) * self.center.size > MOST_KEPT:
            self.kept.clear()
        new = [at for at, key in enumerate(keys) if key not in self.kept]
        if new:
            self.evaluations += len(new)
            outputs = move_one_by_one(self.evaluate, self.x, entries[new], by[new])
            self.kept.update(zip([keys[at] for at in new], outputs, strict=True))
        return np.stack([self.kept[key] for key in keys])

    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Split these entries into parts, each of which climbs the ladder together."""
        cotangents = self.center.size if self.cotangent is None else 1
        size = min(max(self.block, LEAST_CHUNK), self._most_in_time())
        size = max(1, min(size, MAX_CELLS // cotangents, MAX_MASK // self.center.size))
        return [entries[start : start + size] for start in range(0, len(entries), size)]

    def _most_in_time(self) -> int:
        """How many entries can be measured before progress should be shown."""
        if not self.pace:
            return LEAST_CHUNK
        return max(self.together, int(PROGRESS_EVERY / (TYPICAL_EVALUATIONS * self.pace)))

    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """The quotients of every entry (a flat index of x) at its own step.

        moved: which outputs each entry moved at larger steps; by default those that move here.
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
        """The quotients from one point on each side, each over the step that x really took."""
        changes, widths, size = self._change(entries, step)
        move = np.maximum(np.abs(changes[1]), np.abs(changes[2]))
        total_move = self._weighed(move)
        floor = np.zeros_like(total_move)
        if moved is None:
            moved = move != 0  # true for NaN, too: an output that left its domain has moved
            floor = self._floor(total_move, moved, step / self.scale[entries])
        else:
            # An output that moved at larger steps, and does not now, moves by less than a rounding.
            unseen = np.maximum(self.noise.away, self.unseen)
            hidden = np.where(moved & (move == 0), unseen, 0.0)
            floor = np.where(total_move == 0, self._weighed(hidden), 0.0)
            moved = moved | (move != 0)  # a first step between two saturated ends moves nothing
        # An output rounds at its size here, which may be far from its size at x.
        rounding = self.relative_rounding * size + self.smallest
        # An output that moves in steps may have moved by less than one without a trace.
        counted = moved | (self.noise.step_height > 0)
        noise = np.where(counted, np.maximum(self.noise.at(move), rounding), 0.0)
        value, deviation = self._contracted(changes, noise)
        return Rung(
            value / widths[..., None],
            deviation / widths[..., None],
            total_move / step[:, None],
            floor / step[:, None],
            moved,
        )

    def _change(self, entries: NDArray[np.intp], step: Float) -> tuple[Float, Float, Float]:
        """The changes of the outputs from left to right, from x to the right, and from left to x.

        Returns the changes, (TABLES, entries, outputs); the distances between their points,
        (TABLES, entries); and the larger size of each output at the two points, (entries, outputs).
        """
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
        return changes, widths, np.maximum(np.abs(above), np.abs(below))

    def _floor(self, total_move: Float, moved: NDArray[np.bool_], share: Float) -> Float:
        """How far Σ c·output may change without a trace at smaller steps than this.

        That is a rounding of the move at this step, plus the noise around x of outputs that move;
        or, where no output moves, a rounding of all outputs. share: the step over the scale.
        """
        hidden = 2 * self.rounding * total_move * np.maximum(share, 1.0)[:, None]
        around = self._weighed(np.where(moved, self.noise.away, 0.0))
        rounding = self._weighed(self.unseen[None])
        some = moved if self.weight is None else np.any(moved, axis=1, keepdims=True)
        return hidden + np.where(some, around, rounding)

    def hidden_slope(
        self, entries: NDArray[np.intp], step: Float, far: Float
    ) -> tuple[Float, Float]:
        """The slope that rounding may hide at `step`, and the rounding of what moves, over `step`.

        See `Differences`. Elsewhere, besides the step `far`, is where all of x is nearer to zero,
        so that fewer units are saturated.
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
        """Which outputs each entry moves where x is multiplied by NEARER: (entries, outputs)."""
        # The last point is not moved.
        outputs = move_one_by_one(
            self.evaluate, NEARER * self.x, np.append(entries, 0), np.append(NEARER * step, 0.0)
        )
        self.evaluations += len(outputs)
        change = outputs[:-1] - outputs[-1]
        moved: NDArray[np.bool_] = np.isfinite(change) & (change != 0)
        return moved

    def outputs_are_differences(self, moved: Float) -> NDArray[np.bool_]:
        """Where all outputs together are FAINT beside the move Σ |c|·move of a far step, so that
        they must be differences of larger numbers."""
        return np.asarray(self.total_output <= FAINT * moved)

    def unseen_slope(self, moved: NDArray[np.bool_], step: Float) -> Float:
        """How large the slope of outputs that did not move by a step may be, as a deviation."""
        if self.weight is None:
            return np.zeros((len(step), 1))  # the floor of zeros accounts for it
        unseen = np.where(moved, 0.0, self.weight * self.unseen)
        return np.asarray(np.sqrt(np.sum(unseen * unseen, axis=1)) / step)[:, None]

    def _weighed(self, sizes: Float) -> Float:
        """Σ |c|·size over the outputs; without a cotangent, the size of each."""
        return sizes if self.weight is None else np.asarray(sizes @ self.weight)[:, None]

    def _contracted(self, changes: Float, noise: Float) -> tuple[Float, Float]:
        """Σ c·change, and the deviation of its noise, which is independent in each output."""
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
