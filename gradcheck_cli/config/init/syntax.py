"""Read facts about a function or a class from its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

Function = ast.FunctionDef

# A shape in a docstring: "x: input of shape (N, D)", "W: (D, C) array".
_SHAPE = (
    r"(?:^|;|\),)\W*(?:\w+,\s*)*(?:{name})\b(?:,\s*\w+)*[^\n]*?"
    r"(?:\n\s+[^\n:]*?)?\(\s*(?P<shape>[\w'\s,.*]+?)\s*\)"
)
ARRAY_OF = re.compile(r"\b(array|asarray|stack|vstack)$")
_ARTICLES = re.compile(r"\b(the|a|this|of|number|size)\s+")


def parameter_names(function: Function) -> list[str]:
    """The names of the parameters, without self, cls and ctx."""
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "ctx", "cls")]


def parameter_defaults(function: Function) -> dict[str, ast.expr]:
    """The defaults of the optional parameters, by name."""
    arguments = function.args
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    last = positional[len(positional) - len(arguments.defaults) :]
    found = dict(zip(last, arguments.defaults, strict=True))
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found | {one.arg: value for one, value in pairs if value is not None}


def find_documented_shape(doc: str, name: str) -> tuple[str, ...]:
    """The shape of a parameter in a docstring; () if there is none. "(N, ...)" is ("N", "D")."""
    pattern = _SHAPE.format(name=re.escape(name))
    for found in re.finditer(pattern, doc, re.MULTILINE):
        if "," not in found["shape"] and "shape" not in found[0].casefold():
            continue
        axes = [_ARTICLES.sub("", axis.strip()) for axis in found["shape"].split(",")]
        axes = ["_".join(axis.replace("'", "").split()) for axis in axes if axis]
        axes = [re.sub(r"\W", "", axis) if axis.count("*") > 1 else axis for axis in axes]
        if any("..." in axis for axis in axes):
            axes = [axes[0], "D"]
        if all(re.fullmatch(r"\d*\s*\*?\s*[A-Za-z_]?\w*", axis) for axis in axes):
            return tuple(axes)
    return ()


def is_vector(function: Function, name: str, text: ast.AST) -> bool:
    """Whether the text shows that a parameter is a vector.

    It is multiplied by itself with `@` or dot, it is one of several indices, its entries are made
    floats, or it is a factor of an outer product; or, where there is an outer product, it is
    concatenated with another array without an axis.

    text: of the class of the function, since an attribute that keeps the parameter may be a factor.
    """
    one = re.escape(name)
    spelled = (
        rf"\bdot\({one}, {one}\)|\b{one} @ {one}\b|\b{one}\.dot\({one}\)"
        rf"|float\((\w+)\)\S* for \1 in {one}\b"
    )
    indices = (
        map(ast.unparse, node.slice.elts)
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)
        if not ast.unparse(node.value).endswith(("r_", "c_"))  # np.r_ and np.c_ do not index
    )
    assigned = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
    pairs = (pair for node in assigned for pair in _list_assigned(node))
    factors = {name, *(target for target, value in pairs if value == name)}
    outer = (
        node
        for node in ast.walk(text)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("outer")
    )
    outer_products = list(outer)
    if any(not factors.isdisjoint(map(ast.unparse, node.args)) for node in outer_products):
        return True
    joined = rf"concatenate\(\(?\[?[^\])]*\b{one}\b[^\])]*[\])](?!\)?, axis)"
    if outer_products and re.search(joined, ast.unparse(function)):
        return True
    beside = (parts for parts in map(list, indices) if name in parts and ":" not in parts)
    return any(beside) or re.search(spelled, ast.unparse(function)) is not None


def is_list(function: Function, name: str) -> bool:
    """Whether a function uses a parameter as a list: it loops over it, indexes it, takes its length
    or appends to it."""
    one = rf"(self\.)?{re.escape(name)}"
    spelled = rf"(\blen\(|\bin |\*|zip\(|enumerate\(|\] \+ ){one}\b|\b{one}(\[| \+ \[)"
    return re.search(spelled, ast.unparse(function)) is not None


def find_unpacked_shape(function: Function, name: str) -> tuple[str, ...]:
    """The names of the sizes in `N, D = x.shape`; () if the shape is not unpacked."""
    for node in ast.walk(function):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
            continue
        if ast.unparse(node.value) == f"{name}.shape":
            axes = [ast.unparse(axis) for axis in node.targets[0].elts]
            return tuple(f"{name}{k}" if axis == "_" else axis for k, axis in enumerate(axes))
    return ()


def annotations_of(function: Function) -> dict[str, str]:
    """The text of the annotations of the parameters, by name."""
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {one.arg: ast.unparse(one.annotation) for one in every if one.annotation is not None}


def field_names(made: ast.ClassDef) -> list[str]:
    """The names of the fields of a dataclass or a named tuple."""
    fields = (node.target for node in made.body if isinstance(node, ast.AnnAssign))
    return [field.id for field in fields if isinstance(field, ast.Name)]


def read_attributes(function: Function, name: str) -> set[str]:
    """The attributes of the variable of this name that a function uses."""
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == name
    }


def read_keys(function: Function, name: str) -> dict[str, bool]:
    """The keys that a function reads from the dict of this name, and whether it needs each: a key
    that is read with `get` or `pop` only may be missing."""
    found: dict[str, bool] = {}
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) == name
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            found[node.slice.value] = True
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            f"{name}.get",
            f"{name}.pop",
        ):
            key = node.args[0] if node.args else None
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.setdefault(key.value, False)
    return found


def list_returned_gradients(function: Function, *, value_first: bool = False) -> list[str]:
    """The texts of the gradients in the last return of a function; the keys of a dict or a record.

    Empty where they are not written out, for example where another function returned them.
    value_first: whether a value is returned before its gradients, or after a dict of them.
    """
    last = _last_return(function)
    if value_first:
        if not isinstance(last, ast.Tuple) or len(last.elts) < 2:
            return []
        every = [_write_out(function, one) for one in last.elts]
        parts = every[:1] if isinstance(every[0], ast.Dict) else every[1:]
        if len(parts) == 1 and isinstance(parts[0], ast.Dict):
            return [str(one.value) for one in parts[0].keys if isinstance(one, ast.Constant)]
        if len(parts) == 1 and isinstance(parts[0], ast.Tuple):
            parts = parts[0].elts
        return [ast.unparse(one) for one in parts]
    if isinstance(last, ast.Dict):
        return [str(one.value) for one in last.keys if isinstance(one, ast.Constant)]
    if isinstance(last, ast.Tuple):
        return [ast.unparse(one) for one in last.elts]
    if isinstance(last, ast.Call) and _makes_record(last):
        return [ast.unparse(one) for one in last.args] + [str(one.arg) for one in last.keywords]
    if isinstance(last, ast.Call) and ARRAY_OF.search(ast.unparse(last.func)) and last.args:
        rows = getattr(last.args[0], "elts", [])  # np.array([d_x, d_y]) of f(x, y)
        if len(rows) == len(parameter_names(function)) > 1:
            return [ast.unparse(one) for one in rows]
    plain = isinstance(last, ast.BinOp | ast.UnaryOp | ast.Name | ast.Subscript)
    called = isinstance(last, ast.Call) and isinstance(last.func, ast.Attribute)
    return [ast.unparse(last)] if last is not None and (plain or called) else []


def find_returned_function(function: Function) -> Function | None:
    """The inner function that a function returns after its output, as in `return y, backward`;
    else None."""
    last = _last_return(function)
    name = ast.unparse(last.elts[-1]) if isinstance(last, ast.Tuple) and last.elts else ""
    inner = (node for node in function.body if isinstance(node, ast.FunctionDef))
    return next((node for node in inner if node.name == name), None)


def returns_mapping(function: Function) -> bool:
    """Whether the last return of a function is a dict or a record whose keys are written out."""
    last = _last_return(function)
    return isinstance(last, ast.Dict) or (isinstance(last, ast.Call) and _makes_record(last))


def _makes_record(call: ast.Call) -> bool:
    """Whether a call makes a record of several values, as in Params(dW, db): by its capital."""
    name = ast.unparse(call.func)
    return name[:1].isupper() and len(call.args) + len(call.keywords) > 1


def returns_value(function: Function) -> bool:
    """Whether a function returns anything."""
    return any(isinstance(node, ast.Return) and node.value for node in ast.walk(function))


def _last_return(function: Function) -> ast.expr | None:
    """The expression that the last return of a function returns; for the name of a dict, the dict
    with its keys. Returns of inner functions do not count."""
    nested = {
        inner
        for node in ast.walk(function)
        if isinstance(node, ast.FunctionDef) and node is not function
        for inner in ast.walk(node)
    }
    returns = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node not in nested
    ]
    return None if not returns or returns[-1] is None else _write_out(function, returns[-1])


def _write_out(function: Function, value: ast.expr) -> ast.expr:
    """The dict that is assigned to a name, with the keys that are set later; any other expression
    as it is."""
    if not isinstance(value, ast.Name):
        return value
    keys: list[ast.expr | None] = []
    found = False
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Name) and one.id == value.id:
                    found = isinstance(node.value, ast.Dict)
                    keys = list(node.value.keys) if isinstance(node.value, ast.Dict) else []
                elif isinstance(one, ast.Subscript) and ast.unparse(one.value) == value.id:
                    keys += [one.slice] if isinstance(one.slice, ast.Constant) else []
    return ast.Dict(keys=keys, values=[value] * len(keys)) if found and keys else value


def find_compared_text(function: Function, name: str) -> str | None:
    """The first text that a parameter is compared with, such as a mode; None if there is none.

    name: of the parameter, or `parameter.key` for a key of it.
    """
    owner, _, key = name.partition(".")
    spelled = {name} if not key else {f"{owner}['{key}']", f"{owner}.get('{key}')"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            spelled |= {target for target, value in _list_assigned(node) if value in spelled}
        if isinstance(node, ast.Compare) and ast.unparse(node.left) in spelled:
            other = node.comparators[0]
            if isinstance(other, ast.Constant) and isinstance(other.value, str):
                return other.value
    return None


def _list_assigned(node: ast.Assign) -> Iterator[tuple[str, str]]:
    """The targets of an assignment with their values, as texts; a tuple also item by item."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for left, right in zip(target.elts, value.elts, strict=False):
            yield ast.unparse(left), ast.unparse(right)
    yield ast.unparse(target), ast.unparse(value)


