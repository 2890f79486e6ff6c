"""Networks as courses and small libraries have them: packed vectors, dicts of layers, losses."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# -- samples are columns, a dict of weights, a cost between forward and backward


def model_forward(X, parameters):
    caches, A = [], X
    L = len(parameters) // 2
    for k in range(1, L):
        Z = np.dot(parameters["W" + str(k)], A) + parameters["b" + str(k)]
        caches.append((A, parameters["W" + str(k)], Z))
        A = np.maximum(Z, 0)
    Z = np.dot(parameters["W" + str(L)], A) + parameters["b" + str(L)]
    caches.append((A, parameters["W" + str(L)], Z))
    AL = sigmoid(Z)
    assert AL.shape == (1, X.shape[1])
    return AL, caches


def compute_cost(AL, Y):
    m = Y.shape[1]
    return float(np.squeeze(-np.sum(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)) / m))


def model_backward(AL, Y, caches):
    grads, m = {}, Y.shape[1]
    dZ = AL - Y
    for k in range(len(caches), 0, -1):
        A, W, _ = caches[k - 1]
        grads["dW" + str(k)] = dZ @ A.T / m
        grads["db" + str(k)] = dZ.sum(axis=1, keepdims=True) / m
        if k > 1:
            dZ = W.T @ dZ * (caches[k - 2][2] > 0)
    return grads


# -- all parameters in one vector


def network_cost(nn_params, input_size, hidden_size, num_labels, X, y, lambda_=0.1):
    cut = hidden_size * (input_size + 1)
    theta1 = nn_params[:cut].reshape(hidden_size, input_size + 1)
    theta2 = nn_params[cut:].reshape(num_labels, hidden_size + 1)
    m = y.size
    a1 = np.concatenate([np.ones((m, 1)), X], axis=1)
    z2 = a1 @ theta1.T
    a2 = np.concatenate([np.ones((m, 1)), sigmoid(z2)], axis=1)
    h = sigmoid(a2 @ theta2.T)
    hot = np.eye(num_labels)[y]
    cost = -np.sum(hot * np.log(h) + (1 - hot) * np.log(1 - h)) / m
    cost += lambda_ / 2 / m * (np.sum(theta1[:, 1:] ** 2) + np.sum(theta2[:, 1:] ** 2))
    d3 = h - hot
    d2 = (d3 @ theta2)[:, 1:] * sigmoid(z2) * (1 - sigmoid(z2))
    grad1, grad2 = d2.T @ a1 / m, d3.T @ a2 / m
    grad1[:, 1:] += lambda_ / m * theta1[:, 1:]
    grad2[:, 1:] += lambda_ / m * theta2[:, 1:]
    return cost, np.concatenate([grad1.ravel(), grad2.ravel()])


# -- a tuple of parameters


def gated(X, H, params):
    Wx, Wh, b = params
    Z = sigmoid(X @ Wx + H @ Wh + b)
    return Z * H, (X, H, params, Z)


def gated_backward(dout, cache):
    X, H, (Wx, Wh, _), Z = cache
    da = dout * H * Z * (1 - Z)
    return da @ Wx.T, dout * Z + da @ Wh.T, (X.T @ da, H.T @ da, da.sum(axis=0))


# -- classes of a small library


class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


class Affine:
    def __init__(self, in_features, out_features, bias=True):
        self.weight = Parameter(np.random.randn(out_features, in_features))
        self.bias = Parameter(np.random.randn(out_features)) if bias else None

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad):
        self.weight.grad += grad.T @ self.x
        self.bias.grad += grad.sum(axis=0)
        return grad @ self.weight.data


class Embedding:
    def __init__(self, words, dim):
        self.W = np.random.randn(words, dim)

    def forward(self, idx):
        self.idx = idx
        return self.W[idx]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.idx, dout)


class Network:
    def __init__(self, sizes):
        self.layers = []
        for n_in, n_out in zip(sizes[:-1], sizes[1:]):
            self.layers.append(Affine(n_in, n_out))

    def forward(self, x):
        self.kept = []
        for layer in self.layers:
            x = np.tanh(layer.forward(x))
            self.kept.append(x)
        return x

    def backward(self, grad):
        for layer, out in zip(reversed(self.layers), reversed(self.kept)):
            grad = layer.backward(grad * (1 - out**2))
        return grad


class SoftmaxCrossEntropy:
    def forward(self, logits, labels):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.p, self.labels = e / e.sum(axis=1, keepdims=True), labels
        return -np.log(self.p[np.arange(len(labels)), labels]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.labels)), self.labels] -= 1
        return d / len(self.labels)


class TwoLayers:
    def __init__(self, input_dim=3 * 32 * 32, hidden_dim=100, classes=10, scale=1e-3, reg=0.1):
        self.reg = reg
        self.params = {}
        self.params["W1"] = scale * np.random.randn(input_dim, hidden_dim)
        self.params["W2"] = scale * np.random.randn(hidden_dim, classes)

    def loss(self, X, y=None):
        W1, W2 = self.params["W1"], self.params["W2"]
        h = np.tanh(X @ W1)
        scores = h @ W2
        if y is None:
            return scores
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean() + self.reg * (np.sum(W1**2) + np.sum(W2**2))
        p[np.arange(n), y] -= 1
        grads = {"W2": h.T @ p / n + 2 * self.reg * W2}
        grads["W1"] = X.T @ (p / n @ W2.T * (1 - h**2)) + 2 * self.reg * W1
        return loss, grads


# -- attention


class Regression:
    def __init__(self, n_in, n_out, seed=0):
        rng = np.random.default_rng(seed)
        self.W = rng.normal(0.0, 0.1, size=(n_in, n_out))
        self.b = rng.uniform(-1, 1, n_out)

    def predict(self, X):
        return X @ self.W + self.b

    def loss_and_grads(self, X, y, reg=0.1):
        error = self.predict(X) - y
        loss = 0.5 * np.sum(error**2) / len(X) + 0.5 * reg * np.sum(self.W**2)
        error = error / len(X)
        grads = {"W": X.T @ error + reg * self.W, "b": error.sum(axis=0)}
        return loss, grads


def attention(x, w_q, w_k, w_v, mask, n_head=2):
    """x: (n_seq, n_embd); w_q, w_k, w_v: (n_embd, n_embd)"""
    q, k, v = (
        t.reshape(len(x), n_head, -1).transpose(1, 0, 2) for t in (x @ w_q, x @ w_k, x @ w_v)
    )
    s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]) - 9 * mask
    p = np.exp(s) / np.exp(s).sum(axis=-1, keepdims=True)
    return (p @ v).transpose(1, 0, 2).reshape(x.shape), (x, w_q, w_k, w_v, q, k, v, p)


def attention_backward(dout, cache):
    x, w_q, w_k, w_v, q, k, v, p = cache
    heads = dout.reshape(len(x), len(q), -1).transpose(1, 0, 2)
    dp = heads @ v.transpose(0, 2, 1)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    merged = (ds @ k, ds.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ heads)
    dq, dk, dv = (t.transpose(1, 0, 2).reshape(x.shape) for t in merged)
    return dq @ w_q.T + dk @ w_k.T + dv @ w_v.T, x.T @ dq, x.T @ dk, x.T @ dv
