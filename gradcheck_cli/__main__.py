"""The console script, and python -m gradcheck_cli: nothing is imported before Ctrl-C is heard."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
# Objects between two collections: imports make many and leave nothing to collect, and looking for
# it takes a tenth of the start.
COLLECT_AFTER = 200_000
# Bytes that are asked for and given back at once: from then on glibc keeps what arrays up to this
# size give back for the next ones, where it would fetch pages anew, a fifth of a large check.
KEPT = 2**24


def main() -> NoReturn:
    """Run the command; Ctrl-C while it is still importing is a quiet 130, too."""
    gc.set_threshold(COLLECT_AFTER)
    bytes(KEPT)
    open_descriptors()
    try:
        from gradcheck_cli.processes.signals import end_on_signals

        end_on_signals()
        from gradcheck_cli.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def open_descriptors() -> None:
    """Open those of stdin, stdout and stderr that are closed.

    A file of the run would get their numbers, and what others print would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


if __name__ == "__main__":
    # python -m puts the current folder first: a click.py or a numpy.py there is not ours to import.
    if not sys.flags.safe_path:
        del sys.path[0]
    main()
