"""How fast, beside what else there is: whole processes on the same problem, one after the other.

python -m tests.benchmarks.speed [--sizes n N M] [--peers NAME…] [--share 0.1]
    [--start] [--scaling] [--directions] [--many 10000]
What is not installed is left out; pip install '.[bench]' gets the small ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.peers import ENTRIES, PEERS

LIBRARIES = ("numpy", "scipy", "autograd", "jax", "torch")
NEEDS = {"naive": "numpy", "scipy": "scipy", "jax": "jax"}
NEEDS |= {"torch": "torch", "autograd": "autograd"}
OURS = [sys.executable, "-m", "gradcheck_cli"]
# Peers that take minutes are measured on a share of the entries.
SLOW = {name for name, (_, looks) in PEERS.items() if looks == ENTRIES}


class Run(NamedTuple):
    """A whole process: wall-clock seconds, MB at its peak, its exit code and what it wrote."""

    seconds: float
    megabytes: float
    code: int
    output: str


def process(arguments: list[str]) -> Run:
    """Run a command to its end, with the environment of a user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            kept,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
            ],
        )
        _, status, used = os.wait4(pid, 0)
        seconds = time.perf_counter() - started
        out.seek(0)
        errors.seek(0)
        text = (out.read() or errors.read()).decode()
    return Run(seconds, used.ru_maxrss / 1000, os.waitstatus_to_exitcode(status), text)


def table(heads: list[str], rows: list[list[str]]) -> None:
    for cells in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(cells)} |")
    print()


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def problem(folder: Path, sizes: tuple[int, int, int], extra: str = "") -> Path:
    """The arrays of a layer, and its config."""
    random, (n, N, M) = np.random.default_rng(0), sizes
    for name, shape in {"X": (n, N), "W": (N, M), "t": (n, M)}.items():
        np.save(folder / f"{name}.npy", random.standard_normal(shape))
    config = folder / "layer.yaml"
    arrays = "inputs: {X: X.npy, W: W.npy, t: t.npy}"
    config.write_text(f"form: XW\nreduction: mean\n{arrays}\n{extra}", encoding="utf-8")
    return config


def ours(config: Path, *options: str) -> tuple[Run, list[Any]]:
    """Our run, and its gradients; every one must pass."""
    done = process([*OURS, "run", "--format", "json", *options, str(config)])
    assert done.code == 0, done.output
    (check,) = json.loads(done.output)["checks"]
    return done, check["result"]["gradients"]


