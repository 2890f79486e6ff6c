"""Which fault turns the numeric gradient into the analytic one, to within the uncertainty?

A fault is named only on evidence: it must give every entry, and be no coincidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.catalogue import FAULTS, describe_fault
from gradcheck_cli.faults.confirm import confirm
from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.gradient_faults import scale
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.pattern_faults import describe_contradiction
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import (
    Comparison,
    allowed_error,
    compare_entries,
    largest,
)
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import Code, Diagnosis

Float = NDArray[np.float64]

# The decimal digits of evidence that a fault needs: one chance in a million that it fits by
# accident. An entry gives the digits between its error and what the fault leaves of it; fitted
# parameters cost an entry each, other faults that could have been tried the digits of their number.
# With it tests/benchmarks/diagnosis.py counts one wrong name among 5,000 random gradients.
LEAST_EVIDENCE = 6.0
# A plain fault on less evidence, one chance in thirty, is told as one that may be: an entry in
# float32 has no more.
SOME_EVIDENCE = 1.5
LEAST_DIGITS = 0.3  # a factor of two: an entry that gives fewer digits is no evidence of its own
LARGEST_MISFIT = 0.01  # of the largest entry: a fault that leaves more explains nothing
SMALLEST_FACTOR = 1e-6  # how far from 1 a factor must be to be told from rounding and truncation
# What the diagnoses of a check may cost in calls of the forward: this many for each evaluation of
# the check, and as many as most faults need, if that is more. To look inside the forward may cost
# as much again.
CALLS_PER_EVALUATION, LEAST_CALLS = 1, 2_000


class Fit(Struct, frozen=True):
    """How well a fault gives the analytic gradient.

    misfit: the largest error over the largest entry; sure: whether it cannot be chance.
    """

    misfit: float
    sure: bool


class Match(Struct, frozen=True):
    """A fault that turns the numeric gradient into the analytic one.

    observation, cause, next_step: as in a Diagnosis.
    fit: how well; entries: of how many.
    rank: sorts matches, the simplest first; by: the factor, of a fault that is one; named: the
    factors that the observation has the text of.
    """

    fault: Fault
    observation: str
    cause: str
    next_step: str
    fit: Fit
    entries: int
    rank: tuple[int, ...]
    by: Factor | None = None
    named: tuple[Factor, ...] = ()
    upstream: tuple[Stage, Float] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is one change, no chance, and no array that was solved for."""
        return self.rank[:2] == (0, 1)


class Finding(Struct, frozen=True):
    """What is said of a wrong gradient.

    factor: the one that is all that is wrong with it; upstream: the stage and the upstream gradient
    there that it is the gradient for.
    """

    diagnosis: Diagnosis
    factor: Factor | None = None
    upstream: tuple[Stage, Float] | None = None


def limit_calls(evaluations: int) -> float:
    """How often the diagnoses of a check of so many evaluations may call the forward."""
    return max(CALLS_PER_EVALUATION * evaluations, LEAST_CALLS)


def find_match(measured: MeasuredGradient, comparison: Comparison, calls: float) -> Match | None:
    """The simplest fault that explains a wrong gradient, or None.

    calls: of the forward; after so many, faults that need gradients elsewhere are left out.
    """
    best: Match | None = None
    measured.effort.most, measured.claimed = calls, comparison
    for order, fault in enumerate(FAULTS.values()):
        if fault.costly and measured.effort.calls > calls:
            continue
        # Code of the user that ran in the check may still fail where the diagnosis looks.
        with suppress(GradcheckError):
            for injected in fault.list_suspects(measured, comparison):
                for match in _vary(fault, injected, measured, comparison, order):
                    if best is None or match.rank < best.rank:
                        best = match
        if best is not None and best.rank[:3] == (0, 1, 0):
            break
    return best


def _vary(
    fault: Fault, injected: Injected, measured: MeasuredGradient, comparison: Comparison, order: int
) -> Iterator[Match]:
    """The fault alone, and together with a factor, with a transpose and with both."""
    versions = [(fault, injected, 1)]
    turned = None if fault.code == Code.TRANSPOSED else _transpose(injected, measured)
    if turned is not None:
        versions.append((fault, turned, 2))
    for fault, version, count in versions:
        fit = _measure_fit(version, measured, comparison, count)
        if fit is not None:
            yield _match(fault, version, fit, count, order)
        elif not fault.alone:
            scaled = _scale(version, measured, comparison)
            fit = (
                _measure_fit(scaled, measured, comparison, count + 1)
                if scaled is not None
                else None
            )
            if scaled is not None and fit is not None:
                yield _match(fault, scaled, fit, count + 1, order)


