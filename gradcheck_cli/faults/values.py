"""Entries of a gradient with their uncertainties, and the count of forwards that they take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Float

CALLS_AN_ENTRY = 4.0  # forwards for one entry, if the first two steps of the ladder agree
# Calls whose outputs are kept, and the bytes of inputs up to which they are: 4 MB of keys at most.
MOST_KEPT, MOST_BYTES = 2**8, 2**14


class Effort(Struct):
    """Counts the forwards that diagnoses call.

    most: after so many, nothing more is measured at other inputs. kept: results for one gradient
    that others share.
    """

    calls: int = 0
    most: float = float("inf")
    kept: dict[Any, Any] = {}

    @property
    def left(self) -> float:
        """How many forwards may still be called."""
        return self.most - self.calls

    @property
    def is_left(self) -> bool:
        """Whether anything more may be measured at other inputs."""
        return self.left >= 0

    def affords(self, entries: int) -> bool:
        """Whether there are forwards left to measure so many entries."""
        return CALLS_AN_ENTRY * entries <= self.left

    def count(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The forward, with every call counted."""

        def call(*arguments: Any) -> Any:
            self.calls += 1
            return forward(*arguments)

        return call


def remember(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The forward with the outputs of its last calls kept, so that it is not called twice."""
    known: dict[bytes, Any] = {}

    def call(inputs: Mapping[str, Any]) -> Any:
        key = b"".join(x.tobytes() for x in inputs.values())
        if len(key) > MOST_BYTES or sys.gettrace() is not None:  # a tracer needs the call
            return forward(inputs)
        if key not in known:
            if len(known) == MOST_KEPT:
                del known[next(iter(known))]
            known[key] = forward(inputs)
        return known[key]

    return call


class Values(Struct, frozen=True, dict=True):
    """Entries of a gradient: value ± uncertainty at flat positions `at` of the measured ones."""

    value: Float
    uncertainty: Float
    at: NDArray[np.intp]

    def __add__(self, other: Values) -> Values:
        """The sum of parts at the same positions; uncertainties add up."""
        return Values(self.value + other.value, self.uncertainty + other.uncertainty, self.at)

    def __sub__(self, other: Values) -> Values:
        """The rest without a part at the same positions; uncertainties add up."""
        return Values(self.value - other.value, self.uncertainty + other.uncertainty, self.at)

    def __mul__(self, by: float | Float) -> Values:
        """Times a number, or one for each entry."""
        uncertainty = np.where(by == 0, 0.0, np.abs(by) * self.uncertainty)
        return Values(by * self.value, uncertainty, self.at)

    @property
    def is_zero(self) -> bool:
        """Whether no entry differs from zero by more than its uncertainty."""
        return bool(np.all(np.abs(self.value) <= self.uncertainty))

    @cached_property
    def reach(self) -> Float:
        """For a Jacobian: the largest value of each entry of the gradient for cotangents of ±1."""
        return np.asarray(np.abs(self.value).sum(axis=0))

    def take(self, at: NDArray[np.intp]) -> Values:
        """The entries at these positions; this must hold all entries that were measured."""
        return Values(self.value[at], self.uncertainty[at], at)

    def contract(self, cotangent: Float, precision: float = 0.0) -> Values:
        """For a Jacobian, outputs × entries: the gradient for a flat cotangent.

        precision: how far the cotangent may be off, over its largest entry.
        """
        uncertainty = spread_uncertainty(cotangent, self.uncertainty)
        if precision:
            off = precision * np.max(np.abs(cotangent), initial=0.0)
            uncertainty = uncertainty + off * self.reach
        return Values(cotangent @ self.value, uncertainty, self.at)

    def differs_from(self, other: Values) -> bool:
        """Whether two gradients differ by more than their uncertainties at entries of both."""
        if np.array_equal(self.at, other.at):
            unsure = self.uncertainty + other.uncertainty
            return bool(np.any(np.abs(self.value - other.value) > 2 * unsure))
        here, there = np.isin(self.at, other.at), np.isin(other.at, self.at)
        gap = np.abs(self.value[here] - other.value[there])
        return bool(np.any(gap > 2 * (self.uncertainty[here] + other.uncertainty[there])))


def spread_uncertainty(weights: Float, uncertainty: Float) -> Float:
    """Σ |w|·u, where an infinite u counts only if its w is not zero."""
    spread = np.abs(weights) @ uncertainty
    if np.isfinite(spread).all():
        return np.asarray(spread)
    lost = np.isinf(uncertainty)
    known = np.abs(weights) @ np.where(lost, 0.0, uncertainty)
    return np.where((weights != 0) @ lost, np.inf, known)


def spread_evenly(size: int, most: float) -> NDArray[np.intp]:
    """At most `most` positions, spread evenly over `size`; one at least."""
    return np.unique(np.linspace(0, size - 1, max(1, int(min(size, most)))).astype(np.intp))
