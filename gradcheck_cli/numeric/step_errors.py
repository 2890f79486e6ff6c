"""The error of difference quotients against their step: of truncation and of rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.few_probes import measure_noise
from gradcheck_cli.numeric.noise import Evaluate, Float
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.numeric.units import entry_scale

# Steps, in units of the input's own scale: from where truncation rules to where nothing moves.
LARGEST, SMALLEST, A_DECADE = 1.0, -14.0, 4


def steps_of(x: NDArray[Any]) -> Float:
    """Steps for an input in its own units, A_DECADE a factor of ten, the largest first."""
    exponents = np.arange(LARGEST, SMALLEST, -1 / A_DECADE)
    steps: Float = float(np.median(entry_scale(x))) * 10.0**exponents
    return steps


def curves(
    evaluate: Evaluate,
    x: NDArray[Any],
    cotangent: Float | None,
    reference: Float,
    entries: NDArray[np.intp],
    done: Callable[[int], None],
) -> dict[int, Float]:
    """For every order of stencil, the error at each of `steps_of(x)`.

    evaluate, x, cotangent: as for `WholeForwards`. reference: the gradient at `entries`, which
    are flat indices of x, its last axis being theirs; NaN where it is not known.
    An error is max |D_h − reference| over max |reference|; NaN where a quotient is not finite.
    done: is told of every step of every order.
    """
    known = reference.reshape(-1, len(entries)).T
    largest = np.nanmax(np.abs(known))
    with np.errstate(all="ignore"):
        noise = measure_noise(evaluate, x, entry_scale(x))
        found = {}
        for order, stencil in STENCILS.items():
            taken = WholeForwards(evaluate, x, entry_scale(x), cotangent, stencil, noise)
            errors = []
            for step in steps_of(x):
                exact = taken.exact(entries, np.full(len(entries), step))
                rows = np.flatnonzero(exact > 0)
                apart = np.full(known.shape, np.inf)
                for some in taken.chunks(rows):
                    value = taken.rung(entries[some], exact[some]).value[0]
                    apart[some] = np.abs(value - known[some])
                errors.append(np.max(np.where(np.isnan(known), 0.0, apart)) / largest)
                done(1)
            found[order] = np.where(np.isfinite(errors), errors, np.nan)
    return found
