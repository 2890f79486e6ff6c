"""The error against the step as a figure: pip install 'gradcheck-cli[plot]'."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradcheck_cli.errors import UsageError
from gradcheck_cli.run.step_sweep import GradientSteps, StepsReport

SUFFIXES = (".svg", ".png", ".pdf")
MOST = 24  # gradients that a figure shows
COLORS = {2: "#0b6e99", 4: "#2f7d32", 6: "#8e3b9c"}


def refuse_path(path: str) -> None:
    """Raises UsageError if no figure can be saved there; called before anything is measured."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"'{path}' must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not (Path(path).parent).is_dir():
        raise UsageError(f"cannot save '{path}': there is no such folder")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        message = "--save needs another package: pip install 'gradcheck-cli[plot]'"
        raise UsageError(message) from error


def save(report: StepsReport, path: str) -> None:
    """Draw a panel for every gradient; the ending of the path gives the format.

    Raises UsageError if there is nothing to draw, or the file cannot be written.
    """
    panels = [
        (check.id, gradient)
        for check in report.checks
        for gradient in check.gradients
        if gradient.curves
    ][:MOST]
    if not panels:
        raise UsageError(f"there is nothing to draw in '{path}'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(2, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(5.6 * across, 4.0 * down), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(down, across, squeeze=False)
    for axis, (id, gradient) in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, id, gradient)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    _write(figure, Path(path))


def _draw_panel(axis: Any, id: str, of: GradientSteps) -> None:
    for curve in of.curves:
        pairs = [
            (step, error)
            for step, error in zip(of.steps, curve.errors, strict=True)
            if error is not None and error > 0
        ]
        color = COLORS[curve.order]
        axis.plot(*zip(*pairs, strict=True), ".-", color=color, lw=1, ms=4)
        axis.plot(
            [curve.best_step],
            [max(curve.best_error, 1e-17)],
            "o",
            ms=7,
            mfc="none",
            color=color,
            label=f"order {curve.order}, at best {curve.best_error:.0e}",
        )
    if of.known_to:
        axis.axhspan(1e-18, of.known_to, color="0.9", lw=0)
        text = f" step: auto knows the gradient to {of.known_to:.0e}"
        axis.text(of.steps[-1], of.known_to, text, fontsize=7, va="bottom", color="0.35")
    if of.chosen is not None:
        axis.axvline(
            of.chosen, color="#b35c00", ls="--", lw=1.2, label="step: auto goes down to here"
        )
    axis.set(
        xscale="log",
        yscale="log",
        title=f"{id}  {of.gradient}",
        xlabel="step h, in the units of the input",
        ylabel="error / largest entry",
        xlim=(of.steps[-1] / 2, of.steps[0] * 2),
        ylim=(1e-17, 1e2),
    )
    axis.text(0.03, 0.97, "rounding ∝ 1/h", transform=axis.transAxes, fontsize=8, va="top")
    hint = "truncation ∝ h², h⁴, h⁶"
    axis.text(0.97, 0.97, hint, transform=axis.transAxes, fontsize=8, va="top", ha="right")
    axis.grid(alpha=0.25, lw=0.5)
    axis.legend(fontsize=7, loc="lower left", framealpha=0.9)


def _write(figure: Any, path: Path) -> None:
    """Write the whole file, or nothing."""
    beside: str | None = None
    try:
        handle, beside = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        figure.savefig(beside, dpi=150, format=path.suffix.lower()[1:])
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(f"cannot save '{path}': {error.strerror or error}") from error
    finally:
        if beside is not None:
            with suppress(OSError):
                os.unlink(beside)
