"""What a factor is called: −1, 2, ½, n, 1/n, a power or a product of sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Float = NDArray[np.float64]

# Relative; a factor has a name only if it is known better: the names of small sizes lie dense.
NAMED_PRECISION = 1e-4
# Powers of a number, and how far-fetched they are.
POWERS = ((1, 1.0), (1, -1.0), (2, 2.0), (2, -2.0), (3, 0.5), (3, -0.5))
SIMPLE = {"−1": -1.0, "2": 2.0, "1/2": 0.5}
PLAIN = (*SIMPLE, "3", "1/3")


class Factor(Struct, frozen=True):
    """A factor, relatively known to `precision`, and its simplest names; () where it has none."""

    value: float
    names: tuple[str, ...]
    precision: float = 0.0

    @property
    def parameters(self) -> int:
        """How many parameters it is: none, if it is one of those that people write."""
        return int(not self.names and not self.is_round)

    @property
    def choices(self) -> float:
        """Of about how many factors with a name, or with two digits, it is one."""
        return 1.0 if self.parameters else 200.0

    @property
    def is_round(self) -> bool:
        """Whether it has two digits at most, as numbers that people write have."""
        gap = abs(float(f"{self.value:.1e}") - self.value)
        return self.precision < NAMED_PRECISION and gap <= max(self.precision, 1e-12) * abs(
            self.value
        )

    @property
    def text(self) -> str:
        """`0.125 = 1/n`."""
        digits = (f"{self.value:.{count}g}" for count in range(1, 13))
        off = max(2 * self.precision, 1e-12) * abs(self.value)
        short = next((text for text in digits if abs(float(text) - self.value) <= off), "")
        number = float(short or self.value)
        shown = f"{'−' if number < 0 else ''}{abs(number):.12g}"
        return " = ".join(dict.fromkeys((shown, *self.names)))


def name_factor(value: float, precision: float, numbers: Mapping[str, float]) -> Factor:
    """The factor with its names; `precision` is relative."""
    if precision > NAMED_PRECISION:
        return Factor(value, (), precision)
    close = max(precision, 1e-12) * abs(value)
    named = sorted(one for one in _list_names(numbers) if abs(one[2] - value) <= close)
    if not named:
        return Factor(value, (), precision)
    names = [name for complexity, name, _ in named if complexity <= named[0][0] + 1]
    # A constant of the user's says more than a size, which says more than a power of two.
    whole = {name for name, number in numbers.items() if number == int(number)}
    plain = [name for name in names if name in PLAIN]
    sized = [name for name in names if any(char.isalpha() for char in name)]
    sized.sort(key=lambda name: any(size in name for size in whole))
    return Factor(named[0][2], tuple((plain + sized or names)[:3]), precision)


def _list_names(numbers: Mapping[str, float]) -> Iterator[tuple[int, str, float]]:
    """Names of factors, each with how far-fetched it is and its value."""
    known = {name: value for name, value in numbers.items() if value not in (0.0, 1.0)}
    for name, value in SIMPLE.items():
        yield 1, name, value
    yield 2, "3", 3.0
    yield 2, "1/3", 1 / 3
    for exponent in (2.0, 3.0, -2.0, -3.0):
        yield 2, _name_power("2", exponent), 2.0**exponent
    for name, value in known.items():
        for complexity, exponent in POWERS:
            if value > 0 or exponent == int(exponent):
                power, text = value**exponent, _name_power(name, exponent)
                # Squares of small whole numbers lie dense.
                complexity += int(abs(exponent) == 2 and value == int(value))
                yield complexity, text, power
                yield complexity + 1, f"−{text}", -power
        yield 3, f"2/{name}", 2 / value
        if value != int(value):
            yield 1, f"2·{name}", 2 * value
            yield 2, f"−2·{name}", -2 * value
    for (name, value), (other, second) in combinations(known.items(), 2):
        yield 3, f"{name}·{other}", value * second
        yield 3, f"1/({name}·{other})", 1 / (value * second)
        yield 3, f"{name}/{other}", value / second
        yield 3, f"{other}/{name}", second / value


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
    text = {1: name, 2: f"{name}²", 3: f"{name}³", 0.5: f"√{name}"}[abs(exponent)]
    return text if exponent > 0 else f"1/{text}"
