"""The error against the step, drawn with characters: the V of truncation and rounding."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, isfinite, log10

import msgspec
from rich.text import Text

from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.lines import Line, indent, render_lines
from gradcheck_cli.reporters.words import format_number
from gradcheck_cli.run.step_sweep import CheckSteps, Curve, GradientSteps, StepsReport
from gradcheck_cli.text import format_shape

WIDTH, WIDEST = 80, 100  # columns where there is no window, and at most
ROWS = 16  # of a drawing: one for each decade of the error
MARGIN = 8  # columns left of the drawing
COLORS = {2: "cyan", 4: "green", 6: "magenta"}
CHOSEN, KNOWN = "┊", "╌"


def render(report: StepsReport, screen: Screen) -> str:
    """A drawing for every gradient, and what it shows in words."""
    width = min(screen.width or WIDTH, WIDEST)
    lines = (line for check in report.checks for line in _layout_check(check, width))
    return render_lines(lines, Screen(width, screen.color)).lstrip("\n")


def render_json(report: StepsReport) -> str:
    """The numbers, as one document."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def _layout_check(check: CheckSteps, width: int) -> Iterator[Line]:
    if check.not_run:
        head = Text("\nNOT RUN", style="yellow").append(f"  {check.id}", style="bold")
        yield head.append(f"  {check.path}", style="dim")
    elif check.error:
        yield Text("\nERROR", style="bold red").append(f"  {check.id}", style="bold")
        yield from (indent(line) for line in check.error.splitlines())
    for gradient in check.gradients:
        yield Text("")
        head = Text(f"{check.id}  {gradient.gradient}", style="bold")
        about = f"  {format_shape(gradient.shape)}, {check.dtype}, seed {check.seed}"
        if gradient.measured < gradient.entries:
            about += f", {gradient.measured} of {gradient.entries:,} entries"
        yield head.append(about, style="dim")
        if gradient.note or not gradient.curves:
            yield indent(gradient.note or "no quotient is finite at any step")
            continue
        yield from draw(gradient, width)
        yield from (indent(line) for line in describe(gradient))


def draw(of: GradientSteps, width: int) -> Iterator[Line]:
    """Draw the error of each stencil (upwards) against the step (to the right)."""
    across = min(len(of.steps), width - MARGIN - 1)
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    low, high = log10(of.steps[-1]), log10(of.steps[0])

    def column(step: float) -> int:
        return round((log10(step) - low) / (high - low) * (across - 1))

    if of.known_to:
        cells |= {(_row(of.known_to), place): (KNOWN, "dim") for place in range(across)}
    if of.chosen is not None and low <= log10(of.chosen) <= high:
        cells |= {(row, column(of.chosen)): (CHOSEN, "yellow") for row in range(ROWS + 1)}
    for curve in reversed(of.curves):
        for step, error in zip(of.steps, curve.errors, strict=True):
            if error is not None:
                cells[_row(error), column(step)] = (str(curve.order), COLORS[curve.order])
    for row in range(ROWS + 1):
        label = "" if row % 4 else f"1e-{row:02}" if row else "1"
        line = Text(f"{label:>{MARGIN - 2}} ", style="dim").append("┤" if label else "│")
        for place in range(across):
            line.append(*cells.get((row, place), (" ", "")))
        yield line
    yield from _draw_axis(low, high, across)


def _row(error: float) -> int:
    """The row of an error: 0 for an error of 1 or more, ROWS for one of 1e-16 or less."""
    return min(ROWS, max(0, round(-log10(error)))) if error > 0 else ROWS


def _draw_axis(low: float, high: float, across: int) -> Iterator[Line]:
    """The axis below a drawing, with powers of ten of the step."""
    ticks, labels = ["─"] * across, [" "] * (across + 6)
    decades = 2 if across >= 56 else 4
    for exponent in range(-(-floor(low) // decades) * decades, floor(high) + 1, decades):
        place = round((exponent - low) / (high - low) * (across - 1))
        if 0 <= place < across:
            label = f"1e{exponent:+03d}"
            start = max(0, min(place - 2, across + 6 - len(label)))
            if all(cell == " " for cell in labels[max(0, start - 1) : start + len(label)]):
                ticks[place] = "┬"
                labels[start : start + len(label)] = label
    yield Text(" " * (MARGIN - 1) + "└" + "".join(ticks))
    yield Text(" " * MARGIN + "".join(labels).rstrip(), style="dim")


def describe(of: GradientSteps) -> Iterator[str]:
    """What the drawing shows, in words."""
    names = ", ".join(str(curve.order) for curve in of.curves)
    yield f"{names}: error of the stencil of this order, over the largest entry; across: the step"
    yield "; ".join(
        f"order {curve.order}: at best {format_number(curve.best_error)} at "
        f"{format_number(curve.best_step)}"
        for curve in of.curves
    )
    if of.chosen is not None:
        yield (
            f"{CHOSEN} step: auto goes down to {format_number(of.chosen)} and extrapolates to 0: "
            f"it knows the gradient to {format_number(of.known_to)} ({KNOWN})"
        )
    if all(map(_is_exact, of.curves)):
        yield "no truncation: nothing beyond a square here, so the largest step is the best"
    else:
        yield (
            "right of the best step truncation rules: ten times the step, 10^order times the "
            "error; left of it rounding: a tenth of the step, ten times the error"
        )


def _is_exact(curve: Curve) -> bool:
    """Whether the largest step is as good as any, so that there is no truncation error."""
    largest = curve.errors[0]
    return largest is not None and isfinite(largest) and largest < 1e-9
