"""`matrix`: one check → a check for every combination of the values of its axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from msgspec import Struct

from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.overrides import SEED, Overrides
from gradcheck_cli.config.schema import CHECKS_KEY, EXCLUDE_KEY, MATRIX_KEY, shown
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.text import suggest

_OF_IDS = "[],= *?"  # characters that mean something in an id or in a glob of ids
LONGEST_VALUE = 24  # characters of a value in an id; of a longer one, its position stands there
_EXAMPLE = "such as {reduction: [sum, mean], shapes.n: [1, 8]}"
# What is about more than one check, and cannot differ between those of a matrix.
_NO_AXES = ("version", "name", MATRIX_KEY, CHECKS_KEY)


class Variant(Struct, frozen=True):
    """A check of a matrix: its keys, `n=8` for every axis but the seed of `--seeds`, and that."""

    node: Node
    axes: tuple[str, ...] = ()
    seed: int | None = None


class _Axis(Struct):
    """A dotted key, its place, its values, and what stands for each of them in an id."""

    key: str
    mark: Mark
    values: list[Node]
    labels: list[str]


def variants(
    node: Node, overrides: Overrides, most: int, findings: list[Finding]
) -> Iterator[Variant]:
    """The checks that a mapping stands for, with what the command line sets.

    A matrix of more than `most` checks is a finding.
    """
    if not isinstance(node.value, dict):
        yield Variant(node)
        return
    before = len(findings)
    matrix = node.value.get(MATRIX_KEY)
    axes = _axes(matrix, findings) if matrix is not None else {}
    excluded = _excluded(matrix, axes, findings) if matrix is not None else []
    plain = _overridden(_without_matrix(node), axes, overrides, findings)
    seeds = _seeds(plain, axes, overrides.seeds, findings)
    count = prod(len(axis.values) for axis in axes.values()) * len(seeds)
    if count > most:
        mark = node.keys.get(MATRIX_KEY, node.mark)
        message = f"these are {count:,} checks; a config may have at most {most:,} here"
        findings.append(Finding(mark, message))
    if len(findings) > before:
        return
    kept = 0
    for chosen, labels in _combinations(axes, excluded):
        kept += 1
        variant = plain
        for key, value in chosen.items():
            variant = place(variant, key, value, axes[key].mark, findings)
        for seed in seeds:
            yield _seeded(variant, labels, seed, overrides.seeds, findings)
    if not kept:
        findings.append(Finding(node.keys[MATRIX_KEY], f"'{EXCLUDE_KEY}' leaves no check"))


def _overridden(
    plain: Node, axes: dict[str, _Axis], overrides: Overrides, findings: list[Finding]
) -> Node:
    """A mapping with what `--set` says; what is said of an axis pins it there."""
    for override in overrides.sets:
        if override.key in axes:
            axes[override.key] = _pinned(axes[override.key], override.node)
        elif _may_be_set(override.key, override.mark, findings):
            plain = place(plain, override.key, override.node, override.mark, findings)
    return plain


def _combinations(
    axes: Mapping[str, _Axis], excluded: Sequence[Mapping[str, Node]]
) -> Iterator[tuple[dict[str, Node], tuple[str, ...]]]:
    """A value of every axis, by key, and what the id says of them."""
    names = _names(axes)
    for choice in product(*(range(len(axis.values)) for axis in axes.values())):
        places = dict(zip(axes, choice, strict=True))
        chosen = {key: axes[key].values[i] for key, i in places.items()}
        if not any(_is_excluded(chosen, values) for values in excluded):
            yield chosen, tuple(f"{names[key]}={axes[key].labels[i]}" for key, i in places.items())


def _seeded(
    node: Node, labels: tuple[str, ...], seed: int | None, seeds: int, findings: list[Finding]
) -> Variant:
    """A combination with a seed of `--seeds`, or with its own."""
    if seed is None:
        return Variant(node, labels)
    mark = Mark(1, 1, 1, f"--seeds {seeds}")
    return Variant(place(node, SEED, Node(seed, mark), mark, findings), labels, seed)


def _without_matrix(node: Node) -> Node:
    assert isinstance(node.value, dict)
    kept = {key: child for key, child in node.value.items() if key != MATRIX_KEY}
    return Node(kept, node.mark, {key: node.keys[key] for key in kept if key in node.keys})


def _axes(matrix: Node, findings: list[Finding]) -> dict[str, _Axis]:
    """The axes of a matrix, by key."""
    if not isinstance(matrix.value, dict):
        message = f"'{MATRIX_KEY}' must be a mapping from keys to lists, {_EXAMPLE}"
        findings.append(Finding(matrix.mark, f"{message}, got {shown(matrix)}"))
        return {}
    axes = {}
    for key, values in matrix.value.items():
        mark = matrix.keys.get(key, values.mark)
        if key == EXCLUDE_KEY or not _may_be_set(key, mark, findings):
            continue
        if not isinstance(values.value, list) or not values.value:
            message = f"the axis '{key}' must be a list of one value or more, got {shown(values)}"
            findings.append(Finding(values.mark, message))
            continue
        for position, value in enumerate(values.value):
            if any(value.plain() == other.plain() for other in values.value[:position]):
                message = f"the axis '{key}' has the value {shown(value)} twice"
                findings.append(Finding(value.mark, message))
        axes[key] = _Axis(key, mark, values.value, _labels(values.value))
    if not axes and not findings:
        message = f"'{MATRIX_KEY}' must have an axis or more, {_EXAMPLE}"
        findings.append(Finding(matrix.mark, message))
    return axes


def _may_be_set(key: str, mark: Mark, findings: list[Finding]) -> bool:
    """Whether a dotted key can be an axis or set from outside; if not, that is found."""
    first, *rest = key.split(".")
    if first in _NO_AXES:
        findings.append(Finding(mark, f"'{first}' cannot be set for checks one by one"))
        return False
    if not first or not all(rest):
        findings.append(Finding(mark, f"'{key}' is no dotted key, such as shapes.n"))
        return False
    return True


def _excluded(
    matrix: Node, axes: Mapping[str, _Axis], findings: list[Finding]
) -> list[dict[str, Node]]:
    """The combinations that are left out: of some axes, the values."""
    exclude = matrix.child(EXCLUDE_KEY)
    if exclude is None:
        return []
    if not isinstance(exclude.value, list):
        message = f"'{EXCLUDE_KEY}' must be a list of mappings from axes to values"
        findings.append(Finding(exclude.mark, f"{message}, got {shown(exclude)}"))
        return []
    found = []
    for item in exclude.value:
        if not isinstance(item.value, dict) or not item.value:
            message = f"a combination to exclude must be a mapping, got {shown(item)}"
            findings.append(Finding(item.mark, message))
            continue
        for key, value in item.value.items():
            if key not in axes:
                message = f"there is no axis '{key}'{suggest(key, axes, 'the axes are')}"
                findings.append(Finding(item.keys.get(key, value.mark), message))
            elif all(value.plain() != one.plain() for one in axes[key].values):
                message = f"the axis '{key}' has no value {shown(value)}"
                findings.append(Finding(value.mark, message))
        found.append(item.value)
    return found


def _is_excluded(chosen: Mapping[str, Node], values: Mapping[str, Node]) -> bool:
    return all(chosen[key].plain() == value.plain() for key, value in values.items())


def _pinned(axis: _Axis, value: Node) -> _Axis:
    """The axis with one value alone; its id stays what it was among the others."""
    for one, label in zip(axis.values, axis.labels, strict=True):
        if one.plain() == value.plain():
            return _Axis(axis.key, axis.mark, [value], [label])
    return _Axis(axis.key, axis.mark, [value], [_label(value) or "set"])


def _seeds(
    node: Node, axes: Mapping[str, _Axis], count: int, findings: list[Finding]
) -> list[int | None]:
    """So many seeds, from that of the check on; None alone stands for its own."""
    if count == 1:
        return [None]
    if SEED in axes:
        message = f"'{SEED}' is an axis of the matrix, and --seeds would make it another"
        findings.append(Finding(axes[SEED].mark, message))
    own = node.child(*SEED.split("."))
    first = own.value if own is not None and type(own.value) is int else 0
    return [first + position for position in range(count)]


def _names(axes: Mapping[str, _Axis]) -> dict[str, str]:
    """What axes are called in ids: `n` of `shapes.n`, where no other axis ends so."""
    last = [key.rpartition(".")[2] for key in axes]
    return {
        key: short if last.count(short) == 1 else key for key, short in zip(axes, last, strict=True)
    }


def _labels(values: Sequence[Node]) -> list[str]:
    """What values are called in ids; the position of those that have no short name of their own."""
    labels = [_label(value) for value in values]
    return [
        label if label and labels.count(label) == 1 else f"#{position}"
        for position, label in enumerate(labels, start=1)
    ]


def _label(node: Node) -> str:
    value = node.value
    if isinstance(value, list):
        parts = [_label(item) if not isinstance(item.value, list) else "" for item in value]
        text = "x".join(parts) if all(parts) else ""
    elif value is None or isinstance(value, dict):
        text = ""
    else:
        text = shown(node).strip("'")
    return (
        text
        if len(text) <= LONGEST_VALUE and text.isprintable() and not set(text) & set("[],= *?")
        else ""
    )


def place(node: Node, key: str, value: Node, mark: Mark, findings: list[Finding]) -> Node:
    """A mapping with a value at a dotted key; what is missing on the way there is made.

    What is not a mapping on the way is a finding.
    """
    first, _, rest = key.partition(".")
    assert isinstance(node.value, dict)
    if not rest:
        return Node({**node.value, first: value}, node.mark, {**node.keys, first: mark})
    inner = node.value.get(first)
    if inner is None or inner.value is None:
        inner = Node({}, mark)
    if not isinstance(inner.value, dict):
        message = f"'{first}' is {shown(inner)}, which has no key '{rest}'"
        findings.append(Finding(mark, message))
        return node
    child = place(inner, rest, value, mark, findings)
    keys = {**node.keys, first: node.keys.get(first, mark)}
    return Node({**node.value, first: child}, node.mark, keys)
