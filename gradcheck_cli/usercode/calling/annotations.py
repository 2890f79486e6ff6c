"""Records that a function's annotations ask for: a mapping becomes the dataclass or named tuple."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from gradcheck_cli.usercode.calling.signatures import Call, parameters


def as_annotated(
    values: Mapping[str, Any], call: Call, function: Callable[..., Any]
) -> dict[str, Any]:
    """The values, with mappings as the records that a call of a function wants."""
    hints = _hints(function)
    wanted = {
        name: hints[parameter]
        for parameter, name in call.by_parameter(parameters(function)).items()
        if parameter in hints
    }
    return {name: _as_record(value, wanted.get(name)) for name, value in values.items()}


def _hints(of: Any) -> Mapping[str, Any]:
    """The types that a function, or the fields of a class, are annotated with; where a name in them
    is not known, none."""
    with suppress(Exception):
        return typing.get_type_hints(inspect.unwrap(of))
    return {}


def _as_record(value: Any, wanted: Any) -> Any:
    """A mapping as an object of a dataclass or a named tuple, if it has fields of these names."""
    names = _fields(wanted)
    if not isinstance(value, Mapping) or not names or not set(value) <= set(names):
        return value
    hints = _hints(wanted)
    parts = {name: _as_record(part, hints.get(name)) for name, part in value.items()}
    with suppress(TypeError):  # a field without a default is not there
        return wanted(**parts)
    return value


def _fields(wanted: Any) -> list[str]:
    if not isinstance(wanted, type):
        return []
    if dataclasses.is_dataclass(wanted):
        return [field.name for field in dataclasses.fields(wanted) if field.init]
    return list(getattr(wanted, "_fields", ())) if issubclass(wanted, tuple) else []
