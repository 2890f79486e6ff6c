"""Own code, one point at a time: this checker, the plain loop and its peers on the same problems.

    python -m tests.benchmarks.own_code

prints a Markdown table: forwards, seconds, and what each says would have been seen. Peers that are
not installed (scipy, torch, jax) are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli import Problem, check, from_jax, from_torch
from gradcheck_cli.options import Numeric
from tests.support.layers import Float

STEP = 1e-6  # of the plain loop, in all entries
Inputs = Mapping[str, Any]


class Row(Struct, frozen=True):
    """What a checker took, and the relative size of an error that it would have seen."""

    forwards: int
    seconds: float
    seen: str


class Counted(Struct):
    """A forward that counts its calls."""

    forward: Callable[[Inputs], Any]
    calls: int = 0

    def __call__(self, inputs: Inputs) -> Any:
        self.calls += 1
        return self.forward(inputs)


def convolution() -> Problem:
    """A convolution by loops, as in an assignment: 3×3 filters on images of 6×6."""
    random = np.random.default_rng(0)
    inputs = {
        "x": random.standard_normal((2, 3, 6, 6)),
        "w": random.standard_normal((4, 3, 3, 3)),
        "b": random.standard_normal(4),
    }
    cotangent = random.standard_normal((2, 4, 4, 4))

    def forward(given: Inputs) -> Float:
        outputs = np.zeros((2, 4, 4, 4))
        for n, f, i, j in np.ndindex(outputs.shape):
            patch = given["x"][n, :, i : i + 3, j : j + 3]
            outputs[n, f, i, j] = np.sum(patch * given["w"][f]) + given["b"][f]
        return outputs

    def backward(given: Inputs, delta: Float) -> Inputs:
        grad_x, grad_w = np.zeros_like(given["x"]), np.zeros_like(given["w"])
        for n, f, i, j in np.ndindex(delta.shape):
            grad_x[n, :, i : i + 3, j : j + 3] += delta[n, f, i, j] * given["w"][f]
            grad_w[f] += delta[n, f, i, j] * given["x"][n, :, i : i + 3, j : j + 3]
        return {"x": grad_x, "w": grad_w, "b": delta.sum(axis=(0, 2, 3))}

    return Problem(inputs=inputs, forward=forward, backward=backward, cotangent=cotangent)


def recurrent_net(steps: int = 10, size: int = 20) -> Problem:
    """h ← tanh(x U + h W), over time."""
    random = np.random.default_rng(1)
    x = random.standard_normal((steps, 4, size))
    inputs = {name: random.standard_normal((size, size)) / size**0.5 for name in ("U", "W")}
    cotangent = random.standard_normal((4, size))

    def states(given: Inputs) -> list[Float]:
        found = [np.zeros((4, size))]
        for part in x:
            found.append(np.tanh(part @ given["U"] + found[-1] @ given["W"]))
        return found

    def backward(given: Inputs, delta: Float) -> Inputs:
        found = states(given)
        grad_u, grad_w = np.zeros((size, size)), np.zeros((size, size))
        for at in reversed(range(steps)):
            grad_z = delta * (1 - found[at + 1] ** 2)
            grad_u += x[at].T @ grad_z
            grad_w += found[at].T @ grad_z
            delta = grad_z @ given["W"].T
        return {"U": grad_u, "W": grad_w}

    return Problem(
        inputs=inputs,
        forward=lambda given: states(given)[-1],
        backward=backward,
        cotangent=cotangent,
    )


def slow_layer() -> Problem:
    """A forward that takes 5 ms, of 2,000 parameters."""
    random = np.random.default_rng(2)
    x, W = random.standard_normal((10, 50)), random.standard_normal((50, 40)) / 7

    def forward(given: Inputs) -> Float:
        time.sleep(0.005)
        outputs: Float = np.maximum(x @ given["W"], 0)
        return outputs

    return Problem(
        inputs={"W": W},
        forward=forward,
        backward=lambda given, delta: {"W": x.T @ (delta * (x @ given["W"] > 0))},
        cotangent=random.standard_normal((10, 40)),
    )


def torch_net() -> Problem:
    """A net of three torch layers, of some 5,000 parameters."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(26, 66), torch.nn.ReLU(), torch.nn.Linear(66, 46), torch.nn.Tanh()
    )
    return from_torch(torch.nn.Sequential(net, torch.nn.Linear(46, 4)), torch.randn(8, 26))


