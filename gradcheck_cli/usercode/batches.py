"""Find out with two points whether a forward takes many at once, along a leading axis."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError, GradcheckError
from gradcheck_cli.options import AUTO
from gradcheck_cli.problem import ELSEWHERE, Problem
from gradcheck_cli.text import format_shape

SAME = 1e-6  # of the largest output: sums in another order differ by less, except in float32


TAKES_POINTS = "the forward takes many points at once (batched)"


def apply_batched(problem: Problem, batched: bool | str) -> Problem:
    """The problem, evaluated at many points at once if its forward takes them.

    batched: whether the user says that it does; AUTO: it is tried out.
    Raises CodeError where the user says so and it does not.
    """
    if batched != AUTO:
        return take_points(problem) if batched else problem
    try:
        return replace(take_points(problem), notes=(*problem.notes, TAKES_POINTS))
    except GradcheckError:
        return problem


def take_points(problem: Problem) -> Problem:
    """The problem, with a forward that takes many points at once.

    Raises CodeError where it gives other outputs for two points together than for each alone.
    """
    for name, x in problem.inputs.items():
        points = np.stack([x, (x * ELSEWHERE).astype(x.dtype)])
        call = f"batched: the forward was handed {name} of {format_shape(points.shape)}"
        inputs = {other: array.copy() for other, array in problem.inputs.items()}
        alone = np.stack([problem.forward({**inputs, name: point.copy()}) for point in points])
        try:
            together = np.asarray(problem.forward({**inputs, name: points}))
        except GradcheckError as error:
            raise CodeError(f"{call}, and cannot take it; leave batched out\n{error}") from error
        if together.shape != alone.shape:
            gives, needs = format_shape(together.shape), format_shape(alone.shape)
            raise CodeError(f"{call}, and gives {gives}, not {needs}; leave batched out")
        within = max(SAME, float(np.sqrt(np.finfo(x.dtype).eps))) * np.max(np.abs(alone))
        if not np.all(np.abs(together - alone) <= within):
            raise CodeError(f"{call}, and gives other outputs than one by one; leave batched out")
    return replace(problem, batched=True)
