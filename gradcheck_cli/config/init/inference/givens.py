"""Write what a config gives for the parameters of code, as YAML."""

from __future__ import annotations

from msgspec import Struct

from gradcheck_cli.config.init.inference.sizes import Sizes
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    OBJECT,
    RECORD,
    SIZE,
    Value,
)
from gradcheck_cli.config.init.names import NUMBERS, SHAPES, is_labels, is_lengths, is_mask

SETTING = "0.5"  # the value of a number of which nothing is known
# The distribution of an array whose logarithm is taken.
POSITIVE = "distribution: uniform, scale: 0.4, offset: 0.5"


class Given(Struct, frozen=True):
    """What a config gives for a parameter, as YAML.

    guess: whether its shape is guessed from its name; documented: whether the docstring gives it.
    """

    text: str
    guess: bool = False
    documented: bool = False


class GivenWriter:
    """Writes what is known of values as YAML; sizes: chooses the sizes in their shapes."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def write(self, name: str, value: Value) -> Given | None:
        """What a config gives for a value; None for an object or a function, and for a size that
        has the name of the parameter: the config gives it under `shapes`."""
        if value.kind == SIZE and value.axis is not None:
            text = self.sizes.write(value.axis)
            return None if text == name else Given(text)
        if value.kind == NUMBER or is_setting(value):
            return Given(NUMBERS.get(name, SETTING))
        if value.kind == RECORD:
            parts = ", ".join(f"{key}: {self.write_part(one)}" for key, one in value.fields.items())
            return Given(
                "{" + parts + "}", any(self.is_guess(one) for one in value.fields.values())
            )
        if value.kind == ITEMS:
            parts = ", ".join(self.write_part(one) for one in value.fields.values())
            return Given(
                "[" + parts + "]", any(self.is_guess(one) for one in value.fields.values())
            )
        if value.kind == OBJECT or (value.kind is None and not value.is_parameter):
            return None
        if value.last is not None:
            value.as_array(value.guessed_rank)
        given = self.write_shape(
            value if value.axes is not None else self.guess_array(name, value.summed)
        )
        if value.positive:
            return Given(f"{{shape: {given.text}, {POSITIVE}}}", value.axes is None)
        return Given(given.text, value.axes is None)

    def write_part(self, value: Value) -> str:
        """What a config gives for a part of a record or an item of a list."""
        number = NUMBERS.get(value.name, "")
        whole = number.isdigit() and len(value.name) > 2  # stride, pad, kernel_size
        if number and (whole or value.kind in (NUMBER, SIZE)):
            return number
        given = self.write(value.name, value)
        return value.name if given is None else given.text

    def is_guess(self, value: Value) -> bool:
        """Whether a value is an array of unknown shape."""
        return value.kind in (None, ARRAY) and value.axes is None

    def write_shape(self, value: Value) -> Given:
        """The shape of an array as YAML."""
        return Given(self.sizes.shape(value.axes or []))

    def guess_array(self, name: str, summed: bool = False) -> Value:
        """An array with the shape that arrays of this name usually have; summed: see Value."""
        shape = SHAPES.get(name.casefold().rstrip("0123456789"), ("N",) if summed else ("n", "N"))
        return Value(ARRAY, axes=[self.sizes.named(one) for one in shape])

    def write_constant(self, name: str, value: Value) -> Given:
        """What a config gives for a value without a gradient: whole numbers for labels and indices,
        a mask of 0 and 1, a number for a setting; else an array that is drawn."""
        parts = value.fields.values()
        if value.kind == ITEMS and parts and all(one.kind == ARRAY for one in parts):
            return Given(
                "[" + ", ".join(self.write_constant(one.name, one).text for one in parts) + "]"
            )
        if value.kind in (SIZE, NUMBER, RECORD, ITEMS):
            given = self.write(name, value)
            return given or Given(SETTING)
        numbers = value.kind is None and value.meets_numbers
        if is_setting(value) or (numbers and not is_labels(name)):
            return Given(NUMBERS.get(name, SETTING))
        array = value if value.axes is not None else self.guess_array(name)
        shape = self.sizes.shape(array.axes or [])
        if _is_mask(name, value) or numbers:  # labels of y log p + (1 − y) log(1 − p) are 0 or 1
            return Given(f"{{distribution: mask, shape: {shape}}}", value.axes is None)
        if value.classes is not None or is_lengths(name):
            classes = value.classes
            low, high = (1, "3") if classes is None else (0, self.sizes.write(classes))
            return Given(
                f"{{distribution: integers, low: {low}, high: {high}, shape: {shape}}}",
                value.axes is None,
            )
        return Given("{shape: " + shape + "}", value.axes is None)


def is_setting(value: Value) -> bool:
    """Whether the only use of a parameter is arithmetic with numbers, and it is not named like
    data."""
    plain = value.meets_numbers and not value.is_data_like and not value.positive
    return value.kind is None and plain


def is_fixed(name: str, value: Value) -> bool:
    """Whether a parameter has no gradient because it is a number, sizes, labels or a mask."""
    sizes = (
        value.kind == ITEMS
        and bool(value.fields)
        and all(one.kind == SIZE for one in value.fields.values())
    )
    plain = value.kind in (SIZE, NUMBER) or value.classes is not None or is_setting(value)
    return plain or sizes or _is_mask(name, value) or is_lengths(name)


def _is_mask(name: str, value: Value) -> bool:
    """Whether a parameter has the name of a mask; a square R is a rotation instead."""
    square = value.rank == 2 and len({axis.root for axis in value.axes or ()}) == 1
    return is_mask(name) and not square
