import numpy as np


def forward(x, W):
    h = []
    for row in x:
        h.append(np.tanh(W @ row))
    return h


def backward(dh, x, W):
    dx, dW = [], np.zeros_like(W)
    for g, row in zip(dh, x):
        dz = g * (1 - np.tanh(W @ row) ** 2)
        dx.append(W.T @ dz)
        dW += np.outer(dz, row)
        # slip: dW = np.outer(dz, row)
    return dx, dW
