"""Explain several wrong gradients of a backward together, since one mistake often spoils several.

Some faults cannot be told from one gradient alone. A bias has one entry for each unit, so that a
factor for each unit explains any error; but if the weights have the same factors, that is evidence.
And one mistake may look like a different fault in each gradient: where a loop loses its carry, one
of them seems to lack an output and the other an input. So one fault that explains all comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.catalogue import describe_fault
from gradcheck_cli.faults.diagnosis import Finding, describe_match
from gradcheck_cli.faults.evidence import Fit, measure_fit
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor, solve_weights
from gradcheck_cli.faults.kinds.upstream_faults import MOST_UNKNOWNS, describe_upstream
from gradcheck_cli.faults.matching import Match, list_matches
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import name_slices
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float, largest
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import Code, Diagnosis
from gradcheck_cli.text import join_words

# Over the largest entry: how far a gradient may be off that is computed from an upstream gradient
# that was itself solved for.
SOLVED = 1e-7
# How many more equations than unknowns there must be: with seven digits each, they are evidence.
LEAST_SPARE = 2


class Wrong(Struct, frozen=True):
    """A wrong gradient, and what was found for it alone.

    measured: the right gradient; comparison: with the wrong one. inside: the right gradient with
    the stages inside the forward, if these were looked for.
    """

    measured: MeasuredGradient
    comparison: Comparison
    finding: Finding
    inside: MeasuredGradient | None = None


LookInside = Callable[[Wrong], MeasuredGradient | None]


def explain_by_others(one: Wrong, others: Iterable[Wrong]) -> Diagnosis | None:
    """The diagnosis of a gradient that no fault explains, by the factors of another's slices or by
    the upstream gradient that another one is for; None if neither explains it.
    """
    if one.finding.diagnosis.code != Code.NO_KNOWN_FAULT:
        return None
    others = list(others)
    scaled = (_borrow_factors(one, other) for other in others)
    upstream = (_borrow_upstream(one, other) for other in others)
    return next((found for found in (*scaled, *upstream) if found is not None), None)


def _borrow_factors(one: Wrong, other: Wrong) -> Diagnosis | None:
    """The diagnosis of a vector whose entries have the factors of slices of another gradient."""
    measured, size = one.measured, one.measured.value.size
    if other.finding.diagnosis.code != Code.SLICES_SCALED or not (measured.whole and size > 1):
        return None
    if not other.measured.whole or max(measured.shape) != size or other.measured.value.size == size:
        return None
    for axis, length in enumerate(other.measured.shape):
        if length == size:
            factors, precisions = _fit_slices(other, axis)
            explained = measured.right * factors
            off = explained.uncertainty + precisions * np.abs(explained.value)
            fit = _fit_surely(replace(explained, uncertainty=off), one.comparison)
            if fit is not None:
                slices = f"the {name_slices(axis, other.measured.shape)} of"
                observation = f"its entries have the factors that {slices} {_name(other)} have"
                return describe_fault(Code.SLICES_SCALED, observation, fit.misfit, size)
    return None


def _fit_slices(wrong: Wrong, axis: int) -> np.ndarray:
    """The factor of each slice along an axis, and its precision: (2, slices)."""
    analytic, value, allowed = (
        np.moveaxis(array, axis, 0)
        for array in (wrong.comparison.analytic, wrong.measured.value, wrong.comparison.allowed)
    )
    return np.array([fit_factor(*of) for of in zip(analytic, value, allowed, strict=True)]).T


def _borrow_upstream(one: Wrong, other: Wrong) -> Diagnosis | None:
    """The diagnosis of a gradient that has the wrong upstream gradient which another one has."""
    if other.finding.upstream is None:
        return None
    known = other.finding.diagnosis
    found = _explain_by_upstream(
        one, one.measured, *other.finding.upstream, Code(known.code), known.observation
    )
    return found and replace(found, cause=known.cause, next_step=known.next_step)


def _explain_by_upstream(
    one: Wrong,
    measured: MeasuredGradient,
    stage: Stage,
    delta: Float,
    code: Code,
    observation: str,
) -> Diagnosis | None:
    """The diagnosis of a gradient, if this upstream gradient at a stage surely explains it."""
    explained = measured.contract(stage, delta)
    off = explained.uncertainty + SOLVED * largest(np.abs(explained.value))
    fit = _fit_surely(replace(explained, uncertainty=off), one.comparison)
    entries = len(explained.at)
    return None if fit is None else describe_fault(code, observation, fit.misfit, entries)


def explain_by_common_upstream(wrong: Mapping[str, Wrong]) -> dict[str, Diagnosis]:
    """The diagnoses of gradients that no fault explains alone, but one upstream gradient together.

    That of a hidden layer may have more entries than each of the gradients, so that it can be
    solved for only from all of them.
    """
    unknown = {
        name: (one, one.inside)
        for name, one in wrong.items()
        if one.finding.diagnosis.code == Code.NO_KNOWN_FAULT and one.inside is not None
    }
    insides = [inside for _, inside in unknown.values()]
    if len(unknown) < 2:
        return {}
    common = [
        stage for stage in insides[0].inner if all(inside.is_inner(stage) for inside in insides)
    ]
    found = [_solve_together([*unknown.values()], stage) for stage in common]
    # Stages with a name say most, then those at which the fewest entries differ.
    best = min(
        ((stage.respond is None, *one) for stage, one in zip(common, found, strict=True) if one),
        key=lambda ranked: ranked[:2],
        default=None,
    )
    return {} if best is None else dict(zip(unknown, best[2], strict=True))


def _solve_together(
    wrong: Sequence[tuple[Wrong, MeasuredGradient]], stage: Stage
) -> tuple[int, list[Diagnosis]] | None:
    """Solve for one upstream gradient at a stage that explains all of these gradients.

    wrong: each gradient, and the same with the stages inside the forward. Returns how many entries
    of it differ from the right one, and the diagnoses; None if there is none, or it is not unique.
    """
    size = np.size(stage.cotangent)
    parts, allowed, targets = [], [], []
    for one, inside in wrong:
        jacobian = inside.measure_jacobian(stage)
        parts.append(jacobian.value)
        allowed.append(one.comparison.allowed.ravel()[jacobian.at])
        targets.append(inside.subtract_around(stage, one.comparison.analytic)[jacobian.at])
    columns = np.concatenate(parts, axis=1)
    if not 1 < size <= min(MOST_UNKNOWNS, columns.shape[1] - LEAST_SPARE):
        return None
    other = solve_weights(columns, np.concatenate(allowed), np.concatenate(targets))
    if other is None:
        return None
    delta = np.asarray(stage.cotangent, dtype=np.float64)
    text, differ = describe_upstream(stage, delta, other.reshape(delta.shape))
    observation = f"{join_words([_name(one) for one, _ in wrong])} are all the gradient {text}"
    diagnoses = []
    for one, inside in wrong:
        code = Code.OTHER_UPSTREAM
        found = _explain_by_upstream(one, inside, stage, other, code, observation)
        if found is None or not differ:
            return None
        diagnoses.append(found)
    return differ, diagnoses


def _fit_surely(values: Values, comparison: Comparison) -> Fit | None:
    """How well a gradient agrees with the wrong one; None where that may be chance."""
    fit = measure_fit(Injected(values, ""), comparison, 1)
    return fit if fit is not None and fit.sure else None


def _name(wrong: Wrong) -> str:
    return wrong.measured.label.gradient


def find_reduction(wrong: Sequence[Wrong | None]) -> str:
    """A sentence on the wrong reduction, if all gradients of a check have the factor n, or all 1/n.

    wrong: None for a gradient that is right, or was not diagnosed. Empty if the reduction is right.
    """
    factors = [None if one is None else one.finding.factor for one in wrong]
    known = next((one for one in wrong if one is not None), None)
    n = "" if known is None else known.measured.samples
    if not n or len(factors) < 2:
        return ""
    for name, which in (
        (n, "the sum over the samples, and the loss is their mean"),
        (f"1/{n}", "the mean over the samples, and the loss is their sum"),
    ):
        if all(by is not None and by.is_called(name) for by in factors):
            return f"every gradient is {name} times the numeric one: they are those of {which}"
    return ""


def describe_reduction(one: Diagnosis | None, observation: str) -> Diagnosis:
    """The diagnosis of one gradient, where all of them are those of another reduction."""
    diagnosis = describe_fault(Code.OTHER_REDUCTION, observation)
    return replace(diagnosis, evidence=one.evidence, fits=one.fits) if one else diagnosis


def explain_by_one_fault(
    wrong: Mapping[str, Wrong], look_inside: LookInside
) -> dict[str, Diagnosis]:
    """The diagnoses by one fault that surely explains all of these gradients; empty without one.

    look_inside: the gradient with the stages inside the forward.
    """
    matches = {name: one.finding.match for name, one in wrong.items()}
    observations = {None if one is None else one.injected.observation for one in matches.values()}
    if len(observations) < 2:  # that is already so
        return {}
    candidates = [match for match in matches.values() if match is not None and match.fit.sure]
    for match in sorted(candidates, key=lambda one: one.rank):
        found: dict[str, Match] = {}
        for name, one in wrong.items():
            same = _find_same(one, match, look_inside)
            if same is None:
                break
            found[name] = same
        else:
            return {name: describe_match(same) for name, same in found.items()}
    return {}


def _find_same(one: Wrong, match: Match, look_inside: LookInside) -> Match | None:
    """The match of a gradient with the same fault in the same words; None without one."""
    own = one.finding.match
    if own is not None and own.injected.observation == match.injected.observation:
        return own
    same = _match_again(one.measured, one.comparison, match)
    inside = one.inside or look_inside(one) if same is None else None
    return same if inside is None else _match_again(inside, one.comparison, match)


def _match_again(measured: MeasuredGradient, comparison: Comparison, match: Match) -> Match | None:
    """The same fault in the same words in another gradient, if it surely explains that."""
    measured.claimed = comparison
    with suppress(GradcheckError):  # the user's code may fail at other inputs
        for found in list_matches(match.fault, measured, comparison):
            if found.injected.observation == match.injected.observation and found.fit.sure:
                return found
    return None


def try_faults_of_others(
    measured: MeasuredGradient,
    comparison: Comparison,
    others: Iterable[Wrong],
    look_inside: Callable[[], MeasuredGradient | None],
) -> Finding | None:
    """The diagnosis of a gradient by the fault of one diagnosed before, if that explains it, too.

    look_inside: the gradient with the stages inside the forward, if that fault was found there.
    """
    tried: set[str] = set()
    for other in others:
        match = other.finding.match
        if match is None or not match.plain or match.injected.observation in tried:
            continue
        tried.add(match.injected.observation)
        view = measured if other.inside is None else look_inside()
        same = None if view is None else _match_again(view, comparison, match)
        if same is not None:
            return Finding(describe_match(same), same)
    return None
