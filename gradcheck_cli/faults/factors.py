"""Name a factor: as a plain number, n or 1/n, a size, a constant, a power or a product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from itertools import combinations

import numpy as np
from msgspec import Struct

from gradcheck_cli.measure.comparison import Float
from gradcheck_cli.problem import Problem
from gradcheck_cli.text import join_words

# Relative; a factor that is known less precisely gets no name: names of small sizes lie dense.
NAMED_PRECISION = 1e-4
PLAIN_PRECISION = 1e-2  # the same for plain numbers, which lie far apart
# Numbers that people write whatever the sizes are; they are preferred to the names of sizes.
PLAIN = {
    "−1": -1.0,
    **{str(number): float(number) for number in (2, 3, 4)},
    **{f"−{number}": -float(number) for number in (2, 3, 4)},
    **{f"1/{number}": 1 / number for number in (2, 3, 4)},
    **{f"−1/{number}": -1 / number for number in (2, 3, 4)},
    "2/3": 2 / 3,
    "3/2": 3 / 2,
}
EXPONENTS = (2.0, -2.0, 0.5, -0.5)  # exponents of a size or a constant that are names of factors
LARGEST_NUMBER = 1e50  # that names a factor, so that products of its powers up to 3 are finite
MOST_NAMES = 3  # of a factor, and as many alternative ones


class Kind(IntEnum):
    """Kinds of names, the likeliest first; the names of a factor are all of one kind."""

    PLAIN = 1
    SAMPLES = 2
    SIZE = 3
    CONSTANT = 4
    CONSTANT_POWER = 5
    COMBINED = 6


class Factor(Struct, frozen=True):
    """A factor, its relative precision, and its names, if it has any.

    also: names that have the same value in this check, which may be a coincidence.
    """

    value: float
    names: tuple[str, ...]
    precision: float = 0.0
    also: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many fitted parameters it counts as: 0 with a name or a round value, else 1."""
        return int(not self.names and not self.is_round)

    @property
    def choices(self) -> float:
        """About how many other factors with a name, or with two digits, it could have been."""
        if self.parameters:
            return 1.0
        return float(len(PLAIN)) if set(self.names) & set(PLAIN) else 200.0

    @property
    def is_round(self) -> bool:
        """Whether it has at most two digits, like numbers that people write."""
        gap = abs(float(f"{self.value:.1e}") - self.value)
        return self.precision < NAMED_PRECISION and gap <= max(self.precision, 1e-12) * abs(
            self.value
        )

    @property
    def text(self) -> str:
        """`0.125 = 1/n`, `4 (here also W.shape[1])`."""
        digits = (f"{self.value:.{count}g}" for count in range(1, 13))
        off = max(2 * self.precision, 1e-12) * abs(self.value)
        short = next((text for text in digits if abs(float(text) - self.value) <= off), "")
        number = float(short or self.value)
        shown = f"{'−' if number < 0 else ''}{abs(number):.12g}"
        also = f" (here also {join_words(self.also)})" if self.also else ""
        return " = ".join(dict.fromkeys((shown, *self.names))) + also

    def is_called(self, name: str) -> bool:
        """Whether the factor has this name, perhaps by coincidence."""
        return name in self.names or name in self.also


def list_numbers(problem: Problem, norms: Mapping[str, float]) -> dict[str, float]:
    """The numbers that factors may be named by: sizes, constants, inputs of one number, lengths of
    axes without another name, and norms."""
    scalars = {name: x.item() for name, x in problem.inputs.items() if x.size == 1}
    named = _keep_usable({**problem.numbers, **scalars})
    known = set(named.values())
    for name, array in problem.inputs.items():
        for axis, size in enumerate(array.shape):
            if float(size) not in known:
                known.add(float(size))
                named[f"{name}.shape[{axis}]"] = float(size)
    return named | _keep_usable(norms)


def _keep_usable(numbers: Mapping[str, float]) -> dict[str, float]:
    """The numbers that are neither too large nor too small to name a factor."""
    return {
        name: float(number)
        for name, number in numbers.items()
        if LARGEST_NUMBER >= abs(number) >= 1 / LARGEST_NUMBER
    }


