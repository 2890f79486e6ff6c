"""What a ladder of steps asks of a forward: difference quotients of its outputs around a point x.

The outputs are differenced first and contracted with the cotangent after. The forward is any
function of arrays; subclasses differ in how much of it they evaluate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import ROUNDING, Float
from gradcheck_cli.numeric.rung import Rung
from gradcheck_cli.numeric.stencils import Stencil

WHOLE, SLICES, SUPERPOSITION = METHODS = ("whole forwards", "slices", "superposition")


class Differences(ABC):
    """Difference quotients of a forward around x, contracted with the cotangent c.

    method: how they are taken, one of METHODS. evaluations: calls of the forward so far.
    shape: that of the input, of which x may be a matrix. scale: that of every entry, flat.
    outputs: the axes of the outputs in a Jacobian; () where there is one cotangent.
    reach, cancelled: see `Noise`. step_height: the largest `Noise.step_height`.
    rounding: the standard deviation of the rounding of a number, over its size.
    smallest: the smallest positive number of x's type.
    total_output: Σ |c·output|; 0 where the noise of quotients includes outputs that did not move.
    """

    method: str
    reach: float
    outputs: tuple[int, ...]
    evaluations: int
    step_height: float = 0.0
    cancelled: float = 0.0
    total_output: Float | float = 0.0

    def __init__(self, x: NDArray[Any], scale: Float, stencil: Stencil) -> None:
        self.x = x
        self.shape = x.shape
        self.scale = scale.ravel()
        self.stencil = stencil
        self.rounding = ROUNDING * float(np.finfo(x.dtype).eps)
        self.smallest = float(np.finfo(x.dtype).smallest_subnormal)

    @abstractmethod
    def chunks(self, entries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Split these entries into parts, each of which climbs the ladder together."""

    @abstractmethod
    def rung(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None = None
    ) -> Rung:
        """The quotients of every entry (a flat index of x) at its own step.

        moved: which outputs each entry moved at larger steps; by default those that move here.
        """

    @abstractmethod
    def _pair(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        """The quotients from one point on each side, each over the step that x really took.

        Arguments as of `rung`.
        """

    def first_rung(self, entries: NDArray[np.intp], step: Float) -> tuple[Rung, Float | None]:
        """The quotients at the first step of a ladder, and those of a fourth point if it is cheap.

        The fourth point lies on the right side at the first step over RATIO. Its quotients are
        (entries, cotangents); None where they would cost as much as those of both sides.
        """
        return self.rung(entries, step), None

    def hidden_slope(
        self, entries: NDArray[np.intp], step: Float, far: Float
    ) -> tuple[Float, Float]:
        """The slope that rounding may hide at `step`, and the rounding of what moves, over `step`.

        The first is of outputs that do not move by `step`, but by the step `far` or elsewhere; the
        second of all outputs that move at all. Both are (entries, cotangents), and zero where the
        noise of quotients includes outputs that did not move.
        """
        return np.zeros((len(entries), 1)), np.zeros((len(entries), 1))

    def outputs_are_differences(self, moved: Float) -> NDArray[np.bool_]:
        """Where the outputs are so small beside the move Σ |c|·move of a far step that they must
        be differences of larger numbers."""
        return np.zeros(moved.shape, dtype=bool)

    def own_scale(self) -> Float:
        """The size of every entry, or its scale where that is less or the entry is zero."""
        size = np.abs(self.x.ravel()).astype(np.float64)
        return np.where(size > 0, np.minimum(size, self.scale), self.scale)

    def rescaled(self, scale: Float) -> Differences | None:
        """These differences with another scale, and the noise measured on it.

        None where the method has no other scale.
        """
        return None

    def hidden_rounding(self, moved: NDArray[np.bool_]) -> Float | None:
        """What roundings on the way to the outputs may add up to without being seen in them.

        moved: which outputs each entry moves. (entries, cotangents), or None for zeros.
        """
        return None

    def order(self, entries: NDArray[np.intp]) -> NDArray[np.intp] | slice:
        """The order in which to measure these entries: a permutation, or a slice of them all."""
        return slice(None)

    def _stencil(
        self, entries: NDArray[np.intp], step: Float, moved: NDArray[np.bool_] | None
    ) -> Rung:
        """The quotients of the stencil: its weighted mean of central ones, and one-sided ones at
        the step itself. Arguments as of `rung`."""
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
        """These steps, rounded such that x + step and x − step are numbers of x's type."""
        size = np.abs(self.x.ravel()[entries])
        rounded: Float = ((size + step.astype(self.x.dtype)) - size).astype(np.float64)
        return rounded
