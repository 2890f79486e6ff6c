"""Is the uncertainty of a numeric entry what it says? A study against exact gradients.

    python -m tests.benchmarks.calibration --problems 2100 --jobs 2

draws random layers in several classes, measures every entry of their gradients, computes the same
entries with mpmath, and prints a Markdown table: how often the true error is within the stated
uncertainty, and how much larger the uncertainty is than the error.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.arrays import Given
from gradcheck_cli.checker.measurements import Measurements
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.measure import measure as measuring
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from tests.support.exact import exact_gradients
from tests.support.layers import Float, data, layer, problem

LARGEST_SIZE = 64
OFFSET = 1e12
Random = np.random.Generator


def plain(made: Layer, random: Random) -> Layer:
    """Inputs near 1."""
    return made


def scaled(made: Layer, random: Random) -> Layer:
    """Inputs of a scale from 1e-150 to 1e150, weights such that outputs are near 1."""
    x, W, target = data(made)
    scale = 10.0 ** random.uniform(-150, 150)
    return with_arrays(made, x * scale, W / scale * 10.0 ** random.uniform(-2, 2), target)


def mixed(made: Layer, random: Random) -> Layer:
    """Entries of one tensor on scales from 1e-6 to 1e6."""
    x, W, target = data(made)
    return with_arrays(
        made, x * 10.0 ** random.uniform(-6, 6, x.shape), W * 10.0 ** random.uniform(-3, 3), target
    )


def saturated(made: Layer, random: Random) -> Layer:
    """Outputs up to some hundreds: softmax and logistic units at their ends."""
    x, W, target = data(made)
    return with_arrays(made, x * random.uniform(5, 50), W, target)


def at_minimum(made: Layer, random: Random) -> Layer:
    """Targets met exactly by the outputs: a gradient of zero, or of rounding errors."""
    x, W, _ = data(made)
    target = W @ x if made.form.name == "Wx" else x @ W
    return with_arrays(replace(made, loss=LOSSES["squared-error"]), x, W, target)


def with_arrays(made: Layer, x: Float, W: Float, target: Float) -> Layer:
    """The layer with these arrays."""
    name = "X" if made.form.name == "XW" else "x"
    arrays = {name: x, "W": W, made.loss.target: target}
    return replace(made, sources={key: Given(value) for key, value in arrays.items()})


@dataclass(frozen=True)
class Class:
    """A class of problems: how a random layer is changed, its dtype, what is added to its loss."""

    name: str
    change: Callable[[Layer, Random], Layer]
    dtype: str = "float64"
    offset: float = 0.0


CLASSES = (
    Class("plain", plain),
    Class("float32", plain, dtype="float32"),
    Class("scales 1e-150 to 1e150", scaled),
    Class("mixed scales in a tensor", mixed),
    Class("loss + 1e12", plain, offset=OFFSET),
    Class("saturated units", saturated),
    Class("at a minimum", at_minimum),
)


@dataclass(frozen=True)
class Measured:
    """Errors and uncertainties of all entries of a problem, over its largest gradient entry."""

    kind: str
    error: Float
    uncertainty: Float
    missed: int
    evaluations: int


def draw(kind: Class, random: Random) -> Layer:
    """A random layer of a class; sizes from 1 to LARGEST_SIZE, evenly in their logarithm."""
    n, N, M = (int(LARGEST_SIZE ** random.uniform()) for _ in "nNM")
    made = layer(
        str(random.choice(list(FORMS))),
        n=n,
        N=N,
        M=M,
        loss=str(random.choice(list(LOSSES))),
        reduction=str(random.choice(["sum", "mean"])),
        seed=int(random.integers(2**31)),
        dtype=kind.dtype,
    )
    return kind.change(made, random)


def offset(checked: Problem, amount: float) -> Problem:
    """The same problem with a constant added to every output; its gradient is the same."""
    return replace(checked, forward=lambda inputs: checked.forward(inputs) + amount)


def measure(kind: Class, seed: int, alone: bool) -> Measured:
    """One problem: every entry by differences and by mpmath.

    alone: whether the forward is called with one point at a time, as code of others may be.
    """
    made = draw(kind, np.random.default_rng(seed))
    exact = exact_gradients(made.form.name, made.loss.name, made.reduction, *data(made))
    checked = problem(made)
    checked = replace(checked, batched=checked.batched and not alone)
    if kind.offset:
        checked = offset(checked, kind.offset)
    errors, uncertainties, missed = [], [], 0
    measurements = Measurements(checked, Numeric(locality=not alone), None)
    for name, truth in zip(checked.inputs, exact, strict=True):
        found = measurements.measure(name)
        error = np.abs(found.value - truth)
        # At a kink any subgradient is right; the interval between the slopes must hold the truth.
        inside = np.where(
            found.kink, (found.low <= truth) & (truth <= found.high), error <= found.uncertainty
        )
        missed += int((~inside & np.isfinite(found.uncertainty)).sum())
        scale = np.max(np.abs(truth)) or found.steepest or 1.0
        errors.append((error / scale).ravel())
        uncertainties.append((found.uncertainty / scale).ravel())
    return Measured(
        kind.name,
        np.concatenate(errors),
        np.concatenate(uncertainties),
        missed,
        measurements.evaluations,
    )


def row(name: str, of: list[Measured]) -> str:
    """A line of the table."""
    error = np.concatenate([one.error for one in of])
    uncertainty = np.concatenate([one.uncertainty for one in of])
    missed = sum(one.missed for one in of)
    u, e = np.median(uncertainty), np.median(error[np.isfinite(error)])
    worst = np.median([np.max(one.uncertainty) for one in of])
    evaluations = sum(one.evaluations for one in of) / len(error)
    return (
        f"| {name} | {len(of):,} | {len(error):,} | {missed} | {1 - missed / len(error):.4%} | "
        f"{u:.1e} | {e:.1e} | {u / e:.1f} | {worst:.0e} | {evaluations:.1f} |"
    )


def affordable(least: int | None) -> None:
    """Set the size from which a problem counts as large."""
    if least is not None:
        measuring.AFFORDABLE = least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=2100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--locality", action="store_true", help="as if every problem was large: by superposition"
    )
    parser.add_argument(
        "--alone", action="store_true", help="as if forwards took one point at a time"
    )
    arguments = parser.parse_args()
    started = time.perf_counter()
    each = -(-arguments.problems // len(CLASSES))
    first, alone = arguments.seed * 10**6, arguments.alone
    jobs = [(kind, first + number, alone) for kind in CLASSES for number in range(each)]
    with ProcessPoolExecutor(
        arguments.jobs, initializer=affordable, initargs=(0 if arguments.locality else None,)
    ) as pool:
        found = list(pool.map(measure, *zip(*jobs, strict=True), chunksize=5))
    print(
        "| class | problems | entries | missed | within | median u | median error | ratio |", end=""
    )
    print(" resolution | evaluations |")
    print("|---" * 10 + "|")
    for kind in CLASSES:
        print(row(kind.name, [one for one in found if one.kind == kind.name]))
    print(row("**all**", found))
    print(f"\n{len(found)} problems, seed {arguments.seed}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
