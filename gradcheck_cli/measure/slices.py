"""Turn the locality that a problem claims into functions of one input, as a matrix of slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.local.claims import Slices
from gradcheck_cli.numeric.local.quotients import choose_local_quotients
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Locality, Problem

Array = NDArray[Any]

MOST_RESPONSES = 2**24  # numbers that measured responses may hold: 128 MB


def has_few_responses(problem: Problem, name: str) -> bool:
    """Whether an input can be cut into slices, and the responses to measure fit into memory."""
    if problem.locality is None or name not in problem.locality.axes:
        return False
    (axis, along), x = problem.locality.axes[name], problem.inputs[name]
    z = problem.locality.inner(problem.inputs)
    return bool((x.size // x.shape[axis]) * (z.size // z.shape[along]) <= MOST_RESPONSES)


def measure_by_slices(problem: Problem, name: str, numeric: Numeric) -> Differences | None:
    """Difference quotients by slices or superposition; None where the problem claims no locality
    of this input, or probes contradict the claim."""
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
    """The claim about one input, as functions of the matrix of its slices."""
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
    """One input cut into slices, which are the rows or the columns of a matrix.

    axis, along: the axis that counts slices in the input, and in z (see `Locality`).
    across: that axis of the matrix: 0 where slices are rows, 1 where they are columns.
    beside: other inputs that are cut along the same axis of z, with their axes.
    whole: whether z is the outputs; owned: whether each slice has outputs of its own.
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
        """The outputs of the whole input."""
        x = matrix.reshape(self.x.shape)
        outputs = self.problem.forward({**self.problem.inputs, self.name: x})
        return self._of_z(np.asarray(outputs)).ravel() if self.whole else outputs

    def inner(self, matrix: Array, others: Mapping[str, Array]) -> Array:
        """z of some slices of the input; others: the inputs beside, cut to as many slices."""
        shape = (-1, *self.x.shape[1:]) if self.axis == 0 else (*self.x.shape[:-1], -1)
        inputs = {**self.problem.inputs, **others, self.name: matrix.reshape(shape)}
        return self._of_z(np.asarray(self.claimed.inner(inputs)))

    def sliced(self, stack: Array, part: int) -> Array:
        """z of many variants of one slice, in calls of at most `at_once` slices."""
        count = stack.shape[self.across]
        most = self.claimed.at_once or count
        pieces = [
            np.take(stack, range(start, min(start + most, count)), self.across)
            for start in range(0, count, most)
        ]
        found = [self.inner(piece, self._others(part, piece)) for piece in pieces]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=self.across)

    def outer(self, z: Array, parts: slice | None) -> Any:
        """The outputs of z; parts: which slices z holds, each as a matrix; None: all."""
        if self.whole:
            return z.reshape(*z.shape[:-2], -1)
        return self.claimed.outer(z, lambda array: self._cut(array, parts))

    def cotangent_of(self, parts: slice | None) -> Array:
        """The cotangent of all outputs, flat; or a row for each of some slices."""
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
        """The same slice of the inputs beside, repeated for every variant."""
        count, inputs = piece.shape[self.across], self.problem.inputs
        return {
            other: np.repeat(np.take(inputs[other], [part], axis), count, axis)
            for other, axis in self.beside.items()
        }

    def _cut(self, array: Array, parts: slice | None) -> Array:
        """An array of the shape of z, or some of its slices, each as a matrix."""
        if parts is None:
            return array
        if self.across == 0:
            return array[parts, None]
        return np.ascontiguousarray(array[:, parts].T)[..., None]

    def _of_z(self, z: Array) -> Array:
        """z as a matrix with its slices as rows, or as columns."""
        if z.ndim == 2 and self.along == self.across:
            return z
        rows: Array = np.moveaxis(z, self.along, 0).reshape(z.shape[self.along], -1)
        return rows.T if self.across else rows


def _as_matrix(x: Array, across: int) -> Array:
    """An input as a matrix with its slices as rows, or as columns, without moving entries."""
    return x.reshape(x.shape[0], -1) if across == 0 else x.reshape(-1, x.shape[-1])
