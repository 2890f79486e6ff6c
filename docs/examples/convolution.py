"""Convolution and max pooling by loops over the output, then backward passes with a bug."""

import numpy as np


def conv_forward(x, w, b, conv_param):
    """x (n, C, H, W), w (F, C, h, k), b (F,) -> out (n, F, H', W').

    conv_param has stride and pad, the number of zeros around an image;
    H' = 1 + (H + 2 pad - h) // stride, and W' likewise.
    """
    stride, pad = conv_param["stride"], conv_param["pad"]
    n, _, height, width = x.shape
    filters, _, h, k = w.shape
    out_height = 1 + (height + 2 * pad - h) // stride
    out_width = 1 + (width + 2 * pad - k) // stride

    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((n, filters, out_height, out_width), dtype=x.dtype)
    for i in range(out_height):
        for j in range(out_width):
            top, left = i * stride, j * stride
            window = padded[:, :, top : top + h, left : left + k]
            out[:, :, i, j] = np.tensordot(window, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return out, (x, padded, w, conv_param)


def conv_backward(delta, cache):
    """delta (n, F, H', W') -> dx (n, C, H, W), dw (F, C, h, k), db (F,)."""
    x, padded, w, conv_param = cache
    pad = conv_param["pad"]
    dpadded, dw = _conv_gradients(delta, padded, w, conv_param["stride"])
    dx = dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    db = delta.sum(axis=(0, 2, 3))
    return dx, dw, db


def _conv_gradients(delta, padded, w, stride):
    """The gradients of the padded images and of the filters."""
    h, k = w.shape[2:]
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for i in range(delta.shape[2]):
        for j in range(delta.shape[3]):
            rows = slice(i * stride, i * stride + h)
            columns = slice(j * stride, j * stride + k)
            d = delta[:, :, i, j]
            dw += np.tensordot(d, padded[:, :, rows, columns], axes=([0], [0]))
            dpadded[:, :, rows, columns] += np.tensordot(d, w, axes=([1], [0]))
    return dpadded, dw


def max_pool_forward(x, pool_param):
    """x (n, C, H, W) -> out (n, C, H', W').

    pool_param has pool_height, pool_width and stride; windows overlap where stride is smaller.
    """
    h, k, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    n, channels, height, width = x.shape
    out_height = 1 + (height - h) // stride
    out_width = 1 + (width - k) // stride
    out = np.zeros((n, channels, out_height, out_width), dtype=x.dtype)
    for i in range(out_height):
        for j in range(out_width):
            top, left = i * stride, j * stride
            out[:, :, i, j] = x[:, :, top : top + h, left : left + k].max(axis=(2, 3))
    return out, (x, out, pool_param)


def max_pool_backward(delta, cache):
    """delta (n, C, H', W') -> dx (n, C, H, W)."""
    x, out, pool_param = cache
    h, k, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            rows = slice(i * stride, i * stride + h)
            columns = slice(j * stride, j * stride + k)
            is_max = x[:, :, rows, columns] == out[:, :, i, j, None, None]
            dx[:, :, rows, columns] += is_max * delta[:, :, i, j, None, None]
    return dx


# Below, each function has one bug.


def conv_backward_ignores_stride(delta, cache):
    """Bug: the windows are those of stride 1."""
    x, padded, w, conv_param = cache
    pad = conv_param["pad"]
    dpadded, dw = _conv_gradients(delta, padded, w, 1)
    dx = dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    db = delta.sum(axis=(0, 2, 3))
    return dx, dw, db


def conv_backward_bias_over_one_axis(delta, cache):
    """Bug: db is summed over the images but not over the pixels, (F, H', W') where b is (F,)."""
    dx, dw, _ = conv_backward(delta, cache)
    return dx, dw, delta.sum(axis=0)


def conv_backward_bias_of_last_image(delta, cache):
    """Bug: db is assigned for every image, where it should be added up."""
    dx, dw, db = conv_backward(delta, cache)
    for image in delta:
        db = image.sum(axis=(1, 2))
    return dx, dw, db


def conv_backward_crops_to_minus_pad(delta, cache):
    """Bug: pad:-pad is empty where pad is 0; with any other pad it is right."""
    _, padded, w, conv_param = cache
    pad = conv_param["pad"]
    dpadded, dw = _conv_gradients(delta, padded, w, conv_param["stride"])
    dx = dpadded[:, :, pad:-pad, pad:-pad]
    db = delta.sum(axis=(0, 2, 3))
    return dx, dw, db


def max_pool_backward_assigns(delta, cache):
    """Bug: = where += should be; a window overwrites the gradients of those it overlaps."""
    x, out, pool_param = cache
    h, k, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            rows = slice(i * stride, i * stride + h)
            columns = slice(j * stride, j * stride + k)
            is_max = x[:, :, rows, columns] == out[:, :, i, j, None, None]
            dx[:, :, rows, columns] = is_max * delta[:, :, i, j, None, None]
    return dx
