"""Names of a factor that hold where sizes and constants are others: no name by coincidence.

A factor 4 may be a literal 4 or the size of an axis. The check is done again where that size is
another, and where each constant is; what the factor is called there, too, it is.
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

MOST_SHUFFLED = 8  # orders of the entries that are tried, each by two forwards
STEP, NEAR = 1e-5, 1e-6  # of the scale of an input; of a slope: how well such a step gives it
MOST_CHANGED = 4  # sizes and constants that are changed, each in a small check of its own
_SEPARATORS = re.compile(r"[·/()√²−]+")

Numbers = Mapping[str, float]
# The factors that a fault has where a size or a constant is another; None where it is not found.
FindFactors = Callable[[MeasuredGradient], Sequence[Factor] | None]


class Elsewhere(Struct, frozen=True):
    """What the factors are where a size or a constant is another; values: of every name, there."""

    factors: Sequence[Factor]
    values: Mapping[str, float]

    def holds(self, name: str, place: int) -> bool:
        """Whether the factor at this place may be called so there, too."""
        factor = self.factors[place]
        close = max(10 * factor.precision, 1e-9) * abs(factor.value)
        return abs(self.values.get(name, float("inf")) - factor.value) <= close


def confirm(
    measured: MeasuredGradient, factors: Sequence[Factor], find: FindFactors
) -> list[Factor]:
    """The factors with the names that hold where sizes and constants are others.

    Names that hold, and which no change has put to the test, are named besides.
    """
    numbers = measured.numbers
    bases = list(dict.fromkeys(base for one in factors for base in list_bases(one, numbers)))
    found: dict[str, Elsewhere] = {}
    for base in bases[:MOST_CHANGED]:
        there = _find_elsewhere(measured, base, find)
        if there is not None and len(there.factors) == len(factors):
            found[base] = there
    if not found:
        return list(factors)
    return [_keep_names(factors, place, found, numbers) for place in range(len(factors))]


def _find_elsewhere(measured: MeasuredGradient, base: str, find: FindFactors) -> Elsewhere | None:
    """The factors where a size or a constant is another, at the first such where they are found."""
    for turn in range(TURNS):
        other = _change(measured, base, turn)
        factors = None if other is None else find(other)
        if other is not None and factors is not None:
            shapes = {
                f"{name}.shape[{axis}]": float(size)
                for name, array in other.problem.inputs.items()
                for axis, size in enumerate(array.shape)
            }
            return Elsewhere(factors, values_of_names({**shapes, **other.numbers}))
    return None


def _change(measured: MeasuredGradient, name: str, turn: int) -> MeasuredGradient | None:
    """The gradient where a size or a constant of this name is another; None where it cannot be.

    turn: which other. It is measured anew, so that only small ones are.
    """
    problem = measured.problem
    if problem.change is None or name not in measured.numbers:
        return None
    try:
        other = problem.change(name, measured.numbers[name], turn)
    except GradcheckError:  # code that takes no such size
        return None
    return None if other is None else _measure_anew(measured, other)


def shuffle_inputs(measured: MeasuredGradient) -> MeasuredGradient | None:
    """The gradient where the entries of each input are in another order, and it is wrong, too.

    What holds there, too, is no coincidence of masks. None where no such place is found, and of
    inputs that live in a domain.
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
    """Whether a gradient is wrong, as seen along a random direction by two forwards."""
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
    """The gradient of another problem, if it is small, and the forward takes its inputs."""
    x = other.inputs.get(measured.name)
    if x is None or x.size > MOST_ENTRIES or not is_defined(other.forward, other.inputs):
        return None
    counted = replace(other, forward=measured.effort.count(other.forward))

    def measure(name: str) -> NumericGradient:
        return measure_entries_of(counted, name, Numeric(), None)

    return MeasuredGradient(counted, measured.name, measure, measured.effort)


def _keep_names(
    factors: Sequence[Factor], place: int, found: Mapping[str, Elsewhere], numbers: Numbers
) -> Factor:
    """A factor with those of its names that hold wherever it was found."""
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
    """The sizes and constants in the names of a factor."""
    for name in (*factor.names, *factor.also):
        yield from bases_of(name, numbers)


def bases_of(name: str, numbers: Numbers) -> list[str]:
    """The sizes and constants in a name: m and lambda_ of `lambda_/m`."""
    return [part for part in _SEPARATORS.split(name) if part in numbers]
