"""The noise of a forward, from twenty values in which all of its inputs are moved together.

What rounds on the way to the outputs does so whichever input is moved. Where noise is more than
some roundings of the outputs, one input may have it and another not; and the steps in which one of
them moves the outputs are hidden by how the others do: such inputs have theirs measured.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.measure import joint_evaluator, points_evaluator, scale_of
from gradcheck_cli.numeric.few_probes import PROBES, fine_spacing, noise_of_few
from gradcheck_cli.numeric.noise import (
    AWAY,
    DEVIATIONS,
    MOVED_DEVIATIONS,
    Float,
    Noise,
    draw_directions,
)
from gradcheck_cli.problem import Problem

# Of the largest output, in eps: noise that is no more is that of any input. That of the problems of
# tests/benchmarks/zoo which are smooth is 6 at most; of those that round on the way 1e3 and more.
MOST_ROUNDINGS = 16.0
# Numbers of all inputs: of more, twenty points of them all would take more than 42 MB.
MOST_NUMBERS = 2**18
# How far an input is moved by itself, beside the finest spacing of probes; quotients of smooth
# outputs hardly differ between the first and that, but of some that step or bend by more than this.
COARSE, SMOOTH = 1e-3, 0.5


class JointNoise:
    """The noise of the outputs of a problem whose forward takes one point.

    evaluations: of the forward, so far.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.evaluations = 0

    def of(self, name: str) -> Noise | None:
        """The noise near the inputs as one of them is moved; None where that must be measured."""
        sizes = [x.size for x in self.problem.inputs.values()]
        shared = not self.problem.batched and len(sizes) > 1 and sum(sizes) <= MOST_NUMBERS
        if shared and self._of_all is not None and self._moves_smoothly(name, self._of_all):
            return self._of_all
        return None

    @cached_property
    def _of_all(self) -> Noise | None:
        """The noise where all inputs are moved together, if it is no more than some roundings."""
        joint = joint_evaluator(self.problem)
        if joint is None:
            return None
        started = time.perf_counter()
        self.evaluations += PROBES
        try:
            with np.errstate(all="ignore"):
                found = noise_of_few(*joint)
        except Exception:  # of a forward that cannot have all its inputs so far away
            return None
        if found is None or not _is_rounding(found, joint[1].dtype):
            return None
        self.evaluations += found.evaluations - PROBES
        return replace(found, pace=(time.perf_counter() - started) / found.evaluations)

    def _moves_smoothly(self, name: str, noise: Noise) -> bool:
        """Whether outputs that move with this input do so near it, and in proportion."""
        x, scale = self.problem.inputs[name], scale_of(self.problem, name)
        shares = np.array([fine_spacing(x.dtype), COARSE, AWAY])
        direction = draw_directions(np.random.default_rng(0), scale, scale.shape)
        points = (x + np.multiply.outer(shares, direction)).astype(x.dtype)
        with np.errstate(all="ignore"):
            outputs = np.asarray(points_evaluator(self.problem, name)(points), dtype=np.float64)
            self.evaluations += len(points)
            changes = outputs - noise.center
            near, far = (changes[at] / shares[at] for at in (0, 1))
            hidden = DEVIATIONS * noise.near / shares[0]
            still = (changes[0] == 0) & (np.abs(changes[2]) > MOVED_DEVIATIONS * noise.away)
            smooth = np.abs(near - far) <= SMOOTH * np.abs(far) + hidden
        return bool(np.isfinite(changes).all() and np.all(smooth & ~still))


def _is_rounding(noise: Noise, dtype: Any) -> bool:
    """Whether it is no more than some roundings of the largest output, at x and away from it."""
    largest = float(np.max(np.abs(noise.center), initial=0.0))
    worst = np.max(np.maximum(noise.near, noise.away), initial=0.0)
    eps: Float = np.finfo(dtype).eps
    return bool(largest > 0 and worst <= MOST_ROUNDINGS * eps * largest)
