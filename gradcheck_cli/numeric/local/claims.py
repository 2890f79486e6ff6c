"""A forward that falls into slices: what that claims, and the probes that must bear it out.

outputs = outer(z), z = inner(x), and slice s of z depends on slice s of x alone. Where z is affine
in x besides, its response to a unit of each entry is measured once, with inner itself. All of this
is claimed by whoever wrote the forward, and holds only as far as probes go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float

PROBES = (2.0**-10, 1.0, 32.0)  # how far from x, in units of its scale
SLACK = 1e3  # times eps: numbers that differ by less are the same, computed in another order


class Slices(Struct, frozen=True):
    """A claim that a forward falls into slices, as functions that evaluate only one of them.

    axis: x and z, matrices both, are cut across it.
    forward: x → outputs, in one step; inner: x → z.
    sliced: maps slice s of x, in any number of variants stacked along the axis, to those of z.
    outer: maps z in K variants (K, rows, columns) to outputs (K, outputs); or some slices of z, if
        it is given which, (K, slices, rows, columns) to theirs (K, slices, outputs); an array that
        nothing else has.
    cotangent: that of all outputs; or of theirs (slices, outputs).
    splits: whether outer can be given slices; else it needs z whole.
    """

    axis: int
    forward: Callable[[NDArray[Any]], NDArray[Any]]
    inner: Callable[[NDArray[Any]], NDArray[Any]]
    sliced: Callable[[NDArray[Any], int], NDArray[Any]]
    outer: Callable[[NDArray[Any], slice | None], NDArray[Any]]
    cotangent: Callable[[slice | None], Float]
    splits: bool

    def cut(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A matrix as its slices (slices, rows, columns), of one row or one column each."""
        front = np.ascontiguousarray(np.moveaxis(matrix, self.axis, 0))
        return np.expand_dims(front, self.axis + 1)

    def join(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Slices (…, slices, rows, columns) as matrices (…, rows, columns)."""
        squeezed = np.squeeze(slices, axis=self.axis - 2)
        matrices: NDArray[Any] = np.swapaxes(squeezed, -1, -2) if self.axis else squeezed
        return matrices

    def terms(self, z: NDArray[Any], parts: slice) -> NDArray[Any]:
        """The outputs of some slices of z (K, slices, rows, columns): (K, slices, outputs); one row
        for all slices where z is needed whole."""
        return self.outer(z, parts) if self.splits else self.outer(self.join(z), None)[:, None]

    def cotangents(self, parts: slice) -> Float:
        """Those of the terms (slices, outputs)."""
        return self.cotangent(parts) if self.splits else self.cotangent(None)[None]


class Responses(Struct, frozen=True):
    """How much a slice of z changes for a unit of each entry of x; the same in every slice.

    unit: the change for a unit of it (entries, rows, columns). zero: z where x is zero, cut.
    inexact: by how much more than a number of their own size the responses are rounded.
    """

    unit: NDArray[Any]
    zero: NDArray[Any]
    inexact: float

    def add_up(self, changes: NDArray[Any]) -> NDArray[Any]:
        """The change of z, Σ response · change of x; both are (slices, rows, columns)."""
        unit = self.unit.reshape(len(self.unit), -1)
        flat: NDArray[Any] = changes.reshape(len(changes), -1) @ unit
        return flat.reshape(-1, *self.unit.shape[1:])

    def select(self, place: NDArray[np.intp]) -> NDArray[Any]:
        """The responses to these entries; a view where they are consecutive."""
        first, last = int(place[0]), int(place[-1])
        if last - first + 1 == len(place):
            return self.unit[first : last + 1]
        return self.unit[place]


def prove_claims(
    slices: Slices, x: NDArray[Any], scale: Float
) -> tuple[Slices, Responses | None] | None:
    """Probe the claims, and keep those that hold: slices, with the responses if z is affine in x.

    None where the forward does not fall into slices.
    Raises whatever functions raise that cannot be called as is claimed.
    """
    random = np.random.default_rng(0)
    responses = _measure_responses(slices, x, scale)
    if responses is not None and not _superposes(slices, responses, x, scale, random):
        responses = None
    elsewhere = (x + scale * random.standard_normal(x.shape)).astype(x.dtype)
    if not _factors(slices, elsewhere):
        return None
    if slices.splits and not _adds_up(slices, elsewhere):
        slices = replace(slices, splits=False)
    if responses is None and not (slices.splits and _falls_apart(slices, x, elsewhere)):
        return None
    return slices, responses


def _measure_responses(slices: Slices, x: NDArray[Any], scale: Float) -> Responses | None:
    """The responses as `inner` gives them: a unit in the place of each entry of a slice of x."""
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
        told = responses.zero + responses.add_up(slices.cut(far))
        # The largest that the roundings of such a sum can come to.
        sizes = replace(responses, unit=np.abs(responses.unit))
        within = eps * (np.abs(responses.zero) + sizes.add_up(np.abs(slices.cut(far))))
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
    parts = slice(z.shape[slices.axis])
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
        alone = slices.cut(slices.sliced(slices.join(stack), part))
        for at, whole in zip(alone, both, strict=True):
            within = SLACK * terms * np.finfo(x.dtype).eps * np.max(np.abs(whole))
            if not np.all(np.abs(at - whole[part]) <= within):
                return False
    return True
