import numpy as np


def kl_divergence(p, q):
    """KL(p || q) of distributions p, q of shape (n,)."""
    assert np.allclose([p.sum(), q.sum()], 1), "not a distribution"
    return np.sum(p * np.log(p / q))


def kl_divergence_grad(p, q):
    return np.log(p / q) + 1, -p / q
    # slip: return np.log(p / q) + 1, p / q
