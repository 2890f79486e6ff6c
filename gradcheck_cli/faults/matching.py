"""Which fault turns the numeric gradient into the analytic one, to within the uncertainty?

Every fault of the catalogue is tried, alone, with a factor and transposed; the simplest that gives
every entry, and is no coincidence, is the match.
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
from gradcheck_cli.faults.evidence import Fit, gives, may_give, measure_fit
from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.fitting import fit_part
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.result import Code

SMALLEST_FACTOR = 1e-6  # how far from 1 a factor must be to be told from rounding and truncation


class Match(Struct, frozen=True):
    """A fault that turns the numeric gradient into the analytic one.

    injected: the gradient with it; fit: how well; rank: sorts matches, the simplest first.
    """

    fault: Fault
    injected: Injected
    fit: Fit
    rank: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether it is one change, no chance, and no array that was solved for."""
        return self.rank[:2] == (0, 1)


def find_match(measured: MeasuredGradient, comparison: Comparison) -> Match | None:
    """The simplest fault that explains a wrong gradient, or None.

    Where no calls of the forward are left, faults that need gradients elsewhere are left out.
    """
    best: Match | None = None
    measured.claimed = comparison
    for order, fault in enumerate(FAULTS.values()):
        again = measured.inner and not fault.inside
        if again or (fault.costly and not measured.effort.is_left):
            continue
        # Code of the user that ran in the check may still fail where the diagnosis looks.
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
    """The faults of a kind that explain a wrong gradient; order: of the kind, among those that are
    as simple."""
    for injected in fault.list_suspects(measured, comparison):
        yield from _vary(fault, injected, measured, comparison, order)


def _vary(
    fault: Fault, injected: Injected, measured: MeasuredGradient, comparison: Comparison, order: int
) -> Iterator[Match]:
    """The fault alone, and together with a factor, with a transpose and with both, if they fit."""
    values, turned = injected.values, measured.transposed
    tries: list[tuple[NDArray[np.intp] | None, int]] = [(None, 1)]
    if fault.code != Code.TRANSPOSED and len(values.at) == len(turned):
        tries.append((turned, 2))
    for entries, count in tries:
        if not may_give(values, comparison, order=entries):
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
    """The transpose of a square gradient with a fault in it; order: in which its entries stand."""
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
    """The gradient with a fault in it, times the factor that makes it the analytic one."""
    values = injected.values
    c, precision = fit_part(comparison, values)
    if c == 0.0 or not np.isfinite(c) or abs(c - 1) < SMALLEST_FACTOR:
        return None
    if not gives(values * c, comparison):  # what takes longest is to name a factor
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
