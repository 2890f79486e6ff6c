"""Functions of NumPy and of torch, by what they tell of the shapes of what they are handed."""

from __future__ import annotations

SAME = frozenset(
    [
        "exp",
        "tanh",
        "sqrt",
        "abs",
        "absolute",
        "sign",
        "sin",
        "cos",
        "copy",
        "array",
        "asarray",
        "zeros_like",
        "ones_like",
        "empty_like",
        "square",
        "log1p",
        "expm1",
        "float64",
        "float32",
        "clip",
        "nan_to_num",
        "astype",
        "ascontiguousarray",
        "sigmoid",
        "softmax",
        "relu",
        "atleast_2d",
        "cumsum",
        "pad",
        "reciprocal",
        "negative",
        "full_like",
        "logical_not",
        "erf",
        *("int", "float", "str", "list", "tuple"),
        *(
            "pow",
            "rsqrt",
            "clamp",
            "requires_grad_",
            "contiguous",
            "clone",
            "detach",
            "to",
            "type_as",
        ),
        *("double", "Parameter", "ModuleList", "log_softmax", "softplus", "elu", "gelu", "silu"),
        *("leaky_relu", "normalize", "dropout", "stop_gradient"),
    ]
)
JOINED = frozenset(
    ["maximum", "minimum", "add", "subtract", "multiply", "divide", "power", "where", "logaddexp"]
)
REDUCED = frozenset(
    [
        "sum",
        "mean",
        "max",
        "min",
        "amax",
        "amin",
        "var",
        "std",
        "prod",
        "any",
        "all",
        "argmax",
        "norm",
    ]
)
MADE = frozenset(
    [
        "zeros",
        "ones",
        "empty",
        "full",
        "randn",
        "rand",
        "standard_normal",
        "normal",
        "uniform",
        "random",
        "eye",
    ]
)
# Of what is drawn, the place of the shape behind parameters of the distribution; and those whose
# shape is one argument.
DRAWN = {"normal": 2, "uniform": 2}
ONE_SHAPE = frozenset(["zeros", "ones", "empty", "full", "normal", "uniform", "random"])
