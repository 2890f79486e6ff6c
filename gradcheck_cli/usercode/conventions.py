"""How people write forward and backward passes: what their functions take, and what they return.

Arguments are passed by name where names match, else in order. Nothing here computes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import join_words, suggest

# What parameters are called that take what forward kept for backward, or forward's output.
CACHE_NAMES = frozenset({"ctx", "context", "saved", "memory", "tape", "state", "tmp"})
OUTPUT_NAMES = frozenset({"out", "output", "y", "Y", "a", "A"})
# Like an upstream gradient: dout, dA, delta, grad_output, upstream, y_grad.
UPSTREAM_NAMES = frozenset({"cotangent", "error", "err", "g", "gy", "v", "δ", "Δ"})
UPSTREAM_STARTS = ("d", "grad", "g_", "upstream")
UPSTREAM_ENDS = ("grad", "_bar")
# How a gradient is called after its input: as the key of a mapping, and as an attribute.
GRADIENT_NAMES = ("d{}", "grad_{}", "{}_grad", "d_{}")


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


def parameters(function: Callable[..., Any]) -> Parameters:
    """The parameters of a function; one that does not tell takes anything, in order."""
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

    @property
    def used(self) -> tuple[str, ...]:
        """The names of the values that are passed, in the order of the parameters."""
        return (*self.positional, *self.keyword.values())


def bind(
    takes: Parameters,
    ordered: Sequence[str],
    named: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
) -> Call:
    """Which value goes to which parameter.

    ordered: values that must be passed, by name or else in order; named: values that are passed to
    the parameter of their name, if there is one, and so are those of `optional`, unless the
    parameter is needed for one that must be passed; given: parameters whose value is decided.
    Raises CodeError where a parameter gets no value, or a value finds no parameter.
    """
    where = dict(given or {})
    for name in takes.all:
        if name in ordered or name in named:
            where.setdefault(name, name)
    left = [value for value in ordered if value not in where.values()]
    free = [name for name in takes.positional if name not in where]
    if len(left) <= sum(name not in optional for name in free):
        free = [name for name in free if name not in optional]
    where |= dict(zip(free, left, strict=False))
    left = left[len(free) :]
    where |= {name: name for name in takes.all if name in optional and name not in where}
    if left and not takes.rest:
        miss = suggest(left[0], [name for name in takes.all if where.get(name) != name])
        raise CodeError(f"{takes} takes no '{left[0]}'{miss}")
    lacking = [f"'{name}'" for name in takes.all if name in takes.required - set(where)]
    if lacking:
        raise CodeError(
            f"{takes} needs {join_words(lacking)}; give it under inputs, or under constants if it "
            "has no gradient"
        )
    positional = []
    for name in takes.positional:
        if name not in where:
            break
        positional.append(where.pop(name))
    if takes.others:
        passed = {*positional, *left, *where.values()}
        where |= {name: name for name in named if name not in passed}
    return Call((*positional, *left), where)


def is_upstream(name: str) -> bool:
    """Whether a parameter is called like an upstream gradient."""
    starts, ends = name.startswith(UPSTREAM_STARTS), name.endswith(UPSTREAM_ENDS)
    return name in UPSTREAM_NAMES or starts or ends


# Values that a backward may take besides inputs and constants; no parameter has such a name.
CACHE, OUTPUT, UPSTREAM = "the cache", "the output", "upstream gradient {}"


class BackwardCall(Struct, frozen=True):
    """How a backward is called, and how many of the forward's values have an upstream gradient.

    upstream: how many it takes; 0: it is the gradient of a function with one number as output.
    default: it has a default for them, which for a loss is 1.
    """

    call: Call
    upstream: int
    default: bool = False


def bind_backward(
    takes: Parameters,
    inputs: Sequence[str],
    constants: Sequence[str],
    returned: Sequence[bool],
    optional: Sequence[str] = (),
) -> BackwardCall:
    """Which parameter of a backward takes an upstream gradient, the cache, an input, a constant.

    returned: of each value the forward returned, whether it is an array of floats: the last of
    several is the cache, unless every one of them has an upstream gradient.
    Raises CodeError where a parameter gets no value.
    """
    free = [name for name in takes.positional if name not in (*inputs, *constants)]
    free = [name for name in free if is_upstream(name) or name in takes.required - set(optional)]
    given = {name: OUTPUT for name in free if name in OUTPUT_NAMES}
    free = [name for name in free if name not in given]
    likely = [name for name in free if is_upstream(name) and not _is_cache(name)]
    likely = likely or [name for name in free if not _is_cache(name)][:1]
    others = [name for name in free if name not in likely]
    kept = len(returned) > 1 and (bool(others) or len(likely) < len(returned) or not all(returned))
    outputs = _leading(returned[:-1] if kept else returned)
    upstream, others = likely[:outputs], likely[outputs:] + others
    if kept and others:
        cache = next(filter(_is_cache, others), others[-1])
        given[cache] = CACHE
        others.remove(cache)
    given |= {name: UPSTREAM.format(position) for position, name in enumerate(upstream)}
    first: list[str] = []
    if takes.rest and not upstream:  # def backward(*arguments)
        first = [UPSTREAM.format(position) for position in range(outputs)]
        first += [CACHE] if kept else []
    unnamed = [name for name in inputs if name not in takes.all]
    if not takes.rest:
        unnamed = unnamed[: len(others)]
    elif CACHE in (*first, *given.values()):
        unnamed = []
    call = bind(takes, [*first, *unnamed], [*inputs, *constants], given, optional)
    count = len(upstream) or len(first) - (CACHE in first)
    return BackwardCall(call, count, default=takes.required.isdisjoint(upstream) and not first)


def _is_cache(name: str) -> bool:
    return name in CACHE_NAMES or "cache" in name.lower()


def _leading(returned: Sequence[bool]) -> int:
    """How many of the first values can be outputs; one at least."""
    leading = next((place for place, fits in enumerate(returned) if not fits), len(returned))
    return max(1, leading)


def gradient_names(name: str) -> Iterator[str]:
    """What the gradient of an input may be called: dW, grad_W, W_grad, d_W."""
    return (pattern.format(name) for pattern in GRADIENT_NAMES)


def gradient_of(name: str, gradients: Mapping[Any, Any]) -> Any:
    """The gradient of an input in a mapping by name or by "d" + name; None without."""
    found = (gradients[key] for key in (*gradient_names(name), name) if key in gradients)
    return next(found, None)


def by_name(returned: Any, names: Sequence[str], order: Sequence[str], who: str) -> dict[str, Any]:
    """What a backward returned, as gradients by the names of the inputs.

    returned: a mapping by name or by "d" + name, a tuple, or one array; names: of the inputs;
    order: of the parameters that may have a gradient in a tuple, constants among them.
    Raises CodeError where the gradients cannot be told apart.
    """
    if isinstance(returned, Mapping):
        return _from_mapping(returned, names, who)
    numbers = isinstance(returned, list) and not any(hasattr(item, "shape") for item in returned)
    if not isinstance(returned, tuple | list) or (numbers and len(names) == 1):
        if len(names) == 1:
            return {names[0]: returned}
        raise CodeError(
            f"{who} returned one value for {len(names)} inputs ({', '.join(names)}); expected a "
            "tuple in their order, or a dict by name"
        )
    inputs = [name for name in order if name in names]
    for expected in (inputs, order):
        if len(returned) == len(expected):
            found = dict(zip(expected, returned, strict=True))
            return {name: found[name] for name in names}
    raise CodeError(
        f"{who} returned {len(returned)} gradients for {len(names)} "
        f"input{'s' * (len(names) != 1)} ({', '.join(inputs)}); an input without a gradient "
        "belongs under constants"
    )


def _from_mapping(returned: Mapping[Any, Any], names: Sequence[str], who: str) -> dict[str, Any]:
    found = {name: gradient_of(name, returned) for name in names}
    if names and all(gradient is None for gradient in found.values()):
        shown = ", ".join(repr(key) for key in list(returned)[:9]) or "nothing"
        raise CodeError(
            f"{who} returned a dict with {shown}; expected the inputs' names, such as "
            f"'{names[0]}' or 'd{names[0]}'"
        )
    return found
