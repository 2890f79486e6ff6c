"""`gradcheck init`: a commented config for a form of the paper, or for a function of your own."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec

from gradcheck_cli.config.read_code import Described, Given, describe_class, describe_function
from gradcheck_cli.config.schema import KINDS, CheckConfig, documentation
from gradcheck_cli.config.syntax import parameter_names, returned_gradients
from gradcheck_cli.errors import UsageError
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.text import join_words, suggest
from gradcheck_cli.usercode.conventions import is_upstream

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
    "constraint": "{}",
    "bounds": "{}",
    "framework": "torch",
    "device": "cpu",
}
GUESS = "Shapes that are guesses from names, not in the text of the code: of {names}."
# What the names of a backward end and start with, beside that of its forward.
ENDS = ("_backward", "_gradient", "_grad", "_bwd", "_vjp", "_prime", "_derivative", "_deriv")
STARTS = ("backward_", "d_", "d", "grad_")
# The same of other derivatives; a file with one function may call them by this alone.
DERIVED = {
    "jacobian": ("jacobian", "jac"),
    "jvp": ("jvp", "pushforward"),
    "hessian": ("hessian", "hess"),
    "hvp": ("hvp", "hessp"),
}
FORWARD = re.compile(r"_?(forward|fwd|fprop)_?")
DERIVATIVE = re.compile(r"_prime$|_deriv")
LOSS_LIKE = re.compile(r"loss|cost|nll|^(J|L|E|value|energy)$", re.IGNORECASE)
LABEL_LIKE = re.compile(r"^(Y|y|t|labels?|targets?)$")
FRAMEWORKS = ("torch", "jax", "autograd")

Definition = ast.FunctionDef | ast.ClassDef


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


def of_code(kind: str | None, code: str, folder: Path, backward: str | None = None) -> str:
    """The config of a function, class or loss in a Python file, which is read and not run.

    kind: `forward`, `layer` or `value_and_grad`; None: found out.
    code: `layers.py:affine_forward`, relative to the working directory; folder: of the config;
    backward: of a forward, found by its name if None.

    Raises UsageError where the file or the function is not there.
    """
    file, name, tree = _read(code)
    relative = _relative(file, folder)
    found = _find(tree, name)
    kind = kind or ("forward" if backward else _kind(tree, found, name))
    given = {kind: f"{relative}:{name}"}
    derived = _find_derived(tree, name, kind)
    needed = not derived or _find_backward(tree, name) is not None
    if kind == "forward" and (backward or (needed and not _is_of_framework(tree, found, name))):
        named = backward.rpartition(":") if backward else ("", "", _backward(tree, name, file))
        other = _relative(_read(backward)[0], folder) if backward and named[1] else relative
        key = "derivative" if DERIVATIVE.search(named[2]) else "backward"
        given[key] = f"{other}:{named[2]}"
    given |= {key: f"{relative}:{function}" for key, function in derived.items()}
    loss = _loss_between(tree, name, given)
    if loss is not None:
        given = {kind: given[kind], "loss": f"{relative}:{loss}", **given}
    backward_name = given.get("backward", given.get("derivative", "")).rpartition(":")[2]
    described = _describe(tree, found, name, kind, [loss or "", backward_name])
    nothing = not described.inputs and not described.constants
    inputs = {"x": Given("[n, N]", guess=True)} if nothing else described.inputs
    given["inputs"] = _mapping(inputs)
    if described.constants:
        given["constants"] = _mapping(described.constants)
    sizes = described.sizes or {"n": 4, "N": 5}
    given["shapes"] = "{" + ", ".join(f"{size}: {value}" for size, value in sizes.items()) + "}"
    about = f"# The gradients of {name}: gradcheck run --allow-code checks them."
    guessed = [key for key, one in {**inputs, **described.constants}.items() if one.guess]
    return _text(about, kind, given, guessed)


def _mapping(values: Mapping[str, Given]) -> str:
    parts = (
        f'"{name}": {given.text}' if "[" in name else f"{name}: {given.text}"
        for name, given in values.items()
    )
    return "{" + ", ".join(parts) + "}"


def _describe(
    tree: ast.Module, found: Definition, name: str, kind: str, beside: Sequence[str]
) -> Described:
    """What the function takes that is the forward; of a class, and of what it is made with."""
    loss = kind == "value_and_grad"
    if isinstance(found, ast.FunctionDef):
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        others = [functions[one] for one in beside if one in functions]
        return describe_function(tree, found, loss=loss, others=others)
    method = name.partition(".")[2]
    names = [node.name for node in found.body if isinstance(node, ast.FunctionDef)]
    pairs = ("forward", "__call__", "forward_pass", "fprop")
    forward = method or next((one for one in pairs if one in names), "forward")
    own = kind != "forward" or bool(method)
    return describe_class(tree, found, forward, own_gradients=own, loss=loss)


def _loss_between(tree: ast.Module, name: str, given: Mapping[str, str]) -> str | None:
    """The loss that a backward is of that takes no upstream gradient, found by what it takes: the
    output by the name that the forward returns, or that the backward has for it, too."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    backward = functions.get(given.get("backward", "").rpartition(":")[2])
    if backward is None or name not in functions:
        return None
    takes = parameter_names(backward)
    labels = [one for one in takes if LABEL_LIKE.match(one)]
    if (
        not labels
        or any(map(is_upstream, takes))
        or set(labels) & {*parameter_names(functions[name])}
    ):
        return None
    returned = returned_gradients(functions[name])
    for other, node in functions.items():
        first, *more = [*parameter_names(node), ""]
        if (
            LOSS_LIKE.search(other)
            and first in (*returned[:1], *takes)
            and {*more[:-1]} <= {*takes}
        ):
            return other
    return None


