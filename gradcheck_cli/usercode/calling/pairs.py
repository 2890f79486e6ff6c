"""A forward and a backward of the user, where the two come from, and a call of one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from gradcheck_cli.errors import CodeError, GradcheckError, is_ours
from gradcheck_cli.text import format_path
from gradcheck_cli.usercode.calling.signatures import Call, name_of

Function = Callable[..., Any]


class Pair(Struct, frozen=True):
    """A forward and a backward that share what the forward remembers; owner: their object."""

    forward: Function
    backward: Function
    owner: Any = None


class Source(Struct, frozen=True):
    """Where a pair comes from: made anew for every call, with the values its object holds.

    forward, backward: their names, for messages; held: inputs and constants set on the object;
    changed: those of them that the object does not hold as they were set, by name.
    """

    make: Callable[[Mapping[str, Any]], Pair]
    forward: str
    backward: str
    held: tuple[str, ...] = ()
    changed: Callable[[Any, Mapping[str, Any]], list[str]] = lambda owner, values: []


def call_function(function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
    """Call the user's function, to the end where it gives one value after the other; what it raises
    becomes a CodeError with their lines."""
    __tracebackhide__ = True
    try:
        returned = call(function, values)
        return tuple(returned) if isinstance(returned, Iterator) else returned
    except (GradcheckError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CodeError.raised(who, error) from error


def find_place(pair: Pair) -> str:
    """Where the code of the gradients is: that of the backward, or of the one function there is."""
    for function in (pair.backward, pair.forward):
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and not is_ours(code.co_filename):
            return f"{name_of(function)}, {format_path(code.co_filename)}:{code.co_firstlineno}"
    return ""
