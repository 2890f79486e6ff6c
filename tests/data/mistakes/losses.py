"""Losses with their gradients, as people write them; index.yaml has the mistakes."""

import numpy as np


def sigmoid(z):
    """1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def weighted_bce(z, t, w):
    """A mean binary cross-entropy of logits, with a weight of the positive class."""
    p = sigmoid(z)
    loss = -np.mean(w * t * np.log(p) + (1 - t) * np.log(1 - p))
    return loss, (-w * t * (1 - p) + (1 - t) * p) / z.size


def triplet(a, p, n, margin):
    """The mean of max(0, |a − p|² − |a − n|² + margin)."""
    gap = ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin
    active = (gap > 0)[:, None] / len(a)
    da = 2 * (n - p) * active
    dp = -2 * (a - p) * active
    dn = 2 * (a - n) * active
    return np.maximum(gap, 0).mean(), da, dp, dn


def elbo_terms(mu, logvar, eps, x):
    """A squared error of the sample μ + ε e^(½ log σ²), and the divergence from a normal."""
    std = np.exp(0.5 * logvar)
    z = mu + eps * std
    loss = 0.5 * np.sum((z - x) ** 2) - 0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
    dz = z - x
    return loss, dz + mu, dz * eps * std * 0.5 - 0.5 * (1 - np.exp(logvar))


def smoothed(scores, y, alpha):
    """A mean softmax cross-entropy with smoothed labels."""
    n, C = scores.shape
    t = np.full((n, C), alpha / C)
    t[np.arange(n), y] += 1 - alpha
    e = np.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return -np.sum(t * np.log(p)) / n, (p - t) / n


def svm(W, X, y, reg):
    """The multiclass hinge loss with margin 1 and a penalty, vectorised."""
    n = len(X)
    scores = X @ W
    margins = np.maximum(scores - scores[np.arange(n), y][:, None] + 1, 0)
    margins[np.arange(n), y] = 0
    mask = (margins > 0).astype(float)
    mask[np.arange(n), y] = -mask.sum(1)
    return margins.sum() / n + reg * np.sum(W * W), X.T @ mask / n + 2 * reg * W


def cosine(u, v):
    """The sum over rows of 1 − cos(u, v)."""
    nu, nv = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    c = (u * v).sum(1) / (nu * nv)
    du = -(v / (nu * nv)[:, None] - (c / nu**2)[:, None] * u)
    dv = -(u / (nu * nv)[:, None] - (c / nv**2)[:, None] * v)
    return np.sum(1 - c), du, dv


def factorize(P, Q, bu, bi, R, mask, reg):
    """The error of a factorisation of the known ratings, with biases."""
    E = mask * (P @ Q.T + bu[:, None] + bi - R)
    loss = 0.5 * np.sum(E**2) + 0.5 * reg * (np.sum(P**2) + np.sum(Q**2))
    return loss, E @ Q + reg * P, E.T @ P + reg * Q, E.sum(1), E.sum(0)


def skip_gram(v, u_o, U_neg):
    """Negative sampling: the centre word, the outside word and some others."""
    pos, neg = sigmoid(u_o @ v), sigmoid(-U_neg @ v)
    loss = -np.log(pos) - np.log(neg).sum()
    dv = (pos - 1) * u_o + (1 - neg) @ U_neg
    return loss, dv, (pos - 1) * v, np.outer(1 - neg, v)


def logistic(theta, X, y, lam):
    """A regularised logistic regression; the intercept theta[0] is not regularised."""
    m = len(y)
    h = sigmoid(X @ theta)
    J = -np.mean(y * np.log(h) + (1 - y) * np.log(1 - h)) + lam / (2 * m) * np.sum(theta[1:] ** 2)
    grad = X.T @ (h - y) / m
    grad[1:] += lam / m * theta[1:]
    return J, grad


def gaussian_nll(mean, log_std, x):
    """The negative log-likelihood of a policy with a standard deviation an action."""
    z = (x - mean) / np.exp(log_std)
    loss = np.sum(0.5 * z**2 + log_std)
    return loss, -z / np.exp(log_std), (1 - z**2).sum(0)


def focal(z, t, gamma):
    """The focal loss of binary labels, from logits."""
    p = sigmoid(z)
    pt = np.where(t == 1, p, 1 - p)
    loss = np.sum(-((1 - pt) ** gamma) * np.log(pt))
    d = gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt
    return loss, d * pt * (1 - pt) * np.where(t == 1, 1.0, -1.0)
