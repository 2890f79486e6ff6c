"""Call a forward and its backward; how that is done is found out by one call of the forward.

Where the forward raises only at a displaced point, as outside of its domain, the outputs there are
NaN, and a note says at how many points.
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
)
from gradcheck_cli.usercode.calling.gradient_reader import GradientReader
from gradcheck_cli.usercode.calling.independence import Independence
from gradcheck_cli.usercode.calling.losses import as_loss, bind_loss, method_of
from gradcheck_cli.usercode.calling.names import is_cache, is_upstream
from gradcheck_cli.usercode.calling.objects import find_output, list_arrays
from gradcheck_cli.usercode.calling.pairs import Function, Pair, Source, call_function, locate_code
from gradcheck_cli.usercode.calling.signatures import (
    Call,
    bind,
    name_of,
    read_defaults,
    read_parameters,
)
from gradcheck_cli.usercode.calling.updates import Snapshot
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
from gradcheck_cli.usercode.low_precision import holds_bfloat16, widen_bfloat16
from gradcheck_cli.usercode.randomness import Randomness
from gradcheck_cli.usercode.trees import gradient_leaves, leaves, rebuild, with_attributes

# The names, in a `Call`, of the values of a loss between a forward and its backward.
LOSS, LOSS_GRADIENT = "the loss", "the gradient of the loss"


class Calls:
    """The calls of a pair: which values its functions get, and what their results mean.

    inputs: as the functions take them; arrays: the arrays of floats in them, by leaf.
    constants: those of the user, `given`, and `optional` ones such as sizes.
    pair, forward_call, loss_call, backward_call: set by `bind_all`, with a first call.
    outputs: those of the first call. elementwise: whether the backward claims a derivative entry by
    entry, instead of a gradient. location: where the code of the gradients is, for messages.
    errors: what the forward raised at displaced points. notes: for the reader of the report.
    replaced: inputs that the object no longer had, after a forward, as they were set.
    changes_cache: whether the last backward changed an array of its cache.
    """

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
        self.in_bfloat16 = holds_bfloat16(inputs)
        self.inputs = inputs = as_inputs(widen_bfloat16(inputs) if self.in_bfloat16 else inputs)
        self.given = list(constants or {})
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
        self.errors: list[CodeError] = []
        self.random = Randomness()
        self.replaced: dict[str, None] = {}
        self.independence = Independence(self.forward, self.arrays)
        self.changes_cache = False
        self.output_attribute = ""  # that keeps the output of a forward that returns nothing
        self.loss = None if loss is None else as_loss(loss)
        self.is_derivative = derivative
        self.bind_all()

    def bind_all(self) -> None:
        """Find the calls of the forward, the loss and the backward, by a call of the forward."""
        source, known, loss = self.source, list(self.optional), self.loss
        arguments = [name for name in self.inputs if name not in source.held]
        self.pair = pair = source.make(self.values(self.arrays))
        self.location = locate_code(pair)
        takes = read_parameters(pair.forward)
        context = find_context(takes, [*arguments, *self.given])
        self.forward_call = bind(takes, arguments, self.given, known, context)
        self.inputs = as_annotated(self.inputs, self.forward_call, pair.forward)
        self.constants = as_annotated(self.constants, self.forward_call, pair.forward)
        self.reader = GradientReader(source, self.inputs, self.arrays, list_arrays(pair.owner))
        if loss is not None:
            self.loss_call = bind_loss(read_parameters(loss), [*arguments, *self.given], known)
        _, values, returned = call_first(self.call_forward, self.arrays)
        self.backward_call = self.find_backward_call(pair, arguments, returned)
        if loss is not None and self.backward_call.upstream and LOSS_GRADIENT not in values:
            raise CodeError(
                f"{source.backward} takes an upstream gradient, and {name_of(loss)} gives none: it "
                "must return its value and its gradient"
            )
        self.outputs = self.read_outputs_of(values, returned)
        one = self.outputs[0].size == 1
        self.elementwise = self.is_derivative or not (self.backward_call.upstream or one)
        self.notes = self.describe_first_call(arguments, values, returned)

    def describe_first_call(
        self, arguments: list[str], values: Mapping[str, Any], returned: Sequence[Any]
    ) -> list[str]:
        """Notes on values that no name gave to a parameter, and on forwards without a gradient.

        arguments: the inputs that the forward gets; values: those of the call, by name; returned:
        what it returned.
        """
        source, takes = self.source, read_parameters(self.pair.backward)
        return [
            *(
                f"{source.backward} has no parameter '{value}': its '{name}' was given it"
                for name, value in self.backward_call.call.by_parameter(takes).items()
                if value in arguments and value.casefold() != name.casefold()
            ),
            *(
                f"{source.forward} returns {name} as it was handed: nothing is computed"
                for name in arguments
                if returned and returned[0] is values[name]
            ),
            *(
                f"{source.forward} gives whole numbers ({output.dtype}): it moves in steps, and "
                "its gradient is 0 wherever it has one"
                for output in self.outputs[:1]
                if output.dtype.kind in "biu"
            ),
        ]

    def find_backward_call(
        self, pair: Pair, arguments: list[str], returned: Sequence[Any]
    ) -> BackwardCall:
        """Find the call of the backward. Raises CodeError where a parameter gets no value."""
        takes, known = read_parameters(pair.backward), list(self.optional)
        if self.is_derivative:
            return BackwardCall(bind(takes, arguments, self.given, optional=known), 0)
        return bind_backward(
            takes,
            arguments,
            self.given,
            [is_output(item) for item in returned],
            known,
            self.list_passed(pair),
            stateless=pair.owner is None,
        )

    def list_passed(self, pair: Pair) -> dict[str, str]:
        """The names of the values that the parameters of the forward and of the loss get."""
        forward = self.forward_call.by_parameter(read_parameters(pair.forward))
        loss = {} if self.loss is None else self.loss_call.by_parameter(read_parameters(self.loss))
        return {**loss, **forward}

    @property
    def output_count(self) -> int:
        """How many of the values that the forward returns are outputs."""
        return max(1, self.backward_call.upstream)

    def refuse_unused(self) -> None:
        """Raise CodeError for a constant that no function takes."""
        loss = self.loss_call.used if self.loss is not None else ()
        used = (*self.forward_call.used, *loss, *self.backward_call.call.used, *self.source.held)
        for name in self.given:
            if name not in used:
                miss = suggest(name, self.forward_call.used)
                raise UntakenError(name, f"no function takes the constant '{name}'{miss}")

    def values(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Values for the functions, by name: inputs with these arrays and copies of constants."""
        inputs = {name: rebuild(value, name, arrays) for name, value in self.inputs.items()}
        return {**copy_deep(self.constants), CONTEXT: Context(), **inputs}

    def call_forward(self, arrays: Mapping[str, Any]) -> tuple[Pair, dict[str, Any], Sequence[Any]]:
        """Call the forward of a new pair, and the loss if there is one.

        Returns the pair, the values that the backward may get, by name, and what the forward
        returned.
        """
        values = self.values(arrays)
        pair = self.source.make(values)
        returned = self.call_code(pair.forward, self.source.forward, self.forward_call, values)
        replaced = self.source.changed(pair.owner, values) if self.source.held else ()
        self.replaced |= dict.fromkeys(name for name in replaced if name in self.arrays)
        kept = find_output(pair.owner)
        values |= {KEPT: getattr(pair.owner, kept)} if kept else {}
        if returned is None:
            if not kept:
                raise CodeError(f"{self.source.forward} returns nothing: it must return its output")
            self.output_attribute, returned = kept, values[KEPT]
        items = (np.stack(returned),) if self.is_of_rows(returned, pair) else items_of(returned)
        values |= {CACHE: items[-1], OUTPUT: items[0]}
        if self.loss is not None:
            who, loss = name_of(self.loss), method_of(self.loss, pair.owner)
            value, *gradient = items_of(self.call_code(loss, who, self.loss_call, values))
            values[LOSS] = value
            values |= {LOSS_GRADIENT: gradient[0]} if gradient else {}
        return pair, values, items

    def is_of_rows(self, returned: Any, pair: Pair) -> bool:
        """Whether a list holds the rows of one output.

        That is so if its arrays have one shape and are more than the parameters of the backward for
        upstream gradients and a cache.
        """
        names = read_parameters(pair.backward).names
        taken = max(1, sum(is_upstream(name) or is_cache(name) for name in names))
        if not isinstance(returned, list) or len(returned) <= taken:
            return False
        return len({getattr(row, "shape", None) for row in returned} - {()}) == 1 and all(
            map(is_output, returned)
        )

    def call_code(self, function: Function, who: str, call: Call, values: Mapping[str, Any]) -> Any:
        """Call the user's function; random generators have the same state before every call."""
        __tracebackhide__ = True
        return self.random.call(who, function, lambda: call_function(function, who, call, values))

    def read_outputs_of(self, values: Mapping[str, Any], returned: Sequence[Any]) -> list[Array]:
        """Copies of what is differentiated: the outputs of the forward, or the value of the loss.

        A forward may return an array that it overwrites in the next call.
        """
        if self.loss is None:
            return [
                as_array(item, self.source.forward).copy() for item in returned[: self.output_count]
            ]
        return [as_number(values[LOSS], name_of(self.loss)).copy()]

    def forward(self, arrays: Mapping[str, Any]) -> Any:
        """The outputs, several of them joined; NaN where the forward raises at other inputs."""
        try:
            _, values, returned = self.call_forward(arrays)
        except CodeError as error:
            if all(np.array_equal(arrays[name], x) for name, x in self.arrays.items()):
                raise
            self.errors.append(error)
            return self.join([np.full(output.shape, np.nan) for output in self.outputs])
        return self.join(self.read_outputs_of(values, returned))

    def output_of_slices(self, arrays: Mapping[str, Any]) -> Array:
        """The output for inputs from which slices were left out, or in which some are repeated."""
        _, values, returned = self.call_forward(arrays)
        return self.read_outputs_of(values, returned)[0]

    def settle_batched(self, batched: bool) -> None:
        """Set whether the forward takes many points at once; forget what it raised in trials."""
        self.batched = batched
        self.errors.clear()

    def join(self, outputs: Sequence[Array]) -> Array:
        """The outputs as one array, which is flat if there are several.

        Raises ForwardError where an output has another shape than in the first call.
        """
        for output, first in zip(outputs, self.outputs, strict=True):
            if self.batched and self.output_count == 1 and output.shape[1:] == first.shape:
                continue
            if output.shape != first.shape:
                raise ForwardError(
                    f"{self.source.forward} gives {format_shape(first.shape)} at the inputs, but "
                    f"{format_shape(output.shape)} near them"
                )
        return join_flat(outputs)

    def backward(self, arrays: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """The gradients of the arrays, from a call of the forward and the backward."""
        claimed = self.independence.fill_zeros(self.call_backward(arrays, cotangent))
        if not self.elementwise:
            return claimed
        return {
            name: gradient if gradient is None else cotangent * self.adjoint(gradient, name)
            for name, gradient in claimed.items()
        }

    def adjoint(self, slope: Any, name: str) -> Array:
        """The factor of the upstream gradient: f′, or its conjugate in torch's convention."""
        array = as_array(slope, name)
        return np.conj(array) if np.iscomplexobj(array) and self.convention == TORCH else array

    def call_backward(self, arrays: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """Call the forward, then the backward, and read what it claims for every array.

        cotangent: None where the backward takes no upstream gradient.
        """
        pair, values, _ = self.call_forward(arrays)
        if self.loss is not None and LOSS_GRADIENT in values:
            cotangent = cotangent * values[LOSS_GRADIENT]
        values |= {UPSTREAM.format(place): part for place, part in enumerate(self.split(cotangent))}
        call = self.backward_call.call
        kept = values[CACHE] if CACHE in call.used else None
        inputs = {id(array) for array in arrays.values()}
        cached = [array for _, array in leaves(kept, CACHE) if id(array) not in inputs]
        before = [array.copy() for array in cached]
        passed = {name: values[name] for name in call.used if name in values}
        passed = {**read_defaults(pair.backward), **passed}
        snapshot = Snapshot(pair.owner, passed, self.reader.noting)
        claimed = self.call_code(pair.backward, self.source.backward, call, values)
        self.changes_cache = not all(
            np.array_equal(array, copied, equal_nan=True)
            for array, copied in zip(cached, before, strict=True)
        )
        changed, updated = snapshot.find_changed(), snapshot.undo_updates()
        found = self.reader.read(claimed, pair.owner, self.forward_call.used, updated, changed)
        return {
            leaf: gradient
            for name, value in self.inputs.items()
            for leaf, gradient in gradient_leaves(found.get(name), value, name)
        }

    def split(self, cotangent: Any) -> list[Any]:
        """The upstream gradient of each output, as views: a change in place stays visible."""
        if self.output_count == 1:
            return [cotangent]
        return split_flat(cotangent, [output.shape for output in self.outputs])
