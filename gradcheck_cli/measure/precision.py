"""Compare a backward in low precision with the same forward in float64, at the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import sqrt
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.casts import find_cast
from gradcheck_cli.measure.measure import as_numeric_gradient
from gradcheck_cli.numeric.differences import WHOLE
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import GradientResult

WIDE = np.dtype(np.float64)
# By how many eps of its own type a right entry may be off, over the largest entry of the gradient,
# since sums that cancel leave roundings of that size. In a layer with tanh and sums of 64 terms it
# was at most 2; with more terms it grows like the root of their number.
ROUNDINGS, TERMS = 16.0, 64

# eps of the types of low precision: the distance from 1 to the next number.
EPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def find_low_type(problem: Problem) -> str:
    """The coarsest type below float64 among the inputs; empty where there is none."""
    types = {problem.working_type, *map(str, {x.dtype for x in problem.inputs.values()})}
    return max(types & set(EPS), key=lambda kind: EPS[kind], default="")


def is_finer(kind: Any, than: str) -> bool:
    """Whether a type has more digits than one of low precision; than: its name in EPS."""
    return bool(kind == WIDE) or EPS.get(str(kind), np.inf) < EPS[than]


def widen_backward(problem: Problem, narrow: Problem) -> Problem | None:
    """The problem with its backward called in float64, too; None where that does not work.

    problem: one that was widened; narrow: the problem as it was.
    """
    with suppress(Exception):  # a backward that does not accept float64 may raise anything
        claimed = replace(problem, backward=narrow.backward).evaluate_backward()
        kinds = [np.asarray(gradient).dtype for gradient in claimed.values()]
        low = find_low_type(narrow)
        if all(is_finer(kind, low) for kind in kinds):
            note = (
                f"inputs are in {low}; the backward was handed them in float64, where no rounding "
                "hides what is wrong, and is wrong there"
            )
            return replace(
                problem,
                backward=narrow.backward,
                precision=0.0,
                narrow=None,
                notes=(*narrow.notes, note),
            )
    return None


def make_references(wide: Problem, results: Sequence[GradientResult]) -> dict[str, NumericGradient]:
    """The gradients of a backward that passed in float64, as numeric gradients to compare with.

    results: those of the check in float64; their bounds become the uncertainty.
    """
    claimed = wide.evaluate_backward()
    found = {}
    for one in results:
        values = np.asarray(claimed[one.name])
        error = (one.bound or 0.0) * float(np.max(np.abs(values), initial=0.0))
        found[one.name] = as_numeric_gradient(values, error, one.method or WHOLE)
    return found


def widen(problem: Problem) -> Problem:
    """The problem with its inputs in float64 for the forward, and as they were for the backward.

    It comes back as it is where its inputs are in float64, and where the forward does not follow
    the type of its inputs: then a note says so.
    """
    types = {name: x.dtype for name, x in problem.inputs.items()}
    narrow = find_low_type(problem)
    if not narrow or problem.identity is not None:
        return problem
    inputs = {name: x.astype(WIDE) for name, x in problem.inputs.items()}
    cast = find_cast(problem.forward, {name: x.copy() for name, x in inputs.items()})
    given = None
    with suppress(Exception):  # a forward that does not accept float64 may raise anything
        given = np.asarray(problem.forward({name: x.copy() for name, x in inputs.items()})).dtype
    if given is None or not is_finer(given, narrow):
        what = "does not take" if given is None else f"gives {given} for"
        note = f"the forward {what} inputs in float64: it was measured in {narrow}"
        return replace(problem, notes=(*problem.notes, note + cast), cast_line=cast)
    delta = problem.cotangent

    def backward(arrays: Mapping[str, Any], cotangent: Any) -> Mapping[str, Any]:
        handed = {name: x.astype(types[name]) for name, x in arrays.items()}
        upstream = cotangent if delta is None else cotangent.astype(delta.dtype)
        return problem.backward(handed, upstream)

    roundings = ROUNDINGS * sqrt(max(1.0, longest_sum(problem) / TERMS))
    precision = roundings * EPS[narrow]
    note = (
        f"the backward in {narrow} is compared with the same forward in float64: it may be off by "
        f"{roundings:.0f} roundings of a gradient's largest entry, {precision:.0e}"
    )
    if given != WIDE:
        note += f"; the forward gives {given} there, which counts as its noise{cast}"
    return replace(
        problem,
        inputs=inputs,
        backward=backward,
        cotangent=None if delta is None else delta.astype(WIDE),
        notes=(*problem.notes, note),
        precision=precision,
        narrow=problem,
        cast_line=cast,
    )


def longest_sum(problem: Problem) -> int:
    """The most terms that a sum in the backward may have: an axis of an input, or all outputs."""
    axes = [int(length) for x in problem.inputs.values() for length in x.shape]
    outputs = 1 if problem.cotangent is None else int(problem.cotangent.size)
    return max([outputs, *axes])


def round_gradient(numeric: NumericGradient, precision: float) -> NumericGradient:
    """The numeric gradient with an allowance for the rounding of a backward in low precision.

    precision: how far that may move an entry, over the largest one (see `Problem`).
    """
    finite = np.where(np.isfinite(numeric.value), np.abs(numeric.value), 0.0)
    return replace(numeric, rounding=precision * float(np.max(finite, initial=0.0)))


def call_backward_in_float64(problem: Problem, narrow: Problem, name: str) -> NDArray[Any] | None:
    """The gradient that the backward of a narrow problem returns when it is handed float64.

    problem: the same one, widened. None where the backward raises, or returns another type.
    """
    inputs = problem.copy_inputs()
    with suppress(Exception):  # a backward that does not accept float64 may raise anything
        claimed = np.asarray(narrow.backward(inputs, problem.cotangent)[name])
        if claimed.dtype == WIDE and claimed.shape[-inputs[name].ndim :] == inputs[name].shape:
            return claimed
    return None


def describe_own_type(narrow: Problem) -> str:
    """The note of a gradient that differs from float64 only by rounding in its own type."""
    kind = find_low_type(narrow)
    return (
        f"it was measured in {kind}: there the backward rounds away what it has in float64, where "
        "it is right"
    )


def describe_rounding(passed: GradientResult, narrow: Problem) -> str:
    """The note of a gradient that is right in float64: how far rounding moves it."""
    return (
        f"in float64 it is right; in {find_low_type(narrow)} it is off by up to "
        f"{passed.max_abs_error:.0e}, which is what its backward rounds there"
    )
