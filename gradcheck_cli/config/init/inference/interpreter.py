"""An abstract interpreter: it follows code without running it and infers shapes of parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from gradcheck_cli.config.init.inference import calls
from gradcheck_cli.config.init.inference.arithmetic import combine, compare
from gradcheck_cli.config.init.inference.axes import Axis, unify, unify_all
from gradcheck_cli.config.init.inference.keys import read_key
from gradcheck_cli.config.init.inference.loops import carry, list_items
from gradcheck_cli.config.init.inference.operations import Allocate, broadcast, transpose
from gradcheck_cli.config.init.inference.subscripts import evaluate_subscript
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    OBJECT,
    RECORD,
    SIZE,
    TEXT,
    Value,
    function,
    note_name,
    number,
    sequence,
    size,
)
from gradcheck_cli.config.init.syntax import find_method

DEEPEST = 6  # calls in one another that are followed
MOST_STEPS = 20_000  # statements that are followed for one function that is read
Scope = dict[str, Value]


class Interpreter:
    """Follows the functions of a file. allocate: chooses the size of an axis that is open."""

    def __init__(self, tree: ast.Module, allocate: Allocate) -> None:
        self.allocate = allocate
        self.known = {
            node.name: node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        self.depth = self.steps = 0
        self.numbers: Scope = {}
        for node in tree.body:  # vocab_size, hidden_size = 65, 100
            if isinstance(node, ast.Assign):
                self.numbers |= _numbers_in(node)

    def follow(self, node: Any, scope: Scope) -> Value:
        """The value that a function returns for the parameters in this scope: that of the first
        return in its text."""
        if self.depth >= DEEPEST:
            return Value()
        self.depth += 1
        returned: list[Value] = []
        if isinstance(node, ast.Lambda):
            returned.append(self.evaluate(node.body, scope))
        else:
            self.follow_statements(node.body, scope, returned)
        self.depth -= 1
        return returned[0] if returned else Value()

    def follow_statements(
        self, body: Sequence[ast.stmt], scope: Scope, returned: list[Value]
    ) -> None:
        """Follow statements in order; both branches of an if, and a loop once an item."""
        for statement in body:
            self.steps += 1
            if self.steps > MOST_STEPS:
                return
            self.follow_statement(statement, scope, returned)

    def follow_statement(self, node: ast.stmt, scope: Scope, returned: list[Value]) -> None:
        """Follow one statement."""
        match node:
            case ast.Return(value=value) if value is not None:
                returned.append(self.evaluate(value, scope))
            case ast.Assign(targets=targets, value=value):
                found = self.evaluate(value, scope)
                for target in targets:
                    self.assign(target, found, scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.assign(target, self.evaluate(value, scope), scope)
            case ast.AugAssign(target=target, value=value):
                self.add_to(target, self.evaluate(value, scope), scope)
            case ast.Expr(value=value):
                self.evaluate(value, scope)
            case ast.For(target=target, iter=over, body=body):
                before, items = dict(scope), list_items(self, over, scope)
                for item in items:
                    self.assign(target, item, scope)
                    self.follow_statements(body, scope, returned)
                if len(items) == 1 and (items[0].kind != NUMBER or items[0].counts):
                    carry(before, scope)
            case ast.If(test=test, body=body, orelse=other):
                self.evaluate(test, scope)
                before = dict(scope)
                self.follow_statements(body, scope, returned)
                self.follow_statements(other, scope, returned)
                if not other:  # without an else, the values from before the if are as likely
                    scope.update((k, one) for k, one in before.items() if one.is_known)
            case ast.While(body=body) | ast.With(body=body) | ast.Try(body=body):
                self.follow_statements(body, scope, returned)
            case ast.Assert(test=test):
                self.evaluate(test, scope)
            case ast.FunctionDef():
                scope[node.name] = inner = function(node)
                inner.fields = dict(scope)

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Assign a value to a name, an attribute, an item, or to each of several targets."""
        match target:
            case ast.Name(id=name):
                if value.kind == SIZE and value.axis is not None:
                    name_size(value.axis, name, scope.get(name))
                scope[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for place, part in enumerate(parts):
                    self.assign(part, self.unpack(value, place, part, len(parts)), scope)
            case ast.Attribute(value=owner, attr=name):
                self.evaluate(owner, scope).fields[name] = value
            case ast.Subscript(value=owner, slice=key):
                holder, known = self.evaluate(owner, scope), self.evaluate_key(key, scope)
                if holder.kind == ITEMS and isinstance(known, int) and known < 0:
                    known += len(holder.fields)  # nabla_b[-1] = delta
                if known is not None and holder.kind in (RECORD, ITEMS, OBJECT):
                    holder.fields[known] = value
                elif holder.kind == ARRAY:
                    set_part = evaluate_subscript(self, target, scope)
                    unify_all(set_part.axes or (), value.axes or ())

    def unpack(self, value: Value, place: int, target: ast.expr, count: int) -> Value:
        """The item at a place of a value that is unpacked into `count` targets.

        A parameter that is unpacked becomes a list, whose items have the names of the targets.
        """
        if value.node == "shape":  # of an array, which has as many axes as there are targets
            value.parts[0].as_array(count)
            axes = value.parts[0].axes or []
            return size(axes[place]) if len(axes) == count else size(Axis())
        if value.kind is None and value.is_parameter:
            value.kind = ITEMS
        if value.kind != ITEMS:
            return Value()
        part = value.field(place)
        if isinstance(target, ast.Name) and part.kind is None:
            part.name = target.id
        return part

    def add_to(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Follow `a += b`: a list gets the items of the other, arrays get the same shape."""
        with suppress(ValueError):
            old = self.evaluate(target, scope)
            if old.kind == ITEMS and value.kind == ITEMS:
                for part in value.fields.values():
                    old.fields[len(old.fields)] = part
            elif isinstance(target, ast.Name):
                scope[target.id] = broadcast(old, value)
            elif old.axes is not None and value.axes is not None:
                pairs = zip(old.axes, value.axes, strict=True)
                stretched = [one if other.root.value == 1 else other for one, other in pairs]
                unify_all(old.axes, stretched)

    def evaluate_key(self, node: ast.expr, scope: Scope) -> Any:
        """The text or whole number that an expression for a key gives; None if unknown."""
        return read_key(self, node, scope)

    def evaluate(self, node: ast.expr, scope: Scope) -> Value:
        """The value of an expression."""
        match node:
            case ast.Name(id=name):
                if name in scope:
                    return scope[name]
                if name in self.numbers:
                    return self.numbers[name]
                return function(self.known[name]) if name in self.known else Value()
            case ast.Constant(value=bool() | int() | float() as value):
                return number(float(value))
            case ast.Constant(value=str(text)):
                return Value(TEXT, text=text)
            case ast.Lambda():
                made = function(node)
                made.fields = dict(scope)
                return made
            case ast.Attribute():
                return self.evaluate_attribute(node, scope)
            case ast.Subscript():
                return evaluate_subscript(self, node, scope)
            case ast.Call():
                return calls.evaluate_call(self, node, scope)
            case ast.Tuple() | ast.List() | ast.Dict() | ast.ListComp() | ast.GeneratorExp():
                return self.evaluate_collection(node, scope)
        return self.evaluate_operation(node, scope)

    def evaluate_collection(self, node: ast.expr, scope: Scope) -> Value:
        """The value of a tuple, a list, a dict or a comprehension."""
        match node:
            case ast.Dict(keys=keys, values=values):
                named = zip(keys, values, strict=True)
                plain = [(key.value, one) for key, one in named if isinstance(key, ast.Constant)]
                return Value(RECORD, fields={key: self.evaluate(one, scope) for key, one in plain})
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return sequence(*self.evaluate_parts(parts, scope))
            case (
                ast.ListComp(elt=item, generators=[first, *_])
                | ast.GeneratorExp(elt=item, generators=[first, *_])
            ):
                items = []
                for one in list_items(self, first.iter, scope):
                    inner = dict(scope)
                    self.assign(first.target, one, inner)
                    items.append(self.evaluate(item, inner))
                return sequence(*items)
        return Value()

    def evaluate_parts(self, parts: Sequence[ast.expr], scope: Scope) -> Iterator[Value]:
        """The values of the items in a display or a call, such as `[n_in, *hidden]`."""
        for part in parts:
            if isinstance(part, ast.Starred):
                yield from list_items(self, part.value, scope)
            else:
                yield self.evaluate(part, scope)

    def evaluate_operation(self, node: ast.expr, scope: Scope) -> Value:
        """The value of an arithmetic or logical operation, a comparison or a conditional."""
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                pair = self.evaluate(left, scope), self.evaluate(right, scope)
                return combine(op, *pair, self.allocate)
            case ast.UnaryOp(operand=operand):
                found = self.evaluate(operand, scope)
                negative = isinstance(node.op, ast.USub) and found.number is not None
                return number(-(found.number or 0)) if negative else found
            case ast.Compare(left=left, comparators=[right, *_]):
                return compare(self.evaluate(left, scope), self.evaluate(right, scope))
            case ast.BoolOp(values=values):
                return [self.evaluate(one, scope) for one in values][-1]
            case ast.IfExp(body=body, orelse=other):
                found, second = self.evaluate(body, scope), self.evaluate(other, scope)
                return second if found.kind is None else found
        return Value()

    def evaluate_attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        """The value of an attribute: T, shape, size or ndim of an array; a field or a method of an
        object."""
        owner = self.evaluate(node.value, scope)
        name = node.attr
        if owner.kind == OBJECT and not owner.text:
            if name in owner.fields:
                return owner.fields[name]
            method = find_method(owner.node, name, self.known)
            return function(method, owner) if method is not None else owner.field(name)
        if owner.kind in (RECORD, ITEMS):
            return owner.field(name) if owner.is_parameter else Value()
        if name == "T":
            return transpose(owner)
        if name == "shape":
            return Value(ITEMS, node="shape", parts=(owner,))
        if name in ("size", "ndim") and owner.kind in (None, ARRAY) and owner.is_parameter:
            owner.as_array(owner.guessed_rank)
            axes = owner.axes or []
            return size(axes[0]) if name == "size" and len(axes) == 1 else number()
        return Value()


def name_size(axis: Axis, name: str, before: Value | None) -> None:
    """Name a size after the variable that it is assigned to.

    before: what the variable held; if that is a size, and both are open, the two are one.
    """
    if name != "_" and not axis.root.name:
        axis.root.name = name
        note_name(axis.root, name)
    other = None if before is None or before.kind != SIZE else before.axis
    if other is not None and name != "_" and other.root.open and axis.root.open:
        unify(axis, other)


def _numbers_in(node: ast.Assign) -> Scope:
    """The names to which an assignment gives numbers, with these."""
    target = node.targets[0]
    pairs = [(target, node.value)]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(target.elts, node.value.elts, strict=False))
    return {
        name.id: number(one.value)
        for name, one in pairs
        if isinstance(name, ast.Name) and isinstance(one, ast.Constant)
        if isinstance(one.value, int | float) and not isinstance(one.value, bool)
    }
