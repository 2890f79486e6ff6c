"""The console script, and python -m gradcheck_cli: nothing is imported before Ctrl-C is heard."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

INTERRUPTED = 130
# Objects between two collections: imports make many and leave nothing to collect, and looking for
# it takes a tenth of the start.
COLLECT_AFTER = 50_000


def main() -> NoReturn:
    """Run the command; Ctrl-C while it is still importing is a quiet 130, too."""
    gc.set_threshold(COLLECT_AFTER)
    try:
        from gradcheck_cli.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    # python -m puts the current folder first: a click.py or a numpy.py there is not ours to import.
    if not sys.flags.safe_path:
        del sys.path[0]
    main()
