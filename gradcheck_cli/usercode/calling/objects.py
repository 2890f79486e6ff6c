"""Layers that are objects: where they keep their parameters, and the gradients of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.calling.gradients import (
    GRADIENT_HOLDERS,
    GRADIENT_LIKE,
    PARAMETER_HOLDERS,
    WRAPPED,
    gradient_names,
    names_gradient,
)
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.frameworks import as_value_like, to_array

# Where an object keeps the output of a forward that returns nothing.
OUTPUTS = ("output", "outputs", "out", "y", "Y", "a", "A", "z", "Z", "activation", "result", "loss")
# What the gradient of the one array that a forward is handed is called, whatever that is called.
INPUT_GRADIENTS = ("dinputs", "dinput", "dX", "dx", "grad_input", "input_grad", "gradInput")
DEEPEST = 4  # objects, lists and dicts in each other that are searched for parameters
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.?(?P<name>\w+)")


def has_methods(owner: Any) -> bool:
    """Whether an object has both methods of some pair of METHODS."""
    return any(all(callable(getattr(owner, name, None)) for name in pair) for pair in METHODS)


def methods(owner: Any) -> tuple[str, str]:
    """The names of an object's forward and backward; the first of METHODS that it has both of.

    Raises CodeError where it has none.
    """
    for pair in METHODS:
        if all(callable(getattr(owner, name, None)) for name in pair):
            return pair
    has = {name: callable(getattr(owner, name, None)) for pair in METHODS for name in pair}
    lacking = "backward" if any(has[forward] for forward, _ in METHODS) else "forward"
    kind, own = type(owner).__name__, [name for name in dir(owner) if not name.startswith("_")]
    names = [name for name in own if callable(getattr(owner, name))]
    listed = f"; it has {join_words(names)}" if names else ""
    raise CodeError(
        f"{kind} has no method '{lacking}'{listed}; methods of other names are named by forward: "
        f"FILE:{kind}.NAME and backward: FILE:{kind}.NAME"
    )


class Place(Struct, frozen=True):
    """Where an object keeps an array: steps of attributes, keys and indices; and as it is written.

    inner: the attribute or key of a parameter that holds its array; empty for a plain array.
    """

    steps: tuple[Any, ...]
    inner: str = ""

    def get(self, owner: Any) -> Any:
        """What stands there; None without."""
        found = owner
        for step in self.steps:
            found = _get(found, step)
        return _get(found, self.inner) if self.inner else found

    def set(self, owner: Any, value: Any) -> None:
        """Put a value there."""
        *before, last = (*self.steps, self.inner) if self.inner else self.steps
        holder = Place(tuple(before)).get(owner)
        if isinstance(holder, dict | list):
            holder[last] = as_value_like(_get(holder, last, raw=True), value)
        elif isinstance(holder, tuple):
            raise CodeError(f"{_write_path(self.steps)} is in a tuple; keep parameters in a list")
        else:
            setattr(holder, last, as_value_like(_get(holder, last, raw=True), value))


def find_places(owner: Any, name: str) -> tuple[Place, ...]:
    """Where an object keeps the parameter of this name: an attribute, a key of its params, or a
    path such as layers[0].W; and wherever else it keeps the same array."""
    steps = _read_path(name)
    paths = [steps, *((holder, *steps) for holder in PARAMETER_HOLDERS)]
    found = [_with_inner(owner, path) for path in paths if _exists(owner, path)]
    arrays = [place.get(owner) for place in found]
    known = {memory_of(array) for array in arrays if isinstance(array, np.ndarray)}
    others = [Place(path) for path, array in _walk(owner) if memory_of(array) in known]
    return tuple(dict.fromkeys([*found, *others]))


def put(owner: Any, name: str, places: tuple[Place, ...], value: Any) -> None:
    """Set a parameter of an object, wherever it keeps it.

    Raises CodeError where the object's own array has another shape.
    """
    for place in places:
        array = place.get(owner)
        if isinstance(array, np.ndarray) and array.shape != np.shape(value):
            raise CodeError(
                f"{type(owner).__name__}.{name} is {format_shape(array.shape)}, but the input of "
                f"its name is {format_shape(np.shape(value))}; give it that shape"
            )
        place.set(owner, value)


def find_output(owner: Any) -> str:
    """The attribute in which an object keeps its output; empty where there is none."""
    if owner is None:  # of a function, which is called thousands of times
        return ""
    kept = (name for name in OUTPUTS if isinstance(_get(owner, name), np.ndarray | float))
    return next(kept, "")


def find_input_gradient(owner: Any) -> Any:
    """The gradient that an object keeps for the one array that its forward is handed."""
    found = (getattr(owner, name, None) for name in INPUT_GRADIENTS)
    return next((one for one in found if one is not None), None)


def find_gradient(owner: Any, name: str) -> Any:
    """The gradient of a parameter, as an object keeps it after backward; None without.

    Looked for as dW, grad_W and the like: an attribute, or a key of grads; and as W.grad. That of
    params[0] is grads[0], that of biases[0] is dbiases[0]; that of layers[0].W is looked for in
    layers[0], that of p["W"] beside p, too, as g["dW"].
    """
    *before, last = _read_path(name)
    if isinstance(last, int) and before and isinstance(before[-1], str):
        inner = Place(tuple(before[:-1])).get(owner)
        common = GRADIENT_HOLDERS if before[-1] in PARAMETER_HOLDERS else ()
        lists = [_get(inner, holder) for holder in (*common, *gradient_names(before[-1]))]
        found = (_get(one, last) for one in lists if isinstance(one, list | tuple))
        gradient = next((one for one in found if one is not None), None)
        if gradient is not None or before[-1] in PARAMETER_HOLDERS:
            return gradient
    found = _gradient_in(Place(tuple(before)).get(owner), last)
    return _gradient_in(Place(tuple(before[:-1])).get(owner), last) if found is None else found


def _gradient_in(owner: Any, name: Any) -> Any:
    """The gradient of a parameter of this very object, or element of this list or dict."""
    if not isinstance(name, str):
        return _get(_get(owner, name), "grad")
    kept = {key: part for key, part in _parts(owner) if isinstance(part, dict)}
    common = {key: _get(owner, key) for key in GRADIENT_HOLDERS}
    for key, holder in {"": owner, **common, **kept}.items():
        alike = isinstance(holder, dict) and GRADIENT_LIKE.search(str(key))
        for gradient in (
            _get(holder, one) for one in (*gradient_names(name), *[name] * bool(alike))
        ):
            if gradient is not None:
                return gradient
    named = _gradient_by_shape(owner, name)
    if named is not None:
        return named
    if name in GRADIENT_HOLDERS:
        return None
    for path in ((name,), *((holder, name) for holder in PARAMETER_HOLDERS)):
        gradient = _get(Place(path).get(owner), "grad")
        if gradient is not None and not callable(gradient):
            return gradient
    return None


def _gradient_by_shape(owner: Any, name: str) -> Any:
    """An array of the shape of a parameter whose name is that of its gradient in another manner;
    or the one that is called `gradient` alone."""
    parameter = _get(owner, name)
    kept = dict(getattr(owner, "__dict__", {})) if isinstance(parameter, np.ndarray) else {}
    fitting = [
        key
        for key, array in kept.items()
        if isinstance(array, np.ndarray) and array.shape == parameter.shape and key != name
    ]
    found = [key for key in fitting if names_gradient(key, name)]
    alone = [key for key in fitting if key in GRADIENT_HOLDERS]
    return kept[(found or alone)[0]] if found or alone else None


def list_unchecked_parameters(
    owner: Any, inputs: Collection[str], made: Collection[str]
) -> list[str]:
    """The parameters of an object, and of objects in it, that have a gradient and are no inputs.

    made: what it held before its forward, without which what is in a dict is no parameter.
    """
    found: dict[str, None] = {}
    checked = _memory_of_inputs(owner, inputs)
    numbers = (((key,), part) for key, part in _parts(owner) if isinstance(part, float))
    for path, array in [*_walk(owner), *numbers]:
        name = _write_path(_parameter_steps(path))
        kept = name not in made and isinstance(Place(path[:-1]).get(owner), dict)
        known = memory_of(array) in checked or name in inputs or kept
        if name and not known and not set(path) & set(GRADIENT_HOLDERS):
            gradient = find_gradient(owner, name)
            number = isinstance(gradient, int | float) and np.ndim(array) > 0  # dk, a size
            same = memory_of(gradient) == memory_of(array)
            if gradient is not None and not same and not number:
                found[name] = None
    return list(found)


def match_left_arrays(
    owner: Any, inputs: Collection[str], made: Mapping[str, Any], left: Mapping[str, Any]
) -> dict[str, str]:
    """What a backward leaves in an object, whatever it is called, that has the shape of an array
    which the object was made with and is no input; by its name that of this array.

    left: the arrays that are new or have changed, but for the gradients that were read.
    """
    checked = _memory_of_inputs(owner, inputs)
    now = list_arrays(owner)
    free = {
        name: array.shape
        for name, array in made.items()
        if name not in inputs and name not in left and memory_of(now.get(name)) not in checked
    }
    found = {}
    for name, array in left.items():
        fits = [one for one, shape in free.items() if shape == array.shape and array.ndim]
        if fits and array.dtype.kind in "fc":
            found[name] = fits[0]
            del free[fits[0]]
    return found


def memory_of(array: Any) -> int:
    """What tells apart the arrays of an object, of which a tensor is another one at every look."""
    return int(array.ctypes.data) if isinstance(array, np.ndarray) and array.size else id(array)


def _memory_of_inputs(owner: Any, inputs: Collection[str]) -> set[int]:
    return {memory_of(place.get(owner)) for name in inputs for place in find_places(owner, name)}


def list_places(owner: Any) -> list[tuple[Place, Any]]:
    """The arrays in an object, and where they are."""
    return [(Place(path), array) for path, array in _walk(owner)]


def list_arrays(owner: Any) -> dict[str, Any]:
    """The arrays in an object, by what they are called as its parameters."""
    return {_write_path(_parameter_steps(path)): array for path, array in _walk(owner)}


def _parameter_steps(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The steps to a parameter as it is called: params["W"] is W, and so is W.data."""
    steps = path[:-1] if path[-1] in WRAPPED and len(path) > 1 else path
    following = (*steps[1:], None)
    return tuple(
        step
        for step, after in zip(steps, following, strict=True)
        if not (step in PARAMETER_HOLDERS and isinstance(after, str))
    )


