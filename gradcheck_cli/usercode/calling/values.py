"""Values that the user's functions get and return: arrays, numbers, lists and mappings."""

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
    """The inputs; if none is an array of floats, numbers and lists of numbers become arrays."""
    if any(True for name, value in inputs.items() for _ in leaves(value, name)):
        return inputs
    return {name: _as_floats(value) for name, value in inputs.items()}


def _as_floats(value: Any) -> Any:
    """A float or a list with floats as an array; anything else as it is."""
    if not isinstance(value, float | list) or isinstance(value, np.generic):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fc" else value


def find_other_claims(claimed: Any, order: Sequence[str], others: set[str]) -> list[str]:
    """Those of the inputs `others`, which have no gradient, that a backward gives one for."""
    if isinstance(claimed, Mapping):
        return [name for name in order if name in others and gradient_of(name, claimed) is not None]
    if not isinstance(claimed, tuple) or len(claimed) != len(order):
        return []
    pairs = zip(order, claimed, strict=True)
    return [name for name, gradient in pairs if name in others and gradient is not None]


def is_of_parts(claimed: Any, name: str, value: Any) -> bool:
    """Whether `claimed` is the gradient of the only input, a dict or a tuple, nested like it."""
    if isinstance(value, tuple | list):
        one = isinstance(claimed, tuple | list) and len(claimed) == 1
        return len(value) > 1 or (one and not isinstance(claimed[0], tuple | list))
    if isinstance(value, np.ndarray | np.generic):
        return False
    named = isinstance(claimed, Mapping) and gradient_of(name, claimed) is None
    return named or hasattr(claimed, "_asdict")


def items_of(returned: Any) -> Sequence[Any]:
    """The values that a forward returned: the items of a tuple or a list of arrays, else one."""
    if isinstance(returned, tuple):
        return returned
    if isinstance(returned, list) and returned and isinstance(returned[0], np.ndarray):
        return returned
    return (returned,)


def is_output(item: Any) -> bool:
    """Whether a value that a forward returned is an array of floats, or can be made one."""
    if item is None or isinstance(item, Mapping):
        return False
    try:
        return np.asarray(item).dtype.kind in "fc"
    except (ValueError, TypeError, RuntimeError):
        return False


def as_array(item: Any, who: str) -> Array:
    """The value that `who` returned, as an array. Raises CodeError if it is none."""
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
    """The value that `who` returned, as an array of one number. Raises CodeError if it is none."""
    array = as_array(item, who)
    if array.size != 1:
        raise CodeError(f"{who} must return a single number, not {format_shape(array.shape)}")
    return array


def call_first(call: Callable[[dict[str, Array]], Result], arrays: Mapping[str, Array]) -> Result:
    """The result of a first call, a bit away from the inputs; at them if that raises CodeError.

    What a function remembers of this call is wrong at the inputs, so that a check can see it. The
    call gets copies.
    """
    try:
        return call({name: np.asarray(x * x.dtype.type(ELSEWHERE)) for name, x in arrays.items()})
    except CodeError:
        return call({name: x.copy() for name, x in arrays.items()})


def join_flat(arrays: Sequence[Array]) -> Array:
    """Several arrays as one flat array; a single array as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([one.ravel() for one in arrays])


def split_flat(flat: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Split a flat array into arrays of these shapes, which are views of it."""
    ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
    parts = zip(np.split(flat, ends), shapes, strict=True)
    return [part.reshape(shape) for part, shape in parts]
