"""Find and set the parameters and the output of a layer that is an object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape
from gradcheck_cli.usercode.calling.gradients import PARAMETER_HOLDERS, WRAPPED
from gradcheck_cli.usercode.calling.views import View, find_view, same_memory
from gradcheck_cli.usercode.frameworks import as_value_like, to_array

# Attributes in which an object keeps the output of a forward that returns nothing.
OUTPUTS = ("output", "outputs", "out", "y", "Y", "a", "A", "z", "Z", "activation", "result", "loss")
DEEPEST = 4  # levels of objects, lists and dicts in which parameters are searched for
_PLAIN = (type, str, int, float, type(None))  # holds no arrays
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.?(?P<name>\w+)")


class Place(Struct, frozen=True):
    """Where an object keeps an array.

    steps: the attributes, keys and indices that lead there.
    inner: the attribute or key with the array of a parameter that is an object or a dict; or empty.
    view: which part of the parameter is there; None: the whole parameter in its own layout.
    """

    steps: tuple[Any, ...]
    inner: str = ""
    view: View | None = None

    def get(self, owner: Any) -> Any:
        """What the object has there; None if nothing."""
        found = owner
        for step in self.steps:
            found = look_up(found, step)
        return look_up(found, self.inner) if self.inner else found

    def set(self, owner: Any, value: Any) -> None:
        """Write the value of the parameter there."""
        value = value if self.view is None else self.view.of(value)
        *before, last = (*self.steps, self.inner) if self.inner else self.steps
        holder = Place(tuple(before)).get(owner)
        if isinstance(holder, dict | list):
            holder[last] = as_value_like(look_up(holder, last, raw=True), value)
        elif isinstance(holder, tuple):
            raise CodeError(f"{write_path(self.steps)} is in a tuple; keep parameters in a list")
        else:
            setattr(holder, last, as_value_like(look_up(holder, last, raw=True), value))


def find_places(owner: Any, name: str) -> tuple[Place, ...]:
    """All places where an object keeps a parameter, or a view of its array.

    name: an attribute, a key of the object's params, or a path such as layers[0].W.
    """
    steps = read_path(name)
    paths = [steps, *((holder, *steps) for holder in PARAMETER_HOLDERS)]
    found = [_with_inner(owner, path) for path in paths if _is_there(owner, path)]
    arrays = [array for place in found if isinstance(array := place.get(owner), np.ndarray)]
    others = [
        Place(path, view=None if same_memory(part, whole) else view)
        for path, part in walk_arrays(owner)
        for whole in arrays
        if (view := find_view(part, whole)) is not None
    ]
    kept = [place for place in found if place.inner or not _is_computed(owner, place.steps)]
    return tuple(dict.fromkeys([*kept, *others]))


def set_parameter(owner: Any, name: str, places: tuple[Place, ...], value: Any) -> None:
    """Set a parameter of an object in all of its places.

    Raises CodeError where the object's own array has another shape.
    """
    for place in places:
        array = place.get(owner)
        whole = isinstance(array, np.ndarray) and place.view is None
        if whole and array.shape != np.shape(value):
            raise CodeError(
                f"{type(owner).__name__}.{name} is {format_shape(array.shape)}, but the input of "
                f"its name is {format_shape(np.shape(value))}; give it that shape"
            )
        place.set(owner, value)


def find_output(owner: Any) -> str:
    """The attribute in which an object keeps its output; empty if there is none."""
    if owner is None:  # a plain function; this is called thousands of times
        return ""
    kept = (name for name in OUTPUTS if isinstance(look_up(owner, name), np.ndarray | float))
    return next(kept, "")


def memory_of(array: Any) -> int:
    """An identity of an array's memory: a tensor gives a new array object whenever it is read."""
    return int(array.ctypes.data) if isinstance(array, np.ndarray) and array.size else id(array)


def list_places(owner: Any) -> list[tuple[Place, Any]]:
    """The arrays in an object, and where they are."""
    return [(Place(path), array) for path, array in walk_arrays(owner)]


def list_arrays(owner: Any) -> dict[str, Any]:
    """The arrays in an object, by the names that they have as its parameters."""
    return {write_path(drop_holders(path)): array for path, array in walk_arrays(owner)}


def drop_holders(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The steps of a parameter's name: params["W"] is called W, and so is W.data."""
    steps = path[:-1] if path[-1] in WRAPPED and len(path) > 1 else path
    following = (*steps[1:], None)
    return tuple(
        step
        for step, after in zip(steps, following, strict=True)
        if not (step in PARAMETER_HOLDERS and isinstance(after, str))
    )


def walk_arrays(
    value: Any, path: tuple[Any, ...] = (), seen: tuple[int, ...] = ()
) -> Iterator[Any]:
    """The arrays in an object and in the objects, lists and dicts in it, with the steps to each."""
    value = to_array(value)
    if isinstance(value, np.ndarray):
        if path:
            yield path, value
        return
    if id(value) in seen or len(path) > DEEPEST or isinstance(value, _PLAIN):
        return
    for step, part in list_parts(value):
        yield from walk_arrays(part, (*path, step), (*seen, id(value)))


def list_parts(value: Any) -> list[tuple[Any, Any]]:
    """The parts of a dict, a list or an object with the step to each; a module counts as empty."""
    if isinstance(value, ModuleType):
        return []
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    kinds = (vars(kind).get("__slots__", ()) for kind in type(value).__mro__)
    names = (name for slots in kinds for name in ([slots] if isinstance(slots, str) else slots))
    slots = (name for name in names if hasattr(value, name))
    return [
        *getattr(value, "__dict__", {}).items(),
        *((name, getattr(value, name)) for name in slots),
    ]


def read_path(name: str) -> tuple[Any, ...]:
    """layers[0].W → layers, 0, W."""
    found = _STEP.finditer(name)
    return tuple(int(step["index"]) if step["index"] else step["name"] for step in found)


def write_path(steps: tuple[Any, ...]) -> str:
    """layers, 0, W → layers[0].W."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _is_there(owner: Any, steps: tuple[Any, ...]) -> bool:
    """Whether an object has this place; an attribute may be None until the first forward."""
    holder = Place(steps[:-1]).get(owner) if steps[:-1] else owner
    last = steps[-1]
    if isinstance(holder, dict):
        return last in holder
    if isinstance(holder, list | tuple):
        return isinstance(last, int) and last < len(holder)
    return isinstance(last, str) and hasattr(holder, last)


def _is_computed(owner: Any, steps: tuple[Any, ...]) -> bool:
    """Whether an attribute is a property that cannot be set."""
    holder = Place(steps[:-1]).get(owner)
    found = getattr(type(holder), steps[-1], None) if isinstance(steps[-1], str) else None
    return isinstance(found, property) and found.fset is None


def _with_inner(owner: Any, steps: tuple[Any, ...]) -> Place:
    """The place at these steps; where a parameter object is there, that of the array in it."""
    found = Place(steps).get(owner)
    if isinstance(found, np.ndarray):
        return Place(steps)
    inner = (name for name in WRAPPED if isinstance(look_up(found, name), np.ndarray))
    return Place(steps, next(inner, ""))


def look_up(holder: Any, step: Any, *, raw: bool = False) -> Any:
    """What an object, a list or a dict has at a step; None if nothing.

    A tensor is returned as an array, or as it is if `raw`.
    """
    if isinstance(holder, dict):
        found = holder.get(step)
    elif isinstance(step, int):
        inside = isinstance(holder, list | tuple) and step < len(holder)
        found = holder[step] if inside else None
    else:
        found = getattr(holder, step, None)
    return found if raw else to_array(found)
