"""Per-sample losses ℓ and their derivatives ∂ℓ/∂y, as a table of formulas.

In each formula, the rows of y (n×M) are samples; a loss is summed over the M outputs of a sample,
which gives n losses. The second array of a loss, its target, has the shape of the layer's output.
"""

from __future__ import annotations

from msgspec import Struct


class Loss(Struct, frozen=True):
    """A loss.

    value, delta: ℓ per sample and ∂ℓ/∂y, as formulas. shown: ℓ as people write it.
    target: the name of its second array; draw: the distribution of that by default.
    sums: whether ℓ is a sum of terms that depend on one output each.
    """

    name: str
    value: str
    delta: str
    target: str
    draw: str
    shown: str
    sums: bool = True


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss(
            "squared-error",
            value="sum((y - t)**2, -1) / 2",
            delta="y - t",
            target="t",
            draw="normal",
            shown="ℓ = ½ Σ_k (y_k − t_k)²",
        ),
        Loss(
            "linear",
            value="sum(c * y, -1)",
            delta="c",
            target="c",
            draw="normal",
            shown="ℓ = Σ_k c_k y_k",
        ),
        Loss(
            "softmax-cross-entropy",
            value="sum(t, -1) * logsumexp(y, -1) - sum(t * y, -1)",
            delta="sum(t, -1, keepdims=1) * softmax(y, -1) - t",
            target="t",
            draw="one-hot",
            shown="ℓ = −Σ_k t_k log softmax(y)_k",
            sums=False,
        ),
        Loss(
            "logistic",
            value="sum(logaddexp(0, -s * y), -1)",
            delta="-s * sigmoid(-s * y)",
            target="s",
            draw="sign",
            shown="ℓ = Σ_k log(1 + exp(−s_k y_k))",
        ),
        Loss(
            "huber",
            value="sum(where(abs(y - t) <= 1, (y - t)**2 / 2, abs(y - t) - 0.5), -1)",
            delta="clip(y - t, -1, 1)",
            target="t",
            draw="normal",
            shown="ℓ = Σ_k huber(y_k − t_k), the corner at 1",
        ),
        Loss(
            "cosine",
            value="sum(cos(c * y), -1)",
            delta="-c * sin(c * y)",
            target="c",
            draw="normal",
            shown="ℓ = Σ_k cos(c_k y_k)",
        ),
    )
}
