"""Shell completion: commands and options, which click completes, and configs and ids of checks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

SHELLS = ("bash", "zsh", "fish", "powershell")
PROGRAM = "gradcheck"
VARIABLE = "_GRADCHECK_COMPLETE"  # the variable that click's scripts set to ask for candidates


_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $command, $position)
    $env:%(complete_var)s = "powershell_complete"
    $env:COMP_WORDS = $command.ToString().Replace("\\", "/")
    $env:COMP_CWORD = $word.Replace("\\", "/")
    try {
        %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, "ParameterValue", $help)
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""
_PLAIN = re.compile(r"[\w./\\:=*+-]+")  # texts that PowerShell reads as a word without quotes


class PowerShellComplete(ShellComplete):
    """Completion for PowerShell, which click does not support; the shell completes files itself."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words of the command line, and the incomplete one."""
        args = split_arg_string(os.environ["COMP_WORDS"])[1:]
        incomplete = "".join(split_arg_string(os.environ["COMP_CWORD"])[:1])
        if incomplete and args and args[-1] == incomplete:
            args.pop()
        return args, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """The value, a tab, and the help to show beside it, which must not be empty."""
        value = str(item.value)
        quoted = value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "''") + "'"
        return f"{quoted}\t{' '.join((item.help or value).split())}"


add_completion_class(PowerShellComplete)


def script(shell: str) -> str:
    """The script that sets up completion in a shell; `gradcheck completion SHELL` prints it."""
    made = get_completion_class(shell)
    assert made is not None
    # The script runs the command by its name, so an empty one will do here.
    text = made(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source()
    # Candidates come as type,value; click's script for fish cuts a value at its own commas.
    return text.replace('string split ","', 'string split -m 1 ","')


def answer(command: click.Command) -> bool:
    """If a shell asks for candidates, print them; return whether it did."""
    asked = os.environ.get(VARIABLE)
    if not asked:
        return False
    shell_complete(command, {}, PROGRAM, VARIABLE, asked)
    return True


def complete_configs(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The YAML and Python files and folders that fit; for a single folder, also its contents."""
    found = _paths(incomplete)
    if len(found) == 1 and found[0].endswith(os.sep):
        found += _paths(found[0])
    return [CompletionItem(path) for path in found]


def _paths(start: str) -> list[str]:
    from gradcheck_cli.config.load import SUFFIXES

    folder, prefix = os.path.split(start)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    return [
        os.path.join(folder, entry.name) + (os.sep if entry.is_dir() else "")
        for entry in entries
        if entry.name.startswith(prefix)
        and (prefix or not entry.name.startswith("."))
        and (entry.is_dir() or Path(entry.name).suffix in (*SUFFIXES, ".py"))
    ]


def complete_ids(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the checks in the configs of the command line, or of the working directory."""
    from gradcheck_cli.config.load import SUFFIXES, load
    from gradcheck_cli.errors import GradcheckError

    # After an option without its value, click has not parsed the arguments.
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))[2:]
    # Files and folders only: reading a pipe would block.
    named = [word for word in words if os.path.isfile(word) or os.path.isdir(word)]
    here = (path for path in sorted(Path().iterdir()) if path.suffix in SUFFIXES)
    paths = named or [str(path) for path in here if path.is_file()]
    found = []
    for path in paths:
        try:
            for check in load([path], lambda text: None, check_rules=False):
                found += [check.name, check.id]
        except GradcheckError:  # a broken config has no ids, and errors cannot be shown here
            continue
    return [CompletionItem(id) for id in dict.fromkeys(found) if id.startswith(incomplete)]
