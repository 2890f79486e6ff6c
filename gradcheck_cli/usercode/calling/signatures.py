"""Match values to the parameters of a function: by name where names match, else in order.

The user's code is not called here. Each pass in FORWARD assigns values to parameters that have none
yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from msgspec import Struct

from gradcheck_cli.errors import LackingError, UntakenError
from gradcheck_cli.text import join_words, suggest

Taken = ParamSpec("Taken")
Returned = TypeVar("Returned")


class Parameters(Struct, frozen=True):
    """The parameters of a function.

    positional, keyword: their names; keyword ones can only be passed by name.
    required: those without a default. has_args, has_kwargs: whether it takes *args, **kwargs.
    """

    function: str
    positional: tuple[str, ...]
    keyword: tuple[str, ...]
    required: frozenset[str]
    has_args: bool
    has_kwargs: bool

    def __str__(self) -> str:
        """The function as it is written: affine(x, w, b)."""
        named = [*self.positional, *["*args"] * self.has_args, *self.keyword]
        return f"{self.function}({', '.join([*named, *['**kwargs'] * self.has_kwargs])})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return (*self.positional, *self.keyword)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function in messages; of a callable object, that of its class."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def takes_what(
    other: Callable[Taken, Any],
) -> Callable[[Callable[..., Returned]], Callable[Taken, Returned]]:
    """Decorate a function that passes its arguments on to `other`: it shows `other`'s signature."""

    def decorate(function: Callable[..., Returned]) -> Callable[Taken, Returned]:
        return cast(Callable[Taken, Returned], wraps(other, assigned=(), updated=())(function))

    return decorate


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """Read the parameters of a function; one without a signature counts as taking *args."""
    kinds = inspect.Parameter
    try:
        known = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return Parameters(name_of(function), (), (), frozenset(), has_args=True, has_kwargs=False)
    by_kind = {
        kind: tuple(one.name for one in known if one.kind == kind)
        for kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    }
    return Parameters(
        function=name_of(function),
        positional=by_kind[kinds.POSITIONAL_ONLY] + by_kind[kinds.POSITIONAL_OR_KEYWORD],
        keyword=by_kind[kinds.KEYWORD_ONLY],
        required=frozenset(one.name for one in known if one.default is kinds.empty),
        has_args=any(one.kind == kinds.VAR_POSITIONAL for one in known),
        has_kwargs=any(one.kind == kinds.VAR_KEYWORD for one in known),
    )


def read_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of the parameters of a function that have one."""
    try:
        known = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return {}
    return {one.name: one.default for one in known if one.default is not one.empty}


def name_inputs(inputs: Any, takes: Parameters) -> dict[str, Any]:
    """The inputs by name; a tuple, or one array, gets the names of the function's parameters."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    values = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    known = takes.positional
    names = [*known, *(f"input{place}" for place in range(len(known), len(values)))]
    return dict(zip(names, values, strict=False))


