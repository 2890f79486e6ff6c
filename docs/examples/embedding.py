"""Word embedding: forward and backward pass, then backward passes with a bug."""

import numpy as np


def word_embedding_forward(x, W):
    """Word numbers x (n, T), vectors W (V, D) -> out (n, T, D)."""
    return W[x], (x, W)


def word_embedding_backward(delta, cache):
    """delta (n, T, D) -> dW (V, D); a word that occurs twice gets the sum."""
    x, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, x, delta)
    return dW


# Below, each function has one bug.


def word_embedding_backward_assigns(delta, cache):
    """Bug: a word that occurs twice gets the gradient of its last occurrence."""
    x, W = cache
    dW = np.zeros_like(W)
    dW[x] = delta
    return dW


def word_embedding_backward_adds_once(delta, cache):
    """Bug: += with an index array stores the sum of the last occurrence only."""
    x, W = cache
    dW = np.zeros_like(W)
    dW[x] += delta
    return dW
