"""What the text of a function or class says of its parameters: shapes, settings, labels, defaults.

The code is read and not run. What it does not say is guessed from names, and marked as a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

from msgspec import Struct

from gradcheck_cli.config.syntax import (
    Function,
    compared_text,
    documented_shape,
    is_index,
    parameter_defaults,
    parameter_names,
    read_keys,
    unpacked_shape,
)

_TIMES = re.compile(r"^(\d+)\s*\*?\s*([A-Za-z_]\w*)$")
_LABELS = re.compile(r"^(labels?|targets?|y_true|idx|indices|t|y|Y)$")
_WEIGHT = re.compile(r"^([Wbw]\w?\d*|weights?|bias(es)?|gamma|beta)$")
# Numbers that are settings, by the names that they have, and what to set them to.
NUMBERS = {
    "reg": "0.1", "lambd": "0.1", "lambda_": "0.1", "lam": "0.1", "l2": "0.1", "alpha": "0.5",
    "eps": "1e-5", "epsilon": "1e-5", "momentum": "0.9", "p": "0.5", "keep_prob": "0.5",
    "rate": "0.5", "drop": "0.5", "seed": "0", "stride": "1", "pad": "1", "padding": "1",
    "delta": "1.0", "margin": "1.0", "temperature": "1.0", "pool_height": "2", "pool_width": "2",
    "HH": "2", "WW": "2", "kernel_size": "2", "pool_size": "2", "scale": "2.0", "negative_slope":
    "0.1", "G": "2", "groups": "1",
}  # fmt: skip
SIZES = {
    "n": 4, "N": 4, "D": 5, "M": 3, "C": 3, "H": 6, "W": 8, "F": 3, "HH": 3, "WW": 3, "T": 2,
    "V": 7, "m": 4,
}  # fmt: skip
# Of four axes, as of images, of which there are many entries.
SMALL_SIZES = {"N": 2, "C": 3, "F": 5, "H": 4, "W": 6, "HH": 3, "WW": 3}
OTHER_SIZES = (5, 3, 6, 7, 2, 8, 9)
# By the name of an argument, of a layer whose text says nothing of its shape.
SHAPES = {
    "w": ("N", "M"), "weight": ("N", "M"), "weights": ("N", "M"), "b": ("M",), "bias": ("M",),
    "gamma": ("N",), "beta": ("N",), "wx": ("N", "H"), "wh": ("H", "H"), "prev_h": ("n", "H"),
    "prev_c": ("n", "H"), "h0": ("n", "H"),
}  # fmt: skip


class Given(Struct, frozen=True):
    """What a config gives for a parameter, as YAML. guess: its shape is guessed from its name."""

    text: str
    guess: bool = False


class Described(Struct, frozen=True):
    """The inputs and constants of a function, and the sizes that their shapes name."""

    inputs: Mapping[str, Given]
    constants: Mapping[str, Given]
    sizes: Mapping[str, int]


def describe_function(function: Function, *, loss: bool = False) -> Described:
    """The inputs and constants that a function takes, from its text.

    loss: it returns a number with its gradients, so that y is its labels.
    """
    return _Reader(function, loss).describe()


def describe_class(made: ast.ClassDef, forward: str, *, own_gradients: bool = True) -> Described:
    """The inputs of a method of an object, the parameters that its constructor makes, and what the
    constructor takes.

    own_gradients: the object has gradients of its parameters, which are inputs, then.
    """
    methods = {node.name: node for node in made.body if isinstance(node, Function)}
    constructor = methods.get("__init__")
    taken = methods.get(forward)
    described = Described({}, {}, {}) if taken is None else describe_function(taken)
    constants = {} if constructor is None else _constructor_values(constructor)
    numbers = {name: int(text) for name, text in constants.items() if text.isdigit()}
    made_of = {} if constructor is None else dict(_made_parameters(constructor, numbers))
    width = _width(constructor, numbers)
    inputs = {
        name: Given(f"[n, {width}]", guess=True) if width and given.text == "[n, N]" else given
        for name, given in described.inputs.items()
    }
    if own_gradients:
        inputs |= {name: Given(str(list(shape))) for name, shape in made_of.items()}
    return Described(
        inputs,
        {**{name: Given(text) for name, text in constants.items()}, **described.constants},
        described.sizes,
    )


def _constructor_values(constructor: Function) -> dict[str, str]:
    """A value for what a constructor needs: sizes of layers, all different, and known settings."""
    defaults = parameter_defaults(constructor)
    free = iter(("5", "3", "6", "4", "7", "2"))
    return {
        name: NUMBERS[name] if name in NUMBERS else next(free, "3")
        for name in parameter_names(constructor)
        if name not in defaults
    }


def _made_parameters(
    constructor: Function, numbers: Mapping[str, int]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The arrays that a constructor makes of known shapes: self.W = randn(n_in, n_out)."""
    for node in ast.walk(constructor):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        path = ast.unparse(target)
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            path = f"self.{target.slice.value!s}"
        name = path.removeprefix("self.")
        shape = _shape_in(node.value, numbers)
        if path.startswith("self.") and shape and _WEIGHT.match(name):
            yield name, shape


