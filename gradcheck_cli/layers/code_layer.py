"""A layer that the user wrote in code, which is imported only when its problems are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradcheck_cli.errors import CodeError, LackingError, UntakenError
from gradcheck_cli.layers.own import BFLOAT16, CodeValue, OwnLayer, code_values
from gradcheck_cli.problem import Problem
from gradcheck_cli.text import join_words, printable
from gradcheck_cli.usercode.loading import Reference

if TYPE_CHECKING:
    from gradcheck_cli.usercode.loading import Loader

# The keys of a config that name a function for a derivative other than a backward.
CLAIMED = ("jacobian", "jvp", "hessian", "hvp")


class CodeLayer(OwnLayer, frozen=True):
    """A layer whose functions are Python code.

    functions: references by their keys in the config. These are `forward` and `backward`, or
    `layer` (a class or an object), both perhaps with a `loss`; or `forward` and `derivative`; or
    `value_and_grad`; or `forward` alone, if torch, jax or autograd differentiates it. Any of
    CLAIMED may be added to these, or to a plain `forward` alone.
    batched: whether the forward takes many points at once, see `from_functions`.
    framework: its name; None: it is recognized. device: where its tensors are; None: its default.
    convention: of complex gradients, torch or jax.
    in_place: whether the backward may change its arguments.
    double: whether the framework's double backward is checked, too.
    """

    functions: Mapping[str, Reference]
    batched: bool | str = False
    framework: str | None = None
    device: str | None = None
    convention: str = "torch"
    in_place: bool = False
    double: bool = False

    def problems(self) -> list[Problem]:
        """Import and call the user's code, and make the problems of its derivatives."""
        from gradcheck_cli.usercode.frameworks.problems import load_target
        from gradcheck_cli.usercode.loading import Loader

        arrays, fixed = self.data.make_inputs(), self.data.make_constants()
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
                change=partial(self.change, place),
            )
            for place, problem in enumerate(self.data.confine(made))
        ]

    def _make_all(
        self, functions: Mapping[str, Any], arrays: Any, fixed: Any, optional: Any
    ) -> tuple[list[Problem], list[str]]:
        """Make the problems, without shared values that no function takes; returns notes on those.

        Raises UntakenError where no function takes a value of this check alone.
        """
        from gradcheck_cli.usercode.low_precision import narrow_to_bfloat16

        claimed = any(key in CLAIMED for key in functions)
        notes: list[str] = []
        while True:
            try:
                if self.data.dtype == BFLOAT16 and self._framework_target(functions) is None:
                    arrays, fixed, optional = map(narrow_to_bfloat16, (arrays, fixed, optional))
                if claimed:
                    made = self._claim(functions, arrays, fixed, optional)
                else:
                    made = [self._make(functions)(arrays, fixed, optional=optional)]
                return self._double(made), notes
            except UntakenError as error:
                if error.name not in self.data.shared:
                    raise
                notes.append(f"{error.name}, which checks share, is left out: {error}")
                arrays, fixed = (
                    {name: value for name, value in values.items() if name != error.name}
                    for values in (arrays, fixed)
                )

    def _double(self, made: list[Problem]) -> list[Problem]:
        """The problems, and that of the double backward if it is to be checked."""
        if not self.double:
            return made
        from gradcheck_cli.usercode.frameworks.problems import double_backward

        return [*double_backward(made[0]), *made[1:]]

    def _claim(
        self, functions: Mapping[str, Any], arrays: Any, fixed: Any, optional: Any
    ) -> list[Problem]:
        """The problems of the derivatives in CLAIMED, after that of the gradients if there is one.

        It is enough that one of the functions takes a constant.
        """
        from gradcheck_cli.usercode.derivatives.problems import derive
        from gradcheck_cli.usercode.frameworks import recognize
        from gradcheck_cli.usercode.frameworks.layers import as_function_of_arrays
        from gradcheck_cli.usercode.problems import split_value

        claims = {
            key: as_function_of_arrays(function, self.framework, self.data.dtype)
            for key, function in functions.items()
            if key in CLAIMED
        }
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
        """A function that makes the problem of these functions from inputs and constants."""
        from gradcheck_cli.usercode import problems
        from gradcheck_cli.usercode.frameworks.layers import as_function_of_arrays

        known: dict[str, Any] = {"seed": self.data.seed, "slices": self.data.slices}
        loss = functions.get("loss")
        target = self._framework_target(functions)
        if target is not None:
            return self._from_framework(target)
        if "value_and_grad" in functions:
            value_and_grad = functions["value_and_grad"]
            if not hasattr(value_and_grad, "__self__"):  # a method is read from its object
                value_and_grad = as_function_of_arrays(
                    value_and_grad, self.framework, self.data.dtype
                )
            return partial(problems.from_value_and_grad, value_and_grad)
        if "layer" in functions:
            return partial(problems.from_layer, functions["layer"], **known, loss=loss)
        backward = functions.get("backward")
        methods = None
        if backward is not None and self.batched is not True:
            methods = problems.methods_of(functions["forward"], backward)
        if methods is not None:
            owner, names = methods
            return partial(problems.from_layer, owner, names=names, **known, loss=loss)
        taken = {
            key: as_function_of_arrays(function, self.framework, self.data.dtype)
            for key, function in functions.items()
            if key != "loss"
        }
        if "derivative" in taken:
            return partial(problems.from_derivative, taken["forward"], taken["derivative"], **known)
        return partial(
            problems.from_functions,
            taken["forward"],
            taken["backward"],
            loss=loss,
            batched=self.batched,
            **known,
            convention=self.convention,
        )

    def _framework_target(self, functions: Mapping[str, Any]) -> Any:
        """The function or object that a framework differentiates; None for a hand-written one."""
        from gradcheck_cli.usercode.calling.methods import has_methods
        from gradcheck_cli.usercode.frameworks import recognize

        layer, forward = functions.get("layer"), functions.get("forward")
        if layer is not None and "loss" not in functions:
            found = recognize(layer, self.framework)
            by_hand = found is not None and not found.recognizes(layer) and has_methods(layer)
            return layer if found is not None and not by_hand else None
        # Both methods of an autograd.Function are loaded as the Function itself.
        same = list(functions) == ["forward"] or forward is functions.get("backward")
        return forward if same else None

    def _from_framework(self, function: Any) -> Callable[..., Problem]:
        """A function that makes the problem of a framework's function from inputs and constants."""
        from gradcheck_cli.usercode.frameworks.problems import from_framework

        return partial(
            from_framework,
            function,
            framework=self.framework,
            slices=self.data.slices,
            seed=self.data.seed,
            dtype=self.data.dtype,
            device=self.device,
        )

    @property
    def code(self) -> tuple[Reference, ...]:
        """The user's code that the problems run."""
        constants = [value.code for value in code_values(self.data.constants)]
        return (*self.functions.values(), *constants)

    def describe_settings(self) -> dict[str, Any]:
        """The settings of the layer that a report shows."""
        names = [printable(str(code)) for code in self.functions.values()]
        alone = list(self.functions) == ["forward"]
        backward = "that of its framework" if alone else join_words(names[1:] or names)
        return {"forward": names[0], "backward": backward}


def _resolve(value: Any, loader: Loader, name: str) -> Any:
    """A constant with the parts that are in the user's code loaded or called.

    Raises CodeError where a parameter of a call gets no value.
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
