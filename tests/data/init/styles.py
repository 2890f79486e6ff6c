"""Classes and functions in the manners of public files, as `gradcheck init` meets them."""

from typing import NamedTuple

from dataclasses import dataclass, field

import numpy as np


class DeepNet:
    """Sizes in a list, parameters by numbered keys, a loss with its gradients."""

    def __init__(self, input_dim, hidden_dims, num_classes, reg=0.0):
        self.reg = reg
        self.num_layers = 1 + len(hidden_dims)
        self.params = {}
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(self.num_layers):
            self.params["W%d" % (i + 1)] = np.random.randn(dims[i], dims[i + 1])
            self.params["b%d" % (i + 1)] = np.zeros(dims[i + 1])

    def loss(self, X, y):
        kept, out = [], X
        for i in range(1, self.num_layers + 1):
            kept.append(out)
            out = out @ self.params["W%d" % i] + self.params["b%d" % i]
            out = np.tanh(out) if i < self.num_layers else out
        p = np.exp(out - out.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(X))
        loss = -np.log(p[rows, y]).mean()
        dout = p.copy()
        dout[rows, y] -= 1
        dout /= len(X)
        grads = {}
        for i in range(self.num_layers, 0, -1):
            grads["W%d" % i] = kept[i - 1].T @ dout
            grads["b%d" % i] = dout.sum(axis=0)
            dout = dout @ self.params["W%d" % i].T * (1 - kept[i - 1] ** 2)
        return loss, grads


class Perceptrons:
    """Lists of weights and of biases, one column at a time, and a cost beside."""

    def __init__(self, sizes):
        self.num_layers = len(sizes)
        self.biases = [np.random.randn(y, 1) for y in sizes[1:]]
        self.weights = [np.random.randn(y, x) for x, y in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights):
            a = np.tanh(np.dot(w, a) + b)
        return a

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activations = [x]
        for b, w in zip(self.biases, self.weights):
            activations.append(np.tanh(np.dot(w, activations[-1]) + b))
        delta = self.cost_derivative(activations[-1], y) * (1 - activations[-1] ** 2)
        nabla_b[-1] = delta
        nabla_w[-1] = np.dot(delta, activations[-2].transpose())
        for k in range(2, self.num_layers):
            delta = np.dot(self.weights[-k + 1].transpose(), delta) * (1 - activations[-k] ** 2)
            nabla_b[-k] = delta
            nabla_w[-k] = np.dot(delta, activations[-k - 1].transpose())
        return (nabla_b, nabla_w)

    def cost(self, output_activations, y):
        return 0.5 * np.sum((output_activations - y) ** 2)

    def cost_derivative(self, output_activations, y):
        return output_activations - y


class LazyDense:
    """Weights that another method makes, when the first batch is there."""

    def __init__(self, name, units):
        self.name = name
        self.units = units
        self.W = None
        self.b = None

    def initialize(self, input_dim):
        self.W = np.random.randn(input_dim, self.units)
        self.b = np.zeros(self.units)

    def forward(self, x):
        if self.W is None:
            self.initialize(x.shape[1])
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


class Layer:
    def __init__(self):
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}


class Inherited(Layer):
    """Dicts that the constructor of the class above makes."""

    def __init__(self, input_size, output_size):
        super().__init__()
        self.params["w"] = np.random.randn(input_size, output_size)
        self.params["b"] = np.random.randn(output_size)

    def forward(self, inputs):
        self.inputs = inputs
        return inputs @ self.params["w"] + self.params["b"]

    def backward(self, grad):
        self.grads["b"] = np.sum(grad, axis=0)
        self.grads["w"] = self.inputs.T @ grad
        return grad @ self.params["w"].T


class Short:
    """Gradients called gw and dLdb."""

    def __init__(self, n_in, n_out):
        self.w = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, g):
        self.gw = self.x.T @ g
        self.dLdb = g.sum(0)
        return g @ self.w.T


class WeightsAlone:
    """A backward that gives the gradients of its own weights, and none of its input."""

    def __init__(self, n_in, n_out):
        self.W1 = np.random.randn(n_in, n_out)
        self.b1 = np.zeros(n_out)

    def forward(self, X):
        self.X = X
        return np.tanh(X @ self.W1 + self.b1)

    def backward(self, dA):
        dZ = dA * (1 - np.tanh(self.X @ self.W1 + self.b1) ** 2)
        return {"W1": self.X.T @ dZ, "b1": dZ.sum(axis=0)}


