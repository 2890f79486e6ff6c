"""Recurrent layers, rnn and lstm: forward and backward passes, then backward passes with a bug."""

import numpy as np


def sigmoid(a):
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def rnn_step(x, prev_h, Wx, Wh, b):
    """x (n, D), prev_h (n, H), Wx (D, H), Wh (H, H), b (H,) -> next_h (n, H)."""
    a = x @ Wx + prev_h @ Wh + b
    next_h = np.tanh(a)
    return next_h, (x, prev_h, Wx, Wh, a, next_h)


def rnn_step_backward(dnext_h, cache):
    """dnext_h (n, H) -> dx, dprev_h, dWx, dWh, db in the shapes of the inputs."""
    next_h = cache[-1]
    da = dnext_h * (1 - next_h**2)
    return _rnn_affine_backward(da, cache)


def _rnn_affine_backward(da, cache):
    """The gradients below the tanh: da (n, H) -> dx, dprev_h, dWx, dWh, db."""
    x, prev_h, Wx, Wh, _, _ = cache
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def rnn_forward(x, h0, Wx, Wh, b):
    """x (n, T, D), h0 (n, H) -> the hidden states h (n, T, H)."""
    h = np.zeros((*x.shape[:2], h0.shape[1]), dtype=x.dtype)
    caches = []
    prev_h = h0
    for t in range(x.shape[1]):
        prev_h, cache = rnn_step(x[:, t], prev_h, Wx, Wh, b)
        h[:, t] = prev_h
        caches.append(cache)
    return h, caches


def rnn_backward(dh, caches):
    """dh (n, T, H) -> dx, dh0, dWx, dWh, db in the shapes of the inputs."""
    dx, dprev_h, dWx, dWh, db = _zero_gradients(dh, caches)
    for t in reversed(range(dh.shape[1])):
        step = rnn_step_backward(dh[:, t] + dprev_h, caches[t])
        dx[:, t], dprev_h = step[:2]
        dWx += step[2]
        dWh += step[3]
        db += step[4]
    return dx, dprev_h, dWx, dWh, db


def _zero_gradients(dh, caches):
    """Zeros in the shapes of x, h0, Wx, Wh, b."""
    n, steps, hidden = dh.shape
    _, prev_h, Wx, Wh, _, _ = caches[0]
    dx = np.zeros((n, steps, Wx.shape[0]), dtype=dh.dtype)
    db = np.zeros(hidden, dtype=dh.dtype)
    return dx, np.zeros_like(prev_h), np.zeros_like(Wx), np.zeros_like(Wh), db


def lstm_step(x, prev_h, prev_c, Wx, Wh, b):
    """x (n, D), prev_h and prev_c (n, H), Wx (D, 4H), Wh (H, 4H), b (4H,) -> next_h, next_c (n, H).

    The four blocks of columns are the input, forget and output gates and the candidate.
    """
    blocks = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    i, f, o = (sigmoid(block) for block in blocks[:3])
    g = np.tanh(blocks[3])
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    """dnext_h, dnext_c (n, H) -> dx, dprev_h, dprev_c, dWx, dWh, db in the shapes of the inputs."""
    o, tanh_c = cache[7], cache[9]
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    return _lstm_gates_backward(dnext_h, dc, cache)


def _lstm_gates_backward(dnext_h, dc, cache):
    """The gradients below the cell: dc (n, H) is all of its gradient."""
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    da = np.hstack(
        [
            dc * g * i * (1 - i),
            dc * prev_c * f * (1 - f),
            dnext_h * tanh_c * o * (1 - o),
            dc * i * (1 - g**2),
        ]
    )
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)


# Below, each function has one bug.


def rnn_step_backward_tanh_at_preactivation(dnext_h, cache):
    """Bug: 1 - a**2, where it is 1 - tanh(a)**2."""
    a = cache[-2]
    return _rnn_affine_backward(dnext_h * (1 - a**2), cache)


def rnn_step_backward_tanh_twice(dnext_h, cache):
    """Bug: tanh is applied to next_h, which is a tanh already."""
    next_h = cache[-1]
    return _rnn_affine_backward(dnext_h * (1 - np.tanh(next_h) ** 2), cache)


def rnn_backward_forgets_next_step(dh, caches):
    """Bug: a hidden state gets the gradient of its own output, and none from the next step."""
    dx, dprev_h, dWx, dWh, db = _zero_gradients(dh, caches)
    for t in reversed(range(dh.shape[1])):
        step = rnn_step_backward(dh[:, t], caches[t])
        dx[:, t], dprev_h = step[:2]
        dWx += step[2]
        dWh += step[3]
        db += step[4]
    return dx, dprev_h, dWx, dWh, db


def rnn_backward_overwrites_weights(dh, caches):
    """Bug: the gradients of the weights are those of one step, where they should be added up."""
    dx, dprev_h, dWx, dWh, db = _zero_gradients(dh, caches)
    for t in reversed(range(dh.shape[1])):
        dx[:, t], dprev_h, dWx, dWh, db = rnn_step_backward(dh[:, t] + dprev_h, caches[t])
    return dx, dprev_h, dWx, dWh, db


def lstm_step_backward_forgets_next_c(dnext_h, dnext_c, cache):
    """Bug: the gradient that comes from the next cell is left out."""
    o, tanh_c = cache[7], cache[9]
    dc = dnext_h * o * (1 - tanh_c**2)
    return _lstm_gates_backward(dnext_h, dc, cache)


def lstm_step_backward_overwrites_dc(dnext_h, dnext_c, cache):
    """Bug: the cell gets dnext_c alone, and nothing through next_h."""
    return _lstm_gates_backward(dnext_h, dnext_c, cache)
