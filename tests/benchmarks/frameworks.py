"""gradcheck beside the checkers of torch and jax: verdicts, forwards and seconds.

    python -m tests.benchmarks.frameworks --factor 1.01

Each op is checked with its right reverse mode, and with gradients that are `factor` times the right
ones. A checker is right where it passes the first and fails the second. Prints a Markdown table: a
row a checker, then the ops on which the two differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli import Verdict, check, from_jax, from_torch
from gradcheck_cli.problem import Problem


class Row(Struct, frozen=True):
    """What came of an op. verdicts: of (right, wrong), ours and theirs; True is a pass."""

    name: str
    ours: tuple[bool, bool]
    theirs: tuple[bool, bool]
    forwards: tuple[int, int]
    seconds: tuple[float, float]

    @property
    def agrees(self) -> bool:
        """Whether both checkers give the same verdicts."""
        return self.ours == self.theirs


def draw(*shape: int, low: float = -2.0, high: float = 2.0) -> NDArray[np.float64]:
    """An array without entries near 0, where many ops have a kink."""
    rng = np.random.default_rng(len(shape) + sum(shape))
    x = rng.uniform(low, high, shape)
    return np.where(np.abs(x) < 0.05, 0.3, x)


def torch_ops() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Functions and modules of torch, with their inputs."""
    import torch
    from torch import nn
    from torch.nn import functional

    x, y, positive = draw(3, 4), draw(4, 3), draw(3, 4, low=0.3, high=2.0)
    image, square = draw(2, 2, 5, 5), draw(3, 3) + 4 * np.eye(3)
    labels = torch.tensor([0, 2, 1])
    one = "abs exp sin cos tan tanh sigmoid atan sinh asinh erf expm1 square neg"
    whole, by_axis = "prod var std norm", "logsumexp softmax log_softmax cumsum cumprod"
    of_positive = "log sqrt rsqrt reciprocal log1p lgamma digamma"
    activations = "relu gelu silu mish softplus elu selu leaky_relu softsign hardswish"
    ops: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    library = {**vars(functional), **vars(torch)}
    ops |= {name: (Applied(library[name]), (x,)) for name in one.split()}
    ops |= {name: (Applied(library[name]), (positive,)) for name in of_positive.split()}
    ops |= {name: (Applied(library[name]), (x,)) for name in whole.split()}
    ops |= {name: (Applied(library[name], 1), (x,)) for name in by_axis.split()}
    ops |= {name: (Applied(vars(functional)[name]), (x,)) for name in activations.split()}
    ops |= {
        "matmul": (lambda a, b: a @ b, (x, y)),
        "mul": (lambda a, b: a * b, (x, positive)),
        "div": (lambda a, b: a / b, (x, positive)),
        "pow": (lambda a, b: a**b, (positive, x)),
        "inverse": (lambda a: torch.linalg.inv(a), (square,)),
        "det": (lambda a: torch.linalg.det(a), (square,)),
        "solve": (lambda a, b: torch.linalg.solve(a, b), (square, draw(3, 2))),
        "conv2d": (lambda x, w: functional.conv2d(x, w, padding=1), (image, draw(3, 2, 3, 3))),
        "max_pool2d": (lambda x: functional.max_pool2d(x, 2), (image,)),
        "cross_entropy": (lambda x: functional.cross_entropy(x, labels), (x,)),
        "mse_loss": (lambda x, y: functional.mse_loss(x, y), (x, positive)),
        "layer_norm": (lambda x: functional.layer_norm(x, (4,)), (x,)),
    }
    modules = {
        "Linear": (nn.Linear(4, 3), x),
        "Bilinear": (nn.Bilinear(4, 4, 2), None),
        "LayerNorm": (nn.LayerNorm(4), x),
        "GroupNorm": (nn.GroupNorm(2, 2), image),
        "Conv2d": (nn.Conv2d(2, 3, 3), image),
        "PReLU": (nn.PReLU(), x),
    }
    for name, (module, at) in modules.items():
        ops[name] = module.double(), (x, positive) if at is None else (at,)
    return ops


