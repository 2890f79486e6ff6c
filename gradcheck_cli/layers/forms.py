"""The paper's layer forms as a table: equation, shapes, forward, backward rules, Jacobians.

Source: Y. Huang, "Vector Derivative For Back Propagation" (2019); `number` is an equation there.
Expressions are formulas (see `formula/`), and vectors have two axes, as in the paper. The paper has
neither bias nor activation; `Form.extend` adds them to a form.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.layers.activations import ACTIVATIONS, NONE, Activation


class Rule(Struct, frozen=True):
    """An analytic derivative with respect to one input.

    of: the input. formula: the derivative; shown: the same as the paper writes it.
    number: its equation in the paper; None if the paper does not have it.
    elements: the derivation of one entry, step by step. remark: for readers of the paper.
    """

    of: str
    formula: str
    shown: str
    number: int | None
    elements: tuple[str, ...]
    remark: str = ""


class Bias(Struct, frozen=True):
    """What a bias b adds to a form.

    element: b in the sum of one output. slices: the axis across which b is cut, as in `Form`.
    rule, jacobian: ∂L/∂b and ∂z/∂b.
    """

    shape: tuple[str, str]
    element: str
    slices: int
    rule: Rule
    jacobian: Rule


class Form(Struct, frozen=True):
    """A layer form. Shapes are symbolic: of the sizes n, N, M, and 1.

    equation: as shown; number: the paper's. arrays: the shapes of the inputs.
    output, output_name: the shape and the name of y. forward: the formula of z, which is y where
    there is no activation; forward_elements: one entry of it.
    slices: for each array, the axis across which it and the output can be cut, so that slice s of
    the output depends on slice s of the array alone; see the paper, (10) and section 4.
    sample_axis: the axis of y along samples, 0 if they are rows, 1 if the only one is a column.
    rules: ∂L/∂input. jacobians: ∂z/∂input. cotangent: the symbol of the upstream gradient, and its
    equation in the paper. bias: what `with_bias` adds.
    """

    name: str
    equation: str
    number: int | None
    arrays: dict[str, tuple[str, str]]
    output: tuple[str, str]
    output_name: str
    forward: str
    forward_elements: str
    slices: dict[str, int]
    sample_axis: int
    rules: tuple[Rule, ...]
    jacobians: tuple[Rule, ...]
    cotangent: tuple[str, int]
    bias: Bias
    activation: Activation | None = None

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes this form has, in the paper's order n, N, M."""
        used = {size for shape in (*self.arrays.values(), self.output) for size in shape}
        return tuple(size for size in ("n", "N", "M") if size in used)

    @property
    def shapes(self) -> dict[str, tuple[str, str]]:
        """The symbolic shape of every array of the form, the output last."""
        return {**self.arrays, self.inner_name: self.output, self.output_name: self.output}

    @property
    def inner_name(self) -> str:
        """The name of z: z or, in a batch, Z; that of the output if there is no activation."""
        return self.output_name.translate(_INNER) if self.activation else self.output_name

    @property
    def slope(self) -> str:
        """f′(z) as the reports write it, such as `relu′(Z)`; empty without an activation."""
        return f"{self.activation.name}′({self.inner_name})" if self.activation else ""

    @property
    def inner_cotangent(self) -> str:
        """∂L/∂z as the reports write it: `Δ⊙relu′(Z)`; `Δ` without an activation."""
        letter = self.cotangent[0][0]
        return f"{letter}⊙{self.slope}" if self.activation else letter

    def extend(self, bias: bool = False, activation: str = NONE) -> Form:
        """Add a bias, an activation (a key of ACTIVATIONS), or both."""
        form = self.with_bias() if bias else self
        return form if activation == NONE else form.with_activation(ACTIVATIONS[activation])

    def with_bias(self) -> Form:
        """The form with b, which is added to every sample."""
        return replace(
            self,
            equation=f"{self.equation} + b",
            number=None,
            arrays={**self.arrays, "b": self.bias.shape},
            forward=f"{self.forward} + b",
            forward_elements=f"{self.forward_elements} + {self.bias.element}",
            slices={**self.slices, "b": self.bias.slices},
            rules=(*self.rules, self.bias.rule),
            jacobians=(*self.jacobians, self.bias.jacobian),
        )

    def with_activation(self, activation: Activation) -> Form:
        """The form with y = f(z): in its rules, δ is replaced by ∂L/∂z = δ ⊙ f′(z)."""
        output, inside = self.equation.split(" = ")
        form = replace(
            self,
            equation=f"{output} = {activation.name}({inside})",
            number=None,
            activation=activation,
        )
        return replace(
            form,
            forward_elements=_replace_y(form.forward_elements),
            rules=tuple(_apply_activation(rule, form) for rule in self.rules),
            jacobians=tuple(
                replace(rule, elements=tuple(map(_replace_y, rule.elements)))
                for rule in self.jacobians
            ),
        )


