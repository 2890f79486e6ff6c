"""Affine layers and relu: forward and backward passes, then backward passes with a bug."""

import numpy as np


def affine_forward(x, w, b):
    """x (n, ...) with N numbers a sample, w (N, M), b (M,) -> out (n, M)."""
    rows = x.reshape(x.shape[0], -1)
    out = rows @ w + b
    return out, (x, w)


def affine_backward(delta, cache):
    """delta (n, M) -> dx, dw, db in the shapes of x, w, b."""
    x, w = cache
    rows = x.reshape(x.shape[0], -1)
    dx = (delta @ w.T).reshape(x.shape)
    dw = rows.T @ delta
    db = delta.sum(axis=0)
    return dx, dw, db


def relu_forward(x):
    """x of any shape -> out of the same shape; the cache is x."""
    return np.maximum(x, 0), x


def relu_backward(delta, cache):
    """delta and dx in the shape of x."""
    return delta * (cache > 0)


def affine_relu_forward(x, w, b):
    """An affine layer, then relu: x (n, N), w (N, M), b (M,) -> out (n, M)."""
    a, affine_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(delta, cache):
    """delta (n, M) -> dx (n, N), dw (N, M), db (M,)."""
    affine_cache, relu_cache = cache
    return affine_backward(relu_backward(delta, relu_cache), affine_cache)


def linear(x, w, b):
    """The layer without a cache: x (n, N), w (N, M), b (M,) -> out (n, M)."""
    return x @ w + b


def linear_gradients(delta, x, w, b):
    """delta (n, M) and the inputs of the layer -> its gradients by name."""
    return {"x": delta @ w.T, "w": x.T @ delta, "b": delta.sum(axis=0)}


# Below, each function has one bug.


def affine_backward_bias_not_summed(delta, cache):
    """Bug: db has a row for every sample, (n, M) where b is (M,)."""
    dx, dw, _ = affine_backward(delta, cache)
    return dx, dw, delta


def affine_backward_bias_averaged(delta, cache):
    """Bug: db is the mean over the samples, while dw is their sum."""
    dx, dw, _ = affine_backward(delta, cache)
    return dx, dw, delta.mean(axis=0)


def affine_backward_divided_by_n(delta, cache):
    """Bug: dw is divided by n, though the loss that delta comes from has done so."""
    dx, dw, db = affine_backward(delta, cache)
    return dx, dw / delta.shape[0], db


def relu_backward_masked_by_delta(delta, cache):
    """Bug: the sign of delta decides, where the sign of x should."""
    return delta * (delta > 0)


def relu_backward_in_place(delta, cache):
    """Bug: the values are right, but delta is overwritten."""
    dx = delta
    dx[cache <= 0] = 0
    return dx


def affine_relu_backward_without_relu(delta, cache):
    """Bug: delta passes the relu unchanged."""
    affine_cache, _ = cache
    return affine_backward(delta, affine_cache)


def linear_gradients_without_transpose(delta, x, w, b):
    """Bug: w in place of w.T, which only a square w lets through."""
    return {"x": delta @ w, "w": x.T @ delta, "b": delta.sum(axis=0)}
