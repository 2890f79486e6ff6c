"""Forward and backward passes in the styles of public code, each taken as it is written."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


# -- functions


def relu(z):
    return np.maximum(z, 0)


def relu_prime(z):
    return (z > 0).astype(float)


def affine(x, W, b):
    return x @ W + b, (x, W)


def affine_backward(dout, cache):
    x, W = cache
    return dout @ W.T, [x.T @ dout, dout.sum(axis=0)]


def affine_backward_with_dict(dout, cache):
    dx, (dW, db) = affine_backward(dout, cache)
    return dx, {"dW": dW, "db": db}


def network(x, weights, biases):
    activations = [x]
    for W, b in zip(weights, biases):
        activations.append(np.tanh(activations[-1] @ W + b))
    return activations[-1], (activations, weights)


def network_backward(delta, cache):
    activations, weights = cache
    nabla_w, nabla_b = [None] * len(weights), [None] * len(weights)
    for place in reversed(range(len(weights))):
        delta = delta * (1 - activations[place + 1] ** 2)
        nabla_w[place], nabla_b[place] = activations[place].T @ delta, delta.sum(axis=0)
        delta = delta @ weights[place].T
    return delta, nabla_w, nabla_b


# -- forward, cost and backward as three functions


def predict(X, parameters):
    A = 1 / (1 + np.exp(-(X @ parameters["W"] + parameters["b"])))
    return A, {"A": A}


def cost(A, Y):
    return float(-np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A)))


def predict_backward(parameters, cache, X, Y):
    dZ = (cache["A"] - Y) / Y.size
    return {"dW": X.T @ dZ, "db": dZ.sum(axis=0)}


def square_error(A, Y):
    return 0.5 * np.sum((A - Y) ** 2), A - Y


class MeanSquare:
    def forward(self, out, target):
        self.error = out - target
        return np.mean(self.error**2)

    def backward(self):
        return 2 * self.error / self.error.size


class Classifier:
    def __init__(self, features):
        self.w = np.zeros(features)

    def predict(self, X):
        self.X = X
        return 1 / (1 + np.exp(-X @ self.w))

    def logistic_loss(self, p, y):
        self.error = p - y
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))

    def backward(self):
        self.dw = self.X.T @ self.error


# -- records of parameters


@dataclass
class Params:
    W: np.ndarray
    b: np.ndarray


def ridge(p, x):
    error = x @ p.W + p.b
    loss = 0.5 * np.sum(error**2) + 0.1 * np.sum(p.W**2)
    return loss, Params(W=x.T @ error + 0.2 * p.W, b=error.sum(axis=0))


class Affine(NamedTuple):
    W: np.ndarray
    b: np.ndarray


def by_record(x, layer: Affine):
    W, b = layer
    return x @ W + b, x


def by_record_backward(dout, layer: Affine, x):
    return dout @ layer.W.T, Affine(x.T @ dout, dout.sum(axis=0))


def deep(x, params):
    activations = [x]
    for layer in range(1, len(params) + 1):
        activations.append(np.tanh(activations[-1] @ params[layer]["W"]))
    return activations[-1], activations


def deep_backward(delta, params, activations):
    grads = {}
    for layer in range(len(params), 0, -1):
        delta = delta * (1 - activations[layer] ** 2)
        grads[layer] = {"dW": activations[layer - 1].T @ delta}
        delta = delta @ params[layer]["W"].T
    return delta, grads


# -- objects


class Swish:
    def __call__(self, x):
        return x / (1 + np.exp(-x))

    def gradient(self, x):
        s = 1 / (1 + np.exp(-x))
        return s + x * s * (1 - s)


class Sigmoid:
    def fn(self, z):
        return 1 / (1 + np.exp(-z))

    def grad(self, x):
        return self.fn(x) * (1 - self.fn(x))


class Dense:
    def __init__(self, units):
        self.units = units
        self.W = None

    def forward_pass(self, X):
        if self.W is None:
            self.W = np.random.randn(X.shape[1], self.units)
        self.X = X
        return X @ self.W

    def backward_pass(self, accum_grad):
        self.dW = self.X.T @ accum_grad
        return accum_grad @ self.W.T


class Lists:
    def __init__(self, activation):
        self.params = [np.zeros((3, 2)), np.zeros(2)]
        self.grads = [None, None]
        self.activation = activation

    def forward(self, x):
        self.x, self.z = x, x @ self.params[0] + self.params[1]
        return self.activation.fn(self.z)

    def backward(self, dout):
        dz = dout * self.activation.grad(self.z)
        self.grads = [self.x.T @ dz, dz.sum(axis=0)]
        return dz @ self.params[0].T


class Net:
    def __init__(self):
        self.layers = [Lists(Sigmoid()), Dense(4)]
        self.layers[1].W = np.zeros((2, 4))

    def forward(self, x):
        return self.layers[1].forward_pass(self.layers[0].forward(x))

    def backward(self, dout):
        return self.layers[0].backward(self.layers[1].backward_pass(dout))


# -- objects that keep what they do not return, and a context in place of an object


class Layer:
    def __init__(self, n_inputs, n_neurons):
        self.weights = np.zeros((n_inputs, n_neurons))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights

    def backward(self, dvalues):
        self.dweights = self.inputs.T @ dvalues
        self.dinputs = dvalues @ self.weights.T


class MeanSquareLoss:
    def calculate(self, output, y):
        return np.mean(self.forward(output, y))

    def forward(self, y_pred, y_true):
        return np.mean((y_true - y_pred) ** 2, axis=-1)

    def backward(self, dvalues, y_true):
        self.dinputs = 2 * (dvalues - y_true) / (len(dvalues) * len(dvalues[0]))


class SoftmaxLoss:
    def forward(self, inputs, y_true):
        e = np.exp(inputs - inputs.max(axis=1, keepdims=True))
        self.output = e / e.sum(axis=1, keepdims=True)
        return -np.log(self.output[range(len(inputs)), y_true]).mean()

    def backward(self, dvalues, y_true):
        self.dinputs = dvalues.copy()
        self.dinputs[range(len(dvalues)), y_true] -= 1
        self.dinputs /= len(dvalues)


class CrossEntropy:
    def loss(self, y, p):
        return -y * np.log(p) - (1 - y) * np.log(1 - p)

    def gradient(self, y, p):
        return -(y / p) + (1 - y) / (1 - p)


class Mul:
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, grad_output):
        x, y = ctx.saved_tensors
        return grad_output * y, grad_output * x


def cell(x, h, params):
    h_next = np.tanh(x @ params["Wx"] + h @ params["Wh"])
    return h_next, h_next @ params["Wy"], (x, h, h_next, params)


def cell_backward(dh_next, cache):
    x, h, h_next, params = cache
    da = dh_next * (1 - h_next**2)
    return {
        "dx": da @ params["Wx"].T,
        "dh": da @ params["Wh"].T,
        "dWx": x.T @ da,
        "dWh": h.T @ da,
    }


def by_dict(x, params):
    return x @ params["W"] + params["b"], (x, params)


def by_dict_backward(dout, cache):
    x, params = cache
    return dout @ params["W"].T, [x.T @ dout, dout.sum(axis=0)]


def recurrent_loss(x, h, W):
    h_next = np.tanh(x + h @ W)
    dW = h.T @ (2 * h_next * (1 - h_next**2))
    return np.sum(h_next**2), dW, h_next


def affine_closure(x, W, b):
    y = x @ W + b

    def backward(dy):
        return dy @ W.T, x.T @ dy, dy.sum(axis=0)

    return y, backward


class Perceptron:
    def __init__(self, sizes):
        self.biases = [np.zeros((size, 1)) for size in sizes[1:]]
        self.weights = [np.ones((one, other)) for other, one in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        self.activations = [a]
        for b, w in zip(self.biases, self.weights):
            self.activations.append(np.tanh(w @ self.activations[-1] + b))
        return self.activations[-1]

    def backprop(self, x, y):
        delta = self.feedforward(x) - y
        nabla_b, nabla_w = [], []
        for w, a, before in zip(
            self.weights[::-1], self.activations[:0:-1], self.activations[-2::-1]
        ):
            delta = delta * (1 - a**2)
            nabla_b.insert(0, delta)
            nabla_w.insert(0, delta @ before.T)
            delta = w.T @ delta
        return nabla_b, nabla_w

    def cost(self, a, y):
        return 0.5 * np.sum((a - y) ** 2)


class SteppingLayer:
    """It keeps no gradients: its backward makes a step of gradient descent."""

    def __init__(self, N, M):
        self.weights = np.random.rand(N, M) - 0.5
        self.bias = np.random.rand(1, M) - 0.5

    def forward_propagation(self, x):
        self.x = x
        return x @ self.weights + self.bias

    def backward_propagation(self, output_error, learning_rate):
        input_error = output_error @ self.weights.T
        self.weights -= learning_rate * (self.x.T @ output_error)
        self.bias -= learning_rate * output_error
        return input_error


# -- constants


def masked(x, mask, scale):
    return np.where(mask, x, 0.0) * scale(x.shape[1])


def masked_backward(dout, mask, scale):
    return dout * mask * scale(mask.shape[1])


def one_over(n):
    return 1 / n
