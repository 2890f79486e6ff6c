"""Layers and a network as classes that keep their parameters, then classes with a bug."""

import numpy as np


class Linear:
    """x (n, N) -> x W + b (n, M), with W (N, M) and b (M,)."""

    def __init__(self, N, M):
        """N numbers in, M numbers out, a sample."""
        rng = np.random.default_rng(0)
        self.W = rng.normal(scale=N**-0.5, size=(N, M))
        self.b = np.zeros(M)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        """x (n, N) -> out (n, M); x is kept for the backward pass."""
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta):
        """delta (n, M) -> dx (n, N); dW and db are stored."""
        self.dW = self.x.T @ delta
        self.db = delta.sum(axis=0)
        return delta @ self.W.T


class Tanh:
    """The hyperbolic tangent of every entry."""

    def forward(self, x):
        """x of any shape -> out of the same shape, which is kept for the backward pass."""
        self.out = np.tanh(x)
        return self.out

    def backward(self, delta):
        """delta and dx in the shape of x."""
        return delta * (1 - self.out**2)


class TwoLayerNet:
    """Affine, relu, affine, softmax: N numbers a sample, H hidden ones, C classes.

    The parameters W1 (N, H), b1 (H,), W2 (H, C), b2 (C,) are in the dict params.
    """

    def __init__(self, N, H, C, reg=0.0):
        """reg is the strength of the L2 term, reg / 2 times the sum of all squared weights."""
        rng = np.random.default_rng(0)
        self.reg = reg
        self.params = {
            "W1": rng.normal(scale=N**-0.5, size=(N, H)),
            "b1": np.zeros(H),
            "W2": rng.normal(scale=H**-0.5, size=(H, C)),
            "b2": np.zeros(C),
        }

    def loss(self, X, y):
        """X (n, N), labels y (n,) -> mean loss, gradients by parameter name."""
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        n = X.shape[0]
        hidden = np.maximum(0, X @ W1 + b1)
        scores = hidden @ W2 + b2
        scores = scores - scores.max(axis=1, keepdims=True)
        log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        loss = -log_p[np.arange(n), y].mean()
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))

        dscores = np.exp(log_p)
        dscores[np.arange(n), y] -= 1
        return loss, self.gradients(X, hidden, dscores / n)

    def gradients(self, X, hidden, dscores):
        """X (n, N), hidden (n, H), dscores (n, C) -> gradients by parameter name."""
        W1, W2 = self.params["W1"], self.params["W2"]
        dhidden = (dscores @ W2.T) * (hidden > 0)
        return {
            "W1": X.T @ dhidden + self.reg * W1,
            "b1": dhidden.sum(axis=0),
            "W2": hidden.T @ dscores + self.reg * W2,
            "b2": dscores.sum(axis=0),
        }


# Below, each class has one bug.


class LinearBiasOverWrongAxis(Linear):
    """Bug: db sums the outputs of a sample, where it should sum the samples."""

    def backward(self, delta):
        """delta (n, M) -> dx (n, N); db has the shape of b only where n = M."""
        dx = super().backward(delta)
        self.db = delta.sum(axis=1)
        return dx


class LinearWithoutBiasGradient(Linear):
    """Bug: db stays at the zeros of the constructor."""

    def backward(self, delta):
        """delta (n, M) -> dx (n, N); dW is stored, db is not."""
        self.dW = self.x.T @ delta
        return delta @ self.W.T


class TanhDerivativeAtInput(Tanh):
    """Bug: 1 - x**2, where it is 1 - tanh(x)**2."""

    def forward(self, x):
        """x of any shape, kept for the backward pass, -> out of the same shape."""
        self.x = x
        return np.tanh(x)

    def backward(self, delta):
        """delta and dx in the shape of x."""
        return delta * (1 - self.x**2)


class TwoLayerNetWithoutReluMask(TwoLayerNet):
    """Bug: the gradient passes the relu unchanged."""

    def gradients(self, X, hidden, dscores):
        """X (n, N), hidden (n, H), dscores (n, C) -> gradients by parameter name."""
        grads = super().gradients(X, hidden, dscores)
        dhidden = dscores @ self.params["W2"].T
        grads["W1"] = X.T @ dhidden + self.reg * self.params["W1"]
        grads["b1"] = dhidden.sum(axis=0)
        return grads


class TwoLayerNetRegularizesOneLayer(TwoLayerNet):
    """Bug: the L2 term of W1 is in the loss, but not in the gradient."""

    def gradients(self, X, hidden, dscores):
        """X (n, N), hidden (n, H), dscores (n, C) -> gradients by parameter name."""
        grads = super().gradients(X, hidden, dscores)
        grads["W1"] -= self.reg * self.params["W1"]
        return grads
