"""Claim that each slice of the output depends on one slice of an input alone, and probe that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError, GradcheckError
from gradcheck_cli.problem import Locality, Problem
from gradcheck_cli.text import format_shape, suggest

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

# For an input: an axis of both the input and the output, or the axis of each.
Cuts = Mapping[str, int | Sequence[int]]
NOT_CUT: Cuts = {}

ELSEWHERE = 2.0**-6  # of the largest entry: the distance of the second probe from the input
SLACK = 1e3  # eps of the largest output, by which sums in another order may differ
LEAST_AT_ONCE = 64  # slices in a call of the forward; as many as an input has, if that is more


def claim_slices(
    problem: Problem, cuts: Cuts, forward: Callable[[Arrays], Any] | None = None
) -> Problem:
    """The problem with slices that are evaluated alone, or with a note on why they cannot be.

    forward: takes inputs of other lengths along these axes; None: the problem's own forward.
    Raises CodeError where there is no such input or axis.
    """
    if not cuts:
        return problem
    forward = forward or problem.forward
    axes = {name: _axes(problem, name, cut) for name, cut in cuts.items()}
    notes, kept = [], {}
    for name, pair in axes.items():
        beside = {other: cut for other, cut in axes.items() if cut[1] == pair[1]}
        reason = _find_contradiction(problem, forward, name, beside)
        if reason:
            notes.append(f"slices of {name}: whole forwards were evaluated, since {reason}")
        else:
            kept[name] = pair
    if not kept:
        return replace(problem, notes=(*problem.notes, *notes))
    most = max(problem.inputs[name].shape[axis] for name, (axis, _) in kept.items())
    locality = Locality(
        inner=forward,
        axes=kept,
        outer=lambda z, cut: z,
        samples=None,
        sums=True,
        at_once=max(LEAST_AT_ONCE, most),
    )
    return replace(problem, locality=locality, notes=(*problem.notes, *notes))


def _axes(problem: Problem, name: str, cut: int | Sequence[int]) -> tuple[int, int]:
    """The axes of an input and of the output, counted from the front."""
    if name not in problem.inputs:
        raise CodeError(
            f"slices: there is no input '{name}'{suggest(name, problem.inputs, 'the inputs are')}"
        )
    pair = (cut, cut) if isinstance(cut, int) else tuple(cut)
    shapes = (problem.inputs[name].shape, np.asarray(problem.cotangent).shape)
    found = []
    for what, shape, axis in zip((f"'{name}'", "the output"), shapes, pair, strict=True):
        if not -len(shape) <= axis < len(shape):
            raise CodeError(f"slices: {what} is {format_shape(shape)}, and has no axis {axis}")
        found.append(axis % len(shape))
    first, last = 0, len(shapes[0]) - 1
    if found[0] not in (first, last):
        raise CodeError(f"slices: '{name}' must be cut across its first or its last axis")
    return found[0], found[1]


def _find_contradiction(
    problem: Problem,
    forward: Callable[[Arrays], Any],
    name: str,
    beside: Mapping[str, tuple[int, int]],
) -> str:
    """Why slices of an input cannot be evaluated alone; empty if the probes find no reason.

    beside: the axes of all inputs that are cut along the same axis of the output, with this one.
    """
    axis, along = beside[name]
    inputs, x = problem.inputs, problem.inputs[name]
    random, peak = np.random.default_rng(0), float(np.max(np.abs(x), initial=0.0)) or 1.0
    moved = (x + ELSEWHERE * peak * random.uniform(0.5, 1.0, x.shape)).astype(x.dtype)
    wholes = [np.asarray(problem.forward({**inputs, name: point})) for point in (x, moved)]
    count, places = x.shape[axis], wholes[0].shape[along]
    if count != places:
        return f"it has {count} slices and the output {places}"
    largest = float(np.max(np.abs(wholes), initial=0.0))
    within = SLACK * float(np.finfo(x.dtype).eps) * largest
    for part in dict.fromkeys((0, count // 2, count - 1)):
        cut = {
            other: np.repeat(np.take(inputs[other], [part], place), 2, place)
            for other, (place, _) in beside.items()
        }
        pair = [np.take(point, [part], axis) for point in (x, moved)]
        try:
            found = np.asarray(forward({**inputs, **cut, name: np.concatenate(pair, axis)}))
        except GradcheckError as error:
            first = str(error).splitlines()[0]
            return f"the forward cannot be called with slice {part} twice: {first}"
        expected = np.concatenate([np.take(whole, [part], along) for whole in wholes], along)
        if found.shape != expected.shape:
            shapes = f"{format_shape(found.shape)}, not {format_shape(expected.shape)}"
            return f"slice {part} twice gives {shapes}"
        if not np.all(np.abs(found - expected) <= within):
            return f"slice {part} alone gives other outputs than it does among all"
    return ""
