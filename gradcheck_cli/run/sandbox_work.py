"""The work inside the sandbox: build the problems of a check, with a time limit on their calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec.structs import replace

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.executor import Advance
    from gradcheck_cli.processes.sandbox_child import Supervisor
    from gradcheck_cli.usercode.loading import Reference

Result = TypeVar("Result")
Returned = TypeVar("Returned", covariant=True)

Keep = Callable[[Any], None]  # takes an early result, which counts if the work is cut short


class Work(Protocol[Returned]):
    """A function that works on the problems of a check, in this process or in the sandbox."""

    def __call__(
        self, check: ConfigCheck, problems: Sequence[Problem], advance: Advance, keep: Keep | None
    ) -> Returned:
        """Return a result; keep: takes early results, None where nothing can cut the work short."""


def identify_code(check: ConfigCheck) -> tuple[Reference, ...]:
    """The files and modules of the user's code that a check loads, without repetition."""
    files = {(code.where, code.folder): code for code in check.layer.code}
    return tuple(replace(code, name="") for code in files.values())


def load_code(code: Sequence[Reference]) -> None:
    """Import files and modules, and the adapters of the frameworks that they import.

    Also import what every check of code needs, since the processes of checks are forks of this one.
    Raises CodeError where importing one raises.
    """
    import numpy.random  # noqa: F401

    from gradcheck_cli.usercode.frameworks import list_loaded, load_framework, problems  # noqa: F401
    from gradcheck_cli.usercode.loading import Loader

    loader = Loader({})
    for one in code:
        loader.import_module(one)
    for name in list_loaded():
        load_framework(name)


def work_on_watched_problems(
    work: Work[Result], check: ConfigCheck, supervisor: Supervisor
) -> Result:
    """Do the work on the problems of a check, with a time limit for every call of user code."""
    problems = [watch_calls(problem, supervisor) for problem in check.layer.problems()]
    return work(check, problems, supervisor.advance, supervisor.keep)


def watch_calls(problem: Problem, supervisor: Supervisor) -> Problem:
    """The problem, with a time limit for every call of the user's code."""
    from gradcheck_cli.problem import Stackable

    identity, fallback, forward = problem.identity, problem.fallback, problem.forward
    locality = problem.locality
    watch = supervisor.watch
    return replace(
        problem,
        forward=forward.watched(watch) if isinstance(forward, Stackable) else watch(forward),
        backward=watch(problem.backward),
        origins=watch(problem.origins),
        backward_passes=watch(problem.backward_passes),
        identity=None if identity is None else watch(identity),
        locality=locality and replace(locality, inner=watch(locality.inner)),
        fallback=None if fallback is None else watch_calls(fallback, supervisor),
    )
