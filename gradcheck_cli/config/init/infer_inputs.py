"""Infer the inputs and constants of a function from its text, and what a config gives for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.config.init.declared_parameters import DeclaredParameters, plain_parameter
from gradcheck_cli.config.init.inference.axes import settle_sums, unify_all
from gradcheck_cli.config.init.inference.givens import (
    SETTING,
    Given,
    GivenWriter,
    is_fixed,
    is_setting,
)
from gradcheck_cli.config.init.inference.gradients import (
    has_gradient,
    is_summed_up,
    list_undifferentiated,
    list_without_gradient,
)
from gradcheck_cli.config.init.inference.interpreter import Interpreter
from gradcheck_cli.config.init.inference.matching import list_unmatched_by_shape, match_gradients
from gradcheck_cli.config.init.inference.modules import apply
from gradcheck_cli.config.init.inference.settings import find_setting
from gradcheck_cli.config.init.inference.sizes import Sizes
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    OBJECT,
    SIZE,
    Value,
    number,
    sequence,
)
from gradcheck_cli.config.init.names import (
    NUMBERS,
    is_bias,
    is_labels,
    is_mask,
    is_size,
    is_sizes,
    is_state_before,
    is_text,
    is_weight,
    is_window,
)
from gradcheck_cli.config.init.syntax import (
    Function,
    is_list,
    list_returned_gradients,
    parameter_defaults,
    parameter_names,
)
from gradcheck_cli.usercode.calling.gradients import list_gradient_names
from gradcheck_cli.usercode.calling.names import is_cache, is_upstream

LAYERS = 3  # the number of sizes in a list of the sizes of layers, with that of the input
# A sum over the first axis.
SUMMED = re.compile(r"sum\((.*, )?(axis=|dim=)?\(?0,?\)?\)$")


class Described(Struct, frozen=True):
    """The inputs and constants of a function, and the sizes that their shapes name.

    constraint: the sets that inputs must be in, such as the orthogonal matrices.
    """

    inputs: Mapping[str, Given]
    constants: Mapping[str, Given]
    sizes: Mapping[str, int]
    constraint: Mapping[str, Given] = {}


class InputInference:
    """Infers what the parameters of a function are, and what a config gives for them.

    loss: whether the function returns a value with its gradients. rule: the function that returns
    the gradients, if there is one. text: of the class that a method is in; None: of the functions.
    """

    def __init__(
        self,
        tree: ast.Module,
        function: Function,
        loss: bool,
        rule: Function | None = None,
        text: ast.AST | None = None,
    ) -> None:
        self.function = function
        self.loss = loss
        self.defaults = parameter_defaults(function)
        self.sizes = Sizes(parameter_names(function))
        self.writer = GivenWriter(self.sizes)
        self.interpreter = Interpreter(tree, self.sizes.allocate)
        beside = [] if rule in (None, function) else [rule]
        text = text or ast.Module([function, *beside], [])
        self.parameters = DeclaredParameters(function, text, self.sizes, self.interpreter)
        self.values = {name: self.parameters.read(name) for name in parameter_names(function)}
        if rule is not None:
            self.note_gradients(rule)
        self.output = self.cache = self.returned = Value()
        self.owner: Value | None = None

    def note_gradients(self, rule: Function) -> None:
        """Note which parameters have a gradient, so that they are arrays.

        They are those that the name of a returned gradient refers to, and all without a default if
        as many gradients are returned. Also note whose gradient is a number, or a sum over samples.

        rule: the function that returns the gradients.
        """
        spelled = list_returned_gradients(rule, value_first=self.loss)
        needed = [name for name in self.values if name not in self.defaults]
        every = len(needed) == len(spelled) > 1 and "None" not in spelled
        returned = dict(zip(needed, spelled, strict=True)) if len(needed) == len(spelled) else {}
        for name in needed:
            named = not {name, *list_gradient_names(name)}.isdisjoint(spelled)
            self.values[name].has_gradient = every or named
            in_place = returned.get(name, "None")
            if is_summed_up(name, rule, in_place) and not (is_bias(name) or is_weight(name)):
                self.values[name].kind, self.values[name].axes = ARRAY, []
        if len(spelled) == len(self.values):
            for value, text in zip(self.values.values(), spelled, strict=True):
                value.summed = SUMMED.search(text) is not None

    def follow(self, owner: Value | None = None) -> None:
        """Follow the function; owner: the object of a method."""
        scope = dict(self.values)
        if owner is not None:
            scope["self"] = self.owner = owner
        returned = self.interpreter.follow(self.function, scope)
        several = returned.kind == ITEMS
        self.output = returned.fields.get(0, Value()) if several else returned
        self.tie_states()
        behind = list(returned.fields.values())[1:] if several else []
        self.cache = behind[-1] if behind else Value()
        if self.loss:
            self.returned = sequence(*behind)
            match_gradients(self.values, self.owner, scope, Value())

    def tie_states(self) -> None:
        """Give the states before a step, such as h_prev and c_prev, the shape of the output, which
        is the state after it."""
        states = [value for name, value in self.values.items() if is_state_before(name)]
        for value in states:
            unify_all(value.axes or (), self.output.axes or ())
            unify_all(value.axes or (), states[0].axes or ())
        for value in self.values.values() if states else ():
            for axis in value.axes or ():
                settle_sums(axis)

    def make(self, made: ast.ClassDef, maker: Function | None) -> tuple[Value, dict[str, Value]]:
        """Follow `maker`, a constructor or a function that returns an object.

        Returns the object, and by name the parameters of the maker that a config must give.
        """
        owner = Value(OBJECT, node=made)
        if maker is None:
            return owner, {}
        taken = {name: plain_parameter(name) for name in parameter_names(maker)}
        defaults = parameter_defaults(maker)
        for name, value in taken.items():
            default = defaults.get(name)
            plain = isinstance(default, ast.Constant) and not _is_count(default)
            if plain or (name in NUMBERS and name in defaults):
                taken[name] = (
                    self.interpreter.evaluate(default, {}) if default is not None else value
                )
            elif is_sizes(name) and is_list(maker, name):
                value.kind = ITEMS
                for place in range(LAYERS - 1 if name.startswith("hid") else LAYERS):
                    value.field(place).as_size()
        returned = self.interpreter.follow(maker, {**taken, "self": owner})
        # A size with the name of an optional parameter would be handed to it, such as n to n=3.
        others = (name for name, one in taken.items() if name in defaults and one.kind != SIZE)
        self.sizes.taken |= {*others}
        return owner if returned.kind != OBJECT else returned, {
            name: value
            for name, value in taken.items()
            if value.kind in (SIZE, ITEMS) or name not in defaults
        }

    def shorten_windows(self, settings: Mapping[str, Value]) -> None:
        """Note which sizes are those of windows, which are smaller than what they slide over."""
        for name, value in settings.items():
            if value.kind == SIZE and is_window(name):
                value.as_size().root.small = True

    def constants_of(self, settings: Mapping[str, Value]) -> Iterator[tuple[str, Given]]:
        """What a config gives for the parameters of a constructor, by name; nothing for sizes that
        shapes name already."""
        for name, value in settings.items():
            if value.kind is None and is_size(name):
                value.as_size()
            if value.kind is None and is_text(name):
                yield name, Given(name)
            if value.kind is None and not is_setting(value):
                continue
            fixed = value.kind == ARRAY and value.axes is not None
            given = (
                self.writer.write_constant(name, value) if fixed else self.writer.write(name, value)
            )
            if given is not None:
                yield name, given

    def describe(self, others: Sequence[Function]) -> Described:
        """The inputs and the constants, in the order of the parameters.

        others: the functions that are called with this one, see `follow_others`.
        """
        inputs: dict[str, Given] = {}
        constants: dict[str, Given] = {}
        self.sizes.taken |= {name for other in others for name in parameter_names(other)}
        extra = self.follow_others(others)
        self.sizes.small |= any(len(value.axes or ()) > 3 for value in self.values.values())
        settings = {
            name: find_setting(self.function, name, value) for name, value in self.values.items()
        }
        arrays = {
            name: value
            for name, value in self.values.items()
            if settings[name] is None and not is_fixed(name, value) and name not in self.defaults
        }
        rule = self.function if self.loss else others[-1] if others else None
        without = list_unmatched_by_shape(arrays, self.returned)
        without = without or list_without_gradient(arrays, rule, loss=self.loss)
        without += list_undifferentiated(self.function, rule)
        for name, value in self.values.items():
            setting = settings[name]
            if setting is not None:
                constants[name] = setting
                continue
            if name in self.defaults and not self.is_label(name) and not has_gradient(name, rule):
                continue
            given = self.writer.write(name, value)
            if given is None:
                continue
            if name in without or given.text == SETTING or is_fixed(name, value):
                constants[name] = self.write_constant(name, value)
            else:
                several = value.kind == ITEMS and re.search(rf"{SETTING}|\[\]", given.text)
                inputs[name] = Given(f"[{len(value.fields)}]", guess=True) if several else given
        for part in (inputs, constants):
            documented = [name for name in part if self.values[name].is_documented]
            part |= {name: replace(part[name], documented=True) for name in documented}
        constants |= {name: self.write_constant(name, value) for name, value in extra.items()}
        if self.output.kind == OBJECT and self.output.text:  # a function that makes a module
            taken = plain_parameter("x")
            apply(self.output, taken, self.sizes.allocate)
            inputs["x"] = self.writer.write_shape(
                taken if taken.axes else self.writer.guess_array("x")
            )
        return Described(inputs, constants, dict(self.sizes.values))

    def write_constant(self, name: str, value: Value) -> Given:
        """What a config gives for a value without a gradient; labels of a softmax are one-hot."""
        given = self.writer.write_constant(name, value)
        text = ast.unparse(self.parameters.text)
        if (
            is_mask(name)
            and "distribution: mask" in given.text
            and re.search(r"\binf\b|1e\d|softmax|exp\(", text)
        ):
            # Of an attention: every query keeps some of its keys.
            kept = given.text.replace("mask,", "mask, keep: 0.8,")
            return replace(given, text=kept)
        columns = is_labels(name) and value.rank == 2 and value.classes is None
        if columns and re.search(r"softmax|exp\(.*\bsum\(", text, re.DOTALL | re.IGNORECASE):
            shape = self.writer.write_shape(value).text
            return Given(f"{{distribution: one-hot, shape: {shape}}}", given.guess)
        return given

    def is_label(self, name: str) -> bool:
        """Whether a parameter is the labels of a loss, with the default None."""
        default = self.defaults.get(name)
        none = isinstance(default, ast.Constant) and default.value is None
        return self.loss and none and is_labels(name)

    def follow_others(self, others: Sequence[Function]) -> dict[str, Value]:
        """Follow the functions that are called after this one: a loss of its output, and last the
        backward.

        Returns those of their parameters that are neither parameters of this function nor results:
        labels and settings, by name.
        """
        extra: dict[str, Value] = {}
        outputs: dict[str, Value] = {}
        labelled = any(map(is_labels, self.values))
        kept = list_returned_gradients(self.function)[1:]  # return out, idx
        for other in others:
            names = parameter_names(other)
            for name in names:
                known = name in {**self.values, **outputs} or name in kept
                setting = name in NUMBERS and not is_upstream(name)
                setting = setting and name not in parameter_defaults(other)
                if not known and (setting or (not labelled and is_labels(name))):
                    extra.setdefault(name, number() if setting else plain_parameter(name))
            scope = {**self.values, **extra, **outputs}
            free = [name for name in names if name not in scope]
            if other is not others[-1] and free:
                outputs[free[0]] = scope[free[0]] = self.output
            if other is others[-1]:
                caches = [name for name in free if is_cache(name) or name in kept[-1:]]
                scope |= dict.fromkeys(caches[:1], self.cache)
                takes_labels = any(name in extra for name in names if name not in NUMBERS)
                if takes_labels and free and not is_upstream(free[0]) and not caches:
                    scope[free[0]] = next(iter(self.values.values()), Value())  # backprop(x, y)
            scope = {**{name: Value() for name in names}, **scope}
            if self.owner is not None:
                scope["self"] = self.owner
            found = self.returned = self.interpreter.follow(other, scope)
            for axis in (found.axes or ()) if other is not others[-1] else ():
                if axis.root.open:
                    axis.root.value = 1  # a loss is a number
            match_gradients(self.values, self.owner, scope, found)
        return extra


def _is_count(node: ast.expr | None) -> bool:
    """Whether a default is a whole number that may be a size."""
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1
