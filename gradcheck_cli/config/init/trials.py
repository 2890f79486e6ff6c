"""Search for shapes that the code accepts, starting from those that were inferred from its text.

Every size has a value of its own, so that the numbers in an error message tell which axes clash.
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

# Trials, each of which runs the code. All of eleven functions whose inferred shapes did not fit
# took 1 to 26.
MOST_TRIALS = 1500
# Further trials after the first shapes that fit, in search of more general ones. With 50 in place
# of 100, two of these eleven functions get other shapes; with 300, none does.
MOST_BEYOND = 100
# Further trials around shapes that fit. With 100 in place of 40, none of 69 files, right ones and
# ones with a planted error, gets other shapes.
MOST_FURTHER = 40
MOST_ALIKE = 50  # trials that all end in the same way: then the shapes are not what is wrong
MOST_AXES = 4  # that a change gives an array
# The largest size that is taken from a complaint: products of sizes would grow from trial to trial.
MOST_QUOTED = 10
FITS = 2.0  # what a trial reaches whose forward accepts the shapes
DONE = 3.0  # what it reaches if the backward does not raise, either
# The order of trials: price less WORTH times what the shapes before the change reached. So a change
# of price 6 to shapes that run a forward to its end comes as early as the first trial.
WORTH = 6.0

# Sets that inputs may have to be in, with what the code's complaint says of an input that is not.
CONSTRAINED = {
    "positive-definite": r"positive.definite|\bSPD\b",
    "orthogonal": r"orthogonal|orthonormal|rotation",
    "simplex": r"distribution|simplex|probabilit|sums? to (1|one)",
    "symmetric": r"symmetric",
    "positive": r"be (\w+ )?(positive|non-?negative)\b(?!.definite)|math domain",
}

INDEX = "1"  # the value of a number that is an index, an axis or a step
NUMBER = "[]"  # the shape of a number that has a gradient

_SHAPE = re.compile(r"\[[^\[\]]*\]")
_ITEM = re.compile(r"\[[^\[\]]*\]|[^\[\], ]+")
_AXIS = re.compile(r"(?<=[\[ ])[^\W\d]\w*(?=[],])")
_FIRST, _LAST = re.compile(r"\[(\w+), "), re.compile(r", (\w+)\]")
_NUMBER = re.compile(r"\d+")


class Trial(Struct, frozen=True):
    """How far the code ran with some shapes.

    reached: from 0 at the start of the forward to 1 at its end; more where the backward raised
        because an input has the wrong rank; from FITS on if the forward accepts the shapes; DONE
        if nothing raised.
    complaint: the message of the error, which may quote sizes.
    """

    reached: float
    complaint: str = ""

    @property
    def fits(self) -> bool:
        """Whether the code accepts the shapes."""
        return self.reached >= FITS


class _SpentError(Exception):
    """The search has used up its trials."""


class Search:
    """A best-first search for shapes that the code accepts, near those that were inferred.

    attempt: runs the code with some shapes.
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
        """Search from the shapes that were read; return those that fit, the most general first."""
        self.read = tuple(read.sizes)
        self.queue(read, 0.0, 0.0)
        return self.find()

    def run_further(self) -> list[Described]:
        """Search on from the shapes that `run` found, and return further ones that fit."""
        for described, price in self.fitting:
            self.queue_changes(described, price)
        self.most = len(self.trials) + MOST_FURTHER
        return self.find(further=True)

    def confirm(self, described: Described) -> Described | None:
        """These shapes with as few squares as possible, if the code accepts them; else None."""
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
                    self.queue_changes(described, price)
                if not fits:
                    continue
                if not self.fitting:
                    self.most = min(self.most, len(self.trials) + MOST_BEYOND)
                self.fitting.append((described, price))
                found.append(described)
                found[-1] = self.split(described)
        return [_drop_sizes(one, self.read) for one in sorted(found, key=_count_shared_axes)]

    def queue_changes(self, described: Described, price: float) -> None:
        """Queue the shapes that are one change away."""
        trial = self.try_shapes(described)
        for more, changed in _list_changes(described, trial.complaint):
            self.queue(changed, price + more, trial.reached)

    def queue(self, described: Described, price: float, reached: float) -> None:
        """Queue shapes by their price, less what the shapes that they were made from reached."""
        if _key(described) not in self.seen:
            self.seen.add(_key(described))
            entry = (price - WORTH * reached, next(self.order), price, described)
            heapq.heappush(self.waiting, entry)

    def try_shapes(self, described: Described) -> Trial:
        """Run the code with these shapes, unless they were tried before.

        Raises _SpentError where there were too many trials, or too many with the same end.
        """
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
        """Make two sizes that a complaint quotes equal, as long as the code then runs further."""
        while not (trial := self.try_shapes(described)).fits:
            for old, new in _list_equal_sizes(described.sizes, trial.complaint.partition("\n")[0]):
                changed = _rename(described, old, new)
                if self.try_shapes(changed).reached > trial.reached:
                    described = changed
                    break
            else:
                break
        return described

    def split(self, described: Described) -> Described:
        """Make square arrays oblong where the code accepts it, since a square hides a transpose."""
        for name, given in _list_givens(described):
            for found in _SHAPE.finditer(given.text):
                for axis in _AXIS.finditer(given.text, *found.span()):
                    if len(re.findall(rf"\b{axis.group()}\b", found.group())) == 1:
                        continue
                    new = _new_size(described)[0]
                    text = given.text[: axis.start()] + new + given.text[axis.end() :]
                    split = _replace_given(described, name, text)
                    if self.try_shapes(split).fits:
                        return self.split(split)
        return described


