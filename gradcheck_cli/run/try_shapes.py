"""Try the shapes that were inferred for code by running it in a sandbox, and search for better."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.init.inference.givens import Given
from gradcheck_cli.config.init.template import Draft
from gradcheck_cli.config.init.trials import (
    DONE,
    FITS,
    Search,
    Trial,
    count_squares,
    is_plausible,
)
from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import GradcheckError, LackingError, is_ours
from gradcheck_cli.layers.code_layer import CodeLayer
from gradcheck_cli.processes.sandbox import run_in_sandbox
from gradcheck_cli.usercode.calling.methods import METHODS
from gradcheck_cli.usercode.calling.readings import STEP, fits_forward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.config.init.infer_inputs import Described
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.sandbox_child import Supervisor

    Shape = tuple[int, ...]

# Random directions in which gradients are compared. With one, a wrong gradient agreed with some of
# a hundred shapes; with three, with none.
DIRECTIONS = 3
# The error of a derivative along a direction that counts as equal, relative to the largest. The
# difference with a step of STEP is good to some 1e-9; a second derivative that lacks a term of a
# thousandth must differ.
SAME = 1e-5


class Tried(Struct, frozen=True):
    """The result of trying shapes.

    draft: the config with shapes that the forward accepts. fits: whether the gradients may be
    judged with them: each has the shape of its input, and they are right, or no other shapes make
    them right. other: if not None, a config with other shapes, with which the gradients are right.
    """

    draft: Draft
    fits: bool
    other: Draft | None = None


def try_shapes(draft: Draft, path: str, timeout: float | None) -> Tried | None:
    """Find shapes that the forward accepts, near those of the draft; None if there are none.

    path: of the config; its code is found from its folder.
    timeout: seconds that a trial may take.
    Raises GradcheckError where the code cannot be imported or ends its process, and OSError where
    no process can be started for it.
    """
    return run_in_sandbox(partial(_search, path), draft, _ignore, timeout)


def replace_shapes(check: ConfigCheck, draft: Draft) -> ConfigCheck:
    """A check of code without a config, with the shapes of another draft of it."""
    [made] = read_config(draft.line, check.path)
    assert isinstance(made.layer, CodeLayer)
    assert isinstance(check.layer, CodeLayer)
    new = made.layer.data
    kept = {"seed": check.layer.data.seed, "dtype": check.layer.data.dtype}
    return replace(check, layer=replace(check.layer, data=replace(new, **kept)), draft=draft)


def _search(path: str, draft: Draft, supervisor: Supervisor) -> Tried | None:
    trials = _Trials(path, draft)
    search = Search(supervisor.watch(trials.attempt))
    measure, is_right = supervisor.watch(trials.measure), supervisor.watch(trials.is_right)
    found = search.run(draft.described)
    if not found:
        return None
    made = partial(replace, draft, tried=True)
    taken = next((one for one in found if measure(one).fits), found[0])
    shapes = measure(taken)
    shrunk = search.confirm(shapes.shrink(taken))
    if shrunk is not None and measure(shrunk).fits:
        taken, shapes = shrunk, measure(shrunk)
    if is_right(taken):
        return Tried(made(described=taken), True)

    def may_be_meant(one: Described) -> bool:
        return is_plausible(one, taken) and is_right(one)

    right = next(filter(may_be_meant, found), None)
    right = right or next(filter(may_be_meant, search.run_further()), None)
    if right is None:
        return Tried(made(described=taken), shapes.fits)
    if shapes.gradients is None or count_squares(right) < count_squares(taken):
        return Tried(made(described=right), True)
    return Tried(made(described=taken), False, made(described=right))


class _Shapes(Struct, frozen=True):
    """The shapes of inputs and of their gradients; gradients is None where the backward raised."""

    inputs: Mapping[str, Shape]
    gradients: Mapping[str, Shape] | None

    @property
    def fits(self) -> bool:
        """Whether every gradient has the shape of its input."""
        return self.gradients == self.inputs

    def shrink(self, described: Described) -> Described:
        """The description, but inputs have the shapes of their gradients where these are smaller.

        A forward also accepts inputs that are too large if it broadcasts or does not use them all.
        A gradient that is a number does not count, since its sum may lack an axis.
        """
        names = {value: name for name, value in described.sizes.items()}
        inputs = dict(described.inputs)
        for name, gradient in (self.gradients or {}).items():
            before = self.inputs.get(name, ())
            fewer = len(gradient) < len(before)
            shorter = len(gradient) == len(before) and prod(gradient) < prod(before)
            if gradient and (fewer or shorter):
                axes = ", ".join(names.get(size, str(size)) for size in gradient)
                inputs[name] = Given(f"[{axes}]", guess=True)
        return replace(described, inputs=inputs)


class _Trials:
    """Runs the code with given shapes. path: of the config; draft: the config with other shapes."""

    def __init__(self, path: str, draft: Draft) -> None:
        self.path = path
        self.draft = draft
        backward = draft.names.get("backward", "").rpartition(":")[2].rpartition(".")[2]
        self.backwards = {backward, *(of_pair for _, of_pair in METHODS)}
        self.made: dict[str, list[Problem]] = {}

    def read_problems(self, described: Described) -> list[Problem]:
        """The problems of the check with these shapes; made once."""
        line = replace(self.draft, described=described).line
        if line not in self.made:
            [check] = read_config(line, self.path)
            self.made[line] = check.layer.problems()
        return self.made[line]

    def attempt(self, described: Described) -> Trial:
        """Run the forward and the backward with these shapes; how far they came."""
        try:
            for problem in self.read_problems(described):
                if not np.size(problem.forward(problem.copy_inputs())):
                    return Trial(0.5, "the output is empty")
                problem.evaluate_backward()
        except (ConfigError, LackingError) as error:
            return Trial(0.0, str(error))
        except GradcheckError as error:
            return _rate_failure(error, self.backwards)
        return Trial(DONE)

    def measure(self, described: Described) -> _Shapes:
        """The shapes of inputs and of gradients; a gradient without a cotangent, as that of a
        Jacobian, counts as fitting."""
        inputs: dict[str, Shape] = {}
        gradients: dict[str, Shape] = {}
        for problem in self.read_problems(described):
            shapes = {name: x.shape for name, x in problem.inputs.items()}
            inputs |= shapes
            if problem.cotangent is not None:
                try:
                    made = problem.evaluate_backward()
                except GradcheckError:
                    return _Shapes(inputs, None)
                shapes = {name: np.shape(one) for name, one in made.items() if name in shapes}
            gradients |= shapes
        return _Shapes(inputs, gradients)

    def is_right(self, described: Described) -> bool:
        """Whether gradients agree with differences of the forward in a few random directions; False
        where this cannot be seen."""
        with suppress(GradcheckError):
            return self.measure(described).fits and all(
                map(_is_right, self.read_problems(described))
            )
        return False


def _is_right(problem: Problem) -> bool:
    cotangent = problem.cotangent
    if cotangent is None:
        return problem.identity is not None or _fits_in_one_direction(problem)
    return any(map(np.any, problem.evaluate_backward().values())) and all(
        fits_forward(problem.forward, problem.backward, problem.inputs, cotangent, seed)
        for seed in range(DIRECTIONS)
    )


def _fits_in_one_direction(problem: Problem) -> bool:
    """Whether the Jacobian of each input, times a random direction, agrees with a difference."""
    inputs, rng = problem.copy_inputs(), np.random.default_rng(0)
    claimed = problem.evaluate_backward()
    for name, x in inputs.items() if any(map(np.any, claimed.values())) else ():
        direction = rng.standard_normal(x.shape)
        ends = [problem.forward({**inputs, name: x + h * direction}) for h in (STEP, -STEP)]
        difference = (ends[0] - ends[1]) / (2 * STEP)
        shape = (*difference.shape, *x.shape)
        if np.size(claimed[name]) != prod(shape):
            return True
        along = np.tensordot(np.reshape(claimed[name], shape), direction, x.ndim)
        if np.max(np.abs(along - difference)) > SAME * np.max(np.abs(difference)):
            return False
    return any(map(np.any, claimed.values()))


def _rate_failure(error: GradcheckError, backwards: set[str]) -> Trial:
    """How much of the user's function had run when it raised.

    An error in a backward does not count against the shapes, since a backward may be wrong, unless
    it is a TypeError or an IndexError, as for an input of the wrong rank.

    backwards: the names that a backward may have.
    """
    trace = None if error.__cause__ is None else error.__cause__.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_ours(code.co_filename):
            share = trace.tb_lasti / len(code.co_code)
            if code.co_name in backwards:
                by_rank = isinstance(error.__cause__, TypeError | IndexError)
                share += 1 if by_rank else FITS
            return Trial(share, str(error))
        trace = trace.tb_next
    return Trial(1.0, str(error))


def _ignore(entries: int) -> None:
    """The progress of trials, which measure no entries."""
