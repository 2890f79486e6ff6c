import numpy as np


def mlp_forward(x, W1, b1, W2, b2):
    h = np.tanh(x @ W1 + b1)
    out = h @ W2 + b2
    return out, (x, W1, W2, h)


def mlp_backward(dout, cache):
    x, W1, W2, h = cache
    dz = dout @ W2.T * (1 - h**2)
    yield dz @ W1.T
    yield x.T @ dz
    yield dz.sum(0)
    # slip: yield dz.mean(0)
    yield h.T @ dout
    yield dout.sum(0)
