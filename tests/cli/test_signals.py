"""Ctrl-C and SIGTERM at every stage: what was computed is written, and nothing is left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.command import command, environment, run_words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminated",
}
CHECKS = 60
OUTPUTS = {"json": "r.json", "jsonl": "r.jsonl", "html": "r.html", "junit": "r.xml"}


def start(folder: Path, *options: str, size: int = 2) -> subprocess.Popen[str]:
    """A run of many checks that writes many reports."""
    (folder / "ok.yaml").write_text(f"form: XW\nshapes: {{n: {size}, N: 3, M: 3}}\n")
    outputs = [word for item in OUTPUTS.items() for word in ("-o", "=".join(item))]
    return subprocess.Popen(
        [command(), "run", "--seeds", str(CHECKS), "ok.yaml", *outputs, *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not happened() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)


def read_reports(folder: Path) -> dict[str, int]:
    """How many checks each report has; every one of them is whole."""
    report = json.loads((folder / "r.json").read_text())
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    cases = ElementTree.parse(folder / "r.xml").getroot().iter("testcase")
    page = (folder / "r.html").read_text()
    assert page.endswith("</html>\n")
    assert {report["interrupted"], lines[-1]["interrupted"]} == {report["interrupted"]}
    names = {case.get("classname") for case in cases} - {None}
    assert names or not report["checks"]
    return {"json": len(report["checks"]), "jsonl": len(lines) - 1}


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("report", "number"),
    list(zip(OUTPUTS.values(), [signal.SIGINT, signal.SIGTERM] * 2, strict=True)),
)
def test_signals_wait_until_every_report_is_written(
    report: str, number: signal.Signals, tmp_path: Path
) -> None:
    process = start(tmp_path)
    wait_for((tmp_path / report).exists, process)
    for _ in range(2):
        process.send_signal(number)
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert set(read_reports(tmp_path).values()) == {CHECKS}
    assert not json.loads((tmp_path / "r.json").read_text())["interrupted"]
    assert f"{CHECKS} checks" in out
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ((), signal.SIGTERM),
        (("--jobs", "2"), signal.SIGINT),
        (("--jobs", "2"), signal.SIGHUP),
    ],
)
def test_a_signal_while_checks_run_leaves_reports_of_what_was_done(
    options: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    # Not communicate(), which would not see what readline() has read ahead.
    with start(tmp_path, "--format", "jsonl", *options, size=40) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        for _ in range(2):
            process.send_signal(number)
        out, err = process.stdout.read(), process.stderr.read()
    done = (first + out).count("\n") - 1
    assert process.returncode == CODES[number]
    said = f"gradcheck: interrupted; {done} check{'s' * (done != 1)} of {CHECKS} done"
    assert re.fullmatch(re.escape(said) + r"(, [\d,]+ of [\d,]+ entries measured)?\n", err)
    assert 0 < done < CHECKS
    assert set(read_reports(tmp_path).values()) == {done}
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["interrupted"], report["exit_code"]) == (True, CODES[number])
    assert report["not_reached"] == CHECKS - done
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("click", signal.SIGINT),
        ("yaml", signal.SIGTERM),
        ("numpy", signal.SIGINT),
        ("numpy.random", signal.SIGHUP),
        ("gradcheck_cli.measure.measure", signal.SIGINT),
    ],
)
def test_a_signal_in_any_import_ends_the_command_without_a_traceback(
    module: str, number: signal.Signals, tmp_path: Path
) -> None:
    """A finder of modules sends the signal, and makes an ImportError of what it raises."""
    (tmp_path / "ok.yaml").write_text("form: XW\nshapes: {n: 2, N: 3, M: 3}\n")
    program = f"""
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), {int(number)})
            except BaseException as error:
                raise ImportError from error
sys.meta_path.insert(0, Finder())
from gradcheck_cli.__main__ import main
sys.argv = ["gradcheck", "run", "ok.yaml", "-o", "json=r.json"]
main()
"""
    done = run_words([sys.executable, "-c", program], cwd=tmp_path)
    assert done.returncode == CODES[number]
    assert done.stderr.splitlines()[0] in (
        f"gradcheck: {WORDS[number]}",
        "gradcheck: interrupted; 0 checks of 1 done",
    )
    assert len(done.stderr.splitlines()) == 1
    assert left_behind(tmp_path) == []


def test_what_is_told_to_ignore_ctrl_c_ignores_it(tmp_path: Path) -> None:
    (tmp_path / "ok.yaml").write_text("form: XW\nshapes: {n: 2, N: 3, M: 3}\n")
    line = f"trap '' INT; {command()} run --seeds 80 ok.yaml & pid=$!; sleep 0.3; kill -INT $pid; "
    done = run_words(["bash", "-c", line + "wait $pid"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command_name", "number"),
    [
        ("run", signal.SIGINT),
        ("validate", signal.SIGTERM),
        ("mutate", signal.SIGHUP),
        ("steps", signal.SIGINT),
    ],
)
def test_a_signal_while_a_config_is_read_ends_the_command(
    command_name: str, number: signal.Signals, tmp_path: Path
) -> None:
    """It waits for the rest of a pipe, in Python code of its own, when the signal comes."""
    process = subprocess.Popen(
        [command(), command_name, "-"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("form: XW\n" + "# a comment\n" * 20_000)  # more than a pipe holds
    process.stdin.flush()
    time.sleep(0.3)  # it reads on
    process.send_signal(number)
    assert process.wait(timeout=60) == CODES[number]
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read() == ""
    assert process.stderr.read() == f"gradcheck: {WORDS[number]}\n"
    process.communicate()
