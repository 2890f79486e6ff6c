"""Quotients by slices and by superposition: the slice of an entry is evaluated, not all of x.

By slices, inner is evaluated on that slice for every point. By superposition, the step times the
response is added to the slice of z instead. Either way, outer is evaluated and differenced in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import SLICES, SUPERPOSITION, Differences
from gradcheck_cli.numeric.local.claims import Responses, Slices, check_claims
from gradcheck_cli.numeric.local.noise import measure_surroundings
from gradcheck_cli.numeric.neville import RATIO
from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.numeric.parabolas import is_bent
from gradcheck_cli.numeric.rung import TABLES, Rung
from gradcheck_cli.numeric.stencils import Stencil

BLOCK = 2**15  # numbers of z that are evaluated at once: they fit the cache of a core
CHUNK = 2**13  # entries that climb the ladder together
MOST_NUMBERS = 2**23  # of z, for all entries of a chunk


class LocalQuotients(Differences):
    """Difference quotients by slices or, with responses, by superposition."""

    outputs = ()

    def __init__(
        self,
        slices: Slices,
        x: NDArray[Any],
        scale: Float,
        stencil: Stencil,
        responses: Responses | None,
    ) -> None:
        super().__init__(x, scale, stencil)
        self.slices = slices
        self.responses = responses
        self.inexact = 0.0 if responses is None else responses.inexact
        self.method = SLICES if responses is None else SUPERPOSITION
        self.cut = slices.cut(x)
        self.z = slices.inner(x)
        self.parts = slices.cut(self.z)
        self.surroundings = measure_surroundings(
            slices, self.cut, slices.cut(scale), self.parts, responses
        )
        self.reach = self.surroundings.reach
        self.evaluations = 1
        numbers = self.parts[0].size if slices.splits else self.z.size
        self.chunk = max(1, min(CHUNK, MOST_NUMBERS // numbers))
        self.block = max(1, BLOCK // numbers)

    def _place(self, entries: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The slice of every entry, and its place in the slice."""
        row, column = np.divmod(entries, self.x.shape[1])
        return (column, row) if self.slices.axis else (row, column)

    def order(self, entries: NDArray[np.intp]) -> NDArray[np.intp] | slice:
        """Slice by slice; entries are in that order already where slices are rows."""
        if self.slices.axis == 0:
            return slice(None)
        return np.argsort(self._place(entries)[0], kind="stable")

    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Split these entries into parts of CHUNK entries, or fewer where z is large."""
        return [entries[start : start + self.chunk] for start in range(0, len(entries), self.chunk)]

    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """See `Differences`; here `moved` is one column: whether an entry moves any output."""
        return self._stencil(entries, step, moved)

    def first_rung(self, entries: NDArray[np.intp], step: Float) -> tuple[Rung, Float | None]:
        """By superposition with the fourth point, which costs half as much as the two others.

        It is None where the first entries show that they are no parabolas.
        """
        if self.responses is None or self.stencil.order > 2:
            return super().first_rung(entries, step)
        return self._measure(entries, step, None, fourth=True)

    def _pair(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        return self._measure(entries, step, moved, fourth=False)[0]

    def _measure(
        self,
        entries: NDArray[np.intp],
        step: Float,
        moved: NDArray[np.bool_] | None,
        *,
        fourth: bool,
    ) -> tuple[Rung, Float | None]:
        """The quotients at a step and, with `fourth`, the right ones at the step over RATIO.

        Arguments as of `rung`.
        """
        part, place = self._place(entries)
        value, total_move = np.empty((TABLES + fourth, len(entries))), np.empty(len(entries))
        widths = np.empty((TABLES, len(entries)))
        if self.responses is None:
            self.evaluations += -(-2 * len(entries) // len(self.parts))
        for some in self._blocks(part):
            own, at = part[some.start], place[some]
            outputs, widths[1:, some] = self._sides(own, at, step[some], fourth=fourth)
            changes, total_move[some] = self._contracted(own, outputs, len(at))
            value[1 : TABLES + fourth, some] = changes
            if fourth and some.start == 0:
                fourth = not is_bent(changes[0], -changes[1], RATIO * changes[2], total_move[some])
        value[2] *= -1.0
        value[0], widths[0] = value[1] + value[2], widths[1] + widths[2]
        rung = self._rung(entries, value[:TABLES] / widths, total_move, step, widths, moved)
        return rung, (value[TABLES] * (RATIO / step))[:, None] if fourth else None

    def _blocks(self, part: NDArray[np.intp]) -> Iterator[slice]:
        """Blocks of entries of one slice that fit the cache; part: the slice of each entry."""
        start = 0
        for end in map(int, np.flatnonzero(np.diff(part, append=-1)) + 1):
            for first in range(start, end, self.block):
                yield slice(first, min(first + self.block, end))
            start = end

    def _sides(
        self, part: np.intp, place: NDArray[np.intp], step: Float, *, fourth: bool
    ) -> tuple[NDArray[Any], Float]:
        """The outputs of K entries of a slice above, below and, with `fourth`, at the fourth point.

        Returns the outputs, (2·K or 3·K, outputs), and how far the first two points really are from
        x, (K,) or (2, K).
        """
        if self.responses is None:
            z, widths = self._evaluated(part, place, step)
        else:
            z, widths = self._superposed(part, place, step, fourth=fourth), step
        if self.slices.splits:
            return self.slices.outer(z[:, None], slice(part, part + 1))[:, 0], widths
        return self._in_whole(z, part), widths

    def _superposed(
        self, part: np.intp, place: NDArray[np.intp], step: Float, *, fourth: bool
    ) -> NDArray[Any]:
        """Variants of a slice of z above, below and, with `fourth`, at the fourth point, from its
        responses: (2·K or 3·K, rows, columns)."""
        assert self.responses is not None
        here = self.parts[part]
        change = self.responses.select(place) * step.astype(self.z.dtype)[:, None, None]
        z = np.empty((2 + fourth, *change.shape), dtype=change.dtype)
        np.add(here, change, out=z[0])
        np.subtract(here, change, out=z[1])
        if fourth:
            change /= RATIO
            np.add(here, change, out=z[2])
        return z.reshape(-1, *here.shape)

    def _evaluated(
        self, part: np.intp, place: NDArray[np.intp], step: Float
    ) -> tuple[NDArray[Any], Float]:
        """Variants of a slice of z above and below, evaluated by inner, (2·K, rows, columns).

        Returns also how far their points really are from x, (2, K).
        """
        count, rows = len(place), np.arange(len(place))
        flat = self.cut[part].ravel()
        points = np.repeat(flat[None], 2 * count, axis=0)
        points[rows, place] += step.astype(self.x.dtype)
        points[rows + count, place] -= step.astype(self.x.dtype)
        here = flat[place].astype(np.float64)
        widths = np.stack([points[rows, place] - here, here - points[rows + count, place]])
        stack = self.slices.join(points.reshape(2 * count, *self.cut.shape[1:]))
        return self.slices.cut(self.slices.sliced(stack, int(part))), widths

    def _in_whole(self, variants: NDArray[Any], part: np.intp) -> NDArray[Any]:
        """The outputs of all of z, with one slice of it replaced by each of these variants."""
        whole = np.repeat(self.z[None], len(variants), axis=0)
        if self.slices.axis:
            whole[:, :, part] = variants[:, :, 0]
        else:
            whole[:, part] = variants[:, 0]
        return self.slices.outer(whole, None)

    def _contracted(self, part: np.intp, outputs: NDArray[Any], count: int) -> tuple[Float, Float]:
        """The changes of the outputs, contracted with the cotangent, and the larger Σ |c|·move.

        outputs: see `_sides`; they are overwritten. count: K. Returns (2 or 3, K), and the larger
        Σ |c|·move of the first two points, (K,).
        """
        own, around = part if self.slices.splits else 0, self.surroundings
        moves, cotangent = outputs.astype(np.float64, copy=False), around.cotangent[own]
        moves -= around.center[own]
        value = (moves @ cotangent).reshape(-1, count)
        sizes = np.abs(moves[: 2 * count], out=moves[: 2 * count])
        return value, np.max((sizes @ np.abs(cotangent)).reshape(2, -1), axis=0)

    def _rung(
        self,
        entries: NDArray[np.intp],
        value: Float,
        total_move: Float,
        step: Float,
        widths: Float,
        moved: NDArray[np.bool_] | None,
    ) -> Rung:
        """The rung of these quotients, with the noise of the slice of each entry."""
        own = self._place(entries)[0]
        near, away = self.surroundings.near[own], self.surroundings.away[own]
        size, growth = self.surroundings.size[own], self.surroundings.growth[own]
        moves = total_move != 0  # true for NaN, too: outputs that left their domain have moved
        unseen = np.fmax(near, self.rounding * size)
        if moved is None:
            share = np.maximum(step / self.scale[entries], 1.0)
            floor = 2 * self.rounding * total_move * share + np.where(moves, away, unseen)
        else:
            floor = np.where(moved[:, 0] & ~moves, np.fmax(away, unseen), 0.0)
            moves |= moved[:, 0]
        rounding = self.rounding * (size + total_move * (1 + self.inexact))
        # Not the root of a sum of squares, because the square of 1e-200 is 0.
        deviation = np.hypot(np.hypot(near, rounding), np.sqrt(growth) * np.sqrt(total_move))
        deviation = np.where(moves, np.sqrt(2.0) * deviation, 0.0)
        return Rung(
            value[..., None],
            (deviation / widths)[..., None],
            (total_move / step)[:, None],
            (floor / step)[:, None],
            moves[:, None],
        )


def choose_local_quotients(
    slices: Slices, x: NDArray[Any], scale: Float, stencil: Stencil
) -> LocalQuotients | None:
    """Quotients by superposition or by slices, as far as the claims hold.

    It is None where they do not hold, so that whole forwards must be evaluated.
    """
    with np.errstate(all="ignore"):
        try:
            found = check_claims(slices, x, scale)
        except Exception:  # the functions cannot be called as claimed
            return None
        if found is None:
            return None
        kept, responses = found
        return LocalQuotients(kept, x, scale, stencil, responses)
