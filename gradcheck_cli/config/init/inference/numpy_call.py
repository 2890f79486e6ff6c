"""A call of NumPy or torch in code that is read."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gradcheck_cli.config.init.inference.values import Value

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


class NumpyCall(Struct):
    """A call of a function of NumPy or torch, or of a method of an array, which is the owner.

    values: what it works on, the owner first; at least one.
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
        """What the function works on, the owner first."""
        return self.arguments if self.owner is None else [self.owner, *self.arguments]

    def keyword(self, *names: str) -> ast.expr | None:
        """The argument that is given by one of these names."""
        return next((self.keywords[name] for name in names if name in self.keywords), None)

    def read(self, node: ast.expr | None) -> Any:
        """A number or a text, where it is known; else None."""
        return None if node is None else self.interpreter.evaluate_key(node, self.scope)
