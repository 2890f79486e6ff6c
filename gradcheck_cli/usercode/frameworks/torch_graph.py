"""Walk the graph that torch keeps of a forward, and find the user's own functions in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradcheck_cli.text import format_path
from gradcheck_cli.usercode.calling.signatures import name_of


def list_nodes(last: Any) -> Iterator[Any]:
    """The nodes of a graph, from the last one back to the leaves."""
    found, ahead = {last}, [last]
    while ahead:
        node = ahead.pop()
        yield node
        before = {further for further, _ in node.next_functions if further is not None} - found
        found |= before
        ahead += before


def find_backward_passes(
    outputs: Sequence[Any], leaves: Mapping[str, Any]
) -> dict[str, dict[int, str]]:
    """The torch.autograd.Functions between the outputs and each leaf, by the number of their node.

    Such a node has the class as `_forward_cls`; the node of a leaf has its tensor as `variable`.
    """
    passed: dict[str, dict[int, str]] = {name: {} for name in leaves}
    ends = [one.grad_fn for one in outputs if one.grad_fn is not None]
    for number, node in enumerate(dict.fromkeys(n for end in ends for n in list_nodes(end))):
        own = getattr(node, "_forward_cls", None)
        if own is None:
            continue
        below = {id(getattr(other, "variable", None)) for other in list_nodes(node)}
        for name, leaf in leaves.items():
            if id(leaf) in below:
                passed[name][number] = _place(own)
    return passed


def _place(function: Any) -> str:
    """Where the backward of a torch.autograd.Function is defined: `Square, net.py:12`."""
    code = getattr(function.backward, "__code__", None)
    if code is None:
        return name_of(function)
    return f"{name_of(function)}, {format_path(code.co_filename)}:{code.co_firstlineno}"
