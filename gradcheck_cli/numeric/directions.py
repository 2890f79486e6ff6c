"""Derivatives along random directions, and what they say of a whole gradient at once.

A direction v has an independent normal entry for every entry of x, so that e·v of an error e is
normal with the deviation ‖e‖, wherever the error sits. (Entries of ±1 would hide two equal errors
half of the time.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.line import RATIO, Derivative, differentiate, measure_line_noise
from gradcheck_cli.numeric.noise import Float

# Random directions of a certificate: with seven, `bounds` puts ‖error‖ at 9.5 times the uncertainty
# of each (with five at 20, with twelve at 4.5); each costs a line of forwards.
DIRECTION_COUNT = 7
SURE = 1e-6  # how likely a bound does not hold
FIRST_STEP = 0.5  # in units of the scale of x
# Of the first step: a derivative from steps that start there may start from a larger one next time.
STARTED = 0.9
ELSEWHERE = 5.0  # times smaller is a step that no kink, and no step before, has in common
SHARE = 2**16  # numbers that are worked on at once
ROUNDED = 64.0  # eps, by which a sum of products is rounded, in units of its norm

Box = tuple[slice, slice]
WHOLE_BOX: Box = (slice(None), slice(None))
NOTHING: Box = (slice(0, 0), slice(None))


class Bounds(Struct, frozen=True):
    """Bounds of the norm of an error, each of which fails to hold with a small probability."""

    lower: float
    upper: float


def bounds(gaps: Float, uncertainties: Float, sure: float = SURE) -> Bounds:
    """What gaps along random directions say of the norm of the error e of a gradient.

    gaps: analytic − numeric derivative along K directions of unit normal entries, so that each is
    e·v ± uncertainty. Σ (e·v)² / ‖e‖² is χ² with K degrees of freedom, whatever e is. Hence
    ‖e‖² ≤ Σ (|gap| + u)² / q, where χ² falls below q with the probability `sure`. With the density
    of χ² bounded by that without its factor exp(−x/2) ≤ 1,

        P(χ² ≤ q) ≤ (q/2)^(K/2) / Γ(K/2 + 1),   so that   q = 2 (sure · Γ(K/2 + 1))^(2/K)

    is safe. From below, ‖e‖² ≥ Σ max(|gap| − u, 0)² / Q, where χ² exceeds
    Q = K + 2√(K t) + 2t, t = −log sure, with at most that probability: B. Laurent and P. Massart,
    "Adaptive estimation of a quadratic functional by model selection", Ann. Statist. 28 (2000).
    """
    count, t = len(gaps), -log(sure)
    least = 2.0 * exp((log(sure) + lgamma(count / 2 + 1)) * 2 / count)
    most = count + 2 * sqrt(count * t) + 2 * t
    size = np.abs(gaps)
    above, below = size + uncertainties, np.maximum(size - uncertainties, 0.0)
    return Bounds(_norm(below) / sqrt(most), _norm(above) / sqrt(least))


def _norm(values: Float) -> float:
    """√Σ value², in units of the largest."""
    peak = float(np.max(values, initial=0.0))
    return peak * float(np.sqrt(np.sum((values / peak) ** 2))) if 0 < peak < np.inf else peak


class Directions:
    """The derivatives of Σ cotangent · evaluate(x) along directions of unit normal entries.

    evaluate: one point → outputs. x: seen as a matrix of its first axis and all others.
    Besides x there are one direction, in single precision, and one point; nothing of the size of x
    is made beyond that.
    """

    def __init__(
        self,
        evaluate: Callable[[NDArray[Any]], NDArray[Any]],
        x: NDArray[Any],
        cotangent: Float,
        seed: int = 0,
    ) -> None:
        self.evaluate = evaluate
        self.x = x
        self.matrix = x.reshape(x.shape[0] if x.ndim else 1, -1)
        self.cotangent = cotangent.ravel()
        self.seed = seed
        self.scale = root_mean_square(x) or 1.0
        self.point = x.copy()
        self.places = self.point.reshape(self.matrix.shape)
        self.vector = np.empty(self.matrix.shape, dtype=np.float32)
        self.drawn = -1
        self.mask: NDArray[np.bool_] | None = None
        self.evaluations = 0
        self.step = FIRST_STEP * self.scale  # the next one to start from
        self.center = self._evaluated(0.0, self.vector[NOTHING], NOTHING)
        eps = float(np.finfo(x.dtype).eps)
        vector = self.draw(0)
        self.noise = measure_line_noise(
            lambda at: self._evaluated(at, vector, WHOLE_BOX),
            self.center,
            self.cotangent,
            self.scale,
            eps,
        )

    def draw(self, number: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Direction `number`, zero outside of a flat mask; the one before is gone."""
        if number != self.drawn or mask is not self.mask:
            random = np.random.default_rng([self.seed, number])
            random.standard_normal(dtype=np.float32, out=self.vector)
            self.drawn, self.mask = number, mask
            if mask is not None:
                self.vector *= mask.reshape(self.vector.shape)
        return self.vector

    def product(self, gradient: NDArray[Any], box: Box = WHOLE_BOX) -> Derivative:
        """gradient · v, within a box, and how far rounding may have moved it."""
        rows = gradient.reshape(self.matrix.shape)[box]
        part = self.vector[box]
        step = max(1, SHARE // rows.shape[1])
        total = squares = 0.0
        for start in range(0, len(rows), step):
            some = rows[start : start + step].astype(np.float64)
            total += float(np.vdot(some, part[start : start + step].astype(np.float64)))
            squares += float(np.vdot(some, some))
        eps = float(np.finfo(np.float64).eps)
        return Derivative(total, ROUNDED * eps * sqrt(squares))

    def derivative(self, box: Box = WHOLE_BOX) -> Derivative:
        """Along the direction that was drawn last, within a box."""
        part = self.vector[box]
        moved = part.size if self.mask is None else int(np.count_nonzero(part))
        if not moved:
            return Derivative(0.0, 0.0)
        return self._along(part, box, self.x.size / moved)

    def confirm(self) -> Derivative:
        """The same as of the whole direction, from smaller steps of their own."""
        self.step /= ELSEWHERE
        return self.derivative()

    def at(self, row: int, column: int) -> Derivative:
        """That for one entry of x."""
        box = (slice(row, row + 1), slice(column, column + 1))
        return self._along(np.ones((1, 1), dtype=np.float32), box, 1.0)

    def _along(self, part: NDArray[np.float32], box: Box, wider: float) -> Derivative:
        """The derivative along a direction that is zero outside of a box.

        wider: the square of the step, in units of that of a whole direction.
        """

        def evaluate(at: float) -> Float:
            return self._evaluated(at, part, box)

        width = sqrt(wider)
        first = min(self.step, FIRST_STEP * self.scale) * width
        found = differentiate(evaluate, self.center, self.cotangent, self.noise, first)
        if found.settled:
            grown = RATIO if found.step >= first * STARTED else 1.0
            self.step = found.step * grown / width
        return found

    def _evaluated(self, at: float, part: NDArray[np.float32], box: Box) -> Float:
        """The outputs, flat, at x + at·v, v being zero outside of a box."""
        place, here = self.places[box], self.matrix[box]
        np.multiply(part, at, out=place, dtype=place.dtype)
        place += here
        outputs = np.array(self.evaluate(self.point), dtype=np.float64)
        self.evaluations += 1
        place[...] = here
        return outputs.ravel()


def root_mean_square(x: NDArray[Any]) -> float:
    """√(Σ x²/size), without a copy of x."""
    flat = x.ravel()
    largest = float(max(flat.max(), -flat.min()))
    if largest == 0.0:
        return 0.0
    parts = (flat[start : start + SHARE] / largest for start in range(0, x.size, SHARE))
    return largest * sqrt(sum(float(np.vdot(part, part)) for part in parts) / x.size)