def transformer_block() -> Problem:
    """A block of attention and a net of two layers, as torch has it."""
    import torch

    torch.manual_seed(1)
    block = torch.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    return from_torch(block, torch.randn(2, 5, 16))


def jax_net() -> Problem:
    """Two layers of a jitted jax function."""
    import jax

    random = np.random.default_rng(3)
    inputs = {
        "x": random.standard_normal((8, 20)),
        "v": random.standard_normal((20, 40)) / 4,
        "w": random.standard_normal((40, 10)) / 6,
    }
    return from_jax(jax.jit(lambda x, v, w: jax.nn.softmax(jax.nn.gelu(x @ v) @ w)), inputs)


def by_this_checker(mode: str) -> Callable[[Problem], Row]:
    """This checker in one of its modes."""

    def run(problem: Problem) -> Row:
        started = time.perf_counter()
        result = check(problem, numeric=Numeric(mode=mode))
        seconds = time.perf_counter() - started
        assert result.verdict == "pass", result
        seen = max(gradient.bound or 0.0 for gradient in result.gradients)
        return Row(result.evaluations, seconds, f"{seen:.0e}")

    return run


def flatten(problem: Problem) -> tuple[Float, Callable[[Float], float], Callable[[Float], Float]]:
    """The inputs as one vector, the loss and its gradient as functions of that."""
    sizes = [x.size for x in problem.inputs.values()]

    def inputs(flat: Float) -> Inputs:
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        named = zip(problem.inputs.items(), parts, strict=True)
        return {name: part.reshape(x.shape) for (name, x), part in named}

    def loss(flat: Float) -> float:
        return float(np.sum(problem.cotangent * problem.forward(inputs(flat))))

    def gradient(flat: Float) -> Float:
        found = problem.backward(inputs(flat), problem.cotangent)
        return np.concatenate([np.ravel(found[name]) for name in problem.inputs])

    point = np.concatenate([np.ravel(x) for x in problem.inputs.values()]).astype(np.float64)
    return point, loss, gradient


def by_plain_loop(problem: Problem) -> Row:
    """Two-sided differences of the loss at one step."""
    counted = Counted(problem.forward)
    point, loss, gradient = flatten(replace(problem, forward=counted))
    started, numeric = time.perf_counter(), np.zeros(point.size)
    for entry in range(point.size):
        step = np.zeros(point.size)
        step[entry] = STEP
        numeric[entry] = (loss(point + step) - loss(point - step)) / (2 * STEP)
    seconds = time.perf_counter() - started
    error = np.linalg.norm(numeric - gradient(point)) / np.linalg.norm(numeric)
    return Row(counted.calls, seconds, f"{error:.0e} (its own error)")


def by_scipy(problem: Problem) -> Row:
    """scipy.optimize.check_grad."""
    from scipy.optimize import check_grad  # type: ignore[import-untyped,unused-ignore]

    counted = Counted(problem.forward)
    point, loss, gradient = flatten(replace(problem, forward=counted))
    started = time.perf_counter()
    error = check_grad(loss, gradient, point) / np.linalg.norm(gradient(point))
    seconds = time.perf_counter() - started
    return Row(counted.calls, seconds, f"{error:.0e} (its own error)")


