"""Are the forms of the paper judged right? Every form with its right rules, all of which must pass.

    python -m tests.benchmarks.forms --checks 27000 --jobs 2

takes the product of forms, losses, reductions, activations, bias, types and scales of the inputs
round by round, each with a seed of its own, and prints how many checks of each type failed or were
inconclusive, and the first of each kind with its reason. It exits 1 where a right rule failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice, product

from msgspec import Struct

from gradcheck_cli import Verdict, check
from gradcheck_cli.arrays import Drawn
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from tests.support.layers import layer, problem

SCALES = (0.1, 1.0, 10.0)  # of x: units from their linear part to their saturated ends
SIZES = ((4, 3, 2), (8, 5, 3), (1, 6, 4))  # n, N, M; a round has one of them


class Case(Struct, frozen=True):
    """A layer of the paper by its settings."""

    form: str
    loss: str
    reduction: str
    activation: str
    bias: bool
    dtype: str
    scale: float
    seed: int


class Judged(Struct, frozen=True):
    """A case and what came of it; kind: the form of the reason, without its numbers."""

    case: Case
    verdict: Verdict
    kind: str = ""
    reason: str = ""


def cases() -> Iterator[Case]:
    """Every combination, again and again, each time with other seeds."""
    for turn in count():
        every = product(
            FORMS,
            LOSSES,
            ("sum", "mean"),
            (NONE, *ACTIVATIONS),
            (False, True),
            ("float64", "float32"),
            SCALES,
        )
        for number, settings in enumerate(every):
            yield Case(*settings, seed=turn * 10**6 + number)


def judge(case: Case) -> Judged:
    """Check one case, whose rules are right."""
    n, N, M = SIZES[case.seed // 10**6 % len(SIZES)]
    made = layer(
        case.form,
        n=n,
        N=N,
        M=M,
        loss=case.loss,
        reduction=case.reduction,
        activation=case.activation,
        bias=case.bias,
        dtype=case.dtype,
        seed=case.seed,
        sources={"X" if case.form == "XW" else "x": Drawn(scale=case.scale)},
    )
    result = check(problem(made))
    if result.verdict == Verdict.PASS:
        return Judged(case, result.verdict)
    first = next(one for one in result.gradients if one.verdict == result.verdict)
    kind = " ".join(word for word in first.reason.split() if not any(map(str.isdigit, word)))
    return Judged(case, result.verdict, kind, f"{first.gradient}: {first.reason}; {first.worst}")


def print_verdicts(found: list[Judged]) -> None:
    """How many of each type came out how, and an example of each kind that did not pass."""
    print("| dtype | checks | failed | inconclusive | |\n|---|---|---|---|---|")
    for dtype in ("float64", "float32"):
        verdicts = Counter(one.verdict for one in found if one.case.dtype == dtype)
        total, unsure = verdicts.total(), verdicts[Verdict.INCONCLUSIVE]
        print(
            f"| {dtype} | {total:,} | {verdicts[Verdict.FAIL]} | {unsure} | {unsure / total:.2%} |"
        )
    missed = [one for one in found if one.verdict != Verdict.PASS]
    for setting in ("loss", "activation", "scale", "form"):
        told = Counter((one.verdict.value, str(getattr(one.case, setting))) for one in missed)
        print(f"\nby {setting}: {dict(told.most_common(12))}")
    for (verdict, kind), times in Counter((one.verdict, one.kind) for one in missed).most_common():
        first = next(one for one in missed if (one.verdict, one.kind) == (verdict, kind))
        print(f"\n{times} {verdict}, such as {first.case}\n  {first.reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checks", type=int, default=27_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="how many cases to leave out first")
    arguments = parser.parse_args()
    started = time.perf_counter()
    chosen = islice(cases(), arguments.start, arguments.start + arguments.checks)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(judge, chosen, chunksize=50))
    print_verdicts(found)
    print(f"\n{len(found):,} checks, {time.perf_counter() - started:.0f} s")
    sys.exit(any(one.verdict == Verdict.FAIL for one in found))


if __name__ == "__main__":
    main()
