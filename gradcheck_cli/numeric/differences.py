"""Differences of a forward's outputs around a point, contracted with the cotangent.

The forward is a function of arrays; nothing here knows what it computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.ladder import Rung
from gradcheck_cli.numeric.noise import ROUNDING, Float
from gradcheck_cli.numeric.stencils import Stencil

WHOLE, SLICES, SUPERPOSITION = METHODS = ("whole forwards", "slices", "superposition")


class Differences(ABC):
    """Quotients around x, contracted with the cotangent, for a ladder of steps to climb.

    reach: see `Noise`; outputs: the axes a Jacobian has for them, () under a cotangent.
    shape: of the input that x is, which it may be as a matrix.
    evaluations: of the forward, so far. method: how they are taken, one of METHODS.
    steps: the height of the steps in which outputs move; 0 where they move smoothly.
    cancelled: see `Noise`.
    size: Σ |c·output|, or 0 where noise counts all outputs of an entry, moved or not.
    """

    method: str
    reach: float
    outputs: tuple[int, ...]
    evaluations: int
    steps: float = 0.0
    cancelled: float = 0.0
    size: Float | float = 0.0

    def __init__(self, x: NDArray[Any], scale: Float, stencil: Stencil) -> None:
        self.x = x
        self.shape = x.shape
        self.scale = scale.ravel()
        self.stencil = stencil
        self.rounding = ROUNDING * float(np.finfo(x.dtype).eps)
        self.smallest = float(np.finfo(x.dtype).smallest_subnormal)

    @abstractmethod
    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """These entries in parts that climb the ladder together."""

    @abstractmethod
    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """The quotients of every entry (a flat index of x) at its own step.

        moved: which outputs an entry is known to move; by default those that it moves here.
        """

    @abstractmethod
    def _pair(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        """Quotients of one point on each side, each over the step that was really taken."""

    def first_rung(self, entries: NDArray[np.intp], step: Float) -> tuple[Rung, Float | None]:
        """The quotients at the first step of a ladder; and those of the right side at that over
        RATIO, (entries, cotangents), where they cost less than those of both; else None."""
        return self.rung(entries, step), None

    def hidden(self, entries: NDArray[np.intp], step: Float, far: Float) -> tuple[Float, Float]:
        """Of what slope outputs may be that move unseen by `step`, but are seen to elsewhere; and
        over that step, a rounding of all outputs that are seen to move at all.

        Zeros where noise counts all outputs anyway.
        """
        return np.zeros((len(entries), 1)), np.zeros((len(entries), 1))

    def cancels(self, moved: Float) -> NDArray[np.bool_]:
        """Whether outputs are faint beside how they moved elsewhere, as are differences."""
        return np.zeros(moved.shape, dtype=bool)

    def own_scale(self) -> Float:
        """The size of every entry by itself; its scale where it is zero, or that is less."""
        size = np.abs(self.x.ravel()).astype(np.float64)
        return np.where(size > 0, np.minimum(size, self.scale), self.scale)

    def rescaled(self, scale: Float) -> Differences | None:
        """The same differences on another scale, with the noise there; None: it has none."""
        return None

    def last_place(self, moved: NDArray[np.bool_]) -> Float | None:
        """What roundings on the way to the outputs may come to, unseen in these; None: nothing."""
        return None

    def order(self, entries: NDArray[np.intp]) -> NDArray[np.intp] | slice:
        """The order in which these entries are best measured: a permutation, or as they are."""
        return slice(None)

    def _stencil(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        """The stencil's weighted mean of central quotients; the sides are those of one step."""
        first = self._pair(entries, step, moved)
        if len(self.stencil.offsets) == 1:
            return first
        weights = [float(weight) for weight in self.stencil.weights]
        value, noise = weights[0] * first.value[0], abs(weights[0]) * first.noise[0]
        for offset, weight in zip(self.stencil.offsets[1:], weights[1:], strict=True):
            pair = self._pair(entries, step * offset, first.moved)
            value = value + weight * pair.value[0]
            noise = noise + abs(weight) * pair.noise[0]
        first.value[0], first.noise[0] = value, noise
        return first

    def exact(self, entries: NDArray[np.intp], step: Float) -> Float:
        """Steps rounded so that x + step and x − step are representable and symmetric."""
        size = np.abs(self.x.ravel()[entries])
        rounded: Float = ((size + step.astype(self.x.dtype)) - size).astype(np.float64)
        return rounded
