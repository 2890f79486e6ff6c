import numpy as np


def align_loss(Q, X, Y):
    E = X @ Q.T - Y
    return 0.5 * np.sum(E**2), E.T @ X
    # slip: return 0.5 * np.sum(E**2), -E.T @ X
