"""Inputs that are mappings become the dataclass or named tuple that an annotation asks for."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from gradcheck_cli.usercode.calling.signatures import Call, read_parameters


def as_annotated(
    values: Mapping[str, Any], call: Call, function: Callable[..., Any]
) -> dict[str, Any]:
    """Replace each mapping by the record that the annotation of its parameter names."""
    hints = _hints(function)
    wanted = {
        name: hints[parameter]
        for parameter, name in call.by_parameter(read_parameters(function)).items()
        if parameter in hints
    }
    return {name: _as_record(value, wanted.get(name)) for name, value in values.items()}


def _hints(of: Any) -> Mapping[str, Any]:
    """The annotations of a function or a class; none if one of them names an unknown type."""
    with suppress(Exception):
        return typing.get_type_hints(inspect.unwrap(of))
    return {}


def _as_record(value: Any, wanted: Any) -> Any:
    """Make a mapping a `wanted`, if that is a record type with fields for all of its keys."""
    names = _fields(wanted)
    if not isinstance(value, Mapping) or not names or not set(value) <= set(names):
        return value
    hints = _hints(wanted)
    parts = {name: _as_record(part, hints.get(name)) for name, part in value.items()}
    with suppress(TypeError):  # a field without a default is missing
        return wanted(**parts)
    return value


def _fields(wanted: Any) -> list[str]:
    if not isinstance(wanted, type):
        return []
    if dataclasses.is_dataclass(wanted):
        return [field.name for field in dataclasses.fields(wanted) if field.init]
    return list(getattr(wanted, "_fields", ())) if issubclass(wanted, tuple) else []
