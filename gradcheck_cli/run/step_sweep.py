"""`gradcheck steps`: measure the error against the step for every stencil, and where auto is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli import __version__
from gradcheck_cli.errors import LeaveError
from gradcheck_cli.report import ExitCode, make_printable
from gradcheck_cli.run.one import describe_failure, keep_code_loaded, run_problems
from gradcheck_cli.text import printable

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.warm import WarmProcesses
    from gradcheck_cli.run.sandbox_work import Keep

SCHEMA_VERSION = 1
# Entries of a gradient that are measured; their worst error is drawn. Each takes 6 × 60 forwards.
MOST_ENTRIES = 48
ZERO = "the gradient is zero, so that there is no relative error to show"
UNKNOWN = "the numeric gradient is not known at any entry"
KINKS = "every entry is at a kink, where there is no gradient"


class Curve(Struct, frozen=True):
    """The errors of one central stencil, in the order of the steps.

    errors: max |D_h − m| over max |m|, with the quotient D_h and the numeric gradient m of
        `step: auto`; None where a quotient is not finite.
    best_step, best_error: the step with the smallest error, and this error.
    """

    order: int
    errors: tuple[float | None, ...]
    best_step: float
    best_error: float


class GradientSteps(Struct, frozen=True):
    """The curves of one gradient. steps: in the units of its input, the largest first.

    entries: of the gradient; measured: how many of them the curves are for.
    chosen: the median over entries of the finest step that `step: auto` took.
    known_to: the largest uncertainty of the gradient over its largest entry; below it, a curve
        shows nothing.
    note: the reason if there are no curves.
    """

    name: str
    gradient: str
    shape: tuple[int, ...]
    entries: int
    measured: int
    steps: tuple[float, ...] = ()
    curves: tuple[Curve, ...] = ()
    chosen: float | None = None
    known_to: float | None = None
    note: str = ""


class CheckSteps(Struct, frozen=True):
    """A check and the curves of its gradients; error: the reason if there are none.

    not_run: whether the reason is that it names Python code, which was not allowed to run.
    """

    id: str
    path: str
    line: int
    dtype: str
    seed: int
    gradients: tuple[GradientSteps, ...] = ()
    error: str = ""
    not_run: bool = False


class StepsReport(Struct, frozen=True):
    """The curves of all checks, in the order of their configs."""

    schema_version: int
    gradcheck_version: str
    checks: tuple[CheckSteps, ...]
    seconds: float
    exit_code: int


def run(
    checks: Sequence[ConfigCheck],
    progress: Callable[[int, int], None] | None = None,
    timeout: float | None = None,
    allow_code: bool = False,
) -> StepsReport:
    """Measure the curves of these checks; an error ends its own check only."""
    started, done = time.perf_counter(), 0
    total = sum(len(check.layer.gradients) for check in checks)
    found = []
    with keep_code_loaded(checks) as warm:
        for check in checks:
            found.append(_sweep(check, timeout, allow_code, warm))
            done += len(check.layer.gradients)
            if progress is not None:
                progress(done, total)
    code = ExitCode.NOTHING_CHECKED if any(check.error for check in found) else ExitCode.OK
    seconds = time.perf_counter() - started
    return make_printable(StepsReport(SCHEMA_VERSION, __version__, tuple(found), seconds, code))


def _sweep(
    check: ConfigCheck, timeout: float | None, allow_code: bool, warm: WarmProcesses | None
) -> CheckSteps:
    """Measure the curves of one check, or report why there are none."""
    report = CheckSteps(
        printable(check.id),
        printable(check.path),
        check.line,
        check.layer.dtype,
        check.layer.seed,
    )
    try:
        gradients = run_problems(
            check, _measure_check, lambda entries: None, timeout, allow_code, warm
        )
    except LeaveError as error:
        return replace(report, error=str(error), not_run=True)
    except Exception as error:
        return replace(report, error=describe_failure(check, error))
    return replace(report, gradients=gradients)


def _measure_check(
    check: ConfigCheck,
    problems: Sequence[Problem],
    advance: Callable[[int], None],
    keep: Keep | None,
) -> tuple[GradientSteps, ...]:
    return tuple(
        _measure_gradient(problem, name, advance)
        for problem in problems
        if problem.identity is None
        for name in problem.inputs
    )


def _measure_gradient(problem: Problem, name: str, advance: Callable[[int], None]) -> GradientSteps:
    """Measure the curves of the gradient with respect to an input, at a sample of its entries."""
    import numpy as np

    from gradcheck_cli.measure.measure import measure_entries_of, points_evaluator
    from gradcheck_cli.numeric.sampling import sample_entries
    from gradcheck_cli.numeric.step_errors import choose_steps, measure_curves
    from gradcheck_cli.options import Numeric

    x = problem.inputs[name]
    entries = np.arange(x.size) if x.size <= MOST_ENTRIES else sample_entries(x.size, MOST_ENTRIES)
    numeric = measure_entries_of(problem, name, Numeric(), entries)
    known = np.where(numeric.kink, np.nan, numeric.value)
    result = GradientSteps(
        name=name,
        gradient=problem.label(name).gradient,
        shape=tuple(x.shape),
        entries=x.size,
        measured=len(entries),
    )
    if not np.isfinite(known).any():
        return replace(result, note=KINKS if numeric.kink.all() else UNKNOWN)
    largest = float(np.nanmax(np.abs(known)))
    if largest == 0.0:
        return replace(result, note=ZERO)
    cotangent = problem.cotangent
    found = measure_curves(
        points_evaluator(problem, name),
        x,
        None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
        known,
        entries,
        advance,
    )
    uncertainty = np.where(np.isnan(known), 0.0, numeric.uncertainty)
    return replace(
        result,
        steps=tuple(map(float, choose_steps(x))),
        curves=_list_curves(found, choose_steps(x)),
        chosen=float(np.median(numeric.step[np.isfinite(known)])),
        known_to=float(np.max(uncertainty)) / largest,
    )


def _list_curves(found: Mapping[int, Any], steps: Any) -> tuple[Curve, ...]:
    """The curves of stencils with any finite error; found: the errors at the steps, by order."""
    import numpy as np

    return tuple(
        Curve(
            order=order,
            errors=tuple(float(error) if error == error else None for error in errors),
            best_step=float(steps[np.nanargmin(errors)]),
            best_error=float(np.nanmin(errors)),
        )
        for order, errors in found.items()
        if not np.isnan(errors).all()
    )
