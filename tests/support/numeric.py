"""The numeric gradient of a plain function, without a problem around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.gradient import NumericGradient, Progress, measure_entries
from gradcheck_cli.numeric.noise import Evaluate, Float
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS


def numeric_gradient(
    evaluate: Evaluate,
    x: NDArray[Any],
    cotangent: Float | None,
    *,
    order: int | None = None,
    step: float | None = None,
    entries: NDArray[np.intp] | None = None,
    progress: Progress | None = None,
) -> NumericGradient:
    """The gradient of Σ cotangent · evaluate(x) for every entry of x.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    cotangent: of the outputs' shape, or None for the whole Jacobian (outputs × x.shape).
    order: of the stencil, a key of STENCILS; None: 2, which the ladder extrapolates.
    step: a fixed step; None: chosen for every entry by a ladder of steps.
    entries: flat indices of x, ascending: those that are measured; None: all.
    progress: is told, now and then, how many more entries are done.
    """
    with np.errstate(all="ignore"):
        stencil = STENCILS[order or 2]
        differences = WholeForwards(evaluate, x, entry_scale(x), cotangent, stencil)
    return measure_entries(differences, step, entries, progress)
