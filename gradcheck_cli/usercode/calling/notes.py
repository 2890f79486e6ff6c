"""Notes on what the user's functions did during a check."""

from __future__ import annotations

from gradcheck_cli.text import join_words
from gradcheck_cli.usercode.calling.calls import Calls


def describe_calls(calls: Calls) -> tuple[str, ...]:
    """Notes on gradients of no input, changed inputs, random numbers and points without a value."""
    notes = calls.reader.notes()
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
