"""Functions with their gradients and Hessians, as people name them who minimize or fit."""

import numpy as np


class Valley:
    """A function of two numbers, which are the entries of its input."""

    def __call__(self, x, steep=3.0):
        return (x[0] - 2) ** 2 + steep * (x[1] + x[0] ** 2) ** 2

    def grad(self, x, steep=3.0):
        bend = 2 * steep * (x[1] + x[0] ** 2)
        return np.array([2 * (x[0] - 2) + 2 * bend * x[0], bend])

    def hess(self, x, steep=3.0):
        cross = 4 * steep * x[0]
        first = 2 + 4 * steep * (x[1] + 3 * x[0] ** 2)
        return np.array([[first, cross], [cross, 2 * steep]])


class Softsign:
    def func(self, t):
        return t / (1 + np.abs(t))

    def deriv(self, t):
        return 1 / (1 + np.abs(t)) ** 2


class Counts:
    """Counts whose logarithmic rates are linear in the parameters."""

    def __init__(self, X, counts):
        self.X, self.counts = X, counts

    def loglike(self, params):
        rate = self.X @ params
        return np.sum(self.counts * rate - np.exp(rate))

    def score(self, params):
        return self.X.T @ (self.counts - np.exp(self.X @ params))


class Tied:
    """A layer whose list of parameters holds the arrays that it keeps by name, too."""

    def __init__(self, wide, narrow):
        self.W = np.ones((wide, narrow))
        self.b = np.zeros(narrow)
        self.params = [self.W, self.b]

    def forward(self, X):
        self.X = X
        return X @ self.W + self.b

    def backward(self, top):
        self.gradW, self.gradB = self.X.T @ top, top.sum(axis=0)
        return top @ self.W.T, [self.gradW, self.gradB]


class Updated:
    """A layer that its backward updates, at a rate that may be left out."""

    def __init__(self, narrow, wide):
        self.U = np.random.randn(wide, narrow) / 9
        self.shift = np.zeros((wide, 1))

    def forward(self, x):
        self.last = x
        return self.U @ x + self.shift

    def backprop(self, d_y, learn_rate=0.02):
        d_U, d_shift = d_y @ self.last.T, d_y
        self.U -= learn_rate * d_U
        self.shift -= learn_rate * d_shift


class MeanOfSquares:
    def forward(self, outputs, targets):
        return np.mean(np.sum(np.power(outputs - targets, 2), axis=1))

    def backward(self, outputs, targets):
        return 2 * (outputs - targets) / len(outputs)


def objective(x):
    return 2 * x[0] ** 2 + x[1] ** 4


def derivative(x):
    return [4 * x[0], 4 * x[1] ** 3]


def poly(x, y):
    return x**3 * y + (y - 1) ** 2


def poly_grad(x, y):
    return np.array([3 * x**2 * y, x**3 + 2 * (y - 1)])


def ridge(x, pull=2):
    return pull * x[0] ** 2 + x[0] * x[1]


def ridge_grad(x, pull=2):
    return np.array([2 * pull * x[0] + x[1], x[0]])


def ridge_hess(x, pull=2):
    return np.array([[2 * pull, 1], [1, 0]])


def choice(X, Y, a):
    odds = X @ a
    return np.mean(np.log1p(np.exp(odds)) - Y * odds)


def choice_grad(X, Y, a):
    return X.T @ (1 / (1 + np.exp(-(X @ a))) - Y) / len(Y)
