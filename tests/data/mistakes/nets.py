"""Networks with their backward passes, as courses write them; index.yaml has the mistakes."""

import numpy as np


def sigmoid(z):
    """1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def softmax(z):
    """Of rows."""
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def classifier(params, X, y, reg):
    """Two layers with a relu, a softmax loss and a penalty of the weights."""
    n = len(X)
    h = np.maximum(X @ params["W1"] + params["b1"], 0)
    scores = h @ params["W2"] + params["b2"]
    p = softmax(scores)
    loss = -np.log(p[np.arange(n), y]).mean()
    loss += 0.5 * reg * (np.sum(params["W1"] ** 2) + np.sum(params["W2"] ** 2))
    dscores = p.copy()
    dscores[np.arange(n), y] -= 1
    dscores /= n
    grads = {"W2": h.T @ dscores + reg * params["W2"], "b2": dscores.sum(0)}
    dh = dscores @ params["W2"].T
    dh[h <= 0] = 0
    grads["W1"] = X.T @ dh + reg * params["W1"]
    grads["b1"] = dh.sum(0)
    return loss, grads


class Network:
    """Columns of sigmoid units, as in the book of Nielsen."""

    def __init__(self, weights, biases):
        self.weights, self.biases = weights, biases

    def feedforward(self, x):
        """The output of the last layer."""
        self.zs, self.activations = [], [x]
        for w, b in zip(self.weights, self.biases, strict=True):
            self.zs.append(w @ self.activations[-1] + b)
            self.activations.append(sigmoid(self.zs[-1]))
        return self.activations[-1]

    def loss(self, x, t):
        """Half the squared error, and its gradients."""
        y = self.feedforward(x)
        nabla_w, nabla_b = [None] * len(self.weights), [None] * len(self.biases)
        delta = (y - t) * y * (1 - y)
        nabla_b[-1], nabla_w[-1] = delta, delta @ self.activations[-2].T
        for k in range(2, len(self.weights) + 1):
            sp = sigmoid(self.zs[-k]) * (1 - sigmoid(self.zs[-k]))
            delta = (self.weights[-k + 1].T @ delta) * sp
            nabla_b[-k] = delta
            nabla_w[-k] = delta @ self.activations[-k - 1].T
        return 0.5 * np.sum((y - t) ** 2), nabla_w, nabla_b


def cbow(W1, b1, W2, b2, x, t):
    """A continuous bag of words: a relu layer and a softmax loss; samples are columns."""
    m = x.shape[1]
    z1 = W1 @ x + b1
    h = np.maximum(z1, 0)
    yhat = softmax((W2 @ h + b2).T).T
    loss = -np.sum(t * np.log(yhat)) / m
    l1 = W2.T @ (yhat - t)
    l1[z1 < 0] = 0
    dW1, db1 = l1 @ x.T / m, l1.sum(1, keepdims=True) / m
    dW2, db2 = (yhat - t) @ h.T / m, (yhat - t).sum(1, keepdims=True) / m
    return loss, dW1, db1, dW2, db2


def packed(theta, X, t, hidden, lam):
    """A two-layer net in one vector for an optimiser; the biases are not regularised."""
    m, N = X.shape
    Theta1 = theta[: hidden * (N + 1)].reshape(hidden, N + 1)
    Theta2 = theta[hidden * (N + 1) :].reshape(-1, hidden + 1)
    a1 = np.hstack([np.ones((m, 1)), X])
    z2 = a1 @ Theta1.T
    a2 = np.hstack([np.ones((m, 1)), sigmoid(z2)])
    a3 = sigmoid(a2 @ Theta2.T)
    J = -np.sum(t * np.log(a3) + (1 - t) * np.log(1 - a3)) / m
    J += lam / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))
    d3 = a3 - t
    d2 = (d3 @ Theta2)[:, 1:] * sigmoid(z2) * (1 - sigmoid(z2))
    G1, G2 = d2.T @ a1 / m, d3.T @ a2 / m
    G1[:, 1:] += lam / m * Theta1[:, 1:]
    G2[:, 1:] += lam / m * Theta2[:, 1:]
    return J, np.concatenate([G1.ravel(), G2.ravel()])


def residual(x, W1, b1, W2, b2):
    """x + W₂ relu(W₁ x + b₁) + b₂, rows are samples."""
    z = x @ W1 + b1
    h = np.maximum(z, 0)
    return x + h @ W2 + b2, (x, z, h, W1, W2)


def residual_backward(dout, cache):
    """Of `residual`."""
    x, z, h, W1, W2 = cache
    dW2, db2 = h.T @ dout, dout.sum(0)
    dz = dout @ W2.T * (z > 0)
    dW1, db1 = x.T @ dz, dz.sum(0)
    dx = dz @ W1.T + dout
    return dx, dW1, db1, dW2, db2


def highway(x, W, b, U, c):
    """t tanh(x W + b) + (1 − t) x with the gate t = σ(x U + c)."""
    h, t = np.tanh(x @ W + b), sigmoid(x @ U + c)
    return t * h + (1 - t) * x, (x, h, t, W, U)


def highway_backward(dout, cache):
    """Of `highway`."""
    x, h, t, W, U = cache
    dh = dout * t * (1 - h**2)
    dt = dout * (h - x) * t * (1 - t)
    dx = dh @ W.T + dt @ U.T + dout * (1 - t)
    return dx, x.T @ dh, dh.sum(0), x.T @ dt, dt.sum(0)


def graph(H, W, A):
    """A graph convolution, tanh(A H W), with an adjacency that is not symmetric."""
    return np.tanh(A @ H @ W)


def graph_backward(dY, Y, H, W, A):
    """Of `graph`; Y is its output."""
    dZ = dY * (1 - Y**2)
    return A.T @ dZ @ W.T, (A @ H).T @ dZ


def tied(E, b, ids, y):
    """Words predict words with one matrix: it embeds, and its transpose gives the scores."""
    n = len(ids)
    h = np.tanh(E[ids])
    p = softmax(h @ E.T + b)
    loss = -np.log(p[np.arange(n), y]).mean()
    ds = p.copy()
    ds[np.arange(n), y] -= 1
    ds /= n
    dE = ds.T @ h
    dh = ds @ E * (1 - h**2)
    np.add.at(dE, ids, dh)
    return loss, dE, ds.sum(0)
