"""A verdict of a large gradient from derivatives along random directions, and where it is wrong.

A pass bounds the norm of the error; a mismatch is searched by halving down to rows, columns or
entries, which are then measured by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.catalogue import told_of
from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.faults.factors import factor as named
from gradcheck_cli.measure.compare import DIGITS_NEEDED, compare, unmeasured
from gradcheck_cli.numeric.bisection import Found, Gap, located, some_entries
from gradcheck_cli.numeric.directions import (
    DIRECTIONS,
    SURE,
    Bounds,
    Box,
    Directions,
    bounds,
    root_mean_square,
)
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import BY_DIRECTIONS, Code, Diagnosis, GradientResult, Verdict
from gradcheck_cli.text import join_words

SEED = 0x6772  # any; the directions have a stream of their own, whatever the inputs are drawn with
KNOWN = 1e-4  # a factor must be known to more digits than this to be told
SHOWN = 5  # entries, rows or columns that a sentence lists


class Gaps(Struct, frozen=True):
    """Both derivatives along every direction; arrays of DIRECTIONS numbers."""

    analytic: NDArray[np.float64]
    numeric: NDArray[np.float64]
    uncertainty: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """Analytic minus numeric."""
        return self.analytic - self.numeric


class Certifier:
    """One gradient of a problem against derivatives along random directions."""

    def __init__(
        self, problem: Problem, name: str, claimed: Any, numeric: Numeric, rtol: float, atol: float
    ) -> None:
        x = problem.inputs[name]
        self.problem = problem
        self.name = name
        self.claimed: NDArray[Any] = np.asarray(claimed)
        if self.claimed.dtype.kind == "c":
            self.claimed = self.claimed.real
        self.rtol = rtol
        self.atol = atol
        self.directions = Directions(
            lambda point: problem.forward({**problem.inputs, name: point}),
            x,
            np.asarray(problem.cotangent, dtype=np.float64),
            numeric.order,
            SEED,
        )

    def result(self) -> GradientResult:
        """The verdict, with the certificate or with what is wrong and where."""
        with np.errstate(all="ignore"):
            gaps = self.measured()
            factor = self.factor(gaps)
            if factor is not None:
                everywhere = Found(None, None, some_entries(*self.directions.matrix.shape), False)
                return self.judged(gaps, everywhere, self.told(gaps, factor))
            seen = np.abs(gaps.gap) > gaps.uncertainty
            return self.judged(gaps, self.search(gaps) if seen.any() else None)

    def measured(self) -> Gaps:
        """Along all directions."""
        rows = []
        for number in range(DIRECTIONS):
            self.directions.draw(number)
            told, measured = self.directions.product(self.claimed), self.directions.derivative()
            rows.append((told.value, measured.value, told.uncertainty + measured.uncertainty))
        return Gaps(*np.array(rows).T)

    def factor(self, gaps: Gaps) -> Factor | None:
        """The factor that is all that is wrong, if there is one: the same along all directions."""
        value = float(gaps.analytic @ gaps.numeric / (gaps.numeric @ gaps.numeric))
        left = np.abs(gaps.analytic - value * gaps.numeric)
        if value == 0.0 or not np.all(left <= (1 + abs(value)) * gaps.uncertainty):
            return None
        precision = float(np.max(gaps.uncertainty) / np.max(np.abs(gaps.numeric)))
        if not (abs(value - 1.0) > self.rtol + precision and precision < KNOWN):
            return None
        return named(value, precision, self.problem.numbers)

    def told(self, gaps: Gaps, factor: Factor) -> Diagnosis:
        """The diagnosis of a factor."""
        left = np.max(np.abs(gaps.analytic - factor.value * gaps.numeric))
        fits = float(left / np.max(np.abs(gaps.numeric)))
        found = told_of(Code.FACTOR, f"it is {factor.shown} times the numeric gradient", fits)
        count = len(gaps.numeric)
        told = f"so explained, {count} of {count} random directions agree to {fits:.0e}"
        return replace(found, evidence=told)

    def search(self, gaps: Gaps) -> Found:
        """Where the gap comes from, along the direction that shows it best."""
        best = int(np.argmax(np.abs(gaps.gap) / gaps.uncertainty))
        self.directions.draw(best)

        def measure(box: Box) -> Gap:
            told, measured = (
                self.directions.product(self.claimed, box),
                self.directions.derivative(box),
            )
            return Gap(told.value - measured.value, told.uncertainty + measured.uncertainty)

        whole = Gap(float(gaps.gap[best]), float(gaps.uncertainty[best]))
        return located(self.directions.matrix.shape, whole, measure)

    def judged(
        self, gaps: Gaps, found: Found | None, diagnosis: Diagnosis | None = None
    ) -> GradientResult:
        """What the directions say of all entries, and the entries that were found of themselves."""
        norm = self.norm()
        limits = bounds(gaps.gap, gaps.uncertainty)
        best = bounds(np.zeros(len(gaps.gap)), gaps.uncertainty)
        result = self.looked_at(found.entries) if found else self.blank()
        allowed = self.rtol * norm + self.atol * self.claimed.size**0.5
        wrong = found is not None and (
            result.wrong > 0 or limits.lower > allowed or diagnosis is not None
        )
        verdict, reason = self.verdict(limits, norm)
        if wrong and found is not None:
            verdict, reason = Verdict.FAIL, self.place(found, result, gaps)
        return replace(
            result,
            verdict=verdict,
            reason=reason,
            wrong=result.wrong if wrong else 0,
            worst=result.worst if wrong else None,
            max_abs_error=float(np.max(np.abs(gaps.gap))),
            max_rel_error=share(float(np.max(np.abs(gaps.gap))), norm),
            uncertainty=float(np.max(gaps.uncertainty)),
            resolution=share(best.upper, norm),
            bound=share(limits.upper, norm),
            diagnosis=diagnosis,
            directions=len(gaps.gap),
            notes=() if wrong else self.notes(norm, limits),
            method=BY_DIRECTIONS,
        )

    def blank(self) -> GradientResult:
        """A result that says nothing yet."""
        label = self.problem.label(self.name)
        return unmeasured(self.name, label, self.claimed.shape, "", Verdict.PASS)

    def looked_at(self, places: Sequence[tuple[int, int]]) -> GradientResult:
        """What comes of some entries."""
        label, measured = self.problem.label(self.name), self.entries(places)
        return compare(self.name, label, self.claimed, measured, self.rtol, self.atol)

    def verdict(self, limits: Bounds, norm: float) -> tuple[Verdict, str]:
        """Of a gradient nothing wrong was seen in."""
        if not np.isfinite(limits.upper):
            return Verdict.INCONCLUSIVE, (
                "the difference quotient along a random direction is not finite: the forward "
                "overflows near these inputs; mode: entries moves one entry at a time"
            )
        if limits.upper > self.rtol**DIGITS_NEEDED * norm and norm > 0:
            return Verdict.INCONCLUSIVE, (
                f"random directions bound the error by {limits.upper / norm:.1e} of the gradient "
                f"alone, too much for rtol {self.rtol:g}; mode: entries may know better"
            )
        return Verdict.PASS, ""

    def place(self, found: Found, entries: GradientResult, gaps: Gaps) -> str:
        """What is wrong, as a sentence."""
        if found.exact:
            shown = [self.index(row, column) for row, column in found.entries[:SHOWN]]
            more = len(found.entries) - len(shown)
            what = "entry is" if len(found.entries) == 1 else "entries are"
            tail = f" and {more} more" if more else ""
            return f"{len(found.entries)} {what} wrong: {', '.join(shown)}{tail}"
        rows = "every row" if found.rows is None else _told("row", found.rows)
        columns = "every column" if found.columns is None else _told("column", found.columns)
        seen = int((np.abs(gaps.gap) > gaps.uncertainty).sum())
        sampled = f"{entries.wrong} of {entries.measured} entries looked at there are wrong"
        return (
            f"it is wrong along {seen} of {len(gaps.gap)} random directions, in {rows} and "
            f"{columns}; {sampled}"
        )

    def index(self, row: int, column: int) -> str:
        """An entry as reports write it."""
        flat = row * self.directions.matrix.shape[1] + column
        return str([int(axis) for axis in np.unravel_index(flat, self.claimed.shape)])

    def notes(self, norm: float, limits: Bounds) -> tuple[str, ...]:
        """The certificate."""
        if norm == 0.0:
            return ("the gradient is zero on both sides: this check has no power",)
        return (
            f"by {DIRECTIONS} random directions: with probability 1 − {SURE:.0e}, "
            f"‖error‖ ≤ {share(limits.upper, norm):.0e} ‖gradient‖",
        )

    def norm(self) -> float:
        """‖analytic gradient‖, without a copy of it."""
        size = root_mean_square(self.claimed)
        return float(size * self.claimed.size**0.5)

    def entries(self, places: Sequence[tuple[int, int]]) -> NumericGradient:
        """These entries, each by itself."""
        width = self.directions.matrix.shape[1]
        flat = sorted({row * width + column for row, column in places})
        measured = [self.directions.at(*divmod(entry, width)) for entry in flat]
        value = np.array([one.value for one in measured])
        uncertainty = np.array([one.uncertainty for one in measured])
        return NumericGradient(
            value=value,
            uncertainty=uncertainty,
            noise=uncertainty,
            step=np.zeros(len(flat)),
            kink=np.zeros(len(flat), dtype=bool),
            low=value - uncertainty,
            high=value + uncertainty,
            steepest=float(np.max(np.abs(value))),
            evaluations=self.directions.evaluations,
            shape=self.claimed.shape,
            entries=np.array(flat, dtype=np.intp),
        )


def share(value: float, norm: float) -> float:
    """A norm over that of the gradient."""
    if value == 0.0:
        return 0.0
    return value / norm if norm > 0 else np.inf


def _told(word: str, parts: Sequence[range]) -> str:
    """`row 3`, `rows 3, 5 and 8–15`."""
    shown = [
        f"{part.start}" if len(part) == 1 else f"{part.start}–{part.stop - 1}" for part in parts
    ]
    more = [f"{len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    plural = "s" if len(shown) > 1 or any(len(part) > 1 for part in parts) else ""
    return f"{word}{plural} {join_words([*shown[:SHOWN], *more])}"
