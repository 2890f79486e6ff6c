"""A forward that returns its backward as a function: `return y, backward`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.calling.pairs import Function
from gradcheck_cli.usercode.problems import from_functions


def from_closure(
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None,
    refusal: CodeError,
    **known: Any,
) -> Problem:
    """The problem of a forward that returns (out, backward); backward takes the upstream gradient.

    known: further arguments of `from_functions`. Raises the refusal where no function is returned.
    """
    returns_function = False

    @wraps(forward)
    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal returns_function
        returned = forward(*arguments, **keywords)
        last = returned[-1] if isinstance(returned, tuple | list) and returned else None
        returns_function = callable(last)
        return returned

    made = None
    try:
        made = from_functions(call, call_kept, inputs, constants, **known)
    except CodeError:
        if returns_function:
            raise
    if made is None or not returns_function:
        raise refusal
    return made


def call_kept(delta: Any, cache: Function) -> Any:
    """Call the backward that the forward returned."""
    return cache(delta)
