"""Make the problems of the user's functions and objects, in the ways people write layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem
from gradcheck_cli.text import format_shape
from gradcheck_cli.usercode.batches import apply_batched
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.make_problem import make_problem
from gradcheck_cli.usercode.calling.methods import find_methods
from gradcheck_cli.usercode.calling.objects import (
    Place,
    find_places,
    look_up,
    memory_of,
    set_parameter,
)
from gradcheck_cli.usercode.calling.pairs import Function, Pair, Source
from gradcheck_cli.usercode.calling.signatures import bind, name_inputs, name_of, read_parameters
from gradcheck_cli.usercode.calling.values import Array, as_array
from gradcheck_cli.usercode.complex_numbers import TORCH
from gradcheck_cli.usercode.copies import copy_deep
from gradcheck_cli.usercode.frameworks import find_tensors
from gradcheck_cli.usercode.frameworks.layers import (
    arrays_of,
    as_function_of_arrays,
    as_layer_of_arrays,
)
from gradcheck_cli.usercode.sizes import crop_sizes
from gradcheck_cli.usercode.slices import NOT_CUT, Cuts, claim_slices
from gradcheck_cli.usercode.trees import leaves


def from_functions(
    forward: Function,
    backward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    delta: Array | None = None,
    seed: int = 0,
    batched: bool | str = False,
    slices: Cuts = NOT_CUT,
    loss: Function | None = None,
    convention: str = TORCH,
) -> Problem:
    """The problem of a forward and its backward.

    forward: returns out, (out, cache) or (out, *more, cache).
    backward: takes (delta, cache), (delta, *inputs) or any of these by name; returns a tuple in
        the order of the forward's parameters, a dict by name or "d" + name, or one array.
    inputs: by name, or in the order of the forward's parameters; nested in dicts and tuples as the
        functions take them. Arrays of floats are differentiated, all else is passed on as it is.
    constants: values without a gradient, by the names of parameters; optional: more of them, which
        no function has to take.
    delta: the upstream gradient, in the output's shape; drawn from `seed` by default.
    batched: whether the forward also takes one of its inputs with a leading axis of K points, and
        then returns its output with that axis, so that many points are evaluated at once; "auto":
        this is tried with two points.
    slices: for an input, the axis across which it is cut, its first or last one, and that of the
        output: {"W": 1} says that column j of W affects only column j of the output. -1 is the last
        axis of each; (0, 1) are those of the input and of the output. If probes confirm it, slices
        of these inputs are evaluated instead of whole forwards.
    loss: a function of the output, whose gradient the backward gives. It returns a number, or a
        number and its gradient, which the backward then takes. It may be an object with methods
        for the two.
    convention: of complex gradients: `torch`, ∂L/∂Re z + i ∂L/∂Im z, or `jax`, the conjugate of
        that. Both parts are checked, along a last axis of two.
    Raises CodeError where the functions cannot be called like this, or raise.
    """
    inputs, forward, backward = of_arrays(inputs, forward, backward)
    named = name_inputs(inputs, read_parameters(forward))
    source = pair_functions(forward, backward, [*named, *(constants or {})])
    calls = Calls(source, named, constants, optional, bool(batched), loss=loss)
    found = apply_batched(make_problem(calls, delta, seed, convention), batched)
    calls.settle_batched(found.batched)
    found = claim_slices(found, slices, calls.output_of_slices)
    make = partial(
        from_functions,
        forward,
        backward,
        optional=optional,
        seed=seed,
        loss=loss,
        convention=convention,
    )
    return found if delta is not None else replace(found, change=crop_sizes(make, named, constants))


def from_derivative(
    forward: Function,
    derivative: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    delta: Array | None = None,
    seed: int = 0,
    slices: Cuts = NOT_CUT,
) -> Problem:
    """The problem of a function that works entry by entry, such as relu, and its derivative f′.

    derivative: takes what the forward takes, and returns f′ in the output's shape; the gradient is
        f′ times the upstream gradient.
    The rest is as in `from_functions`.
    """
    inputs, forward, derivative = of_arrays(inputs, forward, derivative)
    named = name_inputs(inputs, read_parameters(forward))
    source = pair_functions(forward, derivative, [*named, *(constants or {})])
    calls = Calls(source, named, constants, optional, derivative=True)
    return claim_slices(make_problem(calls, delta, seed), slices, calls.output_of_slices)


def from_layer(
    layer: Any,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    delta: Array | None = None,
    seed: int = 0,
    names: tuple[str, str] | None = None,
    loss: Function | None = None,
    slices: Cuts = NOT_CUT,
) -> Problem:
    """The problem of an object with methods forward and backward.

    names: those of the two methods, if they are not in `methods.METHODS`.
    inputs: those of forward, and parameters of the layer by name: attributes, or keys of its
        `params`. Gradients of parameters are read after backward from dW, grad_W, grads["W"] or
        W.grad.
    The rest is as in `from_functions`; every call gets a copy of the object.
    """
    forward, backward = names or find_methods(layer)
    inputs, *_ = of_arrays(inputs)
    named = name_inputs(inputs, read_parameters(getattr(layer, forward)))
    layer = _prepare(layer, (forward, backward), named, {**(optional or {}), **(constants or {})})
    source = _pair_methods(layer, [*named, *(constants or {})], forward, backward)
    calls = Calls(source, named, constants, optional, loss=loss)
    return claim_slices(make_problem(calls, delta, seed), slices, calls.output_of_slices)


def from_value_and_grad(
    function: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
) -> Problem:
    """The problem of a function that returns a number and its gradients.

    function: returns (value, gradient), (value, *gradients), (value, dict by name) or (dict by
        name, value). If it is a bound method, inputs may be parameters of its object, as in
        `from_layer`.
    The rest is as in `from_functions`.
    """
    name, owner = name_of(function), getattr(function, "__self__", None)
    inputs, plain = of_arrays(inputs, function)
    named = name_inputs(inputs, read_parameters(function))
    if owner is None:
        pair = Pair(split_value(plain), _return_cache)
        source = Source(lambda _: pair, name, name)
    else:
        owner = _prepare(owner, (name,), named, {**(optional or {}), **(constants or {})})
        source = _pair_methods(owner, [*named, *(constants or {})], name, None)
    found = make_problem(Calls(source, named, constants, optional), None, 0)
    make = partial(from_value_and_grad, function, optional=optional)
    return replace(found, change=crop_sizes(make, named, constants))


def methods_of(forward: Function, backward: Function) -> tuple[Any, tuple[str, str]] | None:
    """The object of which two functions are methods, and their names; None if there is none.

    The forward may be the object itself, which stands for its `__call__`.
    """
    owner = getattr(backward, "__self__", None)
    if owner is None or isinstance(owner, ModuleType | type):
        return None
    if forward is owner:
        return owner, ("__call__", name_of(backward))
    same = getattr(forward, "__self__", None) is owner
    return (owner, (name_of(forward), name_of(backward))) if same else None


def pair_functions(forward: Function, backward: Function, names: Sequence[str]) -> Source:
    """The source of a pair of functions, or of methods; names: of inputs and constants.

    If two methods have an object that holds some of these, each call gets a copy to set them on.
    """
    found = methods_of(forward, backward)
    if found is None:
        return Source(lambda _: Pair(forward, backward), name_of(forward), name_of(backward))
    owner, methods = found
    source = _pair_methods(owner, names, *methods)
    if source.held:
        return source
    return Source(lambda _: Pair(forward, backward, owner), name_of(forward), name_of(backward))


def _pair_methods(owner: Any, names: Sequence[str], forward: str, backward: str | None) -> Source:
    """The source of two methods; without `backward`, of one that returns a value and gradients.

    names: of inputs and constants. Those that are no parameters' names may be set on the object.
    """
    takes = read_parameters(getattr(owner, forward)).names
    held = tuple(name for name in names if name not in takes and find_places(owner, name))
    at: Callable[[str], tuple[Place, ...]] = functools.cache(partial(find_places, owner))

    def make(values: Mapping[str, Any]) -> Pair:
        fresh = copy_deep(owner)
        for name, value in parts(values):
            set_parameter(fresh, name, at(name), value)
        function = getattr(fresh, forward)
        if backward is None:
            return Pair(split_value(function), _return_cache, fresh)
        return Pair(function, getattr(fresh, backward), fresh)

    def parts(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The values to set; arrays of lists and dicts one by one, if the object has them so."""
        for name in held:
            inner = [leaf for leaf in leaves(values[name], name) if at(leaf[0])]
            yield from inner or [(name, values[name])]

    def changed(fresh: Any, values: Mapping[str, Any]) -> list[str]:
        """The parameters that are no longer what was set."""
        found = [(name, at(name)[0].get(fresh), value) for name, value in parts(values)]
        return [name for name, now, value in found if memory_of(now) != memory_of(value)]

    kind = type(owner).__name__
    return Source(make, f"{kind}.{forward}", f"{kind}.{backward or forward}", held, changed)


