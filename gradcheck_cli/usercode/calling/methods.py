"""What people call the two methods of a layer, and of a loss that is an object."""

from __future__ import annotations

# What people call a forward and its backward, in the order in which they are looked for.
METHODS = (
    ("calculate", "backward"),  # the mean of what the forward of a loss gives
    ("forward", "backward"),
    ("__call__", "backward"),
    ("forward_pass", "backward_pass"),
    ("fprop", "bprop"),
    ("forward", "backprop"),
    ("forward_propagation", "backward_propagation"),
    ("forward_prop", "backward_prop"),
    ("forward_propagate", "backward_propagate"),
    ("feedforward", "backprop"),
    ("fwd", "bwd"),
    ("__call__", "gradient"),
    ("__call__", "grad"),
    ("__call__", "derivative"),
    ("forward", "gradient"),
    ("forward", "derivative"),
    ("forward", "grad"),
    ("forward", "vjp"),
    ("__call__", "vjp"),
    ("__call__", "backprop"),
    ("fn", "grad"),
    ("loss", "gradient"),
    ("loss", "grad"),
)
