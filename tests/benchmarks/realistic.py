"""How wrong gradients are called whose rules were edited in the ways people make mistakes.

    python -m tests.benchmarks.diagnosis --realistic 2000

Backward passes of the zoo's families, as text, with one edit each (tests/benchmarks/zoo/edits.py):
a factor that is missing, another axis, a sum for a mean. Prints by class of edit how many get a
name that such an edit may have, a description of what is seen, no name, or another name, and each
of the last.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli import Problem
from gradcheck_cli.checker.diagnose import Diagnoser
from gradcheck_cli.measure.compare import compare
from gradcheck_cli.measure.comparison import Allowance
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import GradientResult, Verdict
from tests.benchmarks.zoo import smooth
from tests.benchmarks.zoo.edits import Edit, edit
from tests.benchmarks.zoo.family import Family
from tests.benchmarks.zoo.forwards import FORWARDS
from tests.benchmarks.zoo.rules import RULES

ALLOWANCE, CALLS = Allowance(1e-9), 2_000
SHARE = 0.3  # of the edits of a rule that are tried at one seed
LEAST_ERROR = 1e-6  # of the largest entry: a smaller one is no mistake of the kind
DESCRIPTIONS = {"GC111", "GC114", "GC115", "GC140", "GC144", "GC147"}  # of what is seen
# What an edit of a class may be called. The same array comes from different slips: a factor that is
# missing is an input that is left out, a derivative that is missing, or the gradient for another
# array in the place of that product. Every name says what the array is, which was measured.
NAMES = {
    "double count": "GC103 GC116 GC119 GC128 GC145",
    "factor": "GC103 GC104",
    "factors swapped": "GC105 GC106 GC119 GC128",
    "inverted factor": "GC103 GC109 GC116 GC119 GC128 GC130 GC145 GC146",
    "mask reversed": "GC102 GC109 GC128 GC134",  # a mask of the input with the other sign
    "mean for sum": "GC103 GC104 GC116 GC119 GC128 GC130 GC145 GC146",
    "missing factor": "GC101 GC102 GC103 GC109 GC116 GC119 GC120 GC121 GC128 GC130 GC131 GC135 "
    "GC136 GC137 GC142 GC145 GC146",
    "missing mask": "GC109 GC131",
    "missing power": "GC128 GC130 GC135 GC136 GC146",
    "missing term": "GC102 GC103 GC109 GC116 GC120 GC126 GC128 GC129 GC131 GC135 GC136 GC145 GC146",
    "not summed": "GC102 GC128 GC129 GC135 GC141 GC145",
    "off by one": "GC102 GC103 GC109 GC119 GC120 GC121 GC123 GC126 GC128 GC130 GC131 GC136 GC142 "
    "GC145 GC146",
    "overwritten": "GC102 GC109 GC123 GC126 GC128 GC139 GC145",
    "regulariser": "GC116",
    "sign": "GC102 GC103 GC109 GC116 GC119 GC128 GC134 GC136 GC145",  # GC134: one inside f′
    "sign of a term": "GC103 GC109 GC116 GC119 GC126 GC128 GC134 GC136 GC145",
    "sum for mean": "GC103 GC104 GC116 GC119 GC128 GC130 GC145 GC146",
    "transpose missing": "GC105 GC106 GC119 GC128",
    "wrong axis": "GC119 GC128 GC130 GC142",
    "wrong constant": "GC103 GC128 GC136 GC145",
    "wrong function": "GC110 GC119 GC128 GC135 GC136",
    # A norm or a count of each row that is another array's is a factor of each row, GC130.
    "wrong variable": "GC101 GC106 GC119 GC120 GC128 GC130 GC131 GC132 GC135 GC142 GC145 GC146",
    "zeros": "GC102",
}


class Bench:
    """One problem of a family, measured once for all edits of its rule."""

    def __init__(self, family: Family, seed: int) -> None:
        self.drawn = family.draw(family.random(seed))
        self.problem = with_forward(family.make(seed), family.name, self.drawn)
        self.known: dict[str, NumericGradient] = {}
        self.hidden: list[Stage] | None = None

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input."""
        if name not in self.known:
            self.known[name] = measure_gradient(self.problem, name, Numeric())
        return self.known[name]

    def diagnose(self, mistake: Edit) -> list[GradientResult]:
        """The gradients that an edited rule gets wrong, with what they are called."""

        def backward(inputs: Mapping[str, Any], delta: Any) -> dict[str, Any]:
            found = mistake.rule(delta, *{**self.drawn, **inputs}.values())
            return dict(zip(inputs, found, strict=True))

        problem = replace(self.problem, backward=backward)
        claimed = backward(problem.inputs, problem.cotangent)
        results = [
            compare(name, self.problem.label(name), gradient, self.measure(name), ALLOWANCE)
            for name, gradient in claimed.items()
            if np.isfinite(gradient).all()
        ]
        diagnoser = Diagnoser(problem, self.measure, Numeric(), ALLOWANCE, set())
        diagnoser.hidden = self.hidden
        told = diagnoser.diagnose(results, claimed, CALLS)
        self.hidden = diagnoser.hidden
        return [one for one in told if one.verdict == Verdict.FAIL and self.matters(one, claimed)]

    def matters(self, result: GradientResult, claimed: Mapping[str, Any]) -> bool:
        """Whether a gradient is off by more than what may be called rounding."""
        right = self.measure(result.name).value
        if np.shape(claimed[result.name]) != right.shape:
            return True
        error = np.max(np.abs(claimed[result.name] - right))
        return bool(error > LEAST_ERROR * np.max(np.abs(right)))


