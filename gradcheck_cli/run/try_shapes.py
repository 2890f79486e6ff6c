"""Shapes that are read from code, tried on that code, in a sandbox."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.init.trials import FITS, Search, Trial
from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import GradcheckError, is_ours
from gradcheck_cli.layers.code_layer import CodeLayer
from gradcheck_cli.processes.sandbox import run_in_sandbox
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.calling.readings import fits_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.config.init.reading import Described
    from gradcheck_cli.config.init.template import Draft
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.sandbox_child import Supervisor


def try_shapes(draft: Draft, path: str, timeout: float | None) -> tuple[Draft | None, bool]:
    """The config with shapes that the forward takes, and whether gradients may be judged by them:
    these have the shapes of their inputs, and are not right with other shapes alone; None where no
    shapes were found near those read.

    What a backward makes of them is for the check to say: shapes are not chosen for it.

    path: of the config, from whose folder its code is found.
    timeout: seconds that a trial may take.
    Raises GradcheckError where the code cannot be imported or ends its process, and OSError where
    there is no process to run it in.
    """
    described, fits = run_in_sandbox(partial(_search, path), draft, _ignore, timeout)
    found = None if described is None else replace(draft, described=described, tried=True)
    return found, fits


def change_shapes(check: ConfigCheck, timeout: float | None) -> ConfigCheck | None:
    """A check of code that has no config, with shapes that its forward takes.

    None where none are found, or gradients have other shapes than their inputs, or are right with
    other shapes alone: it is not known which of the two is wrong. Raises as `try_shapes`.
    """
    assert check.draft is not None
    found, fits = try_shapes(check.draft, check.path, timeout)
    if found is None or not fits or not isinstance(check.layer, CodeLayer):
        return None
    [made] = read_config(found.line, check.path)
    assert isinstance(made.layer, CodeLayer)
    new = made.layer.data
    data = replace(check.layer.data, inputs=new.inputs, constants=new.constants, sizes=new.sizes)
    return replace(check, layer=replace(check.layer, data=data), draft=found)


def _search(path: str, draft: Draft, supervisor: Supervisor) -> tuple[Described | None, bool]:
    backward = draft.names.get("backward", "").rpartition(":")[2].rpartition(".")[2]
    backwards = {backward, *(of_pair for _, of_pair in METHODS)}

    def read_problems(described: Described) -> list[Problem]:
        [check] = read_config(replace(draft, described=described).line, path)
        return check.layer.problems()

    def attempt(described: Described) -> Trial:
        try:
            for problem in read_problems(described):
                problem.forward(problem.copy_inputs())
                problem.evaluate_backward()
        except ConfigError as error:
            return Trial(0.0, str(error))
        except GradcheckError as error:
            return _judge(error, backwards)
        return Trial(FITS)

    def passes(described: Described, test: Callable[[Problem], bool]) -> bool:
        with suppress(GradcheckError):
            return all(map(test, read_problems(described)))
        return False

    passes, search = supervisor.watch(passes), Search(supervisor.watch(attempt))
    found = search.run(draft.described)
    if not found:
        return None, False
    if not passes(found[0], _gradients_fit):
        return found[0], False
    # Where gradients are right with other shapes alone, nobody knows which are meant.
    right = [passes(one, _is_right) for one in found]
    others = any(right) or any(passes(one, _is_right) for one in search.go_on())
    return found[0], right[0] or not others


def _gradients_fit(problem: Problem) -> bool:
    """Whether every gradient has the shape of its input, where it is one of the outputs' sum."""
    import numpy as np

    gradients = problem.evaluate_backward()
    return problem.cotangent is None or all(
        name in gradients and np.shape(gradients[name]) == x.shape
        for name, x in problem.inputs.items()
    )


def _is_right(problem: Problem) -> bool:
    """Whether gradients agree with the forward in one direction; also where none says so."""
    return problem.cotangent is None or fits_forward(
        problem.forward, problem.backward, problem.inputs, problem.cotangent
    )


def _judge(error: GradcheckError, backwards: set[str]) -> Trial:
    """How much of the user's function was run before it raised.

    What a backward makes of the sizes is its own; that it cannot index an input, or takes it for a
    number, is said of the shape.

    backwards: what a backward may be called.
    """
    trace = None if error.__cause__ is None else error.__cause__.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_ours(code.co_filename):
            share = trace.tb_lasti / len(code.co_code)
            if code.co_name in backwards:
                by_rank = isinstance(error.__cause__, TypeError | IndexError)
                share = 1 + share / 2 if by_rank else FITS
            return Trial(share, str(error))
        trace = trace.tb_next
    return Trial(1.0, str(error))


def _ignore(entries: int) -> None:
    """Nothing is measured."""
