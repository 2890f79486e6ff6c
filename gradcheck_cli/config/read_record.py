"""Read a mapping of a config as a typed record, and find all errors in it, with their places."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from gradcheck_cli.config.findings import MOST_FINDINGS, Finding
from gradcheck_cli.config.keys import find_meta, list_hints
from gradcheck_cli.config.kinds import DOMAIN_KEYS, HOMES
from gradcheck_cli.config.schema import CheckConfig
from gradcheck_cli.config.schema_parts import ArrayConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.text import suggest

# The names of choices in other programs, with ours.
SYNONYMS = {
    "mse": "squared-error",
    "l2": "squared-error",
    "cross-entropy": "softmax-cross-entropy",
    "ce": "softmax-cross-entropy",
    "bce": "logistic",
    "smooth-l1": "huber",
    "average": "mean",
    "avg": "mean",
    "total": "sum",
    "swish": "silu",
    "identity": "none",
    "double": "float64",
    "float": "float32",
    "single": "float32",
    "half": "float16",
}

Record = TypeVar("Record", bound=Struct)


def read_record(node: Node, kind: type[Record], findings: list[Finding]) -> Record | None:
    """The record of a mapping node; what does not fit is added to the findings.

    A key with a wrong value keeps its default, so that one error does not hide others. None if the
    node is not a mapping.
    """
    if not isinstance(node.value, dict):
        several = "; several checks go under 'checks:'" if isinstance(node.value, list) else ""
        message = f"expected a mapping of keys, got {node.describe()}{several}"
        findings.append(Finding(node.mark, message))
        return None
    hints = list_hints(kind)
    values: dict[str, Any] = {}
    for name, child in node.value.items():
        if name not in hints:
            home = HOMES.get(name) if kind is CheckConfig else None
            belongs = f"; it belongs under '{home}'" if home else ""
            if kind is ArrayConfig and name in DOMAIN_KEYS:
                belongs = f"; it stands beside inputs, by input: {name}: {{x: …}}"
            # Looking for near misses takes a while, and only so many findings are shown.
            few = len(findings) < MOST_FINDINGS
            belongs = belongs or (suggest(name, hints, "the keys are") if few else "")
            message = f"unknown key '{name}'{belongs}"
            findings.append(Finding(node.keys.get(name, child.mark), message))
            continue
        before = len(findings)
        value = _value(name, child, hints[name], findings)
        if len(findings) == before:
            values[name] = value
    return kind(**values)


def _value(name: str, node: Node, hint: Any, findings: list[Finding]) -> Any:
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    meta = find_meta(hint)
    if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(node.value, dict):
        return read_record(node, inner, findings)
    containers = [get_origin(part) for part in (inner, *get_args(inner))]
    if inner is Any or type(node.value) in containers:
        return node.value  # of nodes with their places, which builders read
    value = node.plain()
    choices = meta.get("choices")
    if choices is not None:
        code = bool(meta.get("or_code")) and isinstance(value, str) and ":" in value
        known = any(type(value) is type(choice) and value == choice for choice in choices)
        if not (known or code):
            did = suggest_choice(value, choices) if isinstance(value, str) else ""
            message = f"'{name}' must be {meta['expected']}, got {node.describe()}{did}"
            findings.append(Finding(node.mark, message))
        return value
    try:
        return msgspec.convert(value, type=hint)
    except msgspec.ValidationError:
        message = (
            f"'{name}' must be {meta.get('expected', 'of another type')}, got {node.describe()}"
        )
        findings.append(Finding(node.mark, message))
        return None


def suggest_choice(word: str, choices: Collection[Any]) -> str:
    """The end of an error, `; did you mean 'squared-error'?`, for a synonym or a near miss."""
    meant = SYNONYMS.get(word.lower().replace("_", "-"), "")
    return suggest(meant if meant in choices else word, map(str, choices))
