"""`matrix` and `--seeds`: make a check for every combination of the values of the axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.item import Item
from gradcheck_cli.config.overrides import SEED, Overrides, apply_sets, may_be_set, set_value
from gradcheck_cli.config.schema import EXCLUDE_KEY, MATRIX_KEY
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.text import suggest

LONGEST_VALUE = 24  # characters of a value in an id; a longer value is replaced by its position
MOST_AXES = 16  # of a matrix; with two values each, there are more checks than allowed
MOST_SUBSETS = 100  # sets of axes in `exclude`; each is looked up for every combination
_SPECIAL = frozenset("[],= *?")  # characters that mean something in an id or in a glob of ids
_EXAMPLE = "such as {reduction: [sum, mean], shapes.n: [1, 8]}"


class _Axis(Struct, frozen=True):
    """An axis of a matrix: a dotted key with its place, its values, and their labels in ids."""

    key: str
    mark: Mark
    values: Sequence[Node]
    labels: Sequence[str]


# The excluded combinations: for the keys of some axes, tuples of frozen values.
_Excluded = dict[tuple[str, ...], set[tuple[Any, ...]]]


def multiply(
    item: Item, overrides: Overrides, most: int, findings: list[Finding]
) -> Iterator[Item]:
    """The checks of an item with a matrix or several seeds, with the overrides applied.

    most: the number of checks above which there is a finding instead.
    """
    before, node = len(findings), item.node
    assert isinstance(node.value, dict)
    matrix = node.value.get(MATRIX_KEY)
    axes = _read_axes(matrix, most, findings) if matrix is not None else {}
    excluded = _read_excluded(matrix, axes, findings) if matrix is not None else {}
    axes = _pin_axes(axes, overrides)
    others = [override for override in overrides.sets if override.key not in axes]
    plain = apply_sets(_without_matrix(node), others, findings)
    seeds = _list_seeds(plain, axes, overrides.seeds, findings)
    count = prod(len(axis.values) for axis in axes.values()) * len(seeds)
    if count > most:
        mark = node.keys.get(MATRIX_KEY, node.mark)
        message = f"these are {count:,} checks; a config may have at most {most:,} here"
        findings.append(Finding(mark, message))
    if len(findings) > before:
        return
    combinations = list(_combine(axes, excluded))
    for chosen, labels in combinations:
        variant = plain
        for key, value in chosen.items():
            variant = set_value(variant, key, value, axes[key].mark, findings)
        for seed in seeds:
            own = _set_seed(variant, seed, overrides.seeds, findings)
            yield replace(item, node=own, axes=labels, seed=seed)
    if not combinations:
        findings.append(Finding(node.keys[MATRIX_KEY], f"'{EXCLUDE_KEY}' leaves no check"))


def _pin_axes(axes: Mapping[str, _Axis], overrides: Overrides) -> dict[str, _Axis]:
    """The axes; one that `--set` sets keeps that value only, with its label in the matrix."""
    pinned = dict(axes)
    for override in overrides.sets:
        if override.key in axes:
            axis, value = axes[override.key], override.node
            labels = {
                _freeze(one): label for one, label in zip(axis.values, axis.labels, strict=True)
            }
            label = labels.get(_freeze(value)) or _label(value) or "set"
            pinned[axis.key] = replace(axis, values=[value], labels=[label])
    return pinned


def _combine(
    axes: Mapping[str, _Axis], excluded: _Excluded
) -> Iterator[tuple[dict[str, Node], tuple[str, ...]]]:
    """The combinations that are not excluded: a value for each key, and the labels for the id."""
    names = _name_axes(axes)
    frozen = {key: [_freeze(value) for value in axis.values] for key, axis in axes.items()}
    for choice in product(*(range(len(axis.values)) for axis in axes.values())):
        places = dict(zip(axes, choice, strict=True))
        if not any(
            tuple(frozen[key][places[key]] for key in keys) in combinations
            for keys, combinations in excluded.items()
        ):
            chosen = {key: axes[key].values[i] for key, i in places.items()}
            yield chosen, tuple(f"{names[key]}={axes[key].labels[i]}" for key, i in places.items())


def _set_seed(node: Node, seed: int | None, seeds: int, findings: list[Finding]) -> Node:
    """A combination with a seed of `--seeds`; None: with its own seed."""
    if seed is None:
        return node
    mark = Mark(1, 1, 1, f"--seeds {seeds}")
    return set_value(node, SEED, Node(seed, mark), mark, findings)


def _without_matrix(node: Node) -> Node:
    assert isinstance(node.value, dict)
    kept = {key: child for key, child in node.value.items() if key != MATRIX_KEY}
    keys = {key: node.keys[key] for key in kept if key in node.keys}
    return Node(kept, node.mark, keys, shared=node.shared)


def _read_axes(matrix: Node, most: int, findings: list[Finding]) -> dict[str, _Axis]:
    """The axes of a matrix, by key; one with more than `most` values is not searched for repeated
    ones."""
    if not isinstance(matrix.value, dict):
        message = f"'{MATRIX_KEY}' must be a mapping from keys to lists, {_EXAMPLE}"
        findings.append(Finding(matrix.mark, f"{message}, got {matrix.describe()}"))
        return {}
    keys = [key for key in matrix.value if key != EXCLUDE_KEY]
    if len(keys) > MOST_AXES:
        message = f"'{MATRIX_KEY}' has {len(keys):,} axes; at most {MOST_AXES} are allowed"
        findings.append(Finding(matrix.mark, message))
        return {}
    axes = {}
    for key in keys:
        values = matrix.value[key]
        mark = matrix.keys.get(key, values.mark)
        if not may_be_set(key, mark, findings):
            continue
        if not isinstance(values.value, list) or not values.value:
            message = (
                f"the axis '{key}' must be a list of one value or more, got {values.describe()}"
            )
            findings.append(Finding(values.mark, message))
            continue
        if len(values.value) <= most:
            _report_repeated(key, values.value, findings)
        axes[key] = _Axis(key, mark, values.value, _label_values(values.value))
    if not axes and not findings:
        message = f"'{MATRIX_KEY}' must have an axis or more, {_EXAMPLE}"
        findings.append(Finding(matrix.mark, message))
    return axes


def _report_repeated(key: str, values: Sequence[Node], findings: list[Finding]) -> None:
    """Add a finding for each value that an axis has twice."""
    seen = set()
    for value in values:
        frozen = _freeze(value)
        if frozen in seen:
            message = f"the axis '{key}' has the value {value.describe()} twice"
            findings.append(Finding(value.mark, message))
        seen.add(frozen)


def _read_excluded(matrix: Node, axes: Mapping[str, _Axis], findings: list[Finding]) -> _Excluded:
    """The excluded combinations of a matrix."""
    exclude = matrix.child(EXCLUDE_KEY)
    if exclude is None:
        return {}
    if not isinstance(exclude.value, list):
        message = f"'{EXCLUDE_KEY}' must be a list of mappings from axes to values"
        findings.append(Finding(exclude.mark, f"{message}, got {exclude.describe()}"))
        return {}
    known = {key: {_freeze(value) for value in axis.values} for key, axis in axes.items()}
    excluded: _Excluded = {}
    for item in exclude.value:
        if not isinstance(item.value, dict) or not item.value:
            message = f"a combination to exclude must be a mapping, got {item.describe()}"
            findings.append(Finding(item.mark, message))
            continue
        for key, value in item.value.items():
            if key not in axes:
                message = f"there is no axis '{key}'{suggest(key, axes, 'the axes are')}"
                findings.append(Finding(item.keys.get(key, value.mark), message))
            elif _freeze(value) not in known[key]:
                message = f"the axis '{key}' has no value {value.describe()}"
                findings.append(Finding(value.mark, message))
        keys = tuple(sorted(item.value))
        excluded.setdefault(keys, set()).add(tuple(_freeze(item.value[key]) for key in keys))
    if len(excluded) > MOST_SUBSETS:
        message = f"'{EXCLUDE_KEY}' combines axes in {len(excluded):,} ways"
        findings.append(Finding(exclude.mark, f"{message}; at most {MOST_SUBSETS} are allowed"))
    return excluded


def _list_seeds(
    node: Node, axes: Mapping[str, _Axis], count: int, findings: list[Finding]
) -> list[int | None]:
    """The seeds of a check: `count` from its own on; [None] for its own only."""
    if count == 1:
        return [None]
    if SEED in axes:
        message = f"'{SEED}' is an axis of the matrix, and --seeds would make it another"
        findings.append(Finding(axes[SEED].mark, message))
    own = node.child(*SEED.split("."))
    first = own.value if own is not None and type(own.value) is int else 0
    return [first + position for position in range(count)]


def _name_axes(axes: Mapping[str, _Axis]) -> dict[str, str]:
    """The names of axes in ids: `n` for `shapes.n`, unless another axis ends in `n`, too."""
    last = [key.rpartition(".")[2] for key in axes]
    return {
        key: short if last.count(short) == 1 else key for key, short in zip(axes, last, strict=True)
    }


def _label_values(values: Sequence[Node]) -> list[str]:
    """The labels of values in ids: a short text, or `#` and the position if there is none or it is
    not unique."""
    labels = [_label(value) for value in values]
    counts = Counter(labels)
    return [
        label if label and counts[label] == 1 else f"#{position}"
        for position, label in enumerate(labels, start=1)
    ]


def _label(node: Node) -> str:
    """The label of a value in ids; empty if it has no short text."""
    value = node.value
    if isinstance(value, list):
        parts = [_label(item) if not isinstance(item.value, list) else "" for item in value]
        text = "x".join(parts) if all(parts) else ""
    elif value is None or isinstance(value, dict):
        text = ""
    else:
        text = node.describe().strip("'")
    fits = len(text) <= LONGEST_VALUE and text.isprintable() and not set(text) & _SPECIAL
    return text if fits else ""


def _freeze(node: Node) -> Any:
    """The value of a node as a hashable object; equal values give equal objects."""
    if isinstance(node.value, dict):
        return frozenset((key, _freeze(child)) for key, child in node.value.items())
    if isinstance(node.value, list):
        return tuple(map(_freeze, node.value))
    return node.value
