"""Domains: how to draw an array in one, move it within, and project a gradient to its tangents.

Matrices are along the last two axes, points of a simplex along the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.arrays.bounds import (
    at_bounds,
    draw_between,
    find_outside,
    move_between,
    room_between,
    shorten,
)
from gradcheck_cli.problem import Domain
from gradcheck_cli.text import format_shape

Array = NDArray[Any]
# (weight, point) pairs: the function there is Σ weight · f(point). There is one pair, or two where
# the function is continued past a bound.
Points = list[tuple[float, Array]]

# How far an array may be from its domain, over its largest entry: numbers written in text have some
# six digits, and numbers in low precision are off by some eps.
WRITTEN, ROUNDINGS = 1e-6, 8
SYMMETRIC_PART = "of its gradient G, (G + Gᵀ)/2 is compared"
# A multiple of the identity, over the size of the entries, that is added to a drawn matrix to keep
# it far from singular.
RIDGE = 0.5


class Geometry(Struct, frozen=True):
    """A domain as functions of arrays.

    compared: a sentence on what part of the gradient G is compared.
    fault: (x, slack) → why x is not in the domain, or empty; slack: how far it may be from it, over
        its largest entry.
    draw: an array of any numbers → one of the same shape in the domain.
    tangent: (x, g) → the orthogonal projection of g onto the directions in which x can move; g has
        the shape of x, and may have leading axes.
    move: (x, v) → where the tangent v leads: to x for v = 0, with derivative v there, and never out
        of the domain.
    straight: x → whether the second derivative of that is zero at x.
    room: x → how far every entry can be moved before `move` shortens its step.
    edge: x → the direction inside for entries at a bound, 1 or −1, and 0 for all others.
    words: an input in the domain as an adjective: `positive definite`.
    """

    compared: str
    fault: Callable[[Array, float], str]
    draw: Callable[[Array], Array]
    tangent: Callable[[Array, Array], Array]
    move: Callable[[Array, Array], Points]
    straight: Callable[[Array], bool] = lambda x: True
    room: Callable[[Array], Array] = lambda x: np.full(x.shape, np.inf)
    edge: Callable[[Array], Array] = np.zeros_like
    words: str = ""


def find_fault(geometry: Geometry, x: Array) -> str:
    """Why an array is not in a domain; empty if it is."""
    slack = max(WRITTEN, ROUNDINGS * float(np.finfo(x.dtype).eps))
    return geometry.fault(x.astype(np.float64), slack)


def geometry_of(domain: Domain) -> Geometry:
    """The geometry of a domain."""
    if domain.constraint is not None:
        return replace(GEOMETRIES[domain.constraint], words=domain.words)
    low, high = domain.low, domain.high
    return Geometry(
        compared="at a bound differences are one-sided",
        fault=lambda x, slack: find_outside(x, low, high),
        draw=partial(draw_between, low=low, high=high),
        tangent=lambda x, g: g,
        move=partial(move_between, low=low, high=high),
        straight=lambda x: not np.any(at_bounds(x, low, high)),
        room=partial(room_between, low=low, high=high),
        edge=partial(at_bounds, low=low, high=high),
        words=domain.words,
    )


# -- matrices ------------------------------------------------------------------------------


def symmetrize(g: Array) -> Array:
    """(G + Gᵀ)/2."""
    return (g + np.swapaxes(g, -1, -2)) / 2


def _not_square(x: Array) -> str:
    if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
        return ""
    return f"it is {format_shape(x.shape)}, and no square matrix"


def _not_symmetric(x: Array, slack: float) -> str:
    gap = np.abs(x - np.swapaxes(x, -1, -2)) if not _not_square(x) else np.zeros(1)
    if not np.any(gap > slack * np.max(np.abs(x))):
        return _not_square(x)
    at = [int(axis) for axis in np.unravel_index(np.argmax(gap), x.shape)]
    other = [*at[:-2], at[-1], at[-2]]
    return f"it is {x[tuple(at)]:.6g} at {at}, {x[tuple(other)]:.6g} at {other}"


def _not_positive_definite(x: Array, slack: float) -> str:
    fault = _not_symmetric(x, slack)
    least = 1.0 if fault else float(np.min(np.linalg.eigvalsh(symmetrize(x))))
    return fault or (f"its least eigenvalue is {least:.6g}" if least <= 0 else "")


def _not_lower_triangular(x: Array, slack: float) -> str:
    if _not_square(x) or not np.any(np.triu(x, 1)):
        return _not_square(x)
    above = np.argwhere(np.triu(x, 1))
    at = [int(axis) for axis in above[0]]
    return f"it is {x[tuple(at)]:.6g} at {at}, above its diagonal"


def _not_orthogonal(x: Array, slack: float) -> str:
    if x.ndim < 2:
        return f"it is {format_shape(x.shape)}, and no matrix"
    tall, which = (x, "columns") if x.shape[-2] >= x.shape[-1] else (_transpose(x), "rows")
    gap = float(np.max(np.abs(_transpose(tall) @ tall - np.eye(tall.shape[-1]))))
    return f"the products of its {which} differ from 0 and 1 by {gap:.1e}" if gap > slack else ""


def _transpose(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _draw_positive_definite(raw: Array) -> Array:
    """AAᵀ/n plus a multiple of the identity, scaled to the size of the entries of A."""
    n = raw.shape[-1]
    size = float(np.sqrt(np.mean(raw**2))) or 1.0
    return np.asarray(raw @ _transpose(raw) / (n * size) + RIDGE * size * np.eye(n))


def _move_positive_definite(x: Array, v: Array) -> Array:
    """X + V, where V is shortened until X⁻¹V has norm ½ at most: then X + V is never singular."""
    ratio = np.linalg.solve(symmetrize(x), v)
    squares = np.sum(ratio * _transpose(ratio), axis=(-2, -1), keepdims=True)
    return np.asarray(x + shorten(v, np.sqrt(np.maximum(squares, 0))))


def _room_positive_definite(x: Array) -> Array:
    """1/√tr(X⁻¹VX⁻¹V) for V = (e_i e_jᵀ + e_j e_iᵀ)/2, the tangent of each entry."""
    inverse = np.linalg.inv(symmetrize(x))
    diagonal = np.diagonal(inverse, axis1=-2, axis2=-1)
    return np.asarray(
        1 / np.sqrt((diagonal[..., :, None] * diagonal[..., None, :] + inverse**2) / 2)
    )


def _accept_wide(function: Callable[..., Array]) -> Callable[..., Array]:
    """Make a function of tall matrices accept wide ones, too, by transposing them."""

    def either(*matrices: Array) -> Array:
        if matrices[0].shape[-2] >= matrices[0].shape[-1]:
            return function(*matrices)
        return _transpose(function(*map(_transpose, matrices)))

    return either


def _draw_orthogonal(raw: Array) -> Array:
    """The first factor of a QR decomposition."""
    q, _ = np.linalg.qr(raw)
    return np.asarray(q)


def _project_orthogonal(x: Array, g: Array) -> Array:
    """G − X sym(XᵀG): XᵀV of a tangent V is skew."""
    return np.asarray(g - x @ symmetrize(_transpose(x) @ g))


def _move_orthogonal(x: Array, v: Array) -> Array:
    """(X + V)(I + VᵀV)^(−1/2), the polar factor of X + V, where a long V is shortened.

    Source: P.-A. Absil, R. Mahony, R. Sepulchre, "Optimization Algorithms on Matrix Manifolds"
    (2008), (4.8).
    """
    v = shorten(v, np.linalg.norm(v, axis=(-2, -1), keepdims=True))
    values, vectors = np.linalg.eigh(_transpose(v) @ v)
    root = (vectors / np.sqrt(1 + np.maximum(values, 0))[..., None, :]) @ _transpose(vectors)
    # Written with the difference of the root from 1, so that v = 0 gives exactly x.
    return np.asarray(x + v + (x + v) @ (root - np.eye(v.shape[-1])) * np.any(v))


# -- vectors -------------------------------------------------------------------------------


def _not_simplex(x: Array, slack: float) -> str:
    sums = np.atleast_1d(np.sum(x, axis=-1)) if x.ndim else np.zeros(1)
    off = float(sums.flat[np.argmax(np.abs(sums - 1))])
    return _not_positive(x, slack) or (
        f"it sums to {off:.6g} along its last axis, not to 1" if abs(off - 1) > slack else ""
    )


def _not_positive(x: Array, slack: float) -> str:
    at = np.argwhere(x <= 0)
    where = [int(axis) for axis in at[0]] if len(at) else []
    return f"it is {x[tuple(where)]:.6g} at {where}" if len(at) else ""


def _draw_simplex(raw: Array) -> Array:
    weights = np.exp(raw - np.max(raw, axis=-1, keepdims=True))
    return np.asarray(weights / np.sum(weights, axis=-1, keepdims=True))


def _move_simplex(x: Array, v: Array) -> Array:
    return np.asarray(x + shorten(v, np.linalg.norm(v / x, axis=-1, keepdims=True)))


def _room_simplex(x: Array) -> Array:
    """1/‖v/x‖ for v = e_i − 1/n, the tangent of each entry."""
    n = x.shape[-1]
    others = np.sum(1 / (n * x) ** 2, axis=-1, keepdims=True) - 1 / (n * x) ** 2
    return np.asarray(1 / np.sqrt(((1 - 1 / n) / x) ** 2 + others))


def _move_positive(x: Array, v: Array) -> Array:
    return np.asarray(x + shorten(v, v / x))


def _single_point(move: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Points]:
    return lambda x, v: [(1.0, move(x, v))]


GEOMETRIES = {
    "symmetric": Geometry(
        compared=SYMMETRIC_PART,
        fault=_not_symmetric,
        draw=symmetrize,
        tangent=lambda x, g: symmetrize(g),
        move=_single_point(np.add),
    ),
    "positive-definite": Geometry(
        compared=SYMMETRIC_PART,
        fault=_not_positive_definite,
        draw=_draw_positive_definite,
        tangent=lambda x, g: symmetrize(g),
        move=_single_point(_move_positive_definite),
        room=_room_positive_definite,
    ),
    "lower-triangular": Geometry(
        compared="of its gradient the lower triangle is compared",
        fault=_not_lower_triangular,
        draw=np.tril,
        tangent=lambda x, g: np.tril(g),
        move=_single_point(np.add),
    ),
    "orthogonal": Geometry(
        compared="of its gradient G, G − X(XᵀG + GᵀX)/2 is compared",
        fault=_not_orthogonal,
        draw=_accept_wide(_draw_orthogonal),
        tangent=_accept_wide(_project_orthogonal),
        move=_single_point(_accept_wide(_move_orthogonal)),
        straight=lambda x: False,
        room=np.ones_like,
    ),
    "simplex": Geometry(
        compared="its gradient is compared without the mean along the last axis",
        fault=_not_simplex,
        draw=_draw_simplex,
        tangent=lambda x, g: g - np.mean(g, axis=-1, keepdims=True),
        move=_single_point(_move_simplex),
        room=_room_simplex,
    ),
    "positive": Geometry(
        compared="differences never lead to zero",
        fault=_not_positive,
        draw=lambda raw: np.where(raw == 0, 1.0, np.abs(raw)),
        tangent=lambda x, g: g,
        move=_single_point(_move_positive),
        room=np.array,
    ),
}
