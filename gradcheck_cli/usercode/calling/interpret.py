"""Decide what a backward is the gradient of where its parameters leave that open.

A backward without an upstream gradient may be f′, entry by entry, or the gradient of a loss. Trial
calls and directional differences decide.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.conventions import KEPT, UPSTREAM
from gradcheck_cli.usercode.calling.gradients import shape_of
from gradcheck_cli.usercode.calling.losses import find_losses_beside
from gradcheck_cli.usercode.calling.names import is_upstream
from gradcheck_cli.usercode.calling.readings import fits_forward, read_as_upstream, replace_upstream
from gradcheck_cli.usercode.calling.signatures import name_of, read_parameters


def interpret_backward(calls: Calls) -> list[str]:
    """Decide what the backward is the gradient of, and change `calls` so; returns notes on that.

    Raises CodeError where no reading fits.
    """
    if calls.elementwise:
        return _interpret_without_upstream(calls)
    if calls.loss is None:
        return _pass_output_of_loss(calls) or _replace_upstream_of_loss(calls)
    return []


def _interpret_without_upstream(calls: Calls) -> list[str]:
    """Read a backward without an upstream gradient as f′, or as the gradient of a loss."""
    refusal = _refuse_other_shape(calls)
    if refusal is None:
        return [] if calls.is_derivative else [_choose_reading(calls)]
    if calls.is_derivative:
        raise refusal
    return [_take_loss_beside(calls, refusal)]


def _pass_output_of_loss(calls: Calls) -> list[str]:
    """Pass the output of the forward, not the upstream gradient, if a loss of the file takes it so.

    In backward(AL, Y, caches), AL is the output if the file has a loss with a parameter AL.
    """
    passed = calls.backward_call.call.by_parameter(read_parameters(calls.pair.backward)).items()
    names = [name for name, value in passed if value == UPSTREAM.format(0)]
    losses = find_losses_beside(calls.pair.backward, calls.pair.owner)
    taken = {name for loss in losses for name in read_parameters(loss).names}
    if not names or is_upstream(names[0]) or names[0] not in taken:
        return []
    before = (calls.backward_call, calls.outputs, calls.elementwise, calls.notes)
    with suppress(CodeError):
        return [_take_loss_beside(calls, CodeError(""))]
    calls.loss = None
    calls.backward_call, calls.outputs, calls.elementwise, calls.notes = before
    return []


def _replace_upstream_of_loss(calls: Calls) -> list[str]:
    """Pass something else than the upstream gradient where the backward of a loss fails with it.

    That is the output that the object keeps, or the first input, if the other parameters get values
    of the forward, such as labels.
    """
    upstream, used = UPSTREAM.format(0), calls.backward_call.call.used
    others = [name for name in used if name != upstream]
    if calls.outputs[0].size != 1 or upstream not in used or not others:
        return []
    ones = np.ones(calls.outputs[0].shape)
    if not set(others) <= set(calls.forward_call.used) or _try_backward(calls, ones) is not None:
        return []
    as_upstream, fits = calls.backward_call, {}
    first = [name for name in calls.forward_call.used if name in calls.inputs][:1]
    for value in (KEPT, *[name for name in first if name not in others]):
        calls.backward_call = replace_upstream(as_upstream, value)
        if _has_shapes(calls):
            fits[value] = fits_forward(calls.forward, calls.backward, calls.arrays, ones)
    if not fits:
        calls.backward_call = as_upstream
        return []
    meant = max(fits, key=lambda value: fits[value])
    calls.backward_call = replace_upstream(as_upstream, meant)
    passed = as_upstream.call.by_parameter(read_parameters(calls.pair.backward))
    name = next((one for one, value in passed.items() if value == upstream), "first")
    what = "the output that the object keeps" if meant == KEPT else f"the input '{meant}'"
    return [f"{calls.source.backward} was handed {what} as its '{name}': it takes no number"]


def _try_backward(calls: Calls, cotangent: Any) -> dict[str, Any] | None:
    """The claims of the backward at the inputs; None where it cannot be called like this."""
    try:
        return calls.call_backward({name: x.copy() for name, x in calls.arrays.items()}, cotangent)
    except (CodeError, KeyError):  # a KeyError: the object keeps no output
        return None


def _has_shapes(calls: Calls) -> bool:
    """Whether the backward, without an upstream gradient, gives gradients of the inputs' shapes."""
    claimed = _try_backward(calls, None)
    return claimed is not None and all(
        shape_of(claimed[name]) == x.shape for name, x in calls.arrays.items()
    )


def _refuse_other_shape(calls: Calls) -> CodeError | None:
    """The error for a backward without an upstream gradient that cannot be f′, entry by entry.

    None where its results have the shape of the output, so that it may be.
    """
    who, output = calls.source.backward, calls.outputs[0].shape
    try:
        claimed = calls.call_backward(
            {name: array.copy() for name, array in calls.arrays.items()}, None
        )
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
    """Read the backward as the gradient of the loss in its file; returns a note on that.

    Among several losses, the one whose directional difference agrees is chosen. Raises the refusal
    where none or more than one does.
    """
    fits: dict[str, bool] = {}
    losses = {
        name_of(loss): loss for loss in find_losses_beside(calls.pair.backward, calls.pair.owner)
    }
    for name, calls.loss in losses.items():
        with suppress(CodeError):  # this loss takes other values
            calls.bind_all()
            ones = np.ones(calls.outputs[0].shape)
            fits[name] = fits_forward(calls.forward, calls.backward, calls.arrays, ones)
    meant = [name for name, fit in fits.items() if fit or len(fits) == 1]
    if len(meant) != 1:
        among = f"; in its file are {join_words(list(fits))}" if fits else ""
        raise CodeError(f"{refusal}{among}")
    calls.loss = losses[meant[0]]
    calls.bind_all()
    return (
        f"{calls.source.backward} takes no upstream gradient: it was checked as that of "
        f"{meant[0]}, a loss in its file; 'loss' says that this is so"
    )


def _choose_reading(calls: Calls) -> str:
    """Choose between f′ and the upstream gradient for the one parameter; returns a note on that.

    Only a method can get the upstream gradient, since its object may remember the input; it does so
    if a difference of the forward agrees with that and not with f′.
    """
    other = (
        None if calls.pair.owner is None else read_as_upstream(calls.backward_call, calls.inputs)
    )
    if other is not None:
        shape = calls.outputs[0].shape
        at = (calls.arrays, np.random.default_rng(1).standard_normal(shape))
        as_derivative = calls.backward_call
        if not fits_forward(calls.forward, calls.backward, *at):
            calls.backward_call, calls.elementwise = other, False
            if fits_forward(calls.forward, calls.backward, *at):
                (name,) = other.call.by_parameter(read_parameters(calls.pair.backward))
                return (
                    f"{calls.source.backward} was handed the upstream gradient as its '{name}', "
                    "which fits the forward; read as f′ it does not"
                )
            calls.backward_call, calls.elementwise = as_derivative, True
    return _describe_elementwise(calls)


def _describe_elementwise(calls: Calls) -> str:
    """The note on how a backward was called that is read as an elementwise derivative."""
    call = ", ".join(calls.backward_call.call.used)
    return (
        f"{calls.source.backward} takes no upstream gradient: it was called with {call}, and "
        "what it gave was multiplied by the upstream gradient, entry by entry; "
        "'derivative' instead of 'backward' says that this is so"
    )
