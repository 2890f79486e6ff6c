"""bfloat16, which NumPy lacks: its numbers are held in float32 arrays.

Functions of NumPy arrays get arrays of ml_dtypes.bfloat16; frameworks have their own bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

Array = NDArray[Any]

BFLOAT16 = "bfloat16"
# The bits of a float32 that a bfloat16 does not have.
_LOST = np.uint32(0xFFFF)


def is_bfloat16(value: Any) -> bool:
    """Whether this is an array of ml_dtypes.bfloat16."""
    if not isinstance(value, np.ndarray | np.generic):
        return False
    return value.dtype.kind == "V" and str(value.dtype) == BFLOAT16  # str(dtype) is slow


def round_to_bfloat16(array: Array) -> Array:
    """Round to the nearest numbers of bfloat16, ties to even, held in float32."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) & ~_LOST
    return rounded.view(np.float32).reshape(np.shape(array))


def to_bfloat16(array: Array) -> Array:
    """An array of ml_dtypes.bfloat16. Raises CodeError where that is not installed."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise CodeError("NumPy has no bfloat16; install it: pip install ml_dtypes") from error
    return np.asarray(array).astype(ml_dtypes.bfloat16)


def widen_bfloat16(value: Any) -> Any:
    """A value with the arrays of bfloat16 in it converted to float32."""
    return _map_arrays(value, is_bfloat16, lambda array: np.asarray(array, dtype=np.float32))


def narrow_to_bfloat16(value: Any) -> Any:
    """A value with the arrays of floats in it converted to bfloat16."""

    def is_floats(part: Any) -> bool:
        return isinstance(part, np.ndarray | np.generic) and part.dtype.kind == "f"

    return _map_arrays(value, is_floats, to_bfloat16)


def _map_arrays(value: Any, fits: Callable[[Any], bool], make: Callable[[Any], Any]) -> Any:
    """A value with `make` applied to the parts that fit, also in its dicts, tuples and lists."""
    if fits(value):
        return make(value)
    if type(value) is dict:
        return {key: _map_arrays(part, fits, make) for key, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_map_arrays(part, fits, make) for part in value)
    return value


def holds_bfloat16(value: Any) -> bool:
    """Whether a value has an array of bfloat16 in it."""
    if isinstance(value, Mapping):
        return any(map(holds_bfloat16, value.values()))
    return (
        any(map(holds_bfloat16, value)) if isinstance(value, tuple | list) else is_bfloat16(value)
    )


def work_in_bfloat16(problem: Problem) -> Problem:
    """The problem with functions that get bfloat16 where they are called with float32.

    Called with float64, they get float64.
    """
    delta = problem.cotangent

    def low(array: Any) -> Any:
        return array if array is None or array.dtype == np.float64 else to_bfloat16(array)

    def forward(arrays: Arrays) -> Any:
        outputs = problem.forward({name: low(array) for name, array in arrays.items()})
        return widen_bfloat16(np.asarray(outputs))

    def backward(arrays: Arrays, cotangent: Any) -> Mapping[str, Any]:
        inputs = {name: low(array) for name, array in arrays.items()}
        claimed = problem.backward(inputs, low(cotangent))
        return {name: widen_bfloat16(gradient) for name, gradient in claimed.items()}

    return replace(
        problem,
        inputs={name: round_to_bfloat16(x) for name, x in problem.inputs.items()},
        forward=forward,
        backward=backward,
        cotangent=None if delta is None else round_to_bfloat16(delta),
        working_type=BFLOAT16,
    )
