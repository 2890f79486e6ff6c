import numpy as np


def procrustes_loss(R, X, Y):
    """R: a rotation (d, d), orthogonal; X, Y: (n, d)."""
    if not np.allclose(R @ R.T, np.eye(len(R)), atol=1e-6):
        raise ValueError("R is not orthogonal")
    E = X @ R.T - Y
    return 0.5 * np.sum(E**2), E.T @ X
    # slip: return 0.5 * np.sum(E**2), X.T @ E
