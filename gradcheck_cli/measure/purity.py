"""Whether functions leave alone what they are handed, and answer the same when asked again.

A backward that works on its arguments, or remembers earlier calls, can be right in a check and
wrong in training; a forward that does makes every difference meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
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

LARGE = 2**26  # bytes of an array, from which there is no copy of it to spare

# A second answer that is off by less, over the largest entry, may be meant: sums in another order.
ROUGHEST = 1e-6


class Claim(Struct, frozen=True):
    """What a backward returned, by input, and what is wrong with how it was returned.

    differs: it answered differently when called again. in_place: it changed an argument, of which
    it had a copy, so that its gradients can be compared; place: the input beside whose gradient
    that is said. note: what a reader should know of its answers.
    """

    gradients: Mapping[str, Any]
    fault: Refusal | None = None
    differs: bool = False
    in_place: Refusal | None = None
    place: str = ""
    note: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The gradients to compare: whole numbers and booleans as floats."""
        return {
            name: one.astype(np.float64) if one is not None and one.dtype.kind in "iub" else one
            for name, one in self.gradients.items()
        }


class Conduct(Struct, frozen=True):
    """How a forward behaves. fault: why it cannot be differenced; note: what a reader should know;
    outputs: its value."""

    outputs: NDArray[Any]
    fault: Refusal | None = None
    note: str = ""


def call_backward(problem: Problem, repeat: float = 0.0) -> Claim:
    """The gradients a backward claims, called as training would: after a call elsewhere.

    repeat: how far a second answer may be from the first, over the largest entry.
    It is called again at the same point, and its arguments are compared with what they were.
    """
    with suppress(Exception):
        problem.backward(
            {name: x * x.dtype.type(ELSEWHERE) for name, x in problem.inputs.items()},
            None if problem.cotangent is None else problem.cotangent.copy(),
        )
    first, changed, lost = _call(problem)
    first = _copy_values(first)
    if not isinstance(first, Mapping):
        kind = type(first).__name__
        told = f"{problem.claimant} must return gradients by input name, not {kind}"
        return Claim({}, Refusal(Code.NOT_RETURNED, told))
    in_place, place = None, ""
    if changed:
        names = " and ".join(changed.values())
        told = f"{problem.claimant} changes {names} in place; let it work on a copy"
        remedy = "" if lost else ", or accept it by in_place: allowed"
        in_place = Refusal(Code.CHANGES_ARGUMENTS, told + remedy)
        place = next(name for name in (*changed, *problem.inputs) if name in problem.inputs)
    if lost:
        return Claim(first, in_place)
    again, *_ = _call(problem)
    notes = []
    for name in problem.inputs:
        gap = _compare(first.get(name), _array(again.get(name)))
        if not gap.told:
            continue
        sentence = (
            f"{problem.claimant} answers differently when called again: "
            f"{problem.label(name).gradient} {gap.told}"
        )
        if gap.share > repeat:
            cause = "; it must not remember earlier calls or draw at random"
            remedy = ", or accept it by tolerance.repeat" if gap.share < ROUGHEST else ""
            refusal = Refusal(Code.ANSWERS_DIFFERENTLY, sentence + cause + remedy)
            return Claim(first, refusal, differs=True)
        notes.append(f"{sentence}; tolerance.repeat allows it")
    return Claim(first, in_place=in_place, place=place, note="; ".join(notes))


def _array(value: Any) -> Any:
    return value if value is None else _copy_array(value)


def _call(problem: Problem) -> tuple[Any, dict[str, str], bool]:
    """One call: what came back, which arguments were changed, and whether one was no copy."""
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
    changed |= {f"[{what}]": what for what in problem.changed()}
    return claimed, changed, lost


class Lent:
    """An array that is handed to a function: a copy or, if it is large, itself.

    Either way it is seen whether the function changed it. Then nothing else is done with it.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.large = array.nbytes > LARGE
        self.array = array if self.large else array.copy()
        self.before = _digest(array) if self.large else array

    @property
    def changed(self) -> bool:
        """Whether it is not what it was."""
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
    """The gradients by name, which a backward may reuse the memory of."""
    if not isinstance(value, Mapping):
        return value
    return {name: one if one is None else _copy_array(one) for name, one in value.items()}


def _copy_array(value: Any) -> NDArray[Any]:
    """A copy as an array: of what is none, such as a tuple of arrays, as one of objects. An entry
    that is masked has no value."""
    try:
        return np.array((value * 1.0).filled(np.nan) if hasattr(value, "filled") else value)
    except ValueError:
        return np.array(value, dtype=object)


def _same(left: Any, right: Any) -> bool:
    """Whether two arrays are equal, nan being nan; part by part where they are large."""
    left, right = np.asarray(left), np.asarray(right)
    if left.shape == right.shape and left.ndim and left.nbytes > LARGE and len(left) > 1:
        return all(_same(one, other) for one, other in zip(left, right, strict=True))
    nan = right.dtype.kind in "fc"
    return np.array_equal(left, right) or (nan and np.array_equal(left, right, equal_nan=True))


class Gap(Struct, frozen=True):
    """How two answers differ, in words, empty where they do not; and over the largest entry."""

    told: str = ""
    share: float = float("inf")


def _compare(first: Any, again: Any) -> Gap:
    """Where two answers differ the most."""
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
    told = f"at {where} is {first[index]:.6g}, then {again[index]:.6g}"
    share = gap / peak if peak > 0 else float("inf")
    return Gap(f"{told}, which differ by {gap:.1e}" if np.isfinite(gap) else told, share)


def observe_forward(problem: Problem) -> Conduct:
    """Call the forward twice on copies and see what it does.

    Raises ForwardError where its outputs are not finite real numbers or do not fit the cotangent.
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
        told = f"the forward changes its input {names} in place; let it work on a copy"
        return Conduct(outputs, Refusal(Code.CHANGES_ARGUMENTS, told))
    again = np.array(problem.forward({name: lent.array for name, lent in inputs.items()}))
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
