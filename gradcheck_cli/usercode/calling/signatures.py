"""What a function takes, and how it is called: by name where names match, else in order.

Nothing here computes. Each pass of FORWARD gives values to parameters that have none yet.
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
    """What a function takes. positional, keyword: its parameters; required: without a default.

    rest: it has *args; others: it has **kwargs.
    """

    function: str
    positional: tuple[str, ...]
    keyword: tuple[str, ...]
    required: frozenset[str]
    rest: bool
    others: bool

    def __str__(self) -> str:
        """The function as it is written: affine(x, w, b)."""
        named = [*self.positional, *["*args"] * self.rest, *self.keyword]
        return f"{self.function}({', '.join([*named, *['**kwargs'] * self.others])})"

    @property
    def all(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return (*self.positional, *self.keyword)


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in messages."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def takes_what(
    other: Callable[Taken, Any],
) -> Callable[[Callable[..., Returned]], Callable[Taken, Returned]]:
    """Decorate a function that hands its arguments on to `other`: help and types show them."""

    def decorate(function: Callable[..., Returned]) -> Callable[Taken, Returned]:
        return cast(Callable[Taken, Returned], wraps(other, assigned=(), updated=())(function))

    return decorate


def parameters(function: Callable[..., Any]) -> Parameters:
    """The parameters of a function; one without a signature takes anything, in order."""
    kinds = inspect.Parameter
    try:
        known = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return Parameters(name_of(function), (), (), frozenset(), rest=True, others=False)
    by_kind = {
        kind: tuple(one.name for one in known if one.kind == kind)
        for kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    }
    return Parameters(
        function=name_of(function),
        positional=by_kind[kinds.POSITIONAL_ONLY] + by_kind[kinds.POSITIONAL_OR_KEYWORD],
        keyword=by_kind[kinds.KEYWORD_ONLY],
        required=frozenset(one.name for one in known if one.default is kinds.empty),
        rest=any(one.kind == kinds.VAR_POSITIONAL for one in known),
        others=any(one.kind == kinds.VAR_KEYWORD for one in known),
    )


def read_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of the parameters of a function that have one."""
    try:
        known = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return {}
    return {one.name: one.default for one in known if one.default is not one.empty}


def name_inputs(inputs: Any, takes: Parameters) -> dict[str, Any]:
    """The inputs by name; a tuple or one array takes the names of the function's parameters."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    values = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    known = takes.positional
    names = [*known, *(f"input{place}" for place in range(len(known), len(values)))]
    return dict(zip(names, values, strict=False))


class Call(Struct, frozen=True):
    """How a function is called: names of values in order, and by parameter."""

    positional: tuple[str, ...]
    keyword: Mapping[str, str]

    def __call__(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Call `function` with these values."""
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
    """A call that is being worked out.

    ordered: values that must be passed; named, optional: values that are passed to a parameter of
    their name alone; where: the value of every parameter that has one.
    """

    takes: Parameters
    ordered: Sequence[str]
    named: Sequence[str]
    optional: Sequence[str]
    where: dict[str, str]

    @property
    def left(self) -> list[str]:
        """The values that must be passed and have no parameter yet."""
        return [value for value in self.ordered if value not in self.where.values()]

    def refuse_incomplete(self) -> None:
        """Raises CodeError where a value finds no parameter, or a parameter gets no value."""
        takes, where = self.takes, self.where
        if self.left and not (takes.rest or takes.others):
            miss = suggest(self.left[0], [name for name in takes.all if where.get(name) != name])
            raise UntakenError(self.left[0], f"{takes} takes no '{self.left[0]}'{miss}")
        lacking = [name for name in takes.all if name in takes.required - set(where)]
        if lacking:
            needed = join_words([f"'{name}'" for name in lacking])
            raise LackingError(
                lacking,
                f"{takes} needs {needed}; give it under inputs, or under constants if it has no "
                "gradient",
            )

    def call(self) -> Call:
        """In order as far as there are values, the rest to *args; what follows by keyword.

        Without *args, **kwargs take the rest by name.
        """
        positional: list[str] = []
        for name in self.takes.positional:
            if name not in self.where:
                break
            positional.append(self.where[name])
        in_order = self.takes.positional[: len(positional)]
        keyword = {name: value for name, value in self.where.items() if name not in in_order}
        if self.takes.others:
            passed = {*self.ordered, *self.where.values()}
            keyword |= {name: name for name in self.named if name not in passed}
        if self.takes.rest:
            positional += self.left
        else:
            keyword |= {name: name for name in self.left}
        return Call(tuple(positional), keyword)


def _give_by_name(draft: Draft) -> dict[str, str]:
    return {name: name for name in draft.takes.all if name in (*draft.ordered, *draft.named)}


def _give_in_order(draft: Draft) -> dict[str, str]:
    """A parameter with the name of an optional value is used only where the others are too few."""
    free = [name for name in draft.takes.positional if name not in draft.where]
    others = [name for name in free if name not in draft.optional]
    return dict(zip(others if len(draft.left) <= len(others) else free, draft.left, strict=False))


def _give_optional(draft: Draft) -> dict[str, str]:
    return {name: name for name in draft.takes.all if name in draft.optional}


class Pass(Struct, frozen=True):
    """A way to give values to parameters that have none yet.

    says: in one sentence; give: the values by parameter; those that have one already keep it.
    example: of the inputs x, w, b, the constant stride and the optional size n, a signature and the
    call that follows.
    """

    says: str
    give: Callable[[Draft], dict[str, str]]
    example: tuple[str, str]


# In the order in which they are tried.
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
    """Which value goes to which parameter of a forward or a constructor.

    ordered: values that must be passed, by name or else in order; named, optional: values that are
    passed to a parameter of their name, if there is one; an optional one gives way to `ordered`.
    given: the values of parameters that are known already.
    Raises CodeError where a parameter gets no value, or a value finds no parameter.
    """
    draft = Draft(takes, ordered, named, optional, dict(given or {}))
    for one in FORWARD:
        draft.where = {**one.give(draft), **draft.where}
    draft.refuse_incomplete()
    return draft.call()
