"""A gradient checker: analytic backprop against central finite differences.

The public API: `check(forward, backward, inputs)` returns a `CheckResult` with a `Verdict`,
`assert_gradients` raises if it is not a pass. The `from_…` functions make a `Problem` of other
code, such as a layer with a cache, a Jacobian or a torch module.
"""

from __future__ import annotations

# Not imported from typing, which takes a while: until `__main__` handles signals, Ctrl-C prints a
# traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.2.0"
__all__ = [
    "CheckResult",
    "GradcheckError",
    "GradientError",
    "Numeric",
    "Problem",
    "Tolerance",
    "Verdict",
    "assert_gradients",
    "check",
    "constrained",
    "double_backward",
    "from_autograd",
    "from_derivative",
    "from_functions",
    "from_hessian",
    "from_hvp",
    "from_jacobian",
    "from_jax",
    "from_jvp",
    "from_layer",
    "from_torch",
    "from_value_and_grad",
]

if TYPE_CHECKING:
    from gradcheck_cli.api import assert_gradients, check
    from gradcheck_cli.errors import GradcheckError, GradientError
    from gradcheck_cli.options import Numeric, Tolerance
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.result import CheckResult, Verdict
    from gradcheck_cli.usercode.derivatives.problems import (
        from_hessian,
        from_hvp,
        from_jacobian,
        from_jvp,
    )
    from gradcheck_cli.usercode.domains import constrained
    from gradcheck_cli.usercode.frameworks.problems import (
        double_backward,
        from_autograd,
        from_jax,
        from_torch,
    )
    from gradcheck_cli.usercode.problems import (
        from_derivative,
        from_functions,
        from_layer,
        from_value_and_grad,
    )

_HOMES = {
    "assert_gradients": "api",
    "check": "api",
    "GradcheckError": "errors",
    "GradientError": "errors",
    "Numeric": "options",
    "Tolerance": "options",
    "Problem": "problem",
    "CheckResult": "result",
    "Verdict": "result",
    "constrained": "usercode.domains",
    "double_backward": "usercode.frameworks.problems",
    "from_autograd": "usercode.frameworks.problems",
    "from_derivative": "usercode.problems",
    "from_functions": "usercode.problems",
    "from_hessian": "usercode.derivatives.problems",
    "from_hvp": "usercode.derivatives.problems",
    "from_jacobian": "usercode.derivatives.problems",
    "from_jax": "usercode.frameworks.problems",
    "from_jvp": "usercode.derivatives.problems",
    "from_layer": "usercode.problems",
    "from_torch": "usercode.frameworks.problems",
    "from_value_and_grad": "usercode.problems",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command can start without numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
