"""A gradient checker: analytic backprop against central finite differences.

The public API: `check(problem)` judges a `Problem` and returns a `CheckResult` with a `Verdict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["CheckResult", "Numeric", "Problem", "Tolerance", "Verdict", "check"]

if TYPE_CHECKING:
    from gradcheck_cli.checking import check
    from gradcheck_cli.options import Numeric, Tolerance
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.result import CheckResult, Verdict

_HOMES = {
    "check": "checking",
    "Numeric": "options",
    "Problem": "problem",
    "CheckResult": "result",
    "Verdict": "result",
    "Tolerance": "options",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: the command starts without numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
