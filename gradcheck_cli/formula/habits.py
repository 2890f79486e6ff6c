"""Advice for what people write in a formula out of habit, but is not allowed there."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from gradcheck_cli.formula.terms import Function
from gradcheck_cli.text import suggest

INSTEAD = {
    "dot": "the matrix product is @, as in X.T @ delta",
    "matmul": "the matrix product is @, as in X.T @ delta",
    "T": ".T has no parentheses",
    "transpose": "write .T, or transpose(x)",
    "multiply": "write *",
    "power": "write **",
    "array": "arrays cannot be written out; use ones, zeros or eye",
}
UPSTREAM = {"dout", "dy", "dY", "dL", "dz", "dZ", "grad", "grad_output", "upstream", "d"}


def advise_method(inner: ast.expr, method: str, functions: Mapping[str, Function]) -> str:
    """Advice on a call of a method, or of a module's function."""
    if isinstance(inner, ast.Name) and inner.id in ("np", "numpy"):
        return INSTEAD.get(method, f"write {method}(…), without numpy's name before it")
    if method in INSTEAD:
        return INSTEAD[method]
    if method in functions:
        return f"arrays have no methods here; write {functions[method].usage}"
    return f"'.{method}' is not allowed; the only attribute is .T"


def advise_name(name: str, names: Collection[str], functions: Mapping[str, Function]) -> str:
    """Advice on a name that the formula does not know."""
    if name in functions:
        return f"'{name}' is a function; call it: {name}(…)"
    advice = f"; the formula knows {', '.join(names)} and functions such as exp(x)"
    if name in ("dz", "dZ") and "z" in names:
        advice = "; ∂L/∂z is delta * f′(z), with the derivative written out"
    elif name in UPSTREAM and "delta" in names:
        advice = "; the upstream gradient is delta"
    else:
        advice = suggest(name, [*names, *functions]) or advice
    return f"unknown name '{name}'{advice}"


def advise_function(name: str, names: Collection[str], functions: Mapping[str, Function]) -> str:
    """Advice on a call of something that is no function."""
    if name in names:
        return f"'{name}' is not a function"
    if name in INSTEAD:
        return f"unknown function '{name}'; {INSTEAD[name]}"
    return f"unknown function '{name}'{suggest(name, functions, 'there are')}"
