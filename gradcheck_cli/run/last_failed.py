"""Which checks failed when they were last run from a folder, for `--last-failed`.

Kept in the cache of the user, one file a folder, so that repositories stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gradcheck_cli.result import CheckReport, Outcome

Failed = set[tuple[str, str]]  # path and id of checks


def failed() -> Failed:
    """The checks that failed last, of all that were run from here."""
    with suppress(OSError, ValueError, TypeError):
        return {(path, id) for path, id in json.loads(_file().read_text(encoding="utf-8"))}
    return set()


def keep(reports: Sequence[CheckReport]) -> None:
    """Remember which of these failed; of others, what is known stays. Never fails."""
    known = failed()
    now = set(known)
    for report in reports:
        check = (os.path.realpath(report.path), report.id)
        (now.discard if report.outcome == Outcome.OK else now.add)(check)
    if now == known:
        return
    with suppress(OSError):
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(sorted(now), file)
        os.replace(beside, path)


def _file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(os.getcwd().encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return Path(base, "gradcheck", "failed", f"{name}.json")
