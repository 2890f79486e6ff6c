"""What a factor is called: −1, 2, ½, n, 1/n, a power or a product of sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Float = NDArray[np.float64]

# A factor has a name only if it is known to so many digits: the names of small sizes lie dense.
NEEDED = 1e-4
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
    def fitted(self) -> int:
        """How many parameters it is: none, if it is one of those that people write."""
        return int(not self.names and not self.round)

    @property
    def choices(self) -> float:
        """Of about how many factors with a name, or with two digits, it is one."""
        return 1.0 if self.fitted else 200.0

    @property
    def round(self) -> bool:
        """Whether it has two digits at most, as numbers that people write have."""
        gap = abs(float(f"{self.value:.1e}") - self.value)
        return self.precision < NEEDED and gap <= max(self.precision, 1e-12) * abs(self.value)

    @property
    def shown(self) -> str:
        """`0.125 = 1/n`."""
        digits = (f"{self.value:.{count}g}" for count in range(1, 13))
        off = max(2 * self.precision, 1e-12) * abs(self.value)
        number = next((text for text in digits if abs(float(text) - self.value) <= off), "")
        shown = f"{float(number or self.value):.12g}"
        if shown.startswith("-"):
            shown = f"−{shown[1:]}"
        return " = ".join(dict.fromkeys((shown, *self.names)))


def fitted(analytic: Float, explained: Float, allowed: Float) -> tuple[float, float]:
    """The c with analytic = c · explained, by least squares in units of `allowed`; its precision.

    Without an entry that tells, c is 0 and its precision infinite.
    """
    with np.errstate(all="ignore"):
        weight = 1.0 / allowed
        left, right = analytic * weight, explained * weight
        usable = np.isfinite(left) & np.isfinite(right) & (explained != 0)
    if not usable.any():
        return 0.0, np.inf
    left, right = left[usable], right[usable]
    peak = np.max(np.abs(right))
    if peak == 0.0:
        return 0.0, np.inf
    share = right / peak
    c = float(share @ (left / peak) / (share @ share))
    return c, float(1.0 / peak) / max(abs(c), np.finfo(float).tiny)


def factor(value: float, precision: float, numbers: Mapping[str, float]) -> Factor:
    """The factor with its names; `precision` is relative."""
    if precision > NEEDED:
        return Factor(value, (), precision)
    close = max(precision, 1e-12) * abs(value)
    found = sorted(named for named in _names(numbers) if abs(named[2] - value) <= close)
    if not found:
        return Factor(value, (), precision)
    names = [name for complexity, name, _ in found if complexity <= found[0][0] + 1]
    # A constant of the user's says more than a size, which says more than a power of two.
    whole = {name for name, number in numbers.items() if number == int(number)}
    plain = [name for name in names if name in PLAIN]
    sized = [name for name in names if any(char.isalpha() for char in name)]
    sized.sort(key=lambda name: any(size in name for size in whole))
    return Factor(found[0][2], tuple((plain + sized or names)[:3]), precision)


def _names(numbers: Mapping[str, float]) -> Iterator[tuple[int, str, float]]:
    """Names of factors, each with how far-fetched it is and its value."""
    known = {name: value for name, value in numbers.items() if value not in (0.0, 1.0)}
    for name, value in SIMPLE.items():
        yield 1, name, value
    yield 2, "3", 3.0
    yield 2, "1/3", 1 / 3
    for exponent in (2.0, 3.0, -2.0, -3.0):
        yield 2, _power("2", exponent), 2.0**exponent
    for name, value in known.items():
        for complexity, exponent in POWERS:
            if value > 0 or exponent == int(exponent):
                power, shown = value**exponent, _power(name, exponent)
                # Squares of small whole numbers lie dense.
                complexity += int(abs(exponent) == 2 and value == int(value))
                yield complexity, shown, power
                yield complexity + 1, f"−{shown}", -power
        yield 3, f"2/{name}", 2 / value
        if value != int(value):
            yield 1, f"2·{name}", 2 * value
            yield 2, f"−2·{name}", -2 * value
    for (name, value), (other, second) in combinations(known.items(), 2):
        yield 3, f"{name}·{other}", value * second
        yield 3, f"1/({name}·{other})", 1 / (value * second)
        yield 3, f"{name}/{other}", value / second
        yield 3, f"{other}/{name}", second / value


def inverse(name: str) -> str:
    """The name of 1 over a factor."""
    if name.startswith("−"):
        return f"−{inverse(name[1:])}"
    if "/" not in name:
        return f"1/{name}" if "·" not in name else f"1/({name})"
    above, below = name.split("/", 1)
    below = below.strip("()")
    return below if above == "1" else f"{below}/{above}"


def _power(name: str, exponent: float) -> str:
    """`n²`, `1/n`, `√n`."""
    shown = {1: name, 2: f"{name}²", 3: f"{name}³", 0.5: f"√{name}"}[abs(exponent)]
    return shown if exponent > 0 else f"1/{shown}"
