"""How far the reports on wrong backward passes lead, as people write them.

    python -m tests.benchmarks.mistakes [NAMES...] [--show]

tests/data/mistakes/index.yaml has right backward passes, each with its config and with mistakes,
which are edits of it: what of the code is replaced by what. `said` is the code of the fault that
each wrong gradient had when it was judged, or all of them; `leads` whether the report leads to the
line, read without the code; `note` why, where that is not plain. `fresh` ones were written when the
faults were done, and nothing was made for them before they were judged; `again` is the second such
round, of 49, when reports said lines, too.

Each right one must pass and each mistake fail. Prints what is said, where that is no longer what
was judged, and how many lead. NAMES: of mistakes; --show prints their reports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[1] / "data" / "mistakes"
Json = dict[str, Any]


def write_checks(folder: Path, names: Sequence[str]) -> dict[str, Json]:
    """Write the code of mistakes and right passes, and a config of all; the mistakes by name."""
    checks: list[Json] = []
    mistakes: dict[str, Json] = {}
    for item in yaml.safe_load((HERE / "index.yaml").read_text(encoding="utf-8")):
        chosen = {name: of for name, of in item["mistakes"].items() if not names or name in names}
        for name, mistake in {"right": None, **chosen}.items() if chosen else ():
            checks.append(_write_check(folder, item["config"], name, mistake))
        mistakes |= chosen
    text = json.dumps({"checks": checks})  # YAML reads that, too
    (folder / "all.yaml").write_text(text, encoding="utf-8")
    return mistakes


def _write_check(folder: Path, config: Json, name: str, mistake: Json | None) -> Json:
    """Write the code with a mistake, or the right code; its check."""
    check, prefix = dict(config), name.replace("-", "_")
    for key in ("forward", "backward", "value_and_grad", "layer"):
        if key in config:
            file, function = config[key].split(":")
            check[key] = f"{prefix}_{file}:{function}"
    code = (HERE / file).read_text(encoding="utf-8")
    if mistake is not None:
        before, after = mistake["edit"]
        assert code.count(before) == 1, (name, code.count(before))
        code = code.replace(before, after)
    (folder / f"{prefix}_{file}").write_text(code, encoding="utf-8")
    check["name"] = name if mistake is not None else f"right-{function}"
    return check


def run(folder: Path, *words: str) -> str:
    """What `gradcheck run` prints of these checks."""
    command = [sys.executable, "-m", "gradcheck_cli", "run", "--allow-code", *words, "all.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def describe(check: Json) -> dict[str, Json]:
    """The diagnoses of a check by gradient; what was refused has its reason for an observation."""
    gradients = check["result"]["gradients"] if check["result"] is not None else []
    return {
        one["gradient"]: {
            "faulty": one["faulty"],
            **(one["diagnosis"] or {"code": "refused", "observation": one["reason"]}),
        }
        for one in gradients
        if one["verdict"] == "fail"
    }


def judge(mistake: Json, found: Json) -> str:
    """Whether a report says what it said when it was judged, and whether that leads."""
    said = mistake["said"]
    codes = {gradient: one["code"] for gradient, one in found.items()}
    if codes != (dict.fromkeys(codes, said) if isinstance(said, str) else said):
        return "no longer what was judged"
    return "leads" if mistake["leads"] else "does not lead"


def main() -> None:
    """Print what is said of each mistake, and how many lead."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--show", action="store_true", help="print the reports")
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {"": Counter(), "True": Counter(), "again": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        mistakes = write_checks(Path(folder), arguments.names)
        if arguments.show:
            print(run(Path(folder), "--color", "never"))
            return
        for check in json.loads(run(Path(folder), "--format", "json"))["checks"]:
            name, mistake, found = check["id"], mistakes.get(check["id"]), describe(check)
            if mistake is None or not found:
                if check["outcome"] != "ok" or mistake is not None:
                    print(f"\n{name}: {check['outcome']} {check['error']}")
                continue
            judged = judge(mistake, found)
            counts[str(mistake.get("fresh", ""))][judged] += 1
            print("\n" + ": ".join(filter(None, (name, judged, mistake.get("note")))))
            for gradient, one in found.items():
                print(f"    {gradient}: {one['code']} {one['observation']}; {one['faulty']}")
    for fresh, of in counts.items():
        print(f"\n{sum(of.values())}{' fresh' * bool(fresh)} mistakes: {dict(of)}")


if __name__ == "__main__":
    main()