def with_forward(problem: Problem, name: str, drawn: Mapping[str, Any]) -> Problem:
    """The problem with the family's forward as people write it, where there is one."""
    if name not in FORWARDS:
        return problem

    def forward(values: Mapping[str, Any]) -> Any:
        every = {**drawn, **values}
        return np.asarray(FORWARDS[name](*(every[one] for one in drawn)))

    assert np.allclose(forward(problem.inputs), problem.forward(problem.inputs)), name
    return replace(problem, forward=forward, batched=False)


def list_wrong(seed: int) -> Iterator[tuple[str, Edit, GradientResult]]:
    """The wrong gradients of some edits of every rule, at one seed."""
    families = {family.name: family for family in smooth.families()}
    for name, rule in RULES.items():
        bench, chosen = Bench(families[name], seed), random.Random(f"{name} {seed}")
        for mistake in edit(rule):
            if chosen.random() < SHARE:
                try:
                    found = bench.diagnose(mistake)
                except (
                    ValueError,
                    IndexError,
                    TypeError,
                    NameError,
                ):  # of a rule that no longer runs
                    continue
                for result in found:
                    yield name, mistake, result


def judge(mistake: Edit, result: GradientResult) -> str:
    """Whether a wrong gradient is called by a name that its edit may have."""
    if result.diagnosis is None:  # no entry of those that are known is wrong by itself
        return "none"
    code = str(result.diagnosis.code)
    if code == "GC100" or "may be chance" in result.diagnosis.observation:
        return "none"
    if code in DESCRIPTIONS:
        return "described"
    return "right" if code in NAMES[mistake.kind].split() else "wrong"


def main(count: int, seed: int, show: Sequence[str]) -> None:
    """Print the table. show: judgements of which every gradient is printed."""
    warnings.simplefilter("ignore")
    table: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    while total < count:
        with np.errstate(all="ignore"):
            for name, mistake, result in list_wrong(seed):
                total += 1
                judged = judge(mistake, result)
                table[mistake.kind][judged] += 1
                if judged in show and result.diagnosis is not None:
                    said = f"{result.diagnosis.code} {result.diagnosis.observation}"
                    print(
                        f"{judged}: {mistake.kind}: {name}, seed {seed}, {result.name}: "
                        f"{mistake.before[:60]} → {mistake.after[:60]}: {said}",
                        flush=True,
                    )
                if total == count:
                    break
        seed += 1
    columns = ("right", "described", "none", "wrong")
    print("\n| edit | right name | described | no name | wrong name |\n|---|---|---|---|---|")
    for kind, counts in sorted(table.items()):
        print(f"| {kind} | " + " | ".join(str(counts[column]) for column in columns) + " |")
    whole = sum(table.values(), Counter[str]())
    print("| **all** | " + " | ".join(str(whole[column]) for column in columns) + " |")