def gradient_attributes(owner: Any, called: str) -> list[str]:
    """What is called like gradients of an object, and of objects in it: attributes, and methods of
    its class but for the one that was called."""
    attributes = [
        _write_path(path)
        for path, _ in _walk(owner)
        if any(isinstance(step, str) and GRADIENT_LIKE.search(step) for step in path)
    ]
    methods = [
        f"{name}(), which is not called"
        for name, method in vars(type(owner)).items()
        if "grad" in name and name != called and callable(method)
    ]
    return [*attributes, *methods]


def _walk(value: Any, path: tuple[Any, ...] = (), seen: tuple[int, ...] = ()) -> Iterator[Any]:
    """The arrays in an object, in the objects, lists and dicts in it, each with the steps to it."""
    value = to_array(value)
    if isinstance(value, np.ndarray):
        if path:
            yield path, value
        return
    if id(value) in seen or len(path) > DEEPEST or isinstance(value, type):
        return
    for step, part in _parts(value):
        yield from _walk(part, (*path, step), (*seen, id(value)))


def _parts(value: Any) -> list[tuple[Any, Any]]:
    """What a dict, a list or an object holds, by the steps to it."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    slots = (name for name in getattr(value, "__slots__", ()) if hasattr(value, name))
    return [
        *getattr(value, "__dict__", {}).items(),
        *((name, getattr(value, name)) for name in slots),
    ]


def _read_path(name: str) -> tuple[Any, ...]:
    """layers[0].W → layers, 0, W."""
    found = _STEP.finditer(name)
    return tuple(int(step["index"]) if step["index"] else step["name"] for step in found)


def _write_path(steps: tuple[Any, ...]) -> str:
    """layers, 0, W → layers[0].W."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _exists(owner: Any, steps: tuple[Any, ...]) -> bool:
    """Whether an object has this: an attribute may be None, until the first forward."""
    holder = Place(steps[:-1]).get(owner) if steps[:-1] else owner
    last = steps[-1]
    if isinstance(holder, dict):
        return last in holder
    if isinstance(holder, list | tuple):
        return isinstance(last, int) and last < len(holder)
    return isinstance(last, str) and hasattr(holder, last)


def _with_inner(owner: Any, steps: tuple[Any, ...]) -> Place:
    """The place of an array; of a parameter object, that of the array in it."""
    found = Place(steps).get(owner)
    if isinstance(found, np.ndarray):
        return Place(steps)
    inner = (name for name in WRAPPED if isinstance(_get(found, name), np.ndarray))
    return Place(steps, next(inner, ""))


def _get(holder: Any, step: Any, *, raw: bool = False) -> Any:
    """What an object, a list or a dict has there, a tensor as an array; None without.

    raw: a tensor as it is.
    """
    if isinstance(holder, dict):
        found = holder.get(step)
    elif isinstance(step, int):
        inside = isinstance(holder, list | tuple) and step < len(holder)
        found = holder[step] if inside else None
    else:
        found = getattr(holder, step, None)
    return found if raw else to_array(found)
