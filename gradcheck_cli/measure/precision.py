"""A backward in low precision against the same forward in float64, at the same rounded inputs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Problem

WIDE = np.dtype(np.float64)
# Roundings of its own type by which an entry may be off, over the largest entry of the gradient:
# what sums that cancel leave. Of a layer with tanh and sums of 64 terms it was at most 2.
ROUNDINGS = 16


def widen(problem: Problem) -> Problem:
    """The problem with its inputs in float64 for the forward, and as they were for the backward.

    It comes back as it is where its inputs are in float64, and where the forward does not follow
    the type of its inputs: then a note says so.
    """
    types = {name: x.dtype for name, x in problem.inputs.items()}
    narrow = next((kind for kind in types.values() if kind.itemsize < WIDE.itemsize), None)
    if narrow is None or problem.identity is not None or problem.locality is not None:
        return problem
    inputs = {name: x.astype(WIDE) for name, x in problem.inputs.items()}
    given = None
    with suppress(Exception):  # whatever a forward raises that does not take float64
        given = np.asarray(problem.forward({name: x.copy() for name, x in inputs.items()})).dtype
    if given != WIDE:
        what = "does not take" if given is None else f"gives {given} for"
        note = f"the forward {what} inputs in float64: it was measured in {narrow}"
        return replace(problem, notes=(*problem.notes, note))
    delta = problem.cotangent

    def backward(arrays: Mapping[str, Any], cotangent: Any) -> Mapping[str, Any]:
        handed = {name: x.astype(types[name]) for name, x in arrays.items()}
        upstream = cotangent if delta is None else cotangent.astype(delta.dtype)
        return problem.backward(handed, upstream)

    note = f"the backward in {narrow} is compared with the same forward in float64"
    return replace(
        problem,
        inputs=inputs,
        backward=backward,
        cotangent=None if delta is None else delta.astype(WIDE),
        notes=(*problem.notes, note),
        precision=float(np.finfo(narrow).eps),
    )


def round_gradient(numeric: NumericGradient, precision: float) -> NumericGradient:
    """The numeric gradient with the rounding of a backward of this precision as uncertainty."""
    if precision == 0.0:
        return numeric
    finite = np.where(np.isfinite(numeric.value), np.abs(numeric.value), 0.0)
    floor = ROUNDINGS * precision * float(np.max(finite, initial=0.0))
    return replace(numeric, uncertainty=np.maximum(numeric.uncertainty, floor))
