"""Which lines of a user's backward are wrong: all is right before them, and no longer after them.

The backward is watched line by line, as a forward is. A value in it is right if it is ∂L/∂ of one
that the forward computes, which two slopes tell, or if something right is made of it, which is seen
where it is moved. The rest of what a wrong gradient is made of is where the slip is.
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

DIRECTIONS = 2  # one slope fits any gradient but for a factor
STEP = 2.0**-17  # of the typical entry, in which slopes are taken: near the cube root of ε
# Of what the slopes could be: so near comes an array that is the gradient. Slopes are known to 1e-9
# or so, and one of 1e12 other arrays comes as near.
NEAR = 1e-6
MOVED = 2.0**-4  # of its typical entry: by how much a value is moved to see what is made of it
ROUNDING = 1e-10  # of the largest entry: a smaller change is none
# Values of a forward, which take four forwards each, and of a backward, which take a call each.
MOST_SLOPES, MOST_VALUES = 60, 150
MOST_NUMBERS = 2**16  # of a value that is looked at
MOST_SECONDS = 10.0  # of all of it, which takes a second at most where calls take milliseconds
MOST_PARENTS = 2  # of a value, that are said
MOST_LINES = 4  # of which one is wrong; more lead nowhere


class Slopes(Struct, frozen=True):
    """The slopes of L along two moves of a value, (2, entries): what its gradient gives.

    take: gives the slope along one of the moves, measured once.
    """

    name: str
    value: NDArray[Any]
    moves: Float
    take: Callable[[int], float]

    def fit(self, array: NDArray[Any]) -> bool:
        """Whether an array is the gradient, whatever axes of length 1 it has, or flat."""
        shapes = [[size for size in one.shape if size > 1] for one in (array, self.value)]
        if array.size != self.value.size or (len(shapes[0]) > 1 and shapes[0] != shapes[1]):
            return False
        flat = np.asarray(array, dtype=np.float64).ravel()
        reach = NEAR * np.abs(self.moves) @ np.abs(flat)
        given = self.moves @ flat
        return all(abs(given[way] - self.take(way)) <= reach[way] for way in range(DIRECTIONS))


class Watched:
    """What a backward computes on its way, in order.

    before: the gradients that it returns, flat; right: of the values that are ∂L/∂ something, what
    that is called, by place.
    """

    def __init__(
        self, values: Sequence[InnerValue], before: Mapping[str, Float], right: Mapping[int, str]
    ) -> None:
        self.values = values
        self.before = before
        self.right = right
        self.changes = cache(self._list_changes)

    def made(self, place: int) -> list[int]:
        """The places of what is made of a value."""
        return self.changes(place)[0]

    def gradients(self, place: int) -> list[str]:
        """The gradients that are made of a value."""
        return self.changes(place)[1]

    def _list_changes(self, place: int) -> tuple[list[int], list[str]]:
        """The other values, and the gradients, that change with one, as a call of it shows."""
        one = self.values[place]
        typical = float(np.sqrt(np.mean(one.value**2)))
        move = MOVED * typical * np.random.default_rng(place).uniform(1, 2, one.value.shape)
        found, outputs = one.follow({}, move, one.list_later())
        made = [
            at
            for at, other in enumerate(self.values)
            if at != place and _is_moved(found.get((other.event, other.name)), other.value)
        ]
        after = np.split(outputs, np.cumsum([part.size for part in self.before.values()])[:-1])
        parts = zip(self.before.items(), after, strict=True)
        return made, [name for (name, part), other in parts if _is_moved(other, part)]

    def list_open(self, right: Mapping[str, int]) -> list[int]:
        """The places of what is not known to be right: nothing right is made of it that has as many
        entries, as a sum over samples has not.

        right: how many entries the right gradients have, by name.
        """
        sizes = {place: self.values[place].value.size for place in self.right}
        for place in reversed([place for place in range(len(self.values)) if place not in sizes]):
            told = sum(sizes.get(later, 0) for later in self.made(place))
            returned = sum(right.get(name, 0) for name in self.gradients(place))
            size = self.values[place].value.size
            if max(told, returned) >= size:
                sizes[place] = size
        return [place for place in range(len(self.values)) if place not in sizes]

    def line(self, place: int) -> str:
        """The line after which a value is there, `net.py:12`."""
        return self.values[place].source.partition(",")[0]

    def is_right_at_another_time(self, place: int) -> bool:
        """Whether what the same line of a loop computes is right in another turn."""
        of = self.line(place), self.values[place].name
        return any((self.line(one), self.values[one].name) == of for one in self.right)

    def describe(self, among: Collection[str], still_open: Sequence[int]) -> str:
        """Lines to look at as a sentence, the first with its text; empty where there are none."""
        lines = self.sort(among, still_open)
        if not lines:
            return ""
        path, _, number = lines[0].rpartition(":")
        text = linecache.getline(path, int(number)).strip()
        first = f"{lines[0]} `{text}`" if text else lines[0]
        others = [line.removeprefix(f"{path}:") for line in lines[1:]]
        made = [place for place in still_open if self.line(place) == lines[0]]
        parents = dict.fromkeys(one for place in made for one in self.list_parents(place))
        into = f" ({join_words([*parents][:MOST_PARENTS])})" if parents else ""
        if not others:
            return f"{first}: all is right before this line{into}, and no longer after it"
        few = len(others) < MOST_LINES
        if not few and not self.right:  # all of a backward of which nothing is recognized
            return ""
        then = f"at {join_words(others)}" if few else f"on to {others[-1]}"
        return (
            f"{first} first, then {then}: all is right before these lines{into}, and no longer "
            "after them"
        )

    def list_parents(self, place: int) -> list[str]:
        """What a value is made of that is known to be right, `dh is ∂L/∂h`."""
        before = [one for one in range(place) if place in self.made(one)]
        return [
            f"{self.values[one].name} is ∂L/∂{self.right[one]}"
            for one in before
            if one in self.right and not any(other in self.made(one) for other in before)
        ]

    def sort(self, lines: Collection[str], still_open: Sequence[int]) -> list[str]:
        """Lines in the order in which they first give what is not right; those that give what is
        right in another turn come last."""
        ran = dict.fromkeys(map(self.line, still_open))
        ordered = [*(line for line in ran if line in lines), *sorted(set(lines) - set(ran))]
        turned = {self.line(one) for one in still_open if self.is_right_at_another_time(one)}
        return sorted(ordered, key=turned.__contains__)


def find_faulty_lines(
    problem: Problem, right: Collection[str], wrong: Mapping[str, str]
) -> dict[str, str]:
    """The lines of the backward in which wrong gradients went wrong, as sentences by their names.

    right: the inputs whose gradients are right; wrong: of the others, `f, a.py:12`, after which
    line of the user's they are there. Empty where nothing is known of it. Raises TimeoutError.
    """
    if problem.cotangent is None or problem.identity is not None or not wrong:
        return {}
    wide = all(x.dtype == np.float64 for x in problem.inputs.values())
    watched = _watch(_hurry(problem)) if wide else None
    if watched is None:
        return {}
    still_open = watched.list_open({name: problem.inputs[name].size for name in right})
    lines = {
        name: {watched.line(one) for one in still_open if name in watched.gradients(one)}
        for name in wrong
    }
    for name, origin in wrong.items():
        lines[name] |= {origin.partition(", ")[2]} if origin else set()
    turned = [
        {watched.line(one) for one in still_open if place in {one, *watched.made(one)}}
        for place in still_open
        if watched.is_right_at_another_time(place) and set(wrong) & set(watched.gradients(place))
    ]
    common = set.intersection(*lines.values(), *turned)
    return {name: watched.describe(common or some, still_open) for name, some in lines.items()}


def _hurry(problem: Problem) -> Problem:
    """The problem, whose functions are called for some seconds and no longer."""
    until = time.monotonic() + MOST_SECONDS

    def limit(call: Callable[..., Any]) -> Callable[..., Any]:
        def within(*arguments: Any) -> Any:
            if time.monotonic() > until:
                raise TimeoutError
            return call(*arguments)

        return within

    return replace(problem, forward=limit(problem.forward), backward=limit(problem.backward))


def _watch(problem: Problem) -> Watched | None:
    """What the backward computes; None where that is nothing, too much, or another each time."""
    slopes = list(_list_slopes(problem))
    known = {str(place): one.value for place, one in enumerate(slopes)}
    known |= {"the upstream gradient": np.asarray(problem.cotangent), **problem.inputs}
    before = _call(problem)

    def join(_: Any = None) -> Float:
        return np.concatenate([*_call(problem).values()])

    found = list_inner_values(join, known, MOST_NUMBERS, every=True)
    values = [one for one in found if one.value.any()]  # a sum begins with zeros
    again = np.array_equal(join(), np.concatenate([*before.values()]))
    if not 0 < len(values) <= MOST_VALUES or not again:
        return None
    fitting = [[of.name for of in slopes if of.fit(one.value)] for one in values]
    return Watched(values, before, {place: of[0] for place, of in enumerate(fitting) if of})


def _call(problem: Problem) -> dict[str, Float]:
    """The gradients that the backward gives, flat."""
    found = problem.evaluate_backward()
    return {name: np.ravel(np.asarray(found[name])) for name in problem.inputs}


def _is_moved(after: NDArray[Any] | None, before: NDArray[Any]) -> bool:
    """Whether it is another by more than rounding."""
    if after is None:
        return False
    return bool(np.max(np.abs(after - before)) > ROUNDING * np.max(np.abs(before)))


def _list_slopes(problem: Problem) -> Iterator[Slopes]:
    """Those of the inputs, and of the values inside the forward that change what it returns."""
    for name, x in problem.inputs.items():
        yield from _take_slopes(problem, name, x, partial(_move_input, problem, name))
    for one in list_inner_values(problem.forward, problem.inputs, MOST_NUMBERS)[:MOST_SLOPES]:
        yield from _take_slopes(problem, one.name, one.value, partial(one.move, problem.inputs))


def _move_input(problem: Problem, name: str, by: Float) -> Any:
    x = problem.inputs[name]
    return problem.forward({**problem.inputs, name: (x + by).astype(x.dtype)})


def _take_slopes(
    problem: Problem, name: str, value: NDArray[Any], move: Callable[[Float], Any]
) -> Iterator[Slopes]:
    """Those of one value; none where L does not change with it, or is not defined beside it."""
    size = np.abs(value).ravel()
    typical = float(np.median(size[size > 0])) if size.any() else 1.0
    drawn = np.random.default_rng(value.size).uniform(-1, 1, (DIRECTIONS, value.size))
    weights = np.asarray(problem.cotangent, dtype=np.float64)
    for scale in (typical, size):  # of a probability that is near 0, its own
        moves = scale * drawn
        take = cache(partial(_take_slope, weights, move, moves.reshape(-1, *value.shape)))
        if np.isfinite(take(0)):
            if take(0) != 0:
                yield Slopes(name, value, moves, take)
            return


def _take_slope(weights: Float, move: Callable[[Float], Any], moves: Float, way: int) -> float:
    """The slope of L along one of these moves of a value, by two calls."""
    ends = [float(np.sum(weights * np.asarray(move(by * moves[way])))) for by in (STEP, -STEP)]
    return (ends[0] - ends[1]) / (2 * STEP)
