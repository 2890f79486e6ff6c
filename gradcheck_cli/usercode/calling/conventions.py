"""The conventions by which people write backward passes: what each parameter of one gets.

The user's code is not called here. The table BACKWARD lists the conventions in the order in which
they are applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gradcheck_cli.usercode.calling.names import (
    INPUT_NAMES,
    LABEL_NAMES,
    OUTPUT_NAMES,
    is_cache,
    is_upstream,
)
from gradcheck_cli.usercode.calling.signatures import FORWARD, Call, Draft, Parameters

# The names, in a `Call`, of values that a backward may take besides inputs and constants. None is
# an identifier, so that no parameter has such a name.
CACHE, OUTPUT, UPSTREAM = "the cache", "the output", "upstream gradient {}"
KEPT = "the output that the object keeps"


class BackwardDraft(Draft):
    """A call of a backward while values are assigned to its parameters.

    inputs: the names of the inputs. returned: for each value that the forward returned, whether it
    is an array of floats. forward: the values of the forward's parameters, by parameter.
    stateless: whether the backward knows about the forward's call by its parameters alone.
    """

    inputs: Sequence[str]
    returned: Sequence[bool]
    forward: Mapping[str, str]
    stateless: bool

    @property
    def free(self) -> list[str]:
        """The parameters that have no value yet and need one, or are called like an upstream
        gradient."""
        needed = self.takes.required - set(self.optional)
        names = [name for name in self.takes.positional if name not in self.assigned]
        return [name for name in names if is_upstream(name) or name in needed]

    @property
    def upstream_parameters(self) -> list[str]:
        """The parameters that may take an upstream gradient: those called so, else the first.

        The only parameter of a stateless function is its input, as in f′(t), unless it is called
        like an upstream gradient.
        """
        others = [name for name in self.free if not is_cache(name)]
        named = [name for name in others if is_upstream(name)]
        if self.stateless and len(self.returned) == len(self.takes.required) == 1:
            return named
        return named or [name for name in others if name not in INPUT_NAMES][:1]

    @property
    def keeps_cache(self) -> bool:
        """Whether the last value that the forward returned is a cache for the backward.

        It is an output instead if every value has an upstream gradient and no parameter is left.
        """
        if len(self.returned) == 1 or CACHE in self.assigned.values():
            return len(self.returned) > 1
        likely = len(self.upstream_parameters)
        return likely < max(len(self.returned), len(self.free)) or not all(self.returned)

    @property
    def most_outputs(self) -> int:
        """How many of the returned values may be outputs: the arrays of floats at their start."""
        values = self.returned[:-1] if self.keeps_cache else self.returned
        leading = next((place for place, fits in enumerate(values) if not fits), len(values))
        return max(1, leading)

    @property
    def unnamed(self) -> list[str]:
        """The inputs that no parameter has the name of or gets."""
        taken = (*self.takes.names, *self.assigned.values())
        return [name for name in self.inputs if name not in taken]

    @property
    def unused_constants(self) -> list[str]:
        """The constants that the forward gets and no parameter of the backward has the name of or
        gets."""
        used = {*self.takes.names, *self.assigned.values(), *self.inputs}
        return [name for name in self.forward.values() if name in self.named and name not in used]

    def list_args(self) -> list[str]:
        """The values for *args: the upstream gradients and the cache, or the inputs without one.

        What a parameter gets already is left out.
        """
        upstream = [UPSTREAM.format(place) for place in range(self.most_outputs)]
        passed = self.assigned.values()
        args = [] if upstream[0] in passed else [*upstream, *[CACHE] * self.keeps_cache]
        return args if CACHE in (*args, *passed) else [*args, *self.unnamed]


def _give_by_name(draft: BackwardDraft) -> dict[str, str]:
    return {name: name for name in draft.takes.names if name in draft.named}


def _give_as_in_forward(draft: BackwardDraft) -> dict[str, str]:
    return {name: draft.forward[name] for name in draft.free if name in draft.forward}


def _give_output(draft: BackwardDraft) -> dict[str, str]:
    return {name: OUTPUT for name in draft.free if name in OUTPUT_NAMES}


def _give_cache(draft: BackwardDraft) -> dict[str, str]:
    upstream = draft.upstream_parameters[: draft.most_outputs]
    others = [name for name in draft.free if name not in upstream]
    if not upstream:
        others = [name for name in others if name not in INPUT_NAMES]
    if not draft.keeps_cache or not others:
        return {}
    return {next(filter(is_cache, others), others[-1]): CACHE}


def _give_upstream(draft: BackwardDraft) -> dict[str, str]:
    upstream = draft.upstream_parameters[: draft.most_outputs]
    return {name: UPSTREAM.format(place) for place, name in enumerate(upstream)}


def _give_labels(draft: BackwardDraft) -> dict[str, str]:
    labels = [name for name in draft.unused_constants if name in LABEL_NAMES]
    return dict(zip([name for name in draft.free if name in LABEL_NAMES], labels, strict=False))


def _give_data(draft: BackwardDraft) -> dict[str, str]:
    data = [name for name in draft.unused_constants if name not in LABEL_NAMES]
    return dict(zip([name for name in draft.free if name in INPUT_NAMES], data, strict=False))


def _give_in_order(draft: BackwardDraft) -> dict[str, str]:
    return {} if draft.takes.has_args else dict(zip(draft.free, draft.unnamed, strict=False))


class Convention(Struct, frozen=True):
    """A rule that assigns values to parameters of a backward.

    says: the rule in one sentence. give: draft → {parameter: value}; a parameter that has a value
    already keeps it.
    example: a signature, what the forward returned ("out, cache"), and what the parameters get, for
    the inputs x, w, b, the constant stride, the size n and a forward(first, second, third).
    """

    says: str
    give: Callable[[BackwardDraft], dict[str, str]]
    example: tuple[str, str, str]


# In the order in which they are applied.
BACKWARD = (
    Convention(
        "A parameter gets the input or the constant of its name",
        _give_by_name,
        ("x, stride, dout, w", "out", "x, stride, upstream gradient 0, w"),
    ),
    Convention(
        "A parameter that the forward has, too, gets what the forward got",
        _give_as_in_forward,
        ("dout, second", "out", "upstream gradient 0, w"),
    ),
    Convention(
        "A parameter that is called out, y or a gets the output",
        _give_output,
        ("dA, A", "out", "upstream gradient 0, the output"),
    ),
    Convention(
        "A parameter that is called like labels gets the constant of the forward that is",
        _give_labels,
        ("dout, y_true", "out", "upstream gradient 0, labels"),
    ),
    Convention(
        "Where the forward returned more than its outputs, that is the cache: for a parameter that "
        "is called so, else for the last one left",
        _give_cache,
        ("dZ, what_was_kept", "out, cache", "upstream gradient 0, the cache"),
    ),
    Convention(
        "Parameters that are called like a gradient, else the first one left, get the upstream "
        "gradients of the outputs, in order",
        _give_upstream,
        ("dh, dc, cache", "out, out, cache", "upstream gradient 0, upstream gradient 1, the cache"),
    ),
    Convention(
        "The inputs that no parameter has the name of go to the parameters that are left, in order",
        _give_in_order,
        ("delta, X, weights", "out", "upstream gradient 0, x, w"),
    ),
    Convention(
        "A parameter that is called like an input gets the constant of the forward that is left",
        _give_data,
        ("dout, x, w, b, z", "out", "upstream gradient 0, x, w, b, data"),
    ),
    Convention(
        "A parameter that is left gets the size of its name",
        FORWARD[-1].give,
        ("dout, n", "out", "upstream gradient 0, n"),
    ),
)


class BackwardCall(Struct, frozen=True):
    """How a backward is called.

    upstream: how many upstream gradients it takes. With 0 it is the gradient of a single number, or
    a derivative entry by entry.
    has_default: whether its upstream gradients have defaults; that of a loss is taken for 1.
    """

    call: Call
    upstream: int
    has_default: bool = False


def bind_backward(
    takes: Parameters,
    inputs: Sequence[str],
    constants: Sequence[str],
    returned: Sequence[bool],
    optional: Sequence[str] = (),
    forward: Mapping[str, str] | None = None,
    *,
    stateless: bool = True,
) -> BackwardCall:
    """Find the call of a backward: which parameter gets an upstream gradient, the cache, and so on.

    returned: for each value that the forward returned, whether it is an array of floats. The last
    of several is the cache, unless every one of them has an upstream gradient.
    forward: the values of the forward's parameters, by parameter.
    stateless: whether it is a plain function, not a method of an object that may remember its
    input.
    Raises CodeError where a parameter gets no value.
    """
    named = [*inputs, *constants]
    passed = forward or {}
    draft = BackwardDraft(takes, (), named, optional, {}, inputs, returned, passed, stateless)
    for convention in BACKWARD:
        draft.assigned = {**convention.give(draft), **draft.assigned}
    if takes.has_args:
        draft.ordered = draft.list_args()
    draft.refuse_incomplete()
    call = draft.call()
    values = [UPSTREAM.format(place) for place in range(len(returned))]
    upstream = {name for name, value in draft.assigned.items() if value in values}
    has_default = takes.required.isdisjoint(upstream) and values[0] not in draft.ordered
    return BackwardCall(call, sum(value in values for value in call.used), has_default)
