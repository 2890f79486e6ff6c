"""Find out whether a name in a Python file is a forward, a layer or a loss, and find its backward.

The file is read and not run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from gradcheck_cli.config.init.classes import classes_of, find_made_class, find_methods
from gradcheck_cli.config.init.names import (
    DERIVED,
    ENDS,
    FORWARD,
    GRADIENT,
    STARTS,
    is_gradient,
    is_labels,
    is_loss,
)
from gradcheck_cli.config.init.syntax import find_method, list_returned_gradients, parameter_names
from gradcheck_cli.config.kinds import KINDS
from gradcheck_cli.errors import UsageError
from gradcheck_cli.text import suggest
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.calling.names import is_upstream

FRAMEWORKS = ("torch", "jax", "autograd")

Definition = ast.FunctionDef | ast.ClassDef


def read_file(code: str) -> tuple[Path, str, ast.Module]:
    """Read `layers.py:affine_forward`: the path of the file, the name in it, and the syntax tree.

    Raises UsageError where the code is not given so, or the file cannot be read or parsed.
    """
    where, colon, name = code.rpartition(":")
    if not colon or not where.endswith(".py"):
        raise UsageError(f"'{code}' must be a Python file and a name in it: layers.py:affine")
    path = Path(where)
    try:
        with refuse_deep(where):
            tree = _parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read '{where}': {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"'{where}' is not Python: {error}") from error
    return path, name, tree


@contextmanager
def refuse_deep(where: str) -> Iterator[None]:
    """Raise UsageError where the code that a block reads is nested too deep, such as a sum of many
    hundred terms."""
    try:
        yield
    except (RecursionError, MemoryError) as error:
        raise UsageError(f"'{where}' is nested too deep to be read") from error


@lru_cache(maxsize=2)  # a forward and its backward may be in two files
def _parse(source: bytes) -> ast.Module:
    """The syntax tree of a file; kept, since the file is read again for every name in it."""
    return ast.parse(source)


def find_definition(tree: ast.Module, name: str) -> Definition:
    """The function or class of a name, or the class of a method; UsageError if there is none."""
    first = name.partition(".")[0]
    known = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    if first not in known:
        raise UsageError(f"there is no '{first}' in the file{suggest(first, known, 'there are')}")
    return known[first]


def find_kind(tree: ast.Module, found: Definition, name: str) -> str:
    """The key of a config that names the function or class: forward, layer or value_and_grad."""
    if isinstance(found, ast.ClassDef):
        method = find_method(found, name.partition(".")[2], classes_of(tree))
        if method is not None and any(map(gives_gradients, ast.walk(method))):
            return "value_and_grad"
        return "forward" if method is not None or is_of_framework(tree, found, name) else "layer"
    if find_backward(tree, name) is not None or is_of_framework(tree, found, name):
        return "forward"
    if any(map(gives_gradients, ast.walk(found))):
        return "value_and_grad"
    if find_made_class(tree, found) is not None:
        return "layer"
    return "value_and_grad" if may_return_gradients(found) else "forward"


def complete_name(tree: ast.Module, found: Definition, name: str) -> str:
    """The name of a class, with that of the method to check if this is a loss; see
    `_list_loss_methods`. Any other name as it is."""
    if not isinstance(found, ast.ClassDef) or "." in name:
        return name
    losses = _list_loss_methods(tree, found, name)
    return f"{name}.{losses[0]}" if len(losses) == 1 else name


def _list_loss_methods(tree: ast.Module, made: ast.ClassDef, name: str) -> list[str]:
    """The methods of a class that are losses to check.

    In a class without a backward, they are those that return a loss with its gradients. In one
    whose backward takes labels and no upstream gradient, those that take the same parameters.
    """
    methods = [node for node in made.body if isinstance(node, ast.FunctionDef)]
    pair = find_methods(tree, made)
    if pair is None and not is_of_framework(tree, made, name):
        return [one.name for one in methods if any(map(gives_gradients, ast.walk(one)))]
    takes = {one.name: parameter_names(one) for one in methods}
    backward = takes.get(pair[1], []) if pair else []
    if not any(map(is_labels, backward)) or any(map(is_upstream, backward)):
        return []
    return [one for one, names in takes.items() if is_loss(one) and names == backward]


def gives_gradients(node: ast.AST) -> bool:
    """Whether a statement returns a loss with gradients.

    It returns several values. By their names, the first is a loss, or all others are gradients; or
    gradients come first, and a loss second.
    """
    value = node.value if isinstance(node, ast.Return) else None
    if not isinstance(value, ast.Tuple) or not value.elts:
        return False
    first, *others = map(ast.unparse, value.elts)
    reversed_order = "grad" in first and len(others) == 1 and is_loss(others[0])
    gradients = not is_gradient(first) and all(map(_is_gradient, value.elts[1:]))
    return is_loss(first) or reversed_order or gradients


def may_return_gradients(function: ast.FunctionDef) -> bool:
    """Whether a function has the name of a loss and returns more values, which may be gradients."""
    several = (
        isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts[1:]
        for node in ast.walk(function)
    )
    return is_loss(function.name) and any(several)


def _is_gradient(node: ast.expr) -> bool:
    """Whether an expression has the name of a gradient, or is a dict of gradients."""
    parts = node.values if isinstance(node, ast.Dict) else [node]
    return bool(parts) and all(is_gradient(ast.unparse(one)) for one in parts)


def is_of_framework(tree: ast.Module, found: Definition, name: str) -> bool:
    """Whether torch, jax or autograd differentiates a function or class."""
    if isinstance(found, ast.ClassDef):
        own = classes_of(tree)
        bases = [ast.unparse(base) for base in found.bases if ast.unparse(base) not in own]
        named = {base.rpartition(".")[2] for base in bases}
        return "." not in name and not named.isdisjoint(("Module", "Function"))
    if _is_custom(found):
        return True
    if find_backward(tree, name) is not None:
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


def _is_custom(function: ast.FunctionDef) -> bool:
    """Whether a function has a decorator by which jax or autograd differentiates it."""
    return _is_decorated(function, r"custom_[vj]|jit|primitive")


def has_own_rule(function: ast.FunctionDef) -> bool:
    """Whether a decorator makes jax or autograd use a rule of the user's for a function."""
    return _is_decorated(function, r"custom_[vj]|primitive")


