"""Backward passes of one's own in torch and jax; index.yaml has the mistakes."""

import jax
import jax.numpy as jnp
import torch


class Swish(torch.autograd.Function):
    """x σ(βx)."""

    @staticmethod
    def forward(ctx, x, beta):
        """Keeps its inputs."""
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        """By both."""
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return grad * (s + beta * x * s * (1 - s)), (grad * x * x * s * (1 - s)).sum()


class Bilinear(torch.autograd.Function):
    """x A y, of rows of x and y."""

    @staticmethod
    def forward(ctx, x, A, y):
        """Keeps its inputs."""
        ctx.save_for_backward(x, A, y)
        return ((x @ A) * y).sum(1)

    @staticmethod
    def backward(ctx, grad):
        """By all three."""
        x, A, y = ctx.saved_tensors
        g = grad[:, None]
        return g * (y @ A.T), (g * x).T @ y, g * (x @ A)


class Net(torch.nn.Module):
    """A layer, a swish and a bilinear form with itself."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = torch.nn.Linear(3, 4)
        self.A = torch.nn.Parameter(torch.randn(4, 4))
        self.beta = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        """A number a row."""
        h = Swish.apply(self.fc(x), self.beta)
        return Bilinear.apply(h, self.A, h)


@jax.custom_vjp
def logsumexp(x, temperature):
    """T log Σ exp(x/T) of rows."""
    return temperature * jax.nn.logsumexp(x / temperature, axis=1)


def logsumexp_forward(x, temperature):
    """Its value, and what its backward needs."""
    return logsumexp(x, temperature), (x, temperature)


def logsumexp_backward(saved, g):
    """By both."""
    x, temperature = saved
    p = jax.nn.softmax(x / temperature, axis=1)
    by_row = jax.nn.logsumexp(x / temperature, axis=1) - (p * x).sum(1) / temperature
    return g[:, None] * p, (g * by_row).sum()[None]


logsumexp.defvjp(logsumexp_forward, logsumexp_backward)


@jax.custom_vjp
def solve(A, b):
    """x with A x = b."""
    return jnp.linalg.solve(A, b)


def solve_forward(A, b):
    """x, and what its backward needs."""
    x = jnp.linalg.solve(A, b)
    return x, (A, x)


def solve_backward(saved, g):
    """By both: with A ᵀλ = g, −λxᵀ and λ."""
    A, x = saved
    lam = jnp.linalg.solve(A.T, g)
    return -jnp.outer(lam, x), lam


solve.defvjp(solve_forward, solve_backward)
