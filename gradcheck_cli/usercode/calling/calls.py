"""How a forward and a backward of the user are called, found out by one call of the forward.

Where the forward raises at a displaced point only, as outside of its domain, that point has no
value, and a note says how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_cli.errors import CodeError, ForwardError, UntakenError
from gradcheck_cli.text import format_shape, suggest
from gradcheck_cli.usercode.calling.annotations import as_annotated
from gradcheck_cli.usercode.calling.context import CONTEXT, Context, find_context
from gradcheck_cli.usercode.calling.conventions import (
    CACHE,
    KEPT,
    OUTPUT,
    UPSTREAM,
    BackwardCall,
    bind_backward,
    is_cache,
    is_upstream,
)
from gradcheck_cli.usercode.calling.gradient_reader import GradientReader
from gradcheck_cli.usercode.calling.independence import Independence
from gradcheck_cli.usercode.calling.losses import as_loss, bind_loss, of_owner
from gradcheck_cli.usercode.calling.objects import find_output, list_arrays
from gradcheck_cli.usercode.calling.pairs import Function, Pair, Source, call_function, find_place
from gradcheck_cli.usercode.calling.signatures import (
    Call,
    bind,
    name_of,
    parameters,
    read_defaults,
)
from gradcheck_cli.usercode.calling.updates import Update
from gradcheck_cli.usercode.calling.values import (
    NO_FLOATS,
    Array,
    as_array,
    as_inputs,
    as_number,
    call_first,
    is_output,
    items_of,
    join_flat,
    split_flat,
)
from gradcheck_cli.usercode.complex_numbers import TORCH
from gradcheck_cli.usercode.copies import copy_deep
from gradcheck_cli.usercode.low_precision import held, holds_bfloat16
from gradcheck_cli.usercode.randomness import Randomness
from gradcheck_cli.usercode.trees import gradient_leaves, leaves, rebuilt, with_attributes

# Values of a loss that stands between a forward and its backward.
LOSS, LOSS_GRADIENT = "the loss", "the gradient of the loss"


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
            raise CodeError(NO_FLOATS)
        self.convention = TORCH
        self.raised: list[CodeError] = []
        self.random = Randomness()
        self.replaced: dict[str, None] = {}
        self.independence = Independence(self.forward, self.arrays)
        self.changes_cache = False
        self.keeps = ""  # the attribute with the output of a forward that returns nothing
        self.loss = None if loss is None else as_loss(loss)
        self.is_derivative = derivative
        self.bind_both()

    def bind_both(self) -> None:
        """Find out how the forward and the backward are called, by a call of the forward."""
        source, known, loss = self.source, list(self.optional), self.loss
        arguments = [name for name in self.inputs if name not in source.held]
        self.pair = pair = source.make(self.values(self.arrays))
        self.place = find_place(pair)
        takes = parameters(pair.forward)
        context = find_context(takes, [*arguments, *self.asked])
        self.call = bind(takes, arguments, self.asked, known, context)
        self.inputs = as_annotated(self.inputs, self.call, pair.forward)
        self.constants = as_annotated(self.constants, self.call, pair.forward)
        self.reader = GradientReader(source, self.inputs, self.arrays, list_arrays(pair.owner))
        if loss is not None:
            self.loss_call = bind_loss(parameters(loss), [*arguments, *self.asked], known)
        _, values, returned = call_first(self.run, self.arrays)
        self.back = self.bind_back(pair, arguments, returned)
        if loss is not None and self.back.upstream and LOSS_GRADIENT not in values:
            raise CodeError(
                f"{source.backward} takes an upstream gradient, and {name_of(loss)} gives none: it "
                "must return its value and its gradient"
            )
        self.outputs = self.read_outputs_of(values, returned)
        one = self.outputs[0].size == 1
        self.elementwise = self.is_derivative or not (self.back.upstream or one)
        handed = self.back.call.by_parameter(parameters(pair.backward)).items()
        self.notes = [
            f"{source.backward} has no parameter '{value}': its '{name}' was given it"
            for name, value in handed
            if value in arguments and value.casefold() != name.casefold()
        ]
        self.notes += [
            f"{source.forward} returns {name} as it was handed: nothing is computed"
            for name in arguments
            if returned and returned[0] is values[name]
        ]
        self.notes += [
            f"{source.forward} gives whole numbers ({output.dtype}): it moves in steps, and its "
            "gradient is 0 wherever it has one"
            for output in self.outputs[:1]
            if output.dtype.kind in "biu"
        ]

    def bind_back(self, pair: Pair, arguments: list[str], returned: Sequence[Any]) -> BackwardCall:
        """How the backward is called. Raises CodeError where a parameter gets no value."""
        takes, known = parameters(pair.backward), list(self.optional)
        if self.is_derivative:
            return BackwardCall(bind(takes, arguments, self.asked, optional=known), 0)
        return bind_backward(
            takes,
            arguments,
            self.asked,
            [is_output(item) for item in returned],
            known,
            self.list_handed(pair),
            stateless=pair.owner is None,
        )

    def list_handed(self, pair: Pair) -> dict[str, str]:
        """What the parameters of the forward, and of a loss, were handed."""
        forward = self.call.by_parameter(parameters(pair.forward))
        loss = {} if self.loss is None else self.loss_call.by_parameter(parameters(self.loss))
        return {**loss, **forward}

    @property
    def count(self) -> int:
        """How many of what the forward returns are outputs."""
        return max(1, self.back.upstream)

    def refuse_unused(self) -> None:
        """Raises CodeError for constants that no function takes."""
        loss = self.loss_call.used if self.loss is not None else ()
        used = (*self.call.used, *loss, *self.back.call.used, *self.source.held)
        for name in self.asked:
            if name not in used:
                miss = suggest(name, self.call.used)
                raise UntakenError(name, f"no function takes the constant '{name}'{miss}")

    def values(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """What the functions are handed: inputs with these arrays, and copies of the constants."""
        inputs = {name: rebuilt(value, name, arrays) for name, value in self.inputs.items()}
        return {**copy_deep(self.constants), CONTEXT: Context(), **inputs}

    def run(self, arrays: Mapping[str, Any]) -> tuple[Pair, dict[str, Any], Sequence[Any]]:
        """A call of the forward: the pair, the values it was handed, what it returned."""
        values = self.values(arrays)
        pair = self.source.make(values)
        returned = self.call_code(pair.forward, self.source.forward, self.call, values)
        replaced = self.source.changed(pair.owner, values) if self.source.held else ()
        self.replaced |= dict.fromkeys(name for name in replaced if name in self.arrays)
        kept = find_output(pair.owner)
        values |= {KEPT: getattr(pair.owner, kept)} if kept else {}
        if returned is None:
            if not kept:
                raise CodeError(f"{self.source.forward} returns nothing: it must return its output")
            self.keeps, returned = kept, values[KEPT]
        items = (np.stack(returned),) if self.is_of_rows(returned, pair) else items_of(returned)
        values |= {CACHE: items[-1], OUTPUT: items[0]}
        if self.loss is not None:
            who, loss = name_of(self.loss), of_owner(self.loss, pair.owner)
            value, *gradient = items_of(self.call_code(loss, who, self.loss_call, values))
            values[LOSS] = value
            values |= {LOSS_GRADIENT: gradient[0]} if gradient else {}
        return pair, values, items

    def is_of_rows(self, returned: Any, pair: Pair) -> bool:
        """Whether a list holds the rows of one output: arrays of one shape, more than the backward
        takes upstream gradients or a cache for."""
        names = parameters(pair.backward).all
        taken = max(1, sum(is_upstream(name) or is_cache(name) for name in names))
        if not isinstance(returned, list) or len(returned) <= taken:
            return False
        return len({getattr(row, "shape", None) for row in returned} - {()}) == 1 and all(
            map(is_output, returned)
        )

    def call_code(self, function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
        """What the user's function returns; generators have the same state before every call."""
        __tracebackhide__ = True
        return self.random.call(who, function, lambda: call_function(function, who, call, values))

    def read_outputs_of(self, values: Mapping[str, Any], returned: Sequence[Any]) -> list[Array]:
        """What is differentiated: the outputs of the forward, or the value of the loss.

        Copies: a forward may return an array that it fills anew in every call.
        """
        if self.loss is None:
            return [as_array(item, self.source.forward).copy() for item in returned[: self.count]]
        return [as_number(values[LOSS], name_of(self.loss)).copy()]

    def forward(self, arrays: Mapping[str, Any]) -> Any:
        """The outputs, several as one; not a number where the forward raises."""
        try:
            _, values, returned = self.run(arrays)
        except CodeError as error:
            if all(np.array_equal(arrays[name], x) for name, x in self.arrays.items()):
                raise
            self.raised.append(error)
            return self.join([np.full(output.shape, np.nan) for output in self.outputs])
        return self.join(self.read_outputs_of(values, returned))

    def output_of_slices(self, arrays: Mapping[str, Any]) -> Array:
        """The output where some slices of inputs are there alone, or several times."""
        _, values, returned = self.run(arrays)
        return self.read_outputs_of(values, returned)[0]

    def settle_batched(self, batched: bool) -> None:
        """Set whether the forward takes many points at once; forget what it raised while that was
        tried."""
        self.batched = batched
        self.raised.clear()

    def join(self, outputs: Sequence[Array]) -> Array:
        """The outputs as one array, flat if there are several."""
        for output, first in zip(outputs, self.outputs, strict=True):
            if self.batched and self.count == 1 and output.shape[1:] == first.shape:
                continue
            if output.shape != first.shape:
                raise ForwardError(
                    f"{self.source.forward} gives {format_shape(first.shape)} at the inputs, but "
                    f"{format_shape(output.shape)} near them"
                )
        return join_flat(outputs)

    def backward(self, arrays: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """The gradients of the arrays that the backward claims, after a call of the forward."""
        claimed = self.independence.fill(self.claimed(arrays, cotangent))
        if not self.elementwise:
            return claimed
        return {
            name: gradient if gradient is None else cotangent * self.adjoint(gradient, name)
            for name, gradient in claimed.items()
        }

    def adjoint(self, slope: Any, name: str) -> Array:
        """The factor of the upstream gradient, of a derivative that is claimed entry by entry."""
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
        handed = {name: values[name] for name in self.back.call.used if name in values}
        defaults = read_defaults(pair.backward)
        update = Update(pair.owner, {**defaults, **handed}, self.reader.noting)
        claimed = self.call_code(pair.backward, self.source.backward, self.back.call, values)
        inputs = [id(array) for array in arrays.values()]
        self.changes_cache = any(
            id(array) not in inputs and not np.array_equal(array, copied, equal_nan=True)
            for array, copied in before
        )
        left, updated = update.left(), update.gradients()
        found = self.reader.read(claimed, pair.owner, self.call.used, updated, left)
        return {
            leaf: gradient
            for name, value in self.inputs.items()
            for leaf, gradient in gradient_leaves(found.get(name), value, name)
        }

    def split(self, cotangent: Any) -> list[Any]:
        """The upstream gradient of each output: views, so that a change in place is seen."""
        if self.count == 1:
            return [cotangent]
        return split_flat(cotangent, [output.shape for output in self.outputs])
