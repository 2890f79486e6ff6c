"""Read `[tool.gradcheck]` of pyproject.toml, or gradcheck.toml: defaults for commands.

Like a config, it comes with its folder and is not trusted: it cannot allow code to run, and cannot
name a file outside that folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from glob import escape
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gradcheck_cli.errors import UsageError
from gradcheck_cli.text import suggest

OWN_FILE, SHARED_FILE = "gradcheck.toml", "pyproject.toml"
MAX_BYTES = 2**20  # of such a file; more is not read
TABLE = "tool.gradcheck"
LEAVE = ("allow_code", "allow-code")  # keys that would allow code to run


class ProjectTolerance(Struct, frozen=True, forbid_unknown_fields=True):
    """The tolerance of checks whose config gives none."""

    rtol: Annotated[float, Meta(gt=0, lt=1)] | None = None
    atol: Annotated[float, Meta(ge=0)] | None = None

    def list_given(self) -> dict[str, float]:
        """The values that are given, by key."""
        values = {"rtol": self.rtol, "atol": self.atol}
        return {key: value for key, value in values.items() if value is not None}


class Project(Struct, frozen=True, forbid_unknown_fields=True):
    """The defaults of a project for all commands; options of the command line override them.

    paths, select: the configs and checks of a command that names no config.
    exclude: globs of files and folders to leave out of folders.
    seeds, jobs, format, output: see the options. tolerance: of checks whose config gives none.
    """

    paths: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    seeds: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    jobs: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] | None = None
    tolerance: ProjectTolerance = ProjectTolerance()
    format: str | None = None
    output: tuple[str, ...] = ()


def find_project(start: Path) -> Project | None:
    """The project of the nearest folder from `start` upwards that has one, up to the root of a git
    checkout; None if none has.

    Its paths become relative to the working directory. Raises UsageError where it is not valid.
    """
    for folder in (start, *start.parents):
        for name in (OWN_FILE, SHARED_FILE):
            table = _read_table(folder / name)
            if table is not None:
                return _read_project(table, folder / name)
        if (folder / ".git").exists():
            break
    return None


def _read_table(path: Path) -> Mapping[str, Any] | None:
    """The table of gradcheck in a file; None if it has none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror or error}") from error
    if path.name == SHARED_FILE and b"gradcheck" not in data:
        return None
    import tomllib

    try:
        whole = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{os.path.relpath(path)} is not TOML: {error}") from error
    if path.name == OWN_FILE:
        return whole
    tool = whole.get("tool")
    table = tool.get("gradcheck") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _read_project(table: Mapping[str, Any], path: Path) -> Project:
    where = os.path.relpath(path) + ("" if path.name == OWN_FILE else f": [{TABLE}]")
    for key in table:
        if key in LEAVE:
            message = "leave to run code is given on the command line alone: --allow-code"
            raise UsageError(f"{where}: {message}")
        if key not in Project.__struct_fields__:
            known = suggest(key, Project.__struct_fields__, "the keys are")
            raise UsageError(f"{where}: unknown key '{key}'{known}")
    try:
        project = msgspec.convert(table, Project)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {str(error).replace('`$.', '`')}") from error
    folder = path.parent
    return msgspec.structs.replace(
        project,
        paths=tuple(_locate(name, folder, where) for name in project.paths),
        exclude=tuple(anchor(pattern, folder) for pattern in project.exclude),
        output=tuple(_locate_reports(project.output, folder, where)),
    )


def _locate_reports(output: tuple[str, ...], folder: Path, where: str) -> Iterator[str]:
    """Each FORMAT=PATH with the path relative to the working directory."""
    for target in output:
        format, equals, name = target.partition("=")
        path = _locate(name, folder, where)
        whole = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
        if any(part.startswith(".") for part in Path(whole).parts):
            raise UsageError(f"{where}: '{name}' is hidden; no report is written there")
        yield f"{format}{equals}{path if name else name}"


def _locate(name: str, folder: Path, where: str) -> str:
    """A path of the project, relative to the working directory; UsageError if it leads outside."""
    inside = os.path.realpath(folder)
    path = "" if "\0" in name else os.path.realpath(folder / name)  # realpath raises for a NUL
    fits = path and name != "-" and not os.path.isabs(name)
    if not fits or os.path.commonpath([path, inside]) != inside:
        raise UsageError(f"{where}: '{name}' is not a path inside the folder of this file")
    return os.path.relpath(folder / name)


def anchor(pattern: str, folder: Path) -> str:
    """A glob of paths relative to a folder as one of absolute paths; a glob of names as it is."""
    pattern = pattern.rstrip("/")
    if "/" not in pattern and os.sep not in pattern:
        return pattern
    return os.path.join(escape(os.path.abspath(folder)), pattern)
