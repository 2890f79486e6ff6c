"""`gradcheck init`: draft a commented config for a form of the paper, or for the user's code."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec
from msgspec import Struct

from gradcheck_cli.config.init.classes import (
    classes_of,
    find_made_class,
    find_methods,
    need_methods,
)
from gradcheck_cli.config.init.definitions import (
    Definition,
    complete_name,
    find_backward,
    find_definition,
    find_derived,
    find_kind,
    find_loss,
    is_of_framework,
    need_backward,
    read_file,
)
from gradcheck_cli.config.init.describe import describe_class, describe_function
from gradcheck_cli.config.init.infer_inputs import Described
from gradcheck_cli.config.init.inference.givens import Given
from gradcheck_cli.config.init.names import ENDS, is_derivative, is_loss
from gradcheck_cli.config.init.syntax import find_method, find_returned_function, parameter_names
from gradcheck_cli.config.kinds import KINDS
from gradcheck_cli.config.schema import CheckConfig, documentation
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.text import join_words

SIZES = {"n": 8, "N": 5, "M": 3}  # all different, so that a transposed array does not fit
COMMENT, WIDTH = 34, 100  # the columns where comments start and end
# Keys whose default tells a reader nothing, with an example to show instead.
EXAMPLES = {
    "name": "my-check",
    "backward": "{}",
    "inputs": "{seed: 0}",
    "constants": "{}",
    "numeric": "{step: auto}",
    "tolerance": "{atol: 0}",
    "gradient_reduction": "sum",
    "constraint": "{}",
    "bounds": "{}",
    "slices": "{}",
    "framework": "torch",
    "device": "cpu",
}
# Code that casts to float32.
FLOAT32 = re.compile(r"astype\([\w.]*float32\)|astype\('f(loat32|4)?'\)|np\.float32\(|\.float\(\)")
# Code for complex numbers conjugates, and uses neither real parts nor Fourier transforms.
CONJUGATES = re.compile(r"\.conj(ugate)?\(")
MAKES_REAL = re.compile(r"real|imag|fft")
PLAIN = re.compile(r"[\w./:\\+-]*")  # texts that YAML reads without quotes
GUESS = "Shapes that are guesses from names, not in the text of the code: of {names}."


def write_form_config(name: str) -> str:
    """The config of a form: the keys that it needs, and every other key in a comment."""
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


class Draft(Struct, frozen=True):
    """The config of code, before it is written as text.

    kind: the key that names the code, such as `forward`; names: the code and the dtype, by key.
    described: the inputs and constants. tried: whether running the code has confirmed the shapes.
    """

    kind: str
    names: Mapping[str, str]
    described: Described
    tried: bool = False

    @property
    def given(self) -> dict[str, str]:
        """Every key that is set, as YAML."""
        data = self.described
        sizes = ", ".join(f"{size}: {value}" for size, value in data.sizes.items())
        constants = {"constants": _mapping(data.constants)} if data.constants else {}
        return {
            **{key: _quote(text) for key, text in self.names.items()},
            "inputs": _mapping(data.inputs),
            **constants,
            "shapes": f"{{{sizes}}}",
            **({"constraint": _mapping(data.constraint)} if data.constraint else {}),
        }

    @property
    def line(self) -> str:
        """The config in one line, without comments."""
        return "{" + ", ".join(f"{key}: {value}" for key, value in self.given.items()) + "}"

    @property
    def text(self) -> str:
        """The config with a comment for each key, and in comments the keys that may be added."""
        name = self.names[self.kind].rpartition(":")[2]
        about = f"# The gradients of {name}: gradcheck run --allow-code checks them."
        data = {**self.described.inputs, **self.described.constants}
        guessed = [key for key, one in data.items() if one.guess]
        return _text(about, self.kind, self.given, guessed)


def draft_code_config(
    kind: str | None, code: str, folder: Path, backward: str | None = None
) -> Draft:
    """Draft the config of a function or class in a Python file, which is read and not run.

    kind: `forward`, `layer` or `value_and_grad`; None: inferred from the code.
    code: such as `layers.py:affine_forward`, relative to the working directory.
    folder: of the config, to which its paths are relative.
    backward: of a forward; None: found by its name.
    Raises UsageError where there is no such file or function, or it has no backward.
    """
    file, name, tree = read_file(code)
    relative = _relative(file, folder)
    found = find_definition(tree, name)
    name = complete_name(tree, found, name) if kind in (None, "value_and_grad") else name
    kind = kind or ("forward" if backward else find_kind(tree, found, name))
    if kind == "layer" and isinstance(found, ast.ClassDef):
        need_methods(tree, found, code)
        value = f"{name}.{(find_methods(tree, found) or ('',))[0]}"
        if find_derived(tree, value, "forward") and find_backward(tree, value) is not None:
            kind, name = "forward", value  # with a Hessian
    given = {kind: f"{relative}:{name}"}
    derived = find_derived(tree, name, kind)
    inner = find_returned_function(found) if isinstance(found, ast.FunctionDef) else None
    needed = find_backward(tree, name) is not None or not (derived or inner)
    if kind == "forward" and (backward or (needed and not is_of_framework(tree, found, name))):
        named = backward.rpartition(":") if backward else ("", "", need_backward(tree, name, file))
        other = _relative(read_file(backward)[0], folder) if backward and named[1] else relative
        entrywise = is_derivative(named[2]) and not is_loss(name)
        key = "derivative" if entrywise else "backward"
        own, dot, _ = name.rpartition(".")
        beside = "" if named[1] or "." in named[2] else own + dot  # a method of the same class
        given[key] = f"{other}:{beside}{named[2]}"
    given |= {key: f"{relative}:{function}" for key, function in derived.items()}
    loss = find_loss(tree, name, given)
    if loss is not None:
        given = {kind: given[kind], "loss": f"{relative}:{loss}", **given}
    backward_name = given.get("backward", given.get("derivative", "")).rpartition(":")[2]
    described = _describe(tree, found, name, kind, [loss or "", backward_name])
    constants = _with_functions(tree, found, described.constants, relative)
    nothing = not described.inputs and not described.constants
    inputs = {"x": Given("[n, N]", guess=True)} if nothing else described.inputs
    sizes = {**({"n": 4, "N": 5} if nothing or not described.sizes else {}), **described.sizes}
    described = Described(inputs, constants, sizes)
    if FLOAT32.search(ast.unparse(found)):
        given["dtype"] = "float32"
    text = "\n".join(map(ast.unparse, [found, *_list_named(tree, given)]))
    if CONJUGATES.search(text) and not MAKES_REAL.search(text):
        given["dtype"] = "complex128"
    return Draft(kind, given, described)


def _list_named(tree: ast.Module, given: Mapping[str, str]) -> Iterator[ast.stmt]:
    """The functions and classes of the file that a config names."""
    names = {code.rpartition(":")[2] for code in given.values()}
    return (node for node in tree.body if getattr(node, "name", None) in names)


def _with_functions(
    tree: ast.Module, found: Definition, constants: Mapping[str, Given], relative: str
) -> dict[str, Given]:
    """The constants, with functions of the file for a pair of parameters of a constructor such as
    `activation` and `activation_prime`."""
    takes: list[str] = []
    if isinstance(found, ast.ClassDef):
        made = find_method(found, "__init__", classes_of(tree))
        takes = [] if made is None else parameter_names(made)
    every = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    functions = [node.name for node in every if len(parameter_names(node)) == 1]
    pairs = [(name, name + end) for end in ENDS for name in takes if name + end in takes]
    known = ((one, one + end) for end in ENDS for one in functions if one + end in functions)
    named = dict(zip(pairs[0], next(known, ()), strict=False)) if pairs else {}
    return {
        **{name: Given(_quote(f"{relative}:{one}")) for name, one in named.items()},
        **constants,
    }


def _quote(text: str) -> str:
    """A text as YAML, in quotes where it holds characters that mean something there."""
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _mapping(values: Mapping[str, Given]) -> str:
    parts = (
        f'"{name}": {given.text}' if "[" in name else f"{name}: {given.text}"
        for name, given in values.items()
    )
    return "{" + ", ".join(parts) + "}"


def _describe(
    tree: ast.Module, found: Definition, name: str, kind: str, beside: Sequence[str]
) -> Described:
    """The inputs and constants of a function, or of the forward and the constructor of a class.

    beside: the names of the loss and the backward, empty where there is none.
    """
    loss = kind == "value_and_grad"
    maker = found if kind == "layer" and isinstance(found, ast.FunctionDef) else None
    made = find_made_class(tree, maker) if maker is not None else None
    if isinstance(found, ast.FunctionDef) and made is None:
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        inner = find_returned_function(found)
        others = [functions[one] for one in beside if one in functions]
        others = others if others or inner is None else [inner]
        return describe_function(tree, found, loss=loss, others=others)
    layer = made or found
    assert isinstance(layer, ast.ClassDef)
    method = name.partition(".")[2]
    pair = find_methods(tree, layer) or ("forward", "backward")
    backward = beside[-1].rpartition(".")[2] or pair[1]
    own = kind != "forward" or bool(method)
    return describe_class(
        tree, layer, method or pair[0], backward, own_gradients=own, loss=loss, maker=maker
    )


def _text(about: str, kind: str, given: dict[str, str], guessed: Sequence[str] = ()) -> str:
    lines = [
        about,
        "# A line behind a # is a key that may be set, with its default or an example.",
        "",
    ]
    lines += _lines(kind, given, guessed)
    return "\n".join(lines) + "\n"


def _lines(kind: str, given: dict[str, str], guessed: Sequence[str]) -> Iterator[str]:
    """The lines of the keys that go with a kind of check; those that are not needed in comments.

    guessed: the inputs and constants whose shapes are guesses.
    """
    foreign = {key for keys in KINDS.values() for key in keys} - set(KINDS[kind])
    needed = {key: value for key, value in given.items() if key != "backward" or kind != "form"}
    for key, value in needed.items():
        if key == "inputs" and guessed:
            yield f"# {GUESS.format(names=join_words(guessed))}"
        yield _line(f"{key}: {value}", documentation(key))
    yield ""
    defaults = msgspec.to_builtins(CheckConfig())
    for key in CheckConfig.__struct_fields__:
        if key in needed or key in foreign or key in KINDS or key in ("version", "shapes"):
            continue
        value = given.get(key) or EXAMPLES.get(key) or _scalar(defaults[key])
        if defaults[key] is None and key not in EXAMPLES:
            value = f"{given[kind]}_{key}"
        yield _line(f"# {key}: {value}", documentation(key))


def _line(text: str, comment: str) -> str:
    """A key with a comment beside it, or above it where the key is long."""
    if len(text) >= COMMENT:
        return "\n".join([*(f"# {line}" for line in wrap(comment, WIDTH - 2)), text])
    first, *others = wrap(comment, WIDTH - COMMENT - 2)
    more = [f"{'':{COMMENT}}# {line}" for line in others]
    return "\n".join([f"{text:{COMMENT}}# {first}", *more])


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _relative(file: Path, folder: Path) -> str:
    """The path of the code, relative to the folder of the config."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
