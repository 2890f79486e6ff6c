"""What is said of a wrong gradient: the fault that gives it, with names that are no coincidence.

Where no fault fits from outside, it is looked for inside the forward.
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

MOST_AGAIN = 500  # calls of a forward, to look inside it at other inputs; a small one takes a third


class Finding(Struct, frozen=True):
    """What is said of a wrong gradient; match: the fault that it has, if one was found."""

    diagnosis: Diagnosis
    match: Match | None = None

    @property
    def factor(self) -> Factor | None:
        """The one that is all that is wrong with it."""
        return None if self.match is None else self.match.injected.by

    @property
    def upstream(self) -> tuple[Stage, Float] | None:
        """The stage and the upstream gradient there that it is the gradient for."""
        return None if self.match is None else self.match.injected.upstream


def _look_nowhere() -> None:
    """Nothing is known of what is inside the forward."""


def match_fault(
    measured: MeasuredGradient,
    comparison: Comparison,
    look_inside: Callable[[], MeasuredGradient | None] = _look_nowhere,
) -> Finding:
    """What is said of a wrong gradient.

    look_inside: gives it by the stages inside the forward, which are looked at where nothing else
    fits.
    """
    if measured.problem.identity is not None:
        observation = describe_contradiction(measured, comparison)
        return Finding(describe_fault(Code.CONTRADICTION, observation))
    flat = describe_flat(measured)
    if flat:
        return Finding(describe_fault(Code.FLAT, flat))
    match = _doubt(find_match(measured, comparison), measured, comparison)
    inside = look_inside() if match is None or not match.plain else None
    if inside is not None:
        within = _doubt(find_match(inside, comparison), inside, comparison)
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


def look_at(
    measured: MeasuredGradient, stages: Sequence[Stage], effort: Effort
) -> MeasuredGradient | None:
    """A gradient by those of some stages inside the forward that change with its input, if any do.

    effort: counts the calls of the forward that these stages make.
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
        watched=stages,
        outside=measured,
    )


def _depends(measured: MeasuredGradient, stage: Stage) -> bool:
    """Whether a stage changes with the input."""
    with suppress(Exception):  # of code that takes no other input
        moved = {measured.name: measured.x + (np.max(np.abs(measured.x), initial=0.0) or 1.0)}
        inputs = measured.problem.inputs
        return not np.array_equal(stage.forward({**inputs, **moved}), stage.forward(inputs))
    return False


def confirm_names(match: Match, measured: MeasuredGradient, comparison: Comparison) -> Match:
    """The match with the names of its factors that hold where sizes and constants are others."""
    told = match.injected

    def find(other: MeasuredGradient) -> Sequence[Factor] | None:
        again = [
            found.injected.named
            for found in _find_again(match, other, comparison)
            if len(found.injected.named) == len(told.named)
        ]
        return next(iter(again), None)

    if not any((*one.names, *one.also) for one in told.named):
        return match
    with suppress(Exception):  # what code of the user raises there leaves the names as they are
        confirmed = confirm(measured, told.named, find)
        observation = told.observation
        for before, after in zip(told.named, confirmed, strict=True):
            observation = observation.replace(before.text, after.text, 1)
        named = replace(told, observation=observation, named=tuple(confirmed))
        if told.by is None:
            return replace(match, injected=named)
        said = scale(measured, confirmed[0])
        cause, next_step = said.cause, said.next_step
        named = replace(named, by=confirmed[0], cause=cause, next_step=next_step)
        return replace(match, injected=named)
    return match


def _doubt(match: Match | None, measured: MeasuredGradient, comparison: Comparison) -> Match | None:
    """The match, which may be chance where it is a part that is left out, as another mask may do,
    and where the inputs are others, it is another part."""
    if match is None or not match.injected.part or not match.fit.sure:
        return match
    with suppress(Exception):  # what code of the user raises there
        other = shuffle_inputs(measured)
        if other is not None and measured.inner:
            effort = Effort(most=MOST_AGAIN)
            other = look_at(other, find_hidden_stages(other.problem, effort), effort)
        again = [] if other is None else _find_again(match, other, comparison)
        same = any(found.injected.part == match.injected.part for found in again)
        if other is not None and not same:
            return replace(match, fit=replace(match.fit, sure=False), rank=(2, *match.rank[1:]))
    return match


def _find_again(match: Match, other: MeasuredGradient, comparison: Comparison) -> list[Match]:
    """The same fault in another gradient, the simplest first."""
    claimed = other.problem.evaluate_backward()
    there = compare_entries(np.asarray(claimed[other.name]), other.gradient, comparison.allowance)
    return sorted(list_matches(match.fault, other, there), key=lambda found: found.rank)


def describe_match(match: Match) -> Diagnosis:
    """What is said of a fault that was found."""
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
