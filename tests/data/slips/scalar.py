import numpy as np


def swish(x, t):
    return x / (1 + np.exp(-t * x))


def swish_backward(g, x, t):
    s = 1 / (1 + np.exp(-t * x))
    return g * (s + t * x * s * (1 - s)), (g * x**2 * s * (1 - s)).sum()
    # slip: return g * (s + t * x * s * (1 - s)), (g * x * s * (1 - s)).sum()