def _match(fault: Fault, injected: Injected, fit: Fit, count: int, order: int) -> Match:
    return Match(
        fault,
        injected.observation,
        injected.cause or fault.cause,
        injected.next_step or fault.next_step,
        fit,
        len(injected.values.at),
        (int(injected.parameters > 1) if fit.sure else 2, count, injected.parameters, order),
        injected.by,
        injected.named,
        injected.upstream,
    )


def _transpose(injected: Injected, measured: MeasuredGradient) -> Injected | None:
    """The transpose of a square gradient with a fault in it."""
    shape, values = measured.shape, injected.values
    if not (measured.whole and len(shape) == 2 and shape[0] == shape[1] > 1):
        return None
    if len(values.at) != measured.value.size:
        return None
    value, uncertainty = (
        array.reshape(shape).T.ravel() for array in (values.value, values.uncertainty)
    )
    return replace(
        injected,
        values=Values(value, uncertainty, values.at),
        observation=f"{injected.observation}, transposed",
        choices=2 * injected.choices,
    )


def _scale(
    injected: Injected, measured: MeasuredGradient, comparison: Comparison
) -> Injected | None:
    """The gradient with a fault in it, times the factor that makes it the analytic one."""
    at = injected.values.at
    value, uncertainty = injected.values.value, injected.values.uncertainty
    allowed = comparison.allowed.ravel()[at] + np.where(
        np.isfinite(uncertainty), uncertainty, np.inf
    )
    c, precision = fit_factor(comparison.analytic.ravel()[at], value, allowed)
    if c == 0.0 or not np.isfinite(c) or abs(c - 1) < SMALLEST_FACTOR:
        return None
    by = name_factor(c, precision, measured.numbers)
    return replace(
        injected,
        values=Values(by.value * value, abs(by.value) * uncertainty, at),
        observation=f"{injected.observation}, times {by.text}",
        named=(*injected.named, by),
        parameters=injected.parameters + by.parameters,
        choices=injected.choices * by.choices,
    )


def _measure_fit(
    injected: Injected, measured: MeasuredGradient, comparison: Comparison, count: int
) -> Fit | None:
    """How well a fault gives the analytic gradient.

    None where an entry is off by more than is allowed, or where there is too little evidence: each
    of `count` changes and each parameter needs an entry of its own.
    """
    parameters = count + injected.parameters
    values = injected.values
    analytic, numeric = comparison.analytic.ravel()[values.at], measured.value.ravel()[values.at]
    known = comparison.smooth.ravel()[values.at] & np.isfinite(numeric)
    with np.errstate(all="ignore"):
        error = np.abs(analytic - values.value)
        allowed = allowed_error(
            analytic, values.value, values.uncertainty, comparison.rtol, comparison.atol
        )
        if not np.all((error <= allowed) | ~known):
            return None
        gap = np.abs(analytic - numeric)
        better = np.log10(gap / np.maximum(np.maximum(error, allowed), np.finfo(float).tiny))
        if injected.grain:
            better = np.minimum(better, np.log10(1 + np.abs(values.value) / injected.grain))
        wrong = comparison.wrong.ravel()[values.at] & known
        digits = np.sort(np.where(wrong & (better > 0), better, 0.0))
    evidence = float(np.sum(digits[: max(0, len(digits) - injected.parameters)]))
    evidence -= float(np.log10(injected.choices))
    telling = int(np.sum(digits > LEAST_DIGITS))
    needed = SOME_EVIDENCE if parameters == 1 else LEAST_EVIDENCE
    if telling < parameters or evidence < needed:
        return None
    peak, misfit = largest(np.abs(analytic[known])), largest(error[known])
    if misfit > LARGEST_MISFIT * peak:
        return None
    return Fit(
        misfit / peak if peak > 0 else 0.0, evidence >= LEAST_EVIDENCE and not injected.discrete
    )


