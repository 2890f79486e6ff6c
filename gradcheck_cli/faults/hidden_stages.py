"""Find the stages inside a user's forward: its inner values, and ∂L/∂value for each of them.

An inner value is an array that the code computes on its way to the outputs, such as the hidden
layer of a net. It is read, and moved, while the user's code runs. So ∂L/∂value, the upstream
gradient at that stage, is measured by differences like any gradient.
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

# Inner values whose gradients are measured: so many with a variable's name, and so many without.
MOST_STAGES = 8
# Named values may be more, as long as all of them together have no more entries than this: small
# ones take few forwards, and so all steps of a small loop are among them.
MOST_SMALL = 144
MOVED = 2.0**-10  # of its typical entry: a move of a value to see whether the outputs change
# Over the largest output: a smaller change is rounding, such as where a softmax sees a shift.
ROUNDING = 1e-12
# Over 1 + the size of an entry: a value is an activation of another if no entry differs by more.
RECOGNIZED = 1e-6
# Over the largest entry: with an upstream gradient of a larger uncertainty, faults cannot be told
# from each other.
LARGEST_UNCERTAINTY = 1e-5
OUTPUT = "the upstream gradient"  # the name of ∂L/∂outputs in reports

Known = tuple[Stage, Float]  # a stage and its value at the inputs


def find_hidden_stages(problem: Problem, effort: Effort) -> list[Stage]:
    """Find the stages inside a forward, in the order in which the code computes them.

    Values without a variable's name come last. The upstream gradient of each stage is the measured
    ∂L/∂value. Layers that list their stages have no hidden ones. effort: bounds the forwards.
    """
    if problem.stages is not no_stages or problem.cotangent is None or problem.identity is not None:
        return []
    forward = effort.count(problem.forward)
    outputs = np.asarray(problem.forward(problem.inputs))
    inner = list_inner_values(forward, problem.inputs)
    chosen = _choose_values(problem, inner, outputs, effort)
    if inner:
        inner[0].reader.values[:] = chosen  # no others are read from here on
    measured = [(one, stage) for one in chosen if (stage := _make_stage(problem, one)) is not None]
    cotangent = np.asarray(problem.cotangent, dtype=np.float64)
    found: list[Known] = [(stage, one.value) for one, stage in measured]
    found.append((Stage(problem.forward, cotangent), outputs))
    axis = _find_sample_axis(problem, [value.shape for _, value in found])
    stages = [_add_mistakes(found, place, axis) for place in range(len(measured))]
    nameless = [one.inline is not None for one, _ in measured]
    return [stages[place] for place in np.argsort(nameless, kind="stable")]


def _choose_values(
    problem: Problem, inner: Sequence[InnerValue], outputs: Any, effort: Effort
) -> list[InnerValue]:
    """Choose the inner values whose gradients are measured, as far as the forwards of effort go."""
    # Functions with many values come first: those of a helper, such as a sigmoid, explain less.
    frames = Counter(one.moment[0] for one in inner)
    order = sorted(range(len(inner)), key=lambda place: -frames[inner[place].moment[0]])
    # Every entry moves by another share: a softmax does not see a shift, nor a norm a factor.
    elsewhere = {name: x * (1 + MOVED * _ramp(x)) for name, x in problem.inputs.items()}
    chosen: set[int] = set()
    for nameless in (False, True):  # first those with a name, which says more to people
        most = len(chosen) + MOST_STAGES
        for place in order:
            one = inner[place]
            entries = one.value.size + sum(inner[other].value.size for other in chosen)
            if len(chosen) >= most and (nameless or entries > MOST_SMALL):
                break
            kind = (one.inline is not None) == nameless
            if (
                kind
                and effort.affords(entries)
                and _changes_outputs(problem, one, outputs, elsewhere)
            ):
                chosen.add(place)
    return [inner[place] for place in sorted(chosen)]


def _changes_outputs(
    problem: Problem, inner: InnerValue, outputs: Any, elsewhere: Mapping[str, Any]
) -> bool:
    """Whether a value depends on the inputs, and the outputs depend on it.

    This leaves out constants, and what is computed after the outputs.
    """
    value = inner.value
    if value.size < 2 or not np.isfinite(value).all() or value.dtype != np.float64:
        return False
    if np.array_equal(inner.read(elsewhere), value, equal_nan=True):
        return False
    size = MOVED * (float(np.sqrt(np.mean(value * value))) or 1.0)
    moved = np.asarray(inner.move(problem.inputs, size * _ramp(value)))
    change = np.max(np.abs(moved - outputs), initial=0.0)  # nan or inf at the edge of a domain
    return bool(ROUNDING * np.max(np.abs(outputs), initial=0.0) < change < np.inf)


def _ramp(array: NDArray[Any]) -> Float:
    """Different numbers from 1 to 2 in the shape of an array."""
    return np.linspace(1.0, 2.0, array.size).reshape(array.shape)


def _make_stage(problem: Problem, inner: InnerValue) -> Stage | None:
    """The stage of an inner value, with ∂L/∂value; None if that is zero or too uncertain."""
    after = [one for one in inner.list_later() if one.inline is None]
    cells = inner.value.size * sum(one.value.size for one in after)
    alone = inner.inline is not None or cells > MOST_CELLS
    responses = None if alone else Responses(problem, inner, after)
    measured = _differentiate_outputs(problem, inner) if responses is None else responses.of_outputs
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


def _differentiate_outputs(problem: Problem, inner: InnerValue) -> Values:
    """∂outputs/∂value of an inner value, both flat."""

    def forward(moved: Mapping[str, Any]) -> Any:
        return inner.move(problem.inputs, moved[inner.name] - inner.value)

    return _differentiate(inner, forward)


def _differentiate(inner: InnerValue, forward: Callable[[Mapping[str, Any]], Any]) -> Values:
    """The Jacobian of a function of an inner value, both flat."""
    of_value = Problem({inner.name: inner.value}, forward, _claim_nothing)
    entries = np.arange(inner.value.size)
    return Values(*measure_roughly(of_value, inner.name, entries), entries)


class Responses:
    """The Jacobians of the outputs and of all later values by one inner value, measured at once."""

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
        """∂later/∂value, both flat: zeros for a value of the same line, nan where it is unknown."""
        found = self.by_symbol.get(later.symbol)
        if found is None:
            return np.zeros((np.size(later.cotangent), self.of_outputs.value.shape[1]))
        return np.where(np.isfinite(found.uncertainty), found.value, np.nan)


def _symbol(name: str, source: str) -> str:
    """The name of ∂L/∂value in reports."""
    return f"∂L/∂{name} ({source})"


def _claim_nothing(*_: Any) -> dict[str, Any]:
    return {}


def _find_sample_axis(problem: Problem, every: Sequence[tuple[int, ...]]) -> int | None:
    """0 if the rows of inner values are samples, as where all matrices have the same number of rows
    and not all the same number of columns; else None."""
    shapes = {shape for shape in every if len(shape) > 1}
    if any(rows_are_samples(problem, shape) for shape in shapes):
        return 0
    return 0 if len(shapes) > 1 and len({shape[0] for shape in shapes}) == 1 else None


def _add_mistakes(found: Sequence[Known], place: int, axis: int | None) -> Stage:
    """A stage with its axis of samples, and the arrays that people take for its gradient.

    Those are made of the gradients of later values of the same shape.
    """
    stage, value = found[place]
    alike = [
        (later, y)
        for later, y in found[place + 1 :]
        if y.shape == value.shape and not np.allclose(later.cotangent, stage.cotangent)
    ]
    mistaken = _list_mistakes(stage, value, alike)
    return replace(stage, sample_axis=axis if value.ndim > 1 else None, mistaken=mistaken)


def _list_mistakes(stage: Stage, z: Float, later: Sequence[Known]) -> dict[str, Any]:
    """The arrays that people take for ∂L/∂z by mistake, where some y = f(z) is computed from z.

    later: the stages that may be y. The part of ∂L/∂z that flows around y stays right.
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
    """Whether the outputs of an activation are these values, up to rounding."""
    return bool(np.all(np.abs(outputs - y) <= RECOGNIZED * (1 + np.abs(y))))


def strip_time(name: str) -> str:
    """The name that an inner value has in all turns: `hs (a.py:9)` of `hs[2] (a.py:9, time 3)`."""
    return re.sub(r"\[[^\]]*\] \(", " (", re.sub(r", time \d+\)$", ")", name))
