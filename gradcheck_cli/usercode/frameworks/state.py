"""Whether the user's code may store something from one call to the next, as its code shows.

To map a function over points, a framework passes it special tensors, which must not be stored:
they are of no use after the call.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from gradcheck_cli.usercode.watching.tracing import is_users

# Values that cannot store anything, and arrays, which mapped functions cannot write to.
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.ndarray, np.generic, ModuleType)
KEEPS = ("STORE_GLOBAL", "DELETE_GLOBAL")  # instructions that change names outside of a function


def keeps_nothing(value: Any, plain: tuple[type, ...] = ()) -> bool:
    """Whether a call stores nothing in what a function can reach besides its arguments.

    value: a function, or something it reaches by global names, its closure or its defaults. Lists,
    dicts and objects may store something; functions of libraries count as storing nothing.
    plain: more types of values that store nothing.
    """
    return _keeps_nothing(value, (*PLAIN, *plain), set())


def _keeps_nothing(value: Any, plain: tuple[type, ...], seen: set[int]) -> bool:
    if id(value) in seen or isinstance(value, plain):
        return True
    seen.add(id(value))
    if isinstance(value, tuple | frozenset):
        return all(_keeps_nothing(part, plain, seen) for part in value)
    if isinstance(value, staticmethod | classmethod):
        return _keeps_nothing(value.__func__, plain, seen)
    if isinstance(value, type):
        return not is_users_class(value) or all(
            _keeps_nothing(part, plain, seen) for part in list_functions(value)
        )
    if not isinstance(value, FunctionType):
        return callable(value) and not hasattr(value, "__dict__")  # such as built-in functions
    if not is_users(value.__code__.co_filename):
        return True
    return not any(map(_stores, _codes(value.__code__))) and all(
        _keeps_nothing(part, plain, seen) for part in _list_reached(value)
    )


def is_users_class(kind: type) -> bool:
    """Whether a class is the user's: one of its functions is."""
    return any(is_users(function.__code__.co_filename) for function in list_functions(kind))


def list_functions(kind: type) -> list[FunctionType]:
    """The functions of a class itself, not those it inherits."""
    own = [getattr(part, "__func__", part) for part in vars(kind).values()]
    return [part for part in own if isinstance(part, FunctionType)]


def _list_reached(function: FunctionType) -> Iterator[Any]:
    """The values that a function reaches besides its arguments."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    yield from (function.__globals__[name] for name in names if name in function.__globals__)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the cell is still empty
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of the functions inside it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes(part)


def _stores(code: CodeType) -> bool:
    """Whether code assigns to a global name, or to a variable of an enclosing function."""
    return any(
        step.opname in KEEPS or (step.opname == "STORE_DEREF" and step.argval in code.co_freevars)
        for step in dis.get_instructions(code)
    )
