"""The derivative at 0 of a function of one number, in few evaluations, even between many kinks.

Central quotients at shrinking steps are extrapolated until they agree to within the noise. A kink
within a step moves a quotient by far more than that, and by a different amount at every step. So
where quotients agree to within the noise, there is no kink, or none that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import FLAT_SHARE, find_flat
from gradcheck_cli.numeric.many_probes import POINTS, variances
from gradcheck_cli.numeric.noise import DEVIATIONS, ROUNDING, Float

# Each step is the one before it over RATIO, which is irrational: an oscillation of which a whole
# number of periods fits one step does not fit the next.
RATIO = 7.0**0.5
LEVELS = 24  # steps at most, down to 1e-10 of the first
COLUMNS = 6  # of a Neville table; later columns amplify noise and gain nothing
SPREAD_SAFETY = 4.0  # the error of a value is at most this times its difference to its neighbours
# Noise over the quotient: with less, two values do not agree by chance; with more, a third one has
# to agree.
CERTAIN = 1e-6
# Spacings of the points that measure noise, in units of the scale; the first one counts at which
# the outputs move.
SPACINGS = (1e-9, 1e-6, 1e-3)
PROBED_AT = 0.5  # in units of the scale: noise is hardly ever smaller there than at 0
# A variance from n outputs is multiplied by 1 + FEW_SAMPLES/n; with ten outputs, one line of points
# shows their noise to a factor of √2.
FEW_SAMPLES = 10.0

EvaluateAt = Callable[[float], NDArray[Any]]


class Derivative(Struct, frozen=True):
    """A derivative along a line, and its uncertainty.

    step: the largest step of its quotients. settled: whether these agreed to within the noise.
    """

    value: float
    uncertainty: float
    step: float = 0.0
    settled: bool = True


class LineNoise(Struct, frozen=True):
    """The noise along a line, as standard deviations.

    outputs: of each output. common: of Σ cotangent · outputs; it is larger than the noise of the
    outputs gives where these share their roundings. rounding: of a value, over its size.
    """

    outputs: Float
    common: float
    rounding: float

    def deviation(self, cotangent: Float, sizes: Float) -> float:
        """The standard deviation of Σ cotangent · outputs, for outputs of these absolute sizes."""
        noise = np.maximum(self.outputs, self.rounding * sizes)
        return max(_norm(cotangent * noise), self.common)


class _Cells(Struct):
    """A row of a Neville table: values extrapolated 0, 1, 2… times, and the noise in each."""

    value: list[float]
    noise: list[float]

    def climb(self, last: _Cells | None, powers: tuple[int, ...]) -> None:
        """Extrapolate with the row of the larger step, if there is one.

        powers: the power of the step that each column removes from the error.
        """
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
        """The least uncertain value of this row, with its uncertainty, its noise and its column."""
        found = (self.value[0], np.inf, self.noise[0], 0)
        for column in range(1, len(self.value)):
            value = self.value[column]
            spread = max(abs(value - self.value[column - 1]), abs(value - last.value[column - 1]))
            uncertainty = SPREAD_SAFETY * spread + self.noise[column]
            if uncertainty < found[1]:
                found = (value, uncertainty, self.noise[column], column)
        return found


# The powers of the step in the error of a central quotient, and in the gap between the quotients of
# the two sides.
CENTRAL = tuple(range(2, 2 * COLUMNS, 2))
GAP = tuple(range(1, 2 * COLUMNS - 1, 2))


def differentiate(
    evaluate: EvaluateAt, center: Float, cotangent: Float, noise: LineNoise, first: float
) -> Derivative:
    """The derivative of Σ cotangent · evaluate(t) at 0.

    evaluate: maps a number to outputs, flat, like center (the outputs at 0) and cotangent.
    first: the largest step. It takes at most 2·LEVELS evaluations; 4 for a parabola.

    A value is settled if it agrees with its two neighbours, of one extrapolation less, to within
    the noise, and the gap between the two sides does so, too, or vanishes; where noise is large,
    this must happen at two steps in a row. A gap that stays is a kink at 0, and half of it is added
    to the uncertainty. If nothing settles, the last two quotients give value and uncertainty.
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
    """The central quotient, and the right minus the left one; None if they are not finite."""
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
    """The derivative, if these rows agree with the last ones to within the noise; else None.

    central, gap: the rows of `step`. last: those of the step before.
    """
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
    """Whether noise is so small that values cannot agree by chance."""
    return central.noise[0] <= CERTAIN * abs(found.value)


def _agree(one: Derivative, other: Derivative | None) -> bool:
    return other is not None and abs(one.value - other.value) <= one.uncertainty + other.uncertainty


def _widest(one: Derivative, before: Derivative) -> Derivative:
    """The value from the larger steps, which has less noise; its uncertainty grows by how far the
    two differ."""
    uncertainty = before.uncertainty + abs(one.value - before.value)
    return Derivative(before.value, uncertainty, before.step)


def _unsettled(quotients: list[tuple[float, float]]) -> Derivative:
    """The last quotient, with an uncertainty from its difference to the one before."""
    if len(quotients) < 2:
        return Derivative(np.nan, np.inf, settled=False)
    (before, _), (value, noise) = quotients[-2:]
    return Derivative(value, SPREAD_SAFETY * abs(value - before) + noise, settled=False)


def measure_line_noise(
    evaluate: EvaluateAt, center: Float, cotangent: Float, scale: float, eps: float
) -> LineNoise:
    """Measure the noise of the outputs along a line, by POINTS evaluations at up to three spacings.

    scale: a move by it changes the outputs by about their size. eps: of the type of the inputs.
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
    """The standard deviation of each column of (POINTS, outputs) about a smooth curve.

    It is 0 where it is not known.
    """
    largest = np.max(np.abs(values), axis=0)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    lines = (values / unit)[None, None, :, None, :]
    scatter = unit * np.sqrt(variances(lines, find_flat(lines))[0, 0, 0])
    return np.where(np.isfinite(scatter), scatter, 0.0)


def _norm(values: Float) -> float:
    """√Σ value², computed in units of the largest value, because squares of 1e200 overflow."""
    peak = float(np.max(np.abs(values), initial=0.0))
    return peak * float(np.sqrt(np.sum((values / peak) ** 2))) if 0 < peak < np.inf else peak
