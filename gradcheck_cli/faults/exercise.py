"""How much of the forward's Jacobian the inputs of a check exercise.

What is zero here and not at other inputs, as below a unit that is off, leaves the gradient zero
whatever the rule has there: such a part of a rule is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import list_entries
from gradcheck_cli.problem import Problem, no_stages
from gradcheck_cli.result import Exercise

Mask = NDArray[np.bool_]

MOVED = 2.0**-10  # of the typical entry: by how much one is moved to see which outputs it changes
ROUNDING = 1e-14  # of the largest output: a smaller change is rounding


def measure_exercise(
    gradients: Sequence[MeasuredGradient], others: Sequence[Problem]
) -> Iterator[Exercise]:
    """Of each input, how many entries of the Jacobian that can be nonzero are so here.

    others: the same problem at other inputs; an entry that is zero at all of them counts for none.
    """
    for measured in gradients if all(map(_is_free, gradients)) else ():
        found = [_find_nonzero(measured, other.inputs) for other in others]
        elsewhere = [mask for mask in found if mask is not None]
        if elsewhere:
            yield _count(measured, np.logical_or.reduce(elsewhere), len(elsewhere))


def _is_free(measured: MeasuredGradient) -> bool:
    """Whether a gradient is that of a forward of the user's, whose inputs may be any."""
    problem = measured.problem
    known = problem.stages is no_stages and problem.identity is None and not problem.domains
    return known and bool(measured.declared)


def _find_nonzero(measured: MeasuredGradient, inputs: Mapping[str, Any]) -> Mask | None:
    """Which entries of the Jacobian are not zero at other inputs; None where that is not known.

    One call an entry tells: an output changes, or not a digit of it does.
    """
    forward, x = measured.declared[0].forward, inputs[measured.name]
    at = measured.measure_jacobian(measured.declared[0]).at
    with suppress(Exception):  # whatever the user's forward raises at inputs of ours
        outputs = np.ravel(forward(inputs))
        least = ROUNDING * np.max(np.abs(outputs), initial=0.0)
        found = np.zeros((outputs.size, len(at)), dtype=bool)
        typical = np.sqrt(np.mean(x * x)) or 1.0
        for column, place in enumerate(at):
            moved = x.copy()
            moved.flat[place] += MOVED * typical
            changed = np.ravel(forward({**inputs, measured.name: moved}))
            found[:, column] = np.abs(changed - outputs) > least
        return found
    return None


def _count(measured: MeasuredGradient, elsewhere: Mask, draws: int) -> Exercise:
    """elsewhere: which entries of the Jacobian are not zero at other inputs, of which `draws`."""
    jacobian = measured.measure_jacobian(measured.declared[0])
    here = np.abs(jacobian.value) > 2 * jacobian.uncertainty
    idle = np.zeros(measured.value.size, dtype=bool)
    idle[jacobian.at] = elsewhere.any(axis=0) & ~here.any(axis=0)
    return Exercise(
        name=measured.name,
        gradient=measured.label.gradient,
        entries=int(np.sum(here | elsewhere)),
        exercised=int(np.sum(here)),
        draws=draws,
        idle=_describe_idle(measured.name, idle.reshape(measured.shape)),
    )


def _describe_idle(name: str, idle: Mask) -> str:
    """`columns 0 and 3 of W`; empty where every entry matters."""
    if not idle.any() or idle.all():
        return name if idle.any() else ""
    return f"{list_entries(idle, f'{idle.sum()} of {idle.size} entries')} of {name}"
