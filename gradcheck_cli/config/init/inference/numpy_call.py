"""The record of a call of NumPy or torch."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gradcheck_cli.config.init.inference.values import Value

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


class NumpyCall(Struct):
    """A call of a function of NumPy or torch, or of a method of an array, its owner.

    arguments: the values of the positional arguments; keywords: the expressions of the others.
    """

    interpreter: Interpreter
    name: str
    owner: Value | None
    arguments: list[Value]
    node: ast.Call
    keywords: dict[str, ast.expr]
    scope: Scope

    @property
    def values(self) -> list[Value]:
        """The owner, if there is one, and the positional arguments."""
        return self.arguments if self.owner is None else [self.owner, *self.arguments]

    def keyword(self, *names: str) -> ast.expr | None:
        """The keyword argument of one of these names; None if there is none."""
        return next((self.keywords[name] for name in names if name in self.keywords), None)

    def read(self, node: ast.expr | None) -> Any:
        """The whole number or text that an expression gives; None if unknown."""
        return None if node is None else self.interpreter.evaluate_key(node, self.scope)
