"""The console script: run a command line and exit with its code, whatever happens in between."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from gradcheck_cli import __version__
from gradcheck_cli.cli import completion, encoding
from gradcheck_cli.cli.checks import EXIT_CODES, mutate_command, run_command
from gradcheck_cli.cli.configs import (
    completion_command,
    explain_command,
    schema_command,
    validate_command,
)
from gradcheck_cli.cli.init import init_command
from gradcheck_cli.cli.manual import man_command
from gradcheck_cli.cli.steps import steps_command
from gradcheck_cli.cli.streams import note, silence_stdout, tell, write
from gradcheck_cli.config.project import Project, find_project
from gradcheck_cli.errors import GradcheckError, TerminatedError, describe_internal_error
from gradcheck_cli.report import ExitCode
from gradcheck_cli.text import printable_lines, suggest

# The commands that use the project, and the options whose defaults it gives.
PROJECT_OPTIONS = {
    "run": ("exclude", "seeds", "jobs", "format", "output"),
    "mutate": ("exclude", "seeds", "jobs"),
    "validate": ("exclude",),
    "steps": ("exclude",),
}
# Variables with the number of threads of BLAS libraries, which are set to 1: importing numpy with
# two threads takes twice the CPU, and the products of most checks are too small to gain by it.
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class Commands(click.Group):
    """The commands; the error for an unknown one suggests the command that may be meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that a word names, as in click; the error suggests one if there is none."""
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            ctx.fail(f"no command '{word}'{suggest_command(word, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def suggest_command(word: str, commands: Sequence[str]) -> str:
    """The end of an error for a word that is not a command: `gradcheck run` for a path, else a
    near miss."""
    from gradcheck_cli.config.load import SUFFIXES, is_code

    if word.endswith(SUFFIXES) or is_code(word) or os.path.exists(word):
        return f"; did you mean `gradcheck run {shlex.quote(word)}`?"
    return suggest(word, commands, "the commands are")


def advise_set(error: click.ClickException) -> click.ClickException:
    """The error; for an option that is a key of a config, such as `--reduction mean`, one that says
    how to set the key."""
    if isinstance(error, click.NoSuchOption):
        from gradcheck_cli.config.kinds import name_whole_key

        key = name_whole_key(error.option_name.lstrip("-").replace("-", "_"))
        if key:
            said = f"no option '{error.option_name}'; a key of a config is set with -s {key}=VALUE"
            return click.UsageError(said, error.ctx)
    return error


@click.group(
    cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", prog_name="gradcheck")
def cli() -> None:
    """Check backpropagation rules against central finite differences.

    \b
    A config is a few lines of YAML:
      form: XW                        # Wx | xW | XW
      shapes: {n: 8, N: 5, M: 3}
      reduction: mean                 # sum | mean
    """


for command in (
    run_command,
    explain_command,
    mutate_command,
    validate_command,
    steps_command,
    init_command,
    schema_command,
    completion_command,
    man_command,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script: run a command and exit with its code."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    encoding.register()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=encoding.ERRORS)
    code = exit_code(arguments)
    # Exit without finalising the interpreter, which takes a seventh of a short run; nothing that is
    # imported needs it.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def read_project(words: Sequence[str]) -> Project | None:
    """The project, for a command that reads configs; None where there is none, or for help."""
    asks_for_help = not {"-h", "--help"}.isdisjoint(words)
    if asks_for_help or (words and words[0] not in PROJECT_OPTIONS):
        return None
    try:
        here = Path.cwd()
    except OSError:  # the working directory was deleted
        return None
    return find_project(here)


def list_defaults(project: Project | None) -> dict[str, dict[str, Any]]:
    """The defaults of options that the project gives, by command."""
    if project is None:
        return {}
    return {
        command: {name: value for name in names if (value := getattr(project, name))}
        for command, names in PROJECT_OPTIONS.items()
    }


def exit_code(arguments: Sequence[str] | None) -> int:
    """Run a command; its exit code, whatever happens in it: no exception is raised."""
    try:
        if completion.answer(cli):
            return ExitCode.OK
        words = sys.argv[1:] if arguments is None else list(arguments)
        # cli.main of click is not used: it exits with 1 for a closed pipe.
        project = read_project(words)
        if project is not None and not words:
            words = ["run"]
        defaults = list_defaults(project)
        with cli.make_context("gradcheck", words, obj=project, default_map=defaults) as context:
            return int(cli.invoke(context))
    except click.exceptions.Exit as done:
        return write("", done.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        advise_set(error).show(shown)
        text = shown.getvalue().replace("\n\t", " ")  # a list of choices
        with suppress(OSError, AttributeError):
            print(printable_lines(text), end="", file=sys.stderr, flush=True)
        return ExitCode.NOTHING_CHECKED
    except GradcheckError as error:
        return tell(error)
    except TerminatedError as error:
        note("terminated")
        return 128 + error.number
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return ExitCode.OK
    except OSError as error:
        silence_stdout()
        note(f"error: cannot write: {error.strerror or error}")
        return ExitCode.NOTHING_CHECKED
    except Exception as error:
        note(describe_internal_error(error))
        return ExitCode.INTERNAL
