"""Claims that a forward falls into slices, and tests at random points whether they hold.

The claims are: outputs = outer(z) and z = inner(x), and slice s of z depends on slice s of x alone.
If z is affine in x besides, its responses (its change for a unit of each entry) are measured once,
with inner itself. The author of the forward makes these claims, so they are tested before use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float

PROBES = (2.0**-10, 1.0, 32.0)  # how far from x the test points are, in units of its scale
SLACK = 1e3  # times eps: a smaller difference may come from another order of summation


class Slices(Struct, frozen=True):
    """The claim that a forward falls into slices, as functions that evaluate only some of them.

    axis: of the matrices x and z; their slices are rows if it is 0, and columns if it is 1.
    forward: maps x to the outputs in one step. inner: maps x to z.
    sliced: maps variants of slice s of x, stacked along the axis, to the same variants of slice s
        of z; its arguments are the stack and s.
    outer: maps K variants of z (K, rows, columns) to outputs (K, outputs); or, given which slices,
        variants of these (K, slices, rows, columns) to their outputs (K, slices, outputs). It
        returns a new array, which may be overwritten.
    cotangent: returns that of all outputs; or, given which slices, that of their outputs (slices,
        outputs).
    splits: whether outer can be given slices; if not, it needs all of z.
    """

    axis: int
    forward: Callable[[NDArray[Any]], NDArray[Any]]
    inner: Callable[[NDArray[Any]], NDArray[Any]]
    sliced: Callable[[NDArray[Any], int], NDArray[Any]]
    outer: Callable[[NDArray[Any], slice | None], NDArray[Any]]
    cotangent: Callable[[slice | None], Float]
    splits: bool

    def cut(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Cut a matrix into slices of one row or one column each, (slices, rows, columns)."""
        front = np.ascontiguousarray(np.moveaxis(matrix, self.axis, 0))
        return np.expand_dims(front, self.axis + 1)

    def join(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Join slices (…, slices, rows, columns) to matrices (…, rows, columns)."""
        squeezed = np.squeeze(slices, axis=self.axis - 2)
        matrices: NDArray[Any] = np.swapaxes(squeezed, -1, -2) if self.axis else squeezed
        return matrices

    def terms(self, z: NDArray[Any], parts: slice) -> NDArray[Any]:
        """The outputs of some slices of z (K, slices, rows, columns): (K, slices, outputs).

        Where outer needs all of z, the result is (K, 1, outputs).
        """
        return self.outer(z, parts) if self.splits else self.outer(self.join(z), None)[:, None]

    def cotangents(self, parts: slice) -> Float:
        """The cotangents of the outputs of some slices, as `terms` returns them."""
        return self.cotangent(parts) if self.splits else self.cotangent(None)[None]


class Responses(Struct, frozen=True):
    """How a slice of z changes with each entry of its slice of x, the same in every slice.

    unit: the change for a unit of each entry (entries, rows, columns).
    zero: z where x is zero, cut into slices.
    inexact: the rounding of the responses over that of numbers of their own size.
    """

    unit: NDArray[Any]
    zero: NDArray[Any]
    inexact: float

    def add_up(self, changes: NDArray[Any]) -> NDArray[Any]:
        """The change of z, Σ response · change of x; both changes are (slices, rows, columns)."""
        unit = self.unit.reshape(len(self.unit), -1)
        flat: NDArray[Any] = changes.reshape(len(changes), -1) @ unit
        return flat.reshape(-1, *self.unit.shape[1:])

    def select(self, place: NDArray[np.intp]) -> NDArray[Any]:
        """The responses to these entries of a slice; a view if they are consecutive."""
        first, last = int(place[0]), int(place[-1])
        if last - first + 1 == len(place):
            return self.unit[first : last + 1]
        return self.unit[place]


def check_claims(
    slices: Slices, x: NDArray[Any], scale: Float
) -> tuple[Slices, Responses | None] | None:
    """Test the claims, and return those that hold: the slices, and the responses if z is affine.

    It is None if the forward does not fall into slices.
    Raises whatever the functions raise if they cannot be called as claimed.
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
    """Measure the responses: how z changes when one entry of a slice of x is a unit, not zero."""
    count = x.size // x.shape[slices.axis]
    # A power of two, so that dividing by it rounds nothing.
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
    """Whether the responses predict z to within rounding, at random points near x and far away."""
    eps = float(np.finfo(x.dtype).eps) * max(len(responses.unit), SLACK)
    for size in PROBES:
        far = (x + size * scale * random.standard_normal(x.shape)).astype(x.dtype)
        predicted = responses.zero + responses.add_up(slices.cut(far))
        # The most that the roundings of such a sum can add up to.
        sizes = replace(responses, unit=np.abs(responses.unit))
        within = eps * (np.abs(responses.zero) + sizes.add_up(np.abs(slices.cut(far))))
        if not np.all(np.abs(slices.cut(slices.inner(far)) - predicted) <= within):
            return False
    return True


def _factors(slices: Slices, x: NDArray[Any]) -> bool:
    """Whether outer(inner(x)) equals the forward."""
    whole = np.asarray(slices.forward(x))
    gap = np.max(np.abs(slices.outer(slices.inner(x)[None], None)[0] - whole))
    return bool(gap <= SLACK * np.finfo(x.dtype).eps * np.max(np.abs(whole)))


def _adds_up(slices: Slices, x: NDArray[Any]) -> bool:
    """Whether Σ cotangent · outputs is the same by slices and from all of z at once."""
    z = slices.inner(x)
    parts = slice(z.shape[slices.axis])
    terms = slices.terms(slices.cut(z)[None], parts)[0] * slices.cotangents(parts)
    whole = slices.outer(z[None], None)[0] @ slices.cotangent(None)
    within = SLACK * np.finfo(x.dtype).eps * np.sum(np.abs(terms))
    return bool(np.abs(np.sum(terms) - whole) <= within)


def _falls_apart(slices: Slices, x: NDArray[Any], elsewhere: NDArray[Any]) -> bool:
    """Whether every slice of z is the same when it is computed from its slice of x alone."""
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
