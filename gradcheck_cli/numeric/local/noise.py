"""The noise of a forward that falls into slices, measured slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.local.claims import Responses, Slices
from gradcheck_cli.numeric.noise import (
    LINES,
    ROUNDING,
    Float,
    Noise,
    draw_signs,
    function_noise,
)
from gradcheck_cli.processes.thread_map import thread_map

# Numbers of z that are probed at once, at a hundred points each: their values fit a cache.
PROBED = 2**11
# Moves of z at which outputs are seen to bend, from its scale down to the root of so many eps: the
# larger ones may lead past a corner, or from one saturated end to the other.
BENT, BENT_EPS = 4, 2.0**10
SAMPLES = 10  # of the noise of a slice: lines of probes times its outputs, but 2 to 5 lines


class Surroundings(Struct, frozen=True):
    """How the outputs behave around z.

    center, cotangent: the outputs at z and their cotangent, a row a slice; one row for all slices
        where the outputs cannot be told apart by slice. All other arrays hold a number a slice.
    near, away: the deviation of the noise of Σ cotangent · outputs, at z and a step away from it.
    growth: the variance of that noise over Σ |cotangent| · move, as outputs move away.
    size: √Σ (cotangent · output)², which sets how the sum rounds.
    reach: as in `Noise`: how far all outputs are smooth curves.
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
    With responses, the probes are lines in z, as long as the responses make them; else lines in x.
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
    """The noise of the outputs of all slices, or of some after the other, around these points.

    points, far: of x or of z, cut into slices; and how far each entry of theirs moves.
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

        return function_noise(evaluate, points[parts], far[parts], lines, alike=(0, 1))

    # Lines in x call functions of the user's, which may not bear to be called by threads.
    map_all = map if by_x else thread_map
    return list(map_all(measure, range(0, count, at_once)))


def _spread(responses: Responses, scale: Float) -> Float:
    """How far every entry of z moves, as a deviation, when each entry of x moves by its scale."""
    unit, largest = np.max(np.abs(responses.unit)), np.max(scale)
    if unit == 0.0:  # nothing of x reaches z; the outputs have a noise all the same
        return np.ones(responses.zero.shape)
    squares = replace(responses, unit=(responses.unit / unit) ** 2)
    far: Float = unit * largest * np.sqrt(squares.add_up((scale / largest) ** 2))
    return far


def _norm(values: Float) -> Float:
    """√Σ value² of every row; computed in units of the largest, because 1e200² overflows."""
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
    """Bound how the slope changes within the rounding of z, by second differences of the outputs.

    z is a sum that another order of summing rounds otherwise, by δ; so ∂L/∂x, of the response R, is
    not known to better than Σ |c·f″·R·δ| ≤ √(Σ |c·f″|·R²)·√(Σ |c·f″|·δ²). The first factor is at
    most √(2·Σ |c|·move) over the step, and δ is the same on both sides of a quotient: four times
    the second factor squared is returned, as what noise of its own on each side would be.
    """
    eps = np.finfo(z.dtype).eps
    terms = _spread(responses, np.abs(x)) if np.any(x) else 0.0
    other = np.abs(responses.zero + responses.add_up(x) - z)
    rounded = np.maximum(other, ROUNDING * eps * (terms + np.abs(z)))
    bend: Float = np.zeros(len(center))
    random = np.random.default_rng(0)
    for share in np.geomspace(1.0, np.sqrt(BENT_EPS * eps), BENT) if np.any(rounded) else ():
        larger = share * np.max(far) / np.max(rounded)
        # By chance up or down: where all outputs move alike, a softmax stays.
        moved = (larger * rounded * draw_signs(random, z.shape)).astype(z.dtype)
        above, below = slices.terms(np.stack([z + moved, z - moved]), slice(len(z)))
        second = np.abs(above + below - 2 * center)
        bend = np.maximum(bend, 4 * np.sum(weight * second, axis=1) / larger**2)
    return bend
