"""A claimed derivative: a forward, and a function that claims to compute a derivative of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.conventions import BackwardCall
from gradcheck_cli.usercode.calling.gradients import gradient_of
from gradcheck_cli.usercode.calling.notes import describe_calls
from gradcheck_cli.usercode.calling.pairs import Function, Pair
from gradcheck_cli.usercode.calling.signatures import (
    Call,
    Parameters,
    bind,
    name_inputs,
    read_parameters,
)
from gradcheck_cli.usercode.calling.values import Array, as_array
from gradcheck_cli.usercode.domains import Geometries
from gradcheck_cli.usercode.problems import pair_functions
from gradcheck_cli.usercode.trees import gradient_leaves, rebuild

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

# Names of the tangent of an input, and of parameters that take a tuple of all inputs or tangents.
TANGENT_NAMES = ("d{}", "d_{}", "{}_dot", "{}dot", "dot_{}", "{}_t", "t_{}", "v_{}", "{}_tangent")
ALL_INPUTS, ALL_TANGENTS = "the inputs", "the tangents"
TUPLES = {"primals": ALL_INPUTS, "inputs": ALL_INPUTS, "tangents": ALL_TANGENTS}
TANGENT = "the tangent of {}"
# Names of the derivative by an input, as a key of a dict, besides those of gradients.
DERIVATIVE_NAMES = ("J{}", "J_{}", "J{}_", "jac_{}", "dy_d{}", "dyd{}", "dyd_{}")


class Claim(Struct, frozen=True):
    """A function that is differenced, and what the user's code claims as its derivative.

    inputs: the arrays where it is checked. forward: such arrays → one array of `shape`.
    derivative: the user's function, of such arrays and, for a product, of tangents.
    symbol: the symbol of the outputs. gradients: whether the outputs are the gradients for the
    inputs, one after the other.
    who: the name of the user's function; source: where its code is.
    late_notes: notes that are known after the check. geometries: of the inputs in a domain.
    tree: the inputs as the functions take them, if some are dicts or tuples of arrays; else empty.
    complex_inputs, complex_outputs: as in `Problem`.
    """

    inputs: Arrays
    forward: Callable[[Arrays], Array]
    shape: tuple[int, ...]
    derivative: Callable[..., Any]
    symbol: str
    who: str
    source: str
    late_notes: Callable[[], tuple[str, ...]] = tuple
    gradients: bool = False
    geometries: Geometries = {}
    tree: Mapping[str, Any] = {}
    complex_inputs: frozenset[str] = frozenset()
    complex_outputs: bool = False


class ClaimCalls(Calls):
    """The calls of a forward and of a function that claims its derivative.

    The function takes what the forward takes; if `along`, it takes tangents of the inputs, too.
    """

    def __init__(
        self,
        forward: Function,
        function: Function,
        inputs: Any,
        constants: Mapping[str, Any] | None,
        optional: Mapping[str, Any] | None,
        along: bool,
    ) -> None:
        named = name_inputs(inputs, read_parameters(forward))
        self.along = along
        source = pair_functions(forward, function, [*named, *(constants or {})])
        super().__init__(source, named, constants, optional, derivative=True)
        self.refuse_unused()
        if self.in_bfloat16:
            raise CodeError(
                f"{source.backward} is checked in float16, float32 and float64; bfloat16 goes with "
                "a backward alone"
            )

    def read_outputs_of(self, values: Mapping[str, Any], returned: Sequence[Any]) -> list[Array]:
        """Copies of what is differentiated; a tuple of single numbers becomes one array."""
        if self.loss is None and len(returned) > 1 and all(map(_is_number, returned)):
            return [as_array(list(returned), self.source.forward)]
        return super().read_outputs_of(values, returned)

    def find_backward_call(
        self, pair: Pair, arguments: list[str], returned: Sequence[Any]
    ) -> BackwardCall:
        """Find the call of the function. Raises CodeError where a parameter gets no value."""
        if not self.along:
            return super().find_backward_call(pair, arguments, returned)
        takes = read_parameters(pair.backward)
        if len(takes.positional) < 2 and not takes.has_args and not takes.keyword:
            listed = ", ".join(takes.positional)
            raise CodeError(
                f"{self.source.backward} must take the inputs and a vector of each, such as (x, "
                f"v); it takes ({listed})"
            )
        return BackwardCall(bind_tangents(takes, arguments, self.given, list(self.optional)), 0)

    def derivative(self, arrays: Arrays, tangents: Arrays | None = None) -> Any:
        """Call the function at these inputs, along these tangents if it takes some."""
        others: dict[str, Any] = {}
        if tangents is not None:
            parts = {name: rebuild(x, name, tangents) for name, x in self.inputs.items()}
            point = self.values(arrays)
            others = {TANGENT.format(name): part for name, part in parts.items()}
            others[ALL_INPUTS] = tuple(point[name] for name in self.inputs)
            others[ALL_TANGENTS] = tuple(parts.values())
        pair, values, _ = self.call_forward(arrays)
        return self.call_code(
            pair.backward, self.source.backward, self.backward_call.call, values | others
        )

    def make_claim(self) -> Claim:
        """The claim that the function is the derivative of the forward."""
        return Claim(
            inputs=self.arrays,
            forward=self.forward,
            shape=self.outputs[0].shape,
            derivative=self.derivative,
            symbol="y",
            who=self.source.backward,
            source=self.location,
            late_notes=lambda: (*self.notes, *describe_calls(self)),
            tree=self.inputs if set(self.inputs) != set(self.arrays) else {},
        )


def _is_number(item: Any) -> bool:
    """Whether this is a single float."""
    return isinstance(item, float | np.floating | np.ndarray) and np.ndim(item) == 0


def bind_tangents(
    takes: Parameters,
    inputs: Sequence[str],
    constants: Sequence[str],
    optional: Sequence[str],
) -> Call:
    """Find the call of a function that takes inputs and tangents.

    A tangent goes to a parameter of its name, such as dx or x_dot, else after the inputs in their
    order. A function with two parameters for more than one input gets a tuple of all inputs and one
    of all tangents.
    Raises CodeError where a parameter gets no value.
    """
    free = [name for name in takes.positional if name in takes.required and name not in constants]
    named = {
        tangent: TANGENT.format(name)
        for name in inputs
        for tangent in (pattern.format(name) for pattern in TANGENT_NAMES)
        if tangent in takes.names and tangent not in inputs
    }
    few = len(free) == 2 < 2 * len(inputs) and not takes.has_args and not named
    if few or set(free) & {"primals", "tangents"}:
        given = dict(zip(free[:2], (ALL_INPUTS, ALL_TANGENTS), strict=False))
        given |= {name: TUPLES[name] for name in free if name in TUPLES}
        return bind(takes, (), constants, optional, given)
    tangents = [TANGENT.format(name) for name in inputs]
    return bind(takes, [*inputs, *tangents], constants, optional, named)


def as_numbers(item: Any, who: str) -> Array:
    """A returned value as an array of floats or complex numbers; sparse matrices and linear
    operators become dense.

    A constant derivative may have whole numbers, which become floats. Raises CodeError where it is
    no array of numbers.
    """
    if hasattr(item, "toarray"):
        item = item.toarray()
    elif hasattr(item, "matvec") and hasattr(item, "shape"):
        item = item @ np.eye(item.shape[1])
    array = as_array(item, who)
    if array.dtype.kind not in "fciub":
        kind = type(item).__name__ if array.ndim == 0 else f"an array of {array.dtype}"
        raise CodeError(f"{who} must return arrays of numbers; it gives {kind}")
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def read_by_leaf(returned: Mapping[Any, Any], claim: Claim, what: str) -> list[Any]:
    """The parts of a dict for the arrays of the inputs, by name or nested like the inputs.

    what: the words for what is expected, in the message. Raises CodeError where there is no part
    for any array.
    """
    if claim.tree:
        whole = [gradient_of(name, returned) for name in claim.tree]
        one = len(whole) == 1 and whole[0] is None
        found = dict(zip(claim.tree, [returned] if one else whole, strict=True))
        parts = {
            leaf: part
            for name, value in claim.tree.items()
            for leaf, part in gradient_leaves(found[name], value, name)
        }
    else:
        parts = {}
    listed = [
        part if (part := _find_part(name, returned)) is not None else parts.get(name)
        for name in claim.inputs
    ]
    if all(part is None for part in listed):
        keys = ", ".join(repr(key) for key in list(returned)[:9]) or "nothing"
        names = ", ".join(map(repr, claim.inputs))
        raise CodeError(f"{claim.who} returned a dict with {keys}; expected {what}: {names}")
    return listed


def _find_part(name: str, returned: Mapping[Any, Any]) -> Any:
    """The part of a dict whose key is the name of an input, or of a derivative by it."""
    found = gradient_of(name, returned)
    if found is not None:
        return found
    keys = (pattern.format(name) for pattern in DERIVATIVE_NAMES)
    return next((returned[key] for key in keys if key in returned), None)
