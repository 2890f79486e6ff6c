"""Which function of the user's wrote an array: the innermost that returned it as it stayed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.text import format_path


class Returned:
    """The arrays that functions in files below a folder return while it is entered.

    With copies: a function that made an array which another fills did not write it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.join(os.path.realpath(folder), "")
        # By id; the array itself is kept, so that no other gets its id.
        self.records: dict[int, list[tuple[CodeType, NDArray[Any], NDArray[Any]]]] = {}

    def __enter__(self) -> Returned:
        """Begin to look."""
        self.before = sys.getprofile()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        """Look no more."""
        sys.setprofile(self.before)

    def _note(self, frame: FrameType, event: str, value: Any) -> None:
        """What Python calls whenever a function returns, among others."""
        code = frame.f_code
        if event != "return" or code.co_name.startswith("<"):
            return
        if os.path.realpath(code.co_filename).startswith(self.folder):
            for array in _list_arrays(value):
                self.records.setdefault(id(array), []).append((code, array, array.copy()))

    def find(self, array: Any) -> str:
        """`weights, layers.py:12`: the function that wrote an array; empty where none is known."""
        for code, _, copied in self.records.get(id(array), []):
            if np.array_equal(copied, array, equal_nan=True):
                return f"{code.co_qualname}, {format_path(code.co_filename)}:{code.co_firstlineno}"
        return ""


def _list_arrays(value: Any) -> Iterator[NDArray[Any]]:
    """The arrays of floats that a returned value is or holds."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _list_arrays(part)
    elif isinstance(value, Mapping):
        yield from _list_arrays(list(value.values()))
