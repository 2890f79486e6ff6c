"""The commands: parse, call one function, exit with a code that means something.

Only this module imports click, writes to the streams and exits.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import click

from gradcheck_cli import __version__, suite
from gradcheck_cli.errors import ConfigError, GradcheckError, UsageError, plural, printable
from gradcheck_cli.progress import Bar
from gradcheck_cli.reporters import FORMATS, Screen, render
from gradcheck_cli.result import SuiteReport

if TYPE_CHECKING:
    from gradcheck_cli.config.build import ConfigCheck
    from gradcheck_cli.executors import Executor

# One thread each: importing numpy with two costs twice the CPU, and these products are small.
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

EXIT_CODES = """\b
Exit codes:
  0    every check came out as expected
  1    a gradient is wrong (or one expected to fail passed)
  2    nothing was checked: usage, config, file, nothing selected
  3    no wrong gradient, but a check was inconclusive
  4    an internal error
  130  interrupted
"""

MUTATE_EXIT_CODES = """\b
Exit codes:
  0    every bug that changes a gradient would be caught
  1    a bug would survive
  2    nothing was checked: usage, config, file, nothing selected
  4    an internal error
  130  interrupted
"""

UNITS = {"s": 1, "m": 60, "h": 3600}  # of times, in seconds
TIMEOUT = 60.0  # seconds; a forward that takes longer is too slow to be differenced

CONFIGS = click.argument("configs", nargs=-1, required=True, metavar="CONFIG|DIR|-...")
SELECT = click.option(
    "-k", "--select", multiple=True, metavar="ID", help="Only checks of this id; a glob works too."
)


FORMAT = click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Of the report.",
)
ALLOW_CODE = click.option(
    "--allow-code", is_flag=True, help="Run the Python code that configs name. Read it before."
)
JOBS = click.option(
    "--jobs",
    default="1",
    metavar="N",
    callback=lambda context, option, value: jobs_of(value),
    help="How many processes to use, or auto: as many as there are cores.",
)
DASK = click.option(
    "--dask", metavar="ADDRESS", help="Run the checks on the cluster of this Dask scheduler."
)
BUDGET = click.option(
    "--budget",
    metavar="TIME",
    callback=lambda context, option, value: seconds_of(value),
    help="For the entries of a gradient, such as 10s; beyond it, random directions.",
)
TIME = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long one call of such code may take.",
)


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gradcheck")
def cli() -> None:
    """Check backpropagation rules against central finite differences.

    \b
    A config is a few lines of YAML:
      form: XW                        # Wx | xW | XW
      shapes: {n: 8, N: 5, M: 3}
      reduction: mean                 # sum | mean
    """


@cli.command(name="run", epilog=EXIT_CODES)
@CONFIGS
@SELECT
@FORMAT
@ALLOW_CODE
@TIME
@JOBS
@DASK
@BUDGET
@click.option(
    "--power",
    is_flag=True,
    help="Also inject common bugs, and tell how many each check would have caught.",
)
def run_command(
    configs: tuple[str, ...],
    select: tuple[str, ...],
    format: str,
    allow_code: bool,
    timeout: float,
    jobs: int,
    dask: str | None,
    budget: float | None,
    power: bool,
) -> int:
    """Check the gradients of every CONFIG, of all configs in DIR, or of a config on stdin (-)."""
    checks = suite.spread(chosen(configs, select, allow_code), jobs, budget)
    with progress() as bar, executor(jobs, dask) as run:
        report = suite.run(checks, bar, timeout=timeout, power=power, executor=run)
    return print_report(report, format)


@cli.command(name="mutate", epilog=MUTATE_EXIT_CODES)
@CONFIGS
@SELECT
@FORMAT
@ALLOW_CODE
@TIME
@JOBS
@DASK
def mutate_command(
    configs: tuple[str, ...],
    select: tuple[str, ...],
    format: str,
    allow_code: bool,
    timeout: float,
    jobs: int,
    dask: str | None,
) -> int:
    """Put common bugs into the gradients of every CONFIG, and tell which the check would catch.

    A bug survives where it does not change the gradient at these inputs, or by less than the check
    resolves; the report says why, and what to change in the config.
    """
    checks = suite.spread(chosen(configs, select, allow_code), jobs)
    with progress() as bar, executor(jobs, dask) as run:
        report = suite.run(
            checks,
            bar,
            timeout=timeout,
            power=True,
            judged=suite.exit_code_of_mutants,
            executor=run,
        )
    return print_report(report, format, mutants=True)


def chosen(configs: Sequence[str], select: Sequence[str], allow_code: bool) -> list[ConfigCheck]:
    """The checks that a command is to run; UsageError where they need code that is not allowed."""
    checks = suite.select(loaded(configs), select)
    if not allow_code:
        suite.refuse_code(checks)
    return checks


def loaded(configs: Sequence[str], *, check_rules: bool = True) -> list[ConfigCheck]:
    """All checks of the configs; --help does without what reads them."""
    from gradcheck_cli.config.load import load

    return load(configs, note, check_rules=check_rules)


@cli.command(name="validate")
@CONFIGS
def validate_command(configs: tuple[str, ...]) -> int:
    """Tell whether every CONFIG can be run, and how many checks it has; nothing is run.

    All that is wrong with configs is told at once. Exits with 2 if anything is.
    """
    counts = Counter(check.path for check in loaded(configs))
    lines = [f"{printable(path)}: {plural(count, 'check')}" for path, count in counts.items()]
    return write("\n".join([*lines, ""]), suite.OK)


@cli.command(name="explain")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG|DIR|-|CODE...")
@SELECT
def explain_command(configs: tuple[str, ...], select: tuple[str, ...]) -> int:
    """Walk the derivation for the layer of every CONFIG, with the paper's equation numbers.

    Or spell out a CODE of a report, such as GC103.
    """
    from gradcheck_cli.derivation import explain, explain_fault, is_code

    codes = [word for word in configs if is_code(word)]
    if len(codes) == len(configs):
        return write("\n".join(map(explain_fault, codes)), suite.OK)
    if codes:
        raise UsageError(
            f"{codes[0]} is a code, the others are configs; explain one kind at a time"
        )
    checks = suite.select(loaded(configs, check_rules=False), select)
    return write("\n".join(explain(check) for check in checks), suite.OK)


def print_report(report: SuiteReport, format: str, *, mutants: bool = False) -> int:
    """Write the report to stdout; the exit code is the report's unless it cannot be written."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    screen = Screen(terminal_width() if terminal else None, wants_color(terminal))
    code = write(render(report, format, screen, mutants=mutants), report.exit_code)
    if report.interrupted:
        note(f"interrupted; {len(report.checks)} checks were done")
    return code


