"""Layers with their backward passes, as people write them; index.yaml has the mistakes."""

import numpy as np


def conv(x, w, b, stride, pad):
    """A convolution of images, n×C×H×W, by loops over places."""
    n, _, H, W = x.shape
    F, _, k, _ = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((n, F, (H + 2 * pad - k) // stride + 1, (W + 2 * pad - k) // stride + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = xp[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            out[:, :, i, j] = np.tensordot(window, w, ((1, 2, 3), (1, 2, 3))) + b
    return out


def conv_backward(dout, x, w, stride, pad):
    """Of `conv`."""
    k, (H, W) = w.shape[2], x.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows = slice(i * stride, i * stride + k)
            columns = slice(j * stride, j * stride + k)
            dw += np.tensordot(dout[:, :, i, j], xp[:, :, rows, columns], (0, 0))
            dxp[:, :, rows, columns] += np.tensordot(dout[:, :, i, j], w, (1, 0))
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, dout.sum((0, 2, 3))


def conv1d(x, w):
    """A correlation of a signal with a kernel, full length by zeros at the end."""
    return np.array([x[t : t + len(w)] @ w[: len(x) - t] for t in range(len(x))])


def conv1d_backward(dy, x, w):
    """Of `conv1d`."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t in range(len(x)):
        m = min(len(w), len(x) - t)
        dx[t : t + m] += dy[t] * w[:m]
        dw[:m] += dy[t] * x[t : t + m]
    return dx, dw


def average_pool(x, k):
    """The mean of k×k windows of images n×C×H×W, without overlap."""
    n, C, H, W = x.shape
    return x.reshape(n, C, H // k, k, W // k, k).mean((3, 5))


def average_pool_backward(dout, x, k):
    """Of `average_pool`."""
    return np.repeat(np.repeat(dout, k, 2), k, 3) / (k * k)


def layernorm(x, gamma, beta, eps):
    """Over the last axis of n×T×D."""
    mu, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta, (xhat, 1 / np.sqrt(var + eps), gamma)


def layernorm_backward(dout, cache):
    """Of `layernorm`."""
    xhat, rstd, gamma = cache
    dxhat = dout * gamma
    mean1 = dxhat.mean(-1, keepdims=True)
    mean2 = (dxhat * xhat).mean(-1, keepdims=True)
    dx = rstd * (dxhat - mean1 - xhat * mean2)
    return dx, (dout * xhat).sum((0, 1)), dout.sum((0, 1))


def batchnorm(x, gamma, beta, eps):
    """Over the samples, in steps."""
    mu = x.mean(0)
    xmu = x - mu
    var = (xmu**2).mean(0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1 / sqrtvar
    xhat = xmu * ivar
    return gamma * xhat + beta, (xhat, gamma, xmu, ivar, sqrtvar)


def batchnorm_backward(dout, cache):
    """Of `batchnorm`, step by step."""
    xhat, gamma, xmu, ivar, sqrtvar = cache
    n = len(dout)
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dxhat = dout * gamma
    divar = (dxhat * xmu).sum(0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1 / sqrtvar**2 * divar
    dvar = 0.5 / sqrtvar * dsqrtvar
    dsq = np.ones_like(dout) * dvar / n
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -dx1.sum(0)
    dx2 = np.ones_like(dout) * dmu / n
    return dx1 + dx2, dgamma, dbeta


def groupnorm(x, gamma, beta, G):
    """Of images n×C×H×W, each of G groups of channels by itself."""
    n = len(x)
    xg = x.reshape(n, G, -1)
    std = np.sqrt(xg.var(2, keepdims=True) + 1e-5)
    xhat = ((xg - xg.mean(2, keepdims=True)) / std).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None], (xhat, std, gamma)


def groupnorm_backward(dout, cache, G):
    """Of `groupnorm`."""
    xhat, std, gamma = cache
    n, C, H, W = dout.shape
    dg = (dout * gamma[:, None, None]).reshape(n, G, -1)
    xg = xhat.reshape(n, G, -1)
    m = C // G * H * W
    dx = (dg - dg.sum(2, keepdims=True) / m - xg * (dg * xg).sum(2, keepdims=True) / m) / std
    return dx.reshape(dout.shape), (dout * xhat).sum((0, 2, 3)), dout.sum((0, 2, 3))


def rmsnorm(x, g):
    """x over its root mean square."""
    rms = np.sqrt((x**2).mean(1, keepdims=True) + 1e-6)
    return g * x / rms


def rmsnorm_backward(dy, x, g):
    """Of `rmsnorm`."""
    D = x.shape[1]
    rms = np.sqrt((x**2).mean(1, keepdims=True) + 1e-6)
    dxn = dy * g
    dx = dxn / rms - x * (dxn * x).sum(1, keepdims=True) / (D * rms**3)
    return dx, (dy * x / rms).sum(0)


def l2_normalize(x):
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def l2_normalize_backward(dy, x):
    """Of `l2_normalize`."""
    n = np.linalg.norm(x, axis=1, keepdims=True)
    y = x / n
    return (dy - y * (dy * y).sum(1, keepdims=True)) / n


def weight_norm(x, v, g):
    """x W with the columns W = g v / ‖v‖."""
    return x @ (g * v / np.linalg.norm(v, axis=0))


def weight_norm_backward(dy, x, v, g):
    """Of `weight_norm`."""
    norm = np.linalg.norm(v, axis=0)
    dW = x.T @ dy
    dg = (dW * v).sum(0) / norm
    dv = g / norm * (dW - v * dg / norm)
    return dy @ (g * v / norm).T, dv, dg


def attention(x, Wq, Wk, Wv):
    """One head over T×D, in which a place sees those before it."""
    T, q, k, v = len(x), x @ Wq, x @ Wk, x @ Wv
    s = q @ k.T / np.sqrt(q.shape[1])
    s = np.where(np.tri(T) > 0, s, -1e9)
    e = np.exp(s - s.max(1, keepdims=True))
    a = e / e.sum(1, keepdims=True)
    return a @ v, (x, q, k, v, a, Wq, Wk, Wv)


def attention_backward(dout, cache):
    """Of `attention`."""
    x, q, k, v, a, Wq, Wk, Wv = cache
    da, dv = dout @ v.T, a.T @ dout
    ds = a * (da - (da * a).sum(1, keepdims=True))
    ds = ds / np.sqrt(q.shape[1])
    dq, dk = ds @ k, ds.T @ q
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    return dx, x.T @ dq, x.T @ dk, x.T @ dv


def mean_of_words(E, ids, mask):
    """The mean of the embeddings of the words of sentences that have different lengths."""
    return (E[ids] * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)


def mean_of_words_backward(dout, E, ids, mask):
    """Of `mean_of_words`."""
    dE = np.zeros_like(E)
    d = dout[:, None, :] * mask[:, :, None] / mask.sum(1)[:, None, None]
    np.add.at(dE, ids, d)
    return dE


class Dense:
    """A layer that keeps its input, with the activation as an object."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        """A leaky relu of x W + b."""
        self.x = x
        self.z = x @ self.W + self.b
        return np.where(self.z > 0, self.z, 0.1 * self.z)

    def backward(self, grad):
        """Sets dW and db."""
        dz = grad * np.where(self.z > 0, 1.0, 0.1)
        self.dW = self.x.T @ dz
        self.db = dz.sum(0)
        return dz @ self.W.T
