"""python -m tests.fuzz --cases 1000000: feed many cases, and print those that are taken badly."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.cases import make_case
from tests.fuzz.feed import feed, peak_memory


def main() -> int:
    """The exit code: 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    given = parser.parse_args()
    started, kinds, found = time.perf_counter(), Counter[str](), 0
    with TemporaryDirectory() as folder:
        for number in range(given.first, given.first + given.cases):
            case = make_case(given.seed, number)
            kinds[case.kind] += 1
            wrong = feed(case, Path(folder))
            if wrong:
                found += 1
                print(f"--seed {given.seed} --first {number} --cases 1: {case.kind}\n{case.what!r}")
                print(wrong, flush=True)
    seconds = time.perf_counter() - started
    listed = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(kinds.items()))
    print(
        f"{given.cases:,} cases ({listed}) in {seconds:.0f} s; {found} were taken badly; ", end=""
    )
    print(f"{peak_memory() / 2**20:.0f} MB at most")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
