"""Trees of arrays: dicts, sequences and objects with attributes: W, params.W, x[0].

The leaves are arrays of floats; what else there is, is passed on as it is.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.usercode.gradients import gradient_of


class Attributes(dict[str, Any]):
    """A dict whose keys are attributes, too: code may want params["W"] or params.W."""

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
    """A value with the dicts in it, and in its lists, as `Attributes`."""
    if isinstance(value, dict) and type(value) is dict:
        return Attributes({key: with_attributes(part) for key, part in value.items()})
    return [with_attributes(part) for part in value] if type(value) is list else value


def as_mapping(value: Any) -> Any:
    """An object of named gradients as a dict by these names; all else as it is."""
    if isinstance(value, Mapping | tuple | list):
        return value
    return {name: getattr(value, name) for name in _attributes(value)} or value


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
        return Attributes(parts)
    if isinstance(value, tuple | list):
        named_tuple = hasattr(value, "_fields")
        return type(value)(*parts.values()) if named_tuple else type(value)(parts.values())
    if not parts:
        return copy.deepcopy(value)
    made = copy.copy(value) if _is_record(value) else copy.deepcopy(value)
    for key, part in parts.items():
        object.__setattr__(made, key, part)  # of a frozen dataclass, too
    return made


def gradient_leaves(gradient: Any, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The gradients of the leaves of a value, from a gradient that is built like it."""
    if _is_floats(value):
        yield name, gradient
    for suffix, key, part in _parts(value):
        inner = None
        gradient = as_mapping(gradient)
        if isinstance(key, str) and hasattr(gradient, "_asdict"):
            gradient = gradient._asdict()
        if isinstance(gradient, Mapping):
            inner = gradient_of(key, gradient) if isinstance(key, str) else gradient.get(key)
        elif isinstance(gradient, tuple | list) and isinstance(key, int) and key < len(gradient):
            inner = gradient[key]
        yield from gradient_leaves(inner, part, name + suffix)


def _is_floats(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "fc"


def _parts(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """The parts of a dict or sequence: how each is written after its name, its key, itself."""
    if isinstance(value, Mapping):
        yield from ((f".{key}", key, part) for key, part in value.items())
    elif isinstance(value, tuple | list):
        yield from ((f"[{place}]", place, part) for place, part in enumerate(value))
    else:
        yield from ((f".{name}", name, getattr(value, name)) for name in _attributes(value))


def _is_record(value: Any) -> bool:
    """Whether an object is no more than its attributes."""
    if isinstance(value, type):
        return False
    return dataclasses.is_dataclass(value) or isinstance(value, SimpleNamespace)


def _attributes(value: Any) -> list[str]:
    """The attributes of a record; of another object, those that are arrays of floats."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, SimpleNamespace):
        return list(vars(value))
    if isinstance(value, type | np.ndarray | np.generic) or callable(value):
        return []
    return [name for name, part in getattr(value, "__dict__", {}).items() if _is_floats(part)]
