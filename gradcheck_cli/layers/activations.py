"""Activations f and their derivatives f′, as a table of elementwise formulas in z.

No formula overflows to a wrong value, and none subtracts numbers that saturation makes equal: so
tanh′ is not written as 1 − tanh², which is 0 from z = 19 on.
"""

from __future__ import annotations

from msgspec import Struct


class Activation(Struct, frozen=True):
    """An activation.

    value: f(z) as a formula. derivative: f′(z) as one that can be a factor without parentheses.
    shown, shown_derivative: both as people write them. by_output: f′ as a formula in y = f(z), if
    people write it so.
    """

    name: str
    value: str
    derivative: str
    shown: str
    shown_derivative: str
    by_output: str = ""


# gelu by tanh is z σ(2u) with u = √(2/π) (z + 0.044715 z³); source: D. Hendrycks and K. Gimpel,
# "Gaussian Error Linear Units" (2016). The factor of 2u is √(8/π). Beyond z = ±30, σ(2u) or σ(−2u)
# is 0, and must not be multiplied by an infinity.
_ROOT = "1.5957691216057308"
_2U = f"{_ROOT} * (z + 0.044715 * z**3)"
_GELU_SLOPE = f"{_ROOT} * (1 + 0.134145 * minimum(z**2, 900))"

ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation(
            "relu",
            value="maximum(z, 0)",
            derivative="(z > 0)",
            shown="max(z, 0)",
            shown_derivative="1(z>0)",
        ),
        Activation(
            "leaky-relu",
            value="maximum(z, 0.01 * z)",
            derivative="where(z > 0, 1, 0.01)",
            shown="max(z, 0.01 z)",
            shown_derivative="1 where z > 0, else 0.01",
        ),
        Activation(
            "elu",
            value="where(z > 0, z, expm1(minimum(z, 0)))",
            derivative="exp(minimum(z, 0))",
            shown="z where z > 0, else exp(z) − 1",
            shown_derivative="1 where z > 0, else exp(z)",
        ),
        Activation(
            "softplus",
            value="logaddexp(z, 0)",
            derivative="sigmoid(z)",
            shown="log(1 + exp(z))",
            shown_derivative="σ(z)",
        ),
        Activation(
            "sigmoid",
            value="sigmoid(z)",
            derivative="sigmoid(z) * sigmoid(-z)",
            shown="σ(z) = 1/(1 + exp(−z))",
            shown_derivative="σ(z) σ(−z)",
            by_output="y * (1 - y)",
        ),
        Activation(
            "silu",
            value="z * sigmoid(z)",
            derivative="sigmoid(z) * (1 + z * sigmoid(-z))",
            shown="z σ(z)",
            shown_derivative="σ(z) (1 + z σ(−z))",
        ),
        Activation(
            "tanh",
            value="tanh(z)",
            derivative="4 * sigmoid(2 * z) * sigmoid(-2 * z)",
            shown="(exp(z) − exp(−z)) / (exp(z) + exp(−z))",
            shown_derivative="4 σ(2z) σ(−2z) = 1 − tanh(z)²",
            by_output="1 - y**2",
        ),
        Activation(
            "gelu",
            value=f"z * sigmoid({_2U})",
            derivative=f"sigmoid({_2U}) * (1 + maximum(z, -30) * sigmoid(-{_2U}) * {_GELU_SLOPE})",
            shown="½ z (1 + tanh(u)), u = √(2/π) (z + 0.044715 z³)",
            shown_derivative="σ(2u) (1 + z σ(−2u) √(8/π) (1 + 0.134145 z²))",
        ),
    )
}
NONE = "none"