def match_fault(
    measured: MeasuredGradient,
    comparison: Comparison,
    calls: float,
    look_inside: Callable[[], Sequence[Stage]] = tuple,
) -> Finding:
    """What is said of a wrong gradient.

    look_inside: gives the stages inside the forward, which are looked at where nothing else fits.
    """
    if measured.problem.identity is not None:
        observation = describe_contradiction(measured, comparison)
        return Finding(describe_fault(Code.CONTRADICTION, observation))
    match = find_match(measured, comparison, calls)
    if match is None or not match.plain:
        inside = _find_inside(measured, comparison, calls, look_inside())
        found = [one for one in (match, inside) if one is not None]
        match = min(found, key=lambda one: one.rank[:3], default=None)
    if match is not None:
        match = confirm_names(match, measured, comparison)
        return Finding(_describe(match), match.by, match.upstream)
    for fault in FAULTS.values():
        observation = fault.describe(measured, comparison) if fault.describe is not None else ""
        if observation:
            return Finding(describe_fault(fault.code, observation))
    return Finding(describe_fault(Code.NO_KNOWN_FAULT))


def _find_inside(
    measured: MeasuredGradient, comparison: Comparison, calls: float, stages: Sequence[Stage]
) -> Match | None:
    """The fault at a stage inside the forward that explains a wrong gradient, or None."""
    if not stages:
        return None
    inside = MeasuredGradient(
        measured.problem,
        measured.name,
        measured.measure,
        measured.effort,
        guess=measured.guess,
        inner=[stage for stage in stages if _depends(measured, stage)],
    )
    return find_match(inside, comparison, calls) if inside.inner else None


def _depends(measured: MeasuredGradient, stage: Stage) -> bool:
    """Whether a stage changes with the input."""
    with suppress(Exception):  # of code that takes no other input
        moved = {measured.name: measured.x + (np.max(np.abs(measured.x), initial=0.0) or 1.0)}
        inputs = measured.problem.inputs
        return not np.array_equal(stage.forward({**inputs, **moved}), stage.forward(inputs))
    return False


def confirm_names(match: Match, measured: MeasuredGradient, comparison: Comparison) -> Match:
    """The match with the names of its factors that hold where sizes and constants are others."""

    def find(other: MeasuredGradient) -> Sequence[Factor] | None:
        claimed = other.problem.backward(
            {name: x.copy() for name, x in other.problem.inputs.items()},
            None if other.problem.cotangent is None else other.problem.cotangent.copy(),
        )
        there = compare_entries(
            np.asarray(claimed[other.name]), other.gradient, comparison.rtol, comparison.atol
        )
        matches = [
            found
            for injected in match.fault.list_suspects(other, there)
            for found in _vary(match.fault, injected, other, there, 0)
            if len(found.named) == len(match.named)
        ]
        return min(matches, key=lambda found: found.rank).named if matches else None

    if not match.named or not any((*one.names, *one.also) for one in match.named):
        return match
    with suppress(Exception):  # what code of the user raises there leaves the names as they are
        confirmed = confirm(measured, match.named, find)
        observation = match.observation
        for before, after in zip(match.named, confirmed, strict=True):
            observation = observation.replace(before.text, after.text, 1)
        if match.by is None:
            return replace(match, observation=observation, named=tuple(confirmed))
        told = scale(measured, confirmed[0])
        return replace(
            match,
            observation=observation,
            by=confirmed[0],
            cause=told.cause or match.fault.cause,
            next_step=told.next_step or match.fault.next_step,
        )
    return match


def _describe(match: Match) -> Diagnosis:
    observation = match.observation
    if not match.fit.sure:
        observation += "; that may be chance, as so few entries tell little"
    diagnosis = describe_fault(match.fault.code, observation, match.fit.misfit, match.entries)
    factor = match.by.text if match.by is not None else ""
    return replace(diagnosis, cause=match.cause, next_step=match.next_step, factor=factor)


def find_reduction(factors: Sequence[Factor | None], measured: MeasuredGradient) -> str:
    """Which reduction wrong gradients are of, if all of them have the factor n, or all 1/n."""
    n = measured.samples
    if not n or len(factors) < 2 or None in factors:
        return ""
    for name, which in (
        (n, "the sum over the samples, and the loss is their mean"),
        (f"1/{n}", "the mean over the samples, and the loss is their sum"),
    ):
        if all(by is not None and by.is_called(name) for by in factors):
            return f"every gradient is {name} times the numeric one: they are those of {which}"
    return ""


def describe_reduction(one: Diagnosis | None, observation: str) -> Diagnosis:
    """The diagnosis of each gradient where all of them are those of another reduction."""
    diagnosis = describe_fault(Code.OTHER_REDUCTION, observation)
    return replace(diagnosis, evidence=one.evidence, fits=one.fits) if one else diagnosis
