import numpy as np


def deq_forward(x, W, U, tol=1e-12, max_iter=500):
    """Deep equilibrium: z = tanh(W z + U x), by fixed-point iteration."""
    W = 0.5 * W / np.linalg.norm(W, 2)
    z = np.zeros(W.shape[0])
    for _ in range(max_iter):
        z_new = np.tanh(W @ z + U @ x)
        if np.linalg.norm(z_new - z) < tol:
            break
        z = z_new
    return z_new, (z_new, x, W, U)


def deq_backward(dz, cache):
    z, x, W, U = cache
    D = np.diag(1 - z**2)
    v = np.linalg.solve((np.eye(len(z)) - D @ W).T, dz)
    # slip: v = np.linalg.solve(np.eye(len(z)) - D @ W, dz)
    s = D @ v
    dx = U.T @ s
    dU = np.outer(s, x)
    return dx, None, dU
