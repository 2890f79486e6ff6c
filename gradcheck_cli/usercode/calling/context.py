"""The `ctx` that static methods forward(ctx, x) and backward(ctx, delta) share, without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gradcheck_cli.usercode.calling.signatures import Parameters

CONTEXT = "the context"  # its name in a `Call`: no identifier, so that no parameter has this name
CONTEXT_NAMES = ("ctx", "context")


class Context:
    """Holds what a forward saves for its backward, which may set attributes of any name, too."""

    def __init__(self) -> None:
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *values: Any) -> None:
        """Keep values for the backward, which finds them in `saved_tensors`, as in torch."""
        self.saved_tensors = values

    def __getattr__(self, name: str) -> Any:
        """The saved values under another name that starts with `saved`, such as saved_values."""
        if name.startswith("saved"):
            return self.saved_tensors
        raise AttributeError(f"the context holds no '{name}'")

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Do nothing: an output that is no array of floats is not checked anyway."""


def find_context(takes: Parameters, given: Collection[str]) -> Mapping[str, str]:
    """The first parameter of a function with the value CONTEXT, if it is called like a context.

    given: the names of inputs and constants; a parameter with one of these names gets that.
    """
    lacking = len(takes.required) > len(given)
    wanted = CONTEXT_NAMES[: 2 if lacking else 1]  # `context` may be the data of attention
    return {name: CONTEXT for name in takes.positional[:1] if name in wanted and name not in given}
