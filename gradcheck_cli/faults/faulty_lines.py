"""Find the lines of a user's backward that are wrong: all is right before them, and not after.

The values that the backward computes are read line by line. A value is known to be right in two
cases: it is ∂L/∂v of some value v of the forward, as the slopes of L along two moves of v show; or
right values with at least as many entries depend on it, as a call in which it is moved shows. The
wrong line is among those that compute the other values on which a wrong gradient depends.
"""

from __future__ import annotations

import linecache
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Float
from gradcheck_cli.problem import Problem
from gradcheck_cli.text import join_words
from gradcheck_cli.usercode.watching.inner_values import InnerValue, list_inner_values

DIRECTIONS = 2  # with one slope, some multiple of any array would fit
STEP = 2.0**-17  # of the typical entry: the step of a slope, near the cube root of eps
# An array is the gradient if both slopes agree, up to this share of the largest slopes that its
# entries allow. Slopes are known to about 1e-9, and one other array in 1e12 comes as near.
NEAR = 1e-6
MOVED = 2.0**-4  # of its typical entry: a move of a value to see what depends on it
ROUNDING = 1e-10  # over the largest entry: a smaller change is rounding
# Values of the forward, which take four calls each, and of the backward, which take one call each.
MOST_SLOPES, MOST_VALUES = 60, 150
MOST_NUMBERS = 2**16  # in a value; larger ones are not read
MOST_SECONDS = 10.0  # for the whole search; where calls take milliseconds it needs 1 s at most
MOST_PARENTS = 2  # right values that a sentence names before the first wrong line
MOST_LINES = 4  # candidates for the wrong line; from so many on, only the range is given


class Slopes(Struct, frozen=True):
    """The slopes of L along two moves of a value, which tell whether an array is ∂L/∂value.

    moves: (2, entries); measure: the slope along one of them, measured at the first call.
    """

    name: str
    value: NDArray[Any]
    moves: Float
    measure: Callable[[int], float]

    def fits(self, array: NDArray[Any]) -> bool:
        """Whether an array is ∂L/∂value; it may be flat, or differ in axes of length 1."""
        shapes = [[size for size in one.shape if size > 1] for one in (array, self.value)]
        if array.size != self.value.size or (len(shapes[0]) > 1 and shapes[0] != shapes[1]):
            return False
        flat = np.asarray(array, dtype=np.float64).ravel()
        reach = NEAR * np.abs(self.moves) @ np.abs(flat)
        given = self.moves @ flat
        return all(abs(given[way] - self.measure(way)) <= reach[way] for way in range(DIRECTIONS))


