"""Diagnose one wrong gradient: find its fault, and words for it that are no coincidence.

Where no fault of the gradient as a whole explains it, the fault is looked for at the stages inside
the forward. Where none explains all entries, a pattern of the errors is described.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.faults.catalogue import FAULTS, describe_fault
from gradcheck_cli.faults.confirm import confirm, shuffle_inputs
from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.faults.hidden_stages import find_hidden_stages
from gradcheck_cli.faults.kinds.gradient_faults import scale
from gradcheck_cli.faults.kinds.pattern_faults import describe_contradiction, describe_flat
from gradcheck_cli.faults.matching import Match, find_match, list_matches
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Effort
from gradcheck_cli.measure.comparison import Comparison, Float, compare_entries
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import Code, Diagnosis

MOST_AGAIN = 500  # forwards to find a fault inside it at other inputs; small ones take a third


class Finding(Struct, frozen=True):
    """The diagnosis of a wrong gradient; match: the fault that explains it, if there is one."""

    diagnosis: Diagnosis
    match: Match | None = None

    @property
    def factor(self) -> Factor | None:
        """The factor, if the gradient is right but for one."""
        return None if self.match is None else self.match.injected.by

    @property
    def upstream(self) -> tuple[Stage, Float] | None:
        """A stage and the wrong upstream gradient at it, if that is what is wrong."""
        return None if self.match is None else self.match.injected.upstream


def diagnose_gradient(
    measured: MeasuredGradient,
    comparison: Comparison,
    look_inside: Callable[[], MeasuredGradient | None] = lambda: None,
) -> Finding:
    """Find what is wrong with a gradient.

    look_inside: the gradient with the stages inside the forward; called if no simple fault fits.
    """
    if measured.problem.identity is not None:
        observation = describe_contradiction(measured, comparison)
        return Finding(describe_fault(Code.CONTRADICTION, observation))
    flat = describe_flat(measured)
    if flat:
        return Finding(describe_fault(Code.FLAT, flat))
    match = _mark_chance(find_match(measured, comparison), measured, comparison)
    inside = look_inside() if match is None or not match.plain else None
    if inside is not None:
        within = _mark_chance(find_match(inside, comparison), inside, comparison)
        found = [one for one in (within, match) if one is not None]
        match = min(found, key=lambda one: one.rank[:3], default=None)
    if match is not None:
        match = confirm_names(match, measured, comparison)
        return Finding(describe_match(match), match)
    for fault in FAULTS.values():
        observation = fault.describe(measured, comparison) if fault.describe is not None else ""
        if observation:
            return Finding(describe_fault(fault.code, observation))
    return Finding(describe_fault(Code.NO_KNOWN_FAULT))


def use_hidden_stages(
    measured: MeasuredGradient, stages: Sequence[Stage], effort: Effort
) -> MeasuredGradient | None:
    """The gradient with the stages inside the forward that depend on its input; None without any.

    stages: all that were found inside the forward; effort: counts their calls of the forward.
    """
    inner = [stage for stage in stages if _depends(measured, stage)]
    if not inner:
        return None
    return MeasuredGradient(
        measured.problem,
        measured.name,
        measured.measure,
        effort,
        guess=measured.guess,
        inner=inner,
        hidden=stages,
        outside=measured,
    )


def _depends(measured: MeasuredGradient, stage: Stage) -> bool:
    """Whether the value of a stage depends on the input."""
    with suppress(Exception):  # the user's code may fail at other inputs
        moved = {measured.name: measured.x + (np.max(np.abs(measured.x), initial=0.0) or 1.0)}
        inputs = measured.problem.inputs
        return not np.array_equal(stage.forward({**inputs, **moved}), stage.forward(inputs))
    return False


def confirm_names(match: Match, measured: MeasuredGradient, comparison: Comparison) -> Match:
    """The match with those names of its factors that hold with other sizes and constants, too."""
    injected = match.injected

    def find(other: MeasuredGradient) -> Sequence[Factor] | None:
        again = [
            found.injected.named
            for found in _find_again(match, other, comparison)
            if len(found.injected.named) == len(injected.named)
        ]
        return next(iter(again), None)

    if not any((*one.names, *one.also) for one in injected.named):
        return match
    with suppress(Exception):  # where the user's code fails there, the names stay as they are
        confirmed = confirm(measured, injected.named, find)
        observation = injected.observation
        for before, after in zip(injected.named, confirmed, strict=True):
            observation = observation.replace(before.text, after.text, 1)
        named = replace(injected, observation=observation, named=tuple(confirmed))
        if injected.by is not None:
            scaled = scale(measured, confirmed[0])
            cause, next_step = scaled.cause, scaled.next_step
            named = replace(named, by=confirmed[0], cause=cause, next_step=next_step)
        return replace(match, injected=named)
    return match


def _mark_chance(
    match: Match | None, measured: MeasuredGradient, comparison: Comparison
) -> Match | None:
    """The match, marked as possible chance if it is a part of the gradient that is left out here,
    but at shuffled inputs the same part is not: then it only looks like a mask of something else.
    """
    if match is None or not match.injected.part or not match.fit.sure:
        return match
    with suppress(Exception):  # the user's code may fail at other inputs
        other = shuffle_inputs(measured)
        if other is not None and measured.inner:
            effort = Effort(most=MOST_AGAIN)
            other = use_hidden_stages(other, find_hidden_stages(other.problem, effort), effort)
        again = [] if other is None else _find_again(match, other, comparison)
        same = any(found.injected.part == match.injected.part for found in again)
        if other is not None and not same:
            return replace(match, fit=replace(match.fit, sure=False), rank=(2, *match.rank[1:]))
    return match


def _find_again(match: Match, other: MeasuredGradient, comparison: Comparison) -> list[Match]:
    """The matches of the same kind of fault in another gradient, the simplest first."""
    claimed = other.problem.evaluate_backward()
    there = compare_entries(np.asarray(claimed[other.name]), other.gradient, comparison.allowance)
    return sorted(list_matches(match.fault, other, there), key=lambda found: found.rank)


def describe_match(match: Match) -> Diagnosis:
    """The diagnosis of a fault that was found."""
    fault, injected, observation = match.fault, match.injected, match.injected.observation
    if not match.fit.sure:
        observation += "; that may be chance"
    entries = len(injected.values.at)
    return replace(
        describe_fault(fault.code, observation, match.fit.misfit, entries),
        cause=injected.cause or fault.cause,
        next_step=injected.next_step or fault.next_step,
        factor="" if injected.by is None else injected.by.text,
    )
