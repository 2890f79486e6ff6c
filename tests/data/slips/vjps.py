import numpy as np


def logsumexp(x):
    m = x.max(axis=-1, keepdims=True)
    return (m + np.log(np.exp(x - m).sum(axis=-1, keepdims=True)))[..., 0]


def logsumexp_vjp(g, ans, x):
    return g[..., None] * np.exp(x - ans[..., None])
    # slip: return g[..., None] * np.exp(x)
