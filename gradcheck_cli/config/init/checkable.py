"""List the functions and classes of a Python file that can be checked; the file is not run."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradcheck_cli.config.init.classes import (
    classes_of,
    find_made_class,
    find_methods,
    is_given_layers,
)
from gradcheck_cli.config.init.definitions import (
    complete_name,
    find_backward,
    find_derived,
    find_kind,
    find_rules,
    gives_gradients,
    has_own_rule,
    is_of_framework,
    may_return_gradients,
    read_file,
)
from gradcheck_cli.config.init.names import GRADIENT, uses_gradients
from gradcheck_cli.config.init.syntax import find_method, find_returned_function
from gradcheck_cli.errors import UsageError


def list_checkable(path: str) -> list[str]:
    """The names of the functions and classes of a file that have a backward or return gradients;
    none if it is not a Python file."""
    try:
        tree = read_file(f"{path}:")[2]
    except UsageError:
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    backwards = {find_backward(tree, node.name) for node in functions} | find_rules(tree)
    backwards |= {one for node in functions for one in _find_derived(tree, node).values()}
    return [
        node.name
        for node in tree.body
        if (isinstance(node, ast.ClassDef) and _is_checkable_class(tree, node))
        or (isinstance(node, ast.FunctionDef) and _is_checkable_function(tree, node))
        if node.name not in backwards
    ]


def list_losses(path: str) -> list[str]:
    """The functions of a file with the name of a loss that return more values, which may be
    gradients."""
    tree = read_file(f"{path}:")[2]
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return [node.name for node in functions if may_return_gradients(node)]


def list_left_out(path: str, names: Sequence[str]) -> list[str]:
    """The functions of a file with the name of a gradient, and the classes with such a method, that
    belong to no check.

    names: of the functions and classes that are checked.
    """
    tree = read_file(f"{path}:")[2]
    known = classes_of(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    parts = {*names, *(find_backward(tree, name) for name in names if name in functions)}
    makers = (find_made_class(tree, functions[name]) for name in names if name in functions)
    parts |= {made.name for made in makers if made is not None}
    parts |= {ast.unparse(base) for made in known.values() for base in made.bases}
    classes = (made.name for made in known.values() if any(map(_is_gradient, made.body)))
    public = (node for node in functions.values() if not node.name.startswith("_"))
    alone = (node.name for node in public if _is_gradient(node))
    return [name for name in (*classes, *alone) if name not in parts]


def _is_gradient(node: ast.stmt) -> bool:
    """Whether a function seems to compute gradients: it has the name of a gradient, or is a loss
    that returns more. A function that uses gradients, such as clip_gradients, does not count."""
    if not isinstance(node, ast.FunctionDef) or uses_gradients(node.name):
        return False
    called = bool(GRADIENT.search(node.name)) and not _is_abstract(node)
    return called or may_return_gradients(node)


def _is_checkable_class(tree: ast.Module, made: ast.ClassDef) -> bool:
    whole = complete_name(tree, made, made.name) != made.name  # a loss with its gradients
    known = classes_of(tree)
    pair = [find_method(made, name, known) for name in find_methods(tree, made) or ()]
    if whole or not pair:
        return whole or is_of_framework(tree, made, made.name)
    abstract = any(one is not None and _is_abstract(one) for one in pair)
    return not abstract and not is_given_layers(made, known)


def _is_abstract(method: ast.FunctionDef) -> bool:
    """Whether a method ends with raise or pass, so that derived classes define it."""
    return isinstance(method.body[-1], ast.Raise | ast.Pass)


def _find_derived(tree: ast.Module, function: ast.FunctionDef) -> dict[str, str]:
    """The functions of other derivatives of a function, by the key of a config that names them."""
    return find_derived(tree, function.name, find_kind(tree, function, function.name))


def _is_checkable_function(tree: ast.Module, function: ast.FunctionDef) -> bool:
    paired = find_backward(tree, function.name) is not None or find_returned_function(function)
    if paired or has_own_rule(function) or any(map(gives_gradients, ast.walk(function))):
        return True
    if _find_derived(tree, function):
        return True
    made = find_made_class(tree, function)
    return made is not None and is_given_layers(made, classes_of(tree))
