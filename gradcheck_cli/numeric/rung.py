"""The difference quotients of some entries at one step each, a rung of their ladders."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import Float

TABLES = 3  # central, right, left


class Rung(Struct, frozen=True):
    """The three quotients of some entries, each entry at a step of its own.

    value, noise: the quotients and the standard deviations of their noise, (TABLES, entries,
        cotangents).
    steepness: Σ |c|·move over the step, (entries, cotangents), where the move of an output is the
        larger of its changes on the two sides.
    floor: a steepness below this looks like zero: the noise around x, over the step.
    moved: which outputs an entry moves, (entries, outputs).
    """

    value: Float
    noise: Float
    steepness: Float
    floor: Float
    moved: NDArray[np.bool_]

    def of(self, rows: NDArray[np.intp]) -> Rung:
        """The rung of these entries alone."""
        return Rung(
            self.value[:, rows],
            self.noise[:, rows],
            self.steepness[rows],
            self.floor[rows],
            self.moved[rows],
        )

    @classmethod
    def concatenated(cls, parts: list[Rung]) -> Rung:
        """One rung from those of consecutive entries."""
        return cls(
            np.concatenate([part.value for part in parts], axis=1),
            np.concatenate([part.noise for part in parts], axis=1),
            np.concatenate([part.steepness for part in parts]),
            np.concatenate([part.floor for part in parts]),
            np.concatenate([part.moved for part in parts]),
        )
