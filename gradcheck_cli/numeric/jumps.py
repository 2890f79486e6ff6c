"""Jumps of a forward between smooth pieces, such as an iteration that stops at a tolerance makes.

The slope of a piece differs from that of the function that the forward approximates by about the
height of a jump over the distance to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Evaluate, Float

# How far the lines through x reach, in units of its scale. The points of a shorter line are closer,
# so that the function is smoother between them, and lower jumps stand out.
REACHES = (0.5, 0.2, 0.05, 0.01)
LINES_EACH = 2  # random directions for each reach; a single one may miss the jumps
# On one more line all of x is multiplied by powers of two, from −OCTAVES to OCTAVES, because an
# iteration that converges quadratically jumps so rarely.
OCTAVES = 2.0
GAPS = 96  # between the points of a line
# The polynomial through so many points predicts the next one; with more points, the noise grows by
# more than the error of smooth parts shrinks.
FITTED = 8
# A jump stands out if the predictions across its gap, from the left and from the right, are off by
# so many times as much as those across both neighbouring gaps.
STANDS_OUT = 10.0
# In eps of an output: smaller errors are no jump, since the roundings of the points add up to some
# hundreds in a prediction.
ROUNDED = 2.0**12
# A gap is halved so often. Each new output must follow the prediction from one side to FOLLOWS of
# the jump, and STAYS of the jump must be left in the end: at a kink it shrinks to nothing.
HALVINGS, FOLLOWS, STAYS = 16, 0.2, 0.5
# The most evaluations that a search takes: the points of every line, and two gaps on each.
MOST_EVALUATIONS = (len(REACHES) * LINES_EACH + 1) * (GAPS + 1 + 2 * HALVINGS)

Line = Callable[[Float], NDArray[Any]]


class Jumps(Struct, frozen=True):
    """The jumps that were found around x.

    height: the largest one of any output; 0 where none was found.
    slope: the largest Σ |c|·height over the distance between jumps, in units of the scale of x;
        that of each output where there is no cotangent.
    evaluations: of the forward.
    """

    height: float
    slope: Float
    evaluations: int


class Gap(Struct, frozen=True):
    """A gap between two points of a line that may hold a jump, and the points on both sides.

    left, right: offsets (FITTED,) and outputs there (FITTED, outputs).
    weight: |c| of the outputs that may jump here, 0 of all others.
    roughness: Σ |c|·error of the predictions across the gap.
    """

    line: Line
    left: tuple[Float, Float]
    right: tuple[Float, Float]
    weight: Float
    roughness: float


def find_jumps(
    evaluate: Evaluate,
    x: NDArray[Any],
    scale: Float,
    cotangent: Float | None,
    most: float = np.inf,
) -> Jumps:
    """Find the jumps of a function on lines through x.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: of every entry of x. cotangent: of the outputs' shape, or None.
    most: jumps that make a larger slope belong to the function itself, and do not count.
    """
    evaluations, height = 0, 0.0

    def at(line: Line, offsets: Float) -> Float:
        nonlocal evaluations
        evaluations += len(offsets)
        points = line(offsets.reshape(-1, *(1,) * x.ndim)).astype(x.dtype)
        return np.asarray(evaluate(points), dtype=np.float64).reshape(len(offsets), -1)

    weight: Float | float = 1.0 if cotangent is None else np.abs(cotangent).ravel()
    slope = np.zeros(1)
    for reach, lines in _lines(x, scale):
        offsets = np.linspace(-reach, reach, GAPS + 1)
        smooth = reach in REACHES
        for line in lines:
            outputs = at(line, offsets)
            smooth &= _is_smooth(outputs)
            gaps = _rough_gaps(line, offsets, outputs, weight)
            found = [jump for gap in gaps if (jump := _confirm(gap, at)) is not None]
            if not found:
                continue
            heights = np.max([jump for _, jump in found], axis=0)
            steep = weight * heights / _distance([place for place, _ in found], reach)
            if np.max(steep) > most:
                continue
            slope = np.maximum(slope, steep if cotangent is None else np.sum(steep))
            height = max(height, float(np.max(heights)))
        if smooth:
            break
    return Jumps(height, slope, evaluations)


def _distance(places: list[float], reach: float) -> float:
    """The distance between jumps, at one or two places of a line, in units of the scale of x."""
    # A single jump has its next one beyond the line.
    apart = abs(places[0] - places[-1]) if len(places) > 1 else abs(places[0]) + reach
    return apart if reach in REACHES else float(np.log(2.0)) * apart


def _lines(x: NDArray[Any], scale: Float) -> Iterator[tuple[float, list[Line]]]:
    """Lines through x, as functions of an offset, with how far they reach; the farthest first.

    The offset is in units of the scale, and on the first line in octaves.
    """
    random = np.random.default_rng(0)

    def straight() -> Line:
        direction = random.uniform(0.5, 1.5, x.shape) * random.choice([-1.0, 1.0], x.shape) * scale
        return lambda offset: np.asarray(x + offset * direction)

    yield OCTAVES, [lambda offset: np.asarray(x * np.exp2(offset))]
    for reach in REACHES:
        yield reach, [straight() for _ in range(LINES_EACH)]


def _is_smooth(outputs: Float) -> bool:
    """Whether the points before each point of a line predict it to within rounding.

    If so, shorter lines show no jumps either.
    """
    missed = np.max(np.abs(np.diff(outputs, n=FITTED, axis=0)), axis=0)
    rounding = ROUNDED * np.finfo(float).eps * np.max(np.abs(outputs), axis=0)
    return bool(np.all(missed <= rounding))


def _rough_gaps(line: Line, offsets: Float, outputs: Float, weight: Float | float) -> list[Gap]:
    """The gaps in which a jump stands out, the nearest one on each side of the middle of a line."""
    missed = np.abs(np.diff(outputs, n=FITTED, axis=0)) * weight
    # The error of the prediction across a gap: of the point after it from the left, and of the one
    # before it from the right. Outputs are judged one by one, because each may jump elsewhere.
    rough = np.minimum(missed[: -(FITTED - 1)], missed[FITTED - 1 :])
    around = np.maximum(rough[:-2], rough[2:])
    size = np.max(np.abs(outputs), axis=0) * weight
    jumps = rough[1:-1] > np.maximum(STANDS_OUT * around, ROUNDED * np.finfo(float).eps * size)
    stand_out = np.flatnonzero(np.any(jumps, axis=1)) + 1
    gaps = []
    for side in (-1, 1):
        starts = stand_out + FITTED - 1  # the point before the gap
        middle = side * (offsets[starts] + offsets[starts + 1])
        some = starts[middle >= 0]
        if len(some):
            start = int(some[np.argmin(np.abs(offsets[some]))])
            at = start - FITTED + 1
            weights = np.where(jumps[at - 1], weight, 0.0)
            left, right = slice(start - FITTED + 1, start + 1), slice(start + 1, start + FITTED + 1)
            gap = Gap(
                line,
                (offsets[left], outputs[left]),
                (offsets[right], outputs[right]),
                weights,
                float(np.sum(np.where(jumps[at - 1], rough[at], 0.0))),
            )
            gaps.append(gap)
    return gaps


def _confirm(gap: Gap, at: Callable[[Line, Float], Float]) -> tuple[float, Float] | None:
    """The place of the jump in a gap, and its height by output; None if there is no jump."""
    weight = gap.weight
    low, high = float(gap.left[0][-1]), float(gap.right[0][0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        output = at(gap.line, np.array([middle]))[0]
        off_left = float(np.sum(np.abs(output - _predict(gap.left, middle)) * weight))
        off_right = float(np.sum(np.abs(output - _predict(gap.right, middle)) * weight))
        if not min(off_left, off_right) <= FOLLOWS * gap.roughness:
            return None
        low, high = (middle, high) if off_left < off_right else (low, middle)
    jump = np.abs(_predict(gap.right, low) - _predict(gap.left, low)) * (weight > 0)
    stays = np.sum(jump * weight) >= STAYS * gap.roughness
    return (low, jump) if stays else None


def _predict(side: tuple[Float, Float], offset: float) -> Float:
    """The value at an offset of Lagrange's polynomial through the points of one side."""
    offsets, outputs = side
    differences = offsets[:, None] - offsets
    np.fill_diagonal(differences, 1.0)
    others = np.where(np.eye(len(offsets), dtype=bool), 1.0, offset - offsets)
    return np.asarray(np.prod(others / differences, axis=1) @ outputs)
