"""Whether a fault explains all entries of a wrong gradient, and how surely that is no chance.

Evidence is counted in decimal digits. A wrong entry adds log10 of its error over the error that
remains once the fault is put in. Every fitted parameter takes away the evidence of one entry, and
a choice among k faults takes away log10(k).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float, largest

# The digits of evidence that a fault needs: it fits by chance once in a million. With this,
# tests/benchmarks/diagnosis.py counts one wrong name among 5,000 random gradients.
LEAST_EVIDENCE = 6.0
# With less evidence, down to one chance in thirty, a fault of one change is still named, and the
# report says that it may be chance. A single entry in float32 has no more digits.
SOME_EVIDENCE = 1.5
LEAST_DIGITS = 0.3  # a factor of two; an entry with fewer digits cannot pay for a parameter
LARGEST_MISFIT = 0.01  # over the largest entry; a fault that leaves a larger error is none


class Fit(Struct, frozen=True):
    """How well a gradient with a fault in it agrees with the analytic gradient.

    misfit: the largest difference over the largest entry; sure: whether that cannot be chance.
    """

    misfit: float
    sure: bool


def is_refuted_by_few_entries(
    values: Values,
    comparison: Comparison,
    rest: Values | None = None,
    order: NDArray[np.intp] | None = None,
) -> bool:
    """Whether three entries show that no factor c makes c·values + rest the analytic gradient.

    That refutes most faults in a tenth of the time that all entries take.
    order: the place in values of each analytic entry, if it is another, as for a transpose.
    """
    count = len(values.at)
    places = [count // 4, count // 2, count - 1]
    taken = places if order is None else [*map(order.item, places)]
    # Python's numbers: for three of them they are faster than arrays.
    at = [*map(values.at.item, places)]
    if any(map(comparison.numeric.kink.item, at)):
        return False
    wanted, allowed = ([*map(of.item, at)] for of in (comparison.analytic, comparison.allowed))
    found, unsure = ([*map(of.item, taken)] for of in (values.value, values.uncertainty))
    largest_found = max(map(abs, found))
    by = max(1.0, max(map(abs, wanted)) / largest_found) if largest_found else 1.0
    off = [allowed[k] + by * unsure[k] for k in range(3)]
    if rest is not None:
        wanted = [wanted[k] - rest.value[place] for k, place in enumerate(places)]
        off = [off[k] + rest.uncertainty[place] for k, place in enumerate(places)]
    # The cross products of two proportional pairs agree. Where an uncertainty is infinite, both
    # sides are infinite or nan, and nothing is refuted.
    return any(
        abs(wanted[0] * found[k] - wanted[k] * found[0])
        > off[0] * abs(found[k]) + off[k] * abs(found[0])
        for k in (1, 2)
    )


def list_close_gradients(
    gradients: Float, comparison: Comparison, transposed: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The indices of the gradients that are close to the analytic one, or whose transposes are.

    gradients: one in each row, flat; transposed: the flat order of the entries of a transpose, or
    empty if it has another shape.
    """
    analytic = comparison.analytic.ravel()
    known = (comparison.smooth & np.isfinite(comparison.numeric.value)).ravel()
    most = LARGEST_MISFIT * largest(np.abs(analytic[known]))
    near = np.zeros(len(gradients), dtype=bool)
    for order in [np.arange(analytic.size), transposed][: 1 + bool(len(transposed))]:
        gap = np.abs(gradients[:, order] - analytic)[:, known]
        near |= ~(np.max(gap, axis=1, initial=0.0) > most)
    return np.flatnonzero(near)


def explains_all_entries(values: Values, comparison: Comparison) -> bool:
    """Whether a gradient agrees with the analytic one at all entries where both are defined."""
    analytic = comparison.analytic.ravel()[values.at]
    with np.errstate(all="ignore"):
        allowed = comparison.allowance.error(analytic, values.value, values.uncertainty)
        right = np.abs(analytic - values.value) <= allowed
    return bool(np.all(right | ~_known(values, comparison)))


def measure_fit(injected: Injected, comparison: Comparison, count: int) -> Fit | None:
    """How well a fault explains the analytic gradient; None if it does not, or by too few digits.

    count: how many changes the fault is made of, such as a mask and a transpose. Each change and
    each fitted parameter needs a wrong entry of its own as evidence.
    """
    values, parameters = injected.values, count + injected.parameters
    if not explains_all_entries(values, comparison):
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
    """The digits of evidence of every entry: log10 of its error over the error that remains.

    The remaining error counts as no less than what is allowed; digits are never negative.
    """
    analytic = comparison.analytic.ravel()[values.at]
    with np.errstate(all="ignore"):
        gap = np.abs(analytic - comparison.numeric.value.ravel()[values.at])
        left = np.maximum(
            np.abs(analytic - values.value),
            comparison.allowance.error(analytic, values.value, values.uncertainty),
        )
        digits = np.log10(gap / np.maximum(left, np.finfo(float).tiny))
    return np.where(digits > 0, digits, 0.0)


def _known(values: Values, comparison: Comparison) -> NDArray[np.bool_]:
    """Which entries have a numeric gradient: they are finite, and at no kink."""
    numeric = comparison.numeric.value.ravel()[values.at]
    return np.asarray(comparison.smooth.ravel()[values.at] & np.isfinite(numeric))