class Cell:
    """One sample at a time: outer products."""

    def __init__(self, d, h):
        self.Wx = np.random.randn(h, d)
        self.dWx = np.zeros((h, d))

    def forward(self, x):
        self.kept = x
        self.out = np.tanh(self.Wx @ x)
        return self.out

    def backward(self, delta):
        da = delta * (1 - self.out**2)
        self.dWx += np.outer(da, self.kept)
        return da @ self.Wx


class Context:
    def save_for_backward(self, *values):
        self.saved_values = values


class Function:
    @classmethod
    def apply(cls, *values):
        return cls.forward(Context(), *values)


class Mul(Function):
    """A Function that is not torch's, with a context of its own."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx, d_output):
        a, b = ctx.saved_values
        return b * d_output, a * d_output


class QNetwork:
    """A forward, and a loss that gives the gradients."""

    def __init__(self, state_dim, action_dim):
        self.w = np.random.randn(state_dim, action_dim)

    def forward(self, states):
        return states @ self.w

    def loss(self, states, actions, targets):
        q = self.forward(states)
        rows = np.arange(len(actions))
        dq = np.zeros_like(q)
        dq[rows, actions] = 2 * (q[rows, actions] - targets)
        grads = {"w": states.T @ dq}
        return ((q[rows, actions] - targets) ** 2).sum(), grads


def affine(x, w, b):
    """The backward is a function that the forward returns."""
    y = x @ w + b

    def backward(dy):
        return dy @ w.T, x.T @ dy, dy.sum(axis=0)

    return y, backward


def triplet_loss(anchor, positive, negative, margin=0.5):
    """As many gradients as parameters, none of which is called like an array."""
    near = np.sum((anchor - positive) ** 2, axis=1)
    far = np.sum((anchor - negative) ** 2, axis=1)
    return np.sum(np.maximum(near - far + margin, 0))


def triplet_loss_backward(anchor, positive, negative, margin=0.5):
    near = np.sum((anchor - positive) ** 2, axis=1)
    far = np.sum((anchor - negative) ** 2, axis=1)
    active = 2.0 * (near - far + margin > 0)[:, None]
    return (
        (negative - positive) * active,
        (positive - anchor) * active,
        (anchor - negative) * active,
    )


class Parameters(NamedTuple):
    """Of a network of two layers, and their gradients."""

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray


def two_layers(parameters, X):
    Z1 = X @ parameters.W1 + parameters.b1
    return np.tanh(Z1) @ parameters.W2 + parameters.b2, Z1


def softmax_xent(logits, y):
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)).mean() - logits[np.arange(len(y)), y].mean()


def two_layers_backward(parameters, X, y, logits, cache):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    p /= len(y)
    dZ1 = p @ parameters.W2.T * (1 - np.tanh(cache) ** 2)
    return Parameters(X.T @ dZ1, dZ1.sum(axis=0), np.tanh(cache).T @ p, p.sum(axis=0))


def cost_function(theta, X, y):
    h = 1 / (1 + np.exp(-X.dot(theta)))
    return -(y.dot(np.log(h)) + (1 - y).dot(np.log(1 - h))) / len(y)


def gradient(theta, X, y):
    h = 1 / (1 + np.exp(-X.dot(theta)))
    return X.T.dot(h - y) / len(y)


class Quadratic:
    """A network of sigmoids whose backward is that of a cost beside its forward."""

    def __init__(self, sizes):
        self.biases = [np.random.randn(m, 1) for m in sizes[1:]]
        self.weights = [np.random.randn(m, n) for n, m in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights):
            a = 1 / (1 + np.exp(-(np.dot(w, a) + b)))
        return a

    def cost(self, x, y):
        return 0.5 * np.sum((self.feedforward(x) - y) ** 2)

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activations = [x]
        for b, w in zip(self.biases, self.weights):
            activations.append(1 / (1 + np.exp(-(np.dot(w, activations[-1]) + b))))
        delta = activations[-1] - y
        for k in range(1, len(self.weights) + 1):
            delta = delta * activations[-k] * (1 - activations[-k])
            nabla_b[-k] = delta
            nabla_w[-k] = np.dot(delta, activations[-k - 1].T)
            delta = np.dot(self.weights[-k].T, delta)
        return nabla_b, nabla_w


class Stepping:
    """A layer of one sample that keeps no gradients: its backward updates its parameters."""

    def __init__(self, input_size, output_size):
        self.weights = np.random.rand(input_size, output_size) - 0.5
        self.bias = np.random.rand(1, output_size) - 0.5

    def forward_propagation(self, input_data):
        self.input = input_data
        return np.dot(self.input, self.weights) + self.bias

    def backward_propagation(self, output_error, learning_rate):
        input_error = np.dot(output_error, self.weights.T)
        weights_error = np.dot(self.input.T, output_error)
        self.weights -= learning_rate * weights_error
        self.bias -= learning_rate * output_error
        return input_error


def mse(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2)


def mse_prime(y_true, y_pred):
    return 2 * (y_pred - y_true) / y_true.size


def bent(x):
    return np.tanh(x)


def bent_prime(x):
    return 1 - np.tanh(x) ** 2


class Activation:
    """It is made with a function and its derivative."""

    def __init__(self, activation, activation_prime):
        self.activation = activation
        self.activation_prime = activation_prime

    def forward(self, x):
        self.x = x
        return self.activation(x)

    def backward(self, grad):
        return self.activation_prime(self.x) * grad


class Bend(Activation):
    """Its constructor is that of the class above it."""


class Heads:
    """Attention over some heads, which a method of its own divides a batch into."""

    def __init__(self, d_model, heads):
        self.heads, self.dk = heads, d_model // heads
        self.Wq, self.Wv = (np.random.randn(d_model, d_model) for _ in range(2))

    def divide(self, x):
        B, T, D = x.shape
        return x.reshape(B, T, self.heads, self.dk).transpose(0, 2, 1, 3)

    def join(self, x):
        B, h, T, k = x.shape
        return x.transpose(0, 2, 1, 3).reshape(B, T, h * k)

    def forward(self, x):
        self.x, self.q, self.v = x, self.divide(x @ self.Wq), self.divide(x @ self.Wv)
        return self.join(self.q * self.v)

    def backward(self, dy):
        flat = self.x.reshape(-1, self.x.shape[-1])
        dq, dv = self.join(self.divide(dy) * self.v), self.join(self.divide(dy) * self.q)
        self.dWq = flat.T @ dq.reshape(len(flat), -1)
        self.dWv = flat.T @ dv.reshape(len(flat), -1)
        return dq @ self.Wq.T + dv @ self.Wv.T


class MaxPool1d:
    def __init__(self, kernel_size, stride=None):
        self.kernel_size = kernel_size
        self.stride = stride or kernel_size

    def forward(self, x):
        n, c, length = x.shape
        k, s = self.kernel_size, self.stride
        self.x, self.places = x, (length - k) // s + 1
        out = np.zeros((n, c, self.places))
        for i in range(self.places):
            out[:, :, i] = x[:, :, i * s : i * s + k].max(axis=2)
        return out

    def backward(self, grad):
        dx, s, k = np.zeros_like(self.x), self.stride, self.kernel_size
        for i in range(self.places):
            window = self.x[:, :, i * s : i * s + k]
            first = window.argmax(axis=2)[..., None] == np.arange(window.shape[2])
            dx[:, :, i * s : i * s + k] += first * grad[:, :, i, None]
        return dx


class Gates:
    """A recurrent cell of one sample, whose weights meet the state and the input together."""

    def __init__(self, input_dim, hidden_dim):
        self.Wf = np.random.randn(hidden_dim, input_dim + hidden_dim)
        self.bf = np.zeros(hidden_dim)

    def forward(self, x, h_prev, c_prev):
        self.z, self.c_prev = np.concatenate([h_prev, x]), c_prev
        self.f = np.tanh(self.Wf @ self.z + self.bf)
        return self.f * c_prev

    def backward(self, dh):
        self.dbf = dh * self.c_prev * (1 - self.f**2)
        self.dWf = np.outer(self.dbf, self.z)
        dz = self.Wf.T @ self.dbf
        return dz[len(dh) :], dz[: len(dh)], dh * self.f


def conv_along(A_prev, W, b, hparameters):
    (m, H, C) = A_prev.shape
    (f, C, n_C) = W.shape
    places = (H - f) // hparameters["stride"] + 1
    Z = np.zeros((m, places, n_C))
    for h in range(places):
        start = h * hparameters["stride"]
        for c in range(n_C):
            part = A_prev[:, start : start + f, :]
            Z[:, h, c] = np.sum(part * W[:, :, c], axis=(1, 2)) + b[0, 0, c]
    return Z, (A_prev, W, b, hparameters)


def conv_along_backward(dZ, cache):
    (A_prev, W, b, hparameters) = cache
    dA, dW, db = np.zeros_like(A_prev), np.zeros_like(W), dZ.sum(axis=(0, 1), keepdims=True)
    f = W.shape[0]
    for h in range(dZ.shape[1]):
        start = h * hparameters["stride"]
        dA[:, start : start + f] += np.einsum("nc,fkc->nfk", dZ[:, h], W)
        dW += np.einsum("nc,nfk->fkc", dZ[:, h], A_prev[:, start : start + f])
    return dA, dW, db


def probability(X, parameters):
    Z = np.dot(parameters["W1"], X) + parameters["b1"]
    return 1 / (1 + np.exp(-Z)), X


def binary_cost(A, Y):
    m = Y.shape[1]
    return np.squeeze(-(np.dot(Y, np.log(A).T) + np.dot(1 - Y, np.log(1 - A).T)) / m)


def probability_backward(A, Y, cache):
    dZ = (A - Y) / Y.shape[1]
    return {"dW1": np.dot(dZ, cache.T), "db1": np.sum(dZ, axis=1, keepdims=True)}


def scaled(x, weight):
    """A weight an entry of a row, as the sum in its gradient tells."""
    return x**2 * weight


def scaled_backward(delta, x, weight):
    return 2 * x * weight * delta, (delta * x**2).sum(0)


class Kept:
    """Parameters and gradients in dicts of any name, behind underscores, and a plain number."""

    def __init__(self, n_in, n_units):
        self.p = {"W": np.random.randn(n_in, n_units)}
        self._V = np.random.randn(n_units, n_units)
        self.b = {"val": np.zeros(n_units), "grad": np.zeros(n_units)}
        self.c = 0.5
        self.fc, self.g = {}, {}

    def forward(self, A):
        X = self.fc["X"] = A
        Z = self.fc["Z"] = X @ self.p["W"] + self.b["val"]
        return np.tanh(Z) @ self._V + self.c

    def backward(self, dX):
        H = np.tanh(self.fc["Z"])
        self._dV = H.T @ dX
        dZ = dX @ self._V.T * (1 - H**2)
        self.g["dW"] = self.fc["X"].T @ dZ
        self.b["grad"] = dZ.sum(axis=0)
        self.dc = dX.sum()
        return dZ @ self.p["W"].T


class Logistic:
    """A loss and its gradient by weights alone, one of which is a number."""

    def __init__(self, n_features):
        self.w = np.zeros(n_features)
        self.b = 0.0

    def loss(self, X, y):
        p = 1 / (1 + np.exp(-(X @ self.w + self.b)))
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    def gradient(self, X, y):
        p = 1 / (1 + np.exp(-(X @ self.w + self.b)))
        dw = X.T @ (p - y) / len(y)
        db = np.mean(p - y)
        return dw, db


@dataclass
class RBFLayer:
    n_in: int
    n_centers: int
    centers: np.ndarray = field(init=False)
    log_beta: np.ndarray = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(1)
        self.centers = rng.normal(size=(self.n_centers, self.n_in))
        self.log_beta = np.zeros(self.n_centers)

    def forward(self, X):
        self.X = X
        self.diff = X[:, None, :] - self.centers[None]
        self.sq = (self.diff**2).sum(-1)
        self.out = np.exp(-np.exp(self.log_beta) * self.sq)
        return self.out

    def backward(self, grad):
        beta = np.exp(self.log_beta)
        g = grad * self.out * -beta
        self.grad_log_beta = (g * self.sq).sum(0)
        gd = 2 * g[..., None] * self.diff
        self.grad_centers = -gd.sum(0)
        return gd.sum(1)


class GCNLayer:
    def __init__(self, n_inputs, n_outputs, activation=np.tanh):
        self.W = np.random.RandomState(2).randn(n_inputs, n_outputs) * 0.5
        self.activation = activation

    def forward(self, A, X):
        self._A, self._X = A, X
        self._H = self.activation(A @ X @ self.W)
        return self._H

    def backward(self, dH):
        dZ = dH * (1 - self._H**2)
        self.dW = (self._A @ self._X).T @ dZ
        return self._A.T @ (dZ @ self.W.T)


class Chain:
    """Layers that are added to it."""

    def __init__(self):
        self.layers = []

    def add(self, layer):
        self.layers.append(layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad


def make_chain(n=3, m=4):
    chain = Chain()
    chain.add(Short(n, m))
    chain.add(Short(m, 2))
    return chain


def regularized_cost(theta, X, y, lambda_):
    """A column of ones joined to the data, and no penalty on its coefficient."""
    m = y.size
    ones = np.c_[np.ones(m), X]
    h = 1 / (1 + np.exp(-ones.dot(theta)))
    penalized = np.r_[0, theta[1:]]
    J = (-y.dot(np.log(h)) - (1 - y).dot(np.log(1 - h))) / m
    J += lambda_ / (2 * m) * penalized.dot(penalized)
    grad = ones.T.dot(h - y) / m + lambda_ / m * penalized
    return J, grad