def is_plausible(described: Described, other: Described) -> bool:
    """Whether shapes may be what the user means, although the code also accepts other ones.

    described: the shapes; other: those nearer to the text. Shapes are not plausible where they
    contradict a name or the docstring, or hide an error:
    a setting becomes an array; the rank differs from that in the docstring; an array becomes the
    number 1, which hides a factor; a bias becomes a number, which hides a sum without its axis;
    indices become a single one, which hides what goes wrong where an index occurs twice; an array
    with a capital, other than labels, becomes a vector, which hides a transpose.
    """
    others = dict(_list_givens(other))
    changed = [
        (name, given.text) for name, given in _list_givens(described) if given != others[name]
    ]
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
    """How many axes share their size with another: the fewer, the more general are the shapes."""
    shapes = [shape for _, given in _list_givens(described) for shape in _SHAPE.findall(given.text)]
    axes: int = sum(shape.count(",") + 1 for shape in shapes)
    return axes - len(_drop_sizes(described).sizes)


def count_squares(described: Described) -> int:
    """How many axes share their size with another axis of the same array."""
    shapes = [shape for _, given in _list_givens(described) for shape in _SHAPE.findall(given.text)]
    axes = [_AXIS.findall(shape) for shape in shapes]
    return sum(len(names) - len({*names}) for names in axes)


