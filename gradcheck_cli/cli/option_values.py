"""Parse the values of options: numbers, times, shards and outputs."""

from __future__ import annotations

import click

from gradcheck_cli.config.project import Project
from gradcheck_cli.processes.thread_map import count_cores
from gradcheck_cli.text import suggest

UNITS = {"s": 1, "m": 60, "h": 3600}  # of times, in seconds
MOST_DIGITS = 18  # of a whole number
# Seconds, which are eleven days; timers of the system take little more.
LONGEST_TIMEOUT = 10.0**6


def read_jobs(text: str) -> int:
    """The number of processes for `--jobs`: a number, or auto for the number of cores."""
    if text == "auto":
        return count_cores()
    jobs = read_whole(text)
    if not jobs:
        raise click.BadParameter(f"'{text}' is no number of processes: give 1 or more, or auto")
    return jobs


def read_whole(text: str) -> int | None:
    """The whole number of a text of at most MOST_DIGITS digits; None for any other text."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def read_seconds(text: str | None) -> float | None:
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


def bound_timeout(seconds: float) -> float:
    """The seconds; BadParameter if they are too many for a timer, or NaN, which click accepts."""
    if not seconds <= LONGEST_TIMEOUT:
        raise click.BadParameter(f"{seconds:g} is no time: give seconds, at most 1,000,000")
    return seconds


def read_shard(text: str | None) -> tuple[int, int] | None:
    """The part and the number of parts of a text such as `2/4`."""
    if text is None:
        return None
    which, slash, count = text.partition("/")
    part, parts = read_whole(which), read_whole(count)
    if slash and part and parts and part <= parts:
        return part, parts
    raise click.BadParameter(f"'{text}' is no shard: give K/N with K from 1 to N, such as 2/4")


def read_output(text: str, formats: tuple[str, ...]) -> tuple[str, str]:
    """The format and the path in `junit=report.xml`."""
    format, equals, path = text.partition("=")
    if not equals or not path:
        raise click.BadParameter(f"'{text}' must be FORMAT=PATH, such as junit=report.xml")
    if format not in formats:
        miss = suggest(format, formats, "there are")
        raise click.BadParameter(f"there is no format '{format}'{miss}")
    return format, path


def choose_configs(
    context: click.Context, parameter: click.Parameter, configs: tuple[str, ...]
) -> tuple[str, ...]:
    """The configs of the command line; if there are none, the paths of the project, whose `select`
    then is the default of the option.

    The argument is eager, so that this runs before the options are parsed.
    """
    project = context.find_object(Project)
    if configs:
        return configs
    if project is None or not project.paths:
        raise click.MissingParameter(
            "Name configs or folders of configs, or put paths under [tool.gradcheck] in "
            "pyproject.toml.",
            context,
            parameter,
        )
    context.default_map = {**(context.default_map or {}), "select": project.select}
    return project.paths
