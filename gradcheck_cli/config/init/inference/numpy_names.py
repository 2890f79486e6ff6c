"""Names of functions of NumPy and torch, by how the shape of their result follows from shapes."""

from __future__ import annotations


def _list_names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Their result has the shape of their first argument.
SAME = _list_names(
    """
    exp tanh sqrt abs absolute sign sin cos copy array asarray zeros_like ones_like
    empty_like square log1p expm1 float64 float32 clip nan_to_num astype ascontiguousarray
    sigmoid softmax relu atleast_2d cumsum pad reciprocal negative full_like logical_not erf
    int float str list tuple pow rsqrt clamp requires_grad_ contiguous clone detach to
    type_as double Parameter ModuleList log_softmax softplus elu gelu silu leaky_relu
    normalize dropout stop_gradient
    """
)
# Their arguments are broadcast.
JOINED = _list_names("maximum minimum add subtract multiply divide power where logaddexp")
# They reduce an axis, or all axes.
REDUCED = _list_names("sum mean max min amax amin var std prod any all argmax norm")
# They make an array of a shape that is an argument.
MADE = _list_names("zeros ones empty full randn rand standard_normal normal uniform random eye")
# DRAWN: the place of the shape, after the parameters of a distribution. ONE_SHAPE: those that take
# the shape as a single argument, a tuple or a number.
DRAWN = {"normal": 2, "uniform": 2}
ONE_SHAPE = _list_names("zeros ones empty full normal uniform random")
