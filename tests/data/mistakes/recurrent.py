"""Recurrent nets with their backward passes through time; index.yaml has the mistakes."""

import numpy as np


def sigmoid(z):
    """1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def softmax(z):
    """Of rows."""
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def char_rnn(Wxh, Whh, Why, bh, by, xs, targets):
    """A net with an output at each step; samples are columns, as in min-char-rnn."""
    T, hs, ps, loss = len(xs), {-1: np.zeros((Whh.shape[0], 1))}, {}, 0.0
    for t in range(T):
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        ys = Why @ hs[t] + by
        ps[t] = np.exp(ys) / np.sum(np.exp(ys))
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dhnext = np.zeros_like(bh), np.zeros_like(by), np.zeros_like(hs[0])
    for t in reversed(range(T)):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dh = Why.T @ dy + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += dhraw @ xs[t].T
        dWhh += dhraw @ hs[t - 1].T
        dhnext = Whh.T @ dhraw
    return loss, dWxh, dWhh, dWhy, dbh, dby


def lstm(x, Wf, Wi, Wg, Wo, bf, bi, bg, bo):
    """All hidden states of an lstm; x is n×T×D, a weight (H + D)×H."""
    n, T, _ = x.shape
    h = c = np.zeros((n, len(bf)))
    out, caches = [], []
    for t in range(T):
        z = np.hstack([h, x[:, t]])
        f, i, o = sigmoid(z @ Wf + bf), sigmoid(z @ Wi + bi), sigmoid(z @ Wo + bo)
        g = np.tanh(z @ Wg + bg)
        c_prev, c = c, f * c + i * g
        h = o * np.tanh(c)
        out.append(h)
        caches.append((z, f, i, g, o, c, c_prev))
    return np.stack(out, 1), (caches, Wf, Wi, Wg, Wo)


def lstm_backward(dout, cache):
    """Of `lstm`."""
    caches, Wf, Wi, Wg, Wo = cache
    n, T, H = dout.shape
    dx = np.zeros((n, T, Wf.shape[0] - H))
    dWf, dWi, dWg, dWo = (np.zeros_like(W) for W in (Wf, Wi, Wg, Wo))
    dbf, dbi, dbg, dbo = (np.zeros(H) for _ in range(4))
    dh_next, dc_next = np.zeros((n, H)), np.zeros((n, H))
    for t in reversed(range(T)):
        z, f, i, g, o, c, c_prev = caches[t]
        dh = dout[:, t] + dh_next
        do = dh * np.tanh(c) * o * (1 - o)
        dc = dh * o * (1 - np.tanh(c) ** 2) + dc_next
        df = dc * c_prev * f * (1 - f)
        di = dc * g * i * (1 - i)
        dg = dc * i * (1 - g**2)
        dWf += z.T @ df
        dWi += z.T @ di
        dWg += z.T @ dg
        dWo += z.T @ do
        dbf += df.sum(0)
        dbi += di.sum(0)
        dbg += dg.sum(0)
        dbo += do.sum(0)
        dz = df @ Wf.T + di @ Wi.T + dg @ Wg.T + do @ Wo.T
        dh_next, dx[:, t] = dz[:, :H], dz[:, H:]
        dc_next = dc * f
    return dx, dWf, dWi, dWg, dWo, dbf, dbi, dbg, dbo


def gru_step(x, h, Wz, Uz, Wr, Ur, Wh, Uh):
    """The next state of a gru: z h + (1 − z) tanh(x Wₕ + (r h) Uₕ)."""
    z, r = sigmoid(x @ Wz + h @ Uz), sigmoid(x @ Wr + h @ Ur)
    g = np.tanh(x @ Wh + (r * h) @ Uh)
    return z * h + (1 - z) * g, (x, h, z, r, g, Wz, Uz, Wr, Ur, Wh, Uh)


def gru_step_backward(dnext, cache):
    """Of `gru_step`."""
    x, h, z, r, g, Wz, Uz, Wr, Ur, Wh, Uh = cache
    dg = dnext * (1 - z) * (1 - g**2)
    dz = dnext * (h - g) * z * (1 - z)
    drh = dg @ Uh.T
    dr = drh * h * r * (1 - r)
    dh = dnext * z + drh * r + dz @ Uz.T + dr @ Ur.T
    dx = dg @ Wh.T + dz @ Wz.T + dr @ Wr.T
    return dx, dh, x.T @ dz, h.T @ dz, x.T @ dr, h.T @ dr, x.T @ dg, (r * h).T @ dg


def last_state(x, Wx, Wh, b, V):
    """Scores from the last state of a relu net; x is n×T×D."""
    hs = [np.zeros((len(x), len(b)))]
    for t in range(x.shape[1]):
        hs.append(np.maximum(x[:, t] @ Wx + hs[-1] @ Wh + b, 0))
    return hs[-1] @ V, hs


def last_state_backward(dout, hs, x, Wx, Wh, V):
    """Of `last_state`."""
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    dh = dout @ V.T
    for t in reversed(range(x.shape[1])):
        dh = dh * (hs[t + 1] > 0)
        dx[:, t] = dh @ Wx.T
        dWx += x[:, t].T @ dh
        dWh += hs[t].T @ dh
        db += dh.sum(0)
        dh = dh @ Wh.T
    return dx, dWx, dWh, db, hs[-1].T @ dout
