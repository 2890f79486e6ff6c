"""`gradcheck explain`: write the derivation for a layer, element by element and then as vectors.

Every product is shown with the layer's shapes, and with its equation number in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gradcheck_cli.arrays import ArraySpec
from gradcheck_cli.errors import FormulaError
from gradcheck_cli.formula import Formula, Product, Shape, parse
from gradcheck_cli.layers.any_layer import AnyLayer
from gradcheck_cli.layers.code_layer import CLAIMED, CodeLayer
from gradcheck_cli.layers.forms import Rule
from gradcheck_cli.layers.formula_layer import FormulaLayer
from gradcheck_cli.layers.own import COMPLEX, Data, specs
from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.text import format_shape, join_words, printable

Part = tuple[str, Iterable[str]]  # a title and its lines


def explain(name: str, layer: AnyLayer) -> str:
    """The derivation for a layer, as plain text; for code, its inputs and what is compared.

    name: the id of its check, which is in the first line.
    """
    if isinstance(layer, Layer):
        what, parts = layer.form.equation, _paper(layer)
    elif isinstance(layer, FormulaLayer):
        what, parts = f"y = {layer.forward}", _formulas(layer)
    else:
        what, parts = join_words([code.name for code in layer.code]), _code(layer)
    sizes = ", ".join(f"{name} = {value}" for name, value in layer.sizes.items())
    lines = [f"{name}: {what}{' with ' * bool(sizes)}{sizes}", ""]
    for title, body in parts:
        lines += [title, *(f"  {line}" for line in body), ""]
    return "\n".join(map(printable, lines))


def _paper(layer: Layer) -> Iterator[Part]:
    yield "Forward", _forward(layer)
    if layer.form.activation:
        yield "Activation", _activation(layer)
    yield "Loss", _loss(layer)
    yield "Upstream gradient", _cotangent(layer)
    for rule in layer.form.rules:
        yield f"∂L/∂{rule.of}", _gradient(layer, rule)
    yield "Where the 1/n goes", _reduction(layer)


def _formulas(layer: FormulaLayer) -> Iterator[Part]:
    forward = parse(layer.forward, layer.names)
    shape = format_shape(forward.shape)
    yield "Inputs", _inputs(layer.data)
    yield "Forward", [f"y = {layer.forward}", *_products(forward), f"y: {shape}"]
    yield "Upstream gradient", [f"δ = ∂L/∂y, {shape}, drawn at random, written delta in formulas"]
    for name, rule in layer.rules.items():
        wanted = layer.data.inputs[name].shape
        checked = _check(rule, layer.rule_names, wanted, name)
        yield f"∂L/∂{name}", [f"∂L/∂{name} = {rule}", *checked]


# What is compared with what, by the key of the function.
CHECKED = {
    "backward": "∂L/∂x of every input x with differences of the forward, contracted with δ",
    "jacobian": "∂y/∂x with differences of every output, zeros as well",
    "jvp": "∂y/∂x·v with differences along a random tangent v of every input by itself",
    "hessian": "∂²L/∂x∂x with differences of the gradient, or of the forward twice; and H = Hᵀ",
    "hvp": "∂²L/∂x∂x·v with differences of the gradient along v; and ⟨u, Hv⟩ = ⟨Hu, v⟩",
    "double_backward": "∂(v·∇L)/∂x and ∂(v·∇L)/∂δ with differences of the first backward",
}
BESIDE = {"jvp": "⟨δ, Jv⟩ with ⟨Jᵀδ, v⟩, which takes no differences"}


def _code(layer: AnyLayer) -> Iterator[Part]:
    assert isinstance(layer, CodeLayer)
    yield "Inputs", _inputs(layer.data)
    yield (
        "Code, which explain does not run",
        [f"{code.name} in {code.place}" for code in layer.code],
    )
    keys = [key for key in layer.functions if key in CLAIMED]
    beside = "backward" in layer.functions or "value_and_grad" in layer.functions
    compared = [] if keys and not beside else [CHECKED["backward"]]
    compared += [CHECKED[key] for key in (*keys, *["double_backward"] * layer.double)]
    compared += [BESIDE[key] for key in keys if beside and key in BESIDE]
    if layer.dtype not in (COMPLEX, "float64"):
        compared.append(
            f"in float64, if the code follows the type of its inputs, and in {layer.dtype}"
        )
    yield "What is compared", compared


def _inputs(data: Data) -> Iterator[str]:
    for name, spec in specs(data.inputs):
        domain = data.domains.get(name)
        yield f"{name}: {format_shape(spec.shape)}" + (f", {domain.words}" if domain else "")
    for name, value in data.constants.items():
        shown = format_shape(value.shape) if isinstance(value, ArraySpec) else repr(value)
        yield f"{name}: {shown}, a constant"


def _number(number: int | None) -> str:
    return "" if number is None else f" ({number})"


def _forward(layer: Layer) -> Iterator[str]:
    form = layer.form
    yield f"{form.equation}{_number(form.number)}"
    yield f"element by element: {form.forward_elements}"
    yield from _products(parse(form.forward, layer.names))
    if "b" in form.arrays:
        shapes = format_shape(layer.shape("b")), format_shape(layer.shape(form.output_name))
        samples = ", the same for every sample" if layer.samples > 1 else ""
        yield f"+ b: {shapes[0]} to {shapes[1]}{samples} ✓"
    for rule in form.jacobians:
        yield f"{rule.elements[0]}{_number(rule.number)}"


def _activation(layer: Layer) -> Iterator[str]:
    form, activation = layer.form, layer.form.activation
    assert activation is not None
    name, inner = activation.name, form.inner_name
    yield f"{form.output_name} = {name}({inner}), entry by entry"
    yield f"{name}(z) = {activation.shown}"
    yield f"  in formulas: {activation.value}"
    yield f"{name}′(z) = {activation.shown_derivative}"
    yield f"  in formulas: {activation.derivative}"


def _loss(layer: Layer) -> Iterator[str]:
    sample = "each sample a: " if layer.samples > 1 else ""
    yield f"{layer.loss.name}, {sample}{layer.loss.shown}"
    total = "L = (1/n) Σ_a ℓ_a" if layer.reduction == "mean" else "L = Σ_a ℓ_a"
    yield f"{total}, reduction {layer.reduction}, n = {layer.samples}"


def _cotangent(layer: Layer) -> Iterator[str]:
    symbol, number = layer.form.cotangent
    letter = symbol[0]
    shape = format_shape(layer.shape(layer.form.output_name))
    if layer.delta == "total":
        yield f"{symbol} ({number}), {shape}, written delta in formulas"
        inside = "with the 1/n of the mean inside" if layer.reduction == "mean" else "all of it"
        yield f"delta: total, so {letter} is the gradient of L, {inside}"
    else:
        yield f"{letter} = ∂ℓ_a/∂y_a for each sample a, {shape}, written delta in formulas"
        yield f"delta: per-sample, so {letter} lacks the 1/n of a mean; L's own is ({number})"
    activation = layer.form.activation
    if activation is not None:
        inner = layer.form.inner_name
        of, by = ("L", inner) if layer.delta == "total" else ("ℓ_a", "z_a")
        yield f"through {activation.name}: ∂{of}/∂{by} = {layer.form.inner_cotangent}, {shape}"
        yield f"  in formulas: delta * {activation.derivative}"


def _gradient(layer: Layer, rule: Rule) -> Iterator[str]:
    indent = " " * (len(f"∂L/∂{rule.of}_ij") + 1)
    yield "element by element:"
    for position, step in enumerate(rule.elements):
        yield f"  {step if position == 0 else indent + step}"
    if rule.remark:
        yield f"  {rule.remark}"
    formula, label = layer.rule(rule)
    yield f"as vectors: {label.gradient} = {rule.shown}{_number(rule.number)}"
    if rule.of in layer.own_rules:
        yield f"your rule instead: {label.gradient} = {formula}"
    elif label.rule != rule.shown:
        yield f"here divided by n = {layer.samples}: {label.gradient} = {label.rule}"
    if "@" not in formula and rule.of not in layer.own_rules:
        yield f"in formulas: {formula}"
    yield from _check(formula, layer.names, layer.shape(rule.of), rule.of)


def _check(
    formula: str, names: Mapping[str, Shape | float], wanted: Shape, of: str
) -> Iterator[str]:
    """Lines with the products of a rule, and whether it has the shape of its input."""
    try:
        parsed = parse(formula, names)
    except FormulaError as error:
        yield f"✗ {error.message}"
        return
    yield from _products(parsed)
    if parsed.shape == wanted:
        yield f"{format_shape(parsed.shape)}, the shape of {of} ✓"
    else:
        yield f"{format_shape(parsed.shape)} ✗ must be {format_shape(wanted)}, the shape of {of}"


def _products(formula: Formula) -> Iterator[str]:
    for product in formula.products:
        yield f"{product.text}: {_shapes(product)}"


def _shapes(product: Product) -> str:
    left, right = format_shape(product.left), format_shape(product.right)
    return f"({left})({right}) = {format_shape(product.result)} ✓"


def _reduction(layer: Layer) -> Iterator[str]:
    rules = layer.form.rules
    weights = [rule.of for rule in rules if rule.of in ("W", "b")]
    letter = layer.form.cotangent[0][0]
    if layer.samples == 1:
        yield "n = 1: sum and mean are the same, and no 1/n can go wrong here"
    if layer.reduction == "sum":
        summed = join_words(weights)
        yield f"L is a sum: no 1/n anywhere; per-sample gradients of {summed} are summed"
    elif layer.delta == "total":
        yield f"L is a mean: its 1/n is inside {letter}, so it stands in no rule"
        yield (
            f"per-sample gradients of {join_words(weights)} are summed; "
            "dividing again would divide twice"
        )
    else:
        yield f"L is a mean, and {letter} lacks its 1/n: every rule divides by n"
        divided = [f"∂L/∂{rule.of} = {rule.shown}/n" for rule in rules]
        yield f"{join_words(divided)} (after (48))"
    right = "mean" if layer.reduction == "mean" and layer.delta == "per-sample" else "sum"
    if layer.gradient_reduction not in (None, right) and layer.samples > 1:
        factor = "1/n" if layer.gradient_reduction == "mean" else "n"
        combined = join_words([f"∂L/∂{name}" for name in weights])
        yield (
            f"this config sets gradient_reduction: {layer.gradient_reduction}, where calculus asks "
            f"for {right}: {combined} {'comes' if len(weights) == 1 else 'come'} out {factor} "
            "times the gradient of L"
        )
