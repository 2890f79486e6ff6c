import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def distill_forward(logits, T):
    p = softmax(logits / T)
    return p, (p, logits, T)


def distill_backward(dp, cache):
    p, logits, T = cache
    dz = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dlogits = dz / T
    # slip: dlogits = dz
    dT = -np.sum(dz * logits) / T**2
    return dlogits, dT
