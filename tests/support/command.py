"""The installed command as a user runs it; neither widths nor colours come from outside."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden"
CACHE = TemporaryDirectory(prefix="gradcheck-tests-")

Golden = Callable[[Path, str], None]
Result = subprocess.CompletedProcess[str]
Gradcheck = Callable[..., Result]


def environment(**extra: str) -> dict[str, str]:
    """The environment without what changes colours and widths."""
    dropped = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "GITHUB_STEP_SUMMARY"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # What failed last is remembered for the tests alone.
    cache = {"XDG_CACHE_HOME": CACHE.name}
    return {**kept, **cache, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1", **extra}


def command() -> str:
    """The installed console script."""
    name = "gradcheck.exe" if sys.platform == "win32" else "gradcheck"
    return str(Path(sysconfig.get_path("scripts")) / name)


def run_words(
    words: Sequence[str | Path],
    *,
    stdin: str | None = None,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    timeout: float = 60,
) -> Result:
    """Run a program to its end. env: what it has besides `environment`."""
    return subprocess.run(
        list(map(str, words)),
        input=stdin,
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def shell(line: str, timeout: float = 60) -> Result:
    """Runs a line of bash in which the first `gradcheck` is the installed command."""
    return run_words(["bash", "-c", line.replace("gradcheck", command(), 1)], timeout=timeout)


def run_process(
    *arguments: str | Path, stdin: str = "", cwd: Path = ROOT, env: dict[str, str] | None = None
) -> Result:
    """Run the installed command in a process of its own."""
    return run_words([command(), *arguments], stdin=stdin, cwd=cwd, env=env)


def run_here(
    *arguments: str | Path, stdin: str = "", cwd: Path = ROOT, env: dict[str, str] | None = None
) -> Result:
    """Run the command in this process: what it does, without the start of an interpreter."""
    from gradcheck_cli.cli import exit_code

    words = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "replace") for _ in range(2))
    source = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    with (
        chdir(cwd),
        mock.patch.dict(os.environ, environment(**(env or {})), clear=True),
        mock.patch.multiple(sys, stdin=source, stdout=out, stderr=err),
    ):
        code = exit_code(words)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(words, code, *texts)
