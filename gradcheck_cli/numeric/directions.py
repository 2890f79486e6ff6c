"""Derivatives along random directions, and bounds of the error of a whole gradient from a few.

A direction v has independent normal entries, one for each entry of x. So for a gradient with the
error e, the error e·v along v is normal with the standard deviation ‖e‖, whichever entries are
wrong. (With entries of ±1, two equal errors would cancel in half of the directions.)
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

# Random directions of a certificate. With seven, `bounds` puts ‖error‖ at most at 9.5 times the
# uncertainty of each (with five at 20 times, with twelve at 4.5); each costs a line of forwards.
DIRECTION_COUNT = 7
SURE = 1e-6  # the probability that a bound does not hold
FIRST_STEP = 0.5  # in units of the scale of x
# If a derivative came from this share of the first step or more, the next direction starts from a
# larger step.
STARTED = 0.9
ELSEWHERE = 5.0  # to confirm a derivative, steps are divided by this, so that none is taken again
SHARE = 2**16  # numbers that are worked on at once
ROUNDED = 64.0  # eps of its norm: how far a sum of products may be off by rounding

Box = tuple[slice, slice]
WHOLE_BOX: Box = (slice(None), slice(None))
NOTHING: Box = (slice(0, 0), slice(None))


class Bounds(Struct, frozen=True):
    """Bounds of the norm of an error; each fails to hold with a small probability."""

    lower: float
    upper: float


def bounds(gaps: Float, uncertainties: Float, sure: float = SURE) -> Bounds:
    """Bounds of ‖e‖, the norm of the error of a gradient, from gaps along random directions.

    gaps: analytic − numeric derivative along K directions of standard normal entries, so that each
    is e·v ± u, its uncertainty. sure: the probability that a bound does not hold.

    Whatever e is, Σ (e·v)² / ‖e‖² is χ² distributed with K degrees of freedom. Hence
    ‖e‖² ≤ Σ (|gap| + u)² / q, where χ² falls below q with the probability `sure`. The density of χ²
    without its factor exp(−x/2) ≤ 1 is an upper bound of it, so that

        P(χ² ≤ q) ≤ (q/2)^(K/2) / Γ(K/2 + 1),   and   q = 2 (sure · Γ(K/2 + 1))^(2/K)

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
    """√Σ value², computed in units of the largest value, because squares of 1e200 overflow."""
    peak = float(np.max(values, initial=0.0))
    return peak * float(np.sqrt(np.sum((values / peak) ** 2))) if 0 < peak < np.inf else peak


class Directions:
    """The derivatives of Σ cotangent · evaluate(x) along directions of standard normal entries.

    evaluate: maps one point to its outputs. x: treated as a matrix, its first axis by all others.
    To save memory, only two arrays of the size of x are made: one direction, in single precision,
    and one point.
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
        """Draw direction `number`, zero outside of a flat mask; it overwrites the one before."""
        if number != self.drawn or mask is not self.mask:
            random = np.random.default_rng([self.seed, number])
            random.standard_normal(dtype=np.float32, out=self.vector)
            self.drawn, self.mask = number, mask
            if mask is not None:
                self.vector *= mask.reshape(self.vector.shape)
        return self.vector

    def product(self, gradient: NDArray[Any], box: Box = WHOLE_BOX) -> Derivative:
        """gradient · v within a box, and how far it may be off by rounding."""
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
        """The numeric derivative along the direction drawn last, within a box."""
        part = self.vector[box]
        moved = part.size if self.mask is None else int(np.count_nonzero(part))
        if not moved:
            return Derivative(0.0, 0.0)
        return self._along(part, box, self.x.size / moved)

    def confirm(self) -> Derivative:
        """The numeric derivative along the whole direction again, from other, smaller steps."""
        self.step /= ELSEWHERE
        return self.derivative()

    def at(self, row: int, column: int) -> Derivative:
        """The numeric derivative of one entry of x."""
        box = (slice(row, row + 1), slice(column, column + 1))
        return self._along(np.ones((1, 1), dtype=np.float32), box, 1.0)

    def _along(self, part: NDArray[np.float32], box: Box, wider: float) -> Derivative:
        """The derivative along `part`, a direction that is zero outside of a box.

        wider: the entries of x over those of the part; a step along the part may be longer by its
        root, because fewer entries move.
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
        """The outputs, flat, at x + at·part, where the part moves the entries of a box alone."""
        place, here = self.places[box], self.matrix[box]
        np.multiply(part, at, out=place, dtype=place.dtype)
        place += here
        outputs = np.array(self.evaluate(self.point), dtype=np.float64)
        self.evaluations += 1
        place[...] = here
        return outputs.ravel()


def root_mean_square(x: NDArray[Any]) -> float:
    """√(Σ x²/size), computed in parts, without a copy of x."""
    flat = x.ravel()
    largest = float(max(flat.max(), -flat.min()))
    if largest == 0.0:
        return 0.0
    parts = (flat[start : start + SHARE] / largest for start in range(0, x.size, SHARE))
    return largest * sqrt(sum(float(np.vdot(part, part)) for part in parts) / x.size)