def find_method(made: Any, name: str, known: dict[str, Any]) -> ast.FunctionDef | None:
    """A method of a class or of its bases in the file; None if there is none.

    For a dataclass without a constructor, the one that its fields imply.
    known: the classes and functions of the file, by name.
    """
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    if name == "__init__" and any("dataclass" in ast.unparse(one) for one in made.decorator_list):
        return _write_constructor(made)
    for base in made.bases:
        inner = known.get(ast.unparse(base))
        if isinstance(inner, ast.ClassDef) and inner is not made:
            return find_method(inner, name, known)
    return None


def _write_constructor(made: ast.ClassDef) -> ast.FunctionDef:
    """The constructor that the fields of a dataclass imply, with its __post_init__."""
    fields = [
        node
        for node in made.body
        if isinstance(node, ast.AnnAssign)
        and "init=False" not in ast.unparse(node)
        and isinstance(node.target, ast.Name)
    ]
    takes = ", ".join(
        ast.unparse(node) for node in sorted(fields, key=lambda one: one.value is not None)
    )
    lines = [f"self.{ast.unparse(node.target)} = {ast.unparse(node.target)}" for node in fields]
    after = find_method(made, "__post_init__", {})
    (written,) = ast.parse(
        f"def __init__(self, {takes}):\n    " + "\n    ".join(lines or ["pass"])
    ).body
    assert isinstance(written, ast.FunctionDef)
    written.body += after.body if after is not None else []
    return written
