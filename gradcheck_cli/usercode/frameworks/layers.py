"""Turn hand-written functions and layers of tensors into ones of NumPy arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.objects import list_places
from gradcheck_cli.usercode.copies import copy_deep
from gradcheck_cli.usercode.frameworks import find_tensors, recognize, to_arrays
from gradcheck_cli.usercode.frameworks.differentiable import convert, floats_in
from gradcheck_cli.usercode.trees import leaves, rebuild

Method = Callable[..., Any]


def as_function_of_arrays(target: Any, framework: str | None, dtype: str) -> Callable[..., Any]:
    """A framework's function as one of NumPy arrays; plain Python is returned as it is.

    A function that is only recognized by its module's imports is first tried with arrays; if it
    returns arrays, it gets arrays in all calls.
    """
    adapter = recognize(target, framework)
    if adapter is None:
        return target  # type: ignore[no-any-return]
    function = adapter.make_differentiable(target, dtype, 0, None)
    plain = framework is None and not adapter.recognizes(target)

    @wraps(target if hasattr(target, "__name__") else target.forward)
    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal plain
        if plain:
            with suppress(Exception):  # a function of tensors may raise anything for arrays
                returned = target(*arguments, **keywords)
                first = returned[0] if isinstance(returned, tuple | list) else returned
                if isinstance(first, np.ndarray | np.generic | float):
                    return returned
            plain = False
        given = [array for value in (*arguments, *keywords.values()) for array in floats_in(value)]
        function.follow(given)
        values = [convert(function, value) for value in arguments]
        named = {name: convert(function, value) for name, value in keywords.items()}
        return to_arrays(function.call(*values, **named))

    return call


def arrays_of(inputs: Any) -> Any:
    """Inputs with their tensors as arrays, and all floats in float64, as frameworks are checked."""
    found = to_arrays(inputs)
    return rebuild(found, "", {leaf: x.astype(np.float64) for leaf, x in leaves(found, "")})


def as_layer_of_arrays(owner: Any, methods: Sequence[str], call: Callable[[Any], Any]) -> Any:
    """The object, or a copy whose methods take arrays if its own take tensors.

    call: calls the forward of an object with arrays, to see whether it returns tensors.
    """
    kind, framework = type(owner), _framework_of(owner, methods, call)
    if framework is None:
        return owner
    made: dict[str, Any] = {
        name: _take_arrays(getattr(kind, name), framework)
        for name in methods
        if not isinstance(inspect.getattr_static(kind, name, None), staticmethod | classmethod)
    }
    fresh = copy_deep(owner)
    fresh.__class__ = type(kind.__name__, (kind,), {"__slots__": (), **made})
    return fresh


def _framework_of(
    owner: Any, methods: Sequence[str], call: Callable[[Any], Any]
) -> ModuleType | None:
    """The framework whose tensors an object holds or its forward takes; None if it takes arrays."""
    held = find_tensors(owner)
    if held is not None:
        return held
    with suppress(CodeError):  # its module imports two frameworks
        found = recognize(getattr(owner, methods[0]))
        with suppress(Exception):
            returned = call(copy_deep(owner))
            return find_tensors(returned)
        return found
    return None


def _take_arrays(method: Method, framework: ModuleType) -> Method:
    """A method of tensors as one that takes and returns arrays, and computes in their type.

    Called with tensors, such as by another method, it returns tensors.
    """

    @wraps(method)
    def call(owner: Any, *arguments: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        given = (*arguments, *keywords.values())
        if find_tensors(given) is not None:
            return method(owner, *arguments, **keywords)
        function = framework.make_differentiable(method, "float64", 0, None)
        arrays = [array for value in given for array in floats_in(value)]
        function.follow(arrays)
        if arrays:
            _retype(owner, function.floats)
        named = {name: convert(function, value) for name, value in keywords.items()}
        values = [convert(function, value) for value in arguments]
        return to_arrays(function.call(owner, *values, **named))

    return call


def _retype(owner: Any, floats: str) -> None:
    """Convert the tensors of floats in an object to a type, that of its arguments."""
    for place, array in list_places(owner):
        if array.dtype.kind == "f" and str(array.dtype) != floats:
            with suppress(CodeError):  # a tuple cannot be changed
                place.set(owner, array.astype(floats))
