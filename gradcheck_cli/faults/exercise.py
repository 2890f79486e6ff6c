"""How much of the forward's Jacobian the inputs of a check exercise.

Where an entry of the Jacobian is zero here but not at other inputs, such as below a unit that is
off, the gradient does not depend on what the rule has there: that part of it is not checked.
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

MOVED = 2.0**-10  # of the typical entry: a move of one to see which outputs change
ROUNDING = 1e-14  # over the largest output: a smaller change is rounding


def measure_exercise(
    gradients: Sequence[MeasuredGradient], others: Sequence[Problem]
) -> Iterator[Exercise]:
    """For each input, how many of the Jacobian's entries that can be nonzero are nonzero here.

    others: the same problem at other inputs; an entry that is zero at all of them is not counted.
    """
    for measured in gradients if all(map(_is_free, gradients)) else ():
        found = [_find_nonzero(measured, other.inputs) for other in others]
        elsewhere = [mask for mask in found if mask is not None]
        if elsewhere:
            yield _count(measured, np.logical_or.reduce(elsewhere), len(elsewhere))


def _is_free(measured: MeasuredGradient) -> bool:
    """Whether the forward is the user's own, and its inputs are not confined to a domain."""
    problem = measured.problem
    known = problem.stages is no_stages and problem.identity is None and not problem.domains
    return known and bool(measured.declared)


def _find_nonzero(measured: MeasuredGradient, inputs: Mapping[str, Any]) -> Mask | None:
    """Which entries of the Jacobian are nonzero at other inputs; None if the forward fails there.

    An entry of the input takes one call: an output either changes, or none of its digits do.
    """
    forward, x = measured.declared[0].forward, inputs[measured.name]
    at = measured.measure_jacobian(measured.declared[0]).at
    with suppress(Exception):  # the user's forward may fail at other inputs
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
    """Compare the entries of the Jacobian that are nonzero here and at `draws` other inputs."""
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