def _prepare(owner: Any, methods: Sequence[str], named: Mapping[str, Any], constants: Any) -> Any:
    """The object with methods of arrays, and with all inputs among its parameters.

    If its forward makes such parameters, it is called once on a copy, which is returned.
    """
    takes = read_parameters(getattr(owner, methods[0]))
    own = [name for name in named if name not in takes.names]
    count = len(takes.required - {*named, *constants})
    arguments = [name for name in named if name in takes.names or name in own[:count]]
    with suppress(CodeError):  # the check itself will report what is wrong with the call
        bound = bind(takes, arguments, list(constants))

        def call(fresh: Any) -> Any:
            return bound(getattr(fresh, methods[0]), {**constants, **named})

        owner = as_layer_of_arrays(owner, methods, call)
        places = {name: find_places(owner, name) for name in own}
        made = [name for name in own if not all(one.get(owner) is not None for one in places[name])]
        made += [name for name in own if not places[name]]
        if made and not takes.has_args:
            fresh = copy_deep(owner)
            with suppress(Exception):
                call(fresh)
                after = copy_deep(fresh)
                call(after)
                _drop_grown(fresh, after)
            later = [name for name in made if name not in arguments]
            return fresh if later and all(find_places(fresh, name) for name in later) else owner
    return owner