class BackwardValues:
    """The values that a backward computes, in order, and what depends on each of them.

    returned: the gradients that the backward returns, flat. right: for values that are ∂L/∂v of
    some value v of the forward, by their place, the name of v.
    """

    def __init__(
        self, values: Sequence[InnerValue], returned: Mapping[str, Float], right: Mapping[int, str]
    ) -> None:
        self.values = values
        self.returned = returned
        self.right = right
        self._dependents = cache(self._find_dependents)

    def list_dependents(self, place: int) -> list[int]:
        """The places of the values that depend on this one."""
        return self._dependents(place)[0]

    def list_gradients(self, place: int) -> list[str]:
        """The names of the gradients that depend on this value."""
        return self._dependents(place)[1]

    def _find_dependents(self, place: int) -> tuple[list[int], list[str]]:
        """The values and the gradients that change in a call in which this value is moved."""
        one = self.values[place]
        typical = float(np.sqrt(np.mean(one.value**2)))
        move = MOVED * typical * np.random.default_rng(place).uniform(1, 2, one.value.shape)
        found, outputs = one.follow({}, move, one.list_later())
        values = [
            at
            for at, other in enumerate(self.values)
            if at != place and _is_moved(found.get((other.event, other.name)), other.value)
        ]
        after = np.split(outputs, np.cumsum([part.size for part in self.returned.values()])[:-1])
        parts = zip(self.returned.items(), after, strict=True)
        return values, [name for (name, part), other in parts if _is_moved(other, part)]

    def list_doubtful(self, right: Mapping[str, int]) -> list[int]:
        """The places of the values that are not known to be right.

        A value is right if right ones with at least as many entries depend on it; a few, such as
        those of a sum over samples, do not show that. right: how many entries the right gradients
        have, by name.
        """
        sizes = {place: self.values[place].value.size for place in self.right}
        for place in reversed([place for place in range(len(self.values)) if place not in sizes]):
            inside = sum(sizes.get(later, 0) for later in self.list_dependents(place))
            returned = sum(right.get(name, 0) for name in self.list_gradients(place))
            size = self.values[place].value.size
            if max(inside, returned) >= size:
                sizes[place] = size
        return [place for place in range(len(self.values)) if place not in sizes]

    def line_of(self, place: int) -> str:
        """The line that computes a value, `net.py:12`."""
        return self.values[place].source.partition(",")[0]

    def is_right_in_another_turn(self, place: int) -> bool:
        """Whether the value of the same name and line is right in another turn of a loop."""
        wanted = self.line_of(place), self.values[place].name
        return any((self.line_of(one), self.values[one].name) == wanted for one in self.right)

    def describe(self, among: Collection[str], doubtful: Sequence[int]) -> str:
        """A sentence on the lines to look at, with the code of the first; empty without lines."""
        lines = self.order_lines(among, doubtful)
        if not lines:
            return ""
        path, _, number = lines[0].rpartition(":")
        text = linecache.getline(path, int(number)).strip()
        first = f"{lines[0]} `{text}`" if text else lines[0]
        others = [line.removeprefix(f"{path}:") for line in lines[1:]]
        computed = [place for place in doubtful if self.line_of(place) == lines[0]]
        parents = dict.fromkeys(one for place in computed for one in self.list_parents(place))
        into = f" ({join_words([*parents][:MOST_PARENTS])})" if parents else ""
        if not others:
            return f"{first}: all is right before this line{into}, and no longer after it"
        few = len(others) < MOST_LINES
        if not few and not self.right:  # it would only say that the backward is wrong
            return ""
        then = f"at {join_words(others)}" if few else f"on to {others[-1]}"
        return (
            f"{first} first, then {then}: all is right before these lines{into}, and no longer "
            "after them"
        )

    def list_parents(self, place: int) -> list[str]:
        """The right values that a value is directly computed from, as `dh is ∂L/∂h`."""
        before = [one for one in range(place) if place in self.list_dependents(one)]
        return [
            f"{self.values[one].name} is ∂L/∂{self.right[one]}"
            for one in before
            if one in self.right and not any(other in self.list_dependents(one) for other in before)
        ]

    def order_lines(self, lines: Collection[str], doubtful: Sequence[int]) -> list[str]:
        """Lines in the order in which they first compute a doubtful value.

        Lines that compute a right value in another turn of a loop come last.
        """
        ran = dict.fromkeys(map(self.line_of, doubtful))
        ordered = [*(line for line in ran if line in lines), *sorted(set(lines) - set(ran))]
        once_right = {self.line_of(one) for one in doubtful if self.is_right_in_another_turn(one)}
        return sorted(ordered, key=once_right.__contains__)


def find_faulty_lines(
    problem: Problem, right: Collection[str], wrong: Mapping[str, str]
) -> dict[str, str]:
    """Sentences on the lines of the backward that make gradients wrong, by the names of inputs.

    right: the inputs with a right gradient. wrong: those with a wrong one, with the line that
    computes it last, as `f, a.py:12`. Empty where no lines can be told. Raises TimeoutError.
    """
    if problem.cotangent is None or problem.identity is not None or not wrong:
        return {}
    wide = all(x.dtype == np.float64 for x in problem.inputs.values())
    values = _read_values(_limit_time(problem)) if wide else None
    if values is None:
        return {}
    doubtful = values.list_doubtful({name: problem.inputs[name].size for name in right})
    lines = {
        name: {values.line_of(one) for one in doubtful if name in values.list_gradients(one)}
        for name in wrong
    }
    for name, origin in wrong.items():
        lines[name] |= {origin.partition(", ")[2]} if origin else set()
    # A line that is right in another turn of its loop may have got a wrong value from others.
    up_to_once_right = [
        {values.line_of(one) for one in doubtful if place in {one, *values.list_dependents(one)}}
        for place in doubtful
        if values.is_right_in_another_turn(place) and set(wrong) & set(values.list_gradients(place))
    ]
    common = set.intersection(*lines.values(), *up_to_once_right)
    return {name: values.describe(common or some, doubtful) for name, some in lines.items()}


