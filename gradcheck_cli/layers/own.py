"""Layers that the user wrote, with their inputs and constants, which are drawn when needed."""

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

    code: a function, a class of which an object is made, or any other value.
    called: whether it is called with the arguments and the values that it has parameters for.
    """

    code: Reference
    arguments: Mapping[str, Any] = {}
    called: bool = False


# Types of arrays that the paper's layers do not have. Only inputs can be complex128.
FLOAT16, BFLOAT16, COMPLEX = "float16", "bfloat16", "complex128"
# Types in which arrays are held instead: constants if inputs are complex, and NumPy's lack of
# bfloat16.
HELD_IN = {COMPLEX: "float64", BFLOAT16: "float32"}
# To see what depends on a constant or a size, it is changed in three turns: constants are
# multiplied by the first, and sizes increased or decreased by the others.
OTHER_CONSTANTS, MORE, LESS = (1.25, 0.75, 1.75), (1, 2, 3), (-1, -2, -3)
AS_SIZE = 1  # the turn in which a constant whole number is changed like a size, with equal axes


class Data(Struct, frozen=True):
    """The inputs, constants and sizes of an own layer.

    inputs: array specs, alone or in mappings, which are differentiated. constants: array specs and
        any other values. sizes: the letters of shapes, which functions may have parameters for.
    shared: the inputs and constants of all checks of a file, which a check need not use.
    domains: of the inputs that have one, by leaf; drawn arrays are drawn in their domain.
    slices: of the inputs that are cut, by leaf: the axis of the input and that of the output.
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
        """Make the inputs, drawn or given, with floats."""
        return {name: self._make(name, value, floats=True) for name, value in self.inputs.items()}

    def make_constants(self) -> dict[str, Any]:
        """Make the constants."""
        return {name: self._make(name, value) for name, value in self.constants.items()}

    def with_other(self, name: str, value: float, turn: int) -> Data | None:
        """The data with another value of a constant, or of the size that has this value.

        name: of the constant or the size. turn: which of several changes. A size is increased if
        all arrays with it are drawn, and else decreased. Returns None where it has no other value:
        no axis has the size, or it would be less than 2.
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
        return deepcopy(value)  # checks share it, and code may change its arguments

    def _draw_inside(self, name: str, spec: ArraySpec) -> Any:
        """Draw an array in its domain."""
        from gradcheck_cli.arrays.domains import geometry_of

        drawn = spec.array(name, self.seed, "float64", floats=True)
        kind = HELD_IN.get(self.dtype, self.dtype)
        return geometry_of(self.domains[name]).draw(drawn).astype(kind)

    def confine(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems with inputs kept in their domains."""
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
        """The inputs that have a gradient, by leaf, and the number of entries of each."""
        return [(name, prod(spec.shape)) for name, spec in specs(self.inputs)]


def _resize(value: Any, size: int, other: int) -> Any:
    """A value with `other` instead of `size`, in the axes of its arrays and as a whole number."""
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
    """The array specs in a mapping, also nested ones, by name: W, params.W."""
    for name, value in values.items():
        if isinstance(value, ArraySpec):
            yield name, value
            continue
        inner = value.arguments if isinstance(value, CodeValue) else value
        if isinstance(inner, Mapping | list):
            parts = inner.items() if isinstance(inner, Mapping) else enumerate(inner)
            yield from specs({name_part(name, key): part for key, part in parts})


def code_values(value: Any) -> Iterator[CodeValue]:
    """The `CodeValue`s in a value."""
    if isinstance(value, CodeValue):
        yield value
        value = value.arguments
    if isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from code_values(part)


class OwnLayer(Struct, frozen=True):
    """A layer that the user wrote, with its data."""

    data: Data

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The inputs that have a gradient, and the number of entries of each."""
        return self.data.gradients

    @property
    def seed(self) -> int:
        """The seed from which arrays are drawn."""
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
        """Make the problems that are checked."""
        raise NotImplementedError

    def change(self, place: int, name: str, value: float, turn: int) -> Problem | None:
        """Make the problem at `place` with another size or constant, see `Problem.change`."""
        other = self.data.with_other(name, value, turn)
        return None if other is None else replace(self, data=other).problems()[place]
