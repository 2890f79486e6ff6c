"""Random directions through the kinks of own nets: right gradients and a wrong entry, many seeds.

    python -m tests.benchmarks.kinks --seeds 100

prints a Markdown table: a row a net and a number of units.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from gradcheck_cli import check
from gradcheck_cli.options import Numeric
from tests.support.kinked import NETS, with_wrong_entry

BY_DIRECTIONS = Numeric(mode="directions")
COLUMNS = (
    "net",
    "units",
    "right: pass",
    "inconclusive",
    "fail",
    "forwards an input",
    "bound, median",
    "wrong by 1e-6: found",
    "forwards an input",
)


def study(net: str, units: int, seeds: int) -> list[str]:
    """A row of the table."""
    verdicts: Counter[str] = Counter()
    forwards, searched, bounds, found = [], [], [], 0
    for seed in range(seeds):
        problem = NETS[net](units, seed)
        right = check(problem, numeric=BY_DIRECTIONS)
        verdicts.update(gradient.verdict for gradient in right.gradients)
        bounds += [gradient.bound or 0.0 for gradient in right.gradients]
        forwards.append(right.evaluations / len(right.gradients))
        wrong, name, place = with_wrong_entry(problem, seed)
        result = check(wrong, numeric=BY_DIRECTIONS)
        (at,) = (gradient for gradient in result.gradients if gradient.name == name)
        found += at.reason == f"1 entry is wrong: {list(place)}"
        rest = len(right.gradients) - 1
        searched.append(result.evaluations - rest * forwards[-1])
    counts = [str(verdicts[verdict]) for verdict in ("pass", "inconclusive", "fail")]
    return [
        net,
        str(units),
        *counts,
        f"{np.mean(forwards):.0f}",
        f"{np.median(bounds):.0e}",
        f"{found} of {seeds}",
        f"{np.mean(searched):.0f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 1000, 10000])
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for net in NETS:
        for units in options.units:
            print("| " + " | ".join(study(net, units, options.seeds)) + " |", flush=True)


if __name__ == "__main__":
    main()
