"""How the checker does on a folder of backward passes, right and wrong.

    python -m tests.benchmarks.corpus FOLDER

FOLDER holds backprops.json with backprops.py, which loads it, and real_bugs/index.json with a
module a bug. Prints verdicts by class, and every entry whose verdict is not acceptable.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gradcheck_cli import Problem, check
from gradcheck_cli.errors import GradcheckError

COTANGENT_SEED = 7


@dataclass(frozen=True)
class Case:
    """A backward pass, what kind it is, and the verdicts that count as right."""

    name: str
    kind: str
    group: str
    acceptable: tuple[str, ...]
    problem: Problem


def module(path: Path) -> ModuleType:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def rules(folder: Path) -> Iterator[Case]:
    """The rules for the paper's forms."""
    loader = module(folder / "backprops.py")
    for entry in loader.load(folder / "backprops.json"):
        yield Case(
            entry["id"],
            entry["kind"],
            entry["class"],
            tuple(entry["acceptable"]),
            rule_problem(loader, entry),
        )


def rule_problem(loader: ModuleType, entry: Mapping[str, Any]) -> Problem:
    """An entry as a problem; its outputs are per-sample losses, unless it brings a forward."""
    made = loader.Problem(entry)
    if entry["forward_py"]:

        def forward(inputs: Mapping[str, Any]) -> Any:
            return np.reshape(made.loss(inputs["x"], inputs["W"]), 1)

        cotangent = np.ones(1)
    else:

        def forward(inputs: Mapping[str, Any]) -> Any:
            y = loader.rows(made.form, made.layout, made.y(inputs["x"], inputs["W"]))
            return loader.per_sample(made.lossname, y, made.data)

        samples = made.n if made.layout == "batch" else 1
        cotangent = np.full(samples, 1 / made.n if made.red == "mean" else 1.0)

    def backward(inputs: Mapping[str, Any], delta: Any) -> dict[str, Any]:
        returned = made.backward(inputs["x"], inputs["W"])
        return {"x": returned[0], "W": returned[1]}

    return Problem({"x": made.x, "W": made.W}, forward, backward, cotangent)


def real_code(folder: Path) -> Iterator[Case]:
    """Public bugs, each as it was and as it was corrected, and false alarms."""
    for entry in json.loads((folder / "real_bugs" / "index.json").read_text()):
        code = module(folder / "real_bugs" / f"{entry['id']}.py")
        for kind, acceptable in (("buggy", ("fail",)), ("correct", ("pass", "inconclusive"))):
            backward = getattr(code, f"backward_{kind}", None)
            if backward is not None:
                problem = code_problem(code, backward)
                yield Case(entry["id"], f"real, {kind}", entry["kind"], acceptable, problem)


def code_problem(code: ModuleType, backward: Any) -> Problem:
    """A module's forward with one of its backward passes, at its own inputs."""
    made, names = code.make_inputs(0)
    constants = {name: value for name, value in made.items() if name not in names}
    inputs = {name: np.asarray(made[name]) for name in names}
    outputs = np.shape(code.forward({**constants, **inputs})[0])
    cotangent = np.random.default_rng(COTANGENT_SEED).normal(size=outputs)
    return Problem(
        {name: x if x.dtype.kind == "f" else x.astype(float) for name, x in inputs.items()},
        lambda values: code.forward({**constants, **values})[0],
        lambda values, delta: backward(delta, code.forward({**constants, **values})[1]),
        np.asarray(cotangent) if outputs else np.ones(()),
    )


def verdict(problem: Problem) -> tuple[str, str]:
    """The verdict and the reasons given."""
    try:
        result = check(problem)
    except GradcheckError as error:
        return "error", str(error)
    reasons = [gradient.reason for gradient in result.gradients if gradient.reason]
    return result.verdict.value, "; ".join(reasons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="show every reason")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    wrong = 0
    for case in (*rules(arguments.folder), *real_code(arguments.folder)):
        found, reason = verdict(case.problem)
        table[case.kind, case.group][found] += 1
        if found not in case.acceptable:
            wrong += 1
        if found not in case.acceptable or arguments.verbose:
            print(f"{case.name} ({case.kind}, {case.group}): {found}: {reason}")
    print("| kind | class | fail | inconclusive | pass |\n|---|---|---|---|---|")
    for (kind, group), counts in sorted(table.items()):
        verdicts = (counts["fail"], counts["inconclusive"], counts["pass"])
        print(f"| {kind} | {group} | " + " | ".join(map(str, verdicts)) + " |")
    print(f"\n{sum(map(Counter.total, table.values()))} cases, {wrong} with another verdict")


if __name__ == "__main__":
    main()
