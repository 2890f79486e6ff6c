"""Gradient checkers people use, each on the same layer.

python -m tests.benchmarks.peers NAME FOLDER SHARE: the layer is Y = XW with the mean over samples
of ½ Σ (y − t)². A share below 1 checks that share of the entries of each input, its first rows.
Prints what was looked at and what came out, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
STEP = 1e-5

Data = dict[str, Float]
# Of every input, the numeric gradient of its first rows; None where a peer does not return it.
Numeric = dict[str, Any]


def loss(data: Data) -> float:
    return float(np.sum((data["X"] @ data["W"] - data["t"]) ** 2) / 2 / len(data["t"]))


def gradients(data: Data) -> Data:
    delta = (data["X"] @ data["W"] - data["t"]) / len(data["t"])
    return {"X": delta @ data["W"].T, "W": data["X"].T @ delta}


def naive(data: Data, rows: dict[str, int]) -> Numeric:
    """The loop that is in every course: move an entry, call the loss, move it back."""
    found: Numeric = {}
    for name, count in rows.items():
        x = data[name]
        gradient = np.zeros((count, x.shape[1]))
        for index in np.ndindex(gradient.shape):
            kept = x[index]
            x[index] = kept + STEP
            above = loss(data)
            x[index] = kept - STEP
            below = loss(data)
            x[index] = kept
            gradient[index] = (above - below) / (2 * STEP)
        found[name] = gradient
    return found


def _flat(data: Data, name: str, count: int) -> tuple[Callable[[Float], float], Float]:
    """The loss as a function of the first rows of an input, flat, and these."""
    x = data[name]

    def function(flat: Float) -> float:
        whole = x.copy()
        whole[:count] = flat.reshape(count, -1)
        return loss({**data, name: whole})

    return function, x[:count].ravel()


def scipy(data: Data, rows: dict[str, int]) -> Numeric:
    """scipy.optimize.approx_fprime, which check_grad uses: forward differences."""
    from scipy.optimize import approx_fprime

    found: Numeric = {}
    for name, count in rows.items():
        function, flat = _flat(data, name, count)
        found[name] = approx_fprime(flat, function)
    return found


def autograd(data: Data, rows: dict[str, int]) -> Numeric:
    """autograd.test_util.check_grads: a random projection, not entries."""
    import autograd.numpy as anp
    from autograd.test_util import check_grads

    def function(X: Any, W: Any) -> Any:
        return anp.sum((X @ W - data["t"]) ** 2) / 2 / len(data["t"])

    check_grads(function, modes=["rev"], order=1)(data["X"], data["W"])
    return dict.fromkeys(rows)


def _torch(data: Data, rows: dict[str, int], fast: bool) -> Numeric:
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in data.items()}

    def function(X: Any, W: Any) -> Any:
        X = torch.cat([X, tensors["X"][rows["X"] :]])
        W = torch.cat([W, tensors["W"][rows["W"] :]])
        return ((X @ W - tensors["t"]) ** 2).sum() / 2 / len(data["t"])

    parts = [tensors[name][:count].clone().requires_grad_() for name, count in rows.items()]
    # The summed loss loses digits, which the default tolerance does not forgive.
    assert torch.autograd.gradcheck(function, parts, fast_mode=fast, atol=1e-3, rtol=1e-2)
    return dict.fromkeys(rows)


def torch_slow(data: Data, rows: dict[str, int]) -> Numeric:
    """torch.autograd.gradcheck: every entry."""
    return _torch(data, rows, fast=False)


def torch_fast(data: Data, rows: dict[str, int]) -> Numeric:
    """torch.autograd.gradcheck(fast_mode=True): a random projection."""
    return _torch(data, rows, fast=True)


def jax(data: Data, rows: dict[str, int]) -> Numeric:
    """A loop over entries of a compiled loss, in double precision."""
    import jax as library
    import jax.numpy as jnp

    library.config.update("jax_enable_x64", True)
    target = jnp.asarray(data["t"])

    def plain(X: Any, W: Any) -> Any:
        return jnp.sum((X @ W - target) ** 2) / 2 / len(data["t"])

    function: Any = library.jit(plain)

    found: Numeric = {}
    for name, count in rows.items():
        gradient = np.zeros((count, data[name].shape[1]))
        for index in np.ndindex(gradient.shape):
            sides = []
            for step in (STEP, -STEP):
                moved = data[name].copy()
                moved[index] += step
                sides.append(float(function(**{**{k: data[k] for k in rows}, name: moved})))
            gradient[index] = (sides[0] - sides[1]) / (2 * STEP)
        found[name] = gradient
    return found


ENTRIES, PROJECTION = "every entry", "one random projection"
PEERS: dict[str, tuple[Callable[[Data, dict[str, int]], Numeric], str]] = {
    "naive NumPy loop": (naive, ENTRIES),
    "scipy approx_fprime": (scipy, ENTRIES),
    "jax, compiled loss in a loop": (jax, ENTRIES),
    "torch gradcheck": (torch_slow, ENTRIES),
    "torch gradcheck, fast mode": (torch_fast, PROJECTION),
    "autograd check_grads": (autograd, PROJECTION),
}


def main() -> None:
    name, folder, share = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    data = {array: np.load(folder / f"{array}.npy") for array in ("X", "W", "t")}
    rows = {array: ceil(share * len(data[array])) for array in ("X", "W")}
    found = PEERS[name][0](data, rows)
    print(
        json.dumps(
            {
                "entries": {array: rows[array] * data[array].shape[1] for array in rows},
                "of": {array: data[array].size for array in rows},
                "sums": {
                    array: None if gradient is None else float(np.sum(np.abs(gradient)))
                    for array, gradient in found.items()
                },
                "expected": {
                    array: float(np.sum(np.abs(gradient[: rows[array]])))
                    for array, gradient in gradients(data).items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
