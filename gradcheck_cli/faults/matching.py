"""Find the fault that turns the numeric gradient into the analytic one, within the uncertainty.

Every fault of the catalogue is tried alone, times a factor, transposed, and both. The match is the
simplest one that explains all entries with enough evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.faults.evidence import (
    Fit,
    explains_all_entries,
    is_refuted_by_few_entries,
    measure_fit,
)
from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.fitting import fit_part
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.result import Code

SMALLEST_FACTOR = 1e-6  # how far a factor must be from 1, so that it is not rounding or truncation


class Match(Struct, frozen=True):
    """A fault that turns the numeric gradient into the analytic one.

    injected: the numeric gradient with the fault in it; fit: how well that is the analytic one.
    rank: sorts matches, the simplest first: 0 for at most one fitted parameter, 1 for more, 2 if
    the match may be chance; then the numbers of changes and of parameters, and the place in the
    catalogue.
    """

    fault: Fault
    injected: Injected
    fit: Fit
    rank: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether it is a single change with at most one fitted parameter, and surely no chance."""
        return self.rank[:2] == (0, 1)


def find_match(measured: MeasuredGradient, comparison: Comparison) -> Match | None:
    """Find the simplest fault that explains a wrong gradient; None if no fault does.

    Once the budget of forwards is used up, faults that need gradients at other inputs are skipped.
    """
    best: Match | None = None
    measured.claimed = comparison
    for order, fault in enumerate(FAULTS.values()):
        already_tried = measured.inner and not fault.inside
        if already_tried or (fault.costly and not measured.effort.is_left):
            continue
        # The user's code may fail at other inputs, though it did not at those of the check.
        with suppress(GradcheckError):
            for match in list_matches(fault, measured, comparison, order):
                if best is None or match.rank < best.rank:
                    best = match
        if best is not None and best.rank[:3] == (0, 1, 0):
            break
    return best


def list_matches(
    fault: Fault, measured: MeasuredGradient, comparison: Comparison, order: int = 0
) -> Iterator[Match]:
    """List the faults of this kind that explain a wrong gradient.

    order: the place of the kind in the catalogue, which decides between equally simple matches.
    """
    for injected in fault.list_suspects(measured, comparison):
        yield from _match_variants(fault, injected, measured, comparison, order)


def _match_variants(
    fault: Fault, injected: Injected, measured: MeasuredGradient, comparison: Comparison, order: int
) -> Iterator[Match]:
    """List the matches of a fault alone, times a factor, transposed, and both."""
    values, transposed = injected.values, measured.transposed
    tries: list[tuple[NDArray[np.intp] | None, int]] = [(None, 1)]
    if fault.code != Code.TRANSPOSED and len(values.at) == len(transposed):
        tries.append((transposed, 2))
    for entries, count in tries:
        if is_refuted_by_few_entries(values, comparison, order=entries):
            continue
        version = injected if entries is None else _transpose(injected, entries)
        found: Injected | None = version
        fit = measure_fit(version, comparison, count)
        if fit is None and not fault.alone:
            found, count = _scale(version, measured, comparison), count + 1
            fit = None if found is None else measure_fit(found, comparison, count)
        if found is not None and fit is not None:
            kind = int(found.parameters > 1) if fit.sure else 2
            yield Match(fault, found, fit, (kind, count, found.parameters, order))


def _transpose(injected: Injected, order: NDArray[np.intp]) -> Injected:
    """The transpose of a square gradient with a fault; order: the flat order of its entries."""
    values = injected.values
    return replace(
        injected,
        values=Values(values.value[order], values.uncertainty[order], values.at),
        observation=f"{injected.observation}, transposed",
        choices=2 * injected.choices,
    )


def _scale(
    injected: Injected, measured: MeasuredGradient, comparison: Comparison
) -> Injected | None:
    """A gradient with a fault in it, times the factor that makes it the analytic one, if any."""
    values = injected.values
    c, precision = fit_part(comparison, values)
    if c == 0.0 or not np.isfinite(c) or abs(c - 1) < SMALLEST_FACTOR:
        return None
    if not explains_all_entries(
        values * c, comparison
    ):  # checked first, since it is slow to name a factor
        return None
    by = name_factor(c, precision, measured.numbers)
    return replace(
        injected,
        values=values * c,
        observation=f"{injected.observation}, times {by.text}",
        named=(*injected.named, by),
        parameters=injected.parameters + by.parameters,
        choices=injected.choices * by.choices,
    )
