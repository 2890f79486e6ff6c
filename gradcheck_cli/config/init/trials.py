"""Shapes found by trying: those that were read, changed until the code takes them.

Every size has a value of its own, so that the sizes in an error message name the axes that are one.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from itertools import combinations, count

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.config.init.infer_inputs import Described
from gradcheck_cli.config.init.inference.givens import SETTING, Given
from gradcheck_cli.config.init.names import NUMBERS, is_bias, is_labels

# Calls of the code: of eleven functions whose shapes had to be found, all took 1 to 26.
MOST_TRIALS = 1500
# More of them after the first shapes that are taken, for some that are plainer: of these eleven
# functions, one comes out otherwise with 50, none with 300.
MOST_BEYOND = 100
# Of those near to shapes that are taken: of 69 files, right and with a slip each, none comes
# out otherwise with 100.
MOST_FURTHER = 40
MOST_ALIKE = 50  # trials that may all end in the same way: what is wrong is not the shapes, then
MOST_AXES = 4  # that an array is given
MOST_TOLD = 10  # a size that a complaint names: products of sizes would grow from trial to trial
FITS = 2.0  # what is reached where the forward takes the shapes
DONE = 3.0  # where the backward does not raise, either
WORTH = 6.0  # changes of shapes that lead through a whole forward are tried as early as none

# What is said of an input that is not in a set.
CONSTRAINED = {
    "positive-definite": r"positive.definite|\bSPD\b",
    "orthogonal": r"orthogonal|orthonormal|rotation",
    "simplex": r"distribution|simplex|probabilit|sums? to (1|one)",
    "symmetric": r"symmetric",
    "positive": r"be (\w+ )?(positive|non-?negative)\b(?!.definite)|math domain",
}

INDEX = "1"  # where a number is an index, an axis or a step
NUMBER = "[]"  # the shape of one that has a gradient

_SHAPE = re.compile(r"\[[^\[\]]*\]")
_ITEM = re.compile(r"\[[^\[\]]*\]|[^\[\], ]+")
_AXIS = re.compile(r"(?<=[\[ ])[^\W\d]\w*(?=[],])")
_FIRST, _LAST = re.compile(r"\[(\w+), "), re.compile(r", (\w+)\]")
_NUMBER = re.compile(r"\d+")


class Trial(Struct, frozen=True):
    """How far the code came with some shapes.

    reached: 0 at the start of the forward, 1 at its end, more in a backward that says something of
        its inputs' shapes, from FITS on where the forward takes the shapes, DONE at the end.
    complaint: what was wrong, which may hold sizes.
    """

    reached: float
    complaint: str = ""

    @property
    def fits(self) -> bool:
        """Whether the code takes the shapes."""
        return self.reached >= FITS


class _SpentError(Exception):
    """There were as many trials as there may be."""


class Search:
    """Looks for the shapes nearest to those that were read which the code takes.

    attempt: runs the code with such shapes.
    """

    def __init__(self, attempt: Callable[[Described], Trial]) -> None:
        self.attempt = attempt
        self.trials: dict[_Key, Trial] = {}
        self.most = MOST_TRIALS
        self.order = count()
        self.ends: set[tuple[float, str]] = set()
        self.waiting: list[tuple[float, int, float, Described]] = []
        self.seen: set[_Key] = set()
        self.read: tuple[str, ...] = ()
        self.fitting: list[tuple[Described, float]] = []

    def run(self, read: Described) -> list[Described]:
        """The shapes that were found, the most general first."""
        self.read = tuple(read.sizes)
        self.add(read, 0.0, 0.0)
        return self.find()

    def go_on(self) -> list[Described]:
        """More shapes, where `run` found some: also those that are a change away from these."""
        for described, price in self.fitting:
            self.change(described, price)
        self.most = len(self.trials) + MOST_FURTHER
        return self.find(further=True)

    def take(self, described: Described) -> Described | None:
        """The shapes where the code takes them, no square where it need not be; else None."""
        self.most = len(self.trials) + MOST_FURTHER
        return self.split(described) if self.try_shapes(described).fits else None

    def find(self, *, further: bool = False) -> list[Described]:
        """Shapes that the code takes, of those that wait to be tried, and what they lead to.

        further: those that the code takes lead to others, too.
        """
        found: list[Described] = []
        with suppress(_SpentError):
            while self.waiting:
                _, _, price, described = heapq.heappop(self.waiting)
                described = self.unify(described)
                fits = self.try_shapes(described).fits
                if further or not fits:
                    self.change(described, price)
                if not fits:
                    continue
                if not self.fitting:
                    self.most = min(self.most, len(self.trials) + MOST_BEYOND)
                self.fitting.append((described, price))
                found.append(described)
                found[-1] = self.split(described)
        return [_drop_sizes(one, self.read) for one in sorted(found, key=_count_shared_axes)]

    def change(self, described: Described, price: float) -> None:
        """Put the shapes that are one change away into the order of trials."""
        trial = self.try_shapes(described)
        for more, changed in _changes(described, trial.complaint):
            self.add(changed, price + more, trial.reached)

    def add(self, described: Described, price: float, reached: float) -> None:
        """Put shapes into the order of trials: the least changed first, and where the code came
        further with those that they are made of."""
        if _key(described) not in self.seen:
            self.seen.add(_key(described))
            entry = (price - WORTH * reached, next(self.order), price, described)
            heapq.heappush(self.waiting, entry)

    def try_shapes(self, described: Described) -> Trial:
        """Run the code, or remember what came of it."""
        key = _key(described)
        if key not in self.trials:
            if len(self.trials) >= self.most:
                raise _SpentError
            trial = self.trials[key] = self.attempt(described)
            self.ends.add((trial.reached, _NUMBER.sub("", trial.complaint)))
            if len(self.ends) == 1 and len(self.trials) == MOST_ALIKE:
                raise _SpentError
        return self.trials[key]

    def unify(self, described: Described) -> Described:
        """Make one size of two that a complaint names, as long as the code comes further so."""
        while not (trial := self.try_shapes(described)).fits:
            for old, new in _list_equal(described.sizes, trial.complaint.partition("\n")[0]):
                changed = _rename(described, old, new)
                if self.try_shapes(changed).reached > trial.reached:
                    described = changed
                    break
            else:
                break
        return described

    def split(self, described: Described) -> Described:
        """Make square arrays oblong where the code takes that, too: a square hides a transpose."""
        for name, given in _givens(described):
            for found in _SHAPE.finditer(given.text):
                for axis in _AXIS.finditer(given.text, *found.span()):
                    if len(re.findall(rf"\b{axis.group()}\b", found.group())) == 1:
                        continue
                    new = _new_size(described)[0]
                    text = given.text[: axis.start()] + new + given.text[axis.end() :]
                    split = _with(described, name, text)
                    if self.try_shapes(split).fits:
                        return self.split(split)
        return described


def is_plausible(described: Described, other: Described) -> bool:
    """Whether shapes that are not in the text may be meant where others are taken, too: what is
    called like a setting is no array, and what has a shape in the docstring has as many axes; none
    is 1, which hides a factor, no bias a number, which hides a sum that lacks its axis, no index
    is, which hides one that is there twice, and nothing with a capital is a vector, which hides a
    transpose, but for labels, which are in no product."""
    others = dict(_givens(other))
    changed = [(name, given.text) for name, given in _givens(described) if given != others[name]]
    return not any(
        text == INDEX
        or (name in NUMBERS and name in described.constants)
        or (others[name].documented and text.count(",") != others[name].text.count(","))
        or (is_bias(name) and text == NUMBER)
        or (NUMBER in text and text != NUMBER)
        or (name[0].isupper() and not is_labels(name) and "," not in text and text != NUMBER)
        for name, text in changed
    )


def _count_shared_axes(described: Described) -> int:
    """How many axes have the size of another: more in shapes that only happen to be taken."""
    shapes = [shape for _, given in _givens(described) for shape in _SHAPE.findall(given.text)]
    axes: int = sum(shape.count(",") + 1 for shape in shapes)
    return axes - len(_drop_sizes(described).sizes)


def count_squares(described: Described) -> int:
    """How many axes have the size of another one of the same array."""
    shapes = [shape for _, given in _givens(described) for shape in _SHAPE.findall(given.text)]
    axes = [_AXIS.findall(shape) for shape in shapes]
    return sum(len(names) - len({*names}) for names in axes)


def _list_equal(sizes: Mapping[str, int], complaint: str) -> Iterator[tuple[str, str]]:
    """Sizes that may be meant to be others, or numbers, as a complaint names both, as they are or
    so many times; of an index, one more."""
    numbers = {int(number) for number in _NUMBER.findall(complaint)}
    numbers |= {number + 1 for number in numbers} if "index" in complaint else set()
    # What a constructor is handed by name comes last, and keeps its name.
    for (new, value), (old, other) in combinations([*sizes.items()][::-1], 2):
        times = {number // value for number in numbers if number and not number % value}
        if any(count * other in numbers for count in times):
            yield old, new
    told = sorted(number for number in numbers - {*sizes.values()} if 1 < number <= MOST_TOLD)
    for old in (name for name, value in sizes.items() if value in numbers):
        yield from ((old, str(number)) for number in told)


_Key = tuple[tuple[str, str], ...]


def _key(described: Described) -> _Key:
    parts = (described.inputs, described.constants, described.constraint)
    return tuple((name, given.text) for part in parts for name, given in part.items())


def _changes(described: Described, complaint: str) -> Iterator[tuple[float, Described]]:
    """What is one change away, and its price: a number or a list is an array, an array has an axis
    more or less, there is one sample or one output, all inputs of a shape are numbers. What the
    line that failed names is changed first."""
    new = _new_size(described)[0]
    shapes = {shape for _, given in _givens(described) for shape in _SHAPE.findall(given.text)}
    for name, given in _givens(described):
        far = 0 if re.search(rf"\b{re.escape(name)}\b", complaint) else 1
        texts = [*_texts(given.text, new)]
        if _SHAPE.fullmatch(given.text):
            texts.append((3, NUMBER))
        if given.text in (SETTING, NUMBER):
            texts += [(1, shape) for shape in sorted(shapes) if shape != NUMBER]
        for price, text in texts:
            array = name in described.constants and _SHAPE.fullmatch(text)
            yield price + far, _with(described, name, f"{{shape: {text}}}" if array else text)
    yield 1, _drop_axis(described, _FIRST, "[")
    yield 1, _drop_axis(described, _LAST, "]")
    for text in dict.fromkeys(given.text for given in described.inputs.values()):
        if _SHAPE.fullmatch(text):
            yield 3, _make_numbers(described, text)
    yield from ((1, confined) for confined in _confine(described, complaint))


def _confine(described: Described, complaint: str) -> Iterator[Described]:
    """The same with inputs in a set that the complaint is about: each square one, else all."""
    for constraint, like in CONSTRAINED.items():
        if described.constraint or not re.search(like, complaint, re.IGNORECASE):
            continue
        given = Given(constraint)
        if constraint in ("simplex", "positive"):
            whole = replace(described, constraint=dict.fromkeys(described.inputs, given))
            yield from (whole, _drop_axis(whole, _FIRST, "["))
        for name, one in described.inputs.items():
            axes = _AXIS.findall(one.text)
            if constraint == "positive":
                yield replace(described, constraint={name: given})
            elif constraint != "simplex" and len(axes) > 1:
                square = _with(described, name, f"[{', '.join([*axes[:-1], axes[-2]])}]")
                yield replace(square, constraint={name: given})


def _drop_axis(described: Described, place: re.Pattern[str], left: str) -> Described:
    """The same for one sample or output: without the axis that most arrays have first or last.

    place: what is read of it; left: what is written in its place.
    """
    axes = [found for _, given in _givens(described) for found in place.findall(given.text)]
    common = max(axes, key=axes.count, default="")
    for name, given in _givens(described):
        text = place.sub(lambda found: left if found[1] == common else found[0], given.text)
        described = _with(described, name, text)
    return described


def _make_numbers(described: Described, text: str) -> Described:
    """The same where all inputs of a shape are numbers."""
    numbers = {
        name: replace(given, text=NUMBER)
        for name, given in described.inputs.items()
        if given.text == text
    }
    return replace(described, inputs={**described.inputs, **numbers})


def _texts(text: str, new: str) -> Iterator[tuple[float, str]]:
    """What else an input or constant may be, and the price of it."""
    if text == SETTING:
        yield 1, f"[{new}]"
        yield 1, INDEX
    if text.startswith("{shape"):
        yield 2, f"{{distribution: integers, low: 0, high: 2, {text[1:]}"
    if text.startswith("{"):
        yield 2, INDEX
    if text.startswith("[") and "[" in text[1:]:  # a list of arrays
        yield 1, f"[{len(_ITEM.findall(text[1:-1]))}]"
    for found in _SHAPE.finditer(text):
        axes = [axis for axis in found.group()[1:-1].split(", ") if axis]
        places = range(len(axes))
        shapes = [(1, axes[:place] + axes[place + 1 :]) for place in places if len(axes) > 1]
        shapes += [(2, [*axes[:place], new, *axes[place + 1 :]]) for place in places]
        if len(axes) < MOST_AXES:
            shapes += [(1, [*axes[:place], new, *axes[place:]]) for place in {0, len(axes)}]
        for price, shape in shapes:
            yield price, f"{text[: found.start()]}[{', '.join(shape)}]{text[found.end() :]}"


def _givens(described: Described) -> Iterator[tuple[str, Given]]:
    yield from described.inputs.items()
    yield from described.constants.items()


def _with(described: Described, name: str, text: str) -> Described:
    """The same where one input or constant is another; a size that it names first is new."""
    new, value = _new_size(described)
    sizes = dict(described.sizes)
    if re.search(rf"\b{new}\b", text):
        sizes[new] = value
    inputs, constants = dict(described.inputs), dict(described.constants)
    of = inputs if name in inputs else constants
    of[name] = replace(of[name], text=text)
    return replace(described, inputs=inputs, constants=constants, sizes=sizes)


def _new_size(described: Described) -> tuple[str, int]:
    """A name and a value that no size has."""
    taken = {*described.sizes, *described.inputs, *described.constants}
    name = next(f"n{number}" for number in count(1) if f"n{number}" not in taken)
    return name, next(value for value in count(3) if value not in described.sizes.values())


def _rename(described: Described, old: str, new: str) -> Described:
    """The same where one size is another."""

    def renamed(givens: dict[str, Given]) -> dict[str, Given]:
        return {
            name: replace(given, text=re.sub(rf"\b{old}\b(?!:)", new, given.text))
            for name, given in givens.items()
        }

    sizes = {name: value for name, value in described.sizes.items() if name != old}
    inputs, constants = (renamed(dict(one)) for one in (described.inputs, described.constants))
    return replace(described, inputs=inputs, constants=constants, sizes=sizes)


def _drop_sizes(described: Described, kept: Collection[str] = ()) -> Described:
    """Without the sizes that no shape names. kept: those that a constructor may be handed."""
    text = " ".join(given.text for _, given in _givens(described))
    named = {*re.findall(r"\w+", text), *kept}
    return replace(described, sizes={k: v for k, v in described.sizes.items() if k in named})
