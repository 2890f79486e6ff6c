"""Read the axes along which a forward falls into independent slices, `slices`."""

from __future__ import annotations

from collections.abc import Mapping

from gradcheck_cli.arrays import Shape
from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.text import format_shape, suggest

EXPECTED = (
    "an axis, the same of the input and of the output, such as 0 or -1, or two: "
    "[of the input, of the output]"
)


def read_slices(
    node: Node, shapes: Mapping[str, Shape], findings: list[Finding]
) -> dict[str, tuple[int, int]]:
    """For each input, by the name of the array, the axis of its slices and that of the output's.

    shapes: of all arrays of the inputs, by name. Errors are findings.
    """
    given = node.child("slices")
    found: dict[str, tuple[int, int]] = {}
    if given is None or not isinstance(given.value, dict):
        return found
    for name, one in given.value.items():
        if name not in shapes:
            miss = suggest(name, shapes, "the inputs are")
            findings.append(Finding(given.keys[name], f"there is no input '{name}'{miss}"))
            continue
        pair = _read_pair(one)
        if pair is None:
            message = f"the slices of '{name}' must be {EXPECTED}, got {one.describe()}"
            findings.append(Finding(one.mark, message))
            continue
        axes = len(shapes[name])
        if pair[0] not in (0, axes - 1, -axes, -1):
            whole = format_shape(shapes[name])
            message = f"'{name}' is {whole}; it is cut across its first or its last axis"
            findings.append(Finding(one.mark, f"{message}, got {pair[0]}"))
        else:
            found[name] = pair
    return found


def _read_pair(node: Node) -> tuple[int, int] | None:
    parts = node.value if isinstance(node.value, list) else [node, node]
    axes = [part.value for part in parts if type(part.value) is int]
    return (axes[0], axes[1]) if len(axes) == len(parts) == 2 else None
