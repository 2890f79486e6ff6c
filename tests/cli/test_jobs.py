"""Many checks in processes and on a cluster: the same report; a process that ends costs little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Gradcheck, Result, command, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")

LAYERS = """
import os, signal, time
import numpy as np

def forward(x):
    return np.tanh(x)

def backward(delta, x):
    return delta / np.cosh(x) ** 2

def exits(x):
    os._exit(3)

def kills_its_parent(x):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)

def sleeps(x):
    time.sleep(60)
    return x
"""


def config(folder: Path, *forwards: str) -> Path:
    (folder / "layers.py").write_text(LAYERS, encoding="utf-8")
    path = folder / "layers.yaml"
    lines = ["inputs: {x: [4]}", "backward: layers.py:backward", "checks:"]
    lines += [
        f"- {{name: {name}-{place}, forward: 'layers.py:{name}'}}"
        for place, name in enumerate(forwards)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def checks(done: Result) -> list[Any]:
    """The checks of a JSON report, without the times they took."""
    found: list[Any] = json.loads(done.stdout)["checks"]
    for check in found:
        if check["result"]:
            del check["result"]["seconds"]
    return found


def many(folder: Path, count: int) -> Path:
    path = folder / "many.yaml"
    lines = ["form: XW", "shapes: {n: 4, N: 3, M: 2}", "checks:"]
    lines += [f"- {{name: check-{seed}, inputs: {{seed: {seed}}}}}" for seed in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("jobs", ["3", "auto"])
def test_the_report_is_that_of_one_process(jobs: str, gradcheck: Gradcheck, tmp_path: Path) -> None:
    path = many(tmp_path, 60)
    one, more = (gradcheck("run", "--format", "json", "--jobs", n, path) for n in ("1", jobs))
    assert one.returncode == more.returncode == 0, more.stderr
    assert checks(one) == checks(more)


def test_code_of_the_user_is_isolated_in_every_process(
    gradcheck: Gradcheck, tmp_path: Path
) -> None:
    path = config(tmp_path, "forward", "exits", "forward", "forward")
    done = gradcheck("run", "--allow-code", "--jobs", "2", "--format", "json", path)
    assert [check["outcome"] for check in checks(done)] == ["ok", "error", "ok", "ok"]
    assert "the code ended its process with exit code 3" in checks(done)[1]["error"]
    assert done.returncode == 2


def test_a_process_that_is_killed_costs_its_check_alone(
    gradcheck: Gradcheck, tmp_path: Path
) -> None:
    path = config(tmp_path, "forward", "kills_its_parent", *["forward"] * 6)
    done = gradcheck("run", "--allow-code", "--jobs", "2", "--format", "json", path)
    outcomes = [check["outcome"] for check in checks(done)]
    assert outcomes == ["ok", "error", *["ok"] * 6]
    # Its parent is the process that keeps the code loaded, which the other checks do without.
    said = "the code ended its process by SIGKILL; was it out of memory?"
    assert checks(done)[1]["error"] == said


def test_a_time_limit_holds_in_every_process(gradcheck: Gradcheck, tmp_path: Path) -> None:
    path = config(tmp_path, "sleeps", "forward")
    arguments = ("run", "--allow-code", "--jobs", "2", "--timeout", "1", "--format", "json")
    found = checks(gradcheck(*arguments, path))
    assert [check["outcome"] for check in found] == ["error", "ok"]
    assert "did not return within 1 s" in found[0]["error"]


def test_ctrl_c_stops_all_processes_and_prints_what_is_done(tmp_path: Path) -> None:
    path = config(tmp_path, "forward", "sleeps", "sleeps", "forward")
    process = subprocess.Popen(
        [command(), "run", "--allow-code", "--jobs", "2", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
        start_new_session=True,
    )
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "forward-0" in stdout
    assert "interrupted; " in stderr
    assert "Traceback" not in stderr
    time.sleep(0.5)
    left = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True)
    assert left.stdout == ""


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_processes_that_is_none(value: str, gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--jobs", value, "configs/mean.yaml")
    assert done.returncode == 2
    assert f"'{value}' is no number of processes: give 1 or more, or auto" in done.stderr


@pytest.mark.parametrize("value", ["soon", "0s", "-1", "1d", "nan"])
def test_a_budget_that_is_no_time(value: str, gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--budget", value, "configs/mean.yaml")
    assert done.returncode == 2
    assert f"'{value}' is no time: give seconds such as 10s, or 2m or 1h" in done.stderr


def test_a_budget_chooses_directions_and_says_so(gradcheck: Gradcheck) -> None:
    text = "form: XW\nshapes: {n: 8, N: 80, M: 60}\n"
    done = gradcheck("run", "--budget", "0.0000001s", "-", stdin=text)
    assert done.returncode == 0
    assert "∂L/∂W: by 7 random directions: an error above " in done.stdout


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A scheduler with two workers, each a process of its own."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    quiet = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}
    common = ["--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(**quiet),
            cwd=tmp_path,
            text=True,
        )

    scheduler = start("dask_scheduler", *common, "--port", "0")
    workers = [start("dask_worker", *common, "--no-nanny", "--nthreads", "1") for _ in range(2)]
    try:
        for _ in range(100):
            if file.exists() and file.read_text(encoding="utf-8"):
                break
            time.sleep(0.1)
        yield json.loads(file.read_text(encoding="utf-8"))["address"], workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


# Tells in which worker it runs, and gives the test the time to kill it.
SLOW = """
import os, time
import numpy as np

with open("started", "a") as file:
    file.write(f"{os.getppid()}\\n")

def forward(x):
    time.sleep(0.003)
    return np.tanh(x)

def backward(delta, x):
    return delta / np.cosh(x) ** 2
"""


def test_a_cluster_gives_the_same_report_though_a_worker_is_killed(
    cluster: tuple[str, list[subprocess.Popen[str]]], gradcheck: Gradcheck, tmp_path: Path
) -> None:
    address, workers = cluster
    path = config(tmp_path, *["forward"] * 5)
    (tmp_path / "layers.py").write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [command(), "run", "--allow-code", "--dask", address, "--format", "json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
        cwd=tmp_path,
    )
    started = tmp_path / "started"
    while not (started.exists() and f"{workers[0].pid}\n" in started.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    workers[0].kill()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    there = checks(subprocess.CompletedProcess([], 0, stdout, stderr))
    (tmp_path / "layers.py").write_text(SLOW.replace("0.003", "0"), encoding="utf-8")
    here = checks(gradcheck("run", "--allow-code", "--format", "json", path, cwd=tmp_path))
    assert there == here
