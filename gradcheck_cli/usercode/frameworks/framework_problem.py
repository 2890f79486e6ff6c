"""The problem of a function that a framework differentiates, whose reverse mode is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.errors import CodeError, GradcheckError, UntakenError
from gradcheck_cli.problem import Label, Problem, Stackable
from gradcheck_cli.usercode.calling.annotations import as_annotated
from gradcheck_cli.usercode.calling.signatures import bind
from gradcheck_cli.usercode.calling.values import (
    NO_FLOATS,
    Array,
    call_first,
    join_flat,
    split_flat,
)
from gradcheck_cli.usercode.copies import copy_deep
from gradcheck_cli.usercode.frameworks.differentiable import Differentiable, Tensors, convert
from gradcheck_cli.usercode.frameworks.stacks import Stacks, agree, make_probes
from gradcheck_cli.usercode.low_precision import BFLOAT16, round_to_bfloat16
from gradcheck_cli.usercode.trees import leaves, rebuild
from gradcheck_cli.usercode.watching.tracing import find_lines


class FrameworkProblem:
    """The problem of a function that a framework differentiates.

    inputs: as the function takes them; arrays: the arrays of floats in them and the weights, by
    leaf. unused: the arrays for which the framework has no gradient. shapes: of the outputs.
    """

    def __init__(
        self,
        function: Differentiable,
        inputs: Mapping[str, Any],
        constants: Mapping[str, Any] | None,
        optional: Mapping[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.inputs: Mapping[str, Any] = inputs
        self.constants = {**(optional or {}), **(constants or {})}
        own = [name for name in inputs if name not in function.weights]
        self.call = bind(function.takes, own, list(constants or {}), optional=list(optional or {}))
        self._refuse_unused(constants or {})
        self.inputs = as_annotated(self.inputs, self.call, function.function)
        self.constants = as_annotated(self.constants, self.call, function.function)
        function.prepare(self.call, self._values({}))
        given = {
            leaf: array for name, value in inputs.items() for leaf, array in leaves(value, name)
        }
        self.arrays = {
            name: function.round(array)
            for name, array in {**given, **function.weights, **given}.items()
        }
        if not self.arrays:
            raise CodeError(NO_FLOATS)
        self.unused: dict[str, None] = {}
        # The function that the numeric side calls: `run`, or the same compiled.
        self.fast: Callable[[Tensors], list[Any]] = self.run
        first = call_first(self._evaluate, self.arrays)
        if not first:
            raise CodeError(f"{function.name} returns no tensor of floats, so there is no gradient")
        self.shapes = [output.shape for output in first]
        self.fast = self._compile() or self.run
        sizes = function.sizes if function.keeps_nothing() else None
        self.stacks = None if sizes is None else Stacks(self.forward, self._map_over, sizes)
        self.dtype = np.result_type(*first)

    def _refuse_unused(self, constants: Mapping[str, Any]) -> None:
        for name in constants:
            if name not in self.call.used:
                raise UntakenError(name, f"{self.function.takes} takes no '{name}'")

    def _values(self, tensors: Tensors) -> dict[str, Any]:
        """The values for the function, by name: its inputs with these tensors, and constants."""
        given = {name: rebuild(value, name, tensors) for name, value in self.inputs.items()}
        return {**copy_deep(self.constants), **given}

    def run(self, tensors: Tensors) -> list[Any]:
        """The outputs at these tensors."""
        __tracebackhide__ = True
        values = {
            name: convert(self.function, value) for name, value in self._values(tensors).items()
        }
        weights = {name: tensors[name] for name in self.function.weights}
        try:
            return self.function.list_outputs(self.function.apply(self.call, values, weights))
        except (GradcheckError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._describe(error) from error

    def _describe(self, error: BaseException) -> CodeError:
        """The error for what the function raised, with advice."""
        raised = CodeError.raised(self.function.name, error)
        advice = self.function.explain(error)
        return CodeError(f"{raised}\n  {advice}") if advice else raised

    def _tensors(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        self.function.follow(arrays.values())
        return {name: self.function.tensor(array) for name, array in arrays.items()}

    def _evaluate(self, arrays: Mapping[str, Array]) -> list[Array]:
        # Copies, since a function may return a tensor that it overwrites in the next call.
        return [self.function.array(output).copy() for output in self.fast(self._tensors(arrays))]

    def _compile(self) -> Callable[[Tensors], list[Any]] | None:
        """The function compiled, if several calls then give the same outputs; else None."""
        try:
            compiled = self.function.compile(self.run, self._tensors(self.arrays))
            if compiled is None:
                return None
            pairs = {name: make_probes(array) for name, array in self.arrays.items()}
            points = [{name: pair[at] for name, pair in pairs.items()} for at in (0, 1, 0)]
            alone = [self.forward(point) for point in points]
            self.fast = compiled
            found = [self.forward(point) for point in points]
        except Exception:  # it cannot be compiled, such as a branch on a value
            return None
        finally:
            self.fast = self.run
        return compiled if all(map(agree, found, alone)) else None

    def forward(self, arrays: Mapping[str, Array]) -> Array:
        """The outputs, several as one flat array."""
        return join_flat(self._evaluate(arrays))

    def _map_over(self, name: str) -> Callable[[Mapping[str, Array]], Array]:
        """The forward for many points of one input at once."""
        mapped = self.function.map_over(self.run, name)

        def forward(arrays: Mapping[str, Array]) -> Array:
            outputs = [self.function.array(one) for one in mapped(self._tensors(arrays))]
            if len(outputs) == 1:
                return outputs[0]
            return np.concatenate([one.reshape(len(one), -1) for one in outputs], axis=1)

        return forward

    def backward(
        self, arrays: Mapping[str, Array], cotangent: Array, *, fast: bool = False
    ) -> dict[str, Array]:
        """The gradients by the framework's reverse mode; zeros for unused arrays.

        fast: whether the compiled function is differentiated, if there is one.
        """
        function = self.fast if fast else self.run
        found = self.pull_back_arrays(function, arrays, self.split(cotangent))
        self.unused |= dict.fromkeys(name for name in arrays if found.get(name) is None)
        return {
            name: np.zeros_like(array) if (gradient := found.get(name)) is None else gradient
            for name, array in arrays.items()
        }

    def split(self, cotangent: Any) -> list[Any]:
        """The upstream gradient of each output, from a flat one if there are several."""
        if len(self.shapes) == 1:
            return [cotangent.reshape(self.shapes[0])]
        return split_flat(cotangent, self.shapes)

    def pull_back_arrays(
        self, function: Any, arrays: Mapping[str, Array], cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """The gradients of Σ cotangent · output; what reverse mode raises becomes a CodeError."""
        try:
            return self.function.pull_back(function, self._tensors(arrays), cotangents)
        except (GradcheckError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._describe(error) from error

    def notes(self) -> tuple[str, ...]:
        """Notes on arrays without a gradient, and on those evaluated at many points at once."""
        unused = [
            f"{self.function.name} does not use {name}: it has no gradient, which counts as zero"
            for name in self.unused
        ]
        return (*unused, *(self.stacks.notes(self.function.mapper) if self.stacks else ()))

    def problem(self, delta: Array | None, seed: int) -> Problem:
        """Make the problem; its cotangent is delta, else 1 for a single number, else drawn."""
        sizes = tuple(int(np.prod(shape)) for shape in self.shapes)
        shape = self.shapes[0] if len(sizes) == 1 else (sum(sizes),)
        if delta is None:
            ones = sizes == (1,)
            drawn = np.ones(shape) if ones else Drawn().array("delta", shape, seed)
            delta = drawn.astype(self.dtype)
        delta = np.asarray(delta).reshape(shape)
        if self.function.working_type == BFLOAT16:
            delta = round_to_bfloat16(delta)
        stacks = self.stacks
        return Problem(
            inputs=self.arrays,
            forward=self.forward if stacks is None else Stackable(self.forward, stacks.stack),
            backward=self.backward,
            cotangent=delta,
            labels={name: Label(f"∂L/∂{name}", source=self.function.name) for name in self.arrays},
            late_notes=self.notes,
            parts=sizes if len(sizes) > 1 else (),
            working_type=BFLOAT16 if self.function.working_type == BFLOAT16 else "",
            origins=partial(self.find_origins, delta),
            backward_passes=self.find_backward_passes,
        )

    def find_backward_passes(self) -> dict[str, dict[int, str]]:
        """Call once more, and find the user's own backward passes; see `Problem`."""
        return self.function.find_backward_passes(self.run, self._tensors(self.arrays))

    def find_origins(self, delta: Array) -> dict[str, str]:
        """Call once more, and find after which of the user's lines each gradient exists."""
        return find_lines(
            lambda: self.backward(self.arrays, delta), self.backward(self.arrays, delta)
        )
