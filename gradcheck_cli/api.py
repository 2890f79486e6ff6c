"""Checks from Python: `check` returns the result, `assert_gradients` raises if it is no pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradcheck_cli.checker import check as checker
from gradcheck_cli.errors import CodeError, GradientError
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict
from gradcheck_cli.usercode.calling.signatures import name_of, takes_what
from gradcheck_cli.usercode.frameworks.problems import from_framework
from gradcheck_cli.usercode.problems import from_functions
from gradcheck_cli.usercode.slices import NOT_CUT, Cuts

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array


def check(
    forward: Problem | Sequence[Problem] | Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    inputs: Any = None,
    constants: Mapping[str, Any] | None = None,
    *,
    delta: Array | None = None,
    seed: int = 0,
    batched: bool | str = False,
    slices: Cuts = NOT_CUT,
    in_place: bool = False,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
) -> CheckResult:
    """Check every gradient of a forward and its backward against central differences.

    forward, backward, inputs, constants, delta, seed, batched, slices: see `from_functions`.
        Instead of all of them, forward may be a `Problem` or several. Without a backward, forward
        is a torch module or function, or a function of jax or autograd, see `from_torch`; then the
        reverse mode of that framework is checked.
    in_place: whether the backward may change the arrays it is handed.
    numeric, tolerance: see their classes; None: the defaults.
    Returns the verdict, a result for each gradient and the work it took. A wrong gradient does not
    raise. What forward or backward raises is raised; CodeError where they cannot be called with
    these inputs, ForwardError where the outputs are not numbers.
    """
    __tracebackhide__ = True
    for name, given, kind in (("numeric", numeric, Numeric), ("tolerance", tolerance, Tolerance)):
        if not isinstance(given, kind | None):
            raise TypeError(f"{name} must be a {kind.__name__}, got {given!r}")
    try:
        if isinstance(forward, Problem):
            problems: Sequence[Problem] = [forward]
        elif isinstance(forward, Sequence):
            problems = forward
        elif inputs is None:
            raise CodeError("check(forward, backward, inputs) needs inputs")
        elif backward is None:
            drawn: dict[str, Any] = {"delta": delta, "seed": seed, "slices": slices}
            problems = [from_framework(forward, inputs, constants, **drawn)]
        else:
            drawn = {"delta": delta, "seed": seed, "slices": slices, "batched": batched}
            problems = [from_functions(forward, backward, inputs, constants, **drawn)]
        if in_place:
            problems = [replace(problem, in_place=True) for problem in problems]
        return checker.check(problems, numeric=numeric, tolerance=tolerance)
    except CodeError as error:
        if isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise


@takes_what(check)
def assert_gradients(*arguments: Any, **options: Any) -> CheckResult:
    """`check` for a test suite: returns the result if every gradient passes.

    Raises GradientError, an AssertionError, if a gradient is wrong or the check is inconclusive.
    Its text is a line that says what is wrong, then the report that the command prints.
    """
    __tracebackhide__ = True
    result = check(*arguments, **options)
    if result.verdict != Verdict.PASS:
        forward = arguments[0] if arguments else options["forward"]
        name = name_of(forward) if callable(forward) else "gradients"
        from gradcheck_cli.reporters.details import write_headline_of_result
        from gradcheck_cli.reporters.table import render_result

        raise GradientError(f"{write_headline_of_result(result)}\n\n{render_result(result, name)}")
    return result
