"""How often the checker is wrong: right backwards that fail, wrong ones that pass.

    python -m tests.benchmarks.zoo [--seeds 40] [--group G] [--family F] [--jobs 2] [--alone]

Every problem is checked twice: with its right backward, and with an error planted in it, in one
entry or in a third of them, of 1e-6 to 1e-2 of the largest entry (of 3e-2 and more in float32,
whose tolerance is 1e-3). Every fourth error is smaller, to see whether what is printed as the bound
of a pass holds.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from gradcheck_cli import CheckResult, Problem, Verdict, check
from tests.benchmarks.zoo import hard, smooth
from tests.benchmarks.zoo.family import Family, Random

FAMILIES = (*smooth.families(), *hard.families())
SIZES = {
    "float64": (-6.0, -2.0),
    "float32": (-1.5, 0.0),
}  # log10 of an error over the largest entry
ROUNDING = 1e-9  # of the largest gradient: less may be rounding of a zero, and no error is planted
SMALLER = (-13.0, -6.0)
SMALLER_EVERY = 4
SHOWN = 90  # characters of a reason


@dataclass(frozen=True)
class Outcome:
    """What came of one problem.

    right, wrong: the verdicts; reasons: why the first was no pass; size: of the planted error, over
    the largest entry of the gradient it is in; exceeded: whether a pass printed a smaller bound.
    """

    family: str
    group: str
    seed: int
    right: Verdict
    reasons: tuple[str, ...]
    wrong: Verdict | None
    size: float
    exceeded: bool
    entries: int
    evaluations: int


def planted(problem: Problem, random: Random, size: float) -> tuple[Problem, str] | None:
    """The problem with a wrong backward, and the input whose gradient is wrong."""
    assert problem.cotangent is not None
    right = dict(problem.backward(problem.inputs, problem.cotangent))
    sizes = {name: float(np.max(np.abs(gradient))) for name, gradient in right.items()}
    able = [name for name, size in sizes.items() if size > ROUNDING * max(sizes.values())]
    if not able:
        return None
    name = str(random.choice(able))
    gradient = right[name].astype(np.float64)
    several = random.uniform() < 0.5
    chosen = random.uniform(size=gradient.shape) < (1 / 3 if several else 0.0)
    chosen.flat[random.integers(gradient.size)] = True
    error = size * np.max(np.abs(gradient)) * random.choice([-1.0, 1.0], gradient.shape)
    right[name] = (gradient + np.where(chosen, error, 0.0)).astype(right[name].dtype)
    return replace(problem, backward=lambda inputs, delta: right), name


def reason(result: CheckResult) -> list[str]:
    """Why gradients did not pass, without their numbers."""
    return [
        f"{gradient.verdict}: "
        + re.sub(r"\[[\d, ]*\]|-?\d[\d.]*(e[+-]?\d+)?", "#", gradient.reason)
        for gradient in result.gradients
        if gradient.verdict != Verdict.PASS
    ]


def outcome(family: Family, seed: int, alone: bool) -> Outcome:
    """One problem of a family, right and wrong.

    alone: whether the forward is called with one point at a time, as code of others may be.
    """
    with np.errstate(all="ignore"):
        problem = family.make(seed)
        problem = replace(problem, batched=problem.batched and not alone)
        right = check(problem)
        random = np.random.default_rng([seed, 1])
        smaller = seed % SMALLER_EVERY == SMALLER_EVERY - 1
        size = 10.0 ** random.uniform(*(SMALLER if smaller else SIZES[family.dtype]))
        made = planted(problem, random, size)
        verdict, exceeded = None, False
        if made is not None:
            wrong = check(made[0])
            (gradient,) = (one for one in wrong.gradients if one.name == made[1])
            verdict = gradient.verdict
            bound = gradient.bound
            # The right gradient is rounded, too, and may be nearer to the wrong one for that.
            error = size * (1 - 1e-3) - np.finfo(family.dtype).eps / 2
            exceeded = verdict == Verdict.PASS and bound is not None and bound < error
            if gradient.kinks:
                verdict = Verdict.FAIL if verdict == Verdict.PASS and smaller else verdict
    return Outcome(
        family.name,
        family.group,
        seed,
        right.verdict,
        tuple(reason(right)),
        None if smaller else verdict,
        size,
        exceeded,
        sum(gradient.entries for gradient in right.gradients),
        right.evaluations,
    )


@dataclass
class Tally:
    """The counts of a group of outcomes."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)

    def row(self) -> str:
        """A line of the table."""
        of = self.outcomes
        fails = sum(one.right == Verdict.FAIL for one in of)
        open_ = sum(one.right == Verdict.INCONCLUSIVE for one in of)
        wrong = [one for one in of if one.wrong is not None]
        missed = sum(one.wrong == Verdict.PASS for one in wrong)
        exceeded = sum(one.exceeded for one in of)
        each = sum(one.evaluations for one in of) / max(1, sum(one.entries for one in of))
        return (
            f"| {self.name} | {len(of)} | {fails} | {fails / len(of):.2%} | {open_} | "
            f"{open_ / len(of):.2%} | {len(wrong)} | {missed} | {exceeded} | {each:.1f} |"
        )


