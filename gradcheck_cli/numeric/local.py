"""Quotients of a forward that falls into slices: only what an entry touches is evaluated.

outputs = outer(z), z = inner(x), and slice s of z depends on slice s of x alone. Where z is affine
in x besides, its response to a unit of each entry is measured once, with inner itself, and h times
a response is added to z (superposition); outer is differenced at full length either way. Both are
claims of whoever wrote the forward, and hold only as far as probes bear them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import SLICES, SUPERPOSITION, Differences
from gradcheck_cli.numeric.ladder import TABLES, Rung
from gradcheck_cli.numeric.noise import LINES, Float, function_noise
from gradcheck_cli.numeric.schemes import Stencil

CHUNK = 2**13  # entries that climb the ladder together
BLOCK = 2**15  # numbers that are evaluated at once: in the cache of one core
MOST_NUMBERS = 2**23  # of z, for the entries of a chunk together
SAMPLES = 10  # of the noise of a slice: lines of probes times its outputs, but 2 to 5 lines
PROBES = (2.0**-10, 1.0, 32.0)  # how far from x, in units of its scale
SLACK = 1e3  # times eps: numbers that differ by less are the same, computed in another order


class Slices(Struct, frozen=True):
    """What an entry of a matrix x touches, and how to evaluate just that.

    axis: x and z, matrices both, are cut across it.
    forward: x → outputs, in one step; inner: x → z.
    sliced: maps slice s of x, in any number of variants stacked along the axis, to those of z.
    outer: maps z in K variants (K, rows, columns) to outputs (K, outputs); given s, slice s of z.
    cotangent: that of the outputs of slice s; given None, of all.
    splits: whether outer can be given a slice; else it needs z whole.
    """

    axis: int
    forward: Callable[[NDArray[Any]], NDArray[Any]]
    inner: Callable[[NDArray[Any]], NDArray[Any]]
    sliced: Callable[[NDArray[Any], int], NDArray[Any]]
    outer: Callable[[NDArray[Any], int | None], NDArray[Any]]
    cotangent: Callable[[int | None], Float]
    splits: bool

    def cut(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A matrix as its slices (slices, rows, columns), of one row or one column each."""
        front = np.ascontiguousarray(np.moveaxis(matrix, self.axis, 0))
        return np.expand_dims(front, self.axis + 1)

    def joined(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Slices (…, slices, rows, columns) as matrices (…, rows, columns)."""
        squeezed = np.squeeze(slices, axis=self.axis - 2)
        joined: NDArray[Any] = np.swapaxes(squeezed, -1, -2) if self.axis else squeezed
        return joined

    def terms(self, z: NDArray[Any], parts: range) -> NDArray[Any]:
        """The outputs of some slices of z (K, slices, rows, columns): (K, slices, outputs)."""
        if not self.splits:
            return self.outer(self.joined(z), None)[:, None]
        return np.stack([self.outer(z[:, at], part) for at, part in enumerate(parts)], axis=1)

    def cotangents(self, parts: range) -> Float:
        """Those of the terms (slices, outputs)."""
        return np.stack([self.cotangent(part if self.splits else None) for part in parts])


class Responses(Struct, frozen=True):
    """How a slice of z responds to each entry of its slice of x; the same in all slices.

    unit: the change for a unit of it (entries, rows, columns). zero: z where x is zero, cut.
    inexact: by how much more than a number of their own size the responses are rounded.
    """

    unit: NDArray[Any]
    zero: NDArray[Any]
    inexact: float

    def to(self, changes: NDArray[Any]) -> NDArray[Any]:
        """Σ response · change for slices of x, all (slices, rows, columns)."""
        unit = self.unit.reshape(len(self.unit), -1)
        flat: NDArray[Any] = changes.reshape(len(changes), -1) @ unit
        return flat.reshape(-1, *self.unit.shape[1:])

    def at(self, place: NDArray[np.intp]) -> NDArray[Any]:
        """The responses to these entries; a view where they are consecutive."""
        first, last = int(place[0]), int(place[-1])
        if last - first + 1 == len(place):
            return self.unit[first : last + 1]
        return self.unit[place]


class Around(Struct, frozen=True):
    """How the outputs behave around z: a number for every slice, but for the first two.

    center: the terms at z; cotangent: theirs (slices, outputs of a slice); of all, where outer does
        not split (1, outputs).
    near, away: deviations of the contracted outputs; growth: the variance, over Σ|c|·move.
    size: of the contracted outputs, which sets their rounding. reach: see `Noise`, of all.
    """

    center: Float
    cotangent: Float
    near: Float
    away: Float
    growth: Float
    size: Float
    reach: float


class Locally(Differences):
    """Quotients by slices or, with responses, by superposition."""

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
        self.around = _around(slices, self.cut, slices.cut(scale), self.parts, responses)
        self.reach = self.around.reach
        self.evaluations = 1
        numbers = self.parts[0].size if slices.splits else self.z.size
        self.chunk = max(1, min(CHUNK, MOST_NUMBERS // numbers))
        self.block = max(1, BLOCK // numbers)

    def _place(self, entries: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Of every entry, its slice and its place in it."""
        row, column = np.divmod(entries, self.x.shape[1])
        return (column, row) if self.slices.axis else (row, column)

    def order(self, entries: NDArray[np.intp]) -> NDArray[np.intp]:
        """Slice by slice."""
        return np.argsort(self._place(entries)[0], kind="stable")

    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Some slices at a time."""
        return [entries[start : start + self.chunk] for start in range(0, len(entries), self.chunk)]

    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """See `Differences`; here `moved` is one column: whether an entry moves any output."""
        return self._stencil(entries, step, moved)

    def _pair(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        part, place = self._place(entries)
        value, slope = np.empty((TABLES, len(entries))), np.empty(len(entries))
        widths = np.empty((TABLES, len(entries)))
        if self.responses is None:
            self.evaluations += -(-2 * len(entries) // len(self.parts))
        start = 0
        for end in map(int, np.flatnonzero(np.diff(part, append=-1)) + 1):
            for first in range(start, end, self.block):
                some = slice(first, min(first + self.block, end))
                above, below, widths[1:, some] = self._sides(part[first], place[some], step[some])
                value[:, some], slope[some] = self._contracted(part[first], above, below)
            start = end
        widths[0] = widths[1] + widths[2]
        return self._rung(entries, value / widths, slope, step, widths, moved)

    def _sides(
        self, part: np.intp, place: NDArray[np.intp], step: Float
    ) -> tuple[NDArray[Any], NDArray[Any], Float]:
        """The outputs above and below (K, outputs), and how far the two sides are (2, K)."""
        if self.responses is None:
            above, below, widths = self._evaluated(part, place, step)
        else:
            change = self.responses.at(place) * step.astype(self.z.dtype)[:, None, None]
            above, below = self.parts[part] + change, self.parts[part] - change
            widths = np.broadcast_to(step, (2, len(step)))
        if self.slices.splits:
            outer, at = self.slices.outer, int(part)
            return outer(above, at), outer(below, at), widths
        return self._in_whole(above, part), self._in_whole(below, part), widths

    def _evaluated(
        self, part: np.intp, place: NDArray[np.intp], step: Float
    ) -> tuple[NDArray[Any], NDArray[Any], Float]:
        """A slice of z on both sides, by inner."""
        count, rows = len(place), np.arange(len(place))
        flat = self.cut[part].ravel()
        points = np.repeat(flat[None], 2 * count, axis=0)
        points[rows, place] += step.astype(self.x.dtype)
        points[rows + count, place] -= step.astype(self.x.dtype)
        here = flat[place].astype(np.float64)
        widths = np.stack([points[rows, place] - here, here - points[rows + count, place]])
        stack = self.slices.joined(points.reshape(2 * count, *self.cut.shape[1:]))
        z = self.slices.cut(self.slices.sliced(stack, int(part)))
        return z[:count], z[count:], widths

    def _in_whole(self, variants: NDArray[Any], part: np.intp) -> NDArray[Any]:
        """The outputs of z whole, with one slice of it in other variants."""
        whole = np.repeat(self.z[None], len(variants), axis=0)
        if self.slices.axis:
            whole[:, :, part] = variants[:, :, 0]
        else:
            whole[:, part] = variants[:, 0]
        return self.slices.outer(whole, None)

    def _contracted(
        self, part: np.intp, above: NDArray[Any], below: NDArray[Any]
    ) -> tuple[Float, Float]:
        """The changes, contracted with the cotangent (TABLES, K), and the larger Σ |c|·move."""
        own = part if self.slices.splits else 0
        center, cotangent = self.around.center[own], self.around.cotangent[own]
        right, left = above - center, center - below
        value = np.empty((TABLES, len(above)))
        value[1], value[2] = right @ cotangent, left @ cotangent
        value[0] = value[1] + value[2]
        weight = np.abs(cotangent)
        np.abs(right, out=right)
        np.abs(left, out=left)
        return value, np.maximum(right @ weight, left @ weight)

    def _rung(
        self,
        entries: NDArray[np.intp],
        value: Float,
        slope: Float,
        step: Float,
        widths: Float,
        moved: NDArray[np.bool_] | None,
    ) -> Rung:
        """The quotients with their noise, which is known slice by slice."""
        own = self._place(entries)[0]
        near, away = self.around.near[own], self.around.away[own]
        size, growth = self.around.size[own], self.around.growth[own]
        moves = slope != 0  # where outputs left their domain, too
        if moved is None:
            share = np.maximum(step / self.scale[entries], 1.0)
            floor = 2 * self.rounding * slope * share
            floor = floor + np.where(moves, away, self.rounding * size)
        else:
            floor = np.where(moved[:, 0] & ~moves, away, 0.0)
            moves |= moved[:, 0]
        rounding = self.rounding * (size + slope * (1 + self.inexact))
        # Not the root of a sum of squares, because those of 1e-200 are 0.
        deviation = np.hypot(np.hypot(near, rounding), np.sqrt(growth) * np.sqrt(slope))
        deviation = np.where(moves, np.sqrt(2.0) * deviation, 0.0)
        return Rung(
            value[..., None],
            (deviation / widths)[..., None],
            (slope / step)[:, None],
            (floor / step)[:, None],
            moves[:, None],
        )


def locally(slices: Slices, x: NDArray[Any], scale: Float, stencil: Stencil) -> Locally | None:
    """Quotients by the cheapest way that probes of what `slices` claims do not contradict.

    None where nothing is left but whole forwards.
    """
    with np.errstate(all="ignore"):
        try:
            return _proven(slices, x, scale, stencil)
        except Exception:  # what cannot even be called so
            return None


def _proven(slices: Slices, x: NDArray[Any], scale: Float, stencil: Stencil) -> Locally | None:
    random = np.random.default_rng(0)
    responses = _responses(slices, x, scale)
    if responses is not None and not _superposes(slices, responses, x, scale, random):
        responses = None
    elsewhere = (x + scale * random.standard_normal(x.shape)).astype(x.dtype)
    if not _factors(slices, elsewhere):
        return None
    if slices.splits and not _adds_up(slices, elsewhere):
        slices = replace(slices, splits=False)
    if responses is None and not (slices.splits and _falls_apart(slices, x, elsewhere)):
        return None
    return Locally(slices, x, scale, stencil, responses)


def _responses(slices: Slices, x: NDArray[Any], scale: Float) -> Responses | None:
    """As inner shows them: units in the place of a slice of x, all of them stacked."""
    count = x.size // x.shape[slices.axis]
    # A power of two, which rounds nothing.
    unit = float(np.exp2(np.round(np.log2(np.max(scale)))))
    units = unit * np.eye(count + 1, count, -1, dtype=x.dtype)
    stack = np.moveaxis(units, 0, slices.axis)
    nothing, *_ = shown = slices.cut(slices.sliced(stack, 0))
    moved = shown[1:] - nothing
    zero = slices.cut(slices.inner(np.zeros_like(x)))
    largest, offset = float(np.max(np.abs(moved))), float(np.max(np.abs(zero)))
    if not np.isfinite(largest + offset):
        return None
    return Responses(moved / unit, zero, offset / largest if largest else 0.0)


def _superposes(
    slices: Slices,
    responses: Responses,
    x: NDArray[Any],
    scale: Float,
    random: np.random.Generator,
) -> bool:
    """Whether z is where the responses say it is, for random x near by and far away."""
    eps = float(np.finfo(x.dtype).eps) * max(len(responses.unit), SLACK)
    for size in PROBES:
        far = (x + size * scale * random.standard_normal(x.shape)).astype(x.dtype)
        told = responses.zero + responses.to(slices.cut(far))
        # The largest that the roundings of such a sum can come to.
        sizes = replace(responses, unit=np.abs(responses.unit))
        within = eps * (np.abs(responses.zero) + sizes.to(np.abs(slices.cut(far))))
        if not np.all(np.abs(slices.cut(slices.inner(far)) - told) <= within):
            return False
    return True


def _factors(slices: Slices, x: NDArray[Any]) -> bool:
    """Whether outer(inner(x)) is the forward."""
    whole = np.asarray(slices.forward(x))
    gap = np.max(np.abs(slices.outer(slices.inner(x)[None], None)[0] - whole))
    return bool(gap <= SLACK * np.finfo(x.dtype).eps * np.max(np.abs(whole)))


def _adds_up(slices: Slices, x: NDArray[Any]) -> bool:
    """Whether the terms of the slices make up what the whole of z gives."""
    z = slices.inner(x)
    parts = range(z.shape[slices.axis])
    terms = slices.terms(slices.cut(z)[None], parts)[0] * slices.cotangents(parts)
    whole = slices.outer(z[None], None)[0] @ slices.cotangent(None)
    within = SLACK * np.finfo(x.dtype).eps * np.sum(np.abs(terms))
    return bool(np.abs(np.sum(terms) - whole) <= within)


def _falls_apart(slices: Slices, x: NDArray[Any], elsewhere: NDArray[Any]) -> bool:
    """Whether every slice of z is what its slice of x gives alone."""
    both = [slices.cut(slices.inner(point)) for point in (x, elsewhere)]
    stacks = np.stack([slices.cut(x), slices.cut(elsewhere)], axis=1)
    terms = x.size // len(stacks)
    for part, stack in enumerate(stacks):
        alone = slices.cut(slices.sliced(slices.joined(stack), part))
        for at, whole in zip(alone, both, strict=True):
            within = SLACK * terms * np.finfo(x.dtype).eps * np.max(np.abs(whole))
            if not np.all(np.abs(at - whole[part]) <= within):
                return False
    return True


def _around(
    slices: Slices, x: Float, scale: Float, z: NDArray[Any], responses: Responses | None
) -> Around:
    """The outputs around z and their noise, from slices of x, of its scale and of z.

    Along lines in z, as far as the responses move it; or in x, where there are none.
    """
    count = len(z)
    if responses is None:
        points, far, at_once = x, scale, 1
    else:
        points, far = z, _spread(responses, scale)
        at_once = max(1, BLOCK // z[0].size) if slices.splits else count
    outputs = slices.cotangents(range(1)).size
    lines = min(LINES, max(2, SAMPLES // outputs))
    found = []
    for start in range(0, count, at_once):
        parts = range(start, min(start + at_once, count))
        some = slice(parts.start, parts.stop)

        def evaluate(values: NDArray[Any], parts: range = parts) -> NDArray[Any]:
            if responses is not None:
                return slices.terms(values, parts)
            stack = slices.joined(values[:, 0])
            return slices.outer(slices.cut(slices.sliced(stack, parts[0])), parts[0])[:, None]

        found.append(function_noise(evaluate, points[some], far[some], lines, alike=(0, 1)))
    center, near, away, growth = (
        np.concatenate([getattr(noise, name) for noise in found])
        for name in ("center", "near", "away", "growth")
    )
    cotangent = slices.cotangents(range(len(center)))
    weight = np.abs(cotangent)
    faster = np.max(weight * growth**2, axis=1)
    if responses is not None:
        faster = faster + _bend(slices, responses, x, z, far, center, weight)

    def every(values: Float) -> Float:
        return np.broadcast_to(values, count)

    return Around(
        center=center,
        cotangent=cotangent,
        near=every(_norm(weight * near)),
        away=every(np.sum(weight * away, axis=1)),
        growth=every(faster),
        size=every(_norm(weight * center)),
        reach=min(noise.reach for noise in found),
    )


def _spread(responses: Responses, scale: Float) -> Float:
    """How far slices of z move when all entries of x do, independently, by their scale."""
    unit, largest = np.max(np.abs(responses.unit)), np.max(scale)
    squares = replace(responses, unit=(responses.unit / unit) ** 2)
    far: Float = unit * largest * np.sqrt(squares.to((scale / largest) ** 2))
    return far


def _norm(values: Float) -> Float:
    """√Σ value² of every row, in units of the largest, because squares of 1e200 overflow."""
    peak = np.max(np.abs(values), axis=1, keepdims=True)
    scaled = values / np.where(peak > 0, peak, 1.0)
    norm: Float = peak[:, 0] * np.sqrt(np.sum(scaled * scaled, axis=1))
    return norm


def _bend(
    slices: Slices,
    responses: Responses,
    x: Float,
    z: NDArray[Any],
    far: Float,
    center: Float,
    weight: Float,
) -> Float:
    """How the slope may change within what z is not known to: Σ |c|·|second difference|.

    z is a sum that another order of summing rounds otherwise, by δ; so ∂L/∂x, of the response R, is
    not known to better than Σ |c·f″·R·δ| ≤ √(Σ |c·f″|·R²)·√(Σ |c·f″|·δ²). The second factor squared
    is what is returned; the first one is at most √(2·Σ |c|·move) over the step.
    """
    rounded = np.abs(responses.zero + responses.to(x) - z) + np.finfo(z.dtype).eps * np.abs(z)
    larger = np.max(far) / np.max(rounded) if np.any(rounded) else 1.0
    moved = (larger * rounded).astype(z.dtype)
    above, below = slices.terms(np.stack([z + moved, z - moved]), range(len(z)))
    second = np.abs(above + below - 2 * center)
    bend: Float = np.sum(weight * second, axis=1) / larger**2
    return bend
