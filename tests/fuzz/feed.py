"""Feeds a case to the program, and says what is wrong with what comes back."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from gradcheck_cli.cli import exit_code
from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import FormulaError, ForwardError, GradcheckError
from gradcheck_cli.formula import parse
from gradcheck_cli.run.one import run_check
from tests.fuzz.cases import NAMES, Case

MOST_SECONDS = 1.0  # of the processor, for a case
MOST_BYTES = 500 * 2**20  # of memory that a case adds
MOST_CHECKS = 2  # of a config that are run
ARRAYS = {
    name: np.random.default_rng(0).normal(size=shape)
    for name, shape in NAMES.items()
    if isinstance(shape, tuple)
}


def feed(case: Case, folder: Path) -> str:
    """What is wrong with how a case is taken; empty: nothing. folder: for its files."""
    started, before = time.process_time(), peak_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wrong = FEEDERS[case.kind](case.what, folder)
        except Exception:
            return traceback.format_exc()
    seconds, grown = time.process_time() - started, peak_memory() - before
    if seconds > MOST_SECONDS:
        return f"took {seconds:.1f} s"
    return wrong or (f"took {grown / 2**20:.0f} MB" if grown > MOST_BYTES else "")


def peak_memory() -> int:
    """Bytes that this process had at most."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def feed_config(text: str, folder: Path) -> str:
    """Read it: checks, or an error of ours."""
    with contextlib.suppress(GradcheckError):
        read_config(text, str(folder / "c.yaml"))
    return ""


def feed_run(text: str, folder: Path) -> str:
    """Read it and run some of its checks: each has an outcome that is no error of the program."""
    try:
        checks = read_config(text, str(folder / "c.yaml"))
    except GradcheckError:
        return ""
    small = [check for check in checks if sum(size for _, size in check.layer.gradients) < 100]
    for place, check in enumerate(small[:MOST_CHECKS]):
        if check.layer.code:
            continue
        report = run_check(check, lambda entries: None, power=place == 1)
        if "internal error" in report.error:
            return f"{report.id}: {report.error}"
    return ""


def feed_formula(text: str, folder: Path) -> str:
    """Parse it, and evaluate it: the shape is the one that was worked out."""
    with contextlib.suppress(FormulaError, ForwardError):
        formula = parse(text, NAMES)
        shape = np.shape(formula(ARRAYS))
        return "" if shape == formula.shape else f"{shape} is not {formula.shape}: {text}"
    return ""


def feed_array(file: tuple[str, bytes], folder: Path) -> str:
    """Name it as an input."""
    suffix, data = file
    (folder / f"w{suffix}").write_bytes(data)
    return feed_run(f"form: XW\nshapes: {{n: 2, N: 2, M: 2}}\ninputs: {{W: w{suffix}}}\n", folder)


def feed_options(words: list[str], folder: Path) -> str:
    """Run the command in this process, without its processes and without files."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    for stream in (out, err):
        stream.reconfigure(errors="replace")
    with (
        contextlib.chdir(folder),
        mock.patch.multiple(sys, stdin=io.TextIOWrapper(io.BytesIO()), stdout=out, stderr=err),
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder)}),
    ):
        code = exit_code([word.replace("\0", "") for word in words])
        err.flush()
    told = err.buffer.getvalue().decode() if isinstance(err.buffer, io.BytesIO) else ""
    return f"exit code {code}: {told}" if code == 4 or "internal error" in told else ""


FEEDERS: dict[str, Callable[[Any, Path], str]] = {
    "config": feed_config,
    "formula": feed_formula,
    "array": feed_array,
    "options": feed_options,
    "run": feed_run,
}
