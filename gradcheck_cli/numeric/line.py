"""The slope at zero of a function of one number, in few evaluations, also between many kinks.

Central quotients at shrinking steps are extrapolated until two of them agree to the noise. A kink
within a step moves a quotient by far more than that, and by another amount at every step; so what
agrees to the noise has none, or none that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import FLAT_SHARE, find_flat
from gradcheck_cli.numeric.noise import DEVIATIONS, POINTS, ROUNDING, Float, variances

RATIO = 7.0**0.5  # of a step to the next: no oscillation whose period fits one fits the next
LEVELS = 24  # down to 1e-10 of the first step
COLUMNS = 6  # of Neville's tables; later columns gain nothing over the noise
SPREAD_SAFETY = 4.0  # how much more than the last two values differ the better one may be off
# Noise over the quotient below which two values do not agree by chance; with more noise, three
# have to agree.
CERTAIN = 1e-6
# Spacings of the noise's probes, in units of the scale: the finest at which the outputs move.
SPACINGS = (1e-9, 1e-6, 1e-3)
PROBED_AT = 0.5  # in the same units: noise is hardly ever smaller there than at zero
FEW_SAMPLES = 10.0  # with as many outputs the noise of one line is known to a factor of √2

EvaluateAt = Callable[[float], NDArray[Any]]


class Derivative(Struct, frozen=True):
    """A derivative along a line, and its uncertainty.

    step: the largest of those that it was taken from; settled: whether they agreed to the noise.
    """

    value: float
    uncertainty: float
    step: float = 0.0
    settled: bool = True


class LineNoise(Struct, frozen=True):
    """The noise of outputs along a line, as deviations.

    outputs: of each; common: of Σ cotangent · outputs as it was seen, which is more than that of
    independent outputs where they share their roundings. rounding: of a value, relative.
    """

    outputs: Float
    common: float
    rounding: float

    def deviation(self, cotangent: Float, sizes: Float) -> float:
        """Of Σ cotangent · outputs, of outputs of these absolute sizes."""
        noise = np.maximum(self.outputs, self.rounding * sizes)
        return max(_norm(cotangent * noise), self.common)


class _Cells(Struct):
    """A row of Neville's tables: values extrapolated 0, 1, 2… times, and how far noise may move
    them."""

    value: list[float]
    noise: list[float]

    def climb(self, last: _Cells | None, powers: tuple[int, ...]) -> None:
        """Extrapolate with the row of the larger step; powers: those that each column removes."""
        if last is None:
            return
        for column in range(min(len(last.value), COLUMNS - 1)):
            factor = RATIO ** powers[column] - 1.0
            here, there = self.value[column], last.value[column]
            self.value.append(here + (here - there) / factor)
            self.noise.append(
                self.noise[column] + (self.noise[column] + last.noise[column]) / factor
            )

    def best(self, last: _Cells) -> tuple[float, float, float, int]:
        """The least uncertain value of this row, its uncertainty, the noise in that, its column."""
        found = (self.value[0], np.inf, self.noise[0], 0)
        for column in range(1, len(self.value)):
            value = self.value[column]
            spread = max(abs(value - self.value[column - 1]), abs(value - last.value[column - 1]))
            uncertainty = SPREAD_SAFETY * spread + self.noise[column]
            if uncertainty < found[1]:
                found = (value, uncertainty, self.noise[column], column)
        return found


# The error of a central quotient has even powers of the step, the gap between the quotients of the
# two sides has odd ones.
CENTRAL = tuple(range(2, 2 * COLUMNS, 2))
GAP = tuple(range(1, 2 * COLUMNS - 1, 2))


def differentiate(
    evaluate: EvaluateAt, center: Float, cotangent: Float, noise: LineNoise, first: float
) -> Derivative:
    """The derivative of Σ cotangent · evaluate(t) at 0.

    evaluate: a number → outputs, flat, like center (the outputs at 0) and cotangent.
    first: the largest step. The evaluations are at most 2 LEVELS, and 4 where the function is a
    parabola between two kinks.

    A value is settled where it agrees with the two of one extrapolation less within their noise,
    and so does the gap between the sides with none; where noise is large, twice in a row. A gap
    that does not vanish is a kink at 0: half of it is uncertain. What never settles is as
    uncertain as the last two quotients differ.
    """
    step, last, before = first, None, None
    quotients: list[tuple[float, float]] = []
    for _ in range(LEVELS):
        pair = _quotients(evaluate, center, cotangent, noise, step)
        if pair is None:
            last = before = None
        else:
            central, gap = pair
            quotients.append((central.value[0], central.noise[0]))
            central.climb(last and last[0], CENTRAL)
            gap.climb(last and last[1], GAP)
            if last is not None:
                found = _settle(central, gap, last, step)
                sure = found is not None and _is_certain(found, central)
                if found is not None and (sure or _agree(found, before)):
                    return found if sure or before is None else _widest(found, before)
                before = found
            last = (central, gap)
        step /= RATIO
    return _unsettled(quotients)


def _quotients(
    evaluate: EvaluateAt, center: Float, cotangent: Float, noise: LineNoise, step: float
) -> tuple[_Cells, _Cells] | None:
    """The central quotient, and the right one minus the left one; None if one is not finite."""
    above, below = evaluate(step), evaluate(-step)
    slope = float((above - below) @ cotangent) / (2 * step)
    bend = float((above - center - (center - below)) @ cotangent) / step
    sizes = np.maximum(np.abs(above), np.abs(below))
    deviation = DEVIATIONS * noise.deviation(cotangent, sizes) / step
    if not (np.isfinite(slope) and np.isfinite(bend) and np.isfinite(deviation)):
        return None
    return _Cells([slope], [deviation / sqrt(2)]), _Cells([bend], [deviation * sqrt(6)])


def _settle(
    central: _Cells, gap: _Cells, last: tuple[_Cells, _Cells], step: float
) -> Derivative | None:
    """The slope, if these rows agree to the noise; step: the one just taken."""
    value, uncertainty, noise, column = central.best(last[0])
    apart, apart_uncertainty, apart_noise, _ = gap.best(last[1])
    if uncertainty > (1 + SPREAD_SAFETY) * noise:
        return None
    if abs(apart) > apart_uncertainty:
        if apart_uncertainty > (1 + SPREAD_SAFETY) * apart_noise:
            return None
        uncertainty += abs(apart) / 2 + apart_uncertainty / 2
    return Derivative(value, uncertainty, step * RATIO**column)


def _is_certain(found: Derivative, central: _Cells) -> bool:
    """Whether noise is so small that what agrees to it cannot do so by chance."""
    return central.noise[0] <= CERTAIN * abs(found.value)


def _agree(one: Derivative, other: Derivative | None) -> bool:
    return other is not None and abs(one.value - other.value) <= one.uncertainty + other.uncertainty


def _widest(one: Derivative, before: Derivative) -> Derivative:
    """The value from the larger steps, which has less noise, as uncertain as the two differ."""
    uncertainty = before.uncertainty + abs(one.value - before.value)
    return Derivative(before.value, uncertainty, before.step)


def _unsettled(quotients: list[tuple[float, float]]) -> Derivative:
    """What the last two quotients say."""
    if len(quotients) < 2:
        return Derivative(np.nan, np.inf, settled=False)
    (before, _), (value, noise) = quotients[-2:]
    return Derivative(value, SPREAD_SAFETY * abs(value - before) + noise, settled=False)


def measure_line_noise(
    evaluate: EvaluateAt, center: Float, cotangent: Float, scale: float, eps: float
) -> LineNoise:
    """The noise of the outputs along a line, of at most POINTS evaluations a spacing.

    scale: that moves the outputs about as much as they are large. eps: of the inputs' type.
    """
    for spacing in SPACINGS:
        places = scale * (PROBED_AT + spacing * (np.arange(POINTS) - POINTS // 2))
        values = np.stack([evaluate(float(place)) for place in places])
        moving = values[0] != values[-1]
        still = np.diff(values[:, moving], axis=0) == 0
        if moving.any() and np.mean(still) <= FLAT_SHARE:
            break
    outputs = _scatter(values) * sqrt(1 + FEW_SAMPLES / center.size)
    common = _scatter(((values - center) @ cotangent)[:, None]) * sqrt(1 + FEW_SAMPLES)
    return LineNoise(outputs, float(common[0]), ROUNDING * eps)


def _scatter(values: Float) -> Float:
    """The deviation about a smooth curve of each column of (POINTS, outputs); 0 where unknown."""
    largest = np.max(np.abs(values), axis=0)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    lines = (values / unit)[None, None, :, None, :]
    scatter = unit * np.sqrt(variances(lines, find_flat(lines))[0, 0, 0])
    return np.where(np.isfinite(scatter), scatter, 0.0)


def _norm(values: Float) -> float:
    """√Σ value², in units of the largest, because squares of 1e200 overflow."""
    peak = float(np.max(np.abs(values), initial=0.0))
    return peak * float(np.sqrt(np.sum((values / peak) ** 2))) if 0 < peak < np.inf else peak
