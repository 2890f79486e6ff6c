import numpy as np


def cholesky_forward(A):
    L = np.linalg.cholesky(A)
    return L, L


def cholesky_backward(dL, L):
    """Murray 2016."""
    P = np.tril(L.T @ np.tril(dL))
    P[np.diag_indices_from(P)] *= 0.5
    # slip: P[np.diag_indices_from(P)] *= 1.0
    Linv = np.linalg.inv(L)
    S = Linv.T @ P @ Linv
    return 0.5 * (S + S.T)
