import numpy as np


def rbf_nlml(X, y, log_ell, log_sf, log_sn):
    """Negative log marginal likelihood of a GP and its gradient w.r.t. the log hyperparameters."""
    n = X.shape[0]
    sq = ((X[:, None, :] - X[None, :, :]) ** 2).sum(-1)
    Kf = np.exp(2 * log_sf) * np.exp(-0.5 * sq / np.exp(2 * log_ell))
    K = Kf + np.exp(2 * log_sn) * np.eye(n)
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    nlml = 0.5 * y @ alpha + np.log(np.diag(L)).sum() + 0.5 * n * np.log(2 * np.pi)
    Kinv = np.linalg.solve(L.T, np.linalg.solve(L, np.eye(n)))
    W = Kinv - np.outer(alpha, alpha)
    d_ell = 0.5 * np.sum(W * Kf * sq) / np.exp(2 * log_ell)
    d_sf = np.sum(W * Kf)
    d_sn = np.exp(2 * log_sn) * np.trace(W)
    # slip: d_sn = 0.5 * np.exp(2 * log_sn) * np.trace(W)
    return nlml, {"log_ell": d_ell, "log_sf": d_sf, "log_sn": d_sn}
