"""Functions that a framework differentiates: torch, jax and autograd, imported only when used.

Each framework has one file, which recognizes its functions and makes a `Differentiable` of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from gradcheck_cli.errors import CodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Names of the libraries and of their files here, in the order in which they are tried.
FRAMEWORKS = ("torch", "jax", "autograd")
DEEPEST = 4  # levels of objects, lists and dicts in which tensors are searched for


def recognize(target: Any, chosen: str | None = None) -> ModuleType | None:
    """The adapter of the framework that a function, class or object belongs to; None if to none.

    chosen: the framework's name, if the user gives it. Else its type tells, or else the libraries
    that its module imports.
    Raises CodeError where these are two, or where the chosen framework is not installed.
    """
    if chosen is not None:
        return load_framework(chosen)
    for name in list_loaded():
        framework = load_framework(name)
        if framework.recognizes(target):
            return framework
    used = _list_imported(target)
    if len(used) > 1:
        names = " and ".join(used)
        raise CodeError(f"its module imports {names}; say which with framework: {used[0]}")
    return load_framework(used[0]) if used else None


def load_framework(name: str) -> ModuleType:
    """The adapter of a framework. Raises CodeError where the framework is not installed."""
    try:
        return import_module(f"{__name__}.{name}")
    except ImportError as error:
        raise CodeError(
            f"framework {name} cannot be imported ({error}); install it: "
            f"pip install 'gradcheck-cli[{name}]'"
        ) from error


def list_loaded() -> list[str]:
    """The frameworks that are imported already; no object can belong to another one."""
    return [name for name in FRAMEWORKS if name in sys.modules]


def run_eagerly() -> AbstractContextManager[None]:
    """A block in which no framework compiles what it runs; jax alone does that by default."""
    return load_framework("jax").run_eagerly() if "jax" in list_loaded() else nullcontext()


def as_value_like(value: Any, array: NDArray[Any]) -> Any:
    """An array, converted to a tensor if `value` is a tensor."""
    for name in list_loaded():
        framework = load_framework(name)
        if framework.is_tensor(value):
            return framework.from_array(array)
    return array


def to_array(value: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    for name in list_loaded():
        framework = load_framework(name)
        if framework.is_tensor(value):
            return framework.to_array(value)
    return value


def find_tensors(value: Any, deep: int = 0) -> ModuleType | None:
    """The framework of the first tensor in a value, also in the dicts, lists and objects in it."""
    for name in list_loaded():
        framework = load_framework(name)
        if framework.is_tensor(value):
            return framework
    held = None if isinstance(value, type | ModuleType) else getattr(value, "__dict__", value)
    parts = list(held.values()) if isinstance(held, Mapping) else held
    if deep == DEEPEST or not isinstance(parts, list | tuple):
        return None
    return next(filter(None, (find_tensors(part, deep + 1) for part in parts)), None)


def to_arrays(value: Any) -> Any:
    """A value with all tensors in it converted to arrays."""
    array = to_array(value)
    if array is not value:
        return array
    if isinstance(value, Mapping):
        return {key: to_arrays(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [to_arrays(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _list_imported(target: Any) -> list[str]:
    """The frameworks that a function uses by name; if it uses none, those its module imports."""
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    target = getattr(target, "__func__", target)
    known = getattr(target, "__globals__", {})
    code = getattr(target, "__code__", None)
    names = _names_in(code) if code is not None else ()
    named = {name: known[name] for name in names if name in known}
    return _libraries_of(named.values()) or _libraries_of(known.values())


def _names_in(code: CodeType) -> set[str]:
    """The global names and attributes that a function uses, in inner functions, too."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return {*code.co_names}.union(*map(_names_in, inner))


def _libraries_of(values: Iterable[Any]) -> list[str]:
    """The frameworks that these values are, or come from."""
    found = set()
    for value in values:
        is_module = isinstance(value, ModuleType)
        module = value.__name__ if is_module else getattr(value, "__module__", "")
        found.add(str(module).partition(".")[0])
    return [name for name in FRAMEWORKS if name in found]
