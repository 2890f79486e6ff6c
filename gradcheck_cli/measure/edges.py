"""Entries at a bound whose one-sided quotients do not converge as the step shrinks: x log x."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.measure import scale_of
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.noise import ROUNDING
from gradcheck_cli.problem import Problem

Float = NDArray[np.float64]

# Steps at which one-sided quotients are compared, in units of the scale of the entry.
STEPS = 4.0 ** -np.arange(8.0, 21.0, 4.0)
# From one step to the next, quotients that converge change by less than this share of their change
# before: that share is 1 for a logarithm, more for a root, and 1/16 for x^1.5.
SETTLES = 0.5
DEVIATIONS = 10.0  # a change of fewer deviations of the rounding is none


def doubt_edges(problem: Problem, name: str, numeric: NumericGradient) -> NumericGradient:
    """The numeric gradient, its entries at bounds unsettled where they do not converge."""
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
    """Whether the one-sided quotients of an entry do not converge.

    entry: its flat index; inward: the direction into the domain, 1 or −1. For a Jacobian, an array
    of the outputs' shape.
    """
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
