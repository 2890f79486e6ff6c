"""Losses of one or two arrays and many constants, whose shapes their text does not tell."""

import numpy as np


def policy_gradient_loss(theta, states, actions, returns):
    """REINFORCE with linear softmax policy: theta (S, A)."""
    logits = states.dot(theta)
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    n = states.shape[0]
    logp = np.log(p[np.arange(n), actions])
    loss = -np.mean(logp * returns)
    d = p.copy()
    d[np.arange(n), actions] -= 1
    grad = states.T.dot(d * returns[:, None]) / n
    return loss, grad


def matrix_factorization(P, Q, R, mask, lam=0.1):
    """R ~ P Q^T; returns cost and both gradients."""
    E = mask * (P @ Q.T - R)
    cost = 0.5 * np.sum(E**2) + 0.5 * lam * (np.sum(P**2) + np.sum(Q**2))
    gP = E @ Q + lam * P
    gQ = E.T @ P + lam * Q
    return cost, (gP, gQ)


def cox_partial_likelihood(beta, X, times, events):
    order = np.argsort(-times)
    X, events = X[order], events[order]
    eta = X @ beta
    w = np.exp(eta)
    cum = np.cumsum(w)
    cumx = np.cumsum(w[:, None] * X, axis=0)
    nll = -np.sum(events * (eta - np.log(cum)))
    grad = -np.sum(events[:, None] * (X - cumx / cum[:, None]), axis=0)
    return nll, grad


def gp_nll(log_params, X, y):
    ls, sf, sn = np.exp(log_params)
    d2 = ((X[:, None] - X[None]) ** 2).sum(-1)
    K0 = sf**2 * np.exp(-0.5 * d2 / ls**2)
    K = K0 + sn**2 * np.eye(len(y))
    L = np.linalg.cholesky(K)
    a = np.linalg.solve(L.T, np.linalg.solve(L, y))
    f = 0.5 * y @ a + np.log(np.diag(L)).sum() + 0.5 * len(y) * np.log(2 * np.pi)
    Ki = np.linalg.inv(K)
    g = np.empty(3)
    for i, dK in enumerate([K0 * d2 / ls**2, 2 * K0, 2 * sn**2 * np.eye(len(y))]):
        g[i] = -0.5 * a @ dK @ a + 0.5 * np.trace(Ki @ dK)
    return f, g


def skipgram_neg(center, context, negs):
    def s(z):
        return 1 / (1 + np.exp(-z))

    loss = -np.log(s(center @ context)) - np.log(s(-negs @ center)).sum()
    gcenter = (s(center @ context) - 1) * context + (s(negs @ center)) @ negs
    gcontext = (s(center @ context) - 1) * center
    gnegs = np.outer(s(negs @ center), center)
    return loss, gcenter, gcontext, gnegs


def word_loss(center, target_id, others):
    scores = np.exp(np.dot(others, center))
    scores /= scores.sum()
    loss = -np.log(scores[target_id])
    scores[target_id] -= 1
    return loss, np.dot(others.T, scores), np.outer(scores, center)
