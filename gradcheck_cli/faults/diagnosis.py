"""Which fault turns the numeric gradient into the analytic one, to within the uncertainty?

A fault is named only on evidence: it must give every entry, and be no coincidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.catalogue import FAULTS, told_of
from gradcheck_cli.faults.factors import Factor, factor, fitted
from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.measured_gradient import Right, Values
from gradcheck_cli.measure.compare import Comparison, allowed_error, largest
from gradcheck_cli.result import Code, Diagnosis

Float = NDArray[np.float64]

# Digits by which an explanation must be better than none: one chance in a million. Every entry
# counts those between its error and what is left of it; parameters and choices are taken off.
EVIDENCE = 6.0
LEAST = 0.3  # digits of an entry that counts as one
NO_FACTOR = 1e-6  # how far from 1 a factor must be to be one
# Calls of the forward that diagnoses may cost: so many times the check's evaluations, and more.
EFFORT, FREE_CALLS = 2, 2_000


class Explanation(Struct, frozen=True):
    """A fault that explains a wrong gradient, in words; by: the factor besides, or the fault."""

    fault: Fault
    told: str
    cause: str
    next_step: str
    fits: float
    entries: int
    rank: tuple[int, ...]
    by: Factor | None = None


def allowed_calls(evaluations: int) -> float:
    """Of the forward, for the diagnoses of a check that took so many evaluations of it."""
    return EFFORT * evaluations + FREE_CALLS


def explained(right: Right, found: Comparison, calls: float) -> Explanation | None:
    """The simplest fault that explains a wrong gradient, or None.

    calls: of the forward, after which gradients are not measured at other inputs any more.
    """
    best: Explanation | None = None
    for order, fault in enumerate(FAULTS.values()):
        if fault.costly and right.effort.calls > calls:
            continue
        # Code of the user that ran in the check may still fail where the diagnosis looks.
        with suppress(GradcheckError):
            for injected in fault.suspects(right, found):
                for explanation in _tried(fault, injected, right, found, order):
                    if best is None or explanation.rank < best.rank:
                        best = explanation
        if best is not None and best.rank[:3] == (0, 1, 0):
            break
    return best


def _tried(
    fault: Fault, injected: Injected, right: Right, found: Comparison, order: int
) -> Iterator[Explanation]:
    """The fault alone, and together with a factor, with a transpose and with both."""
    versions = [(fault, injected, 1)]
    turned = None if fault.code == Code.TRANSPOSED else _turned(injected, right)
    if turned is not None:
        versions.append((fault, turned, 2))
    for fault, version, count in versions:
        fits = _fits(version, right, found, count)
        if fits is not None:
            yield _explanation(fault, version, fits, count, order)
        elif not fault.alone:
            scaled = _scaled(version, right, found)
            fits = _fits(scaled, right, found, count + 1) if scaled is not None else None
            if scaled is not None and fits is not None:
                yield _explanation(fault, scaled, fits, count + 1, order)


def _explanation(
    fault: Fault, injected: Injected, fits: float, count: int, order: int
) -> Explanation:
    return Explanation(
        fault,
        injected.told,
        injected.cause or fault.cause,
        injected.next_step or fault.next_step,
        fits,
        len(injected.values.at),
        (int(injected.fitted > 1), count, injected.fitted, order),
        injected.by,
    )


def _turned(injected: Injected, right: Right) -> Injected | None:
    """The transpose of a square gradient with a fault in it."""
    shape, values = right.shape, injected.values
    if not (right.whole and len(shape) == 2 and shape[0] == shape[1] > 1):
        return None
    if len(values.at) != right.value.size:
        return None
    value, uncertainty = (
        array.reshape(shape).T.ravel() for array in (values.value, values.uncertainty)
    )
    return replace(
        injected,
        values=Values(value, uncertainty, values.at),
        told=f"{injected.told}, transposed",
        choices=2 * injected.choices,
    )


def _scaled(injected: Injected, right: Right, found: Comparison) -> Injected | None:
    """The gradient with a fault in it, times the factor that makes it the analytic one."""
    at = injected.values.at
    value, uncertainty = injected.values.value, injected.values.uncertainty
    allowed = found.allowed.ravel()[at] + np.where(np.isfinite(uncertainty), uncertainty, np.inf)
    c, precision = fitted(found.analytic.ravel()[at], value, allowed)
    if c == 0.0 or not np.isfinite(c) or abs(c - 1) < NO_FACTOR:
        return None
    by = factor(c, precision, right.numbers)
    return replace(
        injected,
        values=Values(by.value * value, abs(by.value) * uncertainty, at),
        told=f"{injected.told}, times {by.shown}",
        fitted=injected.fitted + by.fitted,
        choices=injected.choices * by.choices,
    )


def _fits(injected: Injected, right: Right, found: Comparison, count: int) -> float | None:
    """How well a fault gives the analytic gradient: the largest error over the largest entry.

    None where an entry is off by more than is allowed, or where there is too little evidence: each
    of `count` changes and each parameter needs an entry of its own.
    """
    parameters = count + injected.fitted
    values = injected.values
    analytic, numeric = found.analytic.ravel()[values.at], right.value.ravel()[values.at]
    known = found.smooth.ravel()[values.at] & np.isfinite(numeric)
    with np.errstate(all="ignore"):
        error = np.abs(analytic - values.value)
        allowed = allowed_error(analytic, values.value, values.uncertainty, found.rtol, found.atol)
        if not np.all((error <= allowed) | ~known):
            return None
        gap = np.abs(analytic - numeric)
        better = np.log10(gap / np.maximum(np.maximum(error, allowed), np.finfo(float).tiny))
        wrong = found.wrong.ravel()[values.at] & known
        digits = np.sort(np.where(wrong & (better > 0), better, 0.0))
    evidence = float(np.sum(digits[: max(0, len(digits) - injected.fitted)]))
    told = int(np.sum(digits > LEAST))
    if told < parameters or evidence - np.log10(injected.choices) < EVIDENCE:
        return None
    peak = largest(np.abs(analytic[known]))
    return largest(error[known]) / peak if peak > 0 else 0.0


def diagnosed(right: Right, found: Comparison, calls: float) -> tuple[Diagnosis, Factor | None]:
    """What is told of a wrong gradient, and its factor, if that is all that is wrong with it."""
    explanation = explained(right, found, calls)
    if explanation is not None:
        return _record(explanation), explanation.by
    for fault in FAULTS.values():
        told = fault.described(right, found) if fault.described is not None else ""
        if told:
            return told_of(fault.code, told), None
    return told_of(Code.NO_KNOWN_FAULT), None


def _record(by: Explanation) -> Diagnosis:
    record = told_of(by.fault.code, by.told, by.fits, by.entries)
    return replace(record, cause=by.cause, next_step=by.next_step)


def same_reduction(factors: Sequence[Factor | None], right: Right) -> str:
    """Which reduction wrong gradients are of, if all of them have the factor n, or all 1/n."""
    names = {name for by in factors if by is not None for name in by.names}
    n = right.samples
    if not n or len(factors) < 2 or None in factors:
        return ""
    for name, told in (
        (n, "the sum over the samples, and the loss is their mean"),
        (f"1/{n}", "the mean over the samples, and the loss is their sum"),
    ):
        if all(by is not None and name in by.names for by in factors) and name in names:
            return f"every gradient is {name} times the numeric one: they are those of {told}"
    return ""


def of_reduction(one: Diagnosis | None, told: str) -> Diagnosis:
    """What is told of each gradient where all of them are those of another reduction."""
    found = told_of(Code.OTHER_REDUCTION, told)
    return replace(found, evidence=one.evidence, fits=one.fits) if one else found
