"""Measure the noise of a forward once for all inputs, by moving all of them together.

Rounding on the way to the outputs is the same whichever input moves, so inputs can share one
measurement. They cannot where the noise is more than a few roundings of the outputs, since then it
may come from one input; or where an input moves the outputs in steps, which the others would hide.
Such inputs have their noise measured alone.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.measure import joint_evaluator, points_evaluator, scale_of
from gradcheck_cli.numeric.few_probes import PROBES, fine_spacing, noise_from_few
from gradcheck_cli.numeric.noise import (
    AWAY,
    DEVIATIONS,
    MOVED_DEVIATIONS,
    Float,
    Noise,
    draw_directions,
)
from gradcheck_cli.problem import Problem

# Noise of at most so many eps of the largest output is rounding, which all inputs share. In the
# smooth problems of tests/benchmarks/zoo it is 6 at most, in those that round on the way over 1e3.
MOST_ROUNDINGS = 16.0
# Numbers in all inputs together: with more, the twenty points would take more than 42 MB.
MOST_NUMBERS = 2**18
# To see whether the outputs move smoothly with an input, quotients over a fine step and over COARSE
# (a share of the scale) are compared: smooth ones differ by less than SMOOTH of themselves.
COARSE, SMOOTH = 1e-3, 0.5


class JointNoise:
    """The noise of the outputs of a problem whose forward takes one point at a time.

    evaluations: forwards taken so far.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.evaluations = 0

    def of(self, name: str) -> Noise | None:
        """The noise near the inputs as one of them moves; None where it must be measured alone."""
        sizes = [x.size for x in self.problem.inputs.values()]
        shared = not self.problem.batched and len(sizes) > 1 and sum(sizes) <= MOST_NUMBERS
        if shared and self._of_all is not None and self._moves_smoothly(name, self._of_all):
            return self._of_all
        return None

    @cached_property
    def _of_all(self) -> Noise | None:
        """The noise when all inputs move together; None if it is more than a few roundings."""
        joint = joint_evaluator(self.problem)
        if joint is None:
            return None
        started = time.perf_counter()
        self.evaluations += PROBES
        try:
            with np.errstate(all="ignore"):
                found = noise_from_few(*joint)
        except Exception:  # the forward may fail where all inputs have moved
            return None
        if found is None or not _is_rounding(found, joint[1].dtype):
            return None
        self.evaluations += found.evaluations - PROBES
        return replace(found, pace=(time.perf_counter() - started) / found.evaluations)

    def _moves_smoothly(self, name: str, noise: Noise) -> bool:
        """Whether the outputs move in proportion to this input, from the smallest steps on."""
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
    """Whether the noise is at most a few roundings of the largest output, at x and away from it."""
    largest = float(np.max(np.abs(noise.center), initial=0.0))
    worst = np.max(np.maximum(noise.near, noise.away), initial=0.0)
    eps: Float = np.finfo(dtype).eps
    return bool(largest > 0 and worst <= MOST_ROUNDINGS * eps * largest)
