"""What a problem claims of its slices, as functions of one input: of matrices that are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.local.claims import Slices
from gradcheck_cli.numeric.local.quotients import choose_local_quotients
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.numeric.units import entry_scale
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Locality, Problem

Array = NDArray[Any]

MOST_RESPONSES = 2**24  # numbers of responses that are kept


def has_few_responses(problem: Problem, name: str) -> bool:
    """Whether superposition is claimed of an input, and the responses to be measured are few."""
    if problem.locality is None or name not in problem.locality.axes:
        return False
    (axis, along), x = problem.locality.axes[name], problem.inputs[name]
    z = problem.locality.inner(problem.inputs)
    return bool((x.size // x.shape[axis]) * (z.size // z.shape[along]) <= MOST_RESPONSES)


def measure_by_slices(problem: Problem, name: str, numeric: Numeric) -> Differences | None:
    """Quotients that evaluate less than the forward, where that is claimed and true."""
    if problem.locality is None or not has_few_responses(problem, name):
        return None
    x = problem.inputs[name]
    slices = slices_of(problem, problem.locality, name)
    matrix, scale = (_as_matrix(array, slices.axis) for array in (x, entry_scale(x)))
    found = choose_local_quotients(slices, matrix, scale, STENCILS[numeric.order or 2])
    if found is not None:
        found.shape = x.shape
    return found


def slices_of(problem: Problem, claimed: Locality, name: str) -> Slices:
    """What is claimed of all inputs, as functions of one of them, as a matrix of its slices."""
    cut = _Cut(problem, claimed, name)
    return Slices(
        axis=cut.across,
        forward=cut.forward,
        inner=lambda matrix: cut.inner(matrix, {}),
        sliced=cut.sliced,
        outer=cut.outer,
        cotangent=cut.cotangent_of,
        splits=cut.owned or claimed.sums,
    )


class _Cut:
    """An input that is cut, as a matrix of its slices.

    axis, along: the axes of the input and of z; across: that of the matrices. beside: the axes of
    the other inputs that are cut with it. whole: whether the outputs are z; owned: whether each
    slice has outputs of its own.
    """

    def __init__(self, problem: Problem, claimed: Locality, name: str) -> None:
        self.problem = problem
        self.claimed = claimed
        self.name = name
        self.x = problem.inputs[name]
        self.axis, self.along = claimed.axes[name]
        self.across = 0 if self.axis == 0 else 1
        self.beside = {
            other: axis
            for other, (axis, along) in claimed.axes.items()
            if along == self.along and other != name
        }
        self.whole = claimed.samples is None
        self.owned = self.whole or self.along == claimed.samples
        cotangent = np.asarray(problem.cotangent, dtype=np.float64)
        self.cotangent = self._of_z(cotangent) if self.whole else cotangent

    def forward(self, matrix: Array) -> Any:
        """The outputs of all slices of the input."""
        x = matrix.reshape(self.x.shape)
        outputs = self.problem.forward({**self.problem.inputs, self.name: x})
        return self._of_z(np.asarray(outputs)).ravel() if self.whole else outputs

    def inner(self, matrix: Array, others: Mapping[str, Array]) -> Array:
        """z of any slices of the input, where the others that are cut have as many."""
        shape = (-1, *self.x.shape[1:]) if self.axis == 0 else (*self.x.shape[:-1], -1)
        inputs = {**self.problem.inputs, **others, self.name: matrix.reshape(shape)}
        return self._of_z(np.asarray(self.claimed.inner(inputs)))

    def sliced(self, stack: Array, part: int) -> Array:
        """z of many variants of one slice, in calls of as many as the forward may be handed."""
        count = stack.shape[self.across]
        most = self.claimed.at_once or count
        pieces = [
            np.take(stack, range(start, min(start + most, count)), self.across)
            for start in range(0, count, most)
        ]
        found = [self.inner(piece, self._others(part, piece)) for piece in pieces]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=self.across)

    def outer(self, z: Array, parts: slice | None) -> Any:
        """The outputs of z, or of some slices of it, a matrix each."""
        if self.whole:
            return z.reshape(*z.shape[:-2], -1)
        return self.claimed.outer(z, lambda array: self._cut(array, parts))

    def cotangent_of(self, parts: slice | None) -> Array:
        """The cotangent of the outputs, or of those of some slices, a row each."""
        if parts is None:
            return self.cotangent.ravel()
        if self.whole:
            return self._cut(self.cotangent, parts).reshape(
                -1, self.cotangent.shape[1 - self.across]
            )
        if self.owned:
            return self.cotangent[parts, None]
        count = len(range(self.x.shape[self.axis])[parts])
        return np.broadcast_to(self.cotangent, (count, self.cotangent.size))

    def _others(self, part: int, piece: Array) -> dict[str, Array]:
        """The same slice of the inputs beside, as often as there are variants."""
        count, inputs = piece.shape[self.across], self.problem.inputs
        return {
            other: np.repeat(np.take(inputs[other], [part], axis), count, axis)
            for other, axis in self.beside.items()
        }

    def _cut(self, array: Array, parts: slice | None) -> Array:
        """An array like z, or some slices of it, a matrix each."""
        if parts is None:
            return array
        if self.across == 0:
            return array[parts, None]
        return np.ascontiguousarray(array[:, parts].T)[..., None]

    def _of_z(self, z: Array) -> Array:
        """z with its slices as rows, or as columns."""
        if z.ndim == 2 and self.along == self.across:
            return z
        rows: Array = np.moveaxis(z, self.along, 0).reshape(z.shape[self.along], -1)
        return rows.T if self.across else rows


def _as_matrix(x: Array, across: int) -> Array:
    """An input with its slices as rows, or as columns, in the order of its entries."""
    return x.reshape(x.shape[0], -1) if across == 0 else x.reshape(-1, x.shape[-1])
