"""Losses of everyday models in plain NumPy, with gradients by hand.

Each maker draws its data and returns the loss as a function of one flat vector, with that vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Float = NDArray[np.float64]


class Loss(Struct, frozen=True):
    """value: x → a number; gradient: x → ∂value/∂x, of x's shape."""

    name: str
    value: Callable[[Float], float]
    gradient: Callable[[Float], Float]


Made = tuple[Loss, Float]
Random = np.random.Generator


def least_squares(random: Random) -> Made:
    """½ ‖Xw − t‖² / n."""
    X, t = random.normal(size=(20, 6)), random.normal(size=20)
    loss = Loss(
        "least squares",
        lambda w: float(np.sum((X @ w - t) ** 2) / 40),
        lambda w: X.T @ (X @ w - t) / 20,
    )
    return loss, random.normal(size=6)


def offset(random: Random) -> Made:
    """The same beside a large constant, as of terms that do not depend on w."""
    inner, w = least_squares(random)
    return Loss("beside 1e6", lambda w: 1e6 + inner.value(w), inner.gradient), w


def units(random: Random) -> Made:
    """The same with features in units of their own, from 1e-6 to 1e6."""
    scales = 10.0 ** np.linspace(-6, 6, 6)
    X, t = random.normal(size=(20, 6)) * scales, random.normal(size=20)
    loss = Loss(
        "features in units",
        lambda w: float(np.sum((X @ w - t) ** 2) / 40),
        lambda w: X.T @ (X @ w - t) / 20,
    )
    return loss, random.normal(size=6) / scales


def small_weights(random: Random) -> Made:
    """Weights as they are drawn before training, of 1e-8."""
    inner, w = two_layers(random)
    return Loss("weights of 1e-8", lambda v: inner.value(v), inner.gradient), w * 1e-8


def logistic(random: Random) -> Made:
    """Σ log(1 + exp(−s Xw)) + ½ 0.1 ‖w‖²."""
    X, s = random.normal(size=(20, 6)), random.choice([-1.0, 1.0], 20)

    def gradient(w: Float) -> Float:
        z = s * (X @ w)
        gradient: Float = -X.T @ (s / (1 + np.exp(z))) + 0.1 * w
        return gradient

    loss = Loss(
        "logistic regression",
        lambda w: float(np.sum(np.logaddexp(0, -s * (X @ w))) + 0.05 * w @ w),
        gradient,
    )
    return loss, random.normal(size=6)


def softmax(scale: float, name: str) -> Callable[[Random], Made]:
    """Cross entropy of logits of this scale."""

    def make(random: Random) -> Made:
        labels = random.integers(0, 4, 5)

        def log_probabilities(z: Float) -> Float:
            logits = z.reshape(5, 4)
            shifted = logits - logits.max(axis=1, keepdims=True)
            logs: Float = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
            return logs

        def gradient(z: Float) -> Float:
            probabilities = np.exp(log_probabilities(z))
            probabilities[np.arange(5), labels] -= 1
            return probabilities.ravel() / 5

        def value(z: Float) -> float:
            return float(-np.mean(log_probabilities(z)[np.arange(5), labels]))

        return Loss(name, value, gradient), scale * random.normal(size=20)

    return make


def _network(activation: Any, derivative: Any, name: str) -> Callable[[Random], Made]:
    def make(random: Random) -> Made:
        X, t = random.normal(size=(6, 4)), random.normal(size=(6, 2))

        def parts(w: Float) -> tuple[Float, Float]:
            return w[:20].reshape(4, 5), w[20:].reshape(5, 2)

        def value(w: Float) -> float:
            W1, W2 = parts(w)
            return float(np.sum((activation(X @ W1) @ W2 - t) ** 2) / 2)

        def gradient(w: Float) -> Float:
            W1, W2 = parts(w)
            z = X @ W1
            delta = activation(z) @ W2 - t
            hidden = delta @ W2.T * derivative(z)
            return np.concatenate([(X.T @ hidden).ravel(), (activation(z).T @ delta).ravel()])

        return Loss(name, value, gradient), random.normal(size=30)

    return make


two_layers = _network(np.tanh, lambda z: 1 - np.tanh(z) ** 2, "tanh net")
relu_net = _network(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), "relu net")


def batch_norm(random: Random) -> Made:
    """Σ cos of a batch norm of b + Xw: the bias b before it has no effect."""
    X, c = random.normal(size=(8, 3)), random.normal(size=8)

    def normalized(w: Float) -> tuple[Float, float]:
        z = w[0] + X @ w[1:]
        deviation = float(np.sqrt(np.var(z) + 1e-5))
        return (z - np.mean(z)) / deviation, deviation

    def gradient(w: Float) -> Float:
        y, deviation = normalized(w)
        delta = -c * np.sin(c * y)
        dz = (delta - np.mean(delta) - y * np.mean(delta * y)) / deviation
        return np.append(np.sum(dz), X.T @ dz)

    loss = Loss(
        "bias before batch norm", lambda w: float(np.sum(np.cos(c * normalized(w)[0]))), gradient
    )
    return loss, random.normal(size=4)


def huber(random: Random) -> Made:
    """Σ huber(Xw − t), the corner at 1."""
    X, t = random.normal(size=(20, 6)), random.normal(size=20)

    def value(w: Float) -> float:
        r = np.abs(X @ w - t)
        return float(np.sum(np.where(r < 1, r**2 / 2, r - 0.5)))

    loss = Loss("huber", value, lambda w: X.T @ np.clip(X @ w - t, -1, 1))
    return loss, random.normal(size=6)


def exponential(random: Random) -> Made:
    """Σ exp(x) of x from −20 to 5: entries of very different sizes."""
    loss = Loss("sum of exp", lambda x: float(np.sum(np.exp(x))), lambda x: np.exp(x))
    return loss, random.uniform(-20, 5, 12)


LOSSES: tuple[Callable[[Random], Made], ...] = (
    least_squares,
    offset,
    units,
    small_weights,
    logistic,
    softmax(1.0, "cross entropy"),
    softmax(20.0, "cross entropy, confident"),
    two_layers,
    relu_net,
    batch_norm,
    huber,
    exponential,
)
