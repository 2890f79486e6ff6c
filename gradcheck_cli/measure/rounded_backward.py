"""How far rounding in low precision may move a gradient, by simulation.

The backward is called in float64, and the result of each of its operations is moved at random by
as much as a type of low precision would round it. How far the gradients spread is what that type
may cost, whichever numbers cancel on the way. Source: D. Parker, "Monte Carlo arithmetic" (1997).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from gradcheck_cli.measure.precision import EPS, find_low_type
from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.problem import Problem

DRAWS = 8  # simulations; another one is hardly ever much further off than the largest of eight
# A gradient may be off by this many times the largest change in the simulations. In
# tests/benchmarks/forms, 117 float32 gradients of saturated layers are off by rounding that nothing
# else explains; the worst of them is off by 1.3 times that change.
SAFETY = 4.0
# Methods of a ufunc that sum: their terms are rounded one by one, before they cancel.
SUMS = frozenset({"reduce", "accumulate", "reduceat"})

Round = Callable[[Any], Float]


class Rounded(np.ndarray[Any, Any]):
    """An array in float64 that rounds the result of every operation with `rounds`."""

    rounds: Round

    def __array_finalize__(self, of: Any) -> None:
        """A view rounds in the same way as its array."""
        if isinstance(of, Rounded):
            self.rounds = of.rounds

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        """Call the ufunc with plain arrays, and round its result."""
        plain = [_plain(one) for one in inputs]
        if method in SUMS or ufunc is np.matmul:
            plain = [self.rounds(one) if _is_wide(one) else one for one in plain]
        if out:
            options["out"] = tuple(map(_plain, out))
        found = getattr(ufunc, method)(*plain, **options)
        for one in filter(_is_wide, options.get("out", ())):
            one[...] = self.rounds(one)
        return out[0] if len(out) == 1 else out or self._round_all(found)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Call a function of NumPy that is not a ufunc, and round its result."""
        return self._round_all(super().__array_function__(function, types, args, options))

    def _round_all(self, found: Any) -> Any:
        """The result of an operation, rounded unless it is already."""
        if isinstance(found, tuple):
            return tuple(map(self._round_all, found))
        if isinstance(found, Rounded) or not _is_wide(found):
            return found
        return as_rounded(self.rounds(found), self.rounds)


def as_rounded(values: Any, rounds: Round) -> Rounded:
    """A copy of values whose operations are rounded by `rounds`."""
    rounded = np.array(values, dtype=np.float64).view(Rounded)
    rounded.rounds = rounds
    return rounded


def spread_by_rounding(problem: Problem, narrow: Problem, name: str, wide: Any) -> Float:
    """How far rounding may move each entry of a gradient that is right in float64.

    narrow: the problem in low precision, whose rounding is simulated; problem: the same in
    float64; wide: the gradient of this input that the backward of `narrow` returns in float64.
    A backward that converts its arrays, as one of a framework does, has only its result rounded.
    An entry that overflows is left out.
    """
    kind, cotangent, furthest = find_low_type(narrow), problem.cotangent, np.zeros(np.shape(wide))
    with suppress(Exception), np.errstate(all="ignore"):  # the backward may not take such arrays
        for seed in range(DRAWS):
            rounds = _draw_roundings(kind, np.random.default_rng(seed))
            inputs = {of: as_rounded(x, rounds) for of, x in problem.inputs.items()}
            upstream = None if cotangent is None else as_rounded(cotangent, rounds)
            claimed = rounds(np.asarray(narrow.backward(inputs, upstream)[name]))
            changes = np.abs(claimed - wide)
            furthest = np.where(changes < np.inf, np.maximum(furthest, changes), furthest)
    return np.asarray(SAFETY * furthest)


def _draw_roundings(kind: str, random: np.random.Generator) -> Round:
    """A function that moves values at random by up to half the eps of a type, and makes zero or
    infinite what is out of its range."""
    range_of = np.float16 if kind == "float16" else np.float32  # bfloat16 has float32's range

    def rounds(values: Any) -> Float:
        moves = EPS[kind] / 2 * random.uniform(-1, 1, np.shape(values))
        return np.asarray(values * (1 + moves)).astype(range_of).astype(np.float64)

    return rounds


def _plain(one: Any) -> Any:
    return one.view(np.ndarray) if isinstance(one, Rounded) else one


def _is_wide(one: Any) -> bool:
    return isinstance(one, np.ndarray | np.floating) and one.dtype == np.float64