def name_factor(
    value: float, precision: float, numbers: Mapping[str, float], *, constants_first: bool = False
) -> Factor:
    """The factor with its names.

    precision: relative; numbers: sizes and constants by name. A plain number may be a size by
    coincidence; then the size is an alternative name.
    constants_first: whether a constant is likelier than a size, as for the weight of a term.
    """
    if precision > PLAIN_PRECISION:
        return Factor(value, (), precision)
    if precision > NAMED_PRECISION:
        numbers = {}
    close = max(precision, 1e-12) * abs(value)
    names, values = _tabulate_names(tuple(numbers.items()))
    named: dict[Kind, list[str]] = {}
    for place in np.flatnonzero(np.abs(values - value) <= close):
        kind, name = names[place]
        named.setdefault(kind, []).append(name)
    if not named:
        return Factor(value, (), precision)
    kinds = sorted(named)
    if constants_first and Kind.CONSTANT in kinds:
        kinds = [Kind.CONSTANT]
    best = named[kinds[0]][:MOST_NAMES]
    also: list[str] = []
    if kinds[0] == Kind.PLAIN and value != -1.0:
        also = [name for kind in kinds[1:] if kind < Kind.COMBINED for name in named[kind]]
    return Factor(value, tuple(best), precision, tuple(also[:MOST_NAMES]))


@lru_cache(maxsize=8)  # for the numbers of a check, and of those that confirm its names
def _tabulate_names(
    numbers: tuple[tuple[str, float], ...],
) -> tuple[list[tuple[Kind, str]], Float]:
    """Names of factors, each with its kind, and their values."""
    every = list(_list_names(dict(numbers)))
    return [(kind, name) for kind, name, _ in every], np.array([value for *_, value in every])


def _list_names(numbers: Mapping[str, float]) -> Iterator[tuple[Kind, str, float]]:
    """Names of factors, each with its kind and its value."""
    yield from ((Kind.PLAIN, name, value) for name, value in PLAIN.items())
    known = {name: value for name, value in numbers.items() if value not in (0.0, 1.0)}
    for name, value in known.items():
        whole = value == int(value)
        kind = Kind.SAMPLES if name == "n" else Kind.SIZE if whole else Kind.CONSTANT
        for exponent in (1.0, -1.0):
            yield kind, _name_power(name, exponent), value**exponent
            yield kind, f"−{_name_power(name, exponent)}", -(value**exponent)
        if not whole:  # the derivative of c·w²
            yield Kind.CONSTANT, f"2·{name}", 2 * value
            yield Kind.CONSTANT, f"−2·{name}", -2 * value
        combined = Kind.COMBINED if whole else Kind.CONSTANT_POWER
        for exponent in EXPONENTS:
            if value > 0 or exponent == int(exponent):
                power, text = value**exponent, _name_power(name, exponent)
                yield combined, text, power
                yield combined, f"−{text}", -power
        yield Kind.COMBINED, f"2/{name}", 2 / value
    for (name, value), (other, second) in combinations(known.items(), 2):
        yield Kind.COMBINED, f"{name}·{other}", value * second
        yield Kind.COMBINED, f"1/({name}·{other})", 1 / (value * second)
        yield Kind.COMBINED, f"{name}/{other}", value / second
        yield Kind.COMBINED, f"{other}/{name}", second / value


def values_of_names(numbers: Mapping[str, float]) -> dict[str, float]:
    """The value of every name that a factor may have, by these sizes and constants."""
    return {name: value for _, name, value in _list_names(numbers)}


def invert_name(name: str) -> str:
    """The name of 1 over a factor."""
    if name.startswith("−"):
        return f"−{invert_name(name[1:])}"
    if "/" not in name:
        return f"1/{name}" if "·" not in name else f"1/({name})"
    above, below = name.split("/", 1)
    below = below.strip("()")
    return below if above == "1" else f"{below}/{above}"


def _name_power(name: str, exponent: float) -> str:
    """`n²`, `1/n`, `√n`."""
    text = {1: name, 2: f"{name}²", 0.5: f"√{name}"}[abs(exponent)]
    return text if exponent > 0 else f"1/{text}"
