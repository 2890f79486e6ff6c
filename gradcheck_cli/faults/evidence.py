"""How well a fault gives a wrong gradient: every entry, and by no coincidence.

An entry gives the digits between its error and what the fault leaves of it. Fitted parameters cost
an entry each, other faults that could have been tried the digits of their number.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float, allowed_error, largest

# The decimal digits of evidence that a fault needs: one chance in a million that it fits by chance.
# With it tests/benchmarks/diagnosis.py counts one wrong name among 5,000 random gradients.
LEAST_EVIDENCE = 6.0
# A plain fault on less evidence, one chance in thirty, is told as one that may be: an entry in
# float32 has no more.
SOME_EVIDENCE = 1.5
LEAST_DIGITS = 0.3  # a factor of two: an entry that gives fewer digits is no evidence of its own
LARGEST_MISFIT = 0.01  # of the largest entry: a fault that leaves more explains nothing


class Fit(Struct, frozen=True):
    """How well a fault gives the analytic gradient.

    misfit: the largest error over the largest entry; sure: whether it cannot be chance.
    """

    misfit: float
    sure: bool


def may_give(
    values: Values,
    comparison: Comparison,
    rest: Values | None = None,
    order: NDArray[np.intp] | None = None,
) -> bool:
    """Whether three entries allow that a gradient, times a factor, and a rest are the analytic one.

    Most faults are refuted by them, in a tenth of the time that all entries take.
    order: in which the entries of the gradient are taken, as for its transpose.
    """
    count = len(values.at)
    places = [count // 4, count // 2, count - 1]
    taken = places if order is None else [*map(order.item, places)]
    # As numbers of Python, which three of are quicker than arrays.
    at = [*map(values.at.item, places)]
    if any(map(comparison.numeric.kink.item, at)):
        return True
    wanted, allowed = ([*map(of.item, at)] for of in (comparison.analytic, comparison.allowed))
    found, unsure = ([*map(of.item, taken)] for of in (values.value, values.uncertainty))
    largest_found = max(map(abs, found))
    by = max(1.0, max(map(abs, wanted)) / largest_found) if largest_found else 1.0
    off = [allowed[k] + by * unsure[k] for k in range(3)]
    if rest is not None:
        wanted = [wanted[k] - rest.value[place] for k, place in enumerate(places)]
        off = [off[k] + rest.uncertainty[place] for k, place in enumerate(places)]
    # Where nothing is known, both sides are infinite or not a number, and nothing is refuted.
    return not any(
        abs(wanted[0] * found[k] - wanted[k] * found[0])
        > off[0] * abs(found[k]) + off[k] * abs(found[0])
        for k in (1, 2)
    )


def list_near(
    gradients: Float, comparison: Comparison, transposed: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Which of many gradients, or of their transposes, are near enough to be the analytic one.

    gradients: flat, gradients × entries; transposed: the places of the entries of a transpose, if
    it has the same shape.
    """
    analytic = comparison.analytic.ravel()
    known = (comparison.smooth & np.isfinite(comparison.numeric.value)).ravel()
    most = LARGEST_MISFIT * largest(np.abs(analytic[known]))
    near = np.zeros(len(gradients), dtype=bool)
    for order in [np.arange(analytic.size), transposed][: 1 + bool(len(transposed))]:
        gap = np.abs(gradients[:, order] - analytic)[:, known]
        near |= ~(np.max(gap, axis=1, initial=0.0) > most)
    return np.flatnonzero(near)


def gives(values: Values, comparison: Comparison) -> bool:
    """Whether a gradient is the analytic one at all smooth entries."""
    analytic = comparison.analytic.ravel()[values.at]
    with np.errstate(all="ignore"):
        allowed = allowed_error(
            analytic, values.value, values.uncertainty, comparison.rtol, comparison.atol
        )
        right = np.abs(analytic - values.value) <= allowed
    return bool(np.all(right | ~_known(values, comparison)))


def measure_fit(injected: Injected, comparison: Comparison, count: int) -> Fit | None:
    """How well a fault gives the analytic gradient; None where it does not, or tells too little.

    count: of changes. Each of them and each parameter needs an entry of its own.
    """
    values, parameters = injected.values, count + injected.parameters
    if not gives(values, comparison):
        return None
    analytic, known = comparison.analytic.ravel()[values.at], _known(values, comparison)
    with np.errstate(all="ignore"):
        error = np.abs(analytic - values.value)
        digits = count_digits(values, comparison)
        if injected.grain:
            digits = np.minimum(digits, np.log10(1 + np.abs(values.value) / injected.grain))
    digits = np.sort(np.where(comparison.wrong.ravel()[values.at] & known, digits, 0.0))
    evidence = float(np.sum(digits[: max(0, len(digits) - injected.parameters)]))
    evidence -= float(np.log10(injected.choices))
    needed = SOME_EVIDENCE if parameters == 1 else LEAST_EVIDENCE
    if np.sum(digits > LEAST_DIGITS) < parameters or evidence < needed:
        return None
    peak, misfit = largest(np.abs(analytic[known])), largest(error[known])
    if misfit > LARGEST_MISFIT * peak:
        return None
    sure = evidence >= LEAST_EVIDENCE and not injected.discrete
    return Fit(misfit / peak if peak > 0 else 0.0, sure)


def count_digits(values: Values, comparison: Comparison) -> Float:
    """The digits of every entry between its error and what a gradient leaves of it, 0 at least."""
    analytic = comparison.analytic.ravel()[values.at]
    with np.errstate(all="ignore"):
        gap = np.abs(analytic - comparison.numeric.value.ravel()[values.at])
        left = np.maximum(
            np.abs(analytic - values.value),
            allowed_error(
                analytic, values.value, values.uncertainty, comparison.rtol, comparison.atol
            ),
        )
        digits = np.log10(gap / np.maximum(left, np.finfo(float).tiny))
    return np.where(digits > 0, digits, 0.0)


def _known(values: Values, comparison: Comparison) -> NDArray[np.bool_]:
    """Which entries have no kink, and are numbers."""
    numeric = comparison.numeric.value.ravel()[values.at]
    return np.asarray(comparison.smooth.ravel()[values.at] & np.isfinite(numeric))
