"""Trees of arrays: dicts and sequences whose leaves are arrays of floats: W, params.W, x[0]."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.usercode.gradients import gradient_of


def leaves(value: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of floats in a value, by name."""
    if _is_floats(value):
        yield name, np.asarray(value)
    for suffix, _, part in _parts(value):
        yield from leaves(part, name + suffix)


def rebuilt(value: Any, name: str, arrays: Mapping[str, Any]) -> Any:
    """A value with its leaves taken from `arrays`, and a copy of the rest."""
    if name in arrays:
        return arrays[name]
    parts = {key: rebuilt(part, name + suffix, arrays) for suffix, key, part in _parts(value)}
    if isinstance(value, Mapping):
        return parts
    if isinstance(value, tuple | list):
        named_tuple = hasattr(value, "_fields")
        return type(value)(*parts.values()) if named_tuple else type(value)(parts.values())
    return copy.deepcopy(value)


def gradient_leaves(gradient: Any, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The gradients of the leaves of a value, from a gradient that is built like it."""
    if _is_floats(value):
        yield name, gradient
    for suffix, key, part in _parts(value):
        inner = None
        if isinstance(gradient, Mapping):
            inner = gradient_of(key, gradient) if isinstance(key, str) else gradient.get(key)
        elif isinstance(gradient, tuple | list) and isinstance(key, int) and key < len(gradient):
            inner = gradient[key]
        yield from gradient_leaves(inner, part, name + suffix)


def _is_floats(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind == "f"


def _parts(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """The parts of a dict or sequence: how each is written after its name, its key, itself."""
    if isinstance(value, Mapping):
        yield from ((f".{key}", key, part) for key, part in value.items())
    elif isinstance(value, tuple | list):
        yield from ((f"[{place}]", place, part) for place, part in enumerate(value))
