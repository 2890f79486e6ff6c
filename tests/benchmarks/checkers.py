"""Checkers side by side: right gradients they fail, wrong ones they pass, with their defaults.

    python -m tests.benchmarks.checkers --seeds 5

Twelve losses in NumPy, as people write them, each with its right gradient and with five wrong ones.
Every checker is called as its documentation says. Where one has no verdict of its own (scipy,
numdifftools, the loop of the courses), a gradient passes below a relative error of 1e-5. Prints a
Markdown table; checkers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli import Verdict, check, from_value_and_grad
from tests.benchmarks.losses import LOSSES, Loss

Float = NDArray[np.float64]
Gradient = Callable[[Float], Float]
PASSES = 1e-5  # below it a gradient passes where a checker gives a number alone


def wrong_gradients(right: Float, x: Float, random: np.random.Generator) -> Iterator[Float]:
    """The right gradient with a bug that people write."""
    size = np.abs(right)
    yield right * 1.001  # a factor, as of a mean over n − 1 in place of n
    one = right.copy()
    one[np.argsort(size)[len(size) // 2]] *= 1.01  # one entry of typical size
    yield one
    part = right.copy()
    part[-max(1, len(part) // 4) :] = 0.0  # a slice that ends early
    yield part
    yield right + 1e-3 * x  # a regulariser that the loss does not have
    yield right + 1e-4 * float(np.max(size)) * random.normal(size=right.shape)  # stale values


def ours(loss: Loss, gradient: Gradient, x: Float) -> bool | None:
    """Whether it passes; None where that is left open."""
    problem = from_value_and_grad(lambda x: (loss.value(x), gradient(x)), {"x": x})
    verdict = check(problem).verdict
    return None if verdict == Verdict.INCONCLUSIVE else verdict == Verdict.PASS


def relative(numeric: Any, analytic: Float) -> bool:
    """Whether the two agree by the rule of many courses."""
    apart = np.linalg.norm(numeric - analytic)
    return bool(apart <= PASSES * (np.linalg.norm(numeric) + np.linalg.norm(analytic)))


def loop(loss: Loss, gradient: Gradient, x: Float) -> bool:
    step, numeric = 1e-5, np.zeros_like(x)
    for index in range(x.size):
        move = np.zeros_like(x)
        move[index] = step
        numeric[index] = (loss.value(x + move) - loss.value(x - move)) / (2 * step)
    return relative(numeric, gradient(x))


def scipy(loss: Loss, gradient: Gradient, x: Float) -> bool:
    from scipy.optimize import check_grad

    apart = check_grad(loss.value, gradient, x)
    return bool(apart <= PASSES * np.linalg.norm(gradient(x)))


def numdifftools(loss: Loss, gradient: Gradient, x: Float) -> bool:
    from numdifftools import Gradient as Numeric

    return relative(Numeric(loss.value)(x), gradient(x))


def autograd(loss: Loss, gradient: Gradient, x: Float) -> bool:
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    value = primitive(loss.value)
    defvjp(value, lambda _, x: lambda g: g * gradient(x))
    try:
        check_grads(value, modes=["rev"], order=1)(x)
    except AssertionError:
        return False
    return True


def torch_function(loss: Loss, gradient: Gradient) -> Any:
    import torch

    class Function(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.tensor(loss.value(x.detach().numpy()), dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            (x,) = ctx.saved_tensors
            return delta * torch.from_numpy(gradient(x.detach().numpy()))

    return Function.apply


def torch(loss: Loss, gradient: Gradient, x: Float) -> bool:
    import torch

    point = torch.tensor(x, requires_grad=True)
    found = torch.autograd.gradcheck(torch_function(loss, gradient), point, raise_exception=False)
    return bool(found)


def torch_fast(loss: Loss, gradient: Gradient, x: Float) -> bool:
    import torch

    point = torch.tensor(x, requires_grad=True)
    function = torch_function(loss, gradient)
    return bool(torch.autograd.gradcheck(function, point, raise_exception=False, fast_mode=True))


def jax(loss: Loss, gradient: Gradient, x: Float) -> bool:
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    like = jax.ShapeDtypeStruct((), "float64"), jax.ShapeDtypeStruct(x.shape, "float64")

    def call(x: Any) -> Any:
        return jax.pure_callback(lambda x: np.float64(loss.value(np.asarray(x))), like[0], x)

    value = jax.custom_vjp(call)

    def backward(x: Any, delta: Any) -> Any:
        return (delta * jax.pure_callback(lambda x: gradient(np.asarray(x)), like[1], x),)

    value.defvjp(lambda x: (value(x), x), backward)
    try:
        check_grads(value, (x,), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


def openmdao(loss: Loss, gradient: Gradient, x: Float) -> bool:
    import openmdao.api as om
    from openmdao.utils.assert_utils import assert_check_partials

    class Component(om.ExplicitComponent):  # type: ignore[misc]
        def setup(self) -> None:
            self.add_input("x", x)
            self.add_output("y", 0.0)
            self.declare_partials("y", "x")

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["y"] = loss.value(inputs["x"])

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            partials["y", "x"] = gradient(inputs["x"])[None]

    problem = om.Problem(reports=False)
    problem.model.add_subsystem("layer", Component())
    problem.setup()
    problem.run_model()
    data = problem.check_partials(method="fd", form="central", out_stream=None)
    try:
        assert_check_partials(data)
    except ValueError:
        return False
    return True


CHECKERS: dict[str, tuple[str, Callable[[Loss, Gradient, Float], bool | None]]] = {
    "gradcheck": ("numpy", ours),
    "torch `gradcheck`": ("torch", torch),
    "torch `gradcheck`, fast mode": ("torch", torch_fast),
    "jax `check_grads`": ("jax", jax),
    "autograd `check_grads`": ("autograd", autograd),
    "OpenMDAO `assert_check_partials`": ("openmdao", openmdao),
    "scipy `check_grad`": ("scipy", scipy),
    "numdifftools `Gradient`": ("numdifftools", numdifftools),
    "the loop of the courses, h = 1e-5": ("numpy", loop),
}


def cases(seeds: int) -> Iterator[tuple[Loss, Gradient, Float, bool]]:
    """Every loss with every gradient, and whether that is right."""
    for seed in range(seeds):
        for number, make in enumerate(LOSSES):
            loss, x = make(np.random.default_rng([seed, number]))
            yield loss, loss.gradient, x, True
            for kind in range(5):

                def gradient(
                    x: Float, loss: Loss = loss, seed: int = seed, kind: int = kind
                ) -> Any:
                    random = np.random.default_rng([seed, kind])
                    return list(wrong_gradients(loss.gradient(x), x, random))[kind]

                yield loss, gradient, x, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--show", action="store_true", help="name what was misjudged")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| checker | right ones it fails | wrong ones it passes | left open | CPU seconds |")
    print("|---|---|---|---|---|")
    for name, (module, passes) in CHECKERS.items():
        if find_spec(module) is None:
            continue
        misjudged: dict[bool, list[str]] = {True: [], False: []}
        counts, undecided, started = {True: 0, False: 0}, 0, time.process_time()
        for loss, gradient, x, right in cases(arguments.seeds):
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                passed = passes(loss, gradient, x)
            counts[right] += 1
            undecided += passed is None
            if passed not in (right, None):
                misjudged[right].append(loss.name)
        seconds = time.process_time() - started
        cells = [f"{len(misjudged[right])} of {counts[right]}" for right in (True, False)]
        print(f"| {name} | {' | '.join(cells)} | {undecided} | {seconds:.1f} |", flush=True)
        if arguments.show:
            failed, passed_wrongly = (sorted(set(misjudged[right])) for right in (True, False))
            print(f"  fails {failed}, passes {passed_wrongly}")


if __name__ == "__main__":
    main()
