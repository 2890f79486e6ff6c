"""Inverted dropout with the mask as an argument, then backward passes with a bug."""


def dropout_forward(x, mask, keep):
    """x (n, M), mask (n, M) of 0 and 1, keep the probability of a 1 -> out (n, M)."""
    out = x * mask / keep
    return out, (mask, keep)


def dropout_backward(delta, cache):
    """delta (n, M) -> dx (n, M)."""
    mask, keep = cache
    return delta * mask / keep


# Below, each function has one bug.


def dropout_backward_without_scale(delta, cache):
    """Bug: the kept entries lack the 1 / keep of the forward."""
    mask, _ = cache
    return delta * mask


def dropout_backward_without_mask(delta, cache):
    """Bug: dropped entries get a gradient too."""
    _, keep = cache
    return delta / keep


def dropout_backward_scaled_by_keep(delta, cache):
    """Bug: times keep, where the forward divides by it."""
    mask, keep = cache
    return delta * mask * keep
