"""Stages inside a forward of the user's own: what it computes on its way, and ∂L/∂ that.

A two-layer net with a loss hides its hidden layer. Its inner values are read and moved while the
user's code runs, so that the upstream gradient there is measured as any gradient is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.measured_gradient import MOST_CELLS, rows_are_samples
from gradcheck_cli.faults.values import Effort, Values
from gradcheck_cli.layers.activations import ACTIVATIONS
from gradcheck_cli.layers.mistaken_slopes import LATER, evaluate_at, mistake_slope, mistake_softmax
from gradcheck_cli.measure.comparison import Float, largest
from gradcheck_cli.measure.measure import measure_roughly
from gradcheck_cli.problem import Problem, Stage, no_stages
from gradcheck_cli.usercode.watching.inner_values import InnerValue, list_inner_values

# Inner values whose gradients are measured, the first that matter: of those with a name of their
# own, and of those without.
MOST_STAGES = 8
# Small ones take few forwards: of those with a name, as many more as have so many entries together,
# so that all steps of a small loop are among them.
MOST_SMALL = 144
MOVED = 2.0**-10  # of its typical entry: by how much a value is moved to see whether it matters
ROUNDING = 1e-12  # of the largest output: a smaller change is rounding, as of a shift of a softmax
RECOGNIZED = 1e-6  # how near the outputs of an activation are to a value that is one's
# An upstream gradient that is known worse tells no fault from another.
LARGEST_UNCERTAINTY = 1e-5
OUTPUT = "the upstream gradient"  # what reports call ∂L/∂outputs


Known = tuple[Stage, Float]  # a stage, and what it gives at the inputs


def find_hidden_stages(problem: Problem, effort: Effort) -> list[Stage]:
    """The stages inside a forward that says nothing of them, the first computed first; those that
    the code has no name for come last.

    Each has the measured ∂L/∂value for its upstream gradient. Nothing is measured once the calls of
    the effort are used up.
    """
    if problem.stages is not no_stages or problem.cotangent is None or problem.identity is not None:
        return []
    forward = effort.count(problem.forward)
    outputs = np.asarray(problem.forward(problem.inputs))
    inner = list_inner_values(forward, problem.inputs)
    chosen = _choose_values(problem, inner, outputs, effort)
    if inner:
        inner[0].reader.values[:] = chosen  # of the others nothing is read from here on
    measured = [(one, stage) for one in chosen if (stage := _measure(problem, one)) is not None]
    cotangent = np.asarray(problem.cotangent, dtype=np.float64)
    found: list[Known] = [(stage, one.value) for one, stage in measured]
    found.append((Stage(problem.forward, cotangent), outputs))
    axis = _find_sample_axis(problem, [value.shape for _, value in found])
    stages = [_complete(found, place, axis) for place in range(len(measured))]
    nameless = [one.inline is not None for one, _ in measured]
    return [stages[place] for place in np.argsort(nameless, kind="stable")]


def _choose_values(
    problem: Problem, inner: Sequence[InnerValue], outputs: Any, effort: Effort
) -> list[InnerValue]:
    """The inner values whose gradients are measured, as many as calls are left for."""
    frames = Counter(one.moment[0] for one in inner)  # a helper such as a sigmoid says less
    order = sorted(range(len(inner)), key=lambda place: -frames[inner[place].moment[0]])
    # Every entry by another share: a softmax sees no shift, a norm no factor.
    elsewhere = {name: x * (1 + MOVED * _grade(x)) for name, x in problem.inputs.items()}
    chosen: set[int] = set()
    for nameless in (False, True):  # what has a name says more
        most = len(chosen) + MOST_STAGES
        for place in order:
            one = inner[place]
            entries = one.value.size + sum(inner[other].value.size for other in chosen)
            if len(chosen) >= most and (nameless or entries > MOST_SMALL):
                break
            kind = (one.inline is not None) == nameless
            if kind and effort.affords(entries) and _matters(problem, one, outputs, elsewhere):
                chosen.add(place)
    return [inner[place] for place in sorted(chosen)]


def _matters(
    problem: Problem, inner: InnerValue, outputs: Any, elsewhere: Mapping[str, Any]
) -> bool:
    """Whether a value is another at other inputs, and the outputs change with it.

    Constants do not, nor does what is computed of the outputs.
    """
    value = inner.value
    if value.size < 2 or not np.isfinite(value).all() or value.dtype != np.float64:
        return False
    if np.array_equal(inner.read(elsewhere), value, equal_nan=True):
        return False
    size = MOVED * (float(np.sqrt(np.mean(value * value))) or 1.0)
    moved = np.asarray(inner.move(problem.inputs, size * _grade(value)))
    change = np.max(np.abs(moved - outputs), initial=0.0)  # not a number, or infinite, beside edges
    return bool(ROUNDING * np.max(np.abs(outputs), initial=0.0) < change < np.inf)


def _grade(array: NDArray[Any]) -> Float:
    """Numbers from 1 to 2, all different, in the shape of an array."""
    return np.linspace(1.0, 2.0, array.size).reshape(array.shape)


def _measure(problem: Problem, inner: InnerValue) -> Stage | None:
    """The stage of an inner value, with ∂L/∂value by differences; None where that is zero, or is
    not known well."""
    after = [one for one in inner.list_later() if one.inline is None]
    cells = inner.value.size * sum(one.value.size for one in after)
    alone = inner.inline is not None or cells > MOST_CELLS
    responses = None if alone else Responses(problem, inner, after)
    measured = _move(problem, inner) if responses is None else responses.of_outputs
    cotangent = np.ravel(np.asarray(problem.cotangent, dtype=np.float64))
    gradient = measured.contract(cotangent)
    peak, off = largest(np.abs(gradient.value)), largest(gradient.uncertainty)
    if not 0 < peak < np.inf or not off <= LARGEST_UNCERTAINTY * peak:
        return None
    return Stage(
        inner.read,
        gradient.value.reshape(inner.value.shape),
        symbol=_symbol(inner.name, inner.source),
        precision=off / peak,
        respond=None if responses is None else responses.of,
        move=inner.move,
    )


def _move(problem: Problem, inner: InnerValue) -> Values:
    """d(outputs)/d(an inner value), flat."""

    def forward(moved: Mapping[str, Any]) -> Any:
        return inner.move(problem.inputs, moved[inner.name] - inner.value)

    return _differentiate(inner, forward)


def _differentiate(inner: InnerValue, forward: Callable[[Mapping[str, Any]], Any]) -> Values:
    of_value = Problem({inner.name: inner.value}, forward, _claim_nothing)
    entries = np.arange(inner.value.size)
    return Values(*measure_roughly(of_value, inner.name, entries), entries)


class Responses:
    """How the outputs and later inner values change with one, measured in one for all of them."""

    def __init__(self, problem: Problem, inner: InnerValue, after: Sequence[InnerValue]) -> None:
        def forward(moved: Mapping[str, Any]) -> Any:
            found, outputs = inner.follow(problem.inputs, moved[inner.name] - inner.value, after)
            values = [found.get((one.event, one.name), one.value * np.nan) for one in after]
            return np.concatenate([np.ravel(value) for value in (*values, outputs)])

        every = _differentiate(inner, forward)
        ends = np.cumsum([one.value.size for one in after])
        parts = zip(np.split(every.value, ends), np.split(every.uncertainty, ends), strict=True)
        *later, self.of_outputs = [Values(*part, every.at) for part in parts]
        symbols = [_symbol(one.name, one.source) for one in after]
        self.by_symbol = dict(zip([*symbols, OUTPUT], [*later, self.of_outputs], strict=True))

    def of(self, later: Stage) -> Float:
        """d(a later value)/d(this one), both flat; zeros of one of the same line."""
        found = self.by_symbol.get(later.symbol)
        if found is None:
            return np.zeros((np.size(later.cotangent), self.of_outputs.value.shape[1]))
        return np.where(np.isfinite(found.uncertainty), found.value, np.nan)


def _symbol(name: str, source: str) -> str:
    """What reports call the gradient of an inner value."""
    return f"∂L/∂{name} ({source})"


def _claim_nothing(*_: Any) -> dict[str, Any]:
    return {}


def _find_sample_axis(problem: Problem, every: Sequence[tuple[int, ...]]) -> int | None:
    """0 where the rows of inner values are samples: all matrices have as many, and two differ."""
    shapes = {shape for shape in every if len(shape) > 1}
    if any(rows_are_samples(problem, shape) for shape in shapes):
        return 0
    return 0 if len(shapes) > 1 and len({shape[0] for shape in shapes}) == 1 else None


def _complete(found: Sequence[Known], place: int, axis: int | None) -> Stage:
    """A stage with its axis of samples, and what may be taken for its gradient: that of a later
    one."""
    stage, value = found[place]
    alike = [
        (later, y)
        for later, y in found[place + 1 :]
        if y.shape == value.shape and not np.allclose(later.cotangent, stage.cotangent)
    ]
    mistaken = _list_mistakes(stage, value, alike)
    return replace(stage, sample_axis=axis if value.ndim > 1 else None, mistaken=mistaken)


def _list_mistakes(stage: Stage, z: Float, later: Sequence[Known]) -> dict[str, Any]:
    """What people take for ∂L/∂z, where y is computed from z, as by an activation.

    later: the stages that y may be of. What z adds to the outputs by other ways stays as it is.
    """
    gradient = stage.cotangent
    with np.errstate(all="ignore"):
        known = [(one, evaluate_at(one.value, z=z)) for one in ACTIVATIONS.values() if later]
    for other, y in later:
        delta = other.cotangent
        if _is_softmax(z, y):
            return mistake_softmax(y, delta)
        activation = next((one for one, of_z in known if _is_near(of_z, y)), None)
        if activation is not None:
            around = gradient - delta * evaluate_at(activation.derivative, z=z)
            none = np.abs(around) <= LARGEST_UNCERTAINTY * np.max(np.abs(gradient))
            around = np.where(none, 0.0, around)
            wrong = mistake_slope(activation, z, y, delta)
            return {key: value + around for key, value in wrong.items()}
    return {f"{LATER}{other.symbol}": other.cotangent for other, _ in later}


def _is_softmax(z: Float, y: Float) -> bool:
    """Whether y is the softmax of z, along its last axis or its first."""
    with np.errstate(all="ignore"):
        e = np.exp(z - np.max(z))
        return any(_is_near(e / e.sum(axis, keepdims=True), y) for axis in {-1, -z.ndim})


def _is_near(outputs: Float, y: Float) -> bool:
    """Whether values are the outputs of an activation, but for rounding."""
    return bool(np.all(np.abs(outputs - y) <= RECOGNIZED * (1 + np.abs(y))))


def strip_time(name: str) -> str:
    """What an inner value is called at all times: `hs (a.py:9)` for `hs[2] (a.py:9, time 3)`."""
    return re.sub(r"\[[^\]]*\] \(", " (", re.sub(r", time \d+\)$", ")", name))
