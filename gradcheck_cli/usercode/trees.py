"""Trees of arrays: nested dicts, sequences and objects, with leaves such as W, params.W or x[0].

Leaves are arrays of floats; everything else is passed on as it is.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.text import name_part
from gradcheck_cli.usercode.calling.gradients import gradient_of
from gradcheck_cli.usercode.copies import copy_deep


class Attributes(dict[str, Any]):
    """A dict whose keys are attributes, too, so that code may use params["W"] or params.W."""

    def __getattr__(self, name: str) -> Any:
        """The value of a key."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the value of a key."""
        self[name] = value


def with_attributes(value: Any) -> Any:
    """A value with the dicts in it, also those in lists, as `Attributes`."""
    if isinstance(value, dict) and type(value) is dict:
        return Attributes({key: with_attributes(part) for key, part in value.items()})
    return [with_attributes(part) for part in value] if type(value) is list else value


def as_mapping(value: Any) -> Any:
    """Make an object with gradients as attributes a dict; return anything else as it is."""
    array = hasattr(value, "__array__") or hasattr(value, "toarray")
    if array or isinstance(value, Mapping | tuple | list):
        return value
    return {name: getattr(value, name) for name in _attributes(value)} or value


def leaves(value: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of floats in a value, each with its name."""
    if _is_floats(value):
        yield name, np.asarray(value)
    for key, part in _parts(value):
        yield from leaves(part, name_part(name, key))


def rebuild(value: Any, name: str, arrays: Mapping[str, Any]) -> Any:
    """Copy a value, with its leaves taken from `arrays`."""
    if name in arrays:
        return arrays[name]
    parts = {key: rebuild(part, name_part(name, key), arrays) for key, part in _parts(value)}
    if isinstance(value, Mapping):
        return Attributes(parts)
    if isinstance(value, tuple | list):
        return type(value)(**parts) if _is_named_tuple(value) else type(value)(parts.values())
    if not parts:
        return copy_deep(value)
    made = copy.copy(value) if _is_record(value) else copy_deep(value)
    for key, part in parts.items():
        object.__setattr__(made, key, part)  # works for a frozen dataclass, too
    return made


def gradient_leaves(gradient: Any, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The gradients of the leaves of a value, from a gradient that is nested like it.

    Sparse matrices become dense.
    """
    if _is_floats(value):
        yield name, gradient.toarray() if hasattr(gradient, "toarray") else gradient
    for key, part in _parts(value):
        inner = None
        gradient = as_mapping(gradient)
        if _is_named_tuple(gradient):
            gradient = gradient._asdict()
        elif _is_named_tuple(value) and isinstance(gradient, tuple | list):
            gradient = dict(zip(value._fields, gradient, strict=False))
        elif isinstance(value, Mapping) and isinstance(gradient, tuple | list):  # dX, [dW, db]
            same = len(gradient) == len(value)
            gradient = dict(zip(value, gradient, strict=True)) if same else gradient
        if isinstance(gradient, Mapping):
            inner = gradient_of(key, gradient) if isinstance(key, str) else gradient.get(key)
        elif isinstance(gradient, tuple | list) and isinstance(key, int) and key < len(gradient):
            inner = gradient[key]
        yield from gradient_leaves(inner, part, name_part(name, key))


def _is_floats(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "fc"


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """The parts of a dict, a sequence or an object, each with its key, place or attribute."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif _is_named_tuple(value):
        yield from value._asdict().items()
    elif isinstance(value, tuple | list):
        yield from enumerate(value)
    else:
        yield from ((name, getattr(value, name)) for name in _attributes(value))


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _is_record(value: Any) -> bool:
    """Whether an object is a plain record of attributes."""
    if isinstance(value, type):
        return False
    return dataclasses.is_dataclass(value) or isinstance(value, SimpleNamespace)


def _attributes(value: Any) -> list[str]:
    """The attributes of a record; of any other object, only those that are arrays of floats."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, SimpleNamespace):
        return list(vars(value))
    if isinstance(value, type | np.ndarray | np.generic) or callable(value):
        return []
    return [name for name, part in getattr(value, "__dict__", {}).items() if _is_floats(part)]
