"""What the text of a function or class says of its parameters: shapes, settings, labels, defaults.

The code is read and not run. What it does not say is guessed from names, and marked as a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gradcheck_cli.config.inference.axes import Axis
from gradcheck_cli.config.inference.reader import Reader, find_method
from gradcheck_cli.config.inference.sizes import Sizes
from gradcheck_cli.config.inference.values import (
    ARRAY,
    FILTER,
    ITEMS,
    NUMBER,
    OBJECT,
    RECORD,
    SIZE,
    Value,
)
from gradcheck_cli.config.syntax import (
    Function,
    compared_text,
    documented_shape,
    parameter_defaults,
    parameter_names,
    read_keys,
    returned_gradients,
    returns_mapping,
    unpacked_shape,
)

_LABELS = re.compile(r"^(labels?|targets?|y_true|idx|indices|t|y|Y)$")
_WEIGHT = re.compile(r"^([Wbw]\w?\d*|weights?|bias(es)?|gamma|beta)$")
_MASK = re.compile(r"mask|^R$")
_LENGTHS = re.compile(r"len(gth)?s?$", re.IGNORECASE)
# Numbers that are settings, by the names that they have, and what to set them to.
NUMBERS = {
    "reg": "0.1", "lambd": "0.1", "lambda_": "0.1", "lam": "0.1", "l2": "0.1", "alpha": "0.5",
    "eps": "1e-5", "epsilon": "1e-5", "momentum": "0.9", "p": "0.5", "keep_prob": "0.5",
    "rate": "0.5", "drop": "0.5", "seed": "0", "stride": "1", "pad": "1", "padding": "1",
    "delta": "1.0", "margin": "1.0", "temperature": "1.0", "pool_height": "2", "pool_width": "2",
    "HH": "2", "WW": "2", "kernel_size": "2", "pool_size": "2", "scale": "2.0", "negative_slope":
    "0.1", "G": "1", "groups": "1", "learning_rate": "0.1", "lr": "0.1",
}  # fmt: skip
SETTING = "0.5"  # a number of which nothing is known
POSITIVE = "distribution: uniform, scale: 0.4, offset: 0.5"  # what a logarithm is taken of
# By the name of an array, where the text says nothing of its shape.
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


def describe_function(
    tree: ast.Module,
    function: Function,
    *,
    loss: bool = False,
    others: Sequence[Function] = (),
) -> Described:
    """The inputs and constants that a function of a file takes, from its text.

    loss: it returns a number with its gradients. others: functions that are called with it, a loss
    and the backward, the last of them, which say what else there is, and what has a gradient.
    """
    reading = _Reading(tree, function, loss)
    reading.follow_alone()
    return reading.describe(others)


def describe_class(
    tree: ast.Module,
    made: ast.ClassDef,
    method: str,
    *,
    own_gradients: bool = True,
    loss: bool = False,
) -> Described:
    """The inputs of a method of an object, the parameters that its constructor makes, and what the
    constructor takes.

    own_gradients: the object has gradients of its parameters, which are inputs, then.
    """
    known = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    taken = find_method(made, method, known)
    constructor = find_method(made, "__init__", known)
    empty = ast.parse(f"def {method}(self): pass").body[0]
    assert isinstance(empty, ast.FunctionDef)
    reading = _Reading(tree, taken or empty, loss)
    owner = Value(OBJECT, node=made)
    settings = reading.make(owner, constructor) if constructor is not None else {}
    weights = dict(_weights_of(owner, ast.unparse(made), own_gradients))
    reading.follow(owner)
    backward = find_method(made, "backward", known)
    described = reading.describe([backward] if backward is not None else [])
    if loss:  # the gradients are those of the object's own
        left = {
            name: Given(f"{{shape: {one.text}}}", one.guess)
            for name, one in described.inputs.items()
        }
        described = Described({}, {**left, **described.constants}, described.sizes)
    inputs = {**described.inputs, **{path: reading.array(one) for path, one in weights.items()}}
    constants = dict(reading.constants_of(settings)) | dict(described.constants)
    return Described(inputs, constants, dict(reading.sizes.values))


def _weights_of(
    owner: Value, text: str, own_gradients: bool, path: str = ""
) -> Iterator[tuple[str, Value]]:
    """The arrays that an object makes, and its text has gradients of, by where they are kept."""
    if not own_gradients:
        return
    for key, part in owner.fields.items():
        name = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        if part.kind == ARRAY and part.axes and not part.is_parameter:
            spelled = (
                rf"\b(d_?{key}|grad_{key}|{key}_grad|nabla_{key})\b|grads\[['\"]d?{key}['\"]\]"
            )
            if path or re.search(spelled, text):
                yield name, part
        elif part.kind == OBJECT and any(one in part.fields for one in ("data", "value")):
            held = part.fields.get("data", part.fields.get("value"))
            if held is not None and held.kind == ARRAY and held.axes:
                yield name, held
        elif part.kind == RECORD and key in ("params", "parameters", "weights"):
            yield from ((str(one), held) for one, held in part.fields.items() if held.kind == ARRAY)
        elif part.kind == OBJECT and part.node is not None:
            yield from _weights_of(part, ast.unparse(part.node), own_gradients, name)
        elif part.kind == ITEMS:
            for place, one in part.fields.items():
                if one.kind == OBJECT and one.node is not None:
                    inner = f"{name}[{place}]"
                    yield from _weights_of(one, ast.unparse(one.node), own_gradients, inner)


class _Reading:
    """Reads one function: what its parameters are, and what a config gives for them."""

    def __init__(self, tree: ast.Module, function: Function, loss: bool) -> None:
        self.function = function
        self.loss = loss
        self.doc = ast.get_docstring(function) or ""
        self.defaults = parameter_defaults(function)
        self.sizes = Sizes(parameter_names(function))
        self.reader = Reader(tree, self.sizes.allocate)
        self.values = {name: self.parameter(name) for name in parameter_names(function)}
        self.output = Value()

    def parameter(self, name: str) -> Value:
        """A parameter before the text is followed: what its default and the docstring tell."""
        default = self.defaults.get(name)
        if isinstance(default, ast.Constant) and default.value is not None:
            return self.reader.value(default, {})
        made = _parameter(name)
        keys = read_keys(self.function, name)
        documented = () if keys else documented_shape(self.doc, name)
        shape = documented or unpacked_shape(self.function, name)
        if shape:
            made.kind, made.axes = ARRAY, [self.axis(one) for one in shape]
            self.sizes.small |= len(shape) == 4
            for axis in made.axes if FILTER.match(name) else ():
                axis.small = True
        return made

    def axis(self, text: str) -> Axis:
        """An axis as a docstring has it: N, 3, 4H, 2 * N."""
        times = re.fullmatch(r"(\d+)\s*\*?\s*([A-Za-z_]\w*)", text)
        if times is None:
            return self.sizes.named(text)
        count, of = int(times[1]), self.sizes.named(times[2])
        return Axis(calculate=lambda: count * of.size(self.sizes.allocate))

    def document_fields(self, value: Value) -> None:
        """Give the parts of a record the shapes that the docstring has for their keys."""
        for key, needed in read_keys(self.function, value.name).items():
            shape = documented_shape(self.doc, key)
            if shape and needed:
                part = value.field(key)
                part.kind, part.axes = ARRAY, [self.axis(one) for one in shape]

    def follow_alone(self) -> None:
        """Follow the text of a function."""
        self.follow(None)

    def follow(self, owner: Value | None) -> None:
        """Follow the text, of a method with its object."""
        for value in self.values.values():
            self.document_fields(value)
        scope = dict(self.values)
        if owner is not None:
            scope["self"] = owner
        returned = self.reader.follow(self.function, scope)
        self.output = returned.fields.get(0, Value()) if returned.kind == ITEMS else returned

    def make(self, owner: Value, constructor: Function) -> dict[str, Value]:
        """Follow a constructor; what it takes, by name."""
        taken = {name: _parameter(name) for name in parameter_names(constructor)}
        defaults = parameter_defaults(constructor)
        for name, value in taken.items():
            default = defaults.get(name)
            plain = isinstance(default, ast.Constant) and not _is_count(default)
            if plain or (name in NUMBERS and name in defaults):
                taken[name] = self.reader.value(default, {}) if default is not None else value
        self.reader.follow(constructor, {**taken, "self": owner})
        for value in owner.fields.values():
            value.is_parameter = False
        return {
            name: value
            for name, value in taken.items()
            if value.kind in (SIZE, ITEMS) or name not in defaults
        }

    def constants_of(self, settings: Mapping[str, Value]) -> Iterator[tuple[str, Given]]:
        """What a constructor takes besides sizes that shapes name."""
        for name, value in settings.items():
            given = self.given(name, value)
            if given is not None:
                yield name, given

    def describe(self, others: Sequence[Function]) -> Described:
        """The inputs and the constants, in the order of the parameters."""
        inputs: dict[str, Given] = {}
        constants: dict[str, Given] = {}
        extra = self.follow_others(others)
        without = self.without_gradient(others)
        for name, value in self.values.items():
            setting = self.setting(name)
            if setting is not None:
                constants[name] = setting
                continue
            if name in self.defaults and not self.is_label(name):
                continue
            given = self.given(name, value)
            if given is None:
                continue
            number_like = value.kind in (SIZE, NUMBER) or given.text == SETTING or _is_sizes(value)
            fixed = number_like or value.classes is not None or name in without
            if fixed or _MASK.search(name) or _LENGTHS.search(name):
                constants[name] = self.fixed(name, value)
            else:
                inputs[name] = given
        constants |= {name: self.fixed(name, value) for name, value in extra.items()}
        return Described(inputs, constants, dict(self.sizes.values))

    def is_label(self, name: str) -> bool:
        """Whether labels, without which no loss is returned, are left out by default."""
        default = self.defaults.get(name)
        none = isinstance(default, ast.Constant) and default.value is None
        return self.loss and none and bool(_LABELS.match(name))

    def follow_others(self, others: Sequence[Function]) -> dict[str, Value]:
        """Follow functions that are called with this one, a loss of its output and its backward;
        what they take by names that nothing here has: labels."""
        extra: dict[str, Value] = {}
        outputs: dict[str, Value] = {}
        for other in others:
            names = parameter_names(other)
            for name in names:
                if name not in self.values and name not in outputs and _LABELS.match(name):
                    extra.setdefault(name, _parameter(name))
            known = {**self.values, **extra, **outputs}
            free = [name for name in names if name not in known]
            if other is not others[-1] and free:
                outputs[free[0]] = known[free[0]] = self.output
            self.reader.follow(other, {**{name: Value() for name in names}, **known})
        return extra

    def without_gradient(self, others: Sequence[Function]) -> list[str]:
        """The parameters that nothing returns a gradient of, as far as a last return tells."""
        names = [name for name in self.values if name not in self.defaults]
        arrays = [
            name
            for name in names
            if self.setting(name) is None
            and self.values[name].kind not in (SIZE, NUMBER)
            and self.values[name].classes is None
            and not _MASK.search(name)
            and not _LENGTHS.search(name)
            and not _is_sizes(self.values[name])
            and not is_setting(self.values[name])
        ]
        teller = self.function if self.loss else others[-1] if others else None
        labels = [name for name in arrays if self.loss and _LABELS.match(name)]
        left = [name for name in arrays if name not in labels] or arrays
        spelled = None if teller is None else returned_gradients(teller, value_first=self.loss)
        by_name = teller is not None and returns_mapping(teller)
        kept = _kept(left, spelled, self.values) if spelled else left
        if not spelled or (len(spelled) >= len(left) and not by_name):
            return labels if len(labels) < len(arrays) else []
        return [*labels, *(name for name in left if name not in kept)]

    def setting(self, name: str) -> Given | None:
        """A parameter that is no array: a default, a mode, a number, a dict of such; else None."""
        default = self.defaults.get(name)
        if isinstance(default, ast.Constant):
            value = default.value
            return Given(_yaml(value)) if isinstance(value, int | float | str) else None
        keys = read_keys(self.function, name)
        if keys and not any(map(_WEIGHT.match, keys)) and not self.holds_arrays(name):
            return Given("{" + ", ".join(f"{k}: {v}" for k, v in self.settings(name, keys)) + "}")
        mode = compared_text(self.function, name)
        if mode is not None:
            return Given(_yaml(mode))
        plain = self.values[name].kind in (None, NUMBER, SIZE)
        return Given(NUMBERS[name]) if name in NUMBERS and plain else None

    def holds_arrays(self, name: str) -> bool:
        """Whether a parameter is a dict of arrays."""
        parts, keys = self.values[name].fields, read_keys(self.function, name)
        return any(
            parts[key].kind == ARRAY for key, needed in keys.items() if needed and key in parts
        )

    def settings(self, name: str, keys: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
        """The keys of a dict of settings which the function needs, each with its value."""
        for key, needed in keys.items():
            mode = compared_text(self.function, f"{name}.{key}")
            if mode is not None or key == "mode":
                yield key, _yaml(mode or "train")
            elif needed:
                yield key, NUMBERS.get(key, "1")

    def given(self, name: str, value: Value) -> Given | None:
        """What a config gives for a value; None for a size that shapes name already."""
        if value.kind == SIZE and value.axis is not None:
            text = self.sizes.write(value.axis)
            return None if text == name else Given(text)
        if value.kind == NUMBER or is_setting(value):
            return Given(SETTING)
        if value.kind == RECORD:
            parts = ", ".join(f"{key}: {self.part(one)}" for key, one in value.fields.items())
            return Given(
                "{" + parts + "}", any(self.is_guess(one) for one in value.fields.values())
            )
        if value.kind == ITEMS:
            parts = ", ".join(self.part(one) for one in value.fields.values())
            return Given(
                "[" + parts + "]", any(self.is_guess(one) for one in value.fields.values())
            )
        if value.kind == OBJECT or (value.kind is None and not value.is_parameter):
            return None
        given = self.array(value if value.axes is not None else self.guessed(name))
        if value.positive:
            return Given(f"{{shape: {given.text}, {POSITIVE}}}", value.axes is None)
        return Given(given.text, value.axes is None)

    def part(self, value: Value) -> str:
        given = self.given(value.name, value)
        return value.name if given is None else given.text

    def is_guess(self, value: Value) -> bool:
        """Whether nothing tells the shape of an array."""
        return value.kind in (None, ARRAY) and value.axes is None

    def array(self, value: Value) -> Given:
        """The shape of an array as YAML."""
        return Given(self.sizes.shape(value.axes or []))

    def guessed(self, name: str) -> Value:
        """An array of the shape that those of this name have."""
        shape = SHAPES.get(name.casefold().rstrip("0123456789"), ("n", "N"))
        return Value(ARRAY, axes=[self.sizes.named(one) for one in shape])

    def fixed(self, name: str, value: Value) -> Given:
        """Labels and indices as whole numbers, a mask of 0 and 1; else an array that is drawn."""
        if value.kind in (SIZE, NUMBER, RECORD, ITEMS):
            given = self.given(name, value)
            return given or Given(SETTING)
        if is_setting(value):
            return Given(SETTING)
        array = value if value.axes is not None else self.guessed(name)
        shape = self.sizes.shape(array.axes or [])
        if _MASK.search(name):
            return Given(f"{{distribution: mask, shape: {shape}}}", value.axes is None)
        if value.classes is not None or _LENGTHS.search(name):
            high = self.sizes.write(value.classes) if value.classes is not None else "2"
            low = 0 if value.classes is not None else 1
            high = high if low == 0 else "3"
            return Given(
                f"{{distribution: integers, low: {low}, high: {high}, shape: {shape}}}",
                value.axes is None,
            )
        return Given("{shape: " + shape + "}", value.axes is None)


def _parameter(name: str) -> Value:
    made = Value(name=name)
    made.is_parameter = True
    return made


def _kept(names: Sequence[str], spelled: Sequence[str], values: Mapping[str, Value]) -> list[str]:
    """Those of the parameters that gradients of these texts are of."""
    folded = {one.casefold().replace("_", "") for one in spelled}

    def is_named(name: str) -> bool:
        parts = [str(key) for key in values[name].fields]
        return any(
            f"{start}{one}{end}".casefold().replace("_", "") in folded
            for one in (name, *parts)
            for start, end in (("d", ""), ("grad", ""), ("", "grad"))
        )

    named = [name for name in names if is_named(name)]
    records = [name for name in names if values[name].kind in (RECORD, ITEMS)]
    if len(named) == len(spelled) or set(named) & set(records):
        return named
    vectors = [name for name in names if values[name].ends or _WEIGHT.match(name)]
    theta = [name for name in names if re.match(r"theta|params|weights", name, re.IGNORECASE)]
    count = len(spelled)
    return next(one[:count] for one in (records, vectors, theta, list(names)) if one)


def is_setting(value: Value) -> bool:
    """Whether all that is known of a parameter is that it is reckoned with a number."""
    return value.kind is None and value.meets_numbers and not value.is_data_like


def _is_sizes(value: Value) -> bool:
    """Whether this is a list of sizes."""
    parts = value.fields.values()
    return value.kind == ITEMS and bool(parts) and all(one.kind == SIZE for one in parts)


def _is_count(node: ast.expr | None) -> bool:
    """Whether a default is a whole number that could be a size."""
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else repr(value)