def by_torch(fast: bool) -> Callable[[Problem], Row]:
    """torch.autograd.gradcheck of a Function that wraps the problem."""

    def run(problem: Problem) -> Row:
        import torch

        torch.set_num_threads(1)
        counted = Counted(problem.forward)
        names = list(problem.inputs)

        class Wrapped(torch.autograd.Function):  # type: ignore[misc,unused-ignore]
            @staticmethod
            def forward(context: Any, *tensors: Any) -> Any:
                context.save_for_backward(*tensors)
                arrays = {n: t.detach().numpy() for n, t in zip(names, tensors, strict=True)}
                return torch.from_numpy(np.array(counted(arrays)))

            @staticmethod
            def backward(context: Any, delta: Any) -> Any:  # type: ignore[override,unused-ignore]
                saved = context.saved_tensors
                arrays = {n: t.detach().numpy() for n, t in zip(names, saved, strict=True)}
                with torch.enable_grad():  # as the backward of a problem of torch's needs it
                    found = problem.backward(arrays, delta.numpy())
                return tuple(torch.from_numpy(np.array(found[name])) for name in names)

        tensors = [torch.from_numpy(np.array(x)).requires_grad_() for x in problem.inputs.values()]
        started = time.perf_counter()
        torch.autograd.gradcheck(Wrapped.apply, tensors, fast_mode=fast)
        seconds = time.perf_counter() - started
        return Row(counted.calls, seconds, "1e-03 (its tolerance)")

    return run


def by_jax(problem: Problem) -> Row:
    """jax.test_util.check_grads of a custom_vjp that calls the problem."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", val=True)
    counted, names = Counted(problem.forward), list(problem.inputs)
    like = jax.ShapeDtypeStruct(np.asarray(problem.cotangent).shape, np.float64)
    likes = [jax.ShapeDtypeStruct(x.shape, np.float64) for x in problem.inputs.values()]

    def named(arrays: Any) -> Inputs:
        return {name: np.asarray(x) for name, x in zip(names, arrays, strict=True)}

    def evaluate(*arrays: Any) -> Any:
        return np.asarray(counted(named(arrays)), dtype=np.float64)

    def differentiate(delta: Any, *arrays: Any) -> Any:
        found = problem.backward(named(arrays), np.asarray(delta))
        return [np.asarray(found[name], dtype=np.float64) for name in names]

    forward = jax.custom_vjp(lambda *arrays: jax.pure_callback(evaluate, like, *arrays))
    forward.defvjp(
        lambda *arrays: (forward(*arrays), arrays),
        lambda arrays, delta: tuple(jax.pure_callback(differentiate, likes, delta, *arrays)),
    )
    started, seen = time.perf_counter(), "1e-05 (its tolerance)"
    try:
        check_grads(forward, tuple(problem.inputs.values()), order=1, modes=["rev"])
    except AssertionError:  # at its step of 1e-4, along all entries at once, units of a relu turn
        seen = "fails what is right"
    return Row(counted.calls, time.perf_counter() - started, seen)


# The library that a problem is made with, and what makes it.
PROBLEMS: dict[str, tuple[str, Callable[[], Problem]]] = {
    "convolution by loops": ("numpy", convolution),
    "net over time": ("numpy", recurrent_net),
    "5 ms a forward": ("numpy", slow_layer),
    "torch, three layers": ("torch", torch_net),
    "torch, a transformer block": ("torch", transformer_block),
    "jax, two layers": ("jax", jax_net),
}
CHECKERS: dict[str, tuple[str, Callable[[Problem], Row]]] = {
    "gradcheck, auto": ("numpy", by_this_checker("auto")),
    "gradcheck, entries": ("numpy", by_this_checker("entries")),
    "plain loop": ("numpy", by_plain_loop),
    "scipy check_grad": ("scipy", by_scipy),
    "jax check_grads": ("jax", by_jax),
    "torch gradcheck": ("torch", by_torch(False)),
    "torch gradcheck, fast mode": ("torch", by_torch(True)),
}


def is_installed(library: str) -> bool:
    """Whether a library can be imported."""
    return importlib.util.find_spec(library) is not None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", help="only problems whose name holds this", default="")
    chosen = parser.parse_args().problem
    print("| problem | entries | checker | forwards | seconds | would have been seen |")
    print("|---|---|---|---|---|---|")
    for name, (needed, make) in PROBLEMS.items():
        if chosen not in name or not is_installed(needed):
            continue
        size = sum(x.size for x in make().inputs.values())
        for checker, (library, run) in CHECKERS.items():
            if is_installed(library):
                row = run(make())
                print(
                    f"| {name} | {size:,} | {checker} | {row.forwards:,} | {row.seconds:.2f} | "
                    f"{row.seen} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
