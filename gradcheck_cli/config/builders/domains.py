"""Read the domains of inputs, `constraint` and `bounds`, given by input or for all inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gradcheck_cli.arrays import Shape
from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.schema import CheckConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.problem import CONSTRAINTS, Domain
from gradcheck_cli.text import format_shape, join_words, suggest

SQUARE = ("symmetric", "positive-definite", "lower-triangular")
LEAST_AXES = {**dict.fromkeys((*SQUARE, "orthogonal"), 2), "simplex": 1}
BOUNDS = "a list of the least and the largest value, such as [0, null]"


def read_domains(
    node: Node, record: CheckConfig, shapes: Mapping[str, Shape], findings: list[Finding]
) -> dict[str, Domain]:
    """The domains of the inputs that have one, by the name of the array.

    shapes: of all arrays of the inputs, by name. Errors are findings.
    """
    found: dict[str, Domain] = {}
    readers: dict[str, Callable[..., Domain | None]] = {
        "constraint": _read_constraint,
        "bounds": _read_bounds,
    }
    for key, read in readers.items():
        given = node.child(key)
        if given is None or getattr(record, key) is None:
            continue
        for name, one in _by_input(given, list(shapes)):
            whole = given is one and len(shapes) > 1
            hint = f"; name those that are: {key}: {{{next(iter(shapes))}: …}}" if whole else ""
            report = partial(_report, findings, one, hint)
            if name not in shapes:
                miss = suggest(name, shapes, "the inputs are")
                findings.append(Finding(given.keys[name], f"there is no input '{name}'{miss}"))
            elif name in found:
                report(f"'constraint' and 'bounds' of '{name}' say two things; keep one of them")
            else:
                domain = read(name, one, shapes[name], report)
                if domain is not None:
                    found[name] = domain
    return found


def _by_input(node: Node, names: Sequence[str]) -> list[tuple[str, Node]]:
    """The value for each input: from a mapping by name, or the same for all."""
    if isinstance(node.value, dict):
        return list(node.value.items())
    return [(name, node) for name in names]


def _report(findings: list[Finding], node: Node, hint: str, message: str) -> None:
    finding = Finding(node.mark, message + hint)
    if finding not in findings:  # an error in a value for all inputs is reported once
        findings.append(finding)


def _read_constraint(
    name: str, node: Node, shape: Shape, report: Callable[[str], None]
) -> Domain | None:
    word = node.value
    if word not in CONSTRAINTS:
        did = suggest(word, CONSTRAINTS) if isinstance(word, str) else ""
        report(f"a constraint must be {join_words(CONSTRAINTS, 'or')}, got {node.describe()}{did}")
        return None
    few = len(shape) < LEAST_AXES.get(word, 0)
    if few or (word in SQUARE and shape[-1] != shape[-2]):
        what = "a square matrix" if word in SQUARE else "a matrix"
        what = "a vector or a matrix" if word == "simplex" else what
        report(f"'{name}' is {format_shape(shape)}; {word} must be {what}")
        return None
    return Domain(word)


def _read_bounds(
    name: str, node: Node, shape: Shape, report: Callable[[str], None]
) -> Domain | None:
    parts = node.value if isinstance(node.value, list) else []
    values: list[Any] = [part.value for part in parts]
    numbers = [one for one in values if _is_number(one)]
    if len(values) != 2 or not numbers or len(numbers) + values.count(None) != 2:
        report(f"the bounds of '{name}' must be {BOUNDS}, got {node.describe()}")
        return None
    infinity = float("inf")
    low = -infinity if values[0] is None else float(values[0])
    high = infinity if values[1] is None else float(values[1])
    if not low < high:
        report(f"the bounds of '{name}' must rise, got {low:g} and {high:g}")
        return None
    return Domain(low=low, high=high)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
