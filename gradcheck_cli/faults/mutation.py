"""Find out which faults a check would catch: put them into its right gradients and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.faults.exercise import measure_exercise
from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.other_inputs import is_defined
from gradcheck_cli.measure.comparison import Allowance, largest
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Problem, Stage, no_stages
from gradcheck_cli.result import Exercise, Mutant, MutantStatus

# Over the largest entry: a fault changes nothing if both gradients are known to EQUAL_PRECISION,
# and differ by no more than their uncertainties and ROUNDING, some eps of float64.
EQUAL_PRECISION, ROUNDING = 1e-8, 1e-15
# How many other inputs are drawn. An entry of a Jacobian that is zero at all of them is taken for
# zero everywhere, which is wrong once in 64 times for a unit that is off at half of all inputs.
DRAWS = 6
LARGEST_UNCERTAINTY = 0.1  # over the steepest slope; above that the gradient is not known

Measure = Callable[[Problem, str], NumericGradient]


def mutate(
    problem: Problem, measure: Measure, allowance: Allowance
) -> tuple[list[Mutant], list[Exercise]]:
    """Every fault that applies to a gradient, with whether a check with this tolerance would catch
    it; and how much of the forward's Jacobian its inputs exercise.

    measure: the numeric gradient of an input of a problem.
    """
    measured_once = _measure_once(problem, measure)
    others = [
        [other for other in _redraw(problem, draw) if is_defined(other.forward, other.inputs)]
        for draw in range(DRAWS)
    ]
    drawn = [_measure_once(other, measure) for other in others[0]]
    mutants = []
    for name in problem.inputs:
        for fault in FAULTS.values():
            for place, injected in enumerate(_inject(fault, measured_once(name))):
                mutant = _judge(fault, injected, measured_once(name), allowance)
                if mutant.status == MutantStatus.SURVIVED and _is_unchanged(
                    injected, measured_once(name)
                ):
                    again = [_is_unchanged_there(fault, place, of, name) for of in drawn]
                    if False not in again and True in again:
                        mutant = replace(mutant, status=MutantStatus.EQUAL, remedy="")
                mutants.append(mutant)
    gradients = [measured_once(name) for name in problem.inputs]
    return mutants, list(measure_exercise(gradients, [draw[-1] for draw in others if draw]))


def _is_unchanged_there(
    fault: Fault, place: int, of: Callable[[str], MeasuredGradient], name: str
) -> bool | None:
    """Whether the fault at this place among those of its kind does not change a gradient.

    None if it does not apply, or that is not known.
    """
    with suppress(Exception):  # the user's forward may fail near other inputs
        injected = _inject(fault, of(name))
        return _is_unchanged(injected[place], of(name)) if place < len(injected) else None
    return None


def _measure_once(problem: Problem, measure: Measure) -> Callable[[str], MeasuredGradient]:
    """A function from the name of an input to its right gradient, which it measures once."""

    @cache
    def measured(name: str) -> NumericGradient:
        return measure(problem, name)

    return cache(lambda name: MeasuredGradient(problem, name, measured))


def _redraw(problem: Problem, seed: int) -> Iterator[Problem]:
    """The problem at inputs nearby, where the forward is probably defined, and at any inputs.

    The second one has another upstream gradient, too, which does not come from the loss.
    """
    drawn = np.random.default_rng(seed)
    sizes = {
        name: float(np.sqrt(np.mean(np.square(x)))) or 1.0 for name, x in problem.inputs.items()
    }
    nearby, anywhere = {}, {}
    for name, x in problem.inputs.items():
        moved = x * drawn.uniform(0.5, 1.5, x.shape)
        moved += sizes[name] * drawn.uniform(0.0, 0.1, x.shape)
        nearby[name] = moved.astype(x.dtype)
        anywhere[name] = (sizes[name] * drawn.standard_normal(x.shape)).astype(x.dtype)
    yield replace(problem, inputs=nearby)
    if problem.cotangent is None:
        yield replace(problem, inputs=anywhere)
        return
    stages = list(problem.stages(problem.inputs))
    stage = stages[0] if stages else Stage(problem.forward, problem.cotangent, problem.batched)
    delta = drawn.standard_normal(stage.cotangent.shape).astype(stage.cotangent.dtype)
    other = replace(stage, cotangent=delta)
    yield replace(
        problem,
        inputs=anywhere,
        forward=stage.forward,
        batched=stage.batched,
        cotangent=delta,
        stages=(lambda _: [other]) if stages else no_stages,
    )


def _inject(fault: Fault, measured: MeasuredGradient) -> list[Injected]:
    """The faults of one kind in a right gradient."""
    # The user's code may fail at other inputs, though it did not at those of the check.
    with suppress(GradcheckError):
        return list(fault.inject(measured)) if fault.inject is not None else []
    return []


def _judge(
    fault: Fault, injected: Injected, measured: MeasuredGradient, allowance: Allowance
) -> Mutant:
    """The mutant of a fault, which is caught if an entry is off by more than is allowed."""
    values = injected.values
    right = measured.right.take(values.at)
    numeric = right.value
    known = ~measured.gradient.kink.ravel()[values.at] & np.isfinite(numeric)
    with np.errstate(all="ignore"):
        error = np.abs(values.value - numeric)
        size = np.maximum(np.abs(values.value), np.abs(numeric))
        both = right.uncertainty + values.uncertainty
        unseen = allowance.error(values.value, numeric, both)
        # A check refuses gradients that are not finite.
        overflows = not np.isfinite(values.value[known]).all()
        caught = overflows or bool(np.any((error > unseen)[known]))
        relative = largest(np.where(size > 0, error / size, 0.0)[known])
    reason, remedy = ("", "") if caught else _explain_survivor(fault, injected, measured, relative)
    return Mutant(
        code=fault.code,
        title=fault.title,
        gradient=measured.label.gradient,
        told=injected.observation,
        status=MutantStatus.CAUGHT if caught else MutantStatus.SURVIVED,
        error=relative if np.isfinite(relative) else None,
        reason=reason,
        remedy=remedy,
    )


def _is_unchanged(injected: Injected, measured: MeasuredGradient) -> bool:
    """Whether a fault does not change a gradient, as far as both are known."""
    if _is_unresolved(measured):
        return False
    values = injected.values
    right = measured.right.take(values.at)
    numeric = right.value
    peak = largest(np.abs(numeric))
    unsure = 2 * (right.uncertainty + values.uncertainty) + ROUNDING * peak
    gap = np.abs(values.value - numeric)
    return bool(np.all((gap == 0) | ((gap <= unsure) & (unsure <= EQUAL_PRECISION * peak))))


def _explain_survivor(
    fault: Fault, injected: Injected, measured: MeasuredGradient, relative: float
) -> tuple[str, str]:
    """Why a check does not catch a fault, and with what inputs it would."""
    gradient = measured.label.gradient
    if _is_unresolved(measured):
        observation = (
            f"{gradient} is not known well enough at these inputs: the check is inconclusive"
        )
        return observation, "inputs of another scale"
    if not np.any(np.abs(measured.value) > measured.uncertainty):
        for stage in measured.declared[:1]:
            if not np.any(stage.cotangent):
                observation = f"{stage.symbol} is zero, and every gradient with it"
                return observation, f"a target or a loss for which {stage.symbol} is not zero"
        return f"{gradient} is zero", f"inputs for which {gradient} is not zero"
    if injected.same:
        return injected.same, fault.remedy
    if _is_unchanged(injected, measured):
        return "the gradient is the same with it", fault.remedy
    observation = (
        f"it changes the gradient by {relative:.0e} of an entry, below what this check resolves"
    )
    return observation, fault.remedy


def _is_unresolved(measured: MeasuredGradient) -> bool:
    """Whether the gradient is so uncertain that no fault in it could be seen."""
    peak = max(largest(np.abs(measured.value)), measured.gradient.steepest)
    return not largest(measured.uncertainty) <= LARGEST_UNCERTAINTY * peak and peak > 0
