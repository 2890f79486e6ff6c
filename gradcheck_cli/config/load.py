"""Load the checks of the paths on a command line: files, folders, or `-` for stdin."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec.structs import replace

from gradcheck_cli.config.builders.arrays import ValueReader
from gradcheck_cli.config.builders.check import ConfigCheck, build
from gradcheck_cli.config.expand import expand
from gradcheck_cli.config.findings import ConfigError, Finding
from gradcheck_cli.config.item import Item
from gradcheck_cli.config.kinds import OWN_KEYS
from gradcheck_cli.config.overrides import NOTHING_SET, Overrides
from gradcheck_cli.config.yaml_tree import MAX_BYTES, decode, parse
from gradcheck_cli.errors import GradcheckError, UsageError
from gradcheck_cli.text import count_of, name_some, printable

SUFFIXES = (".yaml", ".yml")
STDIN = "-"
MOST_NAMES = 9  # of functions and classes of a file that a sentence lists

Note = Callable[[str], None]


def load(
    paths: Iterable[str],
    note: Note,
    *,
    check_rules: bool = True,
    overrides: Overrides = NOTHING_SET,
    exclude: Sequence[str] = (),
) -> list[ConfigCheck]:
    """The checks of all configs, in order; files in a folder are sorted.

    note: takes a sentence about what is left out.
    check_rules: whether a formula that cannot be evaluated is an error of its config.
    exclude: globs of names or absolute paths of files and folders to leave out of folders.
    Raises UsageError where a path does not exist, cannot be read or holds no config, and
    ConfigError where configs are broken, or there are several errors, with all of them.
    """
    checks: list[ConfigCheck] = []
    finder = _Finder(exclude)
    broken = finder.broken
    named = list(paths)
    folders = [Path(name) for name in named if name != STDIN and os.path.isdir(name)]
    paths_read: set[str] = set()
    for name in named:
        for path in finder.find(name):
            whole = path if path == STDIN else os.path.abspath(path)
            if whole in paths_read:
                continue  # it was given twice, or is also in a folder that was given
            paths_read.add(whole)
            try:
                checks += load_config(path, check_rules, overrides, folders, note)
            except (ConfigError, UsageError) as error:
                broken.append(error)
    if finder.skipped:
        note(f"skipped {count_of(finder.skipped, 'YAML file')} without a key of a config")
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
    note: Note = lambda text: None,
) -> list[ConfigCheck]:
    """The checks of a config, see `read_config`, or of code: `layers.py`, `layers.py:affine`.

    note: takes a sentence about what is left out of a file of code.
    Raises UsageError, too, where the file cannot be read.
    """
    if not is_code(path):
        return read_config(_read_text(path), path, check_rules, overrides, folders)
    from gradcheck_cli.config.init.file_checks import draft_check, list_names

    file, name = path.rsplit(":", 1) if ":" in Path(path).name else (path, "")
    checks: list[ConfigCheck] = []
    left: list[str] = []
    names, others = ([name], []) if name else list_names(file)
    for one in names:
        try:
            draft, text = draft_check(file, one)
            made = read_config(text, file, check_rules, overrides, folders)
        except (ConfigError, UsageError):
            if not checks and one == names[-1]:
                raise
            left.append(one)
        else:
            checks += [replace(check, draft=draft) for check in made]
    left += others
    if left:
        advice = f"`gradcheck init {file}:{left[0]}` writes what is read of it"
        note(f"left out of '{file}': {name_some(left, MOST_NAMES)}; {advice}")
    return checks


def read_config(
    text: str,
    path: str,
    check_rules: bool = True,
    overrides: Overrides = NOTHING_SET,
    folders: Sequence[Path] = (),
) -> list[ConfigCheck]:
    """The checks of the text of a config. Raises ConfigError with all errors in it.

    folders: from which its arrays may be read, besides its own.
    """
    findings: list[Finding] = []
    default_name = "stdin" if path == STDIN else printable(Path(path).stem)
    items = expand(parse(text, path), default_name, overrides, findings)
    _report_repeated_names(items, findings)
    alone = len({item.id_without_seed for item in items}) == 1
    values = ValueReader(Path(path).parent, folders)
    checks: list[ConfigCheck] = []
    for item in items:
        of_check: list[Finding] = []
        check = build(item.node, path, values, of_check, check_rules)
        findings += of_check
        if check is not None:
            seed = () if item.seed is None else ("--seed", str(item.seed), *overrides.one_seed)
            select = None if alone else item.id_without_seed
            words = overrides.words + seed
            checks.append(replace(check, id=item.id, name=item.name, words=words, select=select))
    if findings:
        raise ConfigError(path, text, findings)
    return checks


def _report_repeated_names(items: Iterable[Item], findings: list[Finding]) -> None:
    """Add a finding for each check with the id of another."""
    lines: dict[str, int] = {}
    for item in items:
        if item.id in lines:
            mark = item.node.keys.get("name", item.node.mark)
            message = f"the name '{item.name}' stands twice; the first is in line {lines[item.id]}"
            findings.append(Finding(mark, message))
        lines.setdefault(item.id, item.node.mark.line)


class _Finder:
    """Finds configs. broken: the errors so far; skipped: how many YAML files are not configs."""

    def __init__(self, exclude: Sequence[str]) -> None:
        self.exclude = exclude
        self.broken: list[GradcheckError] = []
        self.skipped = 0

    def find(self, name: str) -> list[str]:
        """The paths of the configs that an argument of the command line names."""
        if name == STDIN:
            return [STDIN]
        try:
            is_folder = stat.S_ISDIR(os.stat(name).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            if is_code(name) and os.path.isfile(name.rpartition(":")[0]):
                return [name]
            self.broken.append(UsageError(f"no such file or directory: '{name}'"))
            return []
        except (OSError, ValueError) as error:
            self.broken.append(_unreadable(name, error))
            return []
        if name.endswith(".ipynb"):
            self.broken.append(UsageError(f"'{name}' is code, not a config; {advise_init(name)}"))
            return []
        return self._find_in_folder(name) if is_folder else [name]

    def _find_in_folder(self, folder: str) -> list[str]:
        """The configs below a folder, sorted; it is an error if there are none."""
        before = len(self.broken)
        configs = [str(path) for path in sorted(self._walk(folder)) if self._is_config(path)]
        if not configs and len(self.broken) == before:
            code = next(iter(sorted(Path(folder).glob("*.py"))), None)
            hint = "" if code is None else f"; Python files are named one by one, as {code}"
            self.broken.append(
                UsageError(f"no config (*.yaml, *.yml) in directory '{folder}'{hint}")
            )
        return configs

    def _walk(self, folder: str) -> Iterator[Path]:
        """The YAML files below a folder that are not excluded."""
        for where, folders, names in os.walk(folder, onerror=self._add_unreadable):
            folders[:] = [name for name in folders if not self._is_excluded(where, name)]
            for name in names:
                if name.endswith(SUFFIXES) and not self._is_excluded(where, name):
                    yield Path(where, name)

    def _is_excluded(self, where: str, name: str) -> bool:
        path = os.path.abspath(os.path.join(where, name)) if self.exclude else ""
        return any(fnmatchcase(name, glob) or fnmatchcase(path, glob) for glob in self.exclude)

    def _is_config(self, path: Path) -> bool:
        try:
            found = is_config(path, OWN_KEYS)
        except FileNotFoundError:
            return False  # a broken link
        except OSError as error:
            self.broken.append(_unreadable(path, error))
            return False
        self.skipped += not found
        return found

    def _add_unreadable(self, error: OSError) -> None:
        self.broken.append(_unreadable(error.filename, error))


def is_config(path: Path, keys: Collection[str]) -> bool:
    """Whether a file has one of these keys at its top; it need not be valid YAML.

    Raises OSError where it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    with path.open("rb") as file:
        text = file.read(MAX_BYTES).decode(errors="replace")
    return re.search(rf"^(?:{'|'.join(sorted(keys))})\s*:", text, re.MULTILINE) is not None


def is_code(word: str) -> bool:
    """Whether a word is a Python file or a name in one: `layers.py`, `layers.py:affine`."""
    return re.search(r"\.(py|ipynb)(:|$)", word) is not None


def advise_init(path: str) -> str:
    """Advice on how to get a config for a file of code, or for `layers.py:affine`."""
    if ".ipynb" in path:
        return "in a notebook, call gradcheck_cli.check (docs/python.md)"
    if not path.endswith(".py"):
        return f"`gradcheck init {path}` writes one for it"
    from gradcheck_cli.config.init.checkable import list_checkable

    names = list_checkable(path)
    listed = f": {name_some(names, MOST_NAMES)}" if names else ""
    return f"`gradcheck init {path}:NAME` writes one for a function or class in it{listed}"


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
