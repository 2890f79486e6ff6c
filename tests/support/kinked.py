"""Nets of units with kinks, in NumPy as people write them, with their backward passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli import Problem
from tests.support.layers import Float

FEATURES, OUTPUTS, POOLED = 30, 5, 4
Inputs = Mapping[str, Any]


def relu_layer(units: int, seed: int) -> Problem:
    """y = relu(X W), of that many units in all, over samples and columns."""
    random = np.random.default_rng(seed)
    samples = max(1, units // 100)
    inputs = {
        "X": random.standard_normal((samples, FEATURES)),
        "W": random.standard_normal((FEATURES, units // samples)),
    }

    def forward(given: Inputs) -> Float:
        outputs: Float = np.maximum(given["X"] @ given["W"], 0)
        return outputs

    def backward(given: Inputs, delta: Float) -> Inputs:
        grad_z = delta * (given["X"] @ given["W"] > 0)
        return {"X": grad_z @ given["W"].T, "W": given["X"].T @ grad_z}

    cotangent = random.standard_normal((samples, units // samples))
    return Problem(inputs=inputs, forward=forward, backward=backward, cotangent=cotangent)


def two_layer_net(units: int, seed: int) -> Problem:
    """y = relu(relu(X W) V) U."""
    random = np.random.default_rng(seed)
    samples = max(1, units // 200)
    width = units // samples
    inputs = {
        "X": random.standard_normal((samples, FEATURES)),
        "W": random.standard_normal((FEATURES, width)) / FEATURES**0.5,
        "V": random.standard_normal((width, width // 2)) / width**0.5,
        "U": random.standard_normal((width // 2, OUTPUTS)),
    }

    def forward(given: Inputs) -> Float:
        hidden = np.maximum(given["X"] @ given["W"], 0)
        outputs: Float = np.maximum(hidden @ given["V"], 0) @ given["U"]
        return outputs

    def backward(given: Inputs, delta: Float) -> Inputs:
        first = given["X"] @ given["W"]
        second = np.maximum(first, 0) @ given["V"]
        grad_second = delta @ given["U"].T * (second > 0)
        grad_first = grad_second @ given["V"].T * (first > 0)
        return {
            "X": grad_first @ given["W"].T,
            "W": given["X"].T @ grad_first,
            "V": np.maximum(first, 0).T @ grad_second,
            "U": np.maximum(second, 0).T @ delta,
        }

    cotangent = random.standard_normal((samples, OUTPUTS))
    return Problem(inputs=inputs, forward=forward, backward=backward, cotangent=cotangent)


def max_pool_net(units: int, seed: int) -> Problem:
    """y = tanh(maxpool(relu(X W)) V)."""
    random = np.random.default_rng(seed)
    samples = max(1, units // 100)
    width = units // samples // POOLED
    inputs = {
        "X": random.standard_normal((samples, FEATURES)),
        "W": random.standard_normal((FEATURES, width * POOLED)),
        "V": random.standard_normal((width, OUTPUTS)) / (FEATURES * width) ** 0.5,
    }

    def forward(given: Inputs) -> Float:
        units_of = np.maximum(given["X"] @ given["W"], 0).reshape(samples, width, POOLED)
        outputs: Float = np.tanh(units_of.max(axis=2) @ given["V"])
        return outputs

    def backward(given: Inputs, delta: Float) -> Inputs:
        z = given["X"] @ given["W"]
        units_of = np.maximum(z, 0).reshape(samples, width, POOLED)
        pooled = units_of.max(axis=2)
        grad_outputs = delta * (1 - np.tanh(pooled @ given["V"]) ** 2)
        grad_units = np.zeros_like(units_of)
        largest = units_of.argmax(axis=2)[..., None]
        np.put_along_axis(grad_units, largest, (grad_outputs @ given["V"].T)[..., None], 2)
        grad_z = grad_units.reshape(z.shape) * (z > 0)
        return {
            "X": grad_z @ given["W"].T,
            "W": given["X"].T @ grad_z,
            "V": pooled.T @ grad_outputs,
        }

    cotangent = random.standard_normal((samples, OUTPUTS))
    return Problem(inputs=inputs, forward=forward, backward=backward, cotangent=cotangent)


NETS: dict[str, Callable[[int, int], Problem]] = {
    "relu layer": relu_layer,
    "two-layer net": two_layer_net,
    "max-pool net": max_pool_net,
}


def with_wrong_entry(problem: Problem, seed: int) -> tuple[Problem, str, tuple[int, ...]]:
    """The problem with one entry of a gradient off by 1e-6 of itself, that gradient, the entry."""
    random = np.random.default_rng([seed, 7])
    names = list(problem.inputs)
    name = names[int(random.integers(len(names)))]
    gradient = np.asarray(problem.backward(problem.inputs, problem.cotangent)[name])
    entry = int(random.choice(np.flatnonzero(gradient)))

    def backward(inputs: Any, delta: Any) -> Any:
        gradients = dict(problem.backward(inputs, delta))
        gradients[name] = gradients[name].copy()
        gradients[name].flat[entry] *= 1 + 1e-6
        return gradients

    place = tuple(int(axis) for axis in np.unravel_index(entry, gradient.shape))
    return replace(problem, backward=backward), name, place
