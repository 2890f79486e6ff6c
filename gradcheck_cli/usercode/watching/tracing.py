"""Find the line of the user's code that computes a gradient."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.errors import is_ours
from gradcheck_cli.text import format_path

MOST_LINES = 30_000  # watched in one call, which takes about a second; the rest runs at full speed
MOST_PARTS = 50  # how many parts of a list, a dict or an object are looked at
_ARRAYS = np.ndarray, np.generic
_PLAIN = (
    int,
    float,
    str,
    list,
    tuple,
    dict,
    type(None),
    FunctionType,
)  # quickly known to be no arrays
INSTALLED = (
    "site-packages",
    "dist-packages",
    f"{sys.prefix}/lib/python",
    f"{sys.base_prefix}/lib/",
)


def find_lines(call: Callable[[], Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """The function and line after which each array exists: `affine_backward, layers.py:12` by name.

    call: computes arrays equal to those of `wanted`; it is called once, and watched line by line.
    An array that a function got as an argument is not found there; nothing is found where another
    tracer, such as a debugger, is active.
    """
    arrays = {
        name: array for name, value in wanted.items() if (array := view_as_array(value)) is not None
    }
    if sys.gettrace() is not None:
        return {}
    watcher = _Watcher({name: array.ravel() for name, array in arrays.items() if array.size})
    sys.settrace(watcher.enter)
    try:
        call()
    finally:
        sys.settrace(None)
    return {
        name: f"{code.co_qualname}, {format_path(code.co_filename)}:{line}"
        for name, (code, line) in watcher.found.items()
    }


class _Watcher:
    """A tracer that searches for arrays in the variables of the user's functions, line by line.

    found: for each array, the code of a function and the line that computed it.
    """

    def __init__(self, wanted: Mapping[str, NDArray[Any]]) -> None:
        self.wanted = dict(wanted)
        self.found: dict[str, tuple[CodeType, int]] = {}
        self.lines = 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Trace a function that is entered; its arguments were not computed there."""
        if len(self.found) == len(self.wanted) or not is_users(frame.f_code.co_filename):
            return None
        arguments = set(self.find_among(frame.f_locals.values()))
        last = frame.f_lineno

        def step(frame: FrameType, event: str, value: Any) -> Any:
            """Before a line or a return: find what the line before it has computed."""
            nonlocal last
            self.lines += 1
            if self.lines > MOST_LINES:
                sys.settrace(None)
                return None
            if event in ("line", "return"):
                returned = [value] * (event == "return")
                for name in self.find_among([*frame.f_locals.values(), *returned]):
                    if name not in arguments:
                        self.found[name] = (frame.f_code, last)
                last = frame.f_lineno
            return step

        return step

    def find_among(self, values: Iterable[Any]) -> list[str]:
        """The names of the wanted arrays that are among these values or parts of them."""
        open_ones = {name: one for name, one in self.wanted.items() if name not in self.found}
        if not open_ones:
            return []
        parts = [array for value in values for array in _parts(value)]
        return [name for name, one in open_ones.items() if any(_same(part, one) for part in parts)]


def _same(array: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Whether an array has the numbers of the wanted one, in any shape."""
    if array.size != wanted.size:
        return False
    return bool(np.array_equal(array.ravel(), wanted, equal_nan=array.dtype.kind in "fc"))


def view_as_array(value: Any) -> NDArray[Any] | None:
    """An array or a tensor as an array in the same memory; None for anything else."""
    if isinstance(value, _ARRAYS):
        return np.asarray(value)
    if isinstance(value, _PLAIN):
        return None
    with suppress(Exception):  # a tensor without numbers, or on another device
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            return np.asarray(value.detach().cpu().numpy())
        if type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
            return np.asarray(value)  # read only
    return None


def _parts(value: Any, depth: int = 2) -> Iterator[NDArray[Any]]:
    """The arrays in a value: itself, or those in a list, a dict or an object, at most two levels
    deep."""
    array = view_as_array(value)
    if array is not None:
        yield array
    elif depth and isinstance(value, dict | list | tuple):
        inner = list(value.values()) if isinstance(value, dict) else list(value)
        for part in inner[:MOST_PARTS]:
            yield from _parts(part, depth - 1)
    elif (
        depth == 2
        and hasattr(value, "__dict__")
        and not (isinstance(value, type) or callable(value))
    ):
        for part in list(vars(value).values())[:MOST_PARTS]:
            yield from _parts(part, depth - 1)


@cache  # called for every function that is entered
def is_users(file: str) -> bool:
    """Whether a file is the user's, not one of Python, a library or this package."""
    return not (file.startswith("<") or is_ours(file) or any(part in file for part in INSTALLED))
