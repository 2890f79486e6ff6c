"""Evaluate calls: of functions and classes of the file, of methods, of NumPy and torch."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from gradcheck_cli.config.init.inference import modules
from gradcheck_cli.config.init.inference.axes import unify_all
from gradcheck_cli.config.init.inference.numpy_call import NumpyCall
from gradcheck_cli.config.init.inference.numpy_calls import call_numpy
from gradcheck_cli.config.init.inference.values import (
    FUNCTION,
    ITEMS,
    OBJECT,
    RECORD,
    Value,
    array,
    sequence,
)
from gradcheck_cli.config.init.syntax import find_method

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


def evaluate_call(interpreter: Interpreter, node: ast.Call, scope: Scope) -> Value:
    """The value that a call returns."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    if name == "apply" and node.args:  # of a torch.autograd.Function
        return interpreter.evaluate(node.args[0], scope)
    if name == "scan" and len(node.args) > 2:
        return _scan(interpreter, node, scope)
    if name in ("dict", "OrderedDict", "defaultdict"):
        return Value(
            RECORD,
            fields={
                one.arg: interpreter.evaluate(one.value, scope) for one in node.keywords if one.arg
            },
        )
    if ast.unparse(node.func).startswith("super(") and "self" in scope:
        return _call_inherited(interpreter, scope["self"], name, node, scope)
    owner = _owner(interpreter, node, scope)
    if isinstance(node.func, ast.Name) or (owner is not None and owner.kind == OBJECT):
        found = interpreter.evaluate(node.func, scope)
        if found.kind == FUNCTION:
            return _follow(interpreter, found, node, scope)
        if found.kind == OBJECT and found.text:
            taken = interpreter.evaluate(node.args[0], scope) if node.args else Value()
            return modules.apply(found, taken, interpreter.allocate)
        if found.kind == OBJECT:
            return _call_method(interpreter, found, "__call__", node, scope)
    if owner is not None and (owner.kind == RECORD or name in ("get", "pop", "keys", "items")):
        return _call_record(interpreter, owner, name, node, scope)
    if name == "append" and owner is not None and owner.kind == ITEMS:
        owner.fields[len(owner.fields)] = interpreter.evaluate(node.args[0], scope)
        return Value()
    arguments = list(interpreter.evaluate_parts(node.args, scope))
    keywords = {one.arg: one.value for one in node.keywords if one.arg}
    if owner is None:
        named = {key: interpreter.evaluate(one, scope) for key, one in keywords.items()}
        made = modules.make(name, arguments, named)
        if made is not None:
            return made
        applied = modules.make(modules.FUNCTIONS.get(name, ""), arguments[1:], named)
        if applied is not None:
            return modules.apply(applied, arguments[0], interpreter.allocate)
    return call_numpy(NumpyCall(interpreter, name, owner, arguments, node, keywords, scope))


def _owner(interpreter: Interpreter, node: ast.Call, scope: Scope) -> Value | None:
    """The value whose method is called; None for a plain function or one of a module."""
    if not isinstance(node.func, ast.Attribute):
        return None
    first = node.func.value
    while isinstance(first, ast.Attribute):
        first = first.value
    module = (
        isinstance(first, ast.Name) and first.id not in scope and first.id not in interpreter.known
    )
    return None if module else interpreter.evaluate(node.func.value, scope)


def _call_record(
    interpreter: Interpreter, owner: Value, name: str, node: ast.Call, scope: Scope
) -> Value:
    """The value that a method of a dict returns, such as params.get("W")."""
    if name in ("get", "pop") and node.args:
        key = interpreter.evaluate_key(node.args[0], scope)
        if key is not None and owner.kind in (None, RECORD) and key in owner.fields:
            return owner.fields[key]
        return interpreter.evaluate(node.args[1], scope) if len(node.args) > 1 else Value()
    return Value()


def _follow(interpreter: Interpreter, found: Value, node: ast.Call, scope: Scope) -> Value:
    """Follow a function, a method, or the constructor of a class that makes an object."""
    target, owner = found.node
    if isinstance(target, ast.ClassDef):
        made = Value(OBJECT, node=target)
        _call_method(interpreter, made, "__init__", node, scope)
        return made
    inner: Scope = dict(found.fields)
    return interpreter.follow(target, _bind(interpreter, target, owner, node, scope, inner))


def _scan(interpreter: Interpreter, node: ast.Call, scope: Scope) -> Value:
    """lax.scan(step, init, xs): the step is followed once, with an item of xs."""
    step, state, over = (interpreter.evaluate(one, scope) for one in node.args[:3])
    if step.kind != FUNCTION:
        return Value()
    over.as_array(3)
    target, _ = step.node
    names = [one.arg for one in target.args.args]
    first = array(over.axes[1:]) if over.axes else Value()
    inner = {**step.fields, **dict(zip(names, (state, first), strict=False))}
    found = interpreter.follow(target, inner)
    if state.axes and found.kind == ITEMS and found.fields[0].axes:
        unify_all(state.axes, found.fields[0].axes)
    return found


def _call_method(
    interpreter: Interpreter, owner: Value, name: str, node: ast.Call, scope: Scope
) -> Value:
    method = find_method(owner.node, name, interpreter.known)
    if method is None and name == "__call__":  # of a module
        method = find_method(owner.node, "forward", interpreter.known)
    if method is None:
        return Value()
    return interpreter.follow(method, _bind(interpreter, method, owner, node, scope, {}))


def _call_inherited(
    interpreter: Interpreter, owner: Value, name: str, node: ast.Call, scope: Scope
) -> Value:
    """super().name(…): follow the method of the first base class, of the file, that has it."""
    bases = [interpreter.known.get(ast.unparse(base)) for base in getattr(owner.node, "bases", ())]
    for base in bases:
        method = (
            find_method(base, name, interpreter.known) if isinstance(base, ast.ClassDef) else None
        )
        if method is not None:
            return interpreter.follow(method, _bind(interpreter, method, owner, node, scope, {}))
    return Value()


def _bind(
    interpreter: Interpreter,
    target: Any,
    owner: Value | None,
    node: ast.Call,
    scope: Scope,
    inner: Scope,
) -> Scope:
    """The scope of a call: the parameters of the function with the arguments or their defaults."""
    names = [one.arg for one in (*target.args.posonlyargs, *target.args.args)]
    values = list(interpreter.evaluate_parts(node.args, scope))
    if owner is not None and names[:1] and names[0] in ("self", "cls"):
        values.insert(0, owner)
    inner = {**inner, **dict(zip(names, values, strict=False))}
    if target.args.vararg is not None:
        inner[target.args.vararg.arg] = sequence(*values[len(names) :])
    inner |= {one.arg: interpreter.evaluate(one.value, scope) for one in node.keywords if one.arg}
    defaults = dict(zip(names[::-1], target.args.defaults[::-1], strict=False))
    missing = {
        name: interpreter.evaluate(value, {})
        for name, value in defaults.items()
        if name not in inner
    }
    return {**{name: Value() for name in names}, **missing, **inner}
