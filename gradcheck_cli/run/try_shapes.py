"""Shapes that are read from code, tried on that code, in a sandbox."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.config.init.reading import Described
    from gradcheck_cli.config.init.template import Draft
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.sandbox_child import Supervisor


def try_shapes(draft: Draft, path: str, timeout: float | None) -> Draft | None:
    """The config with shapes that the forward takes; None where none were found near those read.

    What a backward makes of them is for the check to say: shapes are not chosen for it.

    path: of the config, from whose folder its code is found.
    timeout: seconds that a trial may take.
    Raises GradcheckError where the code cannot be imported or ends its process, and OSError where
    there is no process to run it in.
    """
    found = run_in_sandbox(partial(_search, path), draft, _ignore, timeout)
    return None if found is None else replace(draft, described=found, tried=True)


def change_shapes(check: ConfigCheck, timeout: float | None) -> ConfigCheck | None:
    """A check of code that has no config, with shapes that its forward takes.

    None where none are found; raises as `try_shapes`.
    """
    assert check.draft is not None
    found = try_shapes(check.draft, check.path, timeout)
    if found is None or not isinstance(check.layer, CodeLayer):
        return None
    [made] = read_config(found.line, check.path)
    assert isinstance(made.layer, CodeLayer)
    new = made.layer.data
    data = replace(check.layer.data, inputs=new.inputs, constants=new.constants, sizes=new.sizes)
    return replace(check, layer=replace(check.layer, data=data), draft=found)


def _search(path: str, draft: Draft, supervisor: Supervisor) -> Described | None:
    backward = draft.names.get("backward", "").rpartition(":")[2].rpartition(".")[2]
    backwards = {backward, *(of_pair for _, of_pair in METHODS)}

    def attempt(described: Described) -> Trial:
        try:
            [check] = read_config(replace(draft, described=described).line, path)
            for problem in check.layer.problems():
                _call_forward(problem)
        except ConfigError as error:
            return Trial(0.0, str(error))
        except GradcheckError as error:
            return _judge(error, backwards)
        return Trial(FITS)

    return Search(supervisor.watch(attempt)).run(draft.described)


def _call_forward(problem: Problem) -> None:
    problem.forward({name: x.copy() for name, x in problem.inputs.items()})


def _judge(error: GradcheckError, backwards: set[str]) -> Trial:
    """How much of the user's function was run before it raised; a backward that raises is run.

    backwards: what a backward may be called.
    """
    trace = None if error.__cause__ is None else error.__cause__.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_ours(code.co_filename):
            done = code.co_name in backwards
            return Trial(FITS if done else trace.tb_lasti / len(code.co_code), str(error))
        trace = trace.tb_next
    return Trial(1.0, str(error))


def _ignore(entries: int) -> None:
    """Nothing is measured."""
