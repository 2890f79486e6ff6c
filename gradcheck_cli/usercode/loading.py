"""Load the function, class or object that `layers.py:affine_forward` or `module:name` refers to.

Importing runs the user's code, so this is only called with --allow-code.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_path, suggest
from gradcheck_cli.usercode.calling.methods import list_callables
from gradcheck_cli.usercode.calling.signatures import bind, name_of, read_parameters
from gradcheck_cli.usercode.frameworks import list_loaded, load_framework

_REFERENCE = re.compile(r"(?P<where>[^:]+\.py|[^\W\d][\w.]*):(?P<name>[^\W\d][\w.]*)")


class Reference(Struct, frozen=True):
    """A reference of a config to code.

    where: a file, relative to `folder`, or a module. name: of something in it, such as `Net.layer`.
    """

    where: str
    name: str
    folder: Path

    @property
    def file(self) -> Path | None:
        """The file, or None for a module."""
        return self.folder / self.where if self.where.endswith(".py") else None

    @property
    def place(self) -> str:
        """The path of the file, or the name of the module, for messages."""
        return self.where if self.file is None else format_path(os.path.normpath(self.file))

    def __str__(self) -> str:
        """The reference as the config writes it."""
        return f"{self.where}:{self.name}"


def read_reference(text: str, folder: Path) -> Reference | None:
    """Read a reference; None if the text is something else, such as a formula."""
    found = _REFERENCE.fullmatch(text.strip())
    whole = Path(os.path.abspath(folder))
    return Reference(found["where"], found["name"], whole) if found else None


class Loader:
    """Loads what references name; references to parts of one object share that object.

    values: those that constructors, and functions that make objects, get by name. used: the names
    of those that they got. notes: on how files were loaded.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.used: dict[str, None] = {}
        self.notes: list[str] = []
        self._made: dict[tuple[str, str], Any] = {}

    def load(self, code: Reference, *, makes: bool = False) -> Any:
        """Load what a reference names.

        A class is called with the values that its constructor has parameters for, and a method is
        taken from an object made like this. A torch.autograd.Function is returned as it is, also
        for a reference to one of its methods.
        makes: whether a function is called, too, to make the object.
        Raises CodeError for what does not exist, and for whatever importing or making it raises.
        """
        found: Any = self.import_module(code)
        path = ""
        for part in code.name.split("."):
            owner, found = found, _part(found, part, code)
            path = f"{path}.{part}"
            if _is_applied(owner):
                return owner
            if (inspect.isclass(found) and not _is_applied(found)) or (
                makes and inspect.isfunction(found)
            ):
                key = (code.place, path)
                if key not in self._made:
                    self._made[key] = self._call(found, {})
                found = self._made[key]
        return found

    def make(self, code: Reference, arguments: Mapping[str, Any]) -> Any:
        """Call what a reference names with these arguments and the values it has parameters for.

        Raises CodeError where it cannot be called like this, and for whatever it raises.
        """
        *before, last = code.name.split(".")
        owner: Any = self.import_module(code)
        if before:
            owner = self.load(Reference(code.where, ".".join(before), code.folder))
        return self._call(_part(owner, last, code), arguments)

    def _call(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        settings = self._settings(function)
        known = [name for name in self.values if name not in {**arguments, **settings}]
        takes = read_parameters(function)
        if inspect.isclass(function) and "__init__" not in vars(function):
            takes = replace(takes, has_kwargs=False)  # those of a base class that refuses them
        call = bind(takes, list(arguments), known)
        self.used |= dict.fromkeys(name for name in call.used if name not in arguments)
        try:
            return call(function, {**self.values, **arguments})
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise CodeError.raised(name_of(function), error) from error

    def _settings(self, function: Callable[..., Any]) -> dict[str, None]:
        """The parameters that an array must not be passed to: their default is a plain value.

        bias=True, for example, does not get the array `bias`.
        """
        with suppress(ValueError, TypeError):
            known = inspect.signature(function).parameters.values()
            plain = [one.name for one in known if isinstance(one.default, bool | int | float | str)]
            return {name: None for name in plain if hasattr(self.values.get(name), "ndim")}
        return {}

    def import_module(self, code: Reference) -> ModuleType:
        """Import the module of a reference.

        A file whose package cannot be imported is loaded by itself, with a note.
        """
        name = _make_importable(code)
        try:
            with _alone_on_the_command_line(code.place):
                if code.file is None or "." in name:
                    return importlib.import_module(name)
                return _load_file(code.file.resolve(), name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if code.file is None or "." not in name:
                raise CodeError.raised(f"importing {code.where}", error) from error
            return self._import_alone(code, name, error)

    def _import_alone(self, code: Reference, name: str, error: BaseException) -> ModuleType:
        package = name.rpartition(".")[0]
        why = f"{type(error).__name__}: {error}"
        assert code.file is not None
        try:
            module = _load_file(code.file.resolve(), code.file.stem)
        except KeyboardInterrupt:
            raise
        except BaseException as alone:
            message = CodeError.raised(f"importing {code.where} as {name}", error)
            raise CodeError(
                f"{message}\nby itself, without its package '{package}', it raised "
                f"{type(alone).__name__}: {alone}; install what is missing, or copy the file with "
                "what it needs into a folder without __init__.py"
            ) from error
        note = f"{code.where} was loaded by itself: its package '{package}' raised {why}"
        self.notes += [note] if note not in self.notes else []
        return module


@contextmanager
def _alone_on_the_command_line(name: str) -> Iterator[None]:
    """A block in which a script that reads its command line finds only its own name there."""
    words, sys.argv = sys.argv, [name]
    try:
        yield
    finally:
        sys.argv = words


def _is_applied(found: Any) -> bool:
    """Whether a framework applies this class without making an object, as an autograd.Function."""
    return any(load_framework(name).is_applied(found) for name in list_loaded())


def _part(owner: Any, part: str, code: Reference) -> Any:
    """An attribute of a module, a class or an object. Raises CodeError where it has none."""
    if hasattr(owner, part):
        return getattr(owner, part)
    of = code.where if isinstance(owner, ModuleType) else type(owner).__name__
    raise CodeError(f"{of} has no '{part}'{suggest(part, list_callables(owner), 'it has')}")


def _make_importable(code: Reference) -> str:
    """Add the config's folder, the current one and the file's to Python's path.

    Returns the name by which the code is imported; a file in a package is a part of that package.
    """
    folders = [str(code.folder.resolve()), str(Path.cwd())]
    name = code.where
    if code.file is not None:
        path = code.file.resolve()
        top, name = path.parent, path.stem
        while (top / "__init__.py").exists():
            top, name = top.parent, f"{top.name}.{name}"
        folders.insert(0, str(top))
    new = [folder for folder in folders if folder not in sys.path]
    sys.path[:0] = new
    if new:
        sys.path_hooks.insert(0, partial(_find_as_text, tuple(folders), _list_installed()))
        for known in [path for path in sys.path_importer_cache if path.startswith(tuple(folders))]:
            del sys.path_importer_cache[known]
    return name


class _SourceLoader(SourceFileLoader):
    """Compiles a module from its text, and neither reads nor writes bytecode.

    Bytecode records the time of its source in seconds. If code changed twice within one second, the
    older code would be checked.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The module, compiled from its text."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _list_installed() -> tuple[str, ...]:
    """The folders of Python and of this package, where code does not change between checks."""
    import sysconfig

    return (*map(sysconfig.get_path, ("stdlib", "platstdlib")), str(Path(__file__).parents[1]))


def _find_as_text(folders: tuple[str, ...], installed: tuple[str, ...], path: str) -> FileFinder:
    """A finder that compiles the user's modules in these folders from their text.

    Raises ImportError for other paths and installed code, which Python's own finders then take.
    """
    if not path.startswith(folders) or path.startswith(installed) or "site-packages" in path:
        raise ImportError
    extensions = (ExtensionFileLoader, EXTENSION_SUFFIXES)
    return FileFinder(path, extensions, (_SourceLoader, SOURCE_SUFFIXES))


def _load_file(path: Path, name: str) -> ModuleType:
    """Load a file as a module, once for all references, even if another module has its name."""
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if known is not None:
        name = f"{name}@{path}"
        if name in sys.modules:
            return sys.modules[name]
    loader = _SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
