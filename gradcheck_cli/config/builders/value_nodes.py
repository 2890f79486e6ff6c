"""Tell apart the nodes under inputs and constants: an array, several arrays, or a shape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gradcheck_cli.config.schema_parts import ArrayConfig
from gradcheck_cli.config.yaml_tree import Node

_SIZE = re.compile(r"[^\W\d]\w*")


def list_parts(mapping: Mapping[str, Node]) -> Iterator[tuple[str | int, Node]]:
    """The items of a mapping that a function takes; keys that are whole numbers become numbers."""
    yield from ((int(key) if key.isdecimal() else key, node) for key, node in mapping.items())


def as_list(mapping: dict[str | int, Any]) -> Any:
    """A mapping with the keys 0, 1, 2 … as a list; any other as it is."""
    numbered = mapping and list(mapping) == list(range(len(mapping)))
    return list(mapping.values()) if numbered else mapping


def describes_array(node: Node) -> bool:
    """Whether a node is a mapping that describes an array, and not one that a function takes."""
    described = {"distribution", "values", "shape"}
    return isinstance(node.value, dict) and not described.isdisjoint(node.value)


def list_size_names(node: Node) -> Iterator[str]:
    """The names of sizes in the lists under a node."""
    value = node.value
    if isinstance(value, dict):
        for part in value.values():
            yield from list_size_names(part)
    elif isinstance(value, list):
        for part in value:
            text = part.value
            yield from _SIZE.findall(text) if isinstance(text, str) else list_size_names(part)


def holds_arrays(node: Node) -> bool:
    """Whether an input is a mapping from names to arrays, and not the description of an array."""
    if not isinstance(node.value, dict) or not node.value or describes_array(node):
        return False
    return not any(
        key in ArrayConfig.__struct_fields__ and not isinstance(part.value, list | dict)
        for key, part in node.value.items()
    )


def lists_shapes(node: Node) -> bool:
    """Whether an input is a list of arrays, given by shapes or by mappings that describe them.

    With numbers that cannot be sizes, as [[0.5, 1], [2, -1]], it is a single array.
    """
    if not isinstance(node.value, list) or is_flat_list(node):
        return False
    return all(_could_be_shape(part) for part in node.value)


def _could_be_shape(node: Node) -> bool:
    """Whether a node holds only sizes, in lists, and mappings that describe arrays."""
    if isinstance(node.value, list):
        return bool(node.value) and all(_could_be_shape(part) for part in node.value)
    whole = isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > 0
    return whole or isinstance(node.value, str | dict)


def is_flat_list(node: Node) -> bool:
    """Whether an input is a list without nested lists or mappings, which is a shape."""
    return isinstance(node.value, list) and not any(
        isinstance(item.value, list | dict) for item in node.value
    )
