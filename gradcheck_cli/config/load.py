"""Paths on the command line → checks: files, directories in sorted order, or `-` for stdin."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from gradcheck_cli.config.build_check import ConfigCheck, build
from gradcheck_cli.config.expand import Item, expand
from gradcheck_cli.config.findings import ConfigError, Finding
from gradcheck_cli.config.overrides import NOTHING_SET, Overrides
from gradcheck_cli.config.read_array import ValueReader
from gradcheck_cli.config.schema import OWN_KEYS
from gradcheck_cli.config.yaml_tree import MAX_BYTES, decode, parse
from gradcheck_cli.errors import GradcheckError, UsageError
from gradcheck_cli.text import printable

SUFFIXES = (".yaml", ".yml")
STDIN = "-"

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

    Raises UsageError where one path does not exist, cannot be read or holds no config, and
    ConfigError with the findings of all broken configs and all that cannot be read.
    """
    checks: list[ConfigCheck] = []
    broken: list[GradcheckError] = []
    named = list(paths)
    folders = [Path(name) for name in named if name != STDIN and os.path.isdir(name)]
    for name in named:
        for path in _find_configs(name, note, broken):
            try:
                checks += load_config(path, check_rules, overrides, folders)
            except (ConfigError, UsageError) as error:
                broken.append(error)
    if len(broken) == 1:
        raise broken[0]
    if broken:
        raise ConfigError.join(broken)
    return checks


def load_config(
    path: str,
    check_rules: bool = True,
    overrides: Overrides = NOTHING_SET,
    folders: Sequence[Path] = (),
) -> list[ConfigCheck]:
    """The checks of one config, as `read_config` says; UsageError where it cannot be read."""
    return read_config(_read_text(path), path, check_rules, overrides, folders)


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
    findings: list[Finding] = []
    default_name = "stdin" if path == STDIN else printable(Path(path).stem)
    items = expand(parse(text, path), default_name, overrides, findings)
    _find_repeated_names(items, findings)
    alone = len({item.id_without_seed for item in items}) == 1
    values = ValueReader(Path(path).parent, folders)
    checks: list[ConfigCheck] = []
    for item in items:
        of_check: list[Finding] = []
        check = build(item.node, path, values, of_check, check_rules)
        findings += of_check
        if check is not None:
            seed = () if item.seed is None else ("--seed", str(item.seed))
            select = None if alone else item.id_without_seed
            words = overrides.words + seed
            checks.append(replace(check, id=item.id, name=item.name, words=words, select=select))
    if findings:
        raise ConfigError(path, text, findings)
    return checks


def _find_repeated_names(items: Iterable[Item], findings: list[Finding]) -> None:
    """Say which checks have the id of another."""
    lines: dict[str, int] = {}
    for item in items:
        if item.id in lines:
            mark = item.node.keys.get("name", item.node.mark)
            message = f"the name '{item.name}' stands twice; the first is in line {lines[item.id]}"
            findings.append(Finding(mark, message))
        lines.setdefault(item.id, item.node.mark.line)


def _find_configs(name: str, note: Note, broken: list[GradcheckError]) -> list[str]:
    """The paths of the configs that a word of the command line names; `broken` is added to."""
    if name == STDIN:
        return [STDIN]
    try:
        is_folder = stat.S_ISDIR(os.stat(name).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        broken.append(UsageError(f"no such file or directory: '{name}'"))
        return []
    except (OSError, ValueError) as error:
        broken.append(_unreadable(name, error))
        return []
    return _find_in_folder(Path(name), note, broken) if is_folder else [name]


def _find_in_folder(folder: Path, note: Note, broken: list[GradcheckError]) -> list[str]:
    """The configs below a folder, sorted. What of it cannot be read, and that it has none, is
    added to `broken`."""
    files = []
    before = len(broken)
    for where, _, names in os.walk(
        folder, onerror=lambda error: broken.append(_unreadable(error.filename, error))
    ):
        files += [Path(where, name) for name in names if name.endswith(SUFFIXES)]
    configs = []
    for path in sorted(files):
        try:
            if is_config(path, OWN_KEYS):
                configs.append(str(path))
            else:
                note(f"skipped {printable(str(path))}: not a gradcheck config")
        except FileNotFoundError:
            continue  # a link to nothing
        except OSError as error:
            broken.append(_unreadable(path, error))
    if not configs and len(broken) == before:
        broken.append(UsageError(f"no config (*.yaml, *.yml) in directory '{folder}'"))
    return configs


def is_config(path: Path, keys: Collection[str]) -> bool:
    """Whether one of these keys stands at the top of a file; in a broken config it still does.

    Raises OSError where it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    with path.open("rb") as file:
        text = file.read(MAX_BYTES).decode(errors="replace")
    return re.search(rf"^(?:{'|'.join(sorted(keys))})\s*:", text, re.MULTILINE) is not None


def _read_text(path: str) -> str:
    """The text of a config, or of stdin."""
    if path == STDIN:
        if sys.stdin is None:
            raise UsageError("stdin is closed; there is no config to read")
        return decode(sys.stdin.buffer.read(MAX_BYTES + 1), STDIN)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    return decode(data, path)


def _unreadable(path: str | Path, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else None
    return UsageError(f"cannot read '{path}': {reason or error}")
