"""The command `steps`: show why a step is chosen."""

from __future__ import annotations

import click

from gradcheck_cli.cli import options as of
from gradcheck_cli.cli.reports import note_code_not_run
from gradcheck_cli.cli.streams import note, show_progress, terminal_width, wants_color, write
from gradcheck_cli.errors import UsageError
from gradcheck_cli.processes.signals import raise_on_signals
from gradcheck_cli.report import ExitCode
from gradcheck_cli.reporters import Screen
from gradcheck_cli.run import choose


@click.command(name="steps", short_help="Draw why a step is chosen.")
@of.options(of.CONFIGS, of.EXCLUDE, of.SELECT, of.SET, of.format_option(("table", "json")))
@click.option("--save", metavar="PATH", help="Also a figure: .svg, .png or .pdf.")
@of.options(of.COLOR, of.ALLOW_CODE, of.TIME)
def steps_command(
    configs: tuple[str, ...],
    exclude: tuple[str, ...],
    select: tuple[str, ...],
    set: tuple[str, ...],
    format: str,
    save: str | None,
    color: str,
    allow_code: bool,
    timeout: float,
) -> int:
    """Draw the error of the numeric gradient against the step, for each central stencil.

    Large steps truncate, small ones round: the error is a V, and the step that was chosen is
    marked in it.
    """
    from gradcheck_cli.config.load import load
    from gradcheck_cli.config.overrides import read_overrides

    if save is not None:
        from gradcheck_cli.reporters import step_figure

        step_figure.refuse_path(save)
    checks = load(configs, note, overrides=read_overrides(set), exclude=exclude)
    checks = choose.select(checks, select)
    from gradcheck_cli.reporters.step_drawing import render, render_json
    from gradcheck_cli.run import step_sweep as steps

    with show_progress() as bar, raise_on_signals():
        report = steps.run(checks, bar, timeout, allow_code)
    screen = Screen(terminal_width(), wants_color(color))
    text = render_json(report) if format == "json" else render(report, screen)
    code = write(text, report.exit_code)
    note_code_not_run(checks, allow_code)
    if save is not None:
        try:
            step_figure.save(report, save)
        except UsageError as error:
            note(f"error: {error}")
            return code or ExitCode.NOTHING_CHECKED
        note(f"saved {save}")
    return code
