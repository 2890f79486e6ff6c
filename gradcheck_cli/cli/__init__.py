"""The commands: parse, call one function, exit with a code that means something.

Only these modules import click, write to the streams and exit.
"""

from gradcheck_cli.cli.main import cli, exit_code, main

__all__ = ["cli", "exit_code", "main"]
