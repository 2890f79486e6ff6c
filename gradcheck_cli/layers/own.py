"""A layer of the user's own: formulas, functions or objects, with their inputs and constants.

Like `Layer` it is numbers and text; arrays are drawn and code is imported when its problems are
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.arrays import ArraySpec, Drawn, Shape
from gradcheck_cli.errors import CodeError, LackingError, UntakenError
from gradcheck_cli.formula import parse
from gradcheck_cli.layers.paper import UPSTREAM_NAMES
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Domain, Label, Problem
from gradcheck_cli.text import join_words, name_part, printable
from gradcheck_cli.usercode.loading import Reference

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays
    from gradcheck_cli.usercode.loading import Loader


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
# The keys of a config that name the function of a derivative, beside its forward.
CLAIMED = ("jacobian", "jvp", "hessian", "hvp")


class Data(Struct, frozen=True):
    """What an own layer works on.

    inputs: what is differentiated: array specs, alone or in mappings; constants: these, and any
        other value as it is; sizes: the letters of shapes, which functions may ask for by name.
    shared: the inputs and constants that all checks of a file have, which a check may leave.
    domains: of the inputs that live in one, by leaf; what is drawn is drawn there.
    """

    inputs: Mapping[str, Any]
    constants: Mapping[str, Any]
    sizes: Mapping[str, int]
    seed: int
    dtype: str
    shared: frozenset[str] = frozenset()
    domains: Mapping[str, Domain] = {}

    def arrays(self) -> dict[str, Any]:
        """The inputs, drawn or given, all of them floats."""
        return {name: self._make(name, value, floats=True) for name, value in self.inputs.items()}

    def fixed(self) -> dict[str, Any]:
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
            inputs=_resized(self.inputs, size, other),
            constants=_resized(self.constants, size, other),
            sizes={key: other if one == size else one for key, one in self.sizes.items()},
        )

    def _make(self, name: str, value: Any, *, floats: bool = False) -> Any:
        if isinstance(value, ArraySpec):
            real = HELD_IN.get(self.dtype, self.dtype)
            drawn = self.dtype if floats and self.dtype == COMPLEX else real
            if floats and name in self.domains and isinstance(value.source, Drawn):
                return self._drawn_inside(name, value)
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

    def _drawn_inside(self, name: str, spec: ArraySpec) -> Any:
        """An array that is drawn, in its domain."""
        from gradcheck_cli.arrays.domains import geometry_of

        drawn = spec.array(name, self.seed, "float64", floats=True)
        kind = HELD_IN.get(self.dtype, self.dtype)
        return geometry_of(self.domains[name]).draw(drawn).astype(kind)

    def confine(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems with their inputs kept in their domains."""
        if not self.domains:
            return list(problems)
        from gradcheck_cli.usercode.domains import within

        return [within(problem, self.domains) for problem in problems]

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


def change(
    layer: FormulaLayer | CodeLayer, place: int, name: str, value: float, turn: int
) -> Problem | None:
    """The problem at this place of a layer where a size or a constant is another."""
    other = layer.data.with_other(name, value, turn)
    return None if other is None else replace(layer, data=other).problems()[place]


def _resized(value: Any, size: int, other: int) -> Any:
    """A value with every axis of one size in its arrays, and whole numbers like it, another."""
    if isinstance(value, ArraySpec):
        return value.resized(size, other)
    if isinstance(value, Mapping):
        return {key: _resized(part, size, other) for key, part in value.items()}
    if isinstance(value, list):
        return [_resized(part, size, other) for part in value]
    if isinstance(value, CodeValue):
        return replace(value, arguments=_resized(value.arguments, size, other))
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


class _OfData:
    """What a layer says of its data."""

    __slots__ = ()
    data: Data

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The inputs that have a gradient, and how many entries each has."""
        return self.data.gradients

    @property
    def seed(self) -> int:
        """What arrays are drawn with."""
        return self.data.seed

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes by letter."""
        return self.data.sizes

    @property
    def dtype(self) -> str:
        """Of all arrays of floats."""
        return self.data.dtype


