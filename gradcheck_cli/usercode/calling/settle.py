"""What a backward without an upstream gradient differentiates: each entry, as f′, or a loss."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.conventions import KEPT, UPSTREAM, is_upstream
from gradcheck_cli.usercode.calling.gradients import shape_of
from gradcheck_cli.usercode.calling.losses import losses_beside
from gradcheck_cli.usercode.calling.readings import fits_forward, hand_instead, read_as_upstream
from gradcheck_cli.usercode.calling.signatures import name_of, parameters


def settle(calls: Calls) -> list[str]:
    """Find out what a backward is of where its parameters do not tell; what a reader should know of
    that. Raises CodeError where nothing fits."""
    if calls.elementwise:
        return _settle_without_upstream(calls)
    if calls.loss is None:
        return _settle_output_of_loss(calls) or _settle_upstream_of_loss(calls)
    return []


def _settle_without_upstream(calls: Calls) -> list[str]:
    """What a reader should know of a backward without an upstream gradient."""
    refusal = _refuse_other_shape(calls)
    if refusal is None:
        return [] if calls.is_derivative else [_choose_reading(calls)]
    if calls.is_derivative:
        raise refusal
    return [_take_loss_beside(calls, refusal)]


def _settle_output_of_loss(calls: Calls) -> list[str]:
    """What a reader should know where a parameter that could be handed the upstream gradient is
    the output, as it is called in a loss of the file: backward(AL, Y, caches)."""
    handed = calls.back.call.by_parameter(parameters(calls.pair.backward)).items()
    names = [name for name, value in handed if value == UPSTREAM.format(0)]
    losses = losses_beside(calls.pair.backward, calls.pair.owner)
    taken = {name for loss in losses for name in parameters(loss).all}
    if not names or is_upstream(names[0]) or names[0] not in taken:
        return []
    before = (calls.back, calls.outputs, calls.elementwise, calls.notes)
    with suppress(CodeError):
        return [_take_loss_beside(calls, CodeError(""))]
    calls.loss = None
    calls.back, calls.outputs, calls.elementwise, calls.notes = before
    return []


def _settle_upstream_of_loss(calls: Calls) -> list[str]:
    """What a reader should know where the backward of a loss cannot be called with an upstream
    gradient, and can with the output that its object keeps, or with the first input, beside what
    else the forward takes, such as labels."""
    upstream, used = UPSTREAM.format(0), calls.back.call.used
    others = [name for name in used if name != upstream]
    if calls.outputs[0].size != 1 or upstream not in used or not others:
        return []
    ones = np.ones(calls.outputs[0].shape)
    if not set(others) <= set(calls.call.used) or _claim(calls, ones) is not None:
        return []
    as_upstream, fits = calls.back, {}
    first = [name for name in calls.call.used if name in calls.inputs][:1]
    for value in (KEPT, *[name for name in first if name not in others]):
        calls.back = hand_instead(as_upstream, value)
        if _has_shapes(calls):
            fits[value] = fits_forward(calls.forward, calls.backward, calls.arrays, ones)
    if not fits:
        calls.back = as_upstream
        return []
    meant = max(fits, key=lambda value: fits[value])
    calls.back = hand_instead(as_upstream, meant)
    handed = as_upstream.call.by_parameter(parameters(calls.pair.backward))
    name = next((one for one, value in handed.items() if value == upstream), "first")
    what = "the output that the object keeps" if meant == KEPT else f"the input '{meant}'"
    return [f"{calls.source.backward} was handed {what} as its '{name}': it takes no number"]


def _claim(calls: Calls, cotangent: Any) -> dict[str, Any] | None:
    """What the backward gives at the inputs; None where it cannot be called so."""
    try:
        return calls.claimed({name: x.copy() for name, x in calls.arrays.items()}, cotangent)
    except (CodeError, KeyError):  # a KeyError: the object keeps no output
        return None


def _has_shapes(calls: Calls) -> bool:
    """Whether the backward can be called without an upstream gradient, and gives gradients of the
    shapes of the inputs."""
    claimed = _claim(calls, None)
    return claimed is not None and all(
        shape_of(claimed[name]) == x.shape for name, x in calls.arrays.items()
    )


def _refuse_other_shape(calls: Calls) -> CodeError | None:
    """Why a backward without an upstream gradient is no derivative, entry by entry, of a
    forward that gives more than one number; None where it may be one."""
    who, output = calls.source.backward, calls.outputs[0].shape
    try:
        claimed = calls.claimed({name: array.copy() for name, array in calls.arrays.items()}, None)
    except CodeError as error:
        return error
    fits = [shape_of(gradient) == output for gradient in claimed.values()]
    if fits and all(fits):
        return None
    jacobians = [
        shape_of(gradient) == (*output, *calls.arrays[name].shape)
        for name, gradient in claimed.items()
    ]
    if jacobians and all(jacobians) and not output:
        return CodeError(f"{who} gives the gradient of a number; give it under gradient")
    if jacobians and all(jacobians):
        return CodeError(f"{who} gives a Jacobian, outputs × input; give it under jacobian")
    shapes = [
        "a list" if (shape := shape_of(gradient)) is None else format_shape(shape)
        for gradient in claimed.values()
    ]
    return CodeError(
        f"{who} takes no upstream gradient, so {calls.source.forward} must give a single "
        f"number, or {who} an array of the output's shape, f′ entry by entry; the output "
        f"is {format_shape(output)}, and {who} gives {', '.join(shapes) or 'nothing'}; a "
        "function that returns a loss with its gradients belongs under value_and_grad, and "
        "a loss that the backward is of under loss"
    )


def _take_loss_beside(calls: Calls, refusal: CodeError) -> str:
    """Take the loss that stands beside the backward for what it is the gradient of.

    Returns what a reader should know of that. Of several, the one that fits one directional
    difference is meant. Raises the refusal where that is none or more.
    """
    fits: dict[str, bool] = {}
    losses = {name_of(loss): loss for loss in losses_beside(calls.pair.backward, calls.pair.owner)}
    for name, calls.loss in losses.items():
        with suppress(CodeError):  # it takes something else
            calls.bind_both()
            ones = np.ones(calls.outputs[0].shape)
            fits[name] = fits_forward(calls.forward, calls.backward, calls.arrays, ones)
    meant = [name for name, fit in fits.items() if fit or len(fits) == 1]
    if len(meant) != 1:
        among = f"; in its file are {join_words(list(fits))}" if fits else ""
        raise CodeError(f"{refusal}{among}")
    calls.loss = losses[meant[0]]
    calls.bind_both()
    return (
        f"{calls.source.backward} takes no upstream gradient: it was checked as that of "
        f"{meant[0]}, a loss in its file; 'loss' says that this is so"
    )


def _choose_reading(calls: Calls) -> str:
    """How a backward was called that takes no upstream gradient by its name.

    It is handed that all the same where it could remember its input, and the forward says so.
    """
    other = None if calls.pair.owner is None else read_as_upstream(calls.back, calls.inputs)
    if other is not None:
        shape = calls.outputs[0].shape
        at = (calls.arrays, np.random.default_rng(1).standard_normal(shape))
        as_derivative = calls.back
        if not fits_forward(calls.forward, calls.backward, *at):
            calls.back, calls.elementwise = other, False
            if fits_forward(calls.forward, calls.backward, *at):
                (name,) = other.call.by_parameter(parameters(calls.pair.backward))
                return (
                    f"{calls.source.backward} was handed the upstream gradient as its '{name}', "
                    "which fits the forward; read as f′ it does not"
                )
            calls.back, calls.elementwise = as_derivative, True
    return _describe_elementwise(calls)


def _describe_elementwise(calls: Calls) -> str:
    """How a backward was called that is taken for an elementwise derivative."""
    call = ", ".join(calls.back.call.used)
    return (
        f"{calls.source.backward} takes no upstream gradient: it was called with {call}, and "
        "what it gave was multiplied by the upstream gradient, entry by entry; "
        "'derivative' instead of 'backward' says that this is so"
    )