class Call(Struct, frozen=True):
    """How a function is called, by the names of the values that it gets.

    positional: in order; keyword: by parameter.
    """

    positional: tuple[str, ...]
    keyword: Mapping[str, str]

    def __call__(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Call `function` with those of these values that it gets."""
        return function(
            *(values[name] for name in self.positional),
            **{parameter: values[name] for parameter, name in self.keyword.items()},
        )

    def by_parameter(self, takes: Parameters) -> dict[str, str]:
        """The name of the value that each parameter of the function gets."""
        return {**dict(zip(takes.positional, self.positional, strict=False)), **self.keyword}

    @property
    def used(self) -> tuple[str, ...]:
        """The names of the values that are passed, in the order of the parameters."""
        return (*self.positional, *self.keyword.values())


class Draft(Struct):
    """A call while values are assigned to its parameters; all values are given by their names.

    ordered: values that must be passed. named, optional: values that are passed only to a parameter
    of their own name. assigned: parameter → value, as far as it is known.
    """

    takes: Parameters
    ordered: Sequence[str]
    named: Sequence[str]
    optional: Sequence[str]
    assigned: dict[str, str]

    @property
    def unassigned(self) -> list[str]:
        """The values that must be passed and are not assigned to a parameter yet."""
        return [value for value in self.ordered if value not in self.assigned.values()]

    def refuse_incomplete(self) -> None:
        """Raises CodeError where a value finds no parameter, or a parameter gets no value."""
        takes, assigned = self.takes, self.assigned
        if self.unassigned and not (takes.has_args or takes.has_kwargs):
            miss = suggest(
                self.unassigned[0], [name for name in takes.names if assigned.get(name) != name]
            )
            raise UntakenError(self.unassigned[0], f"{takes} takes no '{self.unassigned[0]}'{miss}")
        lacking = [name for name in takes.names if name in takes.required - set(assigned)]
        if lacking:
            needed = join_words([f"'{name}'" for name in lacking])
            raise LackingError(
                lacking,
                f"{takes} needs {needed}; give it under inputs, or under constants if it has no "
                "gradient",
            )

    def call(self) -> Call:
        """The finished call: parameters in order up to the first without a value, then keywords.

        Values that are left go to *args, or by their names to **kwargs.
        """
        positional: list[str] = []
        for name in self.takes.positional:
            if name not in self.assigned:
                break
            positional.append(self.assigned[name])
        in_order = self.takes.positional[: len(positional)]
        keyword = {name: value for name, value in self.assigned.items() if name not in in_order}
        if self.takes.has_kwargs:
            passed = {*self.ordered, *self.assigned.values()}
            keyword |= {name: name for name in self.named if name not in passed}
        if self.takes.has_args:
            positional += self.unassigned
        else:
            keyword |= {name: name for name in self.unassigned}
        return Call(tuple(positional), keyword)


def _give_by_name(draft: Draft) -> dict[str, str]:
    return {name: name for name in draft.takes.names if name in (*draft.ordered, *draft.named)}


def _give_in_order(draft: Draft) -> dict[str, str]:
    """Assign what is left in order; parameters named like an optional value come in only if the
    others are too few."""
    free = [name for name in draft.takes.positional if name not in draft.assigned]
    others = [name for name in free if name not in draft.optional]
    return dict(
        zip(
            others if len(draft.unassigned) <= len(others) else free, draft.unassigned, strict=False
        )
    )


def _give_optional(draft: Draft) -> dict[str, str]:
    return {name: name for name in draft.takes.names if name in draft.optional}


class Pass(Struct, frozen=True):
    """A rule that assigns values to parameters.

    says: the rule in one sentence. give: draft → {parameter: value}; a parameter that has a value
    already keeps it.
    example: a signature and the resulting call, for the inputs x, w, b, the constant stride and the
    optional size n.
    """

    says: str
    give: Callable[[Draft], dict[str, str]]
    example: tuple[str, str]


# The rules for a forward, in the order in which they are applied.
FORWARD = (
    Pass(
        "A parameter gets the input or the constant of its name",
        _give_by_name,
        ("b, x, stride, w", "b, x, stride, w"),
    ),
    Pass(
        "The inputs that are left go to the parameters that are left, in order",
        _give_in_order,
        ("data, w, bias, eps=1e-5", "x, w, b"),
    ),
    Pass(
        "A parameter that is left gets the size of its name",
        _give_optional,
        ("x, w, n, b", "x, w, n, b"),
    ),
)


def bind(
    takes: Parameters,
    ordered: Sequence[str],
    named: Sequence[str] = (),
    optional: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
) -> Call:
    """Find the call of a forward or a constructor: which value goes to which parameter.

    ordered: values that must be passed, by name or else in order.
    named, optional: values that are passed to a parameter of their name, if there is one; such a
    parameter may still get a value of `ordered` instead of an optional one.
    given: parameter → value, as far as it is known already.
    Raises CodeError where a parameter gets no value, or a value finds no parameter.
    """
    draft = Draft(takes, ordered, named, optional, dict(given or {}))
    for one in FORWARD:
        draft.assigned = {**one.give(draft), **draft.assigned}
    draft.refuse_incomplete()
    return draft.call()