# Calls of the forward that a check of formulas makes: for an entry that is measured, for a gradient
# in random directions with the search for what is wrong, and besides; and of a rule.
CALLS_OF_ENTRY, CALLS_OF_DIRECTIONS, CALLS_BESIDES, CALLS_OF_RULE = 30, 300, 10, 8
# Numbers that are held for every output: points on both sides, their differences and their noise.
NUMBERS_OF_OUTPUT = 24


class FormulaLayer(_OfData, Struct, frozen=True):
    """Forward and backward as formulas. rules: ∂L/∂input by input, which may name delta and y."""

    data: Data
    forward: str
    rules: Mapping[str, str]
    batched: bool | str = False

    @property
    def names(self) -> dict[str, Shape | float]:
        """What the forward may name: arrays by shape, numbers by value."""
        data = self.data
        inputs = {name: spec.shape for name, spec in data.inputs.items()}
        arrays = {name: c.shape for name, c in data.constants.items() if isinstance(c, ArraySpec)}
        numbers = {name: c for name, c in data.constants.items() if isinstance(c, int | float)}
        return {**data.sizes, **numbers, **arrays, **inputs}

    @property
    def rule_names(self) -> dict[str, Shape | float]:
        """What a rule may name besides: the output y and the upstream gradient delta."""
        shape = parse(self.forward, self.names).shape
        return {"y": shape, **dict.fromkeys(UPSTREAM_NAMES, shape), **self.names}

    def count_calls(self, numeric: Numeric) -> int:
        """About how often a check calls the forward."""
        entries = [numeric.entries(size) for _, size in self.gradients]
        calls = [CALLS_OF_ENTRY * count if count else CALLS_OF_DIRECTIONS for count in entries]
        return sum(calls) + CALLS_BESIDES

    def work(self, numeric: Numeric) -> int:
        """About how many multiplications a check takes the time of; the rules call y again."""
        forward, names = parse(self.forward, self.names), self.rule_names
        rules = sum(parse(text, names).work for text in self.rules.values())
        calls = self.count_calls(numeric)
        return calls * forward.work + CALLS_OF_RULE * (rules + forward.work)

    @property
    def bytes(self) -> int:
        """About the memory of one evaluation, and of what is kept of its outputs."""
        forward = parse(self.forward, self.names)
        return 8 * (forward.elements + NUMBERS_OF_OUTPUT * prod(forward.shape))

    def problems(self) -> list[Problem]:
        """The check of the gradients."""
        import numpy as np

        forward, known = parse(self.forward, self.names), self.rule_names
        rules = {name: parse(text, known) for name, text in self.rules.items()}
        fixed = {name: c for name, c in self.data.fixed().items() if name in self.names}
        constants = {name: np.asarray(c, dtype=self.data.dtype) for name, c in fixed.items()}

        def outputs(arrays: Arrays) -> Any:
            return forward({**constants, **arrays})

        def backward(arrays: Arrays, cotangent: Any) -> dict[str, Any]:
            values = {"y": outputs(arrays), **dict.fromkeys(UPSTREAM_NAMES, cotangent)}
            return {name: rule({**values, **constants, **arrays}) for name, rule in rules.items()}

        delta = Drawn().array("delta", forward.shape, self.data.seed).astype(self.data.dtype)
        labels = {
            name: Label(f"∂L/∂{name}", printable(" ".join(text.split())))
            for name, text in self.rules.items()
        }
        arrays, numbers = self.data.arrays(), self.data.numbers
        problem = Problem(
            arrays,
            outputs,
            backward,
            delta,
            labels=labels,
            numbers=numbers,
            change=partial(change, self, 0),
        )
        if self.batched:
            from gradcheck_cli.usercode.batches import prove

            problem = prove(problem, self.batched)
        return self.data.confine([problem])

    @property
    def code(self) -> tuple[Reference, ...]:
        """No code of the user's."""
        return ()

    def described(self) -> dict[str, Any]:
        """What a report says of the layer."""
        return {"forward": printable(self.forward), "backward": "formulas"}


