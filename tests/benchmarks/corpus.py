"""How the checker does on a folder of backward passes, right and wrong.

    python -m tests.benchmarks.corpus FOLDER

FOLDER holds backprops.json with backprops.py, which loads it, and real_bugs/index.json with a
module a bug. Prints verdicts by class, every entry whose verdict is not acceptable, and what the
diagnosis calls each wrong gradient: right, nothing, or wrong, by class.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gradcheck_cli import Problem, check
from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.problem import Stage, no_stages
from gradcheck_cli.result import Diagnosis

COTANGENT_SEED = 7
# What the catalogue may call the faults of a class. Several names are right where the same array
# comes from different slips: X where Xᵀ belongs is also a sum over the other axis.
NAMES = {
    "broadcasting": "GC108 GC125 GC142 GC144",
    "detached part": "GC126",
    "distorted delta": "GC122",
    "double-counted regulariser": "GC116",
    "extreme scale": "GC103",
    "factor 1.0001": "GC103",
    "factor 1.01": "GC103",
    "factor 1/2": "GC103",
    "factor 1/n": "GC103 GC104",
    "factor 2": "GC103",
    "factor n": "GC103 GC104",
    "first sample only": "GC123",
    "float32 cast inside": "GC114",
    "forward mutates": "GC154",
    "huge gradient": "GC103",
    "index swap": "GC105 GC106 GC107",
    "missing delta": "GC121",
    "mixed scales": "GC109",
    # Where a benchmark hands the rule copies, what it did to them is a factor.
    "mutates its input": "GC103 GC154",
    "nan/inf": "GC152",
    "noise 0.001": "GC115",
    "noise 1e-05": "GC115",
    "nondeterministic": "GC103 GC155",
    "permuted samples": "GC124",
    "return order swapped": "GC101",
    "rounded values": "GC113",
    "shifted": "GC110",
    "sign": "GC103",
    "single entry 0.01": "GC111",
    "single entry 0.0001": "GC111",
    "single entry 1e-06": "GC111",
    "single entry 1e-08": "GC111",
    "stale cached input": "GC117 GC119",
    "tiny gradient": "GC102 GC103",
    "transpose": "GC105 GC106 GC127",
    "updated weights": "GC118",
    "wrong axis": "GC106 GC125 GC142",
    "wrong dtype": "GC153",
    "wrong loss derivative": "GC109 GC128",
    "wrong shape": "GC105 GC141 GC142 GC143 GC144 GC151",
    "zeroed row/col": "GC109",
}


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

    def stages(values: Mapping[str, Any]) -> list[Stage]:
        x, W = values["x"], values["W"]
        y, delta = made.y(x, W), made.delta(x, W)
        if entry["delta_convention"] == "per_sample" and made.red == "mean":
            delta = delta / made.n
        axis = 0 if made.layout == "batch" else None
        symbol = "Δ" if axis == 0 else "δ"
        if np.shape(delta) != np.shape(y):
            return []
        return [Stage(lambda v: made.y(v["x"], v["W"]), delta, False, symbol, axis)]

    outer, inner = made.W.shape if made.form == "Wx" else made.W.shape[::-1]
    sizes = {"N": inner, "M": outer}
    return Problem(
        {"x": made.x, "W": made.W},
        forward,
        backward,
        cotangent,
        stages=stages if not entry["forward_py"] else no_stages,
        numbers=({"n": made.n} | sizes) if made.layout == "batch" else sizes,
    )


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


def checked(problem: Problem) -> tuple[str, str, list[Diagnosis]]:
    """The verdict, the reasons given and what wrong gradients are called."""
    try:
        result = check(problem)
    except GradcheckError as error:
        return "error", str(error), []
    reasons = [gradient.reason for gradient in result.gradients if gradient.reason]
    found = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    return result.verdict.value, "; ".join(reasons), found


def naming(group: str, found: Sequence[Diagnosis]) -> str:
    """Whether the names of wrong gradients are those of their class."""
    names = [one.code for one in found if one.code not in ("GC100",)]
    if not names:
        return "nothing"
    return "right" if all(name in NAMES[group].split() for name in names) else "wrong"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="show every reason")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    names: dict[str, Counter[str]] = defaultdict(Counter)
    wrong = 0
    for case in (*rules(arguments.folder), *real_code(arguments.folder)):
        verdict, reason, found = checked(case.problem)
        table[case.kind, case.group][verdict] += 1
        called = naming(case.group, found) if case.kind == "mutant" and found else ""
        names[case.group][called] += bool(called)
        if verdict not in case.acceptable:
            wrong += 1
        told = verdict not in case.acceptable or called in ("nothing", "wrong")
        if told or arguments.verbose or case.kind == "real, buggy":
            print(f"{case.name} ({case.kind}, {case.group}): {verdict}: {reason}")
            for one in found:
                print(f"    {one.code} {one.title}: {one.observation}")
    print("\n| kind | class | fail | inconclusive | pass |\n|---|---|---|---|---|")
    for (kind, group), counts in sorted(table.items()):
        verdicts = (counts["fail"], counts["inconclusive"], counts["pass"])
        print(f"| {kind} | {group} | " + " | ".join(map(str, verdicts)) + " |")
    print(f"\n{sum(map(Counter.total, table.values()))} cases, {wrong} with another verdict")
    print("\n| class | right name | no name | wrong name |\n|---|---|---|---|")
    kinds = ("right", "nothing", "wrong")
    for group, counts in sorted(names.items()):
        if any(counts.values()):
            print(f"| {group} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |")
    total = sum(names.values(), Counter[str]())
    print("| all | " + " | ".join(str(total[kind]) for kind in kinds) + " |")


if __name__ == "__main__":
    main()
