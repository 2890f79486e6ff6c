"""The numeric gradient of an input of a problem, as the options ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.entries import NumericGradient, Progress, numeric_gradient
from gradcheck_cli.numeric.noise import Evaluate
from gradcheck_cli.numeric.strata import sampled
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem


def differences(
    problem: Problem, name: str, numeric: Numeric, progress: Progress | None = None
) -> NumericGradient:
    """The numeric gradient of one input of a problem: of all its entries, or of a sample."""
    size, most = problem.inputs[name].size, numeric.sample
    entries = sampled(size, most) if most is not None and most < size else None
    return of_entries(problem, name, numeric, entries, progress)


def of_entries(
    problem: Problem,
    name: str,
    numeric: Numeric,
    entries: NDArray[np.intp] | None,
    progress: Progress | None = None,
) -> NumericGradient:
    """The numeric gradient at these flat indices of an input; None: at all of them."""
    cotangent = problem.cotangent
    return numeric_gradient(
        points_evaluator(problem, name),
        problem.inputs[name],
        None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
        order=numeric.order,
        step=numeric.step,
        entries=entries,
        progress=progress,
    )


def points_evaluator(problem: Problem, name: str) -> Evaluate:
    """The forward as a function of K points of one input: (K, *input) → (K, *outputs)."""

    def at_once(points: Any) -> Any:
        return problem.forward({**problem.inputs, name: points})

    def one_by_one(points: Any) -> Any:
        return np.stack([np.asarray(at_once(point)) for point in points])

    return at_once if problem.batched else one_by_one
