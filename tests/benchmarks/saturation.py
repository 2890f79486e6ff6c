"""Do right rules ever fail? A fuzz of layers whose activations saturate.

    python -m tests.benchmarks.saturation --layers 6000 --jobs 2

draws layers of all forms, losses and activations with weights of the scales 1, 10 and 100, checks
their built-in rules, and prints a Markdown table: how many fail, which none should, and how often
the gradient in extended precision is within the uncertainty of the numeric one.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.checker.check import check
from gradcheck_cli.layers.activations import ACTIVATIONS
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.paper import DELTAS, DTYPES, REDUCTIONS, Layer
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import Verdict
from tests.support.layers import layer

LARGEST_SIZE = 7
SCALES = (1.0, 10.0, 100.0)
# What the rules leave of rounding errors in extended precision, over the largest entry.
LEFT = 1e-17


@dataclass(frozen=True)
class Checked:
    """A layer that was checked: the verdicts of its gradients, and its entries.

    failed: what failed, in words. missed: entries whose truth is outside the uncertainty;
    resolution: of every gradient that is not zero, the largest uncertainty over the largest entry.
    """

    scale: float
    dtype: str
    verdicts: tuple[Verdict, ...]
    failed: tuple[str, ...]
    entries: int
    missed: int
    resolution: tuple[float, ...]


def draw(seed: int) -> Layer:
    """A random layer; all else being drawn, scales and dtypes take turns."""
    random = np.random.default_rng(seed)
    grid = list(product(SCALES, DTYPES))
    scale, dtype = grid[seed % len(grid)]

    def one_of(names: Any) -> str:
        return str(random.choice(list(names)))

    n, N, M = (int(size) for size in random.integers(1, LARGEST_SIZE, 3, endpoint=True))
    return layer(
        one_of(FORMS),
        n=n,
        N=N,
        M=M,
        bias=bool(random.integers(2)),
        activation=one_of(ACTIVATIONS),
        loss=one_of(LOSSES),
        reduction=one_of(REDUCTIONS),
        delta=one_of(DELTAS),
        jacobian=bool(random.integers(2)),
        sources={"W": Drawn(scale=scale)},
        seed=int(random.integers(2**31)),
        dtype=dtype,
    )


def truth(checked: Problem) -> dict[str, NDArray[Any]]:
    """The gradients by the built-in rules in extended precision, which are tested elsewhere."""
    inputs = {name: x.astype(np.longdouble) for name, x in checked.inputs.items()}
    cotangent = checked.cotangent
    return dict(
        checked.backward(inputs, None if cotangent is None else cotangent.astype(np.longdouble))
    )


def missed(found: NumericGradient, exact: NDArray[Any]) -> int:
    """How many entries are known, but not as well as the uncertainty says."""
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(exact), initial=0.0))
        outside = np.abs(found.value - exact) > found.uncertainty + LEFT * largest
    inside = np.where(found.kink, (found.low <= exact) & (exact <= found.high), ~outside)
    return int((~inside & np.isfinite(found.uncertainty)).sum())


def measure(seed: int) -> Checked:
    """One layer, its gradients and, where it has them, its Jacobians."""
    made = draw(seed)
    verdicts, failed, entries, outside, resolution = [], [], 0, 0, []
    for checked in made.problems():
        exact = truth(checked)
        for gradient in check(checked).gradients:
            verdicts.append(gradient.verdict)
            if gradient.verdict == Verdict.FAIL:
                failed.append(f"seed {seed}: {gradient.gradient}: {gradient.worst}")
            found = measure_gradient(checked, gradient.name, Numeric())
            entries += found.value.size
            outside += missed(found, exact[gradient.name])
            if exact[gradient.name].any() and gradient.resolution is not None:
                resolution.append(gradient.resolution)
    return Checked(
        float(made.sources["W"].scale),  # type: ignore[union-attr]
        made.dtype,
        tuple(verdicts),
        tuple(failed),
        entries,
        outside,
        tuple(resolution),
    )


def row(name: str, of: list[Checked]) -> str:
    """A line of the table."""
    count = sum(one.entries for one in of)
    outside = sum(one.missed for one in of)
    failing = sum(bool(one.failed) for one in of)
    verdicts = [verdict for one in of for verdict in one.verdicts]
    unsure = sum(verdict == Verdict.INCONCLUSIVE for verdict in verdicts)
    resolution = np.median([value for one in of for value in one.resolution])
    return (
        f"| {name} | {len(of):,} | {failing} | {len(verdicts):,} | {unsure} | {resolution:.0e} | "
        f"{count:,} | {outside} | {1 - outside / count:.4%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=6000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    first = arguments.seed * 10**6
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(measure, range(first, first + arguments.layers), chunksize=20))
    for sentence in [sentence for one in found for sentence in one.failed]:
        print(sentence)
    print("| weights | layers | failing | gradients | inconclusive | resolution |", end="")
    print(" entries | missed | within |")
    print("|---" * 9 + "|")
    for scale, dtype in product(SCALES, DTYPES):
        of = [one for one in found if (one.scale, one.dtype) == (scale, dtype)]
        print(row(f"× {scale:g}, {dtype}", of))
    print(row("**all**", found))
    print(f"\n{len(found)} layers, seed {arguments.seed}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
