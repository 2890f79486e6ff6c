"""A table of the names that people give weights, labels, sizes, losses and gradients in code."""

from __future__ import annotations

import re
from collections.abc import Callable


def _called(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    """A function that tells whether part of a name matches a pattern."""
    search = re.compile(pattern, flags).search
    return lambda name: search(name) is not None


# Arrays: inputs, labels, weights, biases and what else is broadcast, and vectors.
is_samples = _called(r"^(x|X|inputs?|input_|data)$")
is_labels = _called(r"^(Y|y|y_true|t|targets?|labels?|idx|indices)$")
is_weight = _called(r"^(W|w|U|V|weights?|Theta|theta|c_)(_?\w{0,4}\d*)$|weight|kernel|_w$")
is_bias = _called(r"^b($|_|\d|[a-z]?\d*$)|_b$|bias|gamma|beta|^g\d?$|shift|scale", re.IGNORECASE)
is_vector = _called(
    r"^(b|bias|biases|gamma|beta|theta|y|t|labels?|targets?|idx|idxs|tokens?|sentence|words|times"
    r"|events|rewards|returns)(_?\w?\d*)$"
)
is_filter = _called(r"^(K|kernel|filters?)$")
is_mask = _called(r"mask|^R$")
is_state_before = _called(r"(^|_)prev(_|$)")
is_data = _called(
    r"^(x|y|z|a|h|c|t|d|g|v|q|k|s|u|in|i|o|f)\d?$|data|mask|target|label|logits|scores|input|image"
    r"|^out|output|observ|feature|pred|hat|prev|true|recon|adj|var|mean|delta|hidden|state|query|key|val|emb|act|prob|idx|ind"
    r"|tok|ids|params|wt|wp",
    re.IGNORECASE,
)
# All arrays of a network: a list with an item for each layer; or a vector or a dict of them.
is_layers = _called(r"^(params|parameters|layers|weights)$")
is_parameters = _called(r"^(theta|params|weights)", re.IGNORECASE)

# Sizes: of anything, lists of sizes, sizes of filters and windows, sizes that heads must divide.
is_size = _called(r"size|dim|num|count|^n_|_n$|len")
is_sizes = _called(r"(dims|sizes|layers|units|widths|channels|nodes|neurons)$|^arch")
is_lengths = _called(r"len(gth)?s?$", re.IGNORECASE)
is_window = _called(r"kernel|pool|window|filter_size|stride", re.IGNORECASE)
is_kernel_size = _called(
    r"^(f|k|HH|WW|FH|FW|KH|KW|[fkp]_?[hw]|[hw]f|kernel_size|ks|pool_?size|(n(um)?_?)?heads?)$"
)
is_even_size = _called(r"emb|model|dim|hidden|^d_")

# Other parameters: texts; and numbers, with the value that a config gives for each name.
is_text = _called(r"^(layer_)?(name|label|title|id)$")
NUMBERS = {
    "reg": "0.1", "lambd": "0.1", "lambda_": "0.1", "lam": "0.1", "l2": "0.1", "alpha": "0.5",
    "eps": "1e-5", "epsilon": "1e-5", "momentum": "0.9", "p": "0.5", "keep_prob": "0.5",
    "rate": "0.5", "drop": "0.5", "seed": "0", "stride": "1", "pad": "1", "padding": "1",
    "delta": "1.0", "margin": "1.0", "temperature": "1.0", "pool_height": "2", "pool_width": "2",
    "HH": "2", "WW": "2", "kernel_size": "2", "pool_size": "2", "scale": "2.0", "negative_slope":
    "0.1", "G": "1", "groups": "1", "learning_rate": "0.1", "lr": "0.1",
    "lo": "-0.5", "low": "-0.5", "min_val": "-0.5", "a_min": "-0.5", "hi": "0.5",
    "high": "0.5", "max_val": "0.5", "a_max": "0.5",
    "training": "true", "is_training": "true", "train": "true", "is_train": "true",
}  # fmt: skip
# The shapes of arrays for which the text implies none.
SHAPES = {
    "w": ("N", "M"), "weight": ("N", "M"), "weights": ("N", "M"), "b": ("M",), "bias": ("M",),
    "gamma": ("N",), "beta": ("N",), "wx": ("N", "H"), "wh": ("H", "H"), "prev_h": ("n", "H"),
    "prev_c": ("n", "H"), "h0": ("n", "H"),
}  # fmt: skip

# Functions, and the values that they return.
is_loss = _called(
    r"loss|cost|squared_error|nll|xent|entropy|mse|info_?nce|likelihood|elbo|hinge|huber|objective"
    r"|criterion|^(J|L|E|value|energy)$",
    re.IGNORECASE,
)
is_derivative = _called(r"_prime$|_deriv")
is_gradient = _called(r"^(g|d_\w+|d[A-Za-z]\w{0,6})$|grad|jac\b", re.IGNORECASE)
may_be_gradient = _called(r"^d|grad|^g[_A-Z]|^g$|delta|nabla", re.IGNORECASE)  # or uses one
GRADIENT = re.compile(r"grad(ient)?s?|back(prop|ward)|bprop", re.IGNORECASE)  # of a function
FORWARD = re.compile(r"_?(forward|fwd|fprop)_?")
# Functions that use gradients instead of returning them: numerical_gradient, clip_gradients.
uses_gradients = _called(
    r"num|check|approx|clip|zero|descent|norm|test|plot|step|update|apply|reset|enable|no_grad|set_"
)
# The name of a backward is that of its forward with such an end or start.
ENDS = (
    *("_backward", "_gradient", "_grad", "_bwd", "_vjp"),
    *("_prime", "_derivative", "_deriv", "_der", "prime"),
)
STARTS = ("backward_", "d_", "d", "grad_")
# The same for other derivatives; in a file with a single function, the name may be this alone.
DERIVED = {
    "jacobian": ("jacobian", "jac"),
    "jvp": ("jvp", "pushforward"),
    "hessian": ("hessian", "hess"),
    "hvp": ("hvp", "hessp"),
}
