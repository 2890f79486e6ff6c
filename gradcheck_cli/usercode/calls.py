"""How a forward and a backward of the user are called, found out by one call of the forward.

Where the forward raises at a displaced point only, as outside of its domain, that point has no
value, and a note says how often.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.arrays import draw
from gradcheck_cli.errors import CodeError, ForwardError, GradcheckError, UntakenError, is_ours
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.text import format_path, format_shape, join_words, suggest
from gradcheck_cli.usercode.annotations import as_annotated
from gradcheck_cli.usercode.complex_numbers import TORCH, as_real
from gradcheck_cli.usercode.conventions import (
    CACHE,
    OUTPUT,
    UPSTREAM,
    BackwardCall,
    bind_backward,
    is_upstream,
)
from gradcheck_cli.usercode.gradients import by_name, unmatched_keys
from gradcheck_cli.usercode.losses import as_loss, losses_beside, of_owner
from gradcheck_cli.usercode.low_precision import held, holds_bfloat16, in_bfloat16
from gradcheck_cli.usercode.objects import also_held, gradient_attributes, held_gradient
from gradcheck_cli.usercode.randomness import Randomness
from gradcheck_cli.usercode.readings import fits_forward, read_as_upstream
from gradcheck_cli.usercode.signatures import Call, Parameters, bind, name_of, parameters
from gradcheck_cli.usercode.tracing import find_lines
from gradcheck_cli.usercode.trees import (
    as_mapping,
    gradient_leaves,
    leaves,
    rebuilt,
    with_attributes,
)
from gradcheck_cli.usercode.values import (
    Array,
    also_claimed,
    as_array,
    as_inputs,
    is_of_parts,
    is_output,
    items_of,
)

Function = Callable[..., Any]
# Values of a loss that stands between a forward and its backward.
LOSS, LOSS_GRADIENT = "the loss", "the gradient of the loss"


class Pair(Struct, frozen=True):
    """A forward and a backward that share what the forward remembers; owner: their object."""

    forward: Function
    backward: Function
    owner: Any = None


class Source(Struct, frozen=True):
    """Where a pair comes from: made anew for every call, with the values its object holds.

    forward, backward: their names, for messages; held: inputs and constants set on the object;
    changed: those of them that the object does not hold as they were set, by name.
    """

    make: Callable[[Mapping[str, Any]], Pair]
    forward: str
    backward: str
    held: tuple[str, ...] = ()
    changed: Callable[[Any, Mapping[str, Any]], list[str]] = lambda owner, values: []


class Calls:
    """How a pair is called, found out by one call of it, and the problem that follows."""

    def __init__(
        self,
        source: Source,
        inputs: Mapping[str, Any],
        constants: Mapping[str, Any] | None,
        optional: Mapping[str, Any] | None,
        batched: bool = False,
        derivative: bool = False,
        loss: Function | None = None,
    ) -> None:
        self.source = source
        self.low = holds_bfloat16(inputs)
        self.inputs = inputs = as_inputs(held(inputs) if self.low else inputs)
        self.asked = list(constants or {})
        self.optional = optional or {}
        constants = {name: with_attributes(value) for name, value in (constants or {}).items()}
        self.constants = {**self.optional, **constants}
        self.arrays = {
            leaf: array for name, value in inputs.items() for leaf, array in leaves(value, name)
        }
        self.batched = batched
        if not self.arrays:
            raise CodeError("no input is an array of floats, so nothing has a gradient")
        self.convention = TORCH
        self.raised: list[CodeError] = []
        self.random = Randomness()
        self.unchecked: dict[str, None] = {}
        self.unused_keys: dict[str, None] = {}
        self.replaced: dict[str, None] = {}
        self.missing: dict[str, list[str]] = {}
        self.changes_cache = False
        self.loss = None if loss is None else as_loss(loss)
        self.bind_both(derivative)

    def bind_both(self, derivative: bool) -> None:
        """Find out how the forward and the backward are called, by a call of the forward."""
        source, known, loss = self.source, list(self.optional), self.loss
        arguments = [name for name in self.inputs if name not in source.held]
        pair = source.make(self.values(self.arrays))
        self.place = _place(pair)
        self.call = bind(parameters(pair.forward), arguments, self.asked, optional=known)
        self.inputs = as_annotated(self.inputs, self.call, pair.forward)
        self.constants = as_annotated(self.constants, self.call, pair.forward)
        if loss is not None:
            self.loss_call = bind(parameters(loss), [OUTPUT], [*arguments, *self.asked], known)
        # A copy: what this call changes in place must not be what later calls are compared with.
        copies = {name: array.copy() for name, array in self.arrays.items()}
        _, values, returned = self.run(copies)
        self.back = self.bound(pair, arguments, returned, derivative)
        if loss is not None and self.back.upstream and LOSS_GRADIENT not in values:
            raise CodeError(
                f"{source.backward} takes an upstream gradient, and {name_of(loss)} gives none: it "
                "must return its value and its gradient"
            )
        self.outputs = self.outputs_of(values, returned)
        self.elementwise = derivative or (not self.back.upstream and self.outputs[0].size != 1)
        self.notes = self.guesses(parameters(pair.backward), arguments)
        if self.elementwise:
            self.notes += self.settle_without_upstream(pair, derivative)
        elif loss is None and not derivative:
            self.notes += self.settle_output_of_loss(pair)

    def bound(
        self, pair: Pair, arguments: list[str], returned: Sequence[Any], derivative: bool
    ) -> BackwardCall:
        """How the backward is called. Raises CodeError where a parameter gets no value."""
        takes, known = parameters(pair.backward), list(self.optional)
        if derivative:
            return BackwardCall(bind(takes, arguments, self.asked, optional=known), 0)
        return bind_backward(
            takes,
            arguments,
            self.asked,
            [is_output(item) for item in returned],
            known,
            self.handed(pair),
            stateless=pair.owner is None,
        )

    def handed(self, pair: Pair) -> dict[str, str]:
        """What the parameters of the forward, and of a loss, were handed."""
        forward = self.call.by_parameter(parameters(pair.forward))
        loss = {} if self.loss is None else self.loss_call.by_parameter(parameters(self.loss))
        return {**loss, **forward}

    def guesses(self, takes: Parameters, arguments: list[str]) -> list[str]:
        """Which parameters of the backward were handed an input of another name."""
        return [
            f"{self.source.backward} has no parameter '{value}': its '{parameter}' was given it"
            for parameter, value in zip(takes.positional, self.back.call.positional, strict=False)
            if value in arguments and value.casefold() != parameter.casefold()
        ]

    def settle_without_upstream(self, pair: Pair, derivative: bool) -> list[str]:
        """Find out what a backward without an upstream gradient is of; what a reader should know.

        Raises CodeError where nothing fits.
        """
        refusal = self.refuse_other_shape()
        if refusal is None:
            return [] if derivative else [self.choose_reading(pair)]
        if derivative:
            raise refusal
        return [self.take_loss_beside(pair, refusal)]

    def settle_output_of_loss(self, pair: Pair) -> list[str]:
        """What a reader should know where a parameter that could be handed the upstream gradient is
        the output, as it is called in a loss of the file: backward(AL, Y, caches)."""
        handed = self.back.call.by_parameter(parameters(pair.backward)).items()
        names = [name for name, value in handed if value == UPSTREAM.format(0)]
        losses = losses_beside(pair.backward, pair.owner)
        taken = {name for loss in losses for name in parameters(loss).all}
        if not names or is_upstream(names[0]) or names[0] not in taken:
            return []
        before = (self.back, self.outputs, self.elementwise, self.notes)
        with suppress(CodeError):
            return [self.take_loss_beside(pair, CodeError(""))]
        self.loss = None
        self.back, self.outputs, self.elementwise, self.notes = before
        return []

    def refuse_other_shape(self) -> CodeError | None:
        """Why a backward without an upstream gradient is no derivative, entry by entry, of a
        forward that gives more than one number; None where it may be one."""
        who, output = self.source.backward, self.outputs[0].shape
        try:
            claimed = self.claimed(
                {name: array.copy() for name, array in self.arrays.items()}, None
            )
        except CodeError as error:
            return error
        fits = [np.shape(gradient) == output for gradient in claimed.values()]
        if fits and all(fits):
            return None
        jacobians = [
            np.shape(gradient) == (*output, *self.arrays[name].shape)
            for name, gradient in claimed.items()
        ]
        if jacobians and all(jacobians):
            return CodeError(f"{who} gives a Jacobian, outputs × input; give it under jacobian")
        shapes = [format_shape(np.shape(gradient)) for gradient in claimed.values()]
        return CodeError(
            f"{who} takes no upstream gradient, so {self.source.forward} must give a single "
            f"number, or {who} an array of the output's shape, f′ entry by entry; the output "
            f"is {format_shape(output)}, and {who} gives {', '.join(shapes) or 'nothing'}; a "
            "function that returns a loss with its gradients belongs under value_and_grad, and "
            "a loss that the backward is of under loss"
        )

    def take_loss_beside(self, pair: Pair, refusal: CodeError) -> str:
        """Take the loss that stands beside the backward for what it is the gradient of.

        Returns what a reader should know of that. Of several, the one that fits one directional
        difference is meant. Raises the refusal where that is none or more.
        """
        fits: dict[str, bool] = {}
        losses = {name_of(loss): loss for loss in losses_beside(pair.backward, pair.owner)}
        for name, self.loss in losses.items():
            with suppress(CodeError):  # it takes something else
                self.bind_both(derivative=False)
                ones = np.ones(self.outputs[0].shape)
                fits[name] = fits_forward(self.forward, self.backward, self.arrays, ones)
        meant = [name for name, fit in fits.items() if fit or len(fits) == 1]
        if len(meant) != 1:
            among = f"; in its file are {join_words(list(fits))}" if fits else ""
            raise CodeError(f"{refusal}{among}")
        self.loss = losses[meant[0]]
        self.bind_both(derivative=False)
        return (
            f"{self.source.backward} takes no upstream gradient: it was checked as that of "
            f"{meant[0]}, a loss in its file; 'loss' says that this is so"
        )

    def choose_reading(self, pair: Pair) -> str:
        """How a backward was called that takes no upstream gradient by its name.

        It is handed that all the same where it could remember its input, and the forward says so.
        """
        other = None if pair.owner is None else read_as_upstream(self.back, self.inputs)
        if other is not None:
            shape = self.outputs[0].shape
            at = (self.arrays, np.random.default_rng(1).standard_normal(shape))
            as_derivative = self.back
            if not fits_forward(self.forward, self.backward, *at):
                self.back, self.elementwise = other, False
                if fits_forward(self.forward, self.backward, *at):
                    (name,) = other.call.by_parameter(parameters(pair.backward))
                    return (
                        f"{self.source.backward} was handed the upstream gradient as its '{name}', "
                        "which fits the forward; read as f′ it does not"
                    )
                self.back, self.elementwise = as_derivative, True
        return self.told_elementwise()

    def told_elementwise(self) -> str:
        """How a backward was called that is taken for an elementwise derivative."""
        call = ", ".join(self.back.call.used)
        return (
            f"{self.source.backward} takes no upstream gradient: it was called with {call}, and "
            "what it gave was multiplied by the upstream gradient, entry by entry; "
            "'derivative' instead of 'backward' says that this is so"
        )

    @property
    def count(self) -> int:
        """How many of what the forward returns are outputs."""
        return max(1, self.back.upstream)

    def unused(self) -> list[str]:
        """The constants that neither function takes."""
        loss = self.loss_call.used if self.loss is not None else ()
        used = (*self.call.used, *loss, *self.back.call.used, *self.source.held)
        return [name for name in self.asked if name not in used]

    def refuse_unused(self) -> None:
        """Raises CodeError for constants that no function takes."""
        for name in self.unused():
            miss = suggest(name, self.call.used)
            raise UntakenError(name, f"no function takes the constant '{name}'{miss}")

    def values(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """What the functions are handed: inputs with these arrays, and copies of the constants."""
        inputs = {name: rebuilt(value, name, arrays) for name, value in self.inputs.items()}
        return {**copy.deepcopy(self.constants), **inputs}

    def run(self, arrays: Mapping[str, Any]) -> tuple[Pair, dict[str, Any], Sequence[Any]]:
        """A call of the forward: the pair, the values it was handed, what it returned."""
        values = self.values(arrays)
        pair = self.source.make(values)
        returned = self.called(pair.forward, self.source.forward, self.call, values)
        replaced = self.source.changed(pair.owner, values) if self.source.held else ()
        self.replaced |= dict.fromkeys(name for name in replaced if name in self.arrays)
        items = items_of(returned)
        values |= {CACHE: items[-1], OUTPUT: items[0]}
        if self.loss is not None:
            who, loss = name_of(self.loss), of_owner(self.loss, pair.owner)
            value, *gradient = items_of(self.called(loss, who, self.loss_call, values))
            values[LOSS] = value
            values |= {LOSS_GRADIENT: gradient[0]} if gradient else {}
        return pair, values, items

    def called(self, function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
        """What the user's function returns; generators have the same state before every call."""
        __tracebackhide__ = True
        return self.random.call(who, function, lambda: _called(function, who, call, values))

    def outputs_of(self, values: Mapping[str, Any], returned: Sequence[Any]) -> list[Array]:
        """What is differentiated: the outputs of the forward, or the value of the loss."""
        if self.loss is None:
            return [as_array(item, self.source.forward) for item in returned[: self.count]]
        loss = as_array(values[LOSS], name_of(self.loss))
        if loss.size != 1:
            raise CodeError(
                f"{name_of(self.loss)} must return a single number, not {format_shape(loss.shape)}"
            )
        return [loss]

    def forward(self, arrays: Mapping[str, Any]) -> Any:
        """The outputs, several as one; not a number where the forward raises."""
        try:
            _, values, returned = self.run(arrays)
        except CodeError as error:
            if all(np.array_equal(arrays[name], x) for name, x in self.arrays.items()):
                raise
            self.raised.append(error)
            return self.joined([np.full(output.shape, np.nan) for output in self.outputs])
        return self.joined(self.outputs_of(values, returned))

    def settle_batched(self, batched: bool) -> None:
        """Whether the forward takes many points at once is known; what it raised then is forgot."""
        self.batched = batched
        self.raised.clear()

    def joined(self, outputs: Sequence[Array]) -> Array:
        """The outputs as one array, flat if there are several."""
        for output, first in zip(outputs, self.outputs, strict=True):
            if self.batched and self.count == 1 and output.shape[1:] == first.shape:
                continue
            if output.shape != first.shape:
                raise ForwardError(
                    f"{self.source.forward} gives {format_shape(first.shape)} at the inputs, but "
                    f"{format_shape(output.shape)} near them"
                )
        return outputs[0] if len(outputs) == 1 else np.concatenate([out.ravel() for out in outputs])

    def backward(self, arrays: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """The gradients of the arrays that the backward claims, after a call of the forward."""
        claimed = self.claimed(arrays, cotangent)
        if not self.elementwise:
            return claimed
        return {
            name: gradient if gradient is None else cotangent * self.adjoint(gradient, name)
            for name, gradient in claimed.items()
        }

    def adjoint(self, slope: Any, name: str) -> Array:
        """What multiplies an upstream gradient, of a derivative entry by entry."""
        array = as_array(slope, name)
        return np.conj(array) if np.iscomplexobj(array) and self.convention == TORCH else array

    def claimed(self, arrays: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """What the backward gives for every array, after a call of the forward.

        cotangent: None where the backward takes no upstream gradient.
        """
        pair, values, _ = self.run(arrays)
        if self.loss is not None and LOSS_GRADIENT in values:
            cotangent = cotangent * values[LOSS_GRADIENT]
        values |= {UPSTREAM.format(place): part for place, part in enumerate(self.split(cotangent))}
        kept = values[CACHE] if CACHE in self.back.call.used else None
        before = [(array, array.copy()) for _, array in leaves(kept, CACHE)]
        claimed = self.called(pair.backward, self.source.backward, self.back.call, values)
        handed = [id(array) for array in arrays.values()]
        self.changes_cache = any(
            id(array) not in handed and not np.array_equal(array, copied, equal_nan=True)
            for array, copied in before
        )
        found = self.gradients(claimed, pair.owner)
        return {
            leaf: gradient
            for name, value in self.inputs.items()
            for leaf, gradient in gradient_leaves(found.get(name), value, name)
        }

    def split(self, cotangent: Any) -> list[Any]:
        """The upstream gradient of each output: views, so that a change in place is seen."""
        if self.count == 1:
            return [cotangent]
        ends = np.cumsum([output.size for output in self.outputs])[:-1]
        parts = np.split(cotangent, ends)
        return [part.reshape(out.shape) for part, out in zip(parts, self.outputs, strict=True)]

    def gradients(self, claimed: Any, owner: Any) -> dict[str, Any]:
        """The gradient of every input, from what a backward returned or its object keeps."""
        who, claimed = self.source.backward, as_mapping(claimed)
        held = [name for name in self.source.held if name in self.inputs]
        names = [name for name, value in self.inputs.items() if any(leaves(value, name))]
        order = [*self.call.used, *held]
        self.unchecked |= dict.fromkeys(also_claimed(claimed, order, set(self.inputs) - set(names)))
        if owner is not None:
            self.unchecked |= dict.fromkeys(also_held(owner, [*self.inputs, *self.arrays]))
        if isinstance(claimed, Mapping):
            keys = [leaf.rpartition(".")[2] for leaf in self.arrays]
            known = [*order, *self.inputs, *self.arrays, *keys]
            self.unused_keys |= dict.fromkeys(unmatched_keys(claimed, known))
        if len(names) == 1 and is_of_parts(claimed, names[0], self.inputs[names[0]]):
            return {names[0]: claimed}
        if held and not isinstance(claimed, Mapping):
            whole = isinstance(claimed, tuple | list) and len(claimed) == len(names)
            names = names if whole else [name for name in names if name not in held]
        nested = [name for name in names if name not in self.arrays]
        found = by_name(claimed, names, order, who, nested) if names and claimed is not None else {}
        for name in nested if isinstance(claimed, Mapping) else ():
            if found.get(name) is None:  # the gradients of its arrays stand beside those of others
                found[name] = claimed
        lacking = [name for name in self.inputs if found.get(name) is None and owner is not None]
        found |= {name: self.held_gradient(owner, name) for name in lacking}
        for name in (name for name in held if found.get(name) is None):
            self.missing[name] = gradient_attributes(owner)
        return found

    def held_gradient(self, owner: Any, name: str) -> Any:
        """The gradient that an object keeps for an input, or for every array of it."""
        gradient = held_gradient(owner, name)
        if gradient is not None or name in self.arrays:
            return gradient
        leaf_gradients = {
            leaf: held_gradient(owner, leaf) for leaf, _ in leaves(self.inputs[name], name)
        }
        return rebuilt(self.inputs[name], name, leaf_gradients)

    def problem(self, delta: Array | None, seed: int, convention: str = TORCH) -> Problem:
        """The problem; its cotangent is delta, or drawn, or 1 where the backward takes none.

        convention: of complex gradients, see `as_real`.
        Raises CodeError for constants that no function takes.
        """
        self.refuse_unused()
        shape = self.joined(self.outputs).shape
        defaults = delta is None and self.back.default and self.outputs[0].size == 1
        if self.loss is not None or defaults or not (self.back.upstream or self.elementwise):
            delta = np.ones(shape)
        elif delta is None:
            kind = np.result_type(*self.outputs)
            delta = draw("delta", shape, seed, kind if kind.kind in "fc" else np.float64)
        self.convention = convention
        made = Problem(
            inputs=self.arrays,
            forward=self.forward,
            backward=self.backward,
            cotangent=np.asarray(delta),
            labels={leaf: Label(f"∂L/∂{leaf}", source=self.place) for leaf in self.arrays},
            notes=tuple(self.notes),
            observed=self.observed,
            parts=tuple(output.size for output in self.outputs) if self.count > 1 else (),
            changed=lambda: [CACHE] if self.changes_cache else [],
            origins=partial(self.find_origins, np.asarray(delta)),
        )
        return in_bfloat16(made) if self.low else as_real(made, convention)

    def find_origins(self, delta: Array) -> dict[str, str]:
        """After which lines of the user's the gradients are there, in an extra call."""

        def call() -> dict[str, Any]:
            return self.claimed({leaf: x.copy() for leaf, x in self.arrays.items()}, delta.copy())

        return find_lines(call, call())

    def observed(self) -> tuple[str, ...]:
        """What a reader should know of the forward after the check."""
        notes = tuple(
            f"∂L/∂{name} is not checked: {name} is no array of floats among the inputs"
            for name in self.unchecked
        )
        notes += tuple(
            f"{self.source.backward} returned {key}, which is the gradient of no input: it is not "
            "checked"
            for key in self.unused_keys
        )
        notes += tuple(
            f"{self.source.forward} changes {name}: it is not what was set before the call"
            for name in self.replaced
        )
        notes += tuple(
            f"{self.source.backward} leaves no ∂L/∂{name} as d{name}, grads['{name}'] or "
            f"{name}.grad; like a gradient, the object has {join_words(attributes)}"
            for name, attributes in self.missing.items()
            if attributes
        )
        if self.random.drawn:
            streams = join_words(list(self.random.drawn))
            notes += (f"the code draws from {streams}, which had the same state before every call",)
        if not self.raised:
            return notes
        points = f"{len(self.raised)} displaced point{'s' * (len(self.raised) != 1)}"
        what = str(self.raised[0]).splitlines()[0]
        return (*notes, f"the forward could not be evaluated at {points}: {what}")


def _called(function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
    """Call the user's function; what it raises becomes a CodeError with their lines."""
    __tracebackhide__ = True
    try:
        return call(function, values)
    except (GradcheckError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CodeError.raised(who, error) from error


def _place(pair: Pair) -> str:
    """Where the code of the gradients is: that of the backward, or of the one function there is."""
    for function in (pair.backward, pair.forward):
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and not is_ours(code.co_filename):
            return f"{name_of(function)}, {format_path(code.co_filename)}:{code.co_firstlineno}"
    return ""
