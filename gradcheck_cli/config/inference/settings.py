"""Parameters of code that was read which are settings: modes, numbers, dicts of such."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gradcheck_cli.config.inference.givens import Given
from gradcheck_cli.config.inference.values import ARRAY, NUMBER, SIZE, Value
from gradcheck_cli.config.syntax import Function, compared_text, parameter_defaults, read_keys

WEIGHT = re.compile(r"^([Wbw]\w?\d*|weights?|bias(es)?|gamma|beta)$")
# Numbers that are settings, by the names that they have, and what to set them to.
NUMBERS = {
    "reg": "0.1", "lambd": "0.1", "lambda_": "0.1", "lam": "0.1", "l2": "0.1", "alpha": "0.5",
    "eps": "1e-5", "epsilon": "1e-5", "momentum": "0.9", "p": "0.5", "keep_prob": "0.5",
    "rate": "0.5", "drop": "0.5", "seed": "0", "stride": "1", "pad": "1", "padding": "1",
    "delta": "1.0", "margin": "1.0", "temperature": "1.0", "pool_height": "2", "pool_width": "2",
    "HH": "2", "WW": "2", "kernel_size": "2", "pool_size": "2", "scale": "2.0", "negative_slope":
    "0.1", "G": "1", "groups": "1", "learning_rate": "0.1", "lr": "0.1",
}  # fmt: skip


def find_setting(function: Function, name: str, value: Value) -> Given | None:
    """A parameter that is no array: a default, a mode, a number, a dict of such; else None."""
    default = parameter_defaults(function).get(name)
    if isinstance(default, ast.Constant):
        plain = isinstance(default.value, int | float | str)
        return Given(_yaml(default.value)) if plain else None
    keys = read_keys(function, name)
    if keys and not any(map(WEIGHT.match, keys)) and not _holds_arrays(value, keys):
        parts = _settings(function, name, keys)
        return Given("{" + ", ".join(f"{key}: {text}" for key, text in parts) + "}")
    mode = compared_text(function, name)
    if mode is not None:
        return Given(_yaml(mode))
    plain = value.kind in (None, NUMBER, SIZE)
    return Given(NUMBERS[name]) if name in NUMBERS and plain else None


def _holds_arrays(value: Value, keys: Mapping[str, bool]) -> bool:
    """Whether a parameter is a dict of arrays."""
    parts = value.fields
    return any(parts[key].kind == ARRAY for key, needed in keys.items() if needed and key in parts)


def _settings(function: Function, name: str, keys: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """The keys of a dict of settings which the function needs, each with its value."""
    for key, needed in keys.items():
        mode = compared_text(function, f"{name}.{key}")
        if mode is not None or key == "mode":
            yield key, _yaml(mode or "train")
        elif needed:
            yield key, NUMBERS.get(key, "1")


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else repr(value)