def compare(sizes: tuple[int, int, int], names: list[str], share: float, repeat: int) -> None:
    """Ours and the peers, at the same entries of the same layer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs: list[Run] = []
        for _ in range(repeat):
            done, found = ours(problem(folder, sizes))
            assert all(one["measured"] == one["entries"] for one in found), "not every entry"
            runs.append(done)
        mine = statistics.median(run.seconds for run in runs)
        error = max(one["bound"] for one in found)
        entries = sum(one["entries"] for one in found)
        by = " and ".join(sorted({one["method"] for one in found}))
        peak = max(run.megabytes for run in runs)
        shown = (f"gradcheck ({by})", f"{mine:.2f} s", "1", f"{peak:.0f} MB", ENTRIES)
        rows = [[*shown, f"{error:.0e}"]]
        rows += [_peer(one, folder, share if one in SLOW else 1.0, mine, entries) for one in names]
    print(f"n, N, M = {sizes}: {entries:,} entries; median of {repeat} runs of ours\n")
    table(["", "whole process", "× ours", "peak", "looks at", "worst error, of the largest"], rows)


def _peer(peer: str, folder: Path, share: float, mine: float, entries: int) -> list[str]:
    """A row: the time of a peer; where it is slow, from the time that more entries take it."""
    runs = []
    for part in (share,) if share == 1.0 else (share / 4, share):
        words = [sys.executable, "-m", "tests.benchmarks.peers", peer, str(folder), str(part)]
        done = process(words)
        if done.code:
            failed = f"failed: {done.output.strip().splitlines()[-1][:60]}"
            return [peer, failed, "", "", "", ""]
        told = json.loads(done.output.splitlines()[-1])
        for name, total in told["sums"].items():
            if (
                total is not None
                and abs(total - told["expected"][name]) > 1e-2 * told["expected"][name]
            ):
                return [peer, "another gradient", "", "", "", ""]
        assert sum(told["of"].values()) == entries
        runs.append((sum(told["entries"].values()), done.seconds))
    measured, seconds = runs[-1]
    shown = f"{seconds:,.2f} s"
    if measured < entries:
        # What is imported and compiled first is not paid again for more entries.
        (few, short), (many, long) = runs
        seconds += (entries - many) * (long - short) / (many - few)
        shown = f"≈ {seconds:,.0f} s (from {measured / entries:.0%})"
    looks = PEERS[peer][1]
    return [peer, shown, f"{seconds / mine:,.0f}", f"{done.megabytes:.0f} MB", looks, ""]


def start(repeat: int) -> None:
    """Commands that do little, in turns with the import of numpy."""
    small, broken = "configs/mean.yaml", "tests/data/errors/unknown-key.yaml"
    commands = {
        f"gradcheck run {small}": [*OURS, "run", small],
        f"gradcheck validate {small}": [*OURS, "validate", small],
        "gradcheck --help": [*OURS, "--help"],
        "a config error": [*OURS, "run", broken],
    }
    numpy = [sys.executable, "-c", "import numpy"]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repeat):
        for name, command in commands.items():
            times[name].append((process(command).seconds, process(numpy).seconds))
    rows = []
    for name, pairs in times.items():
        one, other = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(mine / theirs for mine, theirs in pairs)
        rows.append([f"`{name}`", f"{one * 1e3:.0f} ms", f"{other * 1e3:.0f} ms", f"{ratio:.2f}"])
    table(["", "median", "`import numpy`", "ratio, median of pairs"], rows)


def scaling(sizes: list[tuple[int, int, int]]) -> None:
    """Ours at growing sizes, and the exponent of the time."""
    rows, points = [], []
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            done, found = ours(problem(Path(name), size, "numeric: {mode: entries}\n"))
            entries = sum(one["entries"] for one in found)
            points.append((np.log(entries), np.log(done.seconds)))
            cells = [f"{entries:,}", f"{done.seconds:.2f} s", f"{done.megabytes:.0f} MB"]
            rows.append(["×".join(map(str, size)), *cells])
    table(["n×N×M", "entries", "whole process", "peak"], rows)
    x, y = np.array(points).T
    exponent = np.polyfit(x, y, 1)[0]
    print(f"time grows like entries^{exponent:.2f}\n")


def directions() -> None:
    """Large layers by random directions: the forwards, the bound, the time and the memory."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "layer.yaml"
        for text, arrays in (
            ("form: XW\nshapes: {n: 64, N: 2048, M: 1024}\n", 64 * 2048 + 2048 * 1024 + 64 * 1024),
            ("form: xW\nshapes: {N: 10000, M: 10000}\n", 10**8 + 2 * 10**4),
        ):
            config.write_text(f"{text}numeric: {{mode: directions}}\n", encoding="utf-8")
            done, found = ours(config)
            own = arrays * 8 / 1e6
            entries, bound = (
                sum(one["entries"] for one in found),
                max(one["bound"] for one in found),
            )
            evaluations = json.loads(done.output)["checks"][0]["result"]["evaluations"]
            used = [f"{done.seconds:.1f} s", f"{done.megabytes:,.0f} MB"]
            shown = [f"{entries:,}", f"{evaluations / len(found):.0f}", f"{bound:.0e}"]
            rows.append([*shown, *used, f"{done.megabytes / own:.1f}"])
    heads = ["entries", "forwards a gradient", "bound", "whole process", "peak", "of its arrays"]
    table(heads, rows)


def many(count: int) -> None:
    """Many small checks, in one process and in two."""
    lines = ["form: XW", "shapes: {n: 4, N: 3, M: 2}", "checks:"]
    lines += [f"- {{name: c{seed}, inputs: {{seed: {seed}}}}}" for seed in range(count)]
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "many.yaml"
        config.write_text("\n".join(lines), encoding="utf-8")
        rates = [
            count / process([*OURS, "run", "--jobs", jobs, str(config)]).seconds for jobs in "12"
        ]
    cells = [f"{rate:.0f}" for rate in rates]
    table(
        ["checks", "a second, --jobs 1", "--jobs 2", "ratio"],
        [[f"{count:,}", *cells, f"{rates[1] / rates[0]:.2f}"]],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs=3, type=int, default=(64, 512, 256))
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=list(PEERS), metavar="NAME"
    )
    parser.add_argument("--share", type=float, default=0.1, help="of the entries, for slow peers")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--directions", action="store_true")
    parser.add_argument("--many", type=int, default=0, metavar="COUNT")
    arguments = parser.parse_args()
    found = {name: installed(name) for name in LIBRARIES}
    versions = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n")
    print(f"`python -m tests.benchmarks.speed {' '.join(sys.argv[1:])}`\n")
    if arguments.start:
        start(4 * arguments.repeat)
    if arguments.scaling:
        scaling([(64, 128, 64), (64, 256, 128), (64, 512, 256), (64, 1024, 512)])
    if arguments.directions:
        directions()
    if arguments.many:
        many(arguments.many)
    if not (arguments.start or arguments.scaling or arguments.directions or arguments.many):
        known = [peer for peer in arguments.peers if found[NEEDS[peer.split()[0].strip(",")]]]
        compare(tuple(arguments.sizes), known, arguments.share, arguments.repeat)


if __name__ == "__main__":
    main()
