"""Whether functions leave alone what they are handed, and answer the same when asked again.

A backward that works on its arguments, or remembers earlier calls, can be right in a check and
wrong in training; a forward that does makes every difference meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.errors import ForwardError, shown_shape
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import Refusal

# The codes of what is refused; see the catalogue of faults.
NOT_RETURNED, CHANGES_ARGUMENTS, ANSWERS_DIFFERENTLY = "GC151", "GC154", "GC155"
# A second point to call a backward at, before it is asked for the gradient: what it remembers of
# that call is wrong by this share, and stays inside the domain of the function.
ELSEWHERE = 1.0 + 2.0**-10


class Claim(Struct, frozen=True):
    """What a backward returned, by input, and what is wrong with how it was returned.

    differs: it answered differently when called again.
    """

    gradients: Mapping[str, Any]
    fault: Refusal | None = None
    differs: bool = False


class Conduct(Struct, frozen=True):
    """How a forward behaves. fault: why it cannot be differenced; note: what a reader should know;
    outputs: its value."""

    outputs: NDArray[Any]
    fault: Refusal | None = None
    note: str = ""


def call_backward(problem: Problem) -> Claim:
    """The gradients a backward claims, called as training would: after a call elsewhere.

    It is called again at the same point, and its arguments are compared with what they were.
    """
    with suppress(Exception):
        problem.backward(
            {name: x * x.dtype.type(ELSEWHERE) for name, x in problem.inputs.items()},
            None if problem.cotangent is None else problem.cotangent.copy(),
        )
    first, changed = _called(problem)
    if not isinstance(first, Mapping):
        kind = type(first).__name__
        told = f"the backward must return gradients by input name, not {kind}"
        return Claim({}, Refusal(NOT_RETURNED, told))
    if changed:
        told = f"the backward changes {changed} in place; let it work on a copy"
        return Claim(first, Refusal(CHANGES_ARGUMENTS, told))
    again, _ = _called(problem)
    for name in problem.inputs:
        told = _difference(first.get(name), again.get(name))
        if told:
            gradient = problem.label(name).gradient
            sentence = (
                f"the backward answers differently when called again: {gradient} {told}; "
                "it must not remember earlier calls or draw at random"
            )
            return Claim(first, Refusal(ANSWERS_DIFFERENTLY, sentence), differs=True)
    return Claim(first)


def _called(problem: Problem) -> tuple[Any, str]:
    """One call on copies: a copy of what came back, and which argument was changed."""
    inputs = {name: x.copy() for name, x in problem.inputs.items()}
    cotangent = None if problem.cotangent is None else problem.cotangent.copy()
    claimed = problem.backward(inputs, cotangent)
    changed = [
        f"its input {name}" for name, x in problem.inputs.items() if not _same(inputs[name], x)
    ]
    if problem.cotangent is not None and not _same(cotangent, problem.cotangent):
        changed.append("the upstream gradient it was handed")
    if isinstance(claimed, Mapping):
        claimed = {name: _copied(value) for name, value in claimed.items()}
    return claimed, " and ".join(changed)


def _copied(value: Any) -> Any:
    return value if value is None else np.array(value)


def _same(left: Any, right: Any) -> bool:
    return bool(np.array_equal(left, right, equal_nan=np.asarray(right).dtype.kind in "fc"))


def _difference(first: Any, again: Any) -> str:
    """Where two answers differ, in words; nothing where they are the same."""
    if first is None or again is None:
        return "" if first is again else "is there only once"
    if first.shape != again.shape:
        return f"is {shown_shape(first.shape)}, then {shown_shape(again.shape)}"
    if first.dtype.kind not in "fiub" or again.dtype.kind not in "fiub" or _same(first, again):
        return ""
    differ = (first != again) & ~(np.isnan(first.astype(float)) & np.isnan(again.astype(float)))
    index = tuple(int(axis) for axis in np.argwhere(differ)[0])
    return f"at {list(index)} is {first[index]:.6g}, then {again[index]:.6g}"


def observe_forward(problem: Problem) -> Conduct:
    """Call the forward twice on copies and see what it does.

    Raises ForwardError where its outputs are not finite real numbers or do not fit the cotangent.
    """
    inputs = {name: x.copy() for name, x in problem.inputs.items()}
    for name, x in inputs.items():
        if x.size == 0:
            raise ForwardError(f"the input {name} has no entries: it is {shown_shape(x.shape)}")
    outputs = np.array(problem.forward(inputs))
    if outputs.size == 0:
        raise ForwardError(f"the forward gives no numbers: it gives {shown_shape(outputs.shape)}")
    if outputs.dtype.kind not in "fiub":
        raise ForwardError(f"the forward must return real numbers; it gives {outputs.dtype}")
    if problem.cotangent is not None and problem.cotangent.shape != outputs.shape:
        raise ForwardError(
            f"the forward gives {shown_shape(outputs.shape)}, but the cotangent is "
            f"{shown_shape(problem.cotangent.shape)}; they must have one shape"
        )
    if not np.isfinite(outputs).all():
        where = [int(axis) for axis in np.argwhere(~np.isfinite(outputs))[0]]
        raise ForwardError(
            f"the forward gives {outputs[tuple(where)]} at {where}; give inputs of another scale"
        )
    changed = [name for name, x in problem.inputs.items() if not _same(inputs[name], x)]
    if changed:
        names = " and ".join(changed)
        told = f"the forward changes its input {names} in place; let it work on a copy"
        return Conduct(outputs, Refusal(CHANGES_ARGUMENTS, told))
    again = np.array(problem.forward(inputs))
    if again.shape != outputs.shape or not _same(again, outputs):
        return Conduct(outputs, note=_unrepeatable(outputs, again))
    return Conduct(outputs)


def _unrepeatable(outputs: NDArray[Any], again: NDArray[Any]) -> str:
    if again.shape != outputs.shape:
        raise ForwardError("the forward gives another shape when called again")
    gap = float(np.max(np.abs(again.astype(float) - outputs)))
    return (
        f"the forward is not repeatable: called again, its outputs differ by up to {gap:.1e}; "
        "this counts as its noise"
    )
