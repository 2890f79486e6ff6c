"""bfloat16, which NumPy lacks: arrays are held in float32, and rounded to it.

Functions of NumPy arrays are handed arrays of ml_dtypes; frameworks have a bfloat16 of their own.
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
# The bits of float32 that bfloat16 does not have.
_LOST = np.uint32(0xFFFF)


def is_bfloat16(value: Any) -> bool:
    """Whether this is an array of ml_dtypes.bfloat16."""
    if not isinstance(value, np.ndarray | np.generic):
        return False
    return value.dtype.kind == "V" and str(value.dtype) == BFLOAT16  # the name alone takes long


def round_to_bfloat16(array: Array) -> Array:
    """The nearest numbers of bfloat16, ties to even, as float32."""
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


def held(value: Any) -> Any:
    """A value with the arrays of bfloat16 in it in float32."""
    return _map_arrays(value, is_bfloat16, lambda array: np.asarray(array, dtype=np.float32))


def lower_bfloat16(value: Any) -> Any:
    """A value with the arrays of floats in it in bfloat16."""

    def is_floats(part: Any) -> bool:
        return isinstance(part, np.ndarray | np.generic) and part.dtype.kind == "f"

    return _map_arrays(value, is_floats, to_bfloat16)


def _map_arrays(value: Any, fits: Callable[[Any], bool], make: Callable[[Any], Any]) -> Any:
    """A value with something else in the place of the parts that fit, in its dicts and lists."""
    if fits(value):
        return make(value)
    if type(value) is dict:
        return {key: _map_arrays(part, fits, make) for key, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_map_arrays(part, fits, make) for part in value)
    return value


def holds_bfloat16(value: Any) -> bool:
    """Whether an array of bfloat16 is in a value."""
    if isinstance(value, Mapping):
        return any(map(holds_bfloat16, value.values()))
    return (
        any(map(holds_bfloat16, value)) if isinstance(value, tuple | list) else is_bfloat16(value)
    )


def work_in_bfloat16(problem: Problem) -> Problem:
    """A problem whose inputs are held in float32 as one whose functions work in bfloat16.

    Handed float64, they are handed float64.
    """
    delta = problem.cotangent

    def low(array: Any) -> Any:
        return array if array is None or array.dtype == np.float64 else to_bfloat16(array)

    def forward(arrays: Arrays) -> Any:
        outputs = problem.forward({name: low(array) for name, array in arrays.items()})
        return held(np.asarray(outputs))

    def backward(arrays: Arrays, cotangent: Any) -> Mapping[str, Any]:
        handed = {name: low(array) for name, array in arrays.items()}
        claimed = problem.backward(handed, low(cotangent))
        return {name: held(gradient) for name, gradient in claimed.items()}

    return replace(
        problem,
        inputs={name: round_to_bfloat16(x) for name, x in problem.inputs.items()},
        forward=forward,
        backward=backward,
        cotangent=None if delta is None else round_to_bfloat16(delta),
        working_type=BFLOAT16,
    )
