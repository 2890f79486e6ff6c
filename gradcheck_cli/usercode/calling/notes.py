"""Notes on what the user's functions did during a check."""

from __future__ import annotations

from gradcheck_cli.text import join_words
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.gradient_reader import GradientReader


def describe_calls(calls: Calls) -> tuple[str, ...]:
    """Notes on gradients of no input, changed inputs, random numbers and points without a value."""
    notes = _describe_gradients(calls.reader)
    notes += tuple(
        f"{calls.source.forward} changes {name}: it is not what was set before the call"
        for name in calls.replaced
    )
    notes += tuple(
        f"{calls.source.backward} gives no ∂L/∂{name}, and no output that is checked depends on "
        f"{name}: it counts as zero"
        for name, ignored in calls.independence.ignored.items()
        if ignored
    )
    if calls.output_attribute:
        notes += (
            f"{calls.source.forward} returns nothing: its output is self.{calls.output_attribute}",
        )
    if calls.random.drawn:
        streams = join_words(list(calls.random.drawn))
        notes += (f"the code draws from {streams}, which had the same state before every call",)
    if not calls.errors:
        return notes
    points = f"{len(calls.errors)} displaced point{'s' * (len(calls.errors) != 1)}"
    what = str(calls.errors[0]).splitlines()[0]
    return (*notes, f"the forward could not be evaluated at {points}: {what}")


def _describe_gradients(reader: GradientReader) -> tuple[str, ...]:
    """Notes on gradients that were not checked, or not found."""
    who, more = reader.source.backward, reader.extra_values
    notes = tuple(
        f"∂L/∂{name} is not checked: {name} is no array of floats among the inputs"
        for name in reader.unchecked
    )
    notes += tuple(
        f"{who} returned {key}, which is the gradient of no input: it is not checked"
        for key in reader.unused_keys
    )
    notes += tuple(
        f"{who} leaves {name}, of the shape of {parameter}, which is no input: it is not checked"
        for name, parameter in reader.beside.items()
    )
    notes += tuple(
        f"{who} returns ∂L/∂{name}, and leaves another one in its object: "
        "what it returns is checked"
        for name in reader.kept_others
    )
    if reader.updated:
        notes += (
            f"{who} updates {join_words(list(reader.updated))}: the gradient is "
            "what it takes away, over the learning rate",
        )
    if more:
        last = "the last value" if more == 1 else f"the last {more} values"
        notes += (f"{who} returns more than gradients: {last} left out",)
    return notes + tuple(
        f"{who} leaves no ∂L/∂{name} as d{last}, grads['{last}'] or "
        f"{last}.grad; like a gradient, the object has {join_words(attributes)}"
        for name, attributes in reader.missing.items()
        for last in [name.rpartition(".")[2]]
        if attributes
    )
