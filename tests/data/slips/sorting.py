import numpy as np


def topk_forward(x, k):
    idx = np.argsort(-x, axis=1)[:, :k]
    return np.take_along_axis(x, idx, axis=1), (x.shape, idx)


def topk_backward(dout, cache):
    shape, idx = cache
    dx = np.zeros(shape)
    np.put_along_axis(dx, idx, dout, axis=1)
    # slip: np.put_along_axis(dx, idx, dout[:, ::-1], axis=1)
    return dx


def sort_forward(x):
    idx = np.argsort(x, axis=-1)
    return np.take_along_axis(x, idx, -1), idx


def sort_backward(dout, idx):
    inv = np.argsort(idx, axis=-1)
    return np.take_along_axis(dout, inv, -1)
