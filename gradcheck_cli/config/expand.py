"""One config file → its checks: each item of `checks:` inherits the keys above it."""

from __future__ import annotations

from gradcheck_cli.config.located import Node
from gradcheck_cli.config.schema import CHECKS_KEY
from gradcheck_cli.errors import Finding


def expand(root: Node, findings: list[Finding]) -> list[Node]:
    """The checks of a file, with inherited keys filled in and every position kept."""
    if not isinstance(root.value, dict) or CHECKS_KEY not in root.value:
        return [root]
    items = root.value[CHECKS_KEY]
    if not isinstance(items.value, list) or not items.value:
        findings.append(Finding(items.mark, "'checks' must be a list of one check or more"))
        return []
    defaults = _without(root, CHECKS_KEY)
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


def _without(node: Node, name: str) -> Node:
    assert isinstance(node.value, dict)
    kept = {key: child for key, child in node.value.items() if key != name}
    return Node(kept, node.mark, node.keys)