def find_rules(tree: ast.Module) -> set[str]:
    """The functions that are rules of jax or autograd for others.

    They are arguments in `f.defvjp(forward, backward)` or `defvjp(f, rule)`, or have a decorator
    such as `@f.defjvp`.
    """
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    defining = (call for call in calls if re.search(r"\bdef(vjp|jvp)", ast.unparse(call.func)))
    handed = {ast.unparse(argument) for call in defining for argument in call.args}
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not has_own_rule(node)
        if node.name in handed or _is_decorated(node, r"\.def(vjp|jvp)")
    }


def _is_decorated(function: ast.FunctionDef, like: str) -> bool:
    return any(re.search(like, ast.unparse(one)) for one in function.decorator_list)


def find_backward(tree: ast.Module, name: str) -> str | None:
    """The name of the backward of a forward, or of the derivative of a function; None if no name
    fits."""
    owner, dot, method = name.rpartition(".")
    functions = tree.body if not dot else getattr(find_definition(tree, owner), "body", [])
    takes = {
        node.name: parameter_names(node) for node in functions if isinstance(node, ast.FunctionDef)
    }
    guesses = [
        *(
            other
            for one, other in METHODS
            if one == method and (dot or takes.get(other) == takes.get(method))
        ),
        method.replace("forward", "backward"),
        method.replace("fwd", "bwd"),
        method.replace("fprop", "bprop"),
        *(f"{method}{end}" for end in ENDS),
        *(f"{start}{method}" for start in STARTS),
    ]
    others = {*takes} - {method} - find_rules(tree)  # a rule belongs to the function it is set for
    named = [guess for guess in guesses if guess in others]
    found = (named or _find_alike(functions, method))[:1]
    return f"{owner}{dot}{found[0]}" if found else None


