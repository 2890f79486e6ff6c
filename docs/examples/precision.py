"""A layer in low precision: its backward is right, wrong by less than rounding, or loses digits."""

import numpy as np


def layer(x, w):
    """tanh(xw), in the type of its inputs."""
    return np.tanh(x @ w)


def layer_backward(delta, x, w):
    """In the type of its inputs, too."""
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def layer_backward_one_percent(delta, x, w):
    """Wrong by less than what rounding hides in float16."""
    dx, dw = layer_backward(delta, x, w)
    return dx, dw * dw.dtype.type(1.01)


def square(x):
    """x²."""
    return x * x


def square_backward(delta, x):
    """2xδ."""
    return 2 * x * delta


def square_backward_overflows(delta, x):
    """Wrong in float16 alone, which ends at 65504."""
    scale = x.dtype.type(30000)
    with np.errstate(over="ignore"):
        return delta * (x * scale) / scale * 2


def normalize(x):
    """Mixed precision: sums in float32, whatever x is in."""
    wide = x.astype(np.float32)
    return (wide - wide.mean(1, keepdims=True)).astype(x.dtype)


def normalize_backward(delta, x):
    """As the forward."""
    wide = delta.astype(np.float32)
    return (wide - wide.mean(1, keepdims=True)).astype(x.dtype)
