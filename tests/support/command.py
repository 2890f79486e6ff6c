"""The installed command as a user runs it; neither widths nor colours come from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

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


def shell(line: str, timeout: float = 60) -> Result:
    """Runs a line of bash in which the first `gradcheck` is the installed command."""
    return subprocess.run(
        ["bash", "-c", line.replace("gradcheck", command(), 1)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
