"""What a problem claims of its slices, as functions of one input: of matrices that are cut."""

from __future__ import annotations

from functools import partial
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
    (axis, along), inputs = claimed.axes[name], problem.inputs
    x = inputs[name]
    across = 0 if axis == 0 else 1  # of the matrices
    beside = {
        other: cut
        for other, (cut, places) in claimed.axes.items()
        if places == along and other != name
    }
    cotangent = np.asarray(problem.cotangent, dtype=np.float64)
    whole = claimed.samples is None  # outputs are z
    owned = whole or along == claimed.samples

    def take(array: Any, part: int) -> Any:
        return np.take(array, [part], across)

    def inner(matrix: Array, others: dict[str, Array]) -> Array:
        shape = (-1, *x.shape[1:]) if axis == 0 else (*x.shape[:-1], -1)
        z = np.asarray(claimed.inner({**inputs, **others, name: matrix.reshape(shape)}))
        return _as_matrix_along(z, along, across)

    def sliced(stack: Array, part: int) -> Array:
        most = claimed.at_once or stack.shape[across]
        pieces = []
        for start in range(0, stack.shape[across], most):
            piece = stack[:, start : start + most] if across else stack[start : start + most]
            others = {
                other: np.repeat(np.take(inputs[other], [part], cut), piece.shape[across], cut)
                for other, cut in beside.items()
            }
            pieces.append(inner(piece, others))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=across)

    def outer(z: Array, part: int | None) -> Any:
        if whole:
            return z.reshape(len(z), -1)
        return claimed.outer(z, lambda array: array if part is None else take(array, part))

    def forward(matrix: Array) -> Any:
        outputs = problem.forward({**inputs, name: matrix.reshape(x.shape)})
        return _as_matrix_along(np.asarray(outputs), along, across).ravel() if whole else outputs

    if whole:
        cotangent = _as_matrix_along(cotangent, along, across)

    def own_cotangent(part: int | None) -> Any:
        if part is None or not owned:
            return cotangent.ravel()
        return take(cotangent, part).ravel() if whole else cotangent[[part]]

    return Slices(
        axis=across,
        forward=forward,
        inner=partial(inner, others={}),
        sliced=sliced,
        outer=outer,
        cotangent=own_cotangent,
        splits=owned or claimed.sums,
    )


def _as_matrix(x: Array, across: int) -> Array:
    """An input with its slices as rows, or as columns, in the order of its entries."""
    return x.reshape(x.shape[0], -1) if across == 0 else x.reshape(-1, x.shape[-1])


def _as_matrix_along(z: Array, along: int, across: int) -> Array:
    """z with what lies across one of its axes as rows, or as columns."""
    if z.ndim == 2 and along == across:
        return z
    rows: Array = np.moveaxis(z, along, 0).reshape(z.shape[along], -1)
    return rows.T if across else rows
