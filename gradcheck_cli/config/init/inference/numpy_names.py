"""Functions of NumPy and of torch, by what they tell of the shapes of what they are handed."""

from __future__ import annotations


def _list_names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What they return is of the shape of their first argument.
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
# Of two arguments with broadcasting.
JOINED = _list_names("maximum minimum add subtract multiply divide power where logaddexp")
# Over an axis, or over all.
REDUCED = _list_names("sum mean max min amax amin var std prod any all argmax norm")
# Arrays of a shape that they are told.
MADE = _list_names("zeros ones empty full randn rand standard_normal normal uniform random eye")
# Of what is drawn, the place of the shape behind parameters of the distribution; and those whose
# shape is one argument.
DRAWN = {"normal": 2, "uniform": 2}
ONE_SHAPE = _list_names("zeros ones empty full normal uniform random")
