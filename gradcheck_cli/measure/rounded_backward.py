"""What rounding makes of a backward: it is called in float64, and each of its operations rounds.

Roundings are drawn at random, as large as those of a type of low precision; by how much gradients
differ then is what that type may cost, whichever numbers on the way cancel. Source: D. Parker,
"Monte Carlo arithmetic" (1997).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from gradcheck_cli.measure.precision import EPS, low_type
from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.problem import Problem

DRAWS = 8  # of all roundings; by the largest of so many changes one more is hardly exceeded far
# Times that change: of the 117 float32 gradients of saturated layers in tests/benchmarks/forms that
# nothing else explains, the one that is off by most is off by 1.3 times.
SAFETY = 4.0
# Methods of a ufunc that sum products or terms; what these cancel was rounded term by term.
SUMS = frozenset({"reduce", "accumulate", "reduceat"})

Round = Callable[[Any], Float]


class Rounded(np.ndarray[Any, Any]):
    """An array in float64 whose operations give rounded ones; `rounds` is how."""

    rounds: Round

    def __array_finalize__(self, of: Any) -> None:
        """A view rounds as what it is of."""
        if isinstance(of, Rounded):
            self.rounds = of.rounds

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        """Call the ufunc with plain arrays, and round what it gives."""
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
        """Call a function of NumPy that is no ufunc, and round what it gives."""
        return self._round_all(super().__array_function__(function, types, args, options))

    def _round_all(self, found: Any) -> Any:
        """What an operation gave, rounded; what was rounded already stays as it is."""
        if isinstance(found, tuple):
            return tuple(map(self._round_all, found))
        if isinstance(found, Rounded) or not _is_wide(found):
            return found
        return as_rounded(self.rounds(found), self.rounds)


def as_rounded(values: Any, rounds: Round) -> Rounded:
    """A copy of values whose operations round in some way."""
    rounded = np.array(values, dtype=np.float64).view(Rounded)
    rounded.rounds = rounds
    return rounded


def spread_by_rounding(problem: Problem, narrow: Problem, name: str, wide: Any) -> Float:
    """How far the roundings of a type may move each entry of a gradient that is right in float64.

    problem: the one in float64 that `narrow` was widened to; wide: the gradient of this input that
    the backward of `narrow` gives there. A backward that makes arrays of others, as that of a
    framework does, rounds what it returns alone; what overflows explains nothing.
    """
    kind, cotangent, furthest = low_type(narrow), problem.cotangent, np.zeros(np.shape(wide))
    with suppress(Exception), np.errstate(all="ignore"):  # whatever the backward raises
        for seed in range(DRAWS):
            rounds = _draw_roundings(kind, np.random.default_rng(seed))
            inputs = {of: as_rounded(x, rounds) for of, x in problem.inputs.items()}
            upstream = None if cotangent is None else as_rounded(cotangent, rounds)
            claimed = rounds(np.asarray(narrow.backward(inputs, upstream)[name]))
            changes = np.abs(claimed - wide)
            furthest = np.where(changes < np.inf, np.maximum(furthest, changes), furthest)
    return np.asarray(SAFETY * furthest)


def _draw_roundings(kind: str, random: np.random.Generator) -> Round:
    """Rounds at random by up to half of the eps of a type, and to zero what it is too small for."""
    range_of = np.float16 if kind == "float16" else np.float32  # which bfloat16 shares

    def rounds(values: Any) -> Float:
        moves = EPS[kind] / 2 * random.uniform(-1, 1, np.shape(values))
        return np.asarray(values * (1 + moves)).astype(range_of).astype(np.float64)

    return rounds


def _plain(one: Any) -> Any:
    return one.view(np.ndarray) if isinstance(one, Rounded) else one


def _is_wide(one: Any) -> bool:
    return isinstance(one, np.ndarray | np.floating) and one.dtype == np.float64
