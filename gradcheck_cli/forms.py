"""The paper's layer forms as a table: equation, shapes, forward, backward rules, Jacobians.

Source: Y. Huang, "Vector Derivative For Back Propagation" (2019); `number` is its equation.
Every expression is a formula (see `formula.py`); vectors stay two-dimensional, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One analytic derivative: what it is of, its formula, how the paper writes it and where.

    elements: one entry of it, step by step; remark: what a reader of the paper should know.
    """

    of: str
    formula: str
    shown: str
    number: int
    elements: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """One layer form. Shapes are symbolic: the sizes n, N, M, or 1.

    `sample_axis` is the axis of y that counts samples: 0 where samples are rows, 1 where the one
    sample is a column. `cotangent` is the upstream gradient's symbol and equation.
    """

    name: str
    equation: str
    number: int | None
    arrays: dict[str, tuple[str, str]]
    output: tuple[str, str]
    output_name: str
    forward: str
    forward_elements: str
    sample_axis: int
    rules: tuple[Rule, ...]
    jacobians: tuple[Rule, ...]
    cotangent: tuple[str, int]

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes this form has, in the paper's order n, N, M."""
        used = {size for shape in (*self.arrays.values(), self.output) for size in shape}
        return tuple(size for size in ("n", "N", "M") if size in used)

    @property
    def shapes(self) -> dict[str, tuple[str, str]]:
        """The symbolic shape of every array of the form, the output last."""
        return {**self.arrays, self.output_name: self.output}


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(
            name="Wx",
            equation="y = Wx",
            number=4,
            arrays={"x": ("N", "1"), "W": ("M", "N")},
            output=("M", "1"),
            output_name="y",
            forward="W @ x",
            forward_elements="y_i = Σ_j W_ij x_j",
            sample_axis=1,
            rules=(
                Rule(
                    "x",
                    "W.T @ delta",
                    "Wᵀδ",
                    15,
                    ("∂L/∂x_j = Σ_i (∂L/∂y_i) (∂y_i/∂x_j)", "= Σ_i (∂L/∂y_i) W_ij"),
                ),
                Rule(
                    "W",
                    "delta @ x.T",
                    "δxᵀ",
                    22,
                    (
                        "∂L/∂W_ij = Σ_k (∂L/∂y_k) (∂y_k/∂W_ij)",
                        "= Σ_k (∂L/∂y_k) 1(k=i) x_j",
                        "= (∂L/∂y_i) x_j",
                    ),
                ),
            ),
            jacobians=(
                Rule("x", "W", "W", 12, ("∂y_i/∂x_j = W_ij",)),
                Rule(
                    "W",
                    "einsum('ki,jl->kij', eye(M), x)",
                    "1(k=i) x_j",
                    18,
                    ("∂y_k/∂W_ij = 1(k=i) x_j",),
                ),
            ),
            cotangent=("δ = ∂L/∂y", 8),
        ),
        Form(
            name="xW",
            equation="y = xW",
            number=23,
            arrays={"x": ("1", "N"), "W": ("N", "M")},
            output=("1", "M"),
            output_name="y",
            forward="x @ W",
            forward_elements="y_j = Σ_i x_i W_ij",
            sample_axis=0,
            rules=(
                Rule(
                    "x",
                    "delta @ W.T",
                    "δWᵀ",
                    31,
                    ("∂L/∂x_i = Σ_j (∂L/∂y_j) (∂y_j/∂x_i)", "= Σ_j (∂L/∂y_j) W_ij"),
                ),
                Rule(
                    "W",
                    "x.T @ delta",
                    "xᵀδ",
                    36,
                    (
                        "∂L/∂W_ij = Σ_k (∂L/∂y_k) (∂y_k/∂W_ij)",
                        "= Σ_k (∂L/∂y_k) 1(k=j) x_i",
                        "= (∂L/∂y_j) x_i",
                    ),
                    remark="(35) prints ∂L/∂y_i here, a misprint: the index is j, as in (33)",
                ),
            ),
            jacobians=(
                Rule("x", "W.T", "Wᵀ", 29, ("∂y_j/∂x_i = W_ij",)),
                Rule(
                    "W",
                    "einsum('kj,li->kij', eye(M), x)",
                    "1(k=j) x_i",
                    33,
                    ("∂y_k/∂W_ij = 1(k=j) x_i",),
                ),
            ),
            cotangent=("δ = ∂L/∂y", 8),
        ),
        Form(
            name="XW",
            equation="Y = XW",
            number=None,
            arrays={"X": ("n", "N"), "W": ("N", "M")},
            output=("n", "M"),
            output_name="Y",
            forward="X @ W",
            forward_elements="Y_ak = Σ_i X_ai W_ik",
            sample_axis=0,
            rules=(
                Rule(
                    "X",
                    "delta @ W.T",
                    "ΔWᵀ",
                    45,
                    ("∂L/∂X_ai = Σ_k Δ_ak (∂Y_ak/∂X_ai)", "= Σ_k Δ_ak W_ik"),
                ),
                Rule(
                    "W",
                    "X.T @ delta",
                    "XᵀΔ",
                    52,
                    (
                        "∂L/∂W_ij = Σ_a Σ_k Δ_ak (∂Y_ak/∂W_ij)",
                        "= Σ_a Σ_k Δ_ak 1(k=j) X_ai",
                        "= Σ_a X_ai Δ_aj, the sum of the samples' xᵀδ (36)",
                    ),
                ),
            ),
            jacobians=(
                Rule(
                    "X",
                    "einsum('ab,jk->akbj', eye(n), W)",
                    "1(a=b) Wᵀ",
                    29,
                    ("∂Y_ak/∂X_bj = 1(a=b) W_jk, per sample as in xW",),
                ),
                Rule(
                    "W",
                    "einsum('kj,ai->akij', eye(M), X)",
                    "1(k=j) X_ai",
                    33,
                    ("∂Y_ak/∂W_ij = 1(k=j) X_ai, per sample as in xW",),
                ),
            ),
            cotangent=("Δ = ∂L/∂Y", 39),
        ),
    )
}
