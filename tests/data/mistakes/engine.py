"""A small engine of its own that goes back through a tape, and functions of torch."""

import numpy as np
import torch


class Tensor:
    """An array that knows what it was made of."""

    def __init__(self, data, parents=(), back=None):
        self.data, self.parents, self.back = np.asarray(data), parents, back
        self.grad = np.zeros_like(self.data, dtype=float)

    def __add__(self, other):
        def back(grad):
            return reduce_to(grad, self.data.shape), reduce_to(grad, other.data.shape)

        return Tensor(self.data + other.data, (self, other), back)

    def __mul__(self, other):
        def back(grad):
            return (
                reduce_to(grad * other.data, self.data.shape),
                reduce_to(grad * self.data, other.data.shape),
            )

        return Tensor(self.data * other.data, (self, other), back)

    def __matmul__(self, other):
        def back(grad):
            return grad @ other.data.T, self.data.T @ grad

        return Tensor(self.data @ other.data, (self, other), back)

    def tanh(self):
        """Entry by entry."""
        y = np.tanh(self.data)
        return Tensor(y, (self,), lambda grad: (grad * (1 - y**2),))

    def mean(self, axis):
        """Along an axis."""
        size = self.data.shape[axis]

        def back(grad):
            return (np.repeat(np.expand_dims(grad, axis), size, axis) / size,)

        return Tensor(self.data.mean(axis), (self,), back)

    def backward(self, grad):
        """Hand back a gradient through all that this was made of."""
        order, seen = [], set()

        def visit(one):
            if id(one) not in seen:
                seen.add(id(one))
                for parent in one.parents:
                    visit(parent)
                order.append(one)

        visit(self)
        self.grad = grad
        for one in reversed(order):
            for parent, part in zip(
                one.parents, one.back(one.grad) if one.back else (), strict=True
            ):
                parent.grad = parent.grad + part


def reduce_to(grad, shape):
    """The sum over the axes along which an array of this shape was repeated."""
    while grad.ndim > len(shape):
        grad = grad.sum(0)
    for axis, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis, keepdims=True)
    return grad


def model(x, W, b, s):
    """The mean over the samples of a gated layer, as tensors."""
    x, W, b, s = (Tensor(one) for one in (x, W, b, s))
    h = (x @ W + b).tanh()
    return (h * s + h * h).mean(0), (x, W, b, s)


def forward(x, W, b, s):
    """Its value."""
    return model(x, W, b, s)[0].data


def backward(dout, x, W, b, s):
    """Its gradients."""
    out, inputs = model(x, W, b, s)
    out.backward(dout)
    return tuple(one.grad for one in inputs)


class Linear(torch.autograd.Function):
    """x Wᵀ + b, as torch has it."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        """Keeps what it needs."""
        ctx.save_for_backward(x, weight)
        return x @ weight.t() + bias

    @staticmethod
    def backward(ctx, grad):
        """Of all three."""
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.t() @ x, grad.sum(0)


class Isrlu(torch.autograd.Function):
    """x / √(1 + x²) below zero."""

    @staticmethod
    def forward(ctx, x):
        """Keeps the root."""
        low = x.clamp(max=0)
        ctx.root = torch.rsqrt(1 + low**2)
        return x * ctx.root

    @staticmethod
    def backward(ctx, grad):
        """The cube of the root."""
        return grad * ctx.root**3


class StandardScale(torch.autograd.Function):
    """(x − mean) / deviation of columns, times a scale."""

    @staticmethod
    def forward(ctx, x, scale):
        """Keeps what is standard."""
        deviation = x.std(0, unbiased=False)
        y = (x - x.mean(0)) / deviation
        ctx.save_for_backward(y, deviation, scale)
        return y * scale

    @staticmethod
    def backward(ctx, grad):
        """Through the mean and the deviation, too."""
        y, deviation, scale = ctx.saved_tensors
        dy = grad * scale
        dx = (dy - dy.mean(0) - y * (dy * y).mean(0)) / deviation
        return dx, (grad * y).sum(0)


def network(x, weight, bias, scale):
    """All three functions."""
    return Isrlu.apply(Linear.apply(StandardScale.apply(x, scale), weight, bias))
