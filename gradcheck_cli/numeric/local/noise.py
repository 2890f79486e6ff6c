"""The noise of a forward that falls into slices, measured slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.local.claims import Responses, Slices
from gradcheck_cli.numeric.many_probes import LINES, noise_from_many
from gradcheck_cli.numeric.noise import (
    ROUNDING,
    Float,
    Noise,
    draw_signs,
)
from gradcheck_cli.processes.thread_map import thread_map

# Numbers of z whose noise is measured at once, at a hundred points each: these fit the cache.
PROBED = 2**11
# The bend of the outputs is measured at BENT moves of z, from its scale down to √(BENT_EPS·eps) of
# that, because the larger moves may pass a corner, or lead from one saturated end to the other.
BENT, BENT_EPS = 4, 2.0**10
SAMPLES = 10  # of the noise of a slice: lines of points × outputs; there are 2 to 5 lines


class Surroundings(Struct, frozen=True):
    """The outputs around z and their noise; arrays have one number for each slice.

    center, cotangent: the outputs at z and their cotangent, with a row for each slice; a single row
        where the outputs do not belong to slices.
    near, away: the standard deviation of the noise of Σ cotangent · outputs, at z and a step away.
    growth: the variance of that noise over Σ |cotangent|·move.
    size: √Σ (cotangent · output)², to which the rounding of the outputs is proportional.
    reach: see `Noise`.
    """

    center: Float
    cotangent: Float
    near: Float
    away: Float
    growth: Float
    size: Float
    reach: float


def measure_surroundings(
    slices: Slices, x: Float, scale: Float, z: NDArray[Any], responses: Responses | None
) -> Surroundings:
    """Measure the noise of the outputs around a point.

    x, scale, z: the point, its scale and z there, cut into slices.
    With responses, noise is measured on lines in z, as far as the responses move z; else in x.
    """
    count = len(z)
    far = scale if responses is None else _spread(responses, scale)
    found = _measure_noise(slices, x if responses is None else z, far, by_x=responses is None)
    center, near, away, growth = (
        np.concatenate([getattr(noise, name) for noise in found])
        for name in ("center", "near", "away", "growth")
    )
    cotangent = slices.cotangents(slice(len(center)))
    weight = np.abs(cotangent)
    faster = np.max(weight * growth**2, axis=1)
    if responses is not None:
        faster = faster + _bend(slices, responses, x, z, far, center, weight)

    def every(values: Float) -> Float:
        return np.broadcast_to(values, count)

    return Surroundings(
        center=center,
        cotangent=cotangent,
        near=every(_norm(weight * near)),
        away=every(np.sum(weight * away, axis=1)),
        growth=every(faster),
        size=every(_norm(weight * center)),
        reach=min(noise.reach for noise in found),
    )


def _measure_noise(slices: Slices, points: NDArray[Any], far: Float, *, by_x: bool) -> list[Noise]:
    """The noise of the outputs around a point, of all slices at once or of some after the other.

    points: x or z, cut into slices. far: how far each of its entries moves. by_x: which one it is.
    """
    count, at_once = len(points), 1
    if not by_x:
        at_once = max(1, PROBED // points[0].size) if slices.splits else count
    outputs = slices.cotangents(slice(1)).size
    lines = min(LINES, max(2, SAMPLES // outputs))

    def measure(start: int) -> Noise:
        parts = slice(start, start + at_once)

        def evaluate(values: NDArray[Any]) -> NDArray[Any]:
            if by_x:
                stack = slices.join(values[:, 0])
                values = slices.cut(slices.sliced(stack, start))[:, None]
            return slices.terms(values, parts)

        return noise_from_many(evaluate, points[parts], far[parts], lines, alike=(0, 1))

    # Lines in x call functions of the user, which may not be safe to call from threads.
    map_all = map if by_x else thread_map
    return list(map_all(measure, range(0, count, at_once)))


def _spread(responses: Responses, scale: Float) -> Float:
    """The standard deviation of each entry of z when each entry of x moves by its scale."""
    unit, largest = np.max(np.abs(responses.unit)), np.max(scale)
    if unit == 0.0:  # z does not depend on x, but the outputs have their noise all the same
        return np.ones(responses.zero.shape)
    squares = replace(responses, unit=(responses.unit / unit) ** 2)
    far: Float = unit * largest * np.sqrt(squares.add_up((scale / largest) ** 2))
    return far


def _norm(values: Float) -> Float:
    """√Σ value² of every row, computed in units of its largest value, because 1e200² overflows."""
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
    """Bound the change of the slope within the rounding of z, by second differences of the outputs.

    z is a sum, which is rounded differently, by δ, if its terms are added in another order. So an
    entry of ∂L/∂x with the response R has the uncertainty
    Σ |c·f″·R·δ| ≤ √(Σ |c·f″|·R²)·√(Σ |c·f″|·δ²). The first factor is at most √(2·Σ |c|·move) over
    the step. The result is four times the square of the second factor, because δ is the same on
    both sides of a quotient, while the noise to which it is added is independent.
    """
    eps = np.finfo(z.dtype).eps
    terms = _spread(responses, np.abs(x)) if np.any(x) else 0.0
    other = np.abs(responses.zero + responses.add_up(x) - z)
    rounded = np.maximum(other, ROUNDING * eps * (terms + np.abs(z)))
    bend: Float = np.zeros(len(center))
    random = np.random.default_rng(0)
    for share in np.geomspace(1.0, np.sqrt(BENT_EPS * eps), BENT) if np.any(rounded) else ():
        larger = share * np.max(far) / np.max(rounded)
        # Signs are random: a softmax stays if all of its inputs move alike.
        moved = (larger * rounded * draw_signs(random, z.shape)).astype(z.dtype)
        above, below = slices.terms(np.stack([z + moved, z - moved]), slice(len(z)))
        second = np.abs(above + below - 2 * center)
        bend = np.maximum(bend, 4 * np.sum(weight * second, axis=1) / larger**2)
    return bend
