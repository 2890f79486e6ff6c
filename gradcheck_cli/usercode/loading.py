"""`layers.py:affine_forward` or `package.module:name` → the function, class or object it names.

Importing runs the user's code: only --allow-code leads here.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import suggest
from gradcheck_cli.usercode.frameworks import load_framework, loaded
from gradcheck_cli.usercode.signatures import bind, name_of, parameters

_REFERENCE = re.compile(r"(?P<where>[^:]+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")


class Reference(Struct, frozen=True):
    """Code that a config names: a file below `folder`, or a module; and what to take from it."""

    where: str
    name: str
    folder: Path

    @property
    def file(self) -> Path | None:
        """The file it names; None for a module."""
        return self.folder / self.where if self.where.endswith(".py") else None

    @property
    def place(self) -> str:
        """Where the code is, as a reader would open it."""
        return self.where if self.file is None else os.path.normpath(self.file)

    def __str__(self) -> str:
        """As the config writes it."""
        return f"{self.where}:{self.name}"


def reference(text: str, folder: Path) -> Reference | None:
    """The code that a text names, or None where it is something else, such as a formula."""
    found = _REFERENCE.fullmatch(text.strip())
    return Reference(found["where"], found["name"], folder) if found else None


def load(
    code: Reference, values: Mapping[str, Any], *, makes: bool = False
) -> tuple[Any, tuple[str, ...]]:
    """What the reference names, and the names of the values that were used to make it.

    A class is called, with the values its constructor asks for by name; a method is that of the
    object made so. makes: a function makes the object, too.
    Raises CodeError for what does not exist, and for what importing it raises.
    """
    found: Any = import_module_of(code)
    used: tuple[str, ...] = ()
    for part in code.name.split("."):
        owner = found
        if not hasattr(owner, part):
            names = [name for name in dir(owner) if name[0] != "_"]
            names = [name for name in names if callable(getattr(owner, name))]
            of = code.where if isinstance(owner, ModuleType) else type(owner).__name__
            raise CodeError(f"{of} has no '{part}'{suggest(part, names, 'it has')}")
        found = getattr(owner, part)
        applied = any(load_framework(name).is_called(found) for name in loaded())
        if (inspect.isclass(found) and not applied) or (makes and inspect.isfunction(found)):
            made, names_used = _made(found, values)
            found, used = made, names_used
    return found, used


def _made(kind: Callable[..., Any], values: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    call = bind(parameters(kind), (), list(values))
    try:
        return call(kind, values), call.used
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CodeError.raised(name_of(kind), error) from error


def import_module_of(code: Reference) -> ModuleType:
    """The module, imported as Python would: its folder, the config's and this one can be imported
    from, and a file in a package is a part of that package."""
    folders = [str(code.folder.resolve()), str(Path.cwd())]
    name = code.where
    if code.file is not None:
        path = code.file.resolve()
        top, name = path.parent, path.stem
        while (top / "__init__.py").exists():
            top, name = top.parent, f"{top.name}.{name}"
        folders.insert(0, str(top))
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        if code.file is None or "." in name:
            return importlib.import_module(name)
        return _from_file(code.file.resolve(), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CodeError.raised(f"importing {code.where}", error) from error


def _from_file(path: Path, name: str) -> ModuleType:
    """The module of a file: the same for every reference to it, whatever else has its name."""
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if known is not None:
        name = f"{name}@{path}"
        if name in sys.modules:
            return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
