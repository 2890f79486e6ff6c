"""Expand a config file to its checks: each item of `checks:` inherits the keys above it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.item import Item
from gradcheck_cli.config.matrix import multiply
from gradcheck_cli.config.overrides import Overrides, apply_sets
from gradcheck_cli.config.schema import CHECKS_KEY, MATRIX_KEY
from gradcheck_cli.config.yaml_tree import Node

MOST_CHECKS = 10_000  # of a config: more than anyone reads, and validated in some seconds


def expand(
    root: Node, default_name: str, overrides: Overrides, findings: list[Finding]
) -> list[Item]:
    """The checks of a file, at most MOST_CHECKS.

    default_name: the name of checks where the file has none.
    """
    items: list[Item] = []
    root = _inherit(root, overrides.defaults)
    name = read_name(root) or default_name
    for item in _list_checks(root, name, findings):
        node = item.node
        if len(items) == MOST_CHECKS:
            message = f"a config may have {MOST_CHECKS:,} checks; from here on there are more"
            findings.append(Finding(node.mark, message))
            break
        if isinstance(node.value, dict) and (MATRIX_KEY in node.value or overrides.seeds > 1):
            items += multiply(item, overrides, MOST_CHECKS - len(items), findings)
        elif isinstance(node.value, dict):
            items.append(replace(item, node=apply_sets(node, overrides.sets, findings)))
        else:
            items.append(item)
    return items


def _list_checks(root: Node, name: str, findings: list[Finding]) -> Iterator[Item]:
    """The items of `checks`, or else the file as a single item, with their names."""
    if not isinstance(root.value, dict) or CHECKS_KEY not in root.value:
        yield Item(root, name)
        return
    items = root.value[CHECKS_KEY]
    if not isinstance(items.value, list) or not items.value:
        findings.append(Finding(items.mark, "'checks' must be a list of one check or more"))
        return
    defaults = _without_key(root, CHECKS_KEY)
    place = 0
    for item in items.value:
        if not isinstance(item.value, dict):
            findings.append(Finding(item.mark, "a check must be a mapping of keys"))
        elif CHECKS_KEY in item.value:
            mark = item.keys[CHECKS_KEY]
            findings.append(Finding(mark, "'checks' cannot stand inside a check"))
        else:
            place += 1
            yield Item(_inherit(item, defaults), read_name(item) or f"{name}[{place}]")


def read_name(node: Node) -> str | None:
    """The name in a mapping; None if there is none."""
    name = node.child("name")
    return name.value if name is not None and isinstance(name.value, str) else None


def _inherit(own: Node, defaults: Node) -> Node:
    """`own` with the keys of `defaults` that it lacks; nested mappings are merged, too."""
    if not isinstance(own.value, dict) or not isinstance(defaults.value, dict):
        return own
    merged = dict(defaults.value)
    for name, child in own.value.items():
        merged[name] = _inherit(child, merged[name]) if name in merged else child
    shared = frozenset(defaults.value) - set(own.value)
    return Node(merged, own.mark, {**defaults.keys, **own.keys}, shared=shared)


def _without_key(node: Node, name: str) -> Node:
    """A mapping without one of its keys."""
    assert isinstance(node.value, dict)
    kept = {key: child for key, child in node.value.items() if key != name}
    marks = {key: mark for key, mark in node.keys.items() if key != name}
    return Node(kept, node.mark, marks, shared=node.shared)
