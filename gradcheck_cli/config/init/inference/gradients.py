"""Find the parameters whose gradients a function returns, by the names in its return."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gradcheck_cli.config.init.inference.values import ITEMS, RECORD, Value
from gradcheck_cli.config.init.names import (
    is_bias,
    is_labels,
    is_parameters,
    is_samples,
    is_weight,
    may_be_gradient,
)
from gradcheck_cli.config.init.syntax import (
    Function,
    list_returned_gradients,
    parameter_defaults,
    parameter_names,
    returns_mapping,
    returns_value,
)
from gradcheck_cli.usercode.calling.gradients import names_gradient

# What the name of a gradient adds to that of its parameter.
AFFIX = re.compile(r"^(self\.)?(d_?|grads?_|nabla_|delta_|g_)|_grads?$|^self\.", re.IGNORECASE)
PLAIN = re.compile(r"\w+(\[.*\])?$")  # a name or an item
# A longer rest of a gradient's name may be part of a parameter's: d_recon is that of recon_x.
LETTERS = 2


def list_without_gradient(
    values: Mapping[str, Value], rule: Function | None, *, loss: bool
) -> list[str]:
    """The arrays whose gradients are not returned, as far as the last return shows it.

    values: the arrays that could have a gradient; rule: the function that returns the gradients,
    or None; loss: whether it returns the value of a loss before them.
    """
    spelled = None if rule is None else list_returned_gradients(rule, value_first=loss)
    if loss and any(map(may_be_gradient, spelled or ())):  # drop a state: loss, dW, hs[-1]
        spelled = [
            one
            for one in spelled or ()
            if may_be_gradient(one) or not PLAIN.match(one) or one in values
        ]
    few = bool(spelled) and len(spelled or ()) < len(values)
    keeps = rule is not None and not returns_value(rule)  # it sets attributes of its object
    named = {name for name in values if any(names_gradient(one, name) for one in spelled or ())}
    unnamed = [name for name in values if name not in named] if loss or few or keeps else []
    labels = [name for name in unnamed if is_labels(name)]
    left = [name for name in values if name not in labels] or list(values)
    records = [name for name in left if values[name].kind in (RECORD, ITEMS)]
    parts = [list(values[one].fields.values()) for one in records]
    alike = loss and spelled and len(parts) == 1 and len(parts[0]) == len(spelled)
    if alike and any(map(names_gradient, spelled or (), (part.name for part in parts[0]))):
        return [name for name in values if name not in records]  # (loss, (grad_W, grad_b))
    by_name = rule is not None and returns_mapping(rule)
    kept = _match_names(left, spelled, values) if spelled else left
    if loss and set(kept) & set(records) and len(kept) < len(left):  # loss, {"W": ..., "b": ...}
        return [*labels, *(name for name in left if name not in kept)]
    if not spelled or (len(spelled) >= len(left) and not by_name):
        return labels if len(labels) < len(values) else []
    return [*labels, *(name for name in left if name not in kept)]


def list_undifferentiated(function: Function, rule: Function | None) -> list[str]:
    """The parameters whose gradient is returned as None, or that are in jax's nondiff_argnums."""
    names = parameter_names(function)
    decorators = " ".join(map(ast.unparse, function.decorator_list))
    places = re.search(r"nondiff_argnums=\(?([\d, ]*)", decorators)
    left = [int(one) for one in re.findall(r"\d+", places[1])] if places else []
    spelled = list_returned_gradients(rule) if rule is not None else []
    defaults = parameter_defaults(function)
    needed = [name for name in names if name not in defaults]
    if len(spelled) in (len(names), len(needed)):
        left += [place for place, one in enumerate(spelled) if one == "None"]
    return [names[place] for place in left if place < len(names)]


def covers_own_weights_only(backward: Function, weights: Iterable[str]) -> bool:
    """Whether a method returns gradients of weights of its object only, as their names show, or
    returns nothing and updates only those weights.

    An example is `return nabla_b, nabla_w`, where the object has self.biases and self.weights.
    """
    if not returns_value(backward):
        nodes = (node for node in ast.walk(backward) if isinstance(node, ast.Attribute))
        stored = {ast.unparse(node) for node in nodes if isinstance(node.ctx, ast.Store)}
        return bool(stored) and stored <= {f"self.{name}" for name in weights}
    kept = [re.split(r"[\[.]", name)[0].casefold() for name in weights]
    stems = [AFFIX.sub("", one).casefold() for one in list_returned_gradients(backward)]
    return bool(stems) and all(
        bool(stem) and any(one.startswith(stem) for one in kept) for stem in stems
    )