def terminal_width() -> int:
    """In columns, as COLUMNS or else the terminal says."""
    import shutil

    return shutil.get_terminal_size().columns


def wants_color(terminal: bool) -> bool:
    """NO_COLOR, then FORCE_COLOR, then whether there is a terminal that can."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def write(text: str, code: int) -> int:
    """Write to stdout and return `code`; a reader that closed the pipe had enough, no more."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        silence_stdout()
        if error.errno not in (errno.EPIPE, errno.EINVAL):
            note(f"error: cannot write the report: {error.strerror}")
            return suite.NOTHING_CHECKED
    return code


def silence_stdout() -> None:
    """Send what is still buffered nowhere, so that Python's own flush at exit stays silent."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())


def note(text: str, before: str = "") -> None:
    """A line for the person at the terminal, on stderr, and what stands before it.

    A stderr that is closed or full changes no exit code.
    """
    if sys.stderr is not None:
        try:
            print(f"{before}\n" * bool(before) + f"gradcheck: {text}", file=sys.stderr, flush=True)
        except OSError:
            sys.stderr = None


@contextmanager
def progress() -> Iterator[Bar | None]:
    """A progress bar on stderr, for runs of more than a second at a terminal."""
    bar = Bar() if sys.stderr is not None and sys.stderr.isatty() else None
    yield bar
    if bar is not None:
        bar.close()


def jobs_of(text: str) -> int:
    """How many processes `--jobs` asks for."""
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores()
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"'{text}' is no number of processes: give 1 or more, or auto")
    return int(text)


def cores() -> int:
    """Of this machine."""
    return os.cpu_count() or 1


def seconds_of(text: str | None) -> float | None:
    """The seconds in `10s`, `2m`, `1h` or `10`."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"'{text}' is no time: give seconds such as 10s, or 2m or 1h")
    return seconds


@contextmanager
def executor(jobs: int, dask: str | None) -> Iterator[Executor]:
    """What runs the checks."""
    if dask is not None:
        from gradcheck_cli.cluster import connected

        with connected(dask) as cluster:
            yield cluster
    elif jobs > 1:
        from gradcheck_cli.executors import Processes

        yield Processes(jobs)
    else:
        yield suite.here


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script: run a command and exit with its code."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    code = exit_code(arguments)
    # What is imported has nothing to say at its end, and saying it takes a seventh of a short run.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def exit_code(arguments: Sequence[str] | None) -> int:
    """The code of a command, whatever happens in it; no exception of ours goes further."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        # Not cli.main, which would turn a closed pipe into exit code 1.
        with cli.make_context("gradcheck", words) as context:
            return int(cli.invoke(context))
    except click.exceptions.Exit as done:
        return write("", done.exit_code)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return suite.NOTHING_CHECKED
    except ConfigError as error:
        count = f"{error.count:,} error{'' if error.count == 1 else 's'}"
        note(f"{count}; nothing was checked", before=str(error))
        return suite.NOTHING_CHECKED
    except GradcheckError as error:
        note(f"error: {error}")
        return suite.NOTHING_CHECKED
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return suite.INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return suite.OK
    except OSError as error:
        silence_stdout()
        note(f"error: cannot write: {error.strerror or error}")
        return suite.NOTHING_CHECKED
    except Exception as error:
        note(f"internal error: {type(error).__name__}: {error}{_place(error)}; please report it")
        return suite.INTERNAL


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f" ({os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno})"
