"""A backward in low precision against the same forward in float64, at the same rounded inputs."""

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
# Roundings of its own type by which an entry may be off, over the largest entry of the gradient:
# what sums that cancel leave. Of a layer with tanh and sums of 64 terms it was at most 2; roundings
# of more terms add up like their root.
ROUNDINGS, TERMS = 16.0, 64


# From one to the next number, over it, of the types that are widened.
EPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def low_type(problem: Problem) -> str:
    """The coarsest type below float64 among the inputs; empty where there is none."""
    types = {problem.low, *map(str, {x.dtype for x in problem.inputs.values()})}
    return max(types & set(EPS), key=lambda kind: EPS[kind], default="")


def is_finer(kind: Any, than: str) -> bool:
    """Whether a type of floats has more digits than one of those of low precision."""
    return bool(kind == WIDE) or EPS.get(str(kind), np.inf) < EPS[than]


def in_float64(problem: Problem, narrow: Problem) -> Problem | None:
    """The problem with its backward in float64, too; None where that does not follow its inputs.

    problem: one that was widened; narrow: as it was.
    """
    inputs = {name: x.copy() for name, x in problem.inputs.items()}
    delta = problem.cotangent
    with suppress(Exception):  # whatever a backward raises that does not take float64
        claimed = narrow.backward(inputs, None if delta is None else delta.copy())
        kinds = [np.asarray(gradient).dtype for gradient in claimed.values()]
        if all(is_finer(kind, low_type(narrow)) for kind in kinds):
            note = (
                f"inputs are in {low_type(narrow)}; the backward was handed them in float64, where "
                "no rounding hides what is wrong, and is wrong there"
            )
            return replace(
                problem,
                backward=narrow.backward,
                precision=0.0,
                narrow=None,
                notes=(*narrow.notes, note),
            )
    return None


def as_reference(wide: Problem, results: Sequence[GradientResult]) -> dict[str, NumericGradient]:
    """Gradients of a backward that passed in float64, each with how far it may be off."""
    claimed = wide.evaluate_backward()
    found = {}
    for one in results:
        values = np.asarray(claimed[one.name])
        off = (one.bound or 0.0) * float(np.max(np.abs(values), initial=0.0))
        found[one.name] = as_numeric_gradient(values, off, one.method or WHOLE)
    return found


def widen(problem: Problem) -> Problem:
    """The problem with its inputs in float64 for the forward, and as they were for the backward.

    It comes back as it is where its inputs are in float64, and where the forward does not follow
    the type of its inputs: then a note says so.
    """
    types = {name: x.dtype for name, x in problem.inputs.items()}
    narrow = low_type(problem)
    if not narrow or problem.identity is not None:
        return problem
    inputs = {name: x.astype(WIDE) for name, x in problem.inputs.items()}
    lost = find_cast(problem.forward, {name: x.copy() for name, x in inputs.items()})
    given = None
    with suppress(Exception):  # whatever a forward raises that does not take float64
        given = np.asarray(problem.forward({name: x.copy() for name, x in inputs.items()})).dtype
    if given is None or not is_finer(given, narrow):
        what = "does not take" if given is None else f"gives {given} for"
        note = f"the forward {what} inputs in float64: it was measured in {narrow}"
        return replace(problem, notes=(*problem.notes, note + lost), lost=lost)
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
        note += f"; the forward gives {given} there, which counts as its noise{lost}"
    return replace(
        problem,
        inputs=inputs,
        backward=backward,
        cotangent=None if delta is None else delta.astype(WIDE),
        notes=(*problem.notes, note),
        precision=precision,
        narrow=problem,
        lost=lost,
    )


def longest_sum(problem: Problem) -> int:
    """How many terms the sums of a problem have at most: an axis of an input, or all outputs."""
    axes = [int(length) for x in problem.inputs.values() for length in x.shape]
    outputs = 1 if problem.cotangent is None else int(problem.cotangent.size)
    return max([outputs, *axes])


def round_gradient(numeric: NumericGradient, precision: float) -> NumericGradient:
    """The numeric gradient with what the backward may be off by.

    precision: that of a problem, over the largest entry.
    """
    finite = np.where(np.isfinite(numeric.value), np.abs(numeric.value), 0.0)
    return replace(numeric, rounding=precision * float(np.max(finite, initial=0.0)))


def claim_in_float64(problem: Problem, narrow: Problem, name: str) -> NDArray[Any] | None:
    """What the backward of a narrow problem claims where it is handed float64 all the same.

    problem: the same one, widened. None where it does not take float64, or does not follow it.
    """
    inputs = {of: x.copy() for of, x in problem.inputs.items()}
    with suppress(Exception):  # whatever a backward raises that does not take float64
        claimed = np.asarray(narrow.backward(inputs, problem.cotangent)[name])
        if claimed.dtype == WIDE and claimed.shape[-inputs[name].ndim :] == inputs[name].shape:
            return claimed
    return None


def describe_own_type(narrow: Problem) -> str:
    """A note: the backward differs from the forward in float64 by its own rounding alone."""
    kind = low_type(narrow)
    return (
        f"it was measured in {kind}: there the backward rounds away what it has in float64, where "
        "it is right"
    )


def describe_rounding(passed: GradientResult, narrow: Problem) -> str:
    """A note: how far off a gradient is that is right in float64."""
    return (
        f"in float64 it is right; in {low_type(narrow)} it is off by up to "
        f"{passed.max_abs_error:.0e}, which is what its backward rounds there"
    )