def compare_torch(factor: float) -> Iterator[Row]:
    """The ops of torch beside torch.autograd.gradcheck."""
    import torch

    class Spoiled(torch.autograd.Function):  # type: ignore[misc]
        """The identity, with a wrong gradient."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return factor * gradient

    def peer(function: Callable[..., Any], inputs: tuple[Any, ...]) -> bool:
        tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
        return bool(torch.autograd.gradcheck(function, tensors, raise_exception=False))

    for name, (op, inputs) in torch_ops().items():
        yield measure_row(name, Counted(op), inputs, Spoiled.apply, from_torch, peer)


class Applied:
    """A function with arguments behind its tensor."""

    def __init__(self, function: Callable[..., Any], *more: Any) -> None:
        self.function = function
        self.more = more

    def __call__(self, x: Any) -> Any:
        """Call it."""
        return self.function(x, *self.more)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0

    def call(self, *arguments: Any) -> Any:
        """Call it."""
        self.calls += 1
        return self.function(*arguments)


def jax_ops() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Functions of jax, with their inputs."""
    import jax
    import jax.numpy as jnp

    x, y, positive = draw(3, 4), draw(4, 3), draw(3, 4, low=0.3, high=2.0)
    square = draw(3, 3) + 4 * np.eye(3)
    ops: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    plain = "abs exp sin cos tanh arctan sinh arcsinh expm1 square cumsum var std"
    of_positive = "log sqrt reciprocal log1p"
    activations = "relu gelu silu softplus elu selu softmax log_softmax logsumexp"
    ops |= {name: (getattr(jnp, name), (x,)) for name in plain.split()}
    ops |= {name: (getattr(jnp, name), (positive,)) for name in of_positive.split()}
    ops |= {name: (getattr(jax.nn, name), (x,)) for name in activations.split()}
    ops |= {
        "matmul": (lambda a, b: a @ b, (x, y)),
        "divide": (lambda a, b: a / b, (x, positive)),
        "power": (lambda a, b: a**b, (positive, x)),
        "inv": (jnp.linalg.inv, (square,)),
        "det": (jnp.linalg.det, (square,)),
    }
    return ops


def compare_jax(factor: float) -> Iterator[Row]:
    """The functions of jax beside jax.test_util.check_grads."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)

    def identity(x: Any) -> Any:
        return x

    spoiled = jax.custom_vjp(identity)
    spoiled.defvjp(lambda x: (x, None), lambda _, gradient: (factor * gradient,))

    def peer(function: Callable[..., Any], inputs: tuple[Any, ...]) -> bool:
        try:
            check_grads(function, inputs, order=1, modes=["rev"])
        except AssertionError:
            return False
        return True

    for name, (op, inputs) in jax_ops().items():
        yield measure_row(name, Counted(op), inputs, spoiled, from_jax, peer)


def measure_row(
    name: str,
    counted: Counted,
    inputs: tuple[Any, ...],
    spoil: Callable[[Any], Any],
    make: Callable[..., Problem],
    peer: Callable[..., bool],
) -> Row:
    """Both checkers on the right and on the wrong gradient; forwards and seconds of the right."""

    def right(*arguments: Any) -> Any:
        return counted.call(*arguments)

    def wrong(*arguments: Any) -> Any:
        return counted.call(*map(spoil, arguments))

    def passes(function: Callable[..., Any]) -> bool:
        return check(make(function, list(inputs))).verdict == Verdict.PASS

    verdicts, forwards, seconds = [], [], []
    for checker in (passes, partial(peer, inputs=inputs)):
        counted.calls, started = 0, time.perf_counter()
        passed = checker(right)
        forwards.append(counted.calls)
        seconds.append(time.perf_counter() - started)
        verdicts.append((passed, checker(wrong)))
    return Row(name, verdicts[0], verdicts[1], (forwards[0], forwards[1]), (seconds[0], seconds[1]))


def main() -> None:
    """Print where the checkers differ, and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=float, default=1.01, help="of the wrong gradients")
    parser.add_argument("--only", choices=("torch", "jax"), help="one framework")
    given = parser.parse_args()
    factor = given.factor
    print(f"| checker | right of ×1 and ×{factor:g} | forwards | seconds |\n|---|---|---|---|")
    for framework, compare in (("torch", compare_torch), ("jax", compare_jax)):
        if given.only not in (None, framework):
            continue
        rows = list(compare(factor))
        different = [row.name for row in rows if not row.agrees]
        for side, whose in enumerate((f"gradcheck, {framework}", f"{framework}'s own")):
            verdicts = [(row.ours, row.theirs)[side] for row in rows]
            right = sum(verdict == (True, False) for verdict in verdicts)
            forwards = sum(row.forwards[side] for row in rows)
            seconds = sum(row.seconds[side] for row in rows)
            print(f"| {whose} | {right} of {len(rows)} | {forwards:,} | {seconds:.1f} |")
        if different:
            print(f"| they differ on | {', '.join(different)} | | |")


if __name__ == "__main__":
    main()
