"""`gradcheck init --allow-code`: the shapes that were read are tried on the code, in a sandbox."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.init.template import Draft
from gradcheck_cli.config.init.trials import FITS, Search, Trial
from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import GradcheckError, is_ours
from gradcheck_cli.processes.sandbox import run_in_sandbox

if TYPE_CHECKING:
    from gradcheck_cli.config.init.reading import Described
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.sandbox_child import Supervisor


def try_shapes(draft: Draft, path: str, timeout: float) -> Draft | None:
    """The config with shapes that the code takes; None where none were found near those read.

    path: of the config, from whose folder its code is found.
    timeout: seconds that a trial may take.
    Raises GradcheckError where the code cannot be imported or ends its process, and OSError where
    there is no process to run it in.
    """
    found = run_in_sandbox(partial(_search, path), draft, _ignore, timeout)
    return None if found is None else replace(draft, described=found)


def _search(path: str, draft: Draft, supervisor: Supervisor) -> Described | None:
    def attempt(described: Described) -> Trial:
        try:
            checks = read_config(replace(draft, described=described).bare_text, path)
        except ConfigError as error:
            return Trial(0.0, str(error))
        trial = Trial(FITS)
        for check in checks:
            try:
                trials = map(_try_problem, check.layer.problems())
                trial = min([trial, *trials], key=lambda one: one.reached)
            except GradcheckError as error:
                trial = Trial(_find_progress(error), str(error))
        return trial

    return Search(supervisor.watch(attempt)).run(draft.described)


def _try_problem(problem: Problem) -> Trial:
    """Call the forward and the backward once."""
    import numpy as np

    from gradcheck_cli.measure.purity import call_backward
    from gradcheck_cli.measure.refuse import find_refusal
    from gradcheck_cli.result import Code

    problem.forward({name: np.copy(x) for name, x in problem.inputs.items()})
    claim = call_backward(problem)
    if claim.fault is not None:
        return Trial(1.0, claim.fault.sentence)
    complaints = []
    for name, x in problem.inputs.items():
        refusal = find_refusal(claim.gradients.get(name), x.shape, problem.label(name))
        if refusal and refusal.code in (Code.OTHER_SHAPE, Code.NOT_RETURNED):
            complaints.append(refusal.sentence)
    return Trial(FITS - len(complaints) / len(problem.inputs), "; ".join(complaints))


def _find_progress(error: BaseException) -> float:
    """How much of the user's function was run before it raised, from 0 to 1."""
    trace = None if error.__cause__ is None else error.__cause__.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_ours(code.co_filename):
            return trace.tb_lasti / len(code.co_code)
        trace = trace.tb_next
    return 1.0


def _ignore(entries: int) -> None:
    """Nothing is measured."""
