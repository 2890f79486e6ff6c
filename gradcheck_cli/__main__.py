"""The console script, and python -m gradcheck_cli: it handles Ctrl-C before it imports the rest."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
# New objects after which garbage is collected. Imports make many and leave no garbage; collecting
# at Python's default takes a tenth of the start.
COLLECT_AFTER = 200_000
# An allocation of so many bytes, freed at once, makes glibc keep the memory of arrays up to this
# size for later ones. Else it maps new pages for each, which takes a fifth of a large check.
KEPT = 2**24


def main() -> NoReturn:
    """Run the command; Ctrl-C ends it with 130 and no traceback, even while it imports."""
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
    """Open stdin, stdout and stderr where they are closed.

    Otherwise a file that the run opens would get one of their numbers, and prints would end in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


if __name__ == "__main__":
    # python -m puts the current folder first; a click.py or numpy.py there must not be imported.
    if not sys.flags.safe_path:
        del sys.path[0]
    main()
