"""`gradcheck init`: a commented config for a form of the paper, or for a function of your own."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec

from gradcheck_cli.config.schema import KINDS, CheckConfig, documentation
from gradcheck_cli.errors import UsageError
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.text import suggest

SIZES = {"n": 8, "N": 5, "M": 3}  # all different, so that what is transposed does not fit
COMMENT, WIDTH = 34, 100  # the column of comments, and how far they go
# Keys whose default says nothing: what stands there instead.
EXAMPLES = {
    "name": "my-check",
    "backward": "{}",
    "inputs": "{seed: 0}",
    "constants": "{}",
    "numeric": "{step: auto}",
    "tolerance": "{atol: 0}",
    "gradient_reduction": "sum",
}
_SHAPES = {"w": "[N, M]", "weight": "[N, M]", "weights": "[N, M]", "b": "[M]", "bias": "[M]"}


def of_form(name: str) -> str:
    """The config of a form: what it needs, and every other key with its default behind a #."""
    form = FORMS[name]
    sizes = ", ".join(f"{size}: {SIZES[size]}" for size in form.sizes)
    rules = ", ".join(f"{rule.of}: {rule.formula}" for rule in form.rules)
    given = {
        "form": name,
        "shapes": f"{{{sizes}}}",
        "backward": f"{{{rules}}}",
        "reduction": "mean" if "n" in form.sizes else "sum",
    }
    about = f"# The gradients of {form.equation}: gradcheck run checks them."
    return _text(about, "form", given)


def of_code(kind: str, code: str, folder: Path, backward: str | None = None) -> str:
    """The config of a function, class or loss in a Python file, which is read and not run.

    kind: `forward`, `layer` or `value_and_grad`; code: `layers.py:affine_forward`, relative to the
    working directory; folder: of the config; backward: of a forward, found by its name if None.

    Raises UsageError where the file or the function is not there.
    """
    file, name, tree = _read(code)
    relative = _relative(file, folder)
    given = {kind: f"{relative}:{name}"}
    function = _function(tree, name, kind)
    inputs, constants = _parameters(function)
    if kind == "forward":
        named = backward.rpartition(":") if backward else ("", "", _backward(tree, name, file))
        other = _relative(_read(backward)[0], folder) if backward and named[1] else relative
        given["backward"] = f"{other}:{named[2]}"
    if kind != "forward" and not inputs:
        inputs = {"x": "[n, N]"}
    given["inputs"] = "{" + ", ".join(f"{key}: {shape}" for key, shape in inputs.items()) + "}"
    if constants:
        given["constants"] = "{" + ", ".join(f"{k}: {v}" for k, v in constants.items()) + "}"
    given["shapes"] = "{n: 4, N: 5, M: 3}"
    about = (
        f"# The gradients of {name}: gradcheck run --allow-code checks them.\n"
        "# The shapes of the inputs are guesses from their names: set those that the code takes."
    )
    return _text(about, kind, given)


def _text(about: str, kind: str, given: dict[str, str]) -> str:
    lines = [about, "# A line behind a # is a key that may be set, with its default.", ""]
    lines += _lines(kind, given)
    return "\n".join(lines) + "\n"


def _lines(kind: str, given: dict[str, str]) -> Iterator[str]:
    """The keys that go with a kind of check; those that are not needed, behind a #."""
    foreign = {key for keys in KINDS.values() for key in keys} - set(KINDS[kind])
    needed = {key: value for key, value in given.items() if key != "backward" or kind != "form"}
    for key, value in needed.items():
        yield _line(f"{key}: {value}", documentation(key))
    yield ""
    defaults = msgspec.to_builtins(CheckConfig())
    for key in CheckConfig.__struct_fields__:
        if key in needed or key in foreign or key in KINDS or key in ("version", "shapes"):
            continue
        value = given.get(key) or EXAMPLES.get(key) or _scalar(defaults[key])
        yield _line(f"# {key}: {value}", documentation(key))


def _line(text: str, comment: str) -> str:
    """A key, and what it says beside it, or above where the key is long."""
    if len(text) >= COMMENT:
        return "\n".join([*(f"# {line}" for line in wrap(comment, WIDTH - 2)), text])
    first, *others = wrap(comment, WIDTH - COMMENT - 2)
    more = [f"{'':{COMMENT}}# {line}" for line in others]
    return "\n".join([f"{text:{COMMENT}}# {first}", *more])


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _relative(file: Path, folder: Path) -> str:
    """The path of the code as the config writes it."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _read(code: str) -> tuple[Path, str, ast.Module]:
    """The file, the name in it and the syntax tree of `layers.py:affine_forward`."""
    where, colon, name = code.rpartition(":")
    if not colon or not where.endswith(".py"):
        raise UsageError(f"'{code}' must be a Python file and a name in it: layers.py:affine")
    path = Path(where)
    try:
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read '{where}': {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"'{where}' is not Python: {error}") from error
    return path, name, tree


def _function(tree: ast.Module, name: str, kind: str) -> ast.FunctionDef | None:
    """The function whose parameters are the inputs; None of a class whose forward is not found."""
    first, _, method = name.partition(".")
    known = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    if first not in known:
        raise UsageError(f"there is no '{first}' in the file{suggest(first, known, 'there are')}")
    found = known[first]
    if isinstance(found, ast.FunctionDef):
        return None if kind == "layer" else found
    methods = {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}
    return methods.get(method or ("forward" if kind == "layer" else "__call__"))


def _parameters(function: ast.FunctionDef | None) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs with a shape that suits their names, and constants with their defaults."""
    if function is None:
        return {}, {}
    names = [parameter.arg for parameter in (*function.args.posonlyargs, *function.args.args)]
    names = names[1:] if names[:1] == ["self"] else names
    defaults = function.args.defaults
    optional = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    inputs = {name: _SHAPES.get(name.lower(), "[n, N]") for name in names if name not in optional}
    constants = {}
    for name, node in optional.items():
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
            value = node.value
            constants[name] = repr(value) if isinstance(value, str) else _scalar(value)
    return inputs, constants


def _backward(tree: ast.Module, name: str, file: Path) -> str:
    """The backward of a forward, by its name."""
    known = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    guesses = [
        name.replace("forward", "backward"),
        name.replace("fwd", "bwd"),
        *(f"{name}{end}" for end in ("_backward", "_grad", "_bwd", "_vjp")),
    ]
    for guess in guesses:
        if guess != name and guess in known:
            return guess
    raise UsageError(
        f"no backward of '{name}' is in '{file}': say which it is with --backward NAME"
    )
