"""Describe the inputs and constants of a function or a class, as its text implies them.

The code is read and not run. What it does not imply is guessed from names, and marked as a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

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
    forward = find_method(made, method, known) or ast.parse(f"def {method}(self): pass").body[0]
    assert isinstance(forward, ast.FunctionDef)
    rule = find_method(made, backward, known)
    inference = InputInference(tree, forward, loss, rule, text=made)
    owner, settings = inference.make(made, maker or find_method(made, "__init__", known))
    before = _copy_object(owner)
    inference.follow(owner)
    inference.shorten_windows(settings)
    trained = _drop_cached(owner, before)
    described = inference.describe([rule] if rule is not None else [])
    weights = _name_weights(trained, made) if own_gradients else {}
    if (loss and weights) or (rule is not None and covers_own_weights_only(rule, weights)):
        described = _make_constants(described)
    inputs = {
        **described.inputs,
        **{path: inference.writer.write_shape(one) for path, one in weights.items()},
    }
    others = {name: one for name, one in settings.items() if name not in inputs}
    constants = dict(inference.constants_of(others)) | dict(described.constants)
    return Described(inputs, constants, dict(inference.sizes.values))


def _drop_cached(owner: Value, before: Value) -> Value:
    """An object without the attributes that its forward stores for its backward.

    owner: after the forward; before: its copy from before it. Weights that only the forward makes,
    where the constructor has left None or an empty dict, are kept.
    """

    def is_made_late(key: str) -> bool:
        attribute = owner.fields[key]
        if key in PARAMETER_HOLDERS and attribute.kind == RECORD:
            return True
        named = is_weight(key) or is_bias(key)
        return named and before.fields[key].kind is None and attribute.kind == ARRAY

    late = {key: owner.fields[key] for key in filter(is_made_late, before.fields)}
    return Value(OBJECT, fields={**before.fields, **late})


def _name_weights(owner: Value, made: ast.ClassDef) -> dict[str, Value]:
    """The arrays of an object with a gradient, by path; an array with several by the first."""
    weights = reversed([*_weights_of(owner, made)])
    found = {id(weight): (path, weight) for path, weight in weights}
    return dict(reversed(found.values()))


def _make_constants(described: Described) -> Described:
    """The description with all inputs made constants."""
    constants = {
        name: Given(ARRAY_TEXT.sub(r"{shape: \1}", given.text), given.guess)
        for name, given in described.inputs.items()
    }
    return Described({}, {**constants, **described.constants}, described.sizes)


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
