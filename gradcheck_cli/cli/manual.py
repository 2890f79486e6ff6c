"""The command `man`: the manual page in roff, from the texts of the help."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from gradcheck_cli import __version__
from gradcheck_cli.cli.streams import write
from gradcheck_cli.report import ExitCode

NAME = "gradcheck"
_BLOCK = "\b"  # marks a paragraph that click does not wrap


@click.command(name="man", short_help="Print the manual page of all commands, in roff.")
@click.pass_context
def man_command(context: click.Context) -> int:
    """Print the manual page of all commands, in roff: what --help says, in one page.

    \b
    gradcheck man | man -l -
    """
    return write(render_manual(context.find_root().command, context), ExitCode.OK)


def render_manual(program: click.Command, context: click.Context) -> str:
    """The page of a group of commands: its help, a section for each command, the exit codes."""
    assert isinstance(program, click.Group)
    lines = [
        f'.TH {NAME.upper()} 1 "" "{NAME} {__version__}"',
        ".nh",  # words and options stay whole
        ".ad l",
        ".SH NAME",
        _escape(f"{NAME} - check backpropagation rules against finite differences"),
        ".SH SYNOPSIS",
        *(line for name in program.commands for line in (".br", f".B {NAME} {name}")),
        ".SH DESCRIPTION",
        *_write_text(program.help or ""),
        ".SH COMMANDS",
    ]
    for name, command in program.commands.items():
        lines += _describe_command(command, click.Context(command, context, name))
    return "\n".join([*lines, ".SH EXIT STATUS", *_write_text(program.epilog or "")]) + "\n"


def _describe_command(command: click.Command, context: click.Context) -> Iterator[str]:
    """The lines of a command: its usage, its help and its options."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escape(f"{NAME} {command.name} {usage}")}"'
    yield from _write_text(command.help or "")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # arguments have no help; the usage has them
            yield from (".TP", f".B {_escape(record[0])}", _escape(record[1]))


def _write_text(help: str) -> Iterator[str]:
    """The paragraphs of a help text."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\b)", help.strip("\n")):
        lines = paragraph.split("\n")
        yield ".PP"
        if lines[0].strip(" ") == _BLOCK:
            yield from (".nf", *map(_escape, lines[1:]), ".fi")
        else:
            yield from (_escape(line.strip()) for line in lines if line.strip())


def _escape(text: str) -> str:
    """The text with everything escaped that has a meaning in roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
