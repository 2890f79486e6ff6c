"""The error of difference quotients, of truncation and of rounding, as a function of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.few_probes import measure_noise
from gradcheck_cli.numeric.noise import Evaluate, Float
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS

# Powers of ten of the largest and the smallest step, in units of the input's scale, and steps per
# decade: from where truncation dominates to where nothing moves.
LARGEST, SMALLEST, PER_DECADE = 1.0, -14.0, 4


def choose_steps(x: NDArray[Any]) -> Float:
    """The steps for an input, from its own scale, the largest first."""
    exponents = np.arange(LARGEST, SMALLEST, -1 / PER_DECADE)
    steps: Float = float(np.median(entry_scale(x))) * 10.0**exponents
    return steps


def measure_curves(
    evaluate: Evaluate,
    x: NDArray[Any],
    cotangent: Float | None,
    reference: Float,
    entries: NDArray[np.intp],
    done: Callable[[int], None],
) -> dict[int, Float]:
    """The error of every order of stencil at each of `choose_steps(x)`.

    evaluate, x, cotangent: see `WholeForwards`. entries: flat indices of x.
    reference: the gradient at these entries, its last axis; NaN where it is not known.
    done: called with 1 after each step of each order.
    An error is max |D_h − reference| over max |reference|; NaN where a quotient is not finite.
    """
    known = reference.reshape(-1, len(entries)).T
    largest = np.nanmax(np.abs(known))
    found: dict[int, list[Float]] = {order: [] for order in STENCILS}
    with np.errstate(all="ignore"):
        noise = measure_noise(evaluate, x, entry_scale(x))
        differences = WholeForwards(evaluate, x, entry_scale(x), cotangent, STENCILS[2], noise)
        for step in choose_steps(x):
            exact = differences.exact(entries, np.full(len(entries), step))
            apart = {order: np.full(known.shape, np.inf) for order in STENCILS}
            for some in differences.chunks(np.flatnonzero(exact > 0)):
                for order, value in _take_stencils(differences, entries[some], exact[some]).items():
                    apart[order][some] = np.abs(value - known[some])
            for order, errors in found.items():
                errors.append(np.max(np.where(np.isnan(known), 0.0, apart[order])) / largest)
                done(1)
    return {order: np.where(np.isfinite(errors), errors, np.nan) for order, errors in found.items()}


def _take_stencils(
    differences: WholeForwards, entries: NDArray[np.intp], step: Float
) -> dict[int, Float]:
    """The quotients of every stencil, by order, all from the same plain quotients."""
    offsets = max((stencil.offsets for stencil in STENCILS.values()), key=len)
    plain = {offset: differences.rung(entries, offset * step).value[0] for offset in offsets}
    return {
        order: np.sum(
            [
                float(weight) * plain[offset]
                for offset, weight in zip(stencil.offsets, stencil.weights, strict=True)
            ],
            axis=0,
        )
        for order, stencil in STENCILS.items()
    }
