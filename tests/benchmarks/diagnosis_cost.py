"""What the diagnoses of failing checks cost, beside the checks themselves.

    python -m tests.benchmarks.diagnosis --cost [CONFIG…]

Runs the checks of these configs in this process, with what their code imports, and prints of those
that fail the CPU time and the calls of the forward until the verdict, after it, and their ratio.
Without a config: of docs/examples and configs, then of the wrong backward passes in
tests/data/mistakes, of which many have no simple name.
"""

from __future__ import annotations

import gc
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.checker import check, diagnose, locate  # noqa: F401 (imports are not timed)
from gradcheck_cli.config.load import load
from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.values import Effort
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem, Stackable
from gradcheck_cli.result import CheckResult, Verdict
from tests.benchmarks.mistakes import write_checks

ROOT = Path(__file__).parents[2]
SLOWEST = 10  # checks that are listed


class Cost(Struct, frozen=True):
    """CPU seconds and calls of the forward, of a check without its diagnoses and of these."""

    name: str
    seconds: tuple[float, float]
    calls: tuple[int, int]


def measure(name: str, problem: Problem, numeric: Numeric, tolerance: Tolerance) -> Cost | None:
    """The cost of a check; None where it does not fail."""
    effort, marks = Effort(), list[tuple[float, int]]()
    forward, count = problem.forward, effort.count

    def mark(_: CheckResult | None = None) -> None:
        marks.append((time.process_time(), effort.calls))

    gc.collect()
    gc.freeze()  # what frameworks of other checks hold is looked through in none
    mark()
    forward = forward.watched(count) if isinstance(forward, Stackable) else count(forward)
    counted = replace(problem, forward=forward)
    result = check.check(counted, numeric=numeric, tolerance=tolerance, keep=mark)
    mark()
    if result.verdict != Verdict.FAIL or len(marks) != 3:
        return None
    (start, _), (verdict, checked), (end, every) = marks
    return Cost(name, (verdict - start, end - verdict), (checked, every - checked))


def measure_all(paths: Sequence[str]) -> Iterator[Cost]:
    """The costs of all checks of some configs that fail."""
    for one in load(paths, print):
        try:
            for problem in one.layer.problems():
                cost = measure(one.id, problem, one.numeric, one.tolerance)
                if cost is not None:
                    yield cost
        except GradcheckError as error:  # as of a framework that is not there
            print(f"{one.id}: {error}")


def main(paths: Sequence[str]) -> None:
    """Print the costs for some configs, or for those of this repository."""
    warnings.simplefilter("ignore")
    if paths:
        print_costs(paths)
        return
    print_costs([str(ROOT / "docs" / "examples"), str(ROOT / "configs")])
    with tempfile.TemporaryDirectory() as folder:
        write_checks(Path(folder), [])
        print_costs([f"{folder}/all.yaml"])


def print_costs(paths: Sequence[str]) -> None:
    """Print the costs of all together, and of those whose diagnosis costs most."""
    costs = list(measure_all(paths))
    ratios = [cost.seconds[1] / cost.seconds[0] for cost in costs]
    for place in np.argsort(ratios)[: -SLOWEST - 1 : -1]:
        print(f"{ratios[place]:6.2f} × CPU, {costs[place].calls[1]} calls: {costs[place].name}")
    print("\n| | check | diagnosis | ratio |\n|---|---|---|---|")
    for what, pairs in (
        ("CPU seconds", [cost.seconds for cost in costs]),
        ("calls of the forward", [cost.calls for cost in costs]),
    ):
        checked, diagnosed = np.sum(pairs, axis=0)
        print(f"| {what} | {checked:.6g} | {diagnosed:.6g} | {diagnosed / checked:.2f} |")
    print(f"\n{len(costs)} failing checks, CPU of the median one {np.median(ratios):.2f} ×")
