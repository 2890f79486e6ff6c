"""The processes of a run as a user meets them: signals, few descriptors, processes that spawn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import command, environment, run_words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")

LAYERS = """
import pathlib, signal, time

def square(x):
    return x * x

def backward(delta, x):
    return 2 * x * delta

def sleep(x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path("sleeping").touch()
    time.sleep(100)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layers.py").write_text(LAYERS, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        "inputs: {x: [3]}\nbackward: layers.py:backward\nchecks:\n"
        "- {name: first, forward: layers.py:square}\n"
        "- {name: second, forward: layers.py:sleep}\n",
        encoding="utf-8",
    )
    (tmp_path / "temporary").mkdir()
    return tmp_path


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run that has come to the code that sleeps."""
    process = subprocess.Popen(
        [command(), "run", "--allow-code", *options, "c.yaml"],
        cwd=folder,
        env=environment(TMPDIR=str(folder / "temporary")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 30
    while not (folder / "sleeping").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return process


def count_processes(session: int) -> int:
    left = subprocess.run(["pgrep", "-s", str(session)], capture_output=True, check=False)
    return len(left.stdout.split())


@pytest.mark.parametrize("options", [(), ("--jobs", "2")])
def test_sigterm_to_the_group_leaves_no_files_and_no_processes(
    folder: Path, options: tuple[str, ...]
) -> None:
    process = start(folder, *options)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert ("first" in out) or options
    assert "Traceback" not in err
    assert list((folder / "temporary").iterdir()) == []
    assert count_processes(process.pid) == 0


@pytest.mark.parametrize("options", [(), ("--jobs", "2")])
def test_a_second_ctrl_c_leaves_no_processes(folder: Path, options: tuple[str, ...]) -> None:
    process = start(folder, *options)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert count_processes(process.pid) == 0


@pytest.mark.parametrize(("jobs", "limit"), [("1", 12), ("8", 6), ("8", 24)])
def test_few_file_descriptors_are_named_and_leave_no_processes(
    folder: Path, jobs: str, limit: int
) -> None:
    (folder / "c.yaml").write_text(
        "inputs: {x: [3]}\nbackward: layers.py:backward\nchecks:\n"
        + "- {forward: layers.py:square}\n" * 9
    )
    process = subprocess.Popen(
        f"ulimit -n {limit}; exec {command()} run --allow-code --jobs {jobs} c.yaml",
        shell=True,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert ": Too many open files\n" in out
    assert err == ""
    assert count_processes(process.pid) == 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_where_processes_are_spawned_the_report_is_the_same(folder: Path, jobs: str) -> None:
    (folder / "sleeping").touch()
    (folder / "c.yaml").write_text(
        "inputs: {x: [3]}\nbackward: layers.py:backward\nchecks:\n"
        + "- {forward: layers.py:square}\n" * 2
    )
    spawn = (
        "import multiprocessing; multiprocessing.set_start_method('spawn')\n"
        "from gradcheck_cli.__main__ import main; main()"
    )
    for program in ([command()], [sys.executable, "-c", spawn]):
        done = run_words(
            [*program, "run", "--allow-code", "--jobs", jobs, "-q", "c.yaml"],
            cwd=folder,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