class CodeLayer(_OfData, Struct, frozen=True):
    """Forward and backward as Python code.

    functions: the code by the key of the config that names it: `forward` and `backward`, or `layer`
    (a class or an object), each with a `loss` between them or not, `forward` and `derivative`,
    `value_and_grad`, or `forward` alone, of which torch, jax or autograd has the backward;
    besides, or beside a `forward` alone, any of CLAIMED.
    in_place: whether the backward may change what it is handed.
    convention: of complex gradients, torch or jax.
    double: whether the backward of the framework's backward is checked, too.
    framework, device: which, and where its tensors live; None: found out, and its default.
    """

    data: Data
    functions: Mapping[str, Reference]
    batched: bool | str = False
    framework: str | None = None
    device: str | None = None
    convention: str = "torch"
    in_place: bool = False
    double: bool = False

    def problems(self) -> list[Problem]:
        """The check of the gradients. Imports and calls the user's code."""
        from gradcheck_cli.usercode.frameworks.problems import load_target
        from gradcheck_cli.usercode.loading import Loader

        arrays, fixed = self.data.arrays(), self.data.fixed()
        taken = {**fixed, **arrays}
        sizes = {name: size for name, size in self.data.sizes.items() if name not in taken}
        loader = Loader({**sizes, **fixed, **arrays})
        fixed = {name: _resolve(value, loader, name) for name, value in fixed.items()}
        loader.values |= fixed
        if list(self.functions) == ["forward"]:
            code = self.functions["forward"]
            functions = {"forward": load_target(code, loader, arrays, self.data.seed)}
        else:
            functions = {
                key: loader.load(code, makes=key == "layer") for key, code in self.functions.items()
            }
        used = {name: fixed.pop(name) for name in loader.used if name in fixed}
        optional = {**sizes, **used}
        made, left = self._make_all(functions, arrays, fixed, optional)
        return [
            replace(
                problem,
                numbers=self.data.numbers,
                notes=(*loader.notes, *left, *problem.notes),
                in_place=self.in_place,
                change=partial(change, self, place),
            )
            for place, problem in enumerate(self.data.confine(made))
        ]

    def _make_all(
        self, functions: Mapping[str, Any], arrays: Any, fixed: Any, optional: Any
    ) -> tuple[list[Problem], list[str]]:
        """The problems, and what is left out of what all checks share as no function takes it.

        Raises UntakenError where a function takes no value of the check's own.
        """
        from gradcheck_cli.usercode.low_precision import lowered

        claimed = any(key in CLAIMED for key in functions)
        notes: list[str] = []
        while True:
            try:
                if self.data.dtype == BFLOAT16 and self._framework_target(functions) is None:
                    arrays, fixed, optional = map(lowered, (arrays, fixed, optional))
                if claimed:
                    made = self._claimed(functions, arrays, fixed, optional)
                else:
                    made = [self._make(functions)(arrays, fixed, optional=optional)]
                return self._doubled(made), notes
            except UntakenError as error:
                if error.name not in self.data.shared:
                    raise
                notes.append(f"{error.name}, which checks share, is left out: {error}")
                arrays, fixed = (
                    {name: value for name, value in values.items() if name != error.name}
                    for values in (arrays, fixed)
                )

    def _doubled(self, made: list[Problem]) -> list[Problem]:
        """The problems, with that of the double backward where it is asked for."""
        if not self.double:
            return made
        from gradcheck_cli.usercode.frameworks.problems import double_backward

        return [*double_backward(made[0]), *made[1:]]

    def _claimed(
        self, functions: Mapping[str, Any], arrays: Any, fixed: Any, optional: Any
    ) -> list[Problem]:
        """The problems where other derivatives are claimed, after that of the gradients.

        A constant may be taken by one of the functions alone.
        """
        from gradcheck_cli.usercode.derivatives.problems import derive
        from gradcheck_cli.usercode.frameworks import recognize
        from gradcheck_cli.usercode.frameworks.problems import as_function_of_arrays
        from gradcheck_cli.usercode.problems import split_value

        claims = {key: function for key, function in functions.items() if key in CLAIMED}
        others = {key: function for key, function in functions.items() if key not in CLAIMED}
        known = {**optional, **fixed}
        alone = list(others) == ["forward"] and not recognize(others["forward"], self.framework)
        base = None if alone else self._make(others)(arrays, None, optional=known)
        if "value_and_grad" in others:
            forward = split_value(others["value_and_grad"])
        else:
            forward = as_function_of_arrays(others["forward"], self.framework, self.data.dtype)
        derived = derive(
            claims,
            forward,
            arrays,
            optional=known,
            seed=self.data.seed,
            backward=base,
            convention=self.convention,
        )
        return derived if base is None else [base, *derived]

    def _make(self, functions: Mapping[str, Any]) -> Callable[..., Problem]:
        """How a problem is made of the functions, given inputs and constants."""
        from gradcheck_cli.usercode import problems
        from gradcheck_cli.usercode.frameworks.problems import as_function_of_arrays

        seed, loss = self.data.seed, functions.get("loss")
        target = self._framework_target(functions)
        if target is not None:
            return self._from_framework(target)
        if "value_and_grad" in functions:
            return partial(problems.from_value_and_grad, functions["value_and_grad"])
        if "layer" in functions:
            return partial(problems.from_layer, functions["layer"], seed=seed, loss=loss)
        backward = functions.get("backward")
        methods = None
        if backward is not None and self.batched is not True:
            methods = problems.methods_of(functions["forward"], backward)
        if methods is not None:
            owner, names = methods
            return partial(problems.from_layer, owner, names=names, seed=seed, loss=loss)
        taken = {
            key: as_function_of_arrays(function, self.framework, self.data.dtype)
            for key, function in functions.items()
            if key != "loss"
        }
        if "derivative" in taken:
            return partial(
                problems.from_derivative, taken["forward"], taken["derivative"], seed=seed
            )
        return partial(
            problems.from_functions,
            taken["forward"],
            taken["backward"],
            loss=loss,
            batched=self.batched,
            seed=seed,
            convention=self.convention,
        )

    def _framework_target(self, functions: Mapping[str, Any]) -> Any:
        """What a framework differentiates itself; None where the gradients are by hand."""
        from gradcheck_cli.usercode.frameworks import recognize

        layer, forward = functions.get("layer"), functions.get("forward")
        if layer is not None and "loss" not in functions:
            return layer if recognize(layer, self.framework) else None
        # The forward and the backward of one autograd.Function are that Function.
        same = list(functions) == ["forward"] or forward is functions.get("backward")
        return forward if same else None

    def _from_framework(self, function: Any) -> Callable[..., Problem]:
        """How a problem is made of what a framework differentiates itself."""
        from gradcheck_cli.usercode.frameworks.problems import from_framework

        return partial(
            from_framework,
            function,
            framework=self.framework,
            seed=self.data.seed,
            dtype=self.data.dtype,
            device=self.device,
        )

    @property
    def code(self) -> tuple[Reference, ...]:
        """The user's code that the problem runs."""
        constants = [value.code for value in code_values(self.data.constants)]
        return (*self.functions.values(), *constants)

    def described(self) -> dict[str, Any]:
        """What a report says of the layer."""
        names = [printable(str(code)) for code in self.functions.values()]
        alone = list(self.functions) == ["forward"]
        backward = "that of its framework" if alone else join_words(names[1:] or names)
        return {"forward": names[0], "backward": backward}


def _resolve(value: Any, loader: Loader, name: str) -> Any:
    """A constant with what is in code taken from there.

    Raises CodeError where an object of a class cannot be made of what is known.
    """
    if isinstance(value, CodeValue):
        arguments = {key: _resolve(part, loader, key) for key, part in value.arguments.items()}
        try:
            return loader.make(value.code, arguments) if value.called else loader.load(value.code)
        except LackingError as error:
            given = ", ".join(f"{key}: …" for key in (*arguments, *error.names))
            raise CodeError(
                f"{error}; for this object alone: {name}: {{call: {value.code}, {given}}}"
            ) from error
    if isinstance(value, dict):
        return {key: _resolve(part, loader, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_resolve(part, loader, name) for part in value]
    return value
