"""A loss between a forward and its backward: given as a function or an object, or searched for."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gradcheck_cli.errors import UntakenError
from gradcheck_cli.usercode.calling.conventions import OUTPUT
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.calling.signatures import Call, Parameters, bind, read_parameters

Function = Callable[..., Any]

# Names of losses.
LOSS_LIKE = re.compile(r"loss|cost|nll|entropy|mse|objective|criterion|energy", re.IGNORECASE)
# Names that contain that of a loss, but are not losses.
DERIVED = re.compile(r"grad|back|bwd|deriv|prime|delta|vjp|^d_?([a-z]*loss|cost)", re.IGNORECASE)


def as_loss(loss: Any) -> Function:
    """A loss as a function; one of an object with a gradient method returns (value, gradient)."""
    if inspect.isroutine(loss):
        return loss
    pairs = [pair for pair in METHODS if all(hasattr(loss, name) for name in pair)]
    if not pairs:
        return loss  # type: ignore[no-any-return]
    value, gradient = (getattr(loss, name) for name in pairs[0])
    alone = not read_parameters(gradient).required

    @functools.wraps(value)
    def value_and_gradient(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        number = value(*arguments, **keywords)
        return number, gradient() if alone else gradient(*arguments, **keywords)

    return value_and_gradient


def find_losses_beside(backward: Function, owner: Any) -> Iterator[Function]:
    """Functions in the file of a backward and methods of its object whose names are like a loss."""
    function = inspect.unwrap(getattr(backward, "__func__", backward))
    names = {} if owner is None else dict(inspect.getmembers(owner, inspect.ismethod))
    for name, found in {**getattr(function, "__globals__", {}), **names}.items():
        plain = inspect.isfunction(found) or inspect.ismethod(found)
        if plain and LOSS_LIKE.search(name) and not DERIVED.search(name):
            yield found


def bind_loss(takes: Parameters, named: Sequence[str], optional: Sequence[str]) -> Call:
    """The call of a loss: it gets the output, and inputs and constants by their names.

    named: the inputs and constants. If there is no parameter for the output, it goes to the first
    one, even where that has the name of an input: cost(a, y) beside feedforward(a).
    Raises CodeError where a parameter gets no value.
    """
    try:
        return bind(takes, [OUTPUT], named, optional)
    except UntakenError:
        others = [name for name in named if name not in takes.positional[:1]]
        return bind(takes, [OUTPUT], others, optional)


def method_of(function: Function, owner: Any) -> Function:
    """The same method of another object of its class; any other function is returned as it is."""
    of = getattr(function, "__self__", None)
    if of is None or owner is None or type(of) is not type(owner):
        return function
    method: Function = getattr(owner, function.__name__)
    return method
