"""Find functions that change their arguments, or that return something else when called again.

A backward that writes into its arguments, or remembers earlier calls, can be right in a check and
wrong in training. A forward that does so makes every difference meaningless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.errors import ForwardError
from gradcheck_cli.problem import ELSEWHERE, Problem
from gradcheck_cli.result import Code, Refusal
from gradcheck_cli.text import format_shape

LARGE = 2**26  # bytes: larger arrays are not copied, to save memory; a checksum shows changes
# Over the largest entry: if a second answer differs by less, it may be a sum in another order, and
# the message names `tolerance.repeat`, which allows that.
ROUGHEST = 1e-6


class BackwardRun(Struct, frozen=True):
    """What a backward returned when it was run, and how it behaved.

    gradients: what it returned for each input.
    fault: why none of them can be compared.
    differs: whether that is because a second call returned something else.
    in_place: the failure for changing an argument; that was a copy, so the gradients can still be
        compared. place: the input whose result reports it.
    note: a sentence on how its answers differ, where that is allowed.
    """

    gradients: Mapping[str, Any]
    fault: Refusal | None = None
    differs: bool = False
    in_place: Refusal | None = None
    place: str = ""
    note: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The gradients as floats, where they are whole numbers or booleans."""
        return {
            name: one.astype(np.float64) if one is not None and one.dtype.kind in "iub" else one
            for name, one in self.gradients.items()
        }


class ForwardRun(Struct, frozen=True):
    """What a forward returned when it was run, and how it behaved.

    outputs: its value at the inputs.
    fault: why it cannot be differenced; note: a sentence if its outputs vary from call to call.
    """

    outputs: NDArray[Any]
    fault: Refusal | None = None
    note: str = ""


def call_backward(problem: Problem, repeat: float = 0.0) -> BackwardRun:
    """Call a backward as training would, and see how it behaves.

    It is called elsewhere first, in case it remembers calls; then twice at the inputs. Afterwards
    its arguments are compared with what they were.
    repeat: how far the second answer may be from the first, over the largest entry.
    """
    _call_elsewhere(problem)
    first, changed, lost = _call(problem)
    first = _copy_values(first)
    if not isinstance(first, Mapping):
        kind = type(first).__name__
        sentence = f"{problem.claimant} must return gradients by input name, not {kind}"
        return BackwardRun({}, Refusal(Code.NOT_RETURNED, sentence))
    in_place = _refuse_changes(problem, changed.values(), lost) if changed else None
    if lost:
        return BackwardRun(first, in_place)
    again, *_ = _call(problem)
    fault, note = _compare_answers(problem, first, again, repeat)
    if fault is not None:
        return BackwardRun(first, fault, differs=True)
    place = next(name for name in (*changed, *problem.inputs) if name in problem.inputs)
    return BackwardRun(first, in_place=in_place, place=place, note=note)


def _call_elsewhere(problem: Problem) -> None:
    """Call the backward near the inputs; what it remembers of that call is wrong at the inputs."""
    with suppress(Exception):
        elsewhere = {name: x * x.dtype.type(ELSEWHERE) for name, x in problem.inputs.items()}
        problem.backward(elsewhere, None if problem.cotangent is None else problem.cotangent.copy())


def _refuse_changes(problem: Problem, changed: Iterable[str], lost: bool) -> Refusal:
    """The failure of a backward that changes these arguments; lost: whether one was no copy."""
    sentence = f"{problem.claimant} changes {' and '.join(changed)} in place; let it work on a copy"
    remedy = "" if lost else ", or accept it by in_place: allowed"
    return Refusal(Code.CHANGES_ARGUMENTS, sentence + remedy)


def _compare_answers(
    problem: Problem, first: Mapping[str, Any], again: Mapping[str, Any], repeat: float
) -> tuple[Refusal | None, str]:
    """The failure of a backward whose second answer differs from its first, or a note if
    `repeat` allows that; empty if they are equal."""
    notes = []
    for name in problem.inputs:
        gap = _compare(first.get(name), _copy_array(again.get(name)))
        if not gap.clause:
            continue
        sentence = (
            f"{problem.claimant} answers differently when called again: "
            f"{problem.label(name).gradient} {gap.clause}"
        )
        if gap.share > repeat:
            cause = "; it must not remember earlier calls or draw at random"
            remedy = ", or accept it by tolerance.repeat" if gap.share < ROUGHEST else ""
            return Refusal(Code.ANSWERS_DIFFERENTLY, sentence + cause + remedy), ""
        notes.append(f"{sentence}; tolerance.repeat allows it")
    return None, "; ".join(notes)


def _call(problem: Problem) -> tuple[Any, dict[str, str], bool]:
    """Call the backward once at the inputs.

    Returns what it returned; the arguments that it changed, described by name; and whether one of
    these was not a copy, so that the inputs themselves are spoilt.
    """
    inputs = {name: Lent(x) for name, x in problem.inputs.items()}
    cotangent = None if problem.cotangent is None else Lent(problem.cotangent)
    claimed = problem.backward(
        {name: lent.array for name, lent in inputs.items()},
        None if cotangent is None else cotangent.array,
    )
    changed = {name: f"its input {name}" for name, lent in inputs.items() if lent.changed}
    lost = any(inputs[name].large for name in changed)
    if cotangent is not None and cotangent.changed:
        changed[""] = "the upstream gradient it was handed"
        lost = lost or cotangent.large
    changed |= {f"[{what}]": what for what in problem.other_changes()}
    return claimed, changed, lost


