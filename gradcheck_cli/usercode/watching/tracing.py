"""Where a gradient is computed: the line of the user's after which it is there."""

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

MOST_LINES = 30_000  # that are watched in one call: about a second; the rest runs at full speed
MOST_PARTS = 50  # of a list, a dict or an object that are looked at
_ARRAYS = np.ndarray, np.generic
_PLAIN = int, float, str, list, tuple, dict, type(None), FunctionType  # most of what else is held
INSTALLED = (
    "site-packages",
    "dist-packages",
    f"{sys.prefix}/lib/python",
    f"{sys.base_prefix}/lib/",
)


def find_lines(call: Callable[[], Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """`affine_backward, layers.py:12` by name: after which lines of the user's arrays are there.

    call: computes arrays of these values; it is called once, and watched line by line. None is
    found for what was handed over as it is, nor where another tracer, as a debugger, is at work.
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
    """Looks for arrays in what the functions of the user hold, before each of their lines.

    found: of each array, the function and its line after which it was there first.
    """

    def __init__(self, wanted: Mapping[str, NDArray[Any]]) -> None:
        self.wanted = dict(wanted)
        self.found: dict[str, tuple[CodeType, int]] = {}
        self.lines = 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Note what a function is handed when it is entered: it was not computed there."""
        if len(self.found) == len(self.wanted) or not is_users(frame.f_code.co_filename):
            return None
        handed = set(self.held(frame.f_locals.values()))
        last = frame.f_lineno

        def step(frame: FrameType, event: str, value: Any) -> Any:
            """A line is about to be run or returned from: what did the one before compute?"""
            nonlocal last
            self.lines += 1
            if self.lines > MOST_LINES:
                sys.settrace(None)
                return None
            if event in ("line", "return"):
                for name in self.held([*frame.f_locals.values(), *[value] * (event == "return")]):
                    if name not in handed:
                        self.found[name] = (frame.f_code, last)
                last = frame.f_lineno
            return step

        return step

    def held(self, values: Iterable[Any]) -> list[str]:
        """Which of the arrays that are looked for are among these, or are parts of them."""
        open_ones = {name: one for name, one in self.wanted.items() if name not in self.found}
        if not open_ones:
            return []
        parts = [array for value in values for array in _parts(value)]
        return [name for name, one in open_ones.items() if any(_same(part, one) for part in parts)]


def _same(array: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Whether this is the array that is looked for, in whatever shape."""
    if array.size != wanted.size:
        return False
    return bool(np.array_equal(array.ravel(), wanted, equal_nan=array.dtype.kind in "fc"))


def view_as_array(value: Any) -> NDArray[Any] | None:
    """An array or a tensor as an array of the same memory; None for all else."""
    if isinstance(value, _ARRAYS):
        return np.asarray(value)
    if isinstance(value, _PLAIN):
        return None
    with suppress(Exception):  # of one that has no numbers, or lives elsewhere
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            return np.asarray(value.detach().cpu().numpy())
        if type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
            return np.asarray(value)  # read only
    return None


def _parts(value: Any, depth: int = 2) -> Iterator[NDArray[Any]]:
    """An array; the arrays in a list, a dict, or the attributes of an object, and in these."""
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


@cache  # it is asked of every function that is entered
def is_users(file: str) -> bool:
    """Whether a file is the user's, and not of Python, of a library or of this package."""
    return not (file.startswith("<") or is_ours(file) or any(part in file for part in INSTALLED))