def _shape_in(value: ast.expr, numbers: Mapping[str, int]) -> tuple[int, ...]:
    """The shape in a call that makes an array: its tuple of sizes, or its sizes one by one."""
    for call in ast.walk(value):
        if isinstance(call, ast.Call):
            for axes in [*(one.elts for one in call.args if isinstance(one, ast.Tuple)), call.args]:
                sizes = [_number(axis, numbers) for axis in axes]
                if sizes and None not in sizes:
                    return tuple(size for size in sizes if size is not None)
    return ()


def _number(node: ast.expr, numbers: Mapping[str, int]) -> int | None:
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    return numbers.get(ast.unparse(node).removeprefix("self."))


def _width(constructor: Function | None, numbers: Mapping[str, int]) -> int | None:
    """The size of the last axis of what a layer takes: that of its first linear map, or the first
    number that its constructor takes."""
    if constructor is None:
        return None
    for node in ast.walk(constructor):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Linear") and node.args:
            return _number(node.args[0], numbers)
    return next(iter(numbers.values()), None)


class _Reader:
    """Reads one function."""

    def __init__(self, function: Function, loss: bool) -> None:
        self.function = function
        self.loss = loss
        self.doc = ast.get_docstring(function) or ""
        self.shapes: dict[str, tuple[str, ...]] = {}
        for name in parameter_names(function):
            shape = documented_shape(self.doc, name) or unpacked_shape(function, name)
            if shape:
                self.shapes[name] = shape
        self.small = any(len(shape) == 4 for shape in self.shapes.values())
        self.sizes: dict[str, int] = {}

    def describe(self) -> Described:
        """The inputs and the constants, in the order of the parameters."""
        inputs: dict[str, Given] = {}
        constants: dict[str, Given] = {}
        defaults = parameter_defaults(self.function)
        taken = [name for name in parameter_names(self.function) if name not in defaults]
        for name in parameter_names(self.function):
            setting = self.setting(name, defaults.get(name))
            if setting is not None:
                constants[name] = setting
            elif name in taken and self.is_fixed(name, taken):
                constants[name] = self.fixed(name)
            elif name in taken:
                inputs[name] = self.input(name)
        if self.loss:
            for name in _without_gradient(self.function, list(inputs)):
                del inputs[name]
                constants[name] = self.constant(name, _guess(name))
        return Described(inputs, constants, self.sizes)

    def is_fixed(self, name: str, taken: Sequence[str]) -> bool:
        """Whether an array has no gradient: what indexes another one, a mask, labels of a loss."""
        label = self.loss and len(taken) > 1 and bool(_LABELS.match(name))
        return label or "mask" in name.casefold() or is_index(self.function, name)

    def setting(self, name: str, default: ast.expr | None) -> Given | None:
        """A parameter that is no array: a default, a mode, a number, a dict of such; else None."""
        if isinstance(default, ast.Constant):
            value = default.value
            return Given(_yaml(value)) if isinstance(value, int | float | str) else None
        keys = read_keys(self.function, name)
        if keys and not any(map(_WEIGHT.match, keys)):
            return Given("{" + ", ".join(f"{k}: {v}" for k, v in self.settings(name, keys)) + "}")
        mode = compared_text(self.function, name)
        if mode is not None:
            return Given(_yaml(mode))
        return Given(NUMBERS[name]) if name in NUMBERS and name not in self.shapes else None

    def settings(self, name: str, keys: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
        """The keys of a dict of settings which the function needs, each with its value."""
        for key, needed in keys.items():
            mode = compared_text(self.function, f"{name}.{key}")
            if mode is not None or key == "mode":
                yield key, _yaml(mode or "train")
            elif needed:
                yield key, NUMBERS.get(key, "1")

    def input(self, name: str) -> Given:
        """An array, or a dict of arrays."""
        keys = read_keys(self.function, name)
        if keys:
            parts = ", ".join(f"{key}: {self.shape(_guess(key))}" for key in keys)
            return Given("{" + parts + "}", guess=True)
        known = self.shapes.get(name)
        return Given(self.shape(known or _guess(name)), guess=known is None)

    def fixed(self, name: str) -> Given:
        """Labels and indices as whole numbers, a mask of 0 and 1; else an array that is drawn."""
        shape = self.shapes.get(name) or (self.first_size(),)
        sizes = [self.size(axis) for axis in shape]
        if "mask" in name.casefold():
            return Given("{values: " + str(_whole_numbers(sizes, (1, 1, 0))) + "}")
        if is_index(self.function, name) or "label" in self.doc.casefold():
            return Given("{values: " + str(_whole_numbers(sizes, (0, 2, 1))) + "}")
        if not self.loss or name not in self.shapes:
            own = _WEIGHT.match(name) or not _LABELS.match(name)
            return self.constant(name, _guess(name) if own else self.shape_of_targets())
        return self.constant(name, self.shapes[name])

    def constant(self, name: str, guess: tuple[str, ...]) -> Given:
        """An array that is drawn, and has no gradient."""
        known = self.shapes.get(name)
        return Given("{shape: " + self.shape(known or guess) + "}", guess=known is None)

    def shape_of_targets(self) -> tuple[str, ...]:
        """That of the first input; one number a sample where there are weights to fit."""
        names = parameter_names(self.function)
        fitted = any(_WEIGHT.match(name) or read_keys(self.function, name) for name in names)
        first = self.shapes.get(names[0]) or _guess(names[0])
        return (self.first_size(),) if fitted else first

    def first_size(self) -> str:
        """The size of the first axis of the data: that of x, or of the first array."""
        names = [name for name in parameter_names(self.function) if not _LABELS.match(name)]
        data = [name for name in names if name in ("x", "X", "scores", "logits", "Z", "A")] or names
        shape = self.shapes.get(data[0]) or _guess(data[0])
        return shape[0]

    def shape(self, axes: Sequence[str]) -> str:
        """A shape as YAML; its sizes get values."""
        return "[" + ", ".join(self.axis(axis) for axis in axes) + "]"

    def axis(self, axis: str) -> str:
        """One axis as YAML: a size by name, or a number."""
        if axis.isdigit():
            return axis
        times = _TIMES.match(axis)
        if times:
            return str(int(times[1]) * self.size(times[2]))
        self.size(axis)
        return axis

    def size(self, name: str) -> int:
        """The value of a size."""
        if name.isdigit():
            return int(name)
        known = {**SIZES, **(SMALL_SIZES if self.small else {})}
        if name not in self.sizes:
            used = self.sizes.values()
            wanted = [known[name]] if name in known else []
            free = [size for size in (*wanted, *OTHER_SIZES) if size not in used]
            self.sizes[name] = known[name] if name in ("HH", "WW") else (free or [4])[0]
        return self.sizes[name]


def _without_gradient(function: Function, inputs: Sequence[str]) -> list[str]:
    """The inputs of a loss that it returns no gradient of, as far as its last return tells."""
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    tuples = [value for value in returns if isinstance(value, ast.Tuple)]
    gradients = tuples[-1].elts[1:] if tuples else []
    if not gradients or len(gradients) >= len(inputs):
        return []
    spelled = {ast.unparse(gradient).casefold().replace("_", "") for gradient in gradients}
    named = [
        name
        for name in inputs
        if {
            f"{start}{name}{end}".casefold().replace("_", "")
            for start, end in (("d", ""), ("grad", ""), ("", "grad"))
        }
        & spelled
    ]
    dicts = [name for name in inputs if read_keys(function, name)]
    weights = [name for name in inputs if _WEIGHT.match(name)]
    kept = named or dicts or weights[: len(gradients)] or inputs[: len(gradients)]
    return [name for name in inputs if name not in kept]


def _whole_numbers(sizes: Sequence[int], values: Sequence[int]) -> Any:
    """Nested lists of whole numbers in turn."""
    turn = cycle(values)

    def fill(rest: Sequence[int]) -> Any:
        return [fill(rest[1:]) for _ in range(rest[0])] if rest else next(turn)

    return fill(sizes)


def _guess(name: str) -> tuple[str, ...]:
    plain = name.casefold().rstrip("0123456789")
    return SHAPES.get(plain, ("n", "N"))


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else repr(value)