def _text(about: str, kind: str, given: dict[str, str], guessed: Sequence[str] = ()) -> str:
    lines = [
        about,
        "# A line behind a # is a key that may be set, with its default or an example.",
        "",
    ]
    lines += _lines(kind, given, guessed)
    return "\n".join(lines) + "\n"


def _lines(kind: str, given: dict[str, str], guessed: Sequence[str]) -> Iterator[str]:
    """The keys that go with a kind of check; those that are not needed, behind a #.

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


def _find(tree: ast.Module, name: str) -> Definition:
    """The function or class of a name."""
    first = name.partition(".")[0]
    known = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    if first not in known:
        raise UsageError(f"there is no '{first}' in the file{suggest(first, known, 'there are')}")
    return known[first]


def _kind(tree: ast.Module, found: Definition, name: str) -> str:
    """The key of a config that a function or class belongs under."""
    if isinstance(found, ast.ClassDef):
        method = next(
            (node for node in found.body if getattr(node, "name", "") == name.partition(".")[2]),
            None,
        )
        if method is not None and any(map(_is_value_with_gradients, ast.walk(method))):
            return "value_and_grad"
        return "forward" if method is not None or _is_of_framework(tree, found, name) else "layer"
    if _find_backward(tree, name) is None and any(map(_is_value_with_gradients, ast.walk(found))):
        return "value_and_grad"
    return "forward"


def _is_value_with_gradients(node: ast.AST) -> bool:
    """Whether this returns several values, the first of which is called like a loss; or the second,
    behind gradients."""
    if not isinstance(node, ast.Return) or not isinstance(node.value, ast.Tuple):
        return False
    first, *others = map(ast.unparse, node.value.elts)
    turned = "grad" in first and len(others) == 1 and LOSS_LIKE.search(others[0])
    return bool(LOSS_LIKE.search(first) or turned)


def _is_of_framework(tree: ast.Module, found: Definition, name: str) -> bool:
    """Whether torch, jax or autograd differentiates this itself."""
    if isinstance(found, ast.ClassDef):
        bases = [ast.unparse(base).rpartition(".")[2] for base in found.bases]
        return "." not in name and ("Module" in bases or "Function" in bases)
    decorated = [ast.unparse(one) for one in getattr(found, "decorator_list", [])]
    if any(re.search(r"custom_[vj]|jit|primitive", one) for one in decorated):
        return True
    if _find_backward(tree, name) is not None:
        return False
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    modules = {
        module.partition(".")[0]
        for node in imports
        for module in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    return not modules.isdisjoint(FRAMEWORKS)


def _find_backward(tree: ast.Module, name: str) -> str | None:
    """The backward of a forward, or the derivative of a function, by its name."""
    owner, dot, method = name.rpartition(".")
    functions = tree.body if not dot else getattr(_find(tree, owner), "body", [])
    known = [node.name for node in functions if isinstance(node, ast.FunctionDef)]
    guesses = [
        method.replace("forward", "backward"),
        method.replace("fwd", "bwd"),
        method.replace("fprop", "bprop"),
        *(f"{method}{end}" for end in ENDS),
        *(f"{start}{method}" for start in STARTS),
    ]
    found = (guess for guess in guesses if guess != method and guess in known)
    return next((f"{owner}{dot}{guess}" for guess in found), None)


def _find_derived(tree: ast.Module, name: str, kind: str) -> dict[str, str]:
    """The functions of other derivatives of a function, by the key of a config that names them."""
    known = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    stem = FORWARD.sub("", name)
    found = {}
    for key, words in DERIVED.items():
        if key not in KINDS[kind]:
            continue
        guesses = [f"{one}_{word}" for one in (name, stem) for word in words]
        guesses += [f"{word}_{one}" for one in (name, stem) for word in words]
        function = next((one for one in (*guesses, *words) if one in known and one != name), None)
        if function is not None:
            found[key] = function
    return found


def _backward(tree: ast.Module, name: str, file: Path) -> str:
    """The backward of a forward. Raises UsageError where its name does not tell it."""
    found = _find_backward(tree, name)
    if found is None:
        raise UsageError(
            f"no backward of '{name}' is in '{file}': say which it is with --backward NAME"
        )
    return found
