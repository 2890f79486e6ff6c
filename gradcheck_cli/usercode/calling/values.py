"""What functions of the user are handed and return: arrays, numbers, lists and mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import ELSEWHERE
from gradcheck_cli.text import format_shape
from gradcheck_cli.usercode.calling.gradients import gradient_of
from gradcheck_cli.usercode.trees import leaves

Array = NDArray[Any]
Result = TypeVar("Result")
NO_FLOATS = (
    "no input is an array of floats, so nothing has a gradient: integers are taken for labels; "
    "pass 1.0 for 1, or x.astype(float)"
)


def as_inputs(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs; numbers and lists of numbers become arrays where nothing else is an array."""
    if any(True for name, value in inputs.items() for _ in leaves(value, name)):
        return inputs
    return {name: _as_floats(value) for name, value in inputs.items()}


def _as_floats(value: Any) -> Any:
    """An array of a number or of a list of numbers, if there are floats; all else as it is."""
    if not isinstance(value, float | list) or isinstance(value, np.generic):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fc" else value


def find_other_claims(claimed: Any, order: Sequence[str], others: set[str]) -> list[str]:
    """The inputs that are not differentiated, and that a backward gives a gradient for."""
    if isinstance(claimed, Mapping):
        return [name for name in order if name in others and gradient_of(name, claimed) is not None]
    if not isinstance(claimed, tuple) or len(claimed) != len(order):
        return []
    pairs = zip(order, claimed, strict=True)
    return [name for name, gradient in pairs if name in others and gradient is not None]


def is_of_parts(claimed: Any, name: str, value: Any) -> bool:
    """Whether this is the gradient of an only input that is a dict or a tuple, built like it."""
    if isinstance(value, tuple | list):
        one = isinstance(claimed, tuple | list) and len(claimed) == 1
        return len(value) > 1 or (one and not isinstance(claimed[0], tuple | list))
    if isinstance(value, np.ndarray | np.generic):
        return False
    named = isinstance(claimed, Mapping) and gradient_of(name, claimed) is None
    return named or hasattr(claimed, "_asdict")


def items_of(returned: Any) -> Sequence[Any]:
    """What a forward returned, one by one: a tuple, or a list that does not hold numbers."""
    if isinstance(returned, tuple):
        return returned
    if isinstance(returned, list) and returned and isinstance(returned[0], np.ndarray):
        return returned
    return (returned,)


def is_output(item: Any) -> bool:
    """Whether what a forward returned is an array of floats, or can be made one."""
    if item is None or isinstance(item, Mapping):
        return False
    try:
        return np.asarray(item).dtype.kind in "fc"
    except (ValueError, TypeError, RuntimeError):
        return False


def as_array(item: Any, who: str) -> Array:
    """What `who` returned as an array. Raises CodeError where it is none."""
    try:
        array = np.asarray(item)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CodeError(f"{who} must return an array of numbers: {error}") from error
    if array.ndim == 0 and array.dtype.kind in "OSU":
        raise CodeError(f"{who} must return an array of numbers, not {type(item).__name__}")
    if hasattr(item, "filled") and np.any(item.mask):
        raise CodeError(f"{who} returns masked entries, which have no value; fill them: .filled(0)")
    return array


def as_number(item: Any, who: str) -> Array:
    """What `who` returned as an array of one number. Raises CodeError where it is none."""
    array = as_array(item, who)
    if array.size != 1:
        raise CodeError(f"{who} must return a single number, not {format_shape(array.shape)}")
    return array


def call_first(call: Callable[[dict[str, Array]], Result], arrays: Mapping[str, Array]) -> Result:
    """What a first call gives, a bit away from the inputs: what a function remembers of it must not
    be right at them. At these, where it raises CodeError there; it is handed copies."""
    try:
        return call({name: np.asarray(x * x.dtype.type(ELSEWHERE)) for name, x in arrays.items()})
    except CodeError:
        return call({name: x.copy() for name, x in arrays.items()})


def join_flat(arrays: Sequence[Array]) -> Array:
    """Several arrays as one that is flat; one alone as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([one.ravel() for one in arrays])


def split_flat(flat: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """A flat array as arrays of these shapes, one after the other; they are views of it."""
    ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
    parts = zip(np.split(flat, ends), shapes, strict=True)
    return [part.reshape(shape) for part, shape in parts]
