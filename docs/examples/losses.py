"""Losses that return their value and gradient, then losses whose gradient has a bug."""

import numpy as np


def softmax(x):
    """Scores x (n, C) -> probabilities (n, C)."""
    exps = np.exp(x - x.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True)


def cross_entropy(p, y):
    """Probabilities p (n, C), labels y (n,) -> the mean of -log p over the right classes."""
    return -np.log(p[np.arange(y.size), y]).mean()


def softmax_loss(x, y):
    """Scores x (n, C), labels y (n,) -> mean loss, dx (n, C)."""
    n = x.shape[0]
    p = softmax(x)
    dx = p.copy()
    dx[np.arange(n), y] -= 1
    return cross_entropy(p, y), dx / n


def svm_loss(x, y):
    """Hinge loss, margin 1: scores x (n, C), labels y (n,) -> mean loss, dx (n, C)."""
    n = x.shape[0]
    rows = np.arange(n)
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    dx = (margins > 0).astype(x.dtype)
    dx[rows, y] = -dx.sum(axis=1)
    return margins.sum() / n, dx / n


def softmax_regression(W, X, y, reg):
    """Linear classifier: W (N, C), X (n, N), y (n,), L2 strength reg -> loss, dW (N, C)."""
    data_loss, dscores = softmax_loss(X @ W, y)
    loss = data_loss + reg * np.sum(W * W)
    dW = X.T @ dscores + 2 * reg * W
    return loss, dW


# Below, each function has one bug.


def softmax_loss_diagonal_only(x, y):
    """Bug: the Jacobian of softmax is taken for diagonal, p (1 - p)."""
    n = x.shape[0]
    rows = np.arange(n)
    p = softmax(x)
    dp = np.zeros_like(p)
    dp[rows, y] = -1 / (n * p[rows, y])
    return cross_entropy(p, y), dp * p * (1 - p)


def softmax_loss_without_mean(x, y):
    """Bug: the loss is divided by n, the gradient is not."""
    p = softmax(x)
    dx = p.copy()
    dx[np.arange(x.shape[0]), y] -= 1
    return cross_entropy(p, y), dx


def svm_loss_right_class_once(x, y):
    """Bug: the right class gets -1, and not -1 for every class within the margin."""
    loss, _ = svm_loss(x, y)
    n = x.shape[0]
    rows = np.arange(n)
    dx = (x - x[rows, y][:, None] + 1 > 0).astype(x.dtype)
    dx[rows, y] = -1
    return loss, dx / n


def softmax_regression_l2_without_factor_2(W, X, y, reg):
    """Bug: the gradient of reg * sum(W * W) lacks the 2."""
    loss, dW = softmax_regression(W, X, y, reg)
    return loss, dW - reg * W


def softmax_regression_l2_forgotten(W, X, y, reg):
    """Bug: the loss has the L2 term, the gradient does not."""
    loss, _ = softmax_regression(W, X, y, reg)
    _, dscores = softmax_loss(X @ W, y)
    return loss, X.T @ dscores