def _list_equal_sizes(sizes: Mapping[str, int], complaint: str) -> Iterator[tuple[str, str]]:
    """Pairs of a size and another size or a number that it may have to be equal to.

    A complaint quotes both, or multiples of them; an index is one less than the size it needs.
    """
    numbers = {int(number) for number in _NUMBER.findall(complaint)}
    numbers |= {number + 1 for number in numbers} if "index" in complaint else set()
    # A size that a constructor takes comes last in the pairs, so that its name is kept.
    for (new, value), (old, other) in combinations([*sizes.items()][::-1], 2):
        times = {number // value for number in numbers if number and not number % value}
        if any(count * other in numbers for count in times):
            yield old, new
    quoted = sorted(number for number in numbers - {*sizes.values()} if 1 < number <= MOST_QUOTED)
    for old in (name for name, value in sizes.items() if value in numbers):
        yield from ((old, str(number)) for number in quoted)


_Key = tuple[tuple[str, str], ...]


def _key(described: Described) -> _Key:
    parts = (described.inputs, described.constants, described.constraint)
    return tuple((name, given.text) for part in parts for name, given in part.items())


def _list_changes(described: Described, complaint: str) -> Iterator[tuple[float, Described]]:
    """The shapes that are one change away, each with its price.

    A change makes an array of a number or a list, adds or drops an axis, leaves a single sample or
    output, makes numbers of all inputs of a shape, or puts inputs in a set. What the complaint
    names is changed at a lower price.
    """
    new = _new_size(described)[0]
    shapes = {shape for _, given in _list_givens(described) for shape in _SHAPE.findall(given.text)}
    for name, given in _list_givens(described):
        far = 0 if re.search(rf"\b{re.escape(name)}\b", complaint) else 1
        texts = [*_list_texts(given.text, new)]
        if _SHAPE.fullmatch(given.text):
            texts.append((3, NUMBER))
        if given.text in (SETTING, NUMBER):
            texts += [(1, shape) for shape in sorted(shapes) if shape != NUMBER]
        for price, text in texts:
            array = name in described.constants and _SHAPE.fullmatch(text)
            yield (
                price + far,
                _replace_given(described, name, f"{{shape: {text}}}" if array else text),
            )
    yield 1, _drop_axis(described, _FIRST, "[")
    yield 1, _drop_axis(described, _LAST, "]")
    for text in dict.fromkeys(given.text for given in described.inputs.values()):
        if _SHAPE.fullmatch(text):
            yield 3, _make_numbers(described, text)
    yield from ((1, confined) for confined in _confine(described, complaint))


def _confine(described: Described, complaint: str) -> Iterator[Described]:
    """The same shapes, with inputs in the set that the complaint is about.

    All inputs are in it; or one of them, which becomes square where the set is one of matrices.
    """
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
                square = _replace_given(described, name, f"[{', '.join([*axes[:-1], axes[-2]])}]")
                yield replace(square, constraint={name: given})


def _drop_axis(described: Described, place: re.Pattern[str], left: str) -> Described:
    """The same shapes for a single sample or output: without the most common first or last axis.

    place: matches that axis in a shape; left: the text that replaces it.
    """
    axes = [found for _, given in _list_givens(described) for found in place.findall(given.text)]
    common = max(axes, key=axes.count, default="")
    for name, given in _list_givens(described):
        text = place.sub(lambda found: left if found[1] == common else found[0], given.text)
        described = _replace_given(described, name, text)
    return described


def _make_numbers(described: Described, text: str) -> Described:
    """The same shapes, but all inputs of a certain shape are numbers."""
    numbers = {
        name: replace(given, text=NUMBER)
        for name, given in described.inputs.items()
        if given.text == text
    }
    return replace(described, inputs={**described.inputs, **numbers})


def _list_texts(text: str, new: str) -> Iterator[tuple[float, str]]:
    """What else an input or a constant may be, each with its price."""
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


def _list_givens(described: Described) -> Iterator[tuple[str, Given]]:
    yield from described.inputs.items()
    yield from described.constants.items()


def _replace_given(described: Described, name: str, text: str) -> Described:
    """The same shapes, but one input or constant has another text, which may name a new size."""
    new, value = _new_size(described)
    sizes = dict(described.sizes)
    if re.search(rf"\b{new}\b", text):
        sizes[new] = value
    inputs, constants = dict(described.inputs), dict(described.constants)
    of = inputs if name in inputs else constants
    of[name] = replace(of[name], text=text)
    return replace(described, inputs=inputs, constants=constants, sizes=sizes)


def _new_size(described: Described) -> tuple[str, int]:
    """A name and a value for a new size, which no other has."""
    taken = {*described.sizes, *described.inputs, *described.constants}
    name = next(f"n{number}" for number in count(1) if f"n{number}" not in taken)
    return name, next(value for value in count(3) if value not in described.sizes.values())


def _rename(described: Described, old: str, new: str) -> Described:
    """The same shapes with one size replaced by another."""

    def renamed(givens: dict[str, Given]) -> dict[str, Given]:
        return {
            name: replace(given, text=re.sub(rf"\b{old}\b(?!:)", new, given.text))
            for name, given in givens.items()
        }

    sizes = {name: value for name, value in described.sizes.items() if name != old}
    inputs, constants = (renamed(dict(one)) for one in (described.inputs, described.constants))
    return replace(described, inputs=inputs, constants=constants, sizes=sizes)


def _drop_sizes(described: Described, kept: Collection[str] = ()) -> Described:
    """The same shapes without unused sizes, except those in `kept`."""
    text = " ".join(given.text for _, given in _list_givens(described))
    named = {*re.findall(r"\w+", text), *kept}
    return replace(described, sizes={k: v for k, v in described.sizes.items() if k in named})