def _find_alike(functions: Sequence[ast.stmt], name: str) -> list[str]:
    """The function with the name of a gradient and the same parameters as this one; empty if there
    is none, or more than one."""
    definitions = {node.name: node for node in functions if isinstance(node, ast.FunctionDef)}
    other_derivative = name.endswith(tuple(word for words in DERIVED.values() for word in words))
    of = None if other_derivative else definitions.get(name)
    taken = [] if of is None else parameter_names(of)
    found = [
        other
        for other, node in definitions.items()
        if other != name
        and GRADIENT.search(other)
        and GRADIENT.sub("", other).strip("_") not in definitions  # not the gradient of another
        and not any(map(gives_gradients, ast.walk(node)))  # not a loss with its gradients
        and parameter_names(node) == taken
    ]
    return found if taken and len(found) == 1 else []


def find_derived(tree: ast.Module, name: str, kind: str) -> dict[str, str]:
    """The functions that compute other derivatives of a function, by the key that names each in a
    config: jacobian, jvp, hessian, hvp."""
    owner, dot, method = name.rpartition(".")
    functions = tree.body if not dot else getattr(find_definition(tree, owner), "body", [])
    definitions = {node.name: node for node in functions if isinstance(node, ast.FunctionDef)}
    known = list(definitions)
    if method in known and _is_custom(definitions[method]):  # the framework has its JVP
        return {}
    stem = FORWARD.sub("", method)
    found = {}
    for key, words in DERIVED.items():
        if key not in KINDS[kind]:
            continue
        guesses = [f"{one}_{word}" for one in (method, stem) for word in words]
        guesses += [f"{word}_{one}" for one in (method, stem) for word in words]
        alone = (one for one in words if dot or _find_first(definitions, one) == name)
        function = next((one for one in (*guesses, *alone) if one in known and one != method), None)
        if function is not None:
            found[key] = f"{owner}{dot}{function}"
    return found


def _find_first(definitions: Mapping[str, ast.FunctionDef], derived: str) -> str | None:
    """The first function whose parameters are all parameters of a derivative of this name."""
    if derived not in definitions:
        return None
    takes = {*parameter_names(definitions[derived])}
    fitting = (one for one, node in definitions.items() if {*parameter_names(node)} <= takes)
    return next(fitting, None)


def need_backward(tree: ast.Module, name: str, file: Path) -> str:
    """The name of the backward of a forward. Raises UsageError where no name fits."""
    found = find_backward(tree, name)
    if found is None:
        raise UsageError(
            f"no backward of '{name}' is in '{file}': say which it is with --backward NAME, or "
            f"with --value-and-grad {file}:{name} that it returns its gradients"
        )
    return found


def find_loss(tree: ast.Module, name: str, given: Mapping[str, str]) -> str | None:
    """The loss between a forward and a backward that takes labels in place of an upstream gradient;
    None if there is none.

    Its first parameter has the name that the forward or the backward has for the output, and the
    backward takes all its others. given: the keys of the config so far.
    """
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    backward = functions.get(given.get("backward", "").rpartition(":")[2])
    if backward is None or name not in functions:
        return None
    takes = parameter_names(backward)
    labels = [one for one in takes if is_labels(one)]
    if (
        not labels
        or any(map(is_upstream, takes))
        or set(labels) & {*parameter_names(functions[name])}
    ):
        return None
    returned = list_returned_gradients(functions[name])
    for other, node in functions.items():
        first, *more = [*parameter_names(node), ""]
        if (
            is_loss(other)
            and first.casefold() in (one.casefold() for one in (*returned[:1], *takes))
            and {*more[:-1]} <= {*takes}
        ):
            return other
    return None
