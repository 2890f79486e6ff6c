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


def logsumexp(a, axis=None, keepdims=False):
    m = a.max(axis=axis, keepdims=True)
    s = m + np.log(np.exp(a - m).sum(axis=axis, keepdims=True))
    return s if keepdims else np.squeeze(s, axis=axis)


def crf_nll(emissions, transitions, tags):
    """Linear-chain CRF by forward-backward. emissions (T, K), transitions (K, K), tags (T,)."""
    T, K = emissions.shape
    alpha = np.zeros((T, K))
    alpha[0] = emissions[0]
    for t in range(1, T):
        alpha[t] = emissions[t] + logsumexp(alpha[t - 1][:, None] + transitions, axis=0)
    logZ = logsumexp(alpha[-1], axis=0)
    beta = np.zeros((T, K))
    for t in range(T - 2, -1, -1):
        beta[t] = logsumexp(transitions + (emissions[t + 1] + beta[t + 1])[None, :], axis=1)
    marg = np.exp(alpha + beta - logZ)
    score = emissions[np.arange(T), tags].sum() + transitions[tags[:-1], tags[1:]].sum()
    dE = marg.copy()
    dE[np.arange(T), tags] -= 1
    dT = np.zeros_like(transitions)
    for t in range(T - 1):
        dT += np.exp(
            alpha[t][:, None] + transitions + (emissions[t + 1] + beta[t + 1])[None, :] - logZ
        )
        dT[tags[t], tags[t + 1]] -= 1
    return logZ - score, dE, dT
