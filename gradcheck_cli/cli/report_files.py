"""Write reports to files, `-o FORMAT=PATH`; the paths are tested before any check runs.

A report is written to a file beside its path, which then replaces it: it is complete or not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gradcheck_cli.cli.streams import note
from gradcheck_cli.errors import UsageError
from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters import Screen, render

# Paths of descriptors of this process, as in `-o json=>(jq …)`. They are not opened by their path:
# writing would start at the beginning, and overwrite what stdout has written.
_DESCRIPTOR = re.compile(r"/dev/(?:stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


class ReportFiles:
    """The files to which a report is written; made by `open_report_files`."""

    def __init__(self, files: list[tuple[str, Path, Path | None]]) -> None:
        # The format, the path, and the file that will replace it; None for devices and pipes.
        self.files = files

    def write(self, report: SuiteReport, screen: Screen, mutants: bool) -> bool:
        """Write the report to every file, with a note on each failure; whether all worked."""
        written = True
        for format, path, beside in self.files:
            try:
                text = render(report, format, screen, mutants=mutants)
                with _open(beside or path) as file:
                    file.write(text)
                if beside is not None:
                    os.chmod(beside, _mode(path))
                    os.replace(beside, path)
            except OSError as error:
                note(f"error: cannot write the report '{path}': {error.strerror or error}")
                written = False
                _remove(beside)  # a full disk may have room for the other reports then
            except Exception as error:  # an internal error; other reports are still written
                note(f"internal error: no {format} report: {type(error).__name__}: {error}")
                written = False
        return written


@contextmanager
def open_report_files(
    targets: Sequence[tuple[str, str]], configs: Sequence[str]
) -> Iterator[ReportFiles]:
    """The files of these formats and paths, tested to be writable; missing folders are made.

    Raises UsageError where a file cannot be written, is given twice, or is or may be a config.
    """
    from gradcheck_cli.config.load import SUFFIXES

    files: list[tuple[str, Path, Path | None]] = []
    try:
        for format, name in targets:
            path = _resolve(name)
            if path in [other for _, other, _ in files]:
                raise UsageError(f"two reports cannot go to the same file '{name}'")
            if any(_same(path, config) for config in configs):
                raise UsageError(f"'{name}' is a config; a report would overwrite it")
            if path.suffix in SUFFIXES and path.exists():
                raise UsageError(
                    f"'{name}' is YAML and may be a config; remove it, or name another"
                )
            files.append((format, path, _beside(path, name)))
        yield ReportFiles(files)
    finally:
        for _, _, beside in files:
            _remove(beside)


def _resolve(name: str) -> Path:
    """The path of a file without links; devices and pipes keep their names, which always work."""
    special = os.path.exists(name) and not os.path.isfile(name)
    return Path(name if special or _descriptor(name) is not None else os.path.realpath(name))


def _descriptor(name: str) -> int | None:
    """The number of the descriptor that a path stands for; None if it is a file."""
    found = _DESCRIPTOR.fullmatch(name)
    if found is None:
        return None
    return _STANDARD[name] if found[1] is None else int(found[1])


def _open(path: Path) -> TextIO:
    """The file, pipe or descriptor of this path, opened to write a report."""
    descriptor = _descriptor(str(path))
    target = path if descriptor is None else os.dup(descriptor)
    return open(target, "w", encoding="utf-8", errors="replace")


def _remove(beside: Path | None) -> None:
    if beside is not None:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _same(path: Path, config: str) -> bool:
    with suppress(OSError):
        return path.samefile(config)
    return False


def _beside(path: Path, name: str) -> Path | None:
    """Make an empty file in the same folder, to replace the path; None if that is not a regular
    file. Raises UsageError where the path cannot be written."""
    if name == "-":
        raise UsageError("'-' is no file; --format says what is written to stdout")
    try:
        descriptor = _descriptor(name)
        if descriptor is not None:
            os.write(descriptor, b"")  # fails where it is closed, or only read from
            return None
        if path.is_dir():
            raise UsageError(f"cannot write the report '{name}': it is a directory")
        if path.exists() and not path.is_file():
            return None
        if path.exists() and not os.access(path, os.W_OK):
            raise UsageError(f"cannot write the report '{name}': Permission denied")
        if path.parent.exists() and not path.parent.is_dir():
            raise UsageError(f"cannot write the report '{name}': its folder is a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        import tempfile

        handle, made = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write the report '{name}': {error.strerror or error}") from error
    os.close(handle)
    return Path(made)


def _mode(path: Path) -> int:
    """The permissions of the file that will be replaced, or those of a new file."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
