"""Find the forward and backward of a class, and whether it is made of layers that it is handed."""

from __future__ import annotations

import ast
import re

from gradcheck_cli.config.init.syntax import find_method, parameter_names
from gradcheck_cli.errors import UsageError
from gradcheck_cli.text import join_words
from gradcheck_cli.usercode.calling.methods import METHODS


def classes_of(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """The classes at the top of a file, by name."""
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def find_methods(tree: ast.Module, made: ast.ClassDef) -> tuple[str, str] | None:
    """The names of the forward and the backward of a class, one of METHODS; None: it has none."""
    known = classes_of(tree)
    pairs = (pair for pair in METHODS if all(find_method(made, name, known) for name in pair))
    return next(pairs, None)


def need_methods(tree: ast.Module, made: ast.ClassDef, code: str) -> None:
    """Raise UsageError where a class cannot be checked.

    Either it is made of layers that it is handed, or it has no methods with the names of a forward
    and a backward, and no base class outside of the file that could have them.
    """
    known = classes_of(tree)
    if is_given_layers(made, known):
        raise UsageError(
            f"'{made.name}' is made of layers that others hand it: name a function that makes one, "
            f"such as def make(): return {made.name}(…)"
        )
    bases = {ast.unparse(base) for one in [made, *known.values()] for base in one.bases}
    foreign = bases - {*known} - {"object", "ABC", "abc.ABC"}
    if foreign or find_methods(tree, made) is not None:
        return
    methods = [one.name for one in made.body if isinstance(one, ast.FunctionDef)]
    plain = [name for name in methods if not name.startswith("_")]
    listed = join_words(plain) if plain else "none"
    raise UsageError(
        f"'{made.name}' has no two methods that are called like a forward and its backward; it has "
        f"{listed}. Of two by other names: --forward {code}.NAME --backward OTHER. Of objects that "
        "carry a number and its gradient, check a function that makes them "
        "of arrays, and returns the value and the gradients: --value-and-grad FILE:NAME"
    )


def find_made_class(tree: ast.Module, function: ast.FunctionDef) -> ast.ClassDef | None:
    """The class whose object a function returns, if it is in the file and has a forward and a
    backward; else None."""
    known, nodes = classes_of(tree), list(ast.walk(function))
    returned = [
        ast.unparse(one.value) for one in nodes if isinstance(one, ast.Return) and one.value
    ]
    values = {
        ast.unparse(one.targets[0]): ast.unparse(one.value)
        for one in nodes
        if isinstance(one, ast.Assign)
    }
    called = [values.get(one, one).partition("(")[0] for one in returned]
    made = (known[name] for name in called if name in known and find_methods(tree, known[name]))
    return next(made, None)


def is_given_layers(made: ast.ClassDef, known: dict[str, ast.ClassDef]) -> bool:
    """Whether a class loops over a list of layers and calls each, and the list is an argument of
    its constructor, or empty until other code fills it."""
    constructor = find_method(made, "__init__", known)
    if constructor is None:
        return False
    text, making = ast.unparse(made), ast.unparse(constructor)
    rest = [constructor.args.vararg.arg] if constructor.args.vararg else []
    given = "|".join(re.escape(name) for name in (*parameter_names(constructor), *rest, "[]"))
    loops = re.findall(r"for (\w+) in [^:\n]*\bself\.(\w+)", text)
    return any(
        re.search(rf"\b{one}(\.\w+)?\(", text)
        and re.search(rf"self\.{name} = (list\()?({given})\)?$", making, re.MULTILINE)
        and not re.search(rf"self\.{name}(\.append|\.extend| \+=)", making)
        for one, name in loops
    )
