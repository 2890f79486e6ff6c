"""Slopes at the bounds of an input that do not settle as steps shrink, such as that of x log x."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.measure import scale_of
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.noise import ROUNDING
from gradcheck_cli.problem import Problem

Float = NDArray[np.float64]

# Steps, in units of the scale of an entry, at which one-sided quotients are compared.
STEPS = 4.0 ** -np.arange(8.0, 21.0, 4.0)
# A change of the quotient, over the one before it, from which on it does not settle: that of a
# logarithm stays the same, that of a root grows; that of x^1.5 is a sixteenth.
SETTLES = 0.5
DEVIATIONS = 10.0  # of rounding, that a change is no change within


def doubt_edges(problem: Problem, name: str, numeric: NumericGradient) -> NumericGradient:
    """The numeric gradient, unknown at bounds where its quotients do not settle."""
    edges = problem.edges.get(name)
    if edges is None or not np.any(edges) or numeric.entries is not None:
        return numeric
    before = numeric.unsettled
    unknown = np.zeros(numeric.value.shape, dtype=bool) if before is None else before.copy()
    by_entry = unknown.reshape(-1, edges.size)  # a view: outputs × entries
    count = 0
    for entry in np.flatnonzero(edges):
        inward = float(edges.flat[entry])
        by_entry[:, entry] |= _unsettled(problem, name, int(entry), inward).ravel()
        count += len(STEPS) + 1
    return replace(
        numeric,
        uncertainty=np.where(unknown, np.inf, numeric.uncertainty),
        evaluations=numeric.evaluations + count,
        unsettled=unknown,
    )


def _unsettled(problem: Problem, name: str, entry: int, inward: float) -> NDArray[np.bool_]:
    """Whether the quotients of an entry, by its flat index, do not settle; for every output where
    there is no cotangent."""
    x, scale = problem.inputs[name], scale_of(problem, name)
    points = np.repeat(x.reshape(1, -1), len(STEPS) + 1, axis=0)
    points[1:, entry] += (inward * STEPS * scale.flat[entry]).astype(x.dtype)
    widths = (points[1:, entry] - points[0, entry]).astype(np.float64)
    outputs = [
        np.asarray(problem.forward({**problem.inputs, name: point.reshape(x.shape)}))
        for point in points
    ]
    values = np.stack(outputs).astype(np.float64)
    sizes = np.abs(values[0])
    if problem.cotangent is not None:
        axes = problem.cotangent.ndim
        sizes = np.tensordot(sizes, np.abs(problem.cotangent), axes=axes)
        values = np.tensordot(values, problem.cotangent, axes=axes)
    shaped = widths.reshape(-1, *(1,) * (values.ndim - 1))
    with np.errstate(all="ignore"):
        changes = np.abs(np.diff((values[1:] - values[0]) / shaped, axis=0))
        rounding = DEVIATIONS * ROUNDING * np.finfo(x.dtype).eps * sizes / np.abs(shaped[1:])
        grows = (changes[1:] > SETTLES * changes[:-1]) & (changes[1:] > rounding[1:])
    return np.asarray(np.all(grows, axis=0))
