"""Copy the values that the user's functions get, so that every call has its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.objects import list_parts


def copy_deep(value: Any) -> Any:
    """A deep copy, except that parts which cannot be copied (modules, locks, files) are shared.

    Raises CodeError where a value cannot be copied even so.
    """
    try:
        return copy.deepcopy(value)
    except Exception:  # an object may raise anything when it is copied
        shared = {id(part): part for part in _find_uncopied(value, set())}
    try:
        return copy.deepcopy(value, shared)
    except Exception as error:
        raise CodeError.raised(f"copying an object of {type(value).__name__}", error) from error


def _find_uncopied(value: Any, seen: set[int]) -> Iterator[Any]:
    """The innermost parts of a value that cannot be copied."""
    if id(value) in seen:
        return
    seen.add(id(value))
    try:
        copy.deepcopy(value)
    except Exception:
        parts = [part for _, part in list_parts(value)]
        yield from [one for part in parts for one in _find_uncopied(part, seen)] or [value]