class Lent:
    """An array that is lent to a function, to see whether the function changes it.

    What is lent is a copy; of a large array it is the array itself.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.large = array.nbytes > LARGE
        self.array = array if self.large else array.copy()
        self.before = _digest(array) if self.large else array

    @property
    def changed(self) -> bool:
        """Whether the function has changed it."""
        if self.large:
            return bool(_digest(self.array) != self.before)
        return not _same(self.array, self.before)


def _digest(array: NDArray[Any]) -> int:
    """A checksum of the bytes of an array, row by row."""
    rows = array.reshape(len(array), -1) if array.flags.c_contiguous else array
    digest = 0
    for row in rows:
        digest = crc32(np.ascontiguousarray(row).tobytes(), digest)
    return digest


def _copy_values(value: Any) -> Any:
    """Copies of the gradients, since a backward may use their memory again in the next call."""
    if not isinstance(value, Mapping):
        return value
    return {name: _copy_array(one) for name, one in value.items()}


def _copy_array(value: Any) -> NDArray[Any] | None:
    """A copy as an array, where masked entries are nan; None stays None. What does not fit into an
    array of numbers, such as a ragged tuple, becomes one of objects."""
    if value is None:
        return None
    try:
        return np.array((value * 1.0).filled(np.nan) if hasattr(value, "filled") else value)
    except ValueError:
        return np.array(value, dtype=object)


def _same(left: Any, right: Any) -> bool:
    """Whether two arrays are equal, where nan equals nan; large ones are compared in parts."""
    left, right = np.asarray(left), np.asarray(right)
    if left.shape == right.shape and left.ndim and left.nbytes > LARGE and len(left) > 1:
        return all(_same(one, other) for one, other in zip(left, right, strict=True))
    nan = right.dtype.kind in "fc"
    return np.array_equal(left, right) or (nan and np.array_equal(left, right, equal_nan=True))


class Gap(Struct, frozen=True):
    """How two answers differ.

    clause: where and by how much; empty if they are equal. share: that over the largest entry.
    """

    clause: str = ""
    share: float = float("inf")


def _compare(first: Any, again: Any) -> Gap:
    """How two answers differ, at the entry where they differ most."""
    if first is None or again is None:
        return Gap() if first is again else Gap("is there only once")
    if first.shape != again.shape:
        return Gap(f"is {format_shape(first.shape)}, then {format_shape(again.shape)}")
    if first.dtype.kind not in "fiub" or again.dtype.kind not in "fiub" or _same(first, again):
        return Gap()
    before, after = first.astype(float), again.astype(float)
    with np.errstate(all="ignore"):
        gaps = np.where(np.isnan(before) & np.isnan(after), 0.0, np.abs(after - before))
    gaps = np.where(np.isnan(gaps) & (before != after), np.inf, gaps)
    index = np.unravel_index(np.argmax(gaps), gaps.shape)
    where, gap = [int(axis) for axis in index], float(gaps[index])
    peak = float(np.max(np.abs(before), initial=0.0))
    clause = f"at {where} is {first[index]:.6g}, then {again[index]:.6g}"
    share = gap / peak if peak > 0 else float("inf")
    return Gap(f"{clause}, which differ by {gap:.1e}" if np.isfinite(gap) else clause, share)


def observe_forward(problem: Problem) -> ForwardRun:
    """Call the forward twice on copies of the inputs, and see how it behaves.

    Raises ForwardError where its outputs are not finite real numbers, or are not of the cotangent's
    shape.
    """
    inputs = {name: Lent(x) for name, x in problem.inputs.items()}
    for name, x in problem.inputs.items():
        if x.size == 0:
            raise ForwardError(f"the input {name} has no entries: it is {format_shape(x.shape)}")
    outputs = np.array(problem.forward({name: lent.array for name, lent in inputs.items()}))
    if outputs.size == 0:
        raise ForwardError(f"the forward gives no numbers: it gives {format_shape(outputs.shape)}")
    if outputs.dtype.kind not in "fiub":
        raise ForwardError(f"the forward must return real numbers; it gives {outputs.dtype}")
    if problem.cotangent is not None and problem.cotangent.shape != outputs.shape:
        raise ForwardError(
            f"the forward gives {format_shape(outputs.shape)}, but the cotangent is "
            f"{format_shape(problem.cotangent.shape)}; they must have one shape"
        )
    if not np.isfinite(outputs).all():
        where = [int(axis) for axis in np.argwhere(~np.isfinite(outputs))[0]]
        raise ForwardError(
            f"the forward gives {outputs[tuple(where)]} at {where}; give inputs of another scale, "
            "or say where it is defined: bounds, constraint"
        )
    changed = [name for name, lent in inputs.items() if lent.changed]
    if changed:
        names = " and ".join(changed)
        sentence = f"the forward changes its input {names} in place; let it work on a copy"
        return ForwardRun(outputs, Refusal(Code.CHANGES_ARGUMENTS, sentence))
    again = np.array(problem.forward({name: lent.array for name, lent in inputs.items()}))
    if again.shape != outputs.shape or not _same(again, outputs):
        return ForwardRun(outputs, note=_unrepeatable(outputs, again))
    return ForwardRun(outputs)


def _unrepeatable(outputs: NDArray[Any], again: NDArray[Any]) -> str:
    if again.shape != outputs.shape:
        raise ForwardError("the forward gives another shape when called again")
    gap = float(np.max(np.abs(again.astype(float) - outputs)))
    return (
        f"the forward is not repeatable: called again, its outputs differ by up to {gap:.1e}; "
        "this counts as its noise"
    )
