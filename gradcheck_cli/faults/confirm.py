"""Confirm the name of a factor in checks with other sizes and constants.

A factor 4 may be a literal 4, or the size of an axis by coincidence. So the check is repeated with
another size for that axis, and with another value for each constant in a name. Names that hold
there, too, are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.factors import Factor, values_of_names
from gradcheck_cli.faults.measured_gradient import MOST_ENTRIES, MeasuredGradient
from gradcheck_cli.faults.other_inputs import is_defined
from gradcheck_cli.measure.measure import measure_entries_of, scale_of
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import TURNS, Problem, no_stages

MOST_SHUFFLED = 8  # orders of the entries that are tried; each takes two forwards
# STEP: a step, over the scale of the input. NEAR: the relative error of a slope that it gives, with
# some room; a gradient that is off by less along a direction counts as right.
STEP, NEAR = 1e-5, 1e-6
MOST_CHANGED = 4  # sizes and constants that are changed, one at a time, in a small check each
_SEPARATORS = re.compile(r"[·/()√²−]+")

Numbers = Mapping[str, float]
# Finds the factors of the same fault in another gradient; None if that does not have the fault.
FindFactors = Callable[[MeasuredGradient], Sequence[Factor] | None]


class OtherCheck(Struct, frozen=True):
    """The factors in a check with another size or constant; values: what each name stands for."""

    factors: Sequence[Factor]
    values: Mapping[str, float]

    def holds(self, name: str, place: int) -> bool:
        """Whether the factor at this place has the value of this name there, too."""
        factor = self.factors[place]
        close = max(10 * factor.precision, 1e-9) * abs(factor.value)
        return abs(self.values.get(name, float("inf")) - factor.value) <= close


def confirm(
    measured: MeasuredGradient, factors: Sequence[Factor], find: FindFactors
) -> list[Factor]:
    """The factors with those of their names that hold in checks with other sizes and constants.

    Names that hold but contain a size or constant that could not be changed become alternatives.
    """
    numbers = measured.numbers
    bases = list(dict.fromkeys(base for one in factors for base in list_bases(one, numbers)))
    found: dict[str, OtherCheck] = {}
    for base in bases[:MOST_CHANGED]:
        there = _find_in_other_check(measured, base, find)
        if there is not None and len(there.factors) == len(factors):
            found[base] = there
    if not found:
        return list(factors)
    return [_keep_names(factors, place, found, numbers) for place in range(len(factors))]


def _find_in_other_check(
    measured: MeasuredGradient, base: str, find: FindFactors
) -> OtherCheck | None:
    """The factors in the first check with another value of `base` that has the same fault."""
    for turn in range(TURNS):
        other = _change(measured, base, turn)
        factors = None if other is None else find(other)
        if other is not None and factors is not None:
            shapes = {
                f"{name}.shape[{axis}]": float(size)
                for name, array in other.problem.inputs.items()
                for axis, size in enumerate(array.shape)
            }
            return OtherCheck(factors, values_of_names({**shapes, **other.numbers}))
    return None


def _change(measured: MeasuredGradient, name: str, turn: int) -> MeasuredGradient | None:
    """The gradient of a check with another value of this size or constant; None if there is none.

    turn: which of several other values is taken.
    """
    problem = measured.problem
    if problem.change is None or name not in measured.numbers:
        return None
    try:
        other = problem.change(name, measured.numbers[name], turn)
    except GradcheckError:  # the code does not take this size
        return None
    return None if other is None else _measure_anew(measured, other)


def shuffle_inputs(measured: MeasuredGradient) -> MeasuredGradient | None:
    """The gradient at inputs with shuffled entries where the backward is wrong, too.

    A fault that only looked like a certain mask is not found there again. None if no such order is
    found, if an input has a domain, or if the layer lists its stages.
    """
    problem = measured.problem
    if problem.domains or problem.stages is not no_stages or problem.cotangent is None:
        return None
    for turn in range(MOST_SHUFFLED):
        drawn = np.random.default_rng(turn)
        inputs = {
            name: drawn.permuted(x.ravel()).reshape(x.shape) for name, x in problem.inputs.items()
        }
        other = _measure_anew(measured, replace(problem, inputs=inputs))
        if other is not None and _is_wrong(other.problem, measured.name, drawn):
            return other
    return None


def _is_wrong(problem: Problem, name: str, drawn: np.random.Generator) -> bool:
    """Whether a gradient is wrong along a random direction, which takes two forwards."""
    assert problem.cotangent is not None
    x = problem.inputs[name]
    move = STEP * scale_of(problem, name) * drawn.uniform(-1.0, 1.0, x.shape)
    ends = [
        np.sum(problem.cotangent * problem.forward({**problem.inputs, name: x + by * move}))
        for by in (1, -1)
    ]
    claimed = np.asarray(problem.evaluate_backward()[name])
    terms = claimed * move
    return bool(abs((ends[0] - ends[1]) / 2 - np.sum(terms)) > NEAR * np.sum(np.abs(terms)))


def _measure_anew(measured: MeasuredGradient, other: Problem) -> MeasuredGradient | None:
    """The gradient of another problem; None if it is large, or the forward fails at its inputs."""
    x = other.inputs.get(measured.name)
    if x is None or x.size > MOST_ENTRIES or not is_defined(other.forward, other.inputs):
        return None
    counted = replace(other, forward=measured.effort.count(other.forward))

    def measure(name: str) -> NumericGradient:
        return measure_entries_of(counted, name, Numeric(), None)

    return MeasuredGradient(counted, measured.name, measure, measured.effort)


def _keep_names(
    factors: Sequence[Factor], place: int, found: Mapping[str, OtherCheck], numbers: Numbers
) -> Factor:
    """A factor with those of its names that hold in all other checks."""
    factor = factors[place]
    held = [
        name
        for name in (*factor.names, *factor.also)
        if all(there.holds(name, place) for there in found.values())
    ]
    tested = [name for name in held if set(bases_of(name, numbers)) <= set(found)]
    names = tuple(tested or held)
    also = tuple(name for name in held if name not in names)
    return Factor(factor.value, names, factor.precision, also)


def list_bases(factor: Factor, numbers: Numbers) -> Iterator[str]:
    """List the sizes and constants in the names of a factor."""
    for name in (*factor.names, *factor.also):
        yield from bases_of(name, numbers)


def bases_of(name: str, numbers: Numbers) -> list[str]:
    """The sizes and constants in a name: `lambda_` and `m` in `lambda_/m`."""
    return [part for part in _SEPARATORS.split(name) if part in numbers]