def _limit_time(problem: Problem) -> Problem:
    """The problem with functions that raise TimeoutError after MOST_SECONDS in all."""
    until = time.monotonic() + MOST_SECONDS

    def limit(call: Callable[..., Any]) -> Callable[..., Any]:
        def within(*arguments: Any) -> Any:
            if time.monotonic() > until:
                raise TimeoutError
            return call(*arguments)

        return within

    return replace(problem, forward=limit(problem.forward), backward=limit(problem.backward))


def _read_values(problem: Problem) -> BackwardValues | None:
    """The values of the backward; None if it has none or too many, or is not reproducible."""
    slopes = list(_list_slopes(problem))
    known = {str(place): one.value for place, one in enumerate(slopes)}
    known |= {"the upstream gradient": np.asarray(problem.cotangent), **problem.inputs}
    returned = _call_backward(problem)

    def join(_: Any = None) -> Float:
        return np.concatenate([*_call_backward(problem).values()])

    found = list_inner_values(join, known, MOST_NUMBERS, every=True)
    values = [one for one in found if one.value.any()]  # not the zeros that a sum starts with
    reproducible = np.array_equal(join(), np.concatenate([*returned.values()]))
    if not 0 < len(values) <= MOST_VALUES or not reproducible:
        return None
    fitting = [[of.name for of in slopes if of.fits(one.value)] for one in values]
    return BackwardValues(
        values, returned, {place: of[0] for place, of in enumerate(fitting) if of}
    )


def _call_backward(problem: Problem) -> dict[str, Float]:
    """The gradients that the backward returns, flat."""
    found = problem.evaluate_backward()
    return {name: np.ravel(np.asarray(found[name])) for name in problem.inputs}


def _is_moved(after: NDArray[Any] | None, before: NDArray[Any]) -> bool:
    """Whether an array changed by more than rounding; None: it was not computed at all."""
    if after is None:
        return False
    return bool(np.max(np.abs(after - before)) > ROUNDING * np.max(np.abs(before)))


def _list_slopes(problem: Problem) -> Iterator[Slopes]:
    """The slopes along the inputs and the inner values of the forward on which L depends."""
    for name, x in problem.inputs.items():
        yield from _measure_slopes(problem, name, x, partial(_move_input, problem, name))
    for one in list_inner_values(problem.forward, problem.inputs, MOST_NUMBERS)[:MOST_SLOPES]:
        yield from _measure_slopes(problem, one.name, one.value, partial(one.move, problem.inputs))


def _move_input(problem: Problem, name: str, by: Float) -> Any:
    """The outputs when `by` is added to an input."""
    x = problem.inputs[name]
    return problem.forward({**problem.inputs, name: (x + by).astype(x.dtype)})


def _measure_slopes(
    problem: Problem, name: str, value: NDArray[Any], move: Callable[[Float], Any]
) -> Iterator[Slopes]:
    """The slopes along one value; none if L does not depend on it, or is not finite near it."""
    size = np.abs(value).ravel()
    typical = float(np.median(size[size > 0])) if size.any() else 1.0
    drawn = np.random.default_rng(value.size).uniform(-1, 1, (DIRECTIONS, value.size))
    weights = np.asarray(problem.cotangent, dtype=np.float64)
    for scale in (typical, size):  # by its own size, a probability near 0 stays positive
        moves = scale * drawn
        measure = cache(partial(_measure_slope, weights, move, moves.reshape(-1, *value.shape)))
        if np.isfinite(measure(0)):
            if measure(0) != 0:
                yield Slopes(name, value, moves, measure)
            return


def _measure_slope(weights: Float, move: Callable[[Float], Any], moves: Float, way: int) -> float:
    """The slope of L along one of these moves of a value, by a central difference."""
    ends = [float(np.sum(weights * np.asarray(move(by * moves[way])))) for by in (STEP, -STEP)]
    return (ends[0] - ends[1]) / (2 * STEP)
