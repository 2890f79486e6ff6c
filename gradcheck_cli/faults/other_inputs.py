"""Measure the gradient at other inputs, for rules that use another array than they should.

To measure some of its entries takes a few dozen forwards. To see that it is not the wrong gradient
takes only three, since two slopes along random directions refute it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Float
from gradcheck_cli.measure.measure import scale_of
from gradcheck_cli.problem import Stage

Inputs = Mapping[str, NDArray[Any]]

DIRECTIONS = 2  # with one slope, some multiple of any gradient would fit
# The ratios of slopes to claims count as equal if their relative difference is less than so many
# steps. Truncation is about one step; a kink that is crossed changes a few of many terms.
SAME_RATIO = 512.0
STEP = 0.125  # of the cube root of eps, the best central step: a one-sided one must be shorter
ROUNDINGS = 2.0  # by how many eps of all outputs their sum may be off
NUDGED = 1e-4  # of an entry: a move of an input to see whether the gradient changes, too


def is_defined(forward: Callable[[Any], Any], inputs: Mapping[str, Any]) -> bool:
    """Whether the user's forward is finite at inputs that the user did not give."""
    with suppress(Exception):
        return bool(np.isfinite(np.asarray(forward(dict(inputs)))).all())
    return False


def use_inputs(
    measured: MeasuredGradient, changed: Inputs, observation: str, same: str, parameters: int = 0
) -> Iterator[Injected]:
    """The gradient with these inputs in the place of the problem's.

    Yields nothing if the forward fails there, or if the gradient does not depend on these inputs,
    since then no rule for it uses them.
    """
    for stage in measured.stages:
        if measured.claimed is not None and not _may_fit(measured, stage, changed):
            continue
        values = measure_gradient_at(measured, stage, changed)
        if values is None:
            continue
        if not measured.differs_from(values):
            probe = (
                measure_gradient_at(measured, stage, _scale_unevenly(changed, 1.0))
                if same
                else None
            )
            if probe is None or not measured.differs_from(probe):
                continue
        values = measured.add_around(stage, values)
        discrete = measured.claimed is not None and _acts_by_masks(measured, stage, changed)
        yield Injected(values, observation, same=same, parameters=parameters, discrete=discrete)


def measure_gradient_at(measured: MeasuredGradient, stage: Stage, changed: Inputs) -> Values | None:
    """A few entries of the gradient at other inputs, for the same upstream gradient.

    None if the forward fails at these inputs.
    """
    return _measure_at(measured, stage, stage.cotangent, changed, measured.entries_elsewhere)


def measure_jacobian_at(measured: MeasuredGradient, stage: Stage, changed: Inputs) -> Values | None:
    """The Jacobian at other inputs; None if the forward fails there."""
    return _measure_at(measured, stage, None, changed, measured.measure_jacobian(stage).at)


def _measure_at(
    measured: MeasuredGradient,
    stage: Stage,
    cotangent: Any,
    changed: Inputs,
    at: NDArray[np.intp],
) -> Values | None:
    """The gradient or Jacobian of a stage at other inputs, measured once; None if that fails."""

    def measure() -> Values | None:
        inputs = {**measured.problem.inputs, **changed}
        if measured.effort.is_left and is_defined(stage.forward, inputs):
            with suppress(Exception):  # the user's forward may fail near them
                return measured.measure_at(stage, cotangent, inputs, at)
        return None

    key = "gradient", id(stage), cotangent is None, *_key(changed)
    return measured.once(key, measure)


def take_slopes(
    measured: MeasuredGradient,
    stage: Stage,
    changed: Inputs,
    count: int = DIRECTIONS,
    *,
    central: bool = False,
) -> Values | None:
    """The slopes of L along random directions at other inputs, with their uncertainties.

    count: how many; they take one forward each, and one in common. central: two forwards for each,
    for ten digits and not six. None if the forward fails there, or no calls are left.
    """
    found: list[tuple[float, float]] = []
    for way in range(count):
        key = "slope", way, central, id(stage), *_key(changed)
        slope = measured.once(key, partial(_take_slope, measured, stage, changed, way, central))
        if slope is None:
            return None
        found.append(slope)
    slopes, roundings = np.transpose(found)
    return Values(slopes, roundings, np.arange(count))


def _take_slope(
    measured: MeasuredGradient, stage: Stage, changed: Inputs, way: int, central: bool
) -> tuple[float, float] | None:
    """The slope along one of the directions, and how far off it may be by rounding."""
    inputs = {**measured.problem.inputs, **changed}
    x, delta = inputs[measured.name], np.asarray(stage.cotangent, dtype=np.float64)
    along, forward = draw_directions(measured)[way], measured.count_calls(stage)
    step = _step(measured) / (STEP if central else 1.0)
    if not measured.effort.is_left:
        return None
    with suppress(Exception):  # the user's code may fail at other inputs
        points = [(x + by * along).astype(x.dtype) for by in (step, -step if central else 0.0)]
        terms = [delta * np.asarray(forward({**inputs, measured.name: one})) for one in points]
        slope = float(np.sum(terms[0]) - np.sum(terms[1])) / (2 * step if central else step)
        rounding = ROUNDINGS * np.finfo(x.dtype).eps * float(np.sum(np.abs(terms[0]))) / step
        return (slope, rounding) if np.isfinite(slope) else None
    return None


