"""The command `init`: write a first config."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradcheck_cli.cli.options import TIME
from gradcheck_cli.cli.streams import note, write
from gradcheck_cli.errors import GradcheckError, UsageError
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.report import ExitCode

if TYPE_CHECKING:
    from gradcheck_cli.config.init.template import Draft

STDOUT = "-"
DEFAULT = "gradcheck.yaml"
# The note about the shapes in a config of code.
SHAPES_READ = ", with shapes as they are read; --allow-code tries them"
SHAPES_TRIED = ", with shapes that the code takes"
SHAPES_DOUBTED = f"{SHAPES_TRIED}, but its gradients fit others: see whether they are those meant"
SHAPES_NOT_FOUND = ", with shapes as they are read: none were found that the code takes"


@click.command(name="init", short_help="Write a commented config.")
@click.argument("words", nargs=-1, metavar="[FILE:NAME] [PATH]")
@click.option("--form", type=click.Choice(list(FORMS)), help="A layer of the paper; default: XW.")
@click.option("--forward", metavar="FILE:NAME", help="A forward of your own, layers.py:affine.")
@click.option("--backward", metavar="NAME", help="Its backward, where the name does not tell it.")
@click.option("--layer", metavar="FILE:NAME", help="A class of your own: forward and backward.")
@click.option(
    "--value-and-grad", metavar="FILE:NAME", help="A loss of your own, with its gradients."
)
@click.option("--allow-code", is_flag=True, help="Run the code, to try shapes until it takes them.")
@TIME
@click.option("--force", is_flag=True, help="Overwrite a file that exists, without asking.")
def init_command(
    words: tuple[str, ...],
    form: str | None,
    forward: str | None,
    backward: str | None,
    layer: str | None,
    value_and_grad: str | None,
    allow_code: bool,
    timeout: float,
    force: bool,
) -> int:
    """Write a commented config to PATH, gradcheck.yaml by default; - writes it to stdout.

    For a form of the paper, or for code of your own, layers.py:affine, which is read, and not run
    without --allow-code.
    """
    from gradcheck_cli.config.init.definitions import refuse_deep
    from gradcheck_cli.config.init.template import draft_code_config, write_form_config

    code, path = _split_words(words)
    codes: dict[str | None, str | None] = {
        None: code,
        "forward": forward,
        "layer": layer,
        "value_and_grad": value_and_grad,
    }
    given = {kind: code for kind, code in codes.items() if code is not None}
    if len(given) + (form is not None) > 1:
        raise UsageError("give one of FILE:NAME, --form, --forward, --layer and --value-and-grad")
    if backward is not None and forward is None and code is None:
        raise UsageError("--backward goes with --forward")
    if allow_code and not given:
        raise UsageError("--allow-code goes with code of your own, FILE:NAME")
    folder = Path() if path == STDOUT else Path(path).parent
    text, tried = write_form_config(form or "XW"), ""
    for kind, named in given.items():
        with refuse_deep(named):
            draft = draft_code_config(kind, named, folder, backward)
        text, tried = draft.text, SHAPES_READ
        if allow_code:
            text, tried = _try_shapes(draft, path, timeout)
    if path == STDOUT:
        return write(text, ExitCode.OK)
    _save(Path(path), text, force)
    flags = " --allow-code" if given else ""
    note(f"wrote {path}{tried}; next: gradcheck run{flags} {shlex.quote(path)}")
    return ExitCode.OK


def _split_words(words: tuple[str, ...]) -> tuple[str | None, str]:
    """The code in the first word, or None, and the path of the config."""
    from gradcheck_cli.config.load import advise_init, is_code

    code = words[0] if words and ".py:" in words[0] else None
    paths = words[1:] if code else words
    if len(paths) > 1:
        raise UsageError(f"one PATH, not {len(paths)}: {' '.join(paths)}")
    path = paths[0] if paths else DEFAULT
    if is_code(path):
        raise UsageError(f"'{path}' is code, not the path of a config; {advise_init(path)}")
    return code, path


def _try_shapes(draft: Draft, path: str, timeout: float) -> tuple[str, str]:
    """The text of the config, with shapes that the code accepts if some are found, and a note."""
    from gradcheck_cli.run.try_shapes import try_shapes

    try:
        tried = try_shapes(draft, path, timeout)
    except (GradcheckError, OSError) as error:
        raise UsageError(f"the code cannot be tried: {error}") from error
    if tried is None:
        return draft.text, SHAPES_NOT_FOUND
    return tried.draft.text, SHAPES_TRIED if tried.fits else SHAPES_DOUBTED


def _save(path: Path, text: str, force: bool) -> None:
    """Write a file; an existing one only with `force`, or if the user confirms."""
    if (path.exists() or path.is_symlink()) and not force:
        asked = sys.stdin is not None and sys.stdin.isatty()
        if not asked or not click.confirm(f"overwrite '{path}'?", err=True):
            raise UsageError(f"'{path}' exists and was left as it is; --force overwrites it")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write '{path}': {error.strerror or error}") from error
