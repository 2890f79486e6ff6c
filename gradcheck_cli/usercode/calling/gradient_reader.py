"""Read the gradients of the inputs: returned by the backward, or kept by its object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.gradients import (
    gradient_of,
    name_gradients,
    name_lists,
    shape_of,
    unmatched_keys,
)
from gradcheck_cli.usercode.calling.kept_gradients import (
    find_gradient,
    find_input_gradient,
    gradient_attributes,
    list_unchecked_parameters,
    match_changed_arrays,
)
from gradcheck_cli.usercode.calling.objects import memory_of
from gradcheck_cli.usercode.calling.pairs import Source
from gradcheck_cli.usercode.calling.values import Array, find_other_claims, is_of_parts
from gradcheck_cli.usercode.trees import as_mapping, leaves, rebuild

NOTED = 3  # only in the first calls of a backward, gradients that are not checked are searched for


class GradientReader:
    """Reads the gradients that a backward claims, and notes those that no input has.

    inputs: as the functions take them; arrays: the arrays of floats in them, by leaf.
    initial: the arrays in the object before its forward. held: the inputs set on the object.
    leaf_names: W for the leaf params.W. reads: how many times gradients were read.

    The other fields are for notes. unchecked: what has a gradient and is no input; unused_keys: of
    a returned dict; missing: held inputs without a gradient, and what may be meant as one;
    extra_values: how many values were returned after the gradients; updated: inputs whose gradient
    is an update; beside: unread arrays, each with a parameter of its shape; kept_others: inputs
    whose returned gradient differs from the kept one.
    """

    def __init__(
        self,
        source: Source,
        inputs: Mapping[str, Any],
        arrays: Mapping[str, Array],
        initial: Mapping[str, Any],
    ) -> None:
        self.source = source
        self.inputs = inputs
        self.arrays = arrays
        self.initial = initial
        self.held = [name for name in source.held if name in inputs]
        self.leaf_names = [leaf.rpartition(".")[2] for leaf in arrays]  # W of params.W
        self.unchecked: dict[str, None] = {}
        self.unused_keys: dict[str, None] = {}
        self.missing: dict[str, list[str]] = {}
        self.extra_values = self.reads = 0
        self.updated: dict[str, None] = {}
        self.beside: dict[str, str] = {}
        self.kept_others: dict[str, None] = {}

    @property
    def noting(self) -> bool:
        """Whether gradients that are not checked are searched for in the next call."""
        return self.reads < NOTED

    def read(
        self,
        claimed: Any,
        owner: Any,
        used: Sequence[str],
        updated: Mapping[str, Any],
        changed: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The gradient of every input, from what the backward returned or its object keeps.

        used: the names of the values that the forward got, in order. updated: the gradients of
        parameters that the backward updated. changed: arrays of the object that are new or have
        changed.
        """
        names = [name for name, value in self.inputs.items() if any(leaves(value, name))]
        order = [*used, *self.held]
        claimed = self._name_fields(as_mapping(claimed))
        noting = self.noting
        self.reads += 1
        if noting:
            self._note_unchecked(claimed, owner, names, order)
        if len(names) == 1 and is_of_parts(claimed, names[0], self.inputs[names[0]]):
            return {names[0]: claimed}
        found = self._read_returned(claimed, names, order)
        if owner is not None:
            if noting:
                self._note_kept_others(owner, found)
            self._read_kept(owner, names, found)
        self._read_updates(updated, found)
        for name in (name for name in self.held if found.get(name) is None):
            self.missing[name] = gradient_attributes(owner, self.source.backward.rpartition(".")[2])
        if noting and owner is not None and not updated:
            self._note_beside(owner, found, changed)
        return found

    def _name_fields(self, claimed: Any) -> Any:
        """A named tuple with fields for gradients as a mapping; anything else as it is."""
        fields = claimed._asdict() if hasattr(claimed, "_asdict") else {}
        return fields if _names_any(fields, [*self.inputs, *self.leaf_names]) else claimed

    def _note_unchecked(
        self, claimed: Any, owner: Any, names: Sequence[str], order: Sequence[str]
    ) -> None:
        """Note the gradients, returned or kept by the object, of what is no input."""
        others = find_other_claims(claimed, order, set(self.inputs) - set(names))
        if owner is not None:
            own = list_unchecked_parameters(owner, [*self.inputs, *self.arrays], self.initial)
            others = [*others, *own]
        self.unchecked |= dict.fromkeys(others)
        if isinstance(claimed, Mapping):
            known = [*order, *self.inputs, *self.arrays, *self.leaf_names]
            self.unused_keys |= dict.fromkeys(unmatched_keys(claimed, known))

    def _read_returned(
        self, claimed: Any, names: Sequence[str], order: Sequence[str]
    ) -> dict[str, Any]:
        """The gradients that were returned, by the names of inputs."""
        held = self.held
        shapes = {name: self.arrays[name].shape for name in held if name in self.arrays}
        claimed = name_lists(claimed, shapes) or claimed
        mapping = isinstance(claimed, Mapping)
        if held and not mapping:
            whole = isinstance(claimed, tuple | list) and len(claimed) == len(names)
            names = names if whole else [name for name in names if name not in held]
        nested = [name for name in names if name not in self.arrays]
        if len(names) == 1 and not nested and _is_array(claimed, self.arrays[names[0]].shape):
            return {names[0]: claimed}
        if isinstance(claimed, tuple) and not nested:
            claimed = self._drop_extra_values(claimed, names, order)
        by_leaf = (
            mapping and not _names_any(claimed, names) and _names_any(claimed, self.leaf_names)
        )
        found = {}
        if names and claimed is not None and not by_leaf:
            found = name_gradients(claimed, names, order, self.source.backward, nested)
        for name in nested if mapping else ():
            if found.get(name) is None:  # the gradients of its arrays are keys of the same dict
                found[name] = claimed
        return found

    def _note_kept_others(self, owner: Any, found: Mapping[str, Any]) -> None:
        """Note the inputs whose kept gradient differs from the returned one."""
        for name in self.held:
            kept = find_gradient(owner, name) if found.get(name) is not None else None
            if kept is not None and not np.array_equal(kept, found[name]):
                self.kept_others[name] = None

    def _read_kept(self, owner: Any, names: Sequence[str], found: dict[str, Any]) -> None:
        """Add the gradients that the object keeps, for inputs without a returned one."""
        lacking = [name for name in self.inputs if found.get(name) is None]
        found |= {name: self._find_kept(owner, name) for name in lacking}
        arguments = [name for name in names if name not in self.held]
        if len(arguments) == 1 and found[arguments[0]] is None:
            found[arguments[0]] = find_input_gradient(owner)

    def _read_updates(self, updated: Mapping[str, Any], found: dict[str, Any]) -> None:
        """Add the gradients that follow from updates, for inputs that have no other."""
        for name, gradient in updated.items():
            if name not in self.inputs:
                self.unchecked[name] = None
            elif found.get(name) is None:
                found[name] = gradient
                self.updated[name] = None

    def _note_beside(
        self, owner: Any, found: Mapping[str, Any], changed: Mapping[str, Any]
    ) -> None:
        """Note changed arrays that may be the gradient of a parameter that is no input."""
        names = [*self.inputs, *self.arrays]
        read = [part for gradient in found.values() for _, part in leaves(gradient, "")]
        noted = (find_gradient(owner, name) for name in self.unchecked)
        known = {memory_of(one) for one in (*read, *noted)}
        others = {name: one for name, one in changed.items() if memory_of(one) not in known}
        self.beside |= match_changed_arrays(owner, [*names, *self.unchecked], self.initial, others)

    def _drop_extra_values(
        self, claimed: tuple[Any, ...], names: Sequence[str], order: Sequence[str]
    ) -> tuple[Any, ...]:
        """The gradients without values that follow them, such as the last state of an RNN.

        They are dropped if the values before them have the shapes of the inputs, and there is not
        one value for each input and constant.
        """
        more = len(claimed) - len(names)
        fits = (
            shape_of(gradient) == self.arrays[name].shape
            for gradient, name in zip(claimed, names, strict=False)
        )
        if not names or more <= 0 or len(claimed) == len(order) or not all(fits):
            return claimed
        self.extra_values = more
        return claimed[: len(names)]

    def _find_kept(self, owner: Any, name: str) -> Any:
        """The gradient that the object keeps for an input, nested like the input."""
        gradient = find_gradient(owner, name)
        if gradient is not None or name in self.arrays:
            return gradient
        leaf_gradients = {
            leaf: find_gradient(owner, leaf) for leaf, _ in leaves(self.inputs[name], name)
        }
        return rebuild(self.inputs[name], name, leaf_gradients)


def _names_any(gradients: Mapping[Any, Any], names: Sequence[str]) -> bool:
    """Whether a mapping has a gradient of any of these inputs."""
    return any(gradient_of(name, gradients) is not None for name in names)


def _is_array(claimed: Any, shape: tuple[int, ...]) -> bool:
    """Whether a list, or a tuple of numbers, is an array of this shape, by rows or by entries."""
    if isinstance(claimed, tuple):
        numbers = not any(getattr(item, "ndim", 0) for item in claimed)
        return numbers and len(claimed) > 1 and shape_of(claimed) == shape
    return isinstance(claimed, list) and shape_of(claimed) == shape
