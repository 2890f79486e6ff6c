"""Paths on the command line → checks: files, directories in sorted order, or `-` for stdin."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from gradcheck_cli.config.build_check import ConfigCheck, build
from gradcheck_cli.config.expand import expand
from gradcheck_cli.config.findings import ConfigError, Finding
from gradcheck_cli.config.overrides import NOTHING_SET, Overrides
from gradcheck_cli.config.read_array import ValueReader
from gradcheck_cli.config.schema import OWN_KEYS
from gradcheck_cli.config.yaml_tree import MAX_BYTES, Node, decode, parse
from gradcheck_cli.errors import UsageError
from gradcheck_cli.text import printable

SUFFIXES = (".yaml", ".yml")
STDIN = "-"
_OWN_KEY = re.compile(rf"^(?:{'|'.join(sorted(OWN_KEYS))})\s*:", re.MULTILINE)

Note = Callable[[str], None]


def load(
    paths: Iterable[str],
    note: Note,
    *,
    check_rules: bool = True,
    overrides: Overrides = NOTHING_SET,
) -> list[ConfigCheck]:
    """Every check of every config, in order. `note` is told which files were skipped.

    check_rules: whether a formula that cannot be evaluated is an error of its config.

    Raises ConfigError with the findings of all broken configs, and UsageError where a path does
    not exist or holds no config.
    """
    checks: list[ConfigCheck] = []
    broken: list[ConfigError] = []
    named = list(paths)
    folders = [Path(path) for path in named if path != STDIN and os.path.isdir(path)]
    for path, text in _texts(named, note):
        try:
            checks += read_config(text(), path, check_rules, overrides, folders)
        except ConfigError as error:
            broken.append(error)
    if broken:
        raise ConfigError.joined(broken)
    return checks


def read_config(
    text: str,
    path: str,
    check_rules: bool = True,
    overrides: Overrides = NOTHING_SET,
    folders: Sequence[Path] = (),
) -> list[ConfigCheck]:
    """The checks of one config. Raises ConfigError with everything that is wrong with it.

    folders: what its arrays may be read from, beside its own.
    """
    root = parse(text, path)
    findings: list[Finding] = []
    items = expand(root, overrides, findings)
    default = _name(root) or ("stdin" if path == STDIN else printable(Path(path).stem))
    values = ValueReader(Path(path).parent, folders)
    checks: list[ConfigCheck] = []
    taken: dict[str, int] = {}
    alone = len({(item.place, item.axes) for item in items}) == 1
    for item in items:
        node = item.node
        inherited = not item.place or node.keys.get("name") == root.keys.get("name")
        own = None if inherited else _name(node)
        name = own or (f"{default}[{item.place}]" if item.place else default)
        seeded = () if item.seed is None else (f"seed={item.seed}",)
        id = _id(name, (*item.axes, *seeded))
        if id in taken:
            mark = node.keys.get("name", node.mark)
            message = f"the name '{name}' stands twice; the first is in line {taken[id]}"
            findings.append(Finding(mark, message))
        taken.setdefault(id, node.mark.line)
        of_check: list[Finding] = []
        made = build(node, path, values, of_check, check_rules)
        findings += of_check
        if made is not None:
            words = overrides.words + (() if item.seed is None else ("--seed", str(item.seed)))
            select = None if alone else _id(name, item.axes)
            checks.append(replace(made, id=id, name=name, words=words, select=select))
    if findings:
        raise ConfigError(path, text, findings)
    return checks


def _id(name: str, axes: Sequence[str]) -> str:
    return f"{name}[{','.join(axes)}]" if axes else name


def _name(node: Node) -> str | None:
    found = node.child("name")
    return found.value if found is not None and isinstance(found.value, str) else None


def _texts(paths: Iterable[str], note: Note) -> Iterable[tuple[str, Callable[[], str]]]:
    """The path of every config that the command line names, and what reads its text."""
    for name in paths:
        path = Path(name)
        if name == STDIN:
            yield STDIN, _read_stdin
        elif not name or not _exists(path):
            raise UsageError(f"no such file or directory: '{name}'")
        elif path.is_dir():
            yield from _in_directory(path, note)
        else:
            yield name, lambda path=path: _read(path)  # type: ignore[misc]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror or error}") from error


def _read_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("stdin is closed; there is no config to read")
    return decode(sys.stdin.buffer.read(MAX_BYTES + 1), STDIN)


def _in_directory(folder: Path, note: Note) -> Iterable[tuple[str, Callable[[], str]]]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    found = False
    for path in files:
        if not _is_own(path):
            note(f"skipped {path}: not a gradcheck config")
            continue
        found = True
        yield str(path), lambda path=path: _read(path)  # type: ignore[misc]
    if not found:
        raise UsageError(f"no config (*.yaml, *.yml) in directory '{folder}'")


def _is_own(path: Path) -> bool:
    """Whether a YAML file looks like a config; a broken config still does."""
    try:
        return _OWN_KEY.search(path.read_bytes()[:MAX_BYTES].decode(errors="replace")) is not None
    except OSError:
        return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror or error}") from error
    return decode(data, str(path))
