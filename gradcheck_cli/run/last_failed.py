"""Remember which checks failed when they were last run from a folder, for `--last-failed`.

The list is kept in the user's cache, a file for each folder, so that repositories stay unchanged.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from gradcheck_cli.report import CheckReport, Outcome
from gradcheck_cli.text import printable

# The folder of caches by system: the variable that names it, and where it is by default.
_CACHES = {
    "win32": ("LOCALAPPDATA", "~/AppData/Local"),
    "darwin": ("XDG_CACHE_HOME", "~/Library/Caches"),
}

Failed = set[tuple[str, str]]  # path and id of checks, as `key` makes them


def key(path: str, id: str) -> tuple[str, str]:
    """The key of a check: the path of its config, without links, and its id."""
    shown = printable(path)
    with suppress(OSError):  # the folder it is named from was deleted
        shown = os.path.realpath(shown)
    return shown, printable(id)


def list_failed() -> Failed:
    """The checks that failed when they were last run from the working directory."""
    with suppress(OSError):
        return _read(_find_file())
    return set()


def keep(reports: Sequence[CheckReport]) -> None:
    """Record which of these checks failed, and leave others as recorded; no error is raised."""
    with suppress(OSError):
        path = _find_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            known = _read(path)
            now = set(known)
            for report in reports:
                if report.outcome == Outcome.NOT_RUN:
                    continue
                check = key(report.path, report.id)
                (now.discard if report.outcome == Outcome.OK else now.add)(check)
            if now != known:
                _write(path, now)


def _read(path: Path) -> Failed:
    """The failures that a file lists; none where the file is broken or missing."""
    if not path.is_file():
        return set()
    with suppress(msgspec.MsgspecError, RecursionError):
        return set(msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str]]))
    return set()


def _write(path: Path, failed: Failed) -> None:
    # Imported here, as hashlib below: both take a tenth of the start of commands that run nothing.
    import tempfile

    handle, beside = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(msgspec.json.encode(sorted(failed)))
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other runs from replacing the file meanwhile, on systems that have locks."""
    with open(path.with_suffix(".lock"), "ab") as file:
        with suppress(ImportError, OSError):  # Windows; a network
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _find_file() -> Path:
    import hashlib

    # No dependency just for these three folders.
    named, usual = _CACHES.get(sys.platform, ("XDG_CACHE_HOME", "~/.cache"))
    base = os.environ.get(named) or os.path.expanduser(usual)
    if not os.path.isabs(base):
        raise FileNotFoundError("there is no home")
    name = hashlib.sha256(os.getcwd().encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return Path(base, "gradcheck", "failed", f"{name}.json")
