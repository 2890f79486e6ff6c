"""A loss between a forward and its backward: a function, an object, or found beside the two."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gradcheck_cli.errors import UntakenError
from gradcheck_cli.usercode.calling.conventions import OUTPUT
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.calling.signatures import Call, Parameters, bind, parameters

Function = Callable[..., Any]

LOSS_LIKE = re.compile(r"loss|cost|nll|entropy|mse|objective|criterion|energy", re.IGNORECASE)
# What is called after a loss, and is none.
DERIVED = re.compile(r"grad|back|bwd|deriv|prime|delta|vjp|^d_?([a-z]*loss|cost)", re.IGNORECASE)


def as_loss(loss: Any) -> Function:
    """A loss as a function: of an object with methods for its value and its gradient, both."""
    if inspect.isroutine(loss):
        return loss
    pairs = [pair for pair in METHODS if all(hasattr(loss, name) for name in pair)]
    if not pairs:
        return loss  # type: ignore[no-any-return]
    value, gradient = (getattr(loss, name) for name in pairs[0])
    alone = not parameters(gradient).required

    @functools.wraps(value)
    def value_and_gradient(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        number = value(*arguments, **keywords)
        return number, gradient() if alone else gradient(*arguments, **keywords)

    return value_and_gradient


def losses_beside(backward: Function, owner: Any) -> Iterator[Function]:
    """The functions in the file of a backward, and the methods of its object, that are called like
    losses."""
    function = inspect.unwrap(getattr(backward, "__func__", backward))
    names = {} if owner is None else dict(inspect.getmembers(owner, inspect.ismethod))
    for name, found in {**getattr(function, "__globals__", {}), **names}.items():
        plain = inspect.isfunction(found) or inspect.ismethod(found)
        if plain and LOSS_LIKE.search(name) and not DERIVED.search(name):
            yield found


def bind_loss(takes: Parameters, named: Sequence[str], optional: Sequence[str]) -> Call:
    """How a loss is called: with the output, and what it asks for by name.

    named: inputs and constants; the output takes the place of one with the name of the loss's first
    parameter where no other is left, as in cost(a, y) beside feedforward(a).
    Raises CodeError where a parameter gets no value.
    """
    try:
        return bind(takes, [OUTPUT], named, optional)
    except UntakenError:
        others = [name for name in named if name not in takes.positional[:1]]
        return bind(takes, [OUTPUT], others, optional)


def of_owner(function: Function, owner: Any) -> Function:
    """A method as that of another object of its class; any other function as it is."""
    of = getattr(function, "__self__", None)
    if of is None or owner is None or type(of) is not type(owner):
        return function
    method: Function = getattr(owner, function.__name__)
    return method
