"""Describe the inputs and constants of a function or a class, as its text implies them.

The code is read and not run. What it does not imply is guessed from names, and marked as a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from gradcheck_cli.config.init.classes import classes_of
from gradcheck_cli.config.init.infer_inputs import Described, InputInference
from gradcheck_cli.config.init.inference.givens import Given
from gradcheck_cli.config.init.inference.gradients import covers_own_weights_only
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    OBJECT,
    RECORD,
    Value,
)
from gradcheck_cli.config.init.names import is_bias, is_weight
from gradcheck_cli.config.init.syntax import Function, find_method
from gradcheck_cli.usercode.calling.gradients import (
    GRADIENT_LIKE,
    PARAMETER_HOLDERS,
    WRAPPED,
    list_gradient_names,
    names_gradient,
)
from gradcheck_cli.usercode.calling.names import RATES

ARRAY_TEXT = re.compile(r"(?<!shape: )(\[[^\[\]]*\])")  # a shape, also in a list of them


def describe_function(
    tree: ast.Module,
    function: Function,
    *,
    loss: bool = False,
    others: Sequence[Function] = (),
) -> Described:
    """The inputs and constants of a function of a file.

    loss: whether it returns a value with its gradients. others: the functions that are called
    after it: a loss, and last the backward. They show which parameters have a gradient, and what
    else is needed.
    """
    rule = function if loss else others[-1] if others else None
    inference = InputInference(tree, function, loss, rule)
    inference.follow()
    return inference.describe(others)


def describe_class(
    tree: ast.Module,
    made: ast.ClassDef,
    method: str,
    backward: str = "backward",
    *,
    own_gradients: bool = True,
    loss: bool = False,
    maker: Function | None = None,
) -> Described:
    """The inputs and constants of a method of an object: those of the method, the weights that the
    constructor makes, and the parameters of the constructor.

    own_gradients: whether the object has gradients of its weights; if so, they are inputs.
    loss: whether the method returns a value with its gradients.
    maker: a function that returns the object, in place of the constructor.
    """
    known = classes_of(tree)
    taken = find_method(made, method, known)
    constructor = find_method(made, "__init__", known)
    empty = ast.parse(f"def {method}(self): pass").body[0]
    assert isinstance(empty, ast.FunctionDef)
    other = find_method(made, backward, known)
    inference = InputInference(tree, taken or empty, loss, other, text=made)
    owner, settings = inference.make(made, maker or constructor)
    before = _copy_object(owner).fields  # without what the forward keeps
    inference.follow(owner)
    inference.shorten_windows(settings)
    kept = Value(OBJECT, fields=before)
    late = [
        key
        for key in before
        if (key in PARAMETER_HOLDERS and owner.fields[key].kind == RECORD)
        or _is_made_late(key, owner, before)
    ]
    kept.fields |= {key: owner.fields[key] for key in late}
    described = inference.describe([other] if other is not None else [])
    every = {id(one): (path, one) for path, one in [*_weights_of(kept, made)][::-1]}
    weights = dict([*every.values()][::-1]) if own_gradients else {}  # each by its first name
    if (loss and weights) or (other is not None and covers_own_weights_only(other, weights)):
        left = {
            name: Given(ARRAY_TEXT.sub(r"{shape: \1}", one.text), one.guess)
            for name, one in described.inputs.items()
        }
        described = Described({}, {**left, **described.constants}, described.sizes)
    inputs = {
        **described.inputs,
        **{path: inference.giver.array(one) for path, one in weights.items()},
    }
    others = {name: one for name, one in settings.items() if name not in inputs}
    constants = dict(inference.constants_of(others)) | dict(described.constants)
    return Described(inputs, constants, dict(inference.sizes.values))


def _is_made_late(key: str, owner: Value, before: Mapping[str, Value]) -> bool:
    """Whether an attribute that the constructor leaves None is a weight after the forward."""
    called = is_weight(key) or is_bias(key)
    return called and before[key].kind is None and owner.fields[key].kind == ARRAY


def _copy_object(value: Value, known: dict[int, Value] | None = None) -> Value:
    """A copy of an object, with copies of the objects, lists and dicts in it.

    known: the copies made so far, by the id of their original, since an object may hold itself.
    """
    if value.kind not in (OBJECT, ITEMS, RECORD) or value.text:
        return value
    known = {} if known is None else known
    if id(value) not in known:
        known[id(value)] = made = Value(value.kind, name=value.name, node=value.node)
        made.fields = {key: _copy_object(part, known) for key, part in value.fields.items()}
    return known[id(value)]


def _weights_of(
    owner: Value, made: ast.ClassDef, path: str = "", around: tuple[Value, ...] = ()
) -> Iterator[tuple[str, Value]]:
    """The arrays of an object whose gradients its text names, by their path, such as `fc.W`.

    around: the objects that it is held by, one of which it may hold in turn.
    """
    if any(one is owner for one in around):
        return
    around = (*around, owner)
    text = "\n".join(
        ast.unparse(one) for one in made.body if getattr(one, "name", "") != "__init__"
    )
    shared = not {*PARAMETER_HOLDERS}.isdisjoint(owner.fields)  # with the layers in a dict
    for key, part in owner.fields.items():
        name = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        wrapped = next((part.fields[one] for one in WRAPPED if one in part.fields), None)
        if isinstance(key, str) and _is_array(part):
            if _has_gradient(key, text) or (path and (is_weight(key) or is_bias(key))):
                yield name, part
        elif isinstance(key, str) and part.kind == NUMBER and _has_gradient(key, text):
            yield name, Value(ARRAY, axes=[])
        elif wrapped is not None and _is_array(wrapped):
            yield name, wrapped
        elif part.kind == RECORD and not GRADIENT_LIKE.search(str(key)):
            common = key in PARAMETER_HOLDERS
            for one, held in part.fields.items():
                if common and held.kind == ARRAY:
                    yield str(one), held
                elif isinstance(one, str) and _is_array(held) and _has_gradient(one, text):
                    yield f"{name}.{one}", held
                elif held.kind == OBJECT and held.node is not None and not shared:
                    yield from _weights_of(held, held.node, f"{name}.{one}", around)
        elif part.kind == OBJECT and part.node is not None:
            yield from _weights_of(part, part.node, name, around)
        elif part.kind == ITEMS:
            lists = key == "params" or is_weight(str(key)) or is_bias(str(key))
            for place, one in part.fields.items():
                if lists and _is_array(one):
                    yield f"{name}[{place}]", one
                if one.kind == OBJECT and one.node is not None:
                    yield from _weights_of(one, one.node, f"{name}[{place}]", around)


def _is_array(value: Value) -> bool:
    """Whether a value is an array of known axes, and not a number."""
    return value.kind == ARRAY and bool(value.axes)


def _has_gradient(key: str, text: str) -> bool:
    """Whether the text of methods names a gradient of an attribute of their object.

    It is spelled as dW, self._dW or grads["W"], or a step of gradient descent subtracts it.
    """
    names = "|".join(list_gradient_names(key))
    spelled = rf"\b({names})\b|grads?\[['\"]d?{key}['\"]\]|['\"]d?{key}['\"]:"
    spelled += rf"|self\.{key} -= [^/\n]*\b({'|'.join(RATES)})\b[^/\n]*$"
    kept = re.findall(r"(?:self\.|\[')(\w+)\b['\]]* *[^=\n]{0,2}=(?!=)", text)
    named = any(one != key and names_gradient(one, key) for one in kept)
    return named or re.search(spelled, text, re.MULTILINE) is not None
