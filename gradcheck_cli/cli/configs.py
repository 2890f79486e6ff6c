"""The commands that run no checks: validate, explain, schema, completion."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING

import click

from gradcheck_cli.cli import completion
from gradcheck_cli.cli import options as of
from gradcheck_cli.cli.streams import note, write
from gradcheck_cli.errors import UsageError
from gradcheck_cli.report import ExitCode
from gradcheck_cli.run import choose
from gradcheck_cli.text import count_of, printable

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck

# The schemas that can be printed: the module and the function that render each, imported on demand.
SCHEMAS = {
    "config": ("config.json_schema", "render_config_schema"),
    "report": ("reporters.json_schema", "render_report_schema"),
    "lines": ("reporters.json_schema", "render_lines_schema"),
}


@click.command(name="validate", short_help="Tell what is wrong with configs; run nothing.")
@of.options(of.CONFIGS, of.EXCLUDE, of.SET)
def validate_command(
    configs: tuple[str, ...], exclude: tuple[str, ...], set: tuple[str, ...]
) -> int:
    """Tell whether every CONFIG can be run, and how many checks it has; nothing is run.

    All that is wrong with configs is told at once. Exits with 2 if anything is.
    """
    counts = Counter(check.path for check in load_checks(configs, set, exclude=exclude))
    lines = [f"{printable(path)}: {count_of(count, 'check')}" for path, count in counts.items()]
    return write("\n".join([*lines, ""]), ExitCode.OK)


@click.command(name="explain", short_help="Walk a derivation, or spell out a code such as GC103.")
@click.argument(
    "configs",
    nargs=-1,
    required=True,
    metavar="CONFIG|DIR|FILE.py|-|CODE...",
    shell_complete=completion.complete_configs,
)
@of.options(of.SELECT, of.SET)
def explain_command(configs: tuple[str, ...], select: tuple[str, ...], set: tuple[str, ...]) -> int:
    """Walk the derivation for the layer of every CONFIG, with the paper's equation numbers.

    Or spell out a CODE of a report, such as GC103.
    """
    from gradcheck_cli.faults.explanation import explain_fault, is_fault_code

    codes = [word for word in configs if is_fault_code(word)]
    if len(codes) == len(configs):
        return write("\n".join(map(explain_fault, codes)), ExitCode.OK)
    if codes:
        raise UsageError(
            f"{codes[0]} is a code, the others are configs; explain one kind at a time"
        )
    from gradcheck_cli.layers.derivation import explain

    checks = choose.select(load_checks(configs, set, check_rules=False), select)
    return write("\n".join(explain(check.id, check.layer) for check in checks), ExitCode.OK)


@click.command(name="schema", short_help="Print a JSON Schema, so that editors complete configs.")
@click.argument("which", type=click.Choice(list(SCHEMAS)), default="config", metavar="[WHICH]")
def schema_command(which: str) -> int:
    """Print a JSON Schema: of a config, of a report in JSON, or of the lines of JSONL.

    WHICH is config, report or lines. With that of a config, editors complete and underline.
    """
    module, function = SCHEMAS[which]
    render = getattr(import_module(f"gradcheck_cli.{module}"), function)
    return write(render(), ExitCode.OK)


@click.command(name="completion", short_help="Print what a shell reads to complete.")
@click.argument("shell", type=click.Choice(completion.SHELLS))
def completion_command(shell: str) -> int:
    """Print what SHELL reads to complete commands, options, configs and ids.

    \b
    bash:  eval "$(gradcheck completion bash)"           in ~/.bashrc
    zsh:   eval "$(gradcheck completion zsh)"            in ~/.zshrc
    fish:  gradcheck completion fish | source            in config.fish
    \b
    PowerShell, in $PROFILE:
           gradcheck completion powershell | Out-String | Invoke-Expression
    """
    return write(completion.script(shell), ExitCode.OK)


def load_checks(
    configs: tuple[str, ...],
    sets: tuple[str, ...] = (),
    *,
    check_rules: bool = True,
    exclude: tuple[str, ...] = (),
) -> list[ConfigCheck]:
    """All checks of the configs; imports their loader only here, so that --help is fast."""
    from gradcheck_cli.config.load import load
    from gradcheck_cli.config.overrides import read_overrides

    overrides = read_overrides(sets)
    return load(configs, note, check_rules=check_rules, overrides=overrides, exclude=exclude)
