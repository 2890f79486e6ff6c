"""The inputs and constants of a layer of the user's own, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from math import prod
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.arrays import ArraySpec, Drawn
from gradcheck_cli.problem import Domain, Problem
from gradcheck_cli.text import name_part
from gradcheck_cli.usercode.loading import Reference


class CodeValue(Struct, frozen=True):
    """A constant that is in the user's code.

    code: a function, a class of which an object is made, or what else stands there; called: it is
    called with the arguments, and the values that it asks for by name.
    """

    code: Reference
    arguments: Mapping[str, Any] = {}
    called: bool = False


# Types of arrays that the forms do not have; complex128 is that of inputs alone.
FLOAT16, BFLOAT16, COMPLEX = "float16", "bfloat16", "complex128"
# What arrays of floats are held in, where it is another type: constants beside complex inputs, and
# what NumPy lacks.
HELD_IN = {COMPLEX: "float64", BFLOAT16: "float32"}
# What a constant is multiplied by, and a size gets more, turn by turn, to see what changes with it.
OTHER_CONSTANTS, MORE, LESS = (1.25, 0.75, 1.75), (1, 2, 3), (-1, -2, -3)
AS_SIZE = 1  # the turn in which a constant that is a whole number is changed with the axes like it


class Data(Struct, frozen=True):
    """What an own layer works on.

    inputs: what is differentiated: array specs, alone or in mappings; constants: these, and any
        other value as it is; sizes: the letters of shapes, which functions may ask for by name.
    shared: the inputs and constants that all checks of a file have, which a check may leave.
    domains: of the inputs that live in one, by leaf; what is drawn is drawn there.
    slices: of the inputs that are cut, by leaf: the axis of each and that of the output.
    """

    inputs: Mapping[str, Any]
    constants: Mapping[str, Any]
    sizes: Mapping[str, int]
    seed: int
    dtype: str
    shared: frozenset[str] = frozenset()
    domains: Mapping[str, Domain] = {}
    slices: Mapping[str, tuple[int, int]] = {}

    def make_inputs(self) -> dict[str, Any]:
        """The inputs, drawn or given, all of them floats."""
        return {name: self._make(name, value, floats=True) for name, value in self.inputs.items()}

    def make_constants(self) -> dict[str, Any]:
        """The constants, with their arrays made."""
        return {name: self._make(name, value) for name, value in self.constants.items()}

    def with_other(self, name: str, value: float, turn: int) -> Data | None:
        """The data where a constant of this name, or else the size of this value, is another.

        turn: which of several others. A size is more only where all arrays that have it are drawn.
        None where it cannot be: an axis of one, or of two that are given.
        """
        constant = self.constants.get(name)
        if isinstance(constant, float):
            changed = constant * OTHER_CONSTANTS[turn]
            return replace(self, constants={**self.constants, name: changed})
        if type(constant) is int and turn != AS_SIZE:
            return replace(self, constants={**self.constants, name: constant + MORE[turn]})
        size = int(value)
        having = [
            spec for _, spec in specs({**self.inputs, **self.constants}) if size in spec.shape
        ]
        if size != value or size < 2 or not having:
            return None
        drawn = all(isinstance(spec.source, Drawn) for spec in having)
        other = size + (MORE if drawn else LESS)[turn]
        if other < 2:
            return None
        return replace(
            self,
            inputs=_resize(self.inputs, size, other),
            constants=_resize(self.constants, size, other),
            sizes={key: other if one == size else one for key, one in self.sizes.items()},
        )

    def _make(self, name: str, value: Any, *, floats: bool = False) -> Any:
        if isinstance(value, ArraySpec):
            real = HELD_IN.get(self.dtype, self.dtype)
            drawn = self.dtype if floats and self.dtype == COMPLEX else real
            if floats and name in self.domains and isinstance(value.source, Drawn):
                return self._draw_inside(name, value)
            return value.array(name, self.seed, drawn, floats=floats)
        if isinstance(value, dict):
            return {
                key: self._make(name_part(name, key), part, floats=floats)
                for key, part in value.items()
            }
        if isinstance(value, list):
            parts = enumerate(value)
            return [self._make(name_part(name, key), part, floats=floats) for key, part in parts]
        if isinstance(value, CodeValue):
            return replace(value, arguments=self._make(name, dict(value.arguments)))
        return deepcopy(value)  # checks share it, and code may change what it is handed

    def _draw_inside(self, name: str, spec: ArraySpec) -> Any:
        """An array that is drawn, in its domain."""
        from gradcheck_cli.arrays.domains import geometry_of

        drawn = spec.array(name, self.seed, "float64", floats=True)
        kind = HELD_IN.get(self.dtype, self.dtype)
        return geometry_of(self.domains[name]).draw(drawn).astype(kind)

    def confine(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems with their inputs kept in their domains."""
        if not self.domains:
            return list(problems)
        from gradcheck_cli.usercode.domains import keep_in_domains

        return [keep_in_domains(problem, self.domains) for problem in problems]

    @property
    def numbers(self) -> dict[str, float]:
        """The sizes and the constants that are numbers, by name."""
        constants = self.constants.items()
        numbers = {
            name: float(value)
            for name, value in constants
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return {**self.sizes, **numbers}

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The arrays that have a gradient, and how many entries each has."""
        return [(name, prod(spec.shape)) for name, spec in specs(self.inputs)]


def _resize(value: Any, size: int, other: int) -> Any:
    """A value with every axis of one size in its arrays, and whole numbers like it, another."""
    if isinstance(value, ArraySpec):
        return value.resize(size, other)
    if isinstance(value, Mapping):
        return {key: _resize(part, size, other) for key, part in value.items()}
    if isinstance(value, list):
        return [_resize(part, size, other) for part in value]
    if isinstance(value, CodeValue):
        return replace(value, arguments=_resize(value.arguments, size, other))
    return other if type(value) is int and value == size else value


def specs(values: Mapping[str, Any]) -> Iterator[tuple[str, ArraySpec]]:
    """The array specs in a mapping of values, by name: W, params.W."""
    for name, value in values.items():
        if isinstance(value, ArraySpec):
            yield name, value
            continue
        inner = value.arguments if isinstance(value, CodeValue) else value
        if isinstance(inner, Mapping | list):
            parts = inner.items() if isinstance(inner, Mapping) else enumerate(inner)
            yield from specs({name_part(name, key): part for key, part in parts})


def code_values(value: Any) -> Iterator[CodeValue]:
    """The constants in a value that are in the user's code."""
    if isinstance(value, CodeValue):
        yield value
        value = value.arguments
    if isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from code_values(part)


class OwnLayer(Struct, frozen=True):
    """What layers of the user's own have in common: the arrays and values they work on."""

    data: Data

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The inputs that have a gradient, and how many entries each has."""
        return self.data.gradients

    @property
    def seed(self) -> int:
        """The seed that arrays are drawn with."""
        return self.data.seed

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes by letter."""
        return self.data.sizes

    @property
    def dtype(self) -> str:
        """The type of all arrays of floats."""
        return self.data.dtype

    def problems(self) -> list[Problem]:
        """What is to be checked."""
        raise NotImplementedError

    def change(self, place: int, name: str, value: float, turn: int) -> Problem | None:
        """The problem at this place where a size or a constant is another, as `Problem.change`."""
        other = self.data.with_other(name, value, turn)
        return None if other is None else replace(self, data=other).problems()[place]
