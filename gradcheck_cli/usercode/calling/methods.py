"""The names that people give the forward and the backward method of a layer or a loss."""

from __future__ import annotations

from inspect import getattr_static
from itertools import product
from typing import Any

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import join_words

# Names of a forward and its backward.
PASSES = (
    ("calculate", "backward"),  # of a loss: calculate is the mean of its forward
    ("forward", "backward"),
    ("__call__", "backward"),
    ("forward_pass", "backward_pass"),
    ("fprop", "bprop"),
    ("forward", "backprop"),
    ("forward_propagation", "backward_propagation"),
    ("forward_prop", "backward_prop"),
    ("forward_propagate", "backward_propagate"),
    ("feedforward", "backprop"),
    ("fwd", "bwd"),
    ("forward", "vjp"),
    ("__call__", "vjp"),
    ("__call__", "backprop"),
)
# Names of a function, and of its gradient or derivative; any two of them make a pair.
FUNCTIONS = (
    *("__call__", "forward", "fn", "f", "fun", "func", "function", "activate", "activation"),
    *("loss", "cost", "objective", "loglike", "loglikelihood", "log_likelihood", "nll"),
    *("value", "evaluate"),
)
DERIVATIVES = ("gradient", "grad", "derivative", "deriv", "prime", "df")
LIKELIHOODS = ("loglike", "loglikelihood", "log_likelihood")  # whose gradient is a score
# All pairs of names; the first pair that an object has is used.
METHODS = (
    *PASSES,
    *product(FUNCTIONS, DERIVATIVES),
    *product(LIKELIHOODS, ("score",)),
)


def has_methods(owner: Any) -> bool:
    """Whether an object has both methods of some pair of METHODS."""
    return any(all(callable(getattr(owner, name, None)) for name in pair) for pair in METHODS)


def list_callables(owner: Any) -> list[str]:
    """The public callables of an object, a class or a module; no property is evaluated."""
    names = [name for name in dir(owner) if not name.startswith("_")]
    return [name for name in names if callable(getattr_static(owner, name, None))]


def find_methods(owner: Any) -> tuple[str, str]:
    """The names of an object's forward and backward method: the first pair of METHODS it has.

    Raises CodeError where it has none.
    """
    for pair in METHODS:
        if all(callable(getattr(owner, name, None)) for name in pair):
            return pair
    has = {name: callable(getattr(owner, name, None)) for pair in METHODS for name in pair}
    lacking = "backward" if any(has[forward] for forward, _ in METHODS) else "forward"
    kind, names = type(owner).__name__, list_callables(owner)
    listed = f"; it has {join_words(names)}" if names else ""
    raise CodeError(
        f"{kind} has no method '{lacking}'{listed}; methods of other names are named by forward: "
        f"FILE:{kind}.NAME and backward: FILE:{kind}.NAME"
    )
