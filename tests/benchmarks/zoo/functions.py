"""Functions that take real or complex numbers: those that compare do so by the real part."""

from __future__ import annotations

from typing import Any

import numpy as np


def real(x: Any) -> Any:
    """The real part, by which branches are chosen."""
    return np.real(x)


def relu(x: Any) -> Any:
    return np.where(real(x) > 0, x, 0 * x)


def absolute(x: Any) -> Any:
    return np.where(real(x) < 0, -x, x)


def maximum(a: Any, b: Any) -> Any:
    return np.where(real(a) >= real(b), a, b)


def minimum(a: Any, b: Any) -> Any:
    return np.where(real(a) <= real(b), a, b)


def clip(x: Any, low: float, high: float) -> Any:
    return minimum(maximum(x, low), high)


def largest(x: Any, axis: int = -1) -> Any:
    """The entry with the largest real part."""
    at = np.argmax(real(x), axis=axis)
    return np.take_along_axis(x, np.expand_dims(at, axis), axis).squeeze(axis)


def sigmoid(x: Any) -> Any:
    e = np.exp(-absolute(x))
    return np.where(real(x) >= 0, 1 / (1 + e), e / (1 + e))


def log1p(x: Any) -> Any:
    """Of small x, too, where numpy's complex one is right to rounding."""
    return np.log1p(x)


def softplus(x: Any) -> Any:
    return maximum(x, 0 * x) + log1p(np.exp(-absolute(x)))


def softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - np.max(real(x), axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x: Any) -> Any:
    shifted = x - np.max(real(x), axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))


def layer_norm(x: Any, eps: float = 1e-5) -> Any:
    centered = x - x.mean(axis=-1, keepdims=True)
    return centered / np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + eps)


def batch_norm(x: Any, eps: float = 1e-5) -> Any:
    centered = x - x.mean(axis=-2, keepdims=True)
    return centered / np.sqrt((centered * centered).mean(axis=-2, keepdims=True) + eps)


def norm(x: Any, axis: Any = None) -> Any:
    return np.sqrt((x * x).sum(axis=axis))


def cosine(a: Any, b: Any) -> Any:
    return (a * b).sum(axis=-1) / (norm(a, -1) * norm(b, -1))


def cholesky(a: Any) -> Any:
    """The lower factor, without the conjugates of numpy's."""
    n = a.shape[-1]
    factor = np.zeros_like(a)
    for j in range(n):
        left = factor[..., :, :j] * factor[..., j, None, :j]
        rest = a[..., :, j] - left.sum(axis=-1)
        factor[..., j, j] = np.sqrt(rest[..., j])
        factor[..., j + 1 :, j] = rest[..., j + 1 :] / factor[..., j, j, None]
    return factor


def symmetric(x: Any) -> Any:
    return (x + x.swapaxes(-1, -2)) / 2


def conv1d(x: Any, w: Any) -> Any:
    """x (…, C, L), w (…, K, C, S) → (…, L − S + 1, K)."""
    size = w.shape[-1]
    columns = [
        (x[..., None, :, at : at + size] * w).sum(axis=(-1, -2))
        for at in range(x.shape[-1] - size + 1)
    ]
    return np.stack(columns, axis=-2)


def conv2d(x: Any, w: Any, stride: int = 1) -> Any:
    """x (…, C, H, W), w (…, K, C, R, S) → (…, P, Q, K)."""
    height, width = w.shape[-2:]
    rows = range(0, x.shape[-2] - height + 1, stride)
    columns = range(0, x.shape[-1] - width + 1, stride)
    found = [
        np.stack(
            [
                (x[..., None, :, row : row + height, column : column + width] * w).sum((-1, -2, -3))
                for column in columns
            ],
            axis=-2,
        )
        for row in rows
    ]
    return np.stack(found, axis=-3)


def attention(q: Any, k: Any, v: Any) -> Any:
    return softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v


def recurrent(x: Any, w: Any, u: Any, steps: int | None = None) -> Any:
    """h_t = tanh(x_t w + h_{t−1} u), x (…, T, 1, D); the last h."""
    h = np.zeros((1, u.shape[-1]))
    for at in range(steps or x.shape[-3]):
        h = np.tanh(x[..., at % x.shape[-3], :, :] @ w + h @ u)
    return h


def lstm(x: Any, w: Any, u: Any) -> Any:
    """x (…, T, 1, D), w (…, D, 4H), u (…, H, 4H); the last h."""
    h = c = np.zeros((1, u.shape[-2]))
    for at in range(x.shape[-3]):
        i, f, o, g = np.split(x[..., at, :, :] @ w + h @ u, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def gru(x: Any, w: Any, u: Any) -> Any:
    """x (…, T, 1, D), w (…, D, 3H), u (…, H, 3H); the last h."""
    h = np.zeros((1, u.shape[-2]), dtype=u.dtype)
    for at in range(x.shape[-3]):
        a, b = np.split(x[..., at, :, :] @ w, 3, axis=-1), np.split(h @ u, 3, axis=-1)
        z, r = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        h = (1 - z) * h + z * np.tanh(a[2] + r * b[2])
    return h
