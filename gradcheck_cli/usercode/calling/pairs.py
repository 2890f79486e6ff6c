"""A forward and its backward, how they are made, and how one of them is called."""

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
    """A forward and its backward. owner: the object with both methods; None: plain functions."""

    forward: Function
    backward: Function
    owner: Any = None


class Source(Struct, frozen=True):
    """Makes a new pair for every call, so that no state is carried over.

    make: values → a pair whose object holds these values.
    forward, backward: their names, for messages.
    held: the inputs and constants that are set on the object instead of passed.
    changed: (object, values) → the held ones that the object no longer has as they were set.
    """

    make: Callable[[Mapping[str, Any]], Pair]
    forward: str
    backward: str
    held: tuple[str, ...] = ()
    changed: Callable[[Any, Mapping[str, Any]], list[str]] = lambda owner, values: []


def call_function(function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
    """Call the user's function; a generator runs to its end and gives a tuple.

    Raises CodeError with the user's lines for whatever the function raises.
    """
    __tracebackhide__ = True
    try:
        returned = call(function, values)
        return tuple(returned) if isinstance(returned, Iterator) else returned
    except (GradcheckError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CodeError.raised(who, error) from error


def locate_code(pair: Pair) -> str:
    """Where the backward is defined, `backward, net.py:12`; empty if that is not in a file.

    One function that computes both is found as the forward.
    """
    for function in (pair.backward, pair.forward):
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and not is_ours(code.co_filename):
            return f"{name_of(function)}, {format_path(code.co_filename)}:{code.co_firstlineno}"
    return ""
