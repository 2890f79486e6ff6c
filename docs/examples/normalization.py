"""Batch and layer normalization: forward and backward passes, then backward passes with a bug."""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    """x (n, D), gamma (D,), beta (D,) -> out (n, D).

    bn_param has mode (train or test) and optionally eps and momentum. In train mode its
    running_mean and running_var, both (D,), are updated; in test mode they normalize x.
    """
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.ones(x.shape[1], dtype=x.dtype))

    if mode == "train":
        mean = x.mean(axis=0)
        var = x.var(axis=0)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        mean, var = running_mean, running_var
    else:
        raise ValueError(f"mode must be train or test, got {mode!r}")

    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv_std
    out = gamma * x_hat + beta
    return out, (mode, x, x_hat, inv_std, gamma)


def batchnorm_backward(delta, cache):
    """delta (n, D) -> dx (n, D), dgamma (D,), dbeta (D,)."""
    mode, _, x_hat, inv_std, gamma = cache
    dgamma = (delta * x_hat).sum(axis=0)
    dbeta = delta.sum(axis=0)
    dx_hat = delta * gamma
    if mode == "test":
        return dx_hat * inv_std, dgamma, dbeta
    through_mean = dx_hat.mean(axis=0)
    through_var = x_hat * (dx_hat * x_hat).mean(axis=0)
    dx = inv_std * (dx_hat - through_mean - through_var)
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    """x (n, D), gamma (D,), beta (D,) -> out (n, D); ln_param has eps."""
    var = x.var(axis=1, keepdims=True)
    inv_std = 1 / np.sqrt(var + ln_param["eps"])
    x_hat = (x - x.mean(axis=1, keepdims=True)) * inv_std
    out = gamma * x_hat + beta
    return out, (x_hat, var, inv_std, gamma)


def layernorm_backward(delta, cache):
    """delta (n, D) -> dx (n, D), dgamma (D,), dbeta (D,), by name."""
    x_hat, _, inv_std, gamma = cache
    dx_hat = delta * gamma
    through_mean = dx_hat.mean(axis=1, keepdims=True)
    through_var = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)
    return {
        "dx": inv_std * (dx_hat - through_mean - through_var),
        "dgamma": (delta * x_hat).sum(axis=0),
        "dbeta": delta.sum(axis=0),
    }


# Below, each function has one bug.


def batchnorm_backward_without_mean_term(delta, cache):
    """Bug: the mean is taken for a constant."""
    _, _, x_hat, inv_std, gamma = cache
    _, dgamma, dbeta = batchnorm_backward(delta, cache)
    dx_hat = delta * gamma
    dx = inv_std * (dx_hat - x_hat * (dx_hat * x_hat).mean(axis=0))
    return dx, dgamma, dbeta


def batchnorm_backward_without_variance_term(delta, cache):
    """Bug: the variance is taken for a constant."""
    _, _, _, inv_std, gamma = cache
    _, dgamma, dbeta = batchnorm_backward(delta, cache)
    dx_hat = delta * gamma
    dx = inv_std * (dx_hat - dx_hat.mean(axis=0))
    return dx, dgamma, dbeta


def batchnorm_backward_unbiased_variance(delta, cache):
    """Bug: the variance term divides by n - 1, where the forward divides by n."""
    _, _, x_hat, inv_std, gamma = cache
    _, dgamma, dbeta = batchnorm_backward(delta, cache)
    dx_hat = delta * gamma
    through_var = x_hat * (dx_hat * x_hat).sum(axis=0) / (delta.shape[0] - 1)
    dx = inv_std * (dx_hat - dx_hat.mean(axis=0) - through_var)
    return dx, dgamma, dbeta


def batchnorm_backward_dgamma_of_input(delta, cache):
    """Bug: dgamma is computed from x, where x_hat should be."""
    _, x, _, _, _ = cache
    dx, _, dbeta = batchnorm_backward(delta, cache)
    return dx, (delta * x).sum(axis=0), dbeta


def layernorm_backward_over_batch(delta, cache):
    """Bug: the means run over the samples, as those of batchnorm do."""
    x_hat, _, inv_std, gamma = cache
    grads = layernorm_backward(delta, cache)
    dx_hat = delta * gamma
    through_var = x_hat * (dx_hat * x_hat).mean(axis=0)
    grads["dx"] = inv_std * (dx_hat - dx_hat.mean(axis=0) - through_var)
    return grads


def layernorm_backward_without_eps(delta, cache):
    """Bug: the standard deviation is computed anew, and eps is forgotten."""
    x_hat, var, _, gamma = cache
    return layernorm_backward(delta, (x_hat, var, 1 / np.sqrt(var), gamma))
