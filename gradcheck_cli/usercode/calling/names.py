"""The names that people give to the parameters of a backward, by what these take."""

from __future__ import annotations

# Names of parameters of a backward that take what the forward kept for it, and its output.
CACHE_NAMES = frozenset({"ctx", "context", "saved", "memory", "tape", "state", "tmp"})
OUTPUT_NAMES = frozenset({"out", "output", "y", "Y", "a", "A", "ans"})
LABEL_NAMES = frozenset(
    {"y", "Y", "t", "y_true", "label", "labels", "target", "targets", "true", "y_labels"}
)
# Names of upstream gradients, together with such as dout, dA, delta, grad_output and y_grad.
UPSTREAM_NAMES = frozenset({"cotangent", "error", "err", "g", "gy", "v", "δ", "Δ"})
UPSTREAM_STARTS = ("d", "grad", "g_", "upstream")
UPSTREAM_ENDS = ("grad", "_bar")
# Names of inputs: such a parameter never gets the upstream gradient just because it is the first.
INPUT_NAMES = frozenset({"x", "X", "z", "Z", "input", "inputs", "input_", "input_data", "in_val"})
# Names of a learning rate.
RATES = ("learning_rate", "learningRate", "learn_rate", "lr", "eta", "step_size")


def is_upstream(name: str) -> bool:
    """Whether a parameter is called like an upstream gradient."""
    starts, ends = name.startswith(UPSTREAM_STARTS), name.endswith(UPSTREAM_ENDS)
    return name in UPSTREAM_NAMES or starts or ends


def is_cache(name: str) -> bool:
    """Whether a parameter is called like what a forward keeps for its backward."""
    return name in CACHE_NAMES or "cache" in name.lower()
