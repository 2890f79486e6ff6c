"""`run --watch`: a change of a file runs the checks that it touches, and no others."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from unittest import mock

import pytest

from tests.support.command import Gradcheck, command, environment

needs_watchfiles = pytest.mark.skipif(find_spec("watchfiles") is None, reason="needs watchfiles")
FORM = "form: XW\nshapes: {n: 2, N: 3, M: 3}\n"
CODE = "forward: l.py:square\nbackward: l.py:square_backward\ninputs: {x: [3]}\n"
LAYER = "from helper import two\ndef square(x): return x * x\n"
LAYER += "def square_backward(delta, x): return two * x * delta\n"


class Watched:
    """A run that stays; its notes come line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until_waiting(self) -> list[str]:
        """What it says before it waits."""
        assert self.process.stderr is not None
        lines = []
        limit = Timer(30, self.process.kill)
        limit.start()
        for line in self.process.stderr:
            if "waiting for changes" in line:
                break
            lines.append(line.removeprefix("gradcheck: ").rstrip("\n"))
        limit.cancel()
        return lines


@contextmanager
def watching(folder: Path, *words: str) -> Iterator[Watched]:
    for name, text in {
        **{"form.yaml": FORM, "code.yaml": CODE, "other.py": "", "notes.txt": ""},
        **{"l.py": LAYER, "helper.py": "two = 2\n"},
    }.items():
        (folder / name).write_text(text)
    out = (folder / "out.txt").open("w")
    process = subprocess.Popen(
        [command(), "run", "--watch", "--allow-code", "--format", "plain", *words],
        cwd=folder,
        env=environment(),
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
    )
    with out, process:
        try:
            yield Watched(process)
        finally:
            process.kill()


def outcomes(folder: Path) -> list[str]:
    """The outcome and the check of every gradient that was reported, in the order of the runs."""
    lines = (folder / "out.txt").read_text().splitlines()
    return [" ".join(line.split("\t")[:2]) for line in lines]


@needs_watchfiles
def test_a_change_runs_what_it_touches(tmp_path: Path) -> None:
    with watching(tmp_path, ".") as run:
        assert run.until_waiting() == []
        first = ["ok code", "ok form", "ok form"]
        assert outcomes(tmp_path) == first
        (tmp_path / "notes.txt").write_text("no file of ours")
        (tmp_path / "helper.py").write_text("two = 3\n")
        assert run.until_waiting() == ["helper.py changed", "1 of 2 checks to run again"]
        assert outcomes(tmp_path)[3:] == ["wrong code"]
        (tmp_path / "form.yaml").write_text(FORM + "loss: linear\n")
        said = run.until_waiting()
        assert said[1:] == ["1 of 2 checks to run again", "1 other check failed when last run"]
        assert outcomes(tmp_path)[4:] == ["ok form", "ok form"]
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(timeout=30) == 130


@needs_watchfiles
def test_what_changed_while_a_config_was_broken_is_run_when_it_is_whole(tmp_path: Path) -> None:
    with watching(tmp_path, "form.yaml", "code.yaml") as run:
        run.until_waiting()
        (tmp_path / "form.yaml").write_text(FORM + "shapez: 1\n")
        assert any("did you mean 'shapes'?" in line for line in run.until_waiting())
        (tmp_path / "helper.py").write_text("two = 3\n")
        assert any("did you mean 'shapes'?" in line for line in run.until_waiting())
        (tmp_path / "form.yaml").write_text(FORM)
        assert "2 of 2 checks to run again" in run.until_waiting()
        assert outcomes(tmp_path)[3:] == ["ok form", "ok form", "wrong code"]
        run.process.terminate()
        assert run.process.wait(timeout=30) == 143


def test_stdin_cannot_be_watched(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--watch", "-", stdin=FORM)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gradcheck: error: --watch needs files; stdin is read once\n"


def test_without_watchfiles_it_says_what_to_install(gradcheck: Gradcheck) -> None:
    with mock.patch.dict(sys.modules, {"watchfiles": None}):
        done = gradcheck("run", "--watch", "configs/mean.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'gradcheck-cli[watch]'" in done.stderr
