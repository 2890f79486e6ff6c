"""Make a problem again with shorter arrays, to see whether a factor depends on a size, as 1/n."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck_cli.problem import Problem

LEAST = 2  # length of an axis that is cut; with one entry, sums and means would coincide

Make = Callable[[Mapping[str, Any], Mapping[str, Any] | None], Problem]


def crop_sizes(
    make: Make, inputs: Mapping[str, Any], constants: Mapping[str, Any] | None
) -> Callable[[str, float, int], Problem | None]:
    """A function for `Problem.change` that makes every axis of one size a little shorter.

    make: inputs, constants → their problem. The function returns None where `value` is no size of
    an array, or where axes would be shorter than LEAST.
    """

    def change(name: str, value: float, turn: int) -> Problem | None:
        size, other = int(value), int(value) - 1 - turn
        if size != value or other < LEAST or ".shape[" not in name:
            return None
        cropped = None if constants is None else _crop(constants, size, other)
        return make(_crop(inputs, size, other), cropped)

    return change


def _crop(value: Any, size: int, other: int) -> Any:
    """A value with all axes of length `size` in its arrays cut to `other`."""
    if isinstance(value, np.ndarray):
        cut = tuple(slice(other if length == size else None) for length in value.shape)
        return value[cut].copy()
    if isinstance(value, Mapping):
        return {key: _crop(part, size, other) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_crop(part, size, other) for part in value)
    return value