def _drop_grown(before: Any, after: Any) -> None:
    """Drop from the lists of an object, and those in its dicts, what a call of its forward adds.

    after: the object after one more call.
    """
    for key, one in (before if isinstance(before, dict) else vars(before)).items():
        other = look_up(after, key, raw=True)
        if isinstance(one, list) and isinstance(other, list):
            del one[len(one) - max(0, len(other) - len(one)) :]
        elif isinstance(one, dict) and isinstance(other, dict):
            _drop_grown(one, other)


def split_value(function: Function) -> Function:
    """A forward that returns the value of such a function, with the gradients as its cache."""
    who = name_of(function)

    @functools.wraps(function)
    def forward(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        returned = function(*arguments, **keywords)
        if not isinstance(returned, tuple | list) or len(returned) < 2:
            kind = type(returned).__name__
            raise CodeError(f"{who} must return a number and its gradients, not {kind}")
        if len(returned) == 2 and isinstance(returned[0], Mapping):
            returned = returned[::-1]
        value = as_array(returned[0], who)
        if value.size != 1:
            shape = format_shape(value.shape)
            raise CodeError(f"{who} must return a single number first, not {shape}")
        return value, returned[1] if len(returned) == 2 else tuple(returned[1:])

    return forward


def _return_cache(cache: Any) -> Any:
    """The backward of such a function: the cache is the gradients."""
    return cache


def of_arrays(inputs: Any, *functions: Function) -> tuple[Any, ...]:
    """Inputs and functions; if the inputs are tensors, as arrays and functions of arrays."""
    framework = find_tensors(inputs)
    if framework is None:
        return inputs, *functions
    name = framework.__name__.rpartition(".")[2]
    of = (as_function_of_arrays(one, name, "float64") for one in functions)
    return arrays_of(inputs), *of