HEAD = (
    "| group | checks | false failures | | inconclusive | | wrong ones | missed | "
    "bounds exceeded | evaluations an entry |\n" + "|---" * 10 + "|"
)


def table(outcomes: Sequence[Outcome], by: str) -> str:
    """A row for every group, or every family, and one for all."""
    tallies: dict[str, Tally] = {}
    for one in outcomes:
        name = str(getattr(one, by))
        tallies.setdefault(name, Tally(name)).outcomes.append(one)
    total = Tally("**all**", list(outcomes))
    return "\n".join([HEAD, *(tally.row() for tally in tallies.values()), total.row()])


def told(outcomes: Sequence[Outcome]) -> str:
    """The families that are wrong somewhere, with seeds, and the reasons given."""
    lines = []
    for family in dict.fromkeys(one.family for one in outcomes):
        of = [one for one in outcomes if one.family == family]
        kinds = {
            "fail": [one.seed for one in of if one.right == Verdict.FAIL],
            "inconclusive": [one.seed for one in of if one.right == Verdict.INCONCLUSIVE],
            "missed": [one.seed for one in of if one.wrong == Verdict.PASS],
            "exceeded": [one.seed for one in of if one.exceeded],
        }
        seen = [f"{kind} {len(seeds)} {seeds[:4]}" for kind, seeds in kinds.items() if seeds]
        if seen:
            lines.append(f"{family} ({len(of)}): " + "; ".join(seen))
        reasons = Counter(text for one in of for text in one.reasons)
        lines += [
            f"    {count} × {text[:SHOWN]} … {text[-SHOWN:]}"
            for text, count in reasons.most_common(3)
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--group", action="append", help="only groups whose name holds this")
    parser.add_argument("--family", action="append", help="only families whose name holds this")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--alone", action="store_true", help="as if forwards took one point at a time"
    )
    arguments = parser.parse_args()
    started = time.perf_counter()
    chosen = [
        family
        for family in FAMILIES
        if (not arguments.group or any(part in family.group for part in arguments.group))
        and (not arguments.family or any(part in family.name for part in arguments.family))
    ]
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    alone = arguments.alone
    numbers = [(FAMILIES.index(family), seed, alone) for family in chosen for seed in seeds]
    if arguments.jobs > 1:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            outcomes = list(pool.map(numbered, numbers, chunksize=5))
    else:
        outcomes = [numbered(number) for number in numbers]
    print(told(outcomes), end="\n\n")
    print(table(outcomes, "group"))
    print(
        f"\n{len(chosen)} families, {len(outcomes)} problems, {time.perf_counter() - started:.0f} s"
    )


def numbered(number: tuple[int, int, bool]) -> Outcome:
    """A family by its number, since functions cannot be sent to another process."""
    return outcome(FAMILIES[number[0]], *number[1:])


if __name__ == "__main__":
    main()
