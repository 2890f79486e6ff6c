"""python -m tests.fuzz.signals --cases 2000: signals at random times of runs of several kinds.

After each: the exit code is that of the signal or of the run, every report that stands is whole and
has every check that was done, and no process and no file is left.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.support.command import ROOT, command, environment

CHECKS = 60
OUTPUTS = {"json": "r.json", "jsonl": "r.jsonl", "html": "r.html", "junit": "r.xml"}
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FORM = ("ok.yaml", "--seeds", str(CHECKS))
CODE = ("code.yaml", "--allow-code", "--seeds", str(CHECKS // 4))
MODES: dict[str, tuple[str, ...]] = {
    "in turn": FORM,
    "in processes": (*FORM, "--jobs", "2"),
    "code": CODE,
    "code in processes": (*CODE, "--jobs", "2"),
}
LONGEST = 60.0  # s that an interrupted run may take


def main() -> int:
    """The exit code: 0 where nothing was lost or left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for heard in NUMBERS:  # in the background, where a shell has them ignored, as would the runs
        signal.signal(heard, signal.SIG_DFL)
    lengths = {mode: measure(mode) for mode in MODES}
    codes, bad = Counter[str](), 0
    for number in range(given.cases):
        random = Random(f"{given.seed}/{number}")
        mode = random.choice(list(MODES))
        with TemporaryDirectory() as folder:
            code, wrong = interrupt(mode, lengths[mode], random, Path(folder))
        codes[f"{mode}: {code}"] += 1
        if wrong:
            bad += 1
            print(f"--seed {given.seed}, case {number}, {mode}: {wrong}", flush=True)
    for row in sorted(codes.items()):
        print("{:30} {:6,}".format(*row))
    print(f"{given.cases:,} runs were interrupted; {bad} of them badly")
    return 1 if bad else 0


def measure(mode: str) -> float:
    """Seconds of a run that nobody interrupts."""
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        _, err = start(mode, Path(folder)).communicate()
    assert not err, err
    return time.perf_counter() - started


def start(mode: str, folder: Path) -> subprocess.Popen[str]:
    """A run in a session of its own, whose temporary files are in the folder `tmp`."""
    (folder / "tmp").mkdir()
    (folder / "ok.yaml").write_text("form: XW\nshapes: {n: 5, N: 8, M: 4}\n")
    source = (ROOT / "docs" / "examples" / "affine.py").read_text()
    (folder / "affine.py").write_text(source)
    (folder / "code.yaml").write_text(
        "forward: affine.py:affine_forward\nbackward: affine.py:affine_backward\n"
        "inputs: {x: [4, 5], w: [5, 3], b: [3]}\n"
    )
    outputs = [word for item in OUTPUTS.items() for word in ("-o", "=".join(item))]
    return subprocess.Popen(
        [command(), "run", "--format", "jsonl", *MODES[mode], *outputs],
        cwd=folder,
        # A pipe that nobody reads would stop it.
        stdout=(folder / "out.jsonl").open("w"),
        env=environment(TMPDIR=str(folder / "tmp"), XDG_CACHE_HOME=str(folder / "tmp" / "cache")),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(mode: str, length: float, random: Random, folder: Path) -> tuple[int, str]:
    """The exit code of a run that is sent one or two signals, and what is wrong with it."""
    process = start(mode, folder)
    numbers = random.choices(NUMBERS, k=random.choice((1, 2)))
    time.sleep(random.uniform(0, 1.1 * length))
    for number in numbers:
        send = os.killpg if random.random() < 0.5 else os.kill
        try:
            send(process.pid, number)
        except ProcessLookupError:
            break
        time.sleep(random.choice((0, 0, 0.01, 0.1)))
    try:
        _, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 137, f"still runs {LONGEST:.0f} s after the signal"
    wrong = find_lost(folder, err) or find_left(folder, process.pid)
    # Two at once are heard in any order; before the command hears any, the system ends it.
    if process.returncode not in {0, *(128 + n for n in numbers), *(-n for n in numbers)}:
        said = f"exit code {process.returncode} after {numbers}"
        wrong = wrong or (said if has_begun(err) else "")
    return process.returncode, wrong and f"{wrong}\n{err}"


def find_lost(folder: Path, err: str) -> str:
    """What is wrong with stdout, stderr and the reports."""
    out = (folder / "out.jsonl").read_text()
    if has_begun(err) and len(err.splitlines()) > 1:
        return "stderr"
    done = max(0, out.count("\n") - 1)
    standing = [name for name in OUTPUTS.values() if (folder / name).exists()]
    if not standing and not out:
        return ""  # before anything was computed
    if len(standing) < len(OUTPUTS):
        return f"{done} checks were done; reports: {standing}"
    report = json.loads((folder / "r.json").read_text())
    lines = (folder / "r.jsonl").read_text().splitlines()
    cases = ElementTree.parse(folder / "r.xml").getroot().iter("testcase")
    counts = {
        "stdout": done,
        "json": len(report["checks"]),
        "jsonl": len(list(map(json.loads, lines))) - 1,
        "junit": len({case.get("name") for case in cases}),
    }
    if not (folder / "r.html").read_text().endswith("</html>\n"):
        return "the page is cut"
    return "" if len({*counts.values()}) == 1 else f"different counts: {counts}"


def has_begun(err: str) -> bool:
    """Whether a run was in our `main`; before, Python itself starts, and says what it likes."""
    return "Traceback" not in err or ("__main__.py" in err and ", in main" in err)


def find_left(folder: Path, session: int) -> str:
    """Files and processes that the run left."""
    expected = {
        "tmp",
        "ok.yaml",
        "code.yaml",
        "affine.py",
        "__pycache__",
        "out.jsonl",
        *OUTPUTS.values(),
    }
    files = [path for path in folder.iterdir() if path.name not in expected]
    files += [path for path in (folder / "tmp").iterdir() if path.name != "cache"]
    deadline = time.monotonic() + 2
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return f"left: {files} {left}" if files or left else ""


def processes_of(session: int) -> list[str]:
    """The command lines of the processes of a session, without those that ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
