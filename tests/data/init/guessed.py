"""Code whose text leaves open what its parameters are, or says it in rare ways."""

import numpy as np


def bce_kl_loss(recon_x, x, mu, logvar):
    """Of a VAE: no gradient of its target, and names of gradients that are cut short."""
    bce = -np.sum(x * np.log(recon_x) + (1 - x) * np.log(1 - recon_x))
    loss = bce - 0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
    d_recon = (1 - x) / (1 - recon_x) - x / recon_x
    return loss, d_recon, mu, -0.5 * (1 - np.exp(logvar))


def prelu(x, a):
    """A slope a column, as the gradient alone says."""
    return np.maximum(0, x) + a * np.minimum(0, x)


def prelu_backward(dout, x, a):
    da = np.sum(dout * np.minimum(0, x), axis=0)
    return dout * np.where(x > 0, 1, a), da


def planar_logdet(z, w, u, b):
    """Vectors that could be matrices."""
    h = np.tanh(z @ w + b)
    psi = 1 - h**2
    det = 1 + psi * (w @ u)
    g = psi / det
    da = -2 * h * g * (w @ u)
    dw = z.T @ da + g.sum() * u
    logdet, dz, du, db = np.log(np.abs(det)).sum(), np.outer(da, w), g.sum() * w, da.sum()
    return logdet, dz, dw, du, db


def info_nce(z_a, z_b, temperature=0.5):
    """A setting that hides a factor where it is 1."""
    p = np.exp(z_a @ z_b.T / temperature)
    p /= p.sum(axis=1, keepdims=True)
    d = (p - np.eye(len(z_a))) / len(z_a) / temperature
    loss = -np.log(np.diag(p)).mean()
    return loss, d @ z_b, d.T @ z_a


def filter_nll(log_q, log_r, y):
    """Numbers that have a gradient, and a loop over data."""
    q, r = np.exp(log_q), np.exp(log_r)
    m, dm, nll, g = 0.0, np.zeros(2), 0.0, np.zeros(2)
    for obs in y:
        S, dS = 1 + q + r, np.array([q, r])
        e, de = obs - m, -dm
        nll += 0.5 * (np.log(S) + e * e / S)
        g += 0.5 * (dS / S + 2 * e * de / S - e * e * dS / S**2)
        K, dK = (1 + q) / S, np.array([q, 0.0]) / S - (1 + q) * dS / S**2
        m, dm = m + K * e, dm + dK * e + K * de
    return nll, g[0], g[1]


class Windows:
    """A size that the constructor is told and the text ties to none of the input's."""

    def __init__(self, in_channels, out_channels, k=3):
        self.k = k
        self.W = np.random.randn(out_channels, in_channels * k)

    def unfold(self, x):
        n, c, w = x.shape
        parts = [x[:, :, i : i + w - self.k + 1] for i in range(self.k)]
        return np.stack(parts, axis=2).reshape(n, c * self.k, w - self.k + 1)

    def forward(self, x):
        self.shape, self.cols = x.shape, self.unfold(x)
        return self.W @ self.cols

    def backward(self, dout):
        n, c, w = self.shape
        self.dW = np.einsum("nft,nct->fc", dout, self.cols)
        dcols = (self.W.T @ dout).reshape(n, c, self.k, w - self.k + 1)
        dx = np.zeros(self.shape)
        for i in range(self.k):
            dx[:, :, i : i + w - self.k + 1] += dcols[:, :, i]
        return dx


class Attention:
    """A sum that keeps its axis, and no axis of one entry."""

    def __init__(self, dim, num_heads):
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.W = np.random.randn(dim, dim)

    def split(self, x):
        batch, seq, _ = x.shape
        return x.reshape(batch, seq, self.num_heads, self.head_dim).transpose(0, 2, 1, 3)

    def forward(self, x):
        self.x = x
        self.Q = self.split(x @ self.W)
        scores = self.Q @ self.Q.transpose(0, 1, 3, 2)
        self.A = np.exp(scores)
        self.A /= self.A.sum(axis=-1, keepdims=True)
        return self.A

    def backward(self, dA):
        B, T, E = self.x.shape
        dS = self.A * (dA - np.sum(dA * self.A, axis=-1, keepdims=True))
        dQ = (dS + dS.transpose(0, 1, 3, 2)) @ self.Q
        dQ = dQ.transpose(0, 2, 1, 3).reshape(B, T, E)
        self.dW = self.x.reshape(-1, E).T @ dQ.reshape(-1, E)
        return dQ @ self.W.T


def mse(y_pred, y_true):
    """Its gradient is right of vectors alone."""
    return np.mean((y_pred - y_true) ** 2), 2 * (y_pred - y_true) / len(y_true)
