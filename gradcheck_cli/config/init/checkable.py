"""What in a Python file a config can be written for. The file is read and not run."""

from __future__ import annotations

import ast

from gradcheck_cli.config.init.definitions import (
    complete_name,
    find_backward,
    find_methods,
    gives_gradients,
    is_of_framework,
    read_file,
)
from gradcheck_cli.config.init.syntax import find_returned_function
from gradcheck_cli.errors import UsageError


def list_checkable(path: str) -> list[str]:
    """The names in a file that a config can be written for: of those that have a backward, or give
    their gradients; none of what is no Python file."""
    try:
        tree = read_file(f"{path}:")[2]
    except UsageError:
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    backwards = {find_backward(tree, node.name) for node in functions}
    return [
        node.name
        for node in tree.body
        if (isinstance(node, ast.ClassDef) and _is_checkable_class(tree, node))
        or (isinstance(node, ast.FunctionDef) and _is_checkable_function(tree, node))
        if node.name not in backwards
    ]


def _is_checkable_class(tree: ast.Module, made: ast.ClassDef) -> bool:
    whole = complete_name(tree, made, made.name) != made.name  # a loss with its gradients
    return whole or find_methods(tree, made) is not None or is_of_framework(tree, made, made.name)


def _is_checkable_function(tree: ast.Module, function: ast.FunctionDef) -> bool:
    paired = find_backward(tree, function.name) is not None or find_returned_function(function)
    return bool(paired or any(map(gives_gradients, ast.walk(function))))