_INNER = str.maketrans("yY", "zZ")


def _replace_y(text: str) -> str:
    """The text with z_i for y_i, except in ∂L/∂y_i, the upstream gradient."""
    return re.sub(r"(?<!L/∂)([yY])_", lambda match: f"{match[1].translate(_INNER)}_", text)


def _apply_activation(rule: Rule, form: Form) -> Rule:
    """Replace δ by δ ⊙ f′(z) in the formula, the shown formula and the steps of a rule."""
    assert form.activation is not None
    letter, factor = form.cotangent[0][0], f"delta * {form.activation.derivative}"
    slope = rf"{form.activation.name}′({form.inner_name}_\1)"
    steps = [_replace_y(step) for step in rule.elements]
    steps = [re.sub(r"\(?∂L/∂y_(\w+)\)?", rf"(∂L/∂y_\1) {slope}", step) for step in steps]
    steps = [re.sub(r"Δ_(\w+)", rf"Δ_\1 {slope}", step) for step in steps]
    of_sample = f"(δ⊙{form.activation.name}′(z))"
    steps = [step.replace("δ", of_sample) for step in steps]
    return replace(
        rule,
        formula=rule.formula.replace("delta", f"({factor})" if "@" in rule.formula else factor),
        shown=form.inner_cotangent
        if rule.shown == letter
        else rule.shown.replace(letter, f"({form.inner_cotangent})"),
        elements=tuple(steps),
    )


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
            slices={"x": 1, "W": 0},
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
            bias=Bias(
                ("M", "1"),
                "b_i",
                0,
                Rule(
                    "b",
                    "delta",
                    "δ",
                    None,
                    (
                        "∂L/∂b_i = Σ_k (∂L/∂y_k) (∂y_k/∂b_i)",
                        "= Σ_k (∂L/∂y_k) 1(k=i)",
                        "= ∂L/∂y_i",
                    ),
                ),
                Rule("b", "eye(M)", "1(k=i)", None, ("∂y_k/∂b_i = 1(k=i)",)),
            ),
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
            slices={"x": 0, "W": 1},
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
            bias=Bias(
                ("1", "M"),
                "b_j",
                1,
                Rule(
                    "b",
                    "delta",
                    "δ",
                    None,
                    (
                        "∂L/∂b_j = Σ_k (∂L/∂y_k) (∂y_k/∂b_j)",
                        "= Σ_k (∂L/∂y_k) 1(k=j)",
                        "= ∂L/∂y_j",
                    ),
                ),
                Rule("b", "eye(M)", "1(k=j)", None, ("∂y_k/∂b_j = 1(k=j)",)),
            ),
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
            slices={"X": 0, "W": 1},
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
            bias=Bias(
                ("1", "M"),
                "b_k",
                1,
                Rule(
                    "b",
                    "sum(delta, 0, keepdims=True)",
                    "Σ_a Δ_a",
                    None,
                    (
                        "∂L/∂b_j = Σ_a Σ_k Δ_ak (∂Y_ak/∂b_j)",
                        "= Σ_a Σ_k Δ_ak 1(k=j)",
                        "= Σ_a Δ_aj, the sum of the samples' δ",
                    ),
                ),
                Rule(
                    "b",
                    "einsum('al,kj->aklj', ones(n, 1), eye(M))",
                    "1(k=j)",
                    None,
                    ("∂Y_ak/∂b_j = 1(k=j)",),
                ),
            ),
        ),
    )
}
