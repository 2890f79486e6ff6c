"""The analytic and the numeric derivative along random directions, and what their gaps show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.numeric.directions import Bounds, bounds

FACTOR_PRECISION = 1e-4  # relative; a factor that is known less precisely is not named


class Slopes(Struct, frozen=True):
    """The derivatives along each direction: arrays of one number a direction, group by group."""

    analytic: NDArray[np.float64]
    numeric: NDArray[np.float64]
    uncertainty: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """Analytic minus numeric."""
        return self.analytic - self.numeric

    @property
    def differ(self) -> NDArray[np.bool_]:
        """The directions along which the gap is larger than the uncertainty."""
        return np.abs(self.gap) > self.uncertainty

    def bound(self, counts: Sequence[int]) -> list[Bounds]:
        """Bounds of the norm of the error of each group; counts: how many directions each has."""
        ends = np.cumsum(counts)[:-1]
        parts = zip(np.split(self.gap, ends), np.split(self.uncertainty, ends), strict=True)
        return [bounds(*both) for both in parts]


def find_factor(slopes: Slopes, rtol: float, numbers: Mapping[str, float]) -> Factor | None:
    """The factor that explains the gaps along all directions; None if there is none.

    numbers: the sizes and constants that a factor may be named by.
    """
    analytic, numeric = slopes.analytic, slopes.numeric
    value = float(analytic @ numeric / (numeric @ numeric))
    rest = np.abs(analytic - value * numeric)
    if value == 0.0 or not np.all(rest <= (1 + abs(value)) * slopes.uncertainty):
        return None
    precision = float(np.max(slopes.uncertainty) / np.max(np.abs(numeric)))
    if not (abs(value - 1.0) > rtol + precision and precision < FACTOR_PRECISION):
        return None
    return name_factor(value, precision, numbers)


def join_bounds(parts: Sequence[Bounds]) -> Bounds:
    """The bounds of the norm of a vector from those of the norms of its parts."""
    return Bounds(
        *(
            float(np.hypot.reduce(bound))
            for bound in zip(*((part.lower, part.upper) for part in parts), strict=True)
        )
    )


def divide(value: float, norm: float) -> float:
    """A norm over the norm of the gradient; 0 where both are 0, inf where only the latter is."""
    if value == 0.0:
        return 0.0
    return value / norm if norm > 0 else np.inf
