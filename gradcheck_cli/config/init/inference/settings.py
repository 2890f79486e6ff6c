"""Find parameters that are settings instead of arrays: modes, numbers, and dicts of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from gradcheck_cli.config.init.inference.givens import Given
from gradcheck_cli.config.init.inference.values import ARRAY, ITEMS, NUMBER, RECORD, SIZE, Value
from gradcheck_cli.config.init.names import NUMBERS, is_bias, is_weight
from gradcheck_cli.config.init.syntax import (
    Function,
    find_compared_text,
    parameter_defaults,
    read_keys,
)


def find_setting(function: Function, name: str, value: Value) -> Given | None:
    """What a config gives for a parameter that is a setting; None if it may be an array.

    The setting is its default, a dict of the settings that are read from it, a mode that it is
    compared with, or the usual number of its name.
    """
    default = parameter_defaults(function).get(name)
    if isinstance(default, ast.Constant):
        if default.value == 0.0 and isinstance(default.value, float) and name in NUMBERS:
            return Given(NUMBERS[name])  # with its default, 0, the term would go unchecked
        plain = isinstance(default.value, int | float | str)
        return Given(_yaml(default.value)) if plain else None
    keys = read_keys(function, name)
    if (
        keys
        and not any(is_weight(key) or is_bias(key) for key in keys)
        and not _holds_arrays(value, keys)
    ):
        parts = _settings(function, name, keys)
        return Given("{" + ", ".join(f"{key}: {text}" for key, text in parts) + "}")
    mode = find_compared_text(function, name)
    if mode is not None:
        return Given(_yaml(mode))
    plain = value.kind in (None, NUMBER, SIZE) and not value.positive
    return Given(NUMBERS[name]) if name in NUMBERS and plain else None


def _holds_arrays(value: Value, keys: Mapping[str, bool]) -> bool:
    """Whether a dict has an array, a dict or a list under a key that is needed."""
    parts = value.fields
    return any(
        parts[key].kind in (ARRAY, RECORD, ITEMS)
        for key, needed in keys.items()
        if needed and key in parts
    )


def _settings(function: Function, name: str, keys: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """The keys of a dict of settings that the function needs or compares, with their values."""
    for key, needed in keys.items():
        mode = find_compared_text(function, f"{name}.{key}")
        if mode is not None or key == "mode":
            yield key, _yaml(mode or "train")
        elif needed:
            yield key, NUMBERS.get(key, "1")


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else repr(value)
