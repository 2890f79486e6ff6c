"""Hand-written layers of a framework's tensors, as layers of arrays."""

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
from gradcheck_cli.usercode.trees import leaves, rebuilt

Method = Callable[..., Any]


def as_function_of_arrays(target: Any, framework: str | None, dtype: str) -> Callable[..., Any]:
    """A framework's function as one of NumPy arrays, for a backward that is written in NumPy.

    Plain Python comes back as it is; a function in a file of a framework's, which returns arrays
    where it is handed some, is called with these.
    """
    adapter = recognize(target, framework)
    if adapter is None:
        return target  # type: ignore[no-any-return]
    function = adapter.differentiable(target, dtype, 0, None)
    plain = framework is None and not adapter.recognizes(target)

    @wraps(target if hasattr(target, "__name__") else target.forward)
    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal plain
        if plain:
            with suppress(Exception):  # what a function of tensors raises that is handed arrays
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
    """Inputs with the tensors in them as arrays, whose floats are in float64 as in every check of a
    framework."""
    found = to_arrays(inputs)
    return rebuilt(found, "", {leaf: x.astype(np.float64) for leaf, x in leaves(found, "")})


def as_layer_of_arrays(owner: Any, methods: Sequence[str], call: Callable[[Any], Any]) -> Any:
    """The object; one whose methods take tensors as a copy of it whose methods take arrays.

    call: calls its forward with arrays, to see whether it takes them.
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
    """The framework whose tensors an object holds, or its forward takes; None of arrays."""
    held = find_tensors(owner)
    if held is not None:
        return held
    with suppress(CodeError):  # where its module imports two of them
        found = recognize(getattr(owner, methods[0]))
        with suppress(Exception):
            returned = call(copy_deep(owner))
            return find_tensors(returned)
        return found
    return None


def _take_arrays(method: Method, framework: ModuleType) -> Method:
    """A method of tensors as one that takes and returns arrays, in the type of what it is handed;
    what hands it tensors, such as another method, gets them."""

    @wraps(method)
    def call(owner: Any, *arguments: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        given = (*arguments, *keywords.values())
        if find_tensors(given) is not None:
            return method(owner, *arguments, **keywords)
        function = framework.differentiable(method, "float64", 0, None)
        arrays = [array for value in given for array in floats_in(value)]
        function.follow(arrays)
        if arrays:
            _retype(owner, function.floats)
        named = {name: convert(function, value) for name, value in keywords.items()}
        values = [convert(function, value) for value in arguments]
        return to_arrays(function.call(owner, *values, **named))

    return call


def _retype(owner: Any, floats: str) -> None:
    """Convert the tensors of floats that an object holds, to go with those it is handed."""
    for place, array in list_places(owner):
        if array.dtype.kind == "f" and str(array.dtype) != floats:
            with suppress(CodeError):  # in a tuple
                place.set(owner, array.astype(floats))