def has_gradient(name: str, rule: Function | None) -> bool:
    """Whether the text of a backward names a gradient of a bias, which is an optional parameter."""
    text = "" if rule is None else ast.unparse(rule)
    return bool(is_bias(name) and re.search(rf"\b(d|grad_){name}\b|\b{name}_grad\b", text))


def is_summed_up(name: str, rule: Function, returned: str = "None") -> bool:
    """Whether the gradient of a parameter is a sum over all entries, times a factor that depends
    on the parameter alone, as in `dT = -np.sum(dz * z) / T**2`: then the parameter is a number.

    rule: the function that computes the gradient; returned: the expression that it returns for
    it, used where no assignment to the gradient is found.
    """
    text = find_gradient_text(rule, name) or ast.parse(returned, mode="eval").body
    factors = list(_list_factors(text))
    left = [one for one in factors if not _is_total(one)]
    used = {node.id for one in left for node in ast.walk(one) if isinstance(node, ast.Name)}
    return len(left) < len(factors) and used <= {name, "np", "jnp", "math"}


def find_gradient_text(function: Function, name: str) -> ast.expr | None:
    """The expression that a function assigns to the gradient of a parameter, or returns under its
    name in a dict; None if there is none."""
    gradients = {f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad"}
    found = None
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in gradients:
            found = node.value
        if isinstance(node, ast.Dict):
            keys = [one.value if isinstance(one, ast.Constant) else None for one in node.keys]
            texts = (one for key, one in zip(keys, node.values, strict=True) if key == name)
            found = next(texts, found)
    if not isinstance(found, ast.Name):
        return found
    assigned = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
    texts = (node.value for node in assigned if ast.unparse(node.targets[0]) == found.id)
    return next(texts, None)


def _list_factors(text: ast.expr) -> Iterator[ast.expr]:
    """The factors and divisors of a product."""
    match text:
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
            yield from (*_list_factors(left), *_list_factors(right))
        case ast.UnaryOp(operand=inner):
            yield from _list_factors(inner)
        case _:
            yield text


def _is_total(text: ast.expr) -> bool:
    """Whether this is a sum without an axis or a trace, which is a number."""
    if not isinstance(text, ast.Call) or text.keywords:
        return False
    function = ast.unparse(text.func)
    of_numpy = re.fullmatch(r"(np|jnp)\.(sum|trace)", function) and len(text.args) == 1
    return bool(of_numpy) or (function.endswith(".sum") and not text.args)


def _match_names(
    names: Sequence[str], spelled: Sequence[str], values: Mapping[str, Value]
) -> list[str]:
    """The parameters whose gradients are returned, as the returned expressions suggest.

    Names decide as far as they match. The others are taken in this order: dicts and lists, weights
    and biases, a vector of all parameters, all parameters; samples come last.
    spelled: the expressions that are returned.
    """
    stems = {AFFIX.sub("", one).casefold() for one in spelled if AFFIX.search(one)}

    def is_named(name: str) -> bool:
        parts = [name, *map(str, values[name].fields)]
        cut_short = (stem for stem in stems if len(stem) > LETTERS and stem in name.casefold())
        whole = (one == part or names_gradient(one, part) for one in spelled for part in parts)
        return any(whole) or any(cut_short)

    named = [name for name in names if is_named(name)]
    records = [name for name in names if values[name].kind in (RECORD, ITEMS)]
    if named and not records:
        others = sorted((one for one in names if one not in named), key=is_samples)
        chosen = {*named, *others[: max(0, len(spelled) - len(named))]}
        return [name for name in names if name in chosen]
    if len(named) == len(spelled) or set(named) & set(records):
        return named
    vectors = [
        name
        for name in names
        if values[name].ends or is_weight(name) or (is_bias(name) and name.islower())
    ]
    theta = list(filter(is_parameters, names))
    count = len(spelled)
    groups = [one for one in (records, vectors, theta, list(names)) if one]
    return next((one[:count] for one in groups if len(one) >= count), groups[0] if groups else [])
