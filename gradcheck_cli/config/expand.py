"""One config file → its checks: each item of `checks:` inherits the keys above it."""

from __future__ import annotations

from msgspec import Struct

from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.matrix import variants
from gradcheck_cli.config.overrides import Overrides
from gradcheck_cli.config.schema import CHECKS_KEY
from gradcheck_cli.config.yaml_tree import Node

MOST_CHECKS = 10_000  # of a config; more than anyone reads, and some seconds to validate


class Item(Struct, frozen=True):
    """A check of a file: its keys, with inherited ones filled in and every position kept.

    place: which item of `checks` it is, from 1; 0 where there is no list.
    axes: `n=8` for each axis of a matrix; seed: where `--seeds` gave it one.
    """

    node: Node
    place: int = 0
    axes: tuple[str, ...] = ()
    seed: int | None = None


def expand(root: Node, overrides: Overrides, findings: list[Finding]) -> list[Item]:
    """The checks of a file, at most MOST_CHECKS of them."""
    found: list[Item] = []
    for place, node in enumerate(_items(root, findings), start=int(_has_list(root))):
        if len(found) == MOST_CHECKS:
            message = f"a config may have {MOST_CHECKS:,} checks; from here on there are more"
            findings.append(Finding(node.mark, message))
            break
        made = variants(node, overrides, MOST_CHECKS - len(found), findings)
        found += [Item(one.node, place, one.axes, one.seed) for one in made]
    return found


def _has_list(root: Node) -> bool:
    return isinstance(root.value, dict) and CHECKS_KEY in root.value


def _items(root: Node, findings: list[Finding]) -> list[Node]:
    """The items of `checks`, or the file as a whole."""
    if not _has_list(root):
        return [root]
    assert isinstance(root.value, dict)
    items = root.value[CHECKS_KEY]
    if not isinstance(items.value, list) or not items.value:
        findings.append(Finding(items.mark, "'checks' must be a list of one check or more"))
        return []
    defaults = without(root, CHECKS_KEY)
    checks = []
    for item in items.value:
        if not isinstance(item.value, dict):
            findings.append(Finding(item.mark, "a check must be a mapping of keys"))
        elif CHECKS_KEY in item.value:
            mark = item.keys[CHECKS_KEY]
            findings.append(Finding(mark, "'checks' cannot stand inside a check"))
        else:
            checks.append(inherit(item, defaults))
    return checks


def inherit(own: Node, defaults: Node) -> Node:
    """`own` with the keys of `defaults` it lacks; mappings are merged key by key."""
    if not isinstance(own.value, dict) or not isinstance(defaults.value, dict):
        return own
    merged = dict(defaults.value)
    for name, child in own.value.items():
        merged[name] = inherit(child, merged[name]) if name in merged else child
    return Node(merged, own.mark, {**defaults.keys, **own.keys})


def without(node: Node, name: str) -> Node:
    """A mapping without one of its keys."""
    assert isinstance(node.value, dict)
    kept = {key: child for key, child in node.value.items() if key != name}
    marks = {key: mark for key, mark in node.keys.items() if key != name}
    return Node(kept, node.mark, marks)
