"""Models outside of courses, with their gradients; index.yaml has the mistakes."""

from math import erf, pi

import numpy as np


def sigmoid(z):
    """1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def logsumexp(z, axis):
    """log Σ exp z along an axis."""
    top = z.max(axis, keepdims=True)
    return np.log(np.exp(z - top).sum(axis)) + np.squeeze(top, axis)


class Digits:
    """A 784-30-10 net of sigmoids with a cross-entropy, of a batch."""

    def __init__(self, W1, b1, W2, b2):
        self.W1, self.b1, self.W2, self.b2 = W1, b1, W2, b2

    def loss(self, X, T):
        """The mean over the batch."""
        self.X, self.T = X, T
        self.h = sigmoid(X @ self.W1 + self.b1)
        self.p = sigmoid(self.h @ self.W2 + self.b2)
        return -np.sum(T * np.log(self.p) + (1 - T) * np.log(1 - self.p)) / len(X)

    def gradients(self):
        """Of all weights."""
        delta2 = (self.p - self.T) / len(self.X)
        delta1 = delta2 @ self.W2.T * self.h * (1 - self.h)
        return {
            "W1": self.X.T @ delta1,
            "b1": delta1.sum(axis=0),
            "W2": self.h.T @ delta2,
            "b2": delta2.sum(axis=0),
        }


def digits(W1, b1, W2, b2, X, T):
    """The loss of `Digits` and its gradients."""
    net = Digits(W1, b1, W2, b2)
    loss = net.loss(X, T)
    return loss, net.gradients()


def crf(emissions, transitions, tags):
    """The negative log-likelihood of a chain, by the forward-backward algorithm."""
    T, K = emissions.shape
    alpha, beta = np.zeros((T, K)), np.zeros((T, K))
    alpha[0] = emissions[0]
    for t in range(1, T):
        alpha[t] = emissions[t] + logsumexp(alpha[t - 1][:, None] + transitions, 0)
    for t in range(T - 2, -1, -1):
        beta[t] = logsumexp(transitions + emissions[t + 1] + beta[t + 1], 1)
    log_z = logsumexp(alpha[-1], 0)
    score = emissions[np.arange(T), tags].sum() + transitions[tags[:-1], tags[1:]].sum()
    d_emissions = np.exp(alpha + beta - log_z)
    d_emissions[np.arange(T), tags] -= 1
    d_transitions = np.zeros((K, K))
    for t in range(T - 1):
        pair = alpha[t][:, None] + transitions + emissions[t + 1] + beta[t + 1]
        d_transitions += np.exp(pair - log_z)
        d_transitions[tags[t], tags[t + 1]] -= 1
    return log_z - score, d_emissions, d_transitions


def mixture(logits, means, log_sigma, X):
    """The negative log-likelihood of a mixture of round normals; means K×D."""
    diff = X[:, None, :] - means[None]
    sigma2 = np.exp(2 * log_sigma)
    log_w = logits - logsumexp(logits, 0)
    square = (diff**2).sum(2)
    joint = log_w - 0.5 * square / sigma2 - X.shape[1] * (log_sigma + 0.5 * np.log(2 * pi))
    total = logsumexp(joint, 1)
    r = np.exp(joint - total[:, None])
    d_logits = len(X) * np.exp(log_w) - r.sum(0)
    d_means = -(r[:, :, None] * diff).sum(0) / sigma2[:, None]
    d_log_sigma = (r * (X.shape[1] - square / sigma2)).sum(0)
    return -total.sum(), d_logits, d_means, d_log_sigma


def state_space(A, B, C, u, y):
    """Half the squared error of y_t = C h_t, where h_t = A h_{t−1} + B u_t."""
    T, h = len(u), [np.zeros(len(A))]
    for t in range(T):
        h.append(A @ h[t] + B @ u[t])
    errors = [C @ h[t + 1] - y[t] for t in range(T)]
    dA, dB, dC = np.zeros_like(A), np.zeros_like(B), np.zeros_like(C)
    lam = np.zeros(len(A))
    for t in reversed(range(T)):
        lam = C.T @ errors[t] + A.T @ lam
        dC += np.outer(errors[t], h[t + 1])
        dA += np.outer(lam, h[t])
        dB += np.outer(lam, u[t])
    return 0.5 * sum(e @ e for e in errors), dA, dB, dC


def energy(x, charges):
    """Σ q_i q_j / r_ij of pairs of particles, and its gradient."""
    diff = x[:, None] - x[None]
    r = np.sqrt((diff**2).sum(-1) + np.eye(len(x)))
    qq = np.outer(charges, charges) * (1 - np.eye(len(x)))
    value = 0.5 * np.sum(qq / r)
    forces = -(qq / r**3)[:, :, None] * diff
    return value, forces.sum(1)


def factorization_machine(w0, w, V, X, t):
    """The mean squared error of a machine of second order."""
    s = X @ V
    pred = w0 + X @ w + 0.5 * (s**2 - (X**2) @ (V**2)).sum(1)
    e = 2 * (pred - t) / len(X)
    dV = X.T @ (e[:, None] * s) - (X**2).T @ e[:, None] * V
    return np.mean((pred - t) ** 2), e.sum(keepdims=True), X.T @ e, dV


def gelu_mlp(x, W1, b1, W2, keep_mask, keep):
    """A gelu layer with dropout; the outputs."""
    z = x @ W1 + b1
    cdf = 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2)))
    a = z * cdf
    d = a * keep_mask / keep
    return d @ W2


def gelu_mlp_backward(dout, x, W1, b1, W2, keep_mask, keep):
    """Of `gelu_mlp`."""
    z = x @ W1 + b1
    cdf = 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2)))
    pdf = np.exp(-0.5 * z**2) / np.sqrt(2 * pi)
    dd = dout @ W2.T
    da = dd * keep_mask / keep
    dz = da * (cdf + z * pdf)
    dW2 = (z * cdf * keep_mask / keep).T @ dout
    return dz @ W1.T, x.T @ dz, dz.sum(0), dW2


def max_pool(x, k):
    """Of images n×C×H×W, windows of k×k side by side."""
    n, C, H, W = x.shape
    return x.reshape(n, C, H // k, k, W // k, k).max((3, 5))


def max_pool_backward(dout, x, k):
    """To the largest of each window."""
    n, C, H, W = x.shape
    dx = np.zeros_like(x)
    for i in range(H // k):
        for j in range(W // k):
            rows, columns = slice(i * k, (i + 1) * k), slice(j * k, (j + 1) * k)
            window = x[:, :, rows, columns]
            mask = window == window.max((2, 3), keepdims=True)
            dx[:, :, rows, columns] += mask * dout[:, :, i : i + 1, j : j + 1]
    return dx


def heads(x, Wqkv, Wo, count):
    """Attention with several heads; x is n×T×D."""
    n, T, D = x.shape
    q, k, v = np.split(x @ Wqkv, 3, axis=-1)
    q, k, v = (one.reshape(n, T, count, -1).transpose(0, 2, 1, 3) for one in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(D // count)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    merged = (p @ v).transpose(0, 2, 1, 3).reshape(n, T, D)
    return merged @ Wo, (x, q, k, v, p, merged, Wqkv, Wo)


def heads_backward(dout, cache):
    """Of `heads`."""
    x, q, k, v, p, merged, Wqkv, Wo = cache
    n, T, D = x.shape
    count, size = q.shape[1], q.shape[3]
    dWo = np.einsum("ntd,nte->de", merged, dout)
    dheads = (dout @ Wo.T).reshape(n, T, count, size).transpose(0, 2, 1, 3)
    dv = p.swapaxes(-1, -2) @ dheads
    dp = dheads @ v.swapaxes(-1, -2)
    dscores = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(size)
    dq, dk = dscores @ k, dscores.swapaxes(-1, -2) @ q
    dqkv = [one.transpose(0, 2, 1, 3).reshape(n, T, D) for one in (dq, dk, dv)]
    dqkv = np.concatenate(dqkv, axis=-1)
    return dqkv @ Wqkv.T, np.einsum("ntd,nte->de", x, dqkv), dWo


def interpolate(values, places):
    """A function given at whole numbers, linearly between them."""
    low = np.floor(places).astype(int)
    part = places - low
    return (1 - part) * values[low] + part * values[low + 1]


def interpolate_backward(dout, values, places):
    """Of `interpolate`."""
    low = np.floor(places).astype(int)
    part = places - low
    dvalues = np.zeros_like(values)
    np.add.at(dvalues, low, dout * (1 - part))
    np.add.at(dvalues, low + 1, dout * part)
    return dvalues, dout * (values[low + 1] - values[low])


def huber(w, b, X, t, limit):
    """The mean Huber loss of a linear model."""
    e = X @ w + b - t
    inside = np.abs(e) <= limit
    loss = np.where(inside, 0.5 * e**2, limit * (np.abs(e) - 0.5 * limit)).mean()
    de = np.where(inside, e, limit * np.sign(e)) / len(t)
    return loss, X.T @ de, de.sum(keepdims=True)