def draw_directions(measured: MeasuredGradient) -> Float:
    """Random moves of all entries that are known and at no kink, each within its scale."""

    def draw() -> Float:
        x = measured.x
        moves = np.random.default_rng(x.size).uniform(-1.0, 1.0, (DIRECTIONS, *x.shape))
        known = np.zeros(x.size, dtype=bool)
        at = slice(None) if measured.whole else measured.gradient.entries
        smooth = measured.claimed.smooth if measured.claimed is not None else True
        known[at] = np.ravel(smooth)
        return np.asarray(
            moves * scale_of(measured.problem, measured.name) * known.reshape(x.shape)
        )

    return measured.once("directions", draw)


def claim_slopes(measured: MeasuredGradient, stage: Stage) -> Float:
    """The slopes along the same directions that the wrong gradient claims, and that its transpose
    claims if it has one: (1 or 2, directions). Only the part through a stage is counted."""

    def claim() -> Float:
        assert measured.claimed is not None
        analytic = measured.subtract_around(stage, measured.claimed.analytic)
        claims = np.zeros(measured.x.size)
        at = slice(None) if measured.whole else measured.gradient.entries
        claims[at] = np.where(measured.claimed.smooth.ravel(), analytic, 0.0)
        gradients = [claims]
        if measured.is_square:
            gradients.append(claims.reshape(measured.shape).T.ravel())
        return np.stack(gradients) @ draw_directions(measured).reshape(DIRECTIONS, -1).T

    return measured.once(("claims", id(stage)), claim)


def _may_fit(measured: MeasuredGradient, stage: Stage, changed: Inputs) -> bool:
    """Whether the gradient changes with these inputs, and may be the wrong one up to a factor."""
    # One slope shows whether the gradient changes at all, and two whether it is the wrong one.
    before, first = (take_slopes(measured, stage, inputs, 1) for inputs in ({}, changed))
    if before is None or first is None or not first.differs_from(before):
        return False
    slopes = take_slopes(measured, stage, changed)
    return slopes is not None and agree_with_claim(measured, stage, slopes)


def agree_with_claim(measured: MeasuredGradient, stage: Stage, slopes: Values) -> bool:
    """Whether slopes may be those of the wrong gradient, up to a factor."""
    found, claims = slopes.value, claim_slopes(measured, stage)
    lost = 2 * slopes.uncertainty
    if np.all(np.abs(found) <= lost):  # all is rounding, so the claims must be, too
        return bool(np.any(np.all(np.abs(claims) <= lost, axis=1)))
    crossed = np.abs(found * claims[:, ::-1]).sum(axis=1)
    gap = np.abs(found[0] * claims[:, 1] - found[1] * claims[:, 0])
    unsure = np.abs(claims).sum(axis=1) * slopes.uncertainty[0]
    return bool(np.any(gap <= SAME_RATIO * _step(measured) * crossed + unsure))


def _acts_by_masks(measured: MeasuredGradient, stage: Stage, changed: Inputs) -> bool:
    """Whether the gradient is the same at slightly different inputs, as if they only set masks."""
    broadcast = measured.x.size < np.size(stage.cotangent)  # such as a bias
    others = {name: x for name, x in changed.items() if name != measured.name or broadcast}
    if not others:
        return False
    slopes = take_slopes(measured, stage, changed)
    beside = take_slopes(measured, stage, {**changed, **_nudge(measured, others)})
    return slopes is not None and beside is not None and not slopes.differs_from(beside)


def _nudge(measured: MeasuredGradient, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """These inputs, slightly moved; zeros move by a share of the problem's own inputs."""
    zeros = {name: measured.problem.inputs[name] for name, x in inputs.items() if not x.any()}
    moved = {
        name: x - measured.problem.inputs[name]
        for name, x in _scale_unevenly(zeros, NUDGED).items()
    }
    return {**_scale_unevenly(inputs, NUDGED), **moved}


def _scale_unevenly(inputs: Inputs, by: float) -> dict[str, NDArray[Any]]:
    """These inputs with every entry larger by another share, from `by` to twice that."""
    return {
        name: (x * (1 + by * np.linspace(1.0, 2.0, x.size).reshape(x.shape))).astype(x.dtype)
        for name, x in inputs.items()
    }


def _step(measured: MeasuredGradient) -> float:
    """The step of the slopes, in units of the scale."""
    return STEP * float(np.cbrt(np.finfo(measured.x.dtype).eps))


def _key(changed: Inputs) -> tuple[Any, ...]:
    return tuple((name, x.tobytes()) for name, x in changed.items())
