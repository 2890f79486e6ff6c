"""How often a wrong gradient of no known kind is given a name.

    python -m tests.benchmarks.diagnosis --gradients 5000
    python -m tests.benchmarks.diagnosis --realistic 2000
    python -m tests.benchmarks.diagnosis --cost

The second is described in tests/benchmarks/realistic.py, the third in diagnosis_cost.py there. The
first: random layers of the paper's forms, with gradients that are wrong at random, in several ways.
Prints how many got no name, one that describes what was done to them, or another, and each of the
last.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.measure.comparison import Allowance, compare_entries
from tests.benchmarks import diagnosis_cost, realistic
from tests.support.faults import diagnosis, rights
from tests.support.layers import Float, layer, problem

# What is literally true of a gradient that is wrong in such a way, and of no misleading cause: one
# decimal of small numbers is nothing but zeros.
DESCRIBED = {"small noise": {"GC114", "GC115", "GC140"}, "one decimal": {"GC102"}}


def wrong(right: Float, drawn: np.random.Generator) -> Iterator[tuple[str, Float]]:
    """Gradients that no fault of the catalogue gives."""
    size, shape = float(np.sqrt(np.mean(right * right))) or 1.0, right.shape
    other = size * drawn.standard_normal(shape)
    yield "drawn anew", other
    yield "plus a drawn one", right + 10.0 ** drawn.uniform(-1.0, 0.5) * other
    yield "mixed", 0.3 * right + 0.7 * other
    yield "each entry times a number", right * drawn.uniform(0.2, 2.0, shape)
    if np.linalg.matrix_rank(right, rtol=1e-6) > 1:  # a product's is one of other factors
        yield "a power of each entry", np.sign(right) * np.abs(right) ** drawn.uniform(0.4, 0.8)
    yield "whole numbers", drawn.integers(-3, 4, shape).astype(float)
    yield "one decimal", np.round(other, 1)
    yield "of rank one", np.outer(drawn.normal(size=shape[0]), drawn.normal(size=shape[1]))
    yield "some entries drawn anew", np.where(drawn.random(shape) < 0.4, other, right)
    yield "small noise", right * (1 + 10.0 ** drawn.uniform(-7, -2) * drawn.normal(size=shape))


def gradients(seed: int) -> Iterator[tuple[str, str, str]]:
    """Of one random layer, how each gradient is wrong, what it is called, and the whole story."""
    drawn = np.random.default_rng(seed)
    n, N, M = (int(size) for size in drawn.integers(2, 7, 3))
    form = str(drawn.choice(["XW", "Wx", "xW"]))
    settings = {
        "loss": str(drawn.choice(list(LOSSES))),
        "activation": str(drawn.choice(["none", "tanh", "relu"])),
        "reduction": str(drawn.choice(["sum", "mean"])),
    }
    of = problem(layer(form, n=n, N=N, M=M, seed=seed, **settings))
    for right in rights(of):
        if min(right.shape) < 2 or not right.value.any():
            continue
        for kind, analytic in wrong(right.value, drawn):
            if compare_entries(analytic, right.gradient, Allowance(1e-9)).wrong.any():
                found = diagnosis(right, analytic)
                story = f"{form} n={n} N={N} M={M} {settings} seed {seed} {right.name}"
                yield kind, found.code, f"{story}: {found.code} {found.observation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gradients", type=int, default=1000)
    parser.add_argument("--realistic", type=int, help="mistakes that people make, so many")
    parser.add_argument("--cost", nargs="*", help="configs: what diagnoses cost, beside the checks")
    parser.add_argument("--show", nargs="*", default=["wrong"], help="realistic ones to be printed")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.realistic:
        realistic.main(arguments.realistic, arguments.seed, arguments.show)
        return
    if arguments.cost is not None:
        diagnosis_cost.main(arguments.cost)
        return
    started, seed, total = time.perf_counter(), arguments.seed * 10**6, 0
    table: dict[str, Counter[str]] = defaultdict(Counter)
    while total < arguments.gradients:
        for kind, code, story in gradients(seed):
            total += 1
            told = "none" if code == "GC100" or "may be chance" in story else "described"
            if told == "described" and code not in {"GC111", *DESCRIBED.get(kind, set())}:
                told = "named"
                print(f"{kind}: {story}")
            table[kind][told] += 1
        seed += 1
    columns = ("none", "described", "named")
    print("\n| wrong how | no name | described | named |\n|---|---|---|---|")
    for kind, counts in table.items():
        print(f"| {kind} | " + " | ".join(str(counts[column]) for column in columns) + " |")
    whole = sum(table.values(), Counter[str]())
    print("| **all** | " + " | ".join(str(whole[column]) for column in columns) + " |")
    print(f"\n{total} gradients, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
