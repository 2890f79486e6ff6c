"""Python code that configs name: it runs only when it is allowed, and costs its own check alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import Gradcheck, command, environment

LAYERS = """\
import os
import sys
import time

import numpy as np


def square(x):
    return x * x, x


def square_backward(delta, cache):
    return 2 * cache * delta


def prints(x):
    print("calling", x.shape)
    os.write(1, b"below Python\\n")
    sys.stdout.buffer.write(b"as bytes \\xff\\n")
    return x * x, x


def raises(x):
    return helper(x)


def helper(x):
    raise ValueError(f"no {x.shape} today")


def exits(x):
    sys.exit(0)


def dies(x):
    os._exit(0)


def crashes(x):
    os.kill(os.getpid(), 11)


def forever(x):
    while True:
        pass


def sleeps(x):
    time.sleep(100)


def huge(x):
    return np.ones(10**13) * x


def deep(x):
    return deep(x)


def asks(x):
    return x * float(input("a number: "))


def fails_later(delta, cache):
    raise KeyError("cache")
"""

CONFIG = """\
inputs: {x: [3]}
backward: layers.py:square_backward
checks:
- {name: before, forward: layers.py:square}
- {name: tried, forward: layers.py:%s}
- {name: after, forward: layers.py:square}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layers.py").write_text(LAYERS, encoding="utf-8")
    return tmp_path


def config(folder: Path, forward: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(CONFIG % forward, encoding="utf-8")
    return path


def test_code_is_named_and_not_run_unless_it_is_allowed(gradcheck: Gradcheck, folder: Path) -> None:
    (folder / "layers.py").write_text("open('ran', 'w')\n" + LAYERS, encoding="utf-8")
    config(folder, "prints")
    done = gradcheck("run", "c.yaml", cwd=folder)
    assert done.returncode == 2
    assert done.stdout.startswith(
        "NOT RUN  before, tried, after  c.yaml\n\n3 checks: 3 not run · seed 0 · "
    )
    assert done.stderr == (
        "gradcheck: 3 checks of Python code were not run\n"
        "  c.yaml: layers.py: square, square_backward, prints\n"
        "read this code, then add --allow-code\n"
    )
    assert gradcheck("explain", "c.yaml", cwd=folder).returncode == 0
    assert not (folder / "ran").exists()
    assert gradcheck("run", "--allow-code", "c.yaml", cwd=folder).returncode == 0
    assert (folder / "ran").exists()


FORM = "form: XW\nshapes: {n: 4, N: 3, M: 2}\n"


def test_checks_of_code_do_not_stop_the_others(gradcheck: Gradcheck, folder: Path) -> None:
    config(folder, "prints")
    (folder / "own.yaml").write_text(FORM, encoding="utf-8")
    (folder / "wrong.yaml").write_text(
        f"{FORM}backward: {{W: X.T @ delta / n}}\n", encoding="utf-8"
    )
    done = gradcheck("run", ".", "--format", "json", cwd=folder)
    outcomes = {check["id"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}
    code = dict.fromkeys(("before", "tried", "after"), "not run")
    assert outcomes == {**code, "own": "ok", "wrong": "wrong"}
    assert done.returncode == 1
    (folder / "wrong.yaml").unlink()
    for options in ((), ("-x",), ("--exit-zero",), ("--jobs", "2")):
        done = gradcheck("run", ".", *options, cwd=folder)
        assert (done.returncode, "4 checks: 1 ok, 3 not run" in done.stdout) == (2, True)
    done = gradcheck("mutate", ".", cwd=folder)
    assert (done.returncode, "3 not run" in done.stdout) == (2, True)
    assert done.stdout.count("NOT RUN  before, tried, after  c.yaml") == 1


@pytest.mark.parametrize(
    ("format", "words"),
    [
        ("plain", "not run\tbefore\t-"),
        ("github", "::warning file=c.yaml,line=4,title=gradcheck%3A before%3A not run::"),
        ("junit", 'skipped="3"'),
        ("junit", '<skipped type="not run" message="it names Python code, which runs with'),
        ("markdown", "### before: not run"),
        ("html", "--allow-code only: "),
    ],
)
def test_every_format_lists_what_was_not_run(
    gradcheck: Gradcheck, folder: Path, format: str, words: str
) -> None:
    config(folder, "prints")
    assert words in gradcheck("run", "c.yaml", "--format", format, cwd=folder).stdout


def test_what_was_not_run_has_not_failed_last(gradcheck: Gradcheck, folder: Path) -> None:
    config(folder, "prints")
    gradcheck("run", "c.yaml", cwd=folder)
    done = gradcheck("run", "--last-failed", "--list", "c.yaml", cwd=folder)
    assert "none of these checks failed when last run" in done.stderr


def test_what_code_prints_does_not_reach_the_report(
    gradcheck_process: Gradcheck, folder: Path
) -> None:
    done = gradcheck_process("run", "--allow-code", "--format", "json", config(folder, "prints"))
    assert [check["outcome"] for check in json.loads(done.stdout)["checks"]] == ["ok"] * 3
    assert done.stderr.count("calling (3,)") == done.stderr.count(r"as bytes \xff") == 10
    assert "more lines that the code printed" in done.stderr
    assert "below Python" in done.stderr


def at(code: str, function: str) -> str:
    """How a traceback names a line of LAYERS."""
    line = next(n for n, text in enumerate(LAYERS.splitlines(), start=1) if code in text)
    return f'layers.py", line {line}, in {function}'


COSTS = {
    "raises": [
        "raises raised ValueError: no (3,) today",
        at("return helper(x)", "raises"),
        "    return helper(x)",
        at("raise ValueError", "helper"),
        '    raise ValueError(f"no {x.shape} today")',
    ],
    "exits": ["exits called sys.exit(0)", at("sys.exit(0)", "exits")],
    "dies": ["the code ended its process with exit code 0"],
    "crashes": ["the code ended its process by SIGSEGV"],
    "huge": ["huge raised", "Unable to allocate", at("np.ones", "huge")],
    "deep": ["deep raised RecursionError", at("return deep(x)", "deep")],
    "asks": ["asks raised EOFError", at("float(input", "asks")],
    "missing": ["layers.py has no 'missing'"],
    "sqare": ["layers.py has no 'sqare'; did you mean 'square'?"],
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("forward", COSTS)
def test_bad_code_costs_its_own_check_alone(
    gradcheck: Gradcheck, folder: Path, forward: str
) -> None:
    done = gradcheck("run", "--allow-code", config(folder, forward))
    assert done.returncode == 2
    assert "3 checks: 2 ok, 1 error" in done.stdout
    for text in COSTS[forward]:
        assert text in done.stdout
    assert "gradcheck_cli" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("forward", "where"), [("forever", "(while True:|pass)"), ("sleeps", "time.sleep")]
)
def test_a_forward_that_never_returns_is_ended(
    gradcheck: Gradcheck, folder: Path, forward: str, where: str
) -> None:
    started = time.monotonic()
    done = gradcheck("run", "--allow-code", "--timeout", "0.7", config(folder, forward))
    assert time.monotonic() - started < 30
    assert done.returncode == 2
    assert "3 checks: 2 ok, 1 error" in done.stdout
    assert "a call did not return within 0.7 s; --timeout allows more" in done.stdout
    assert re.search(rf'layers.py", line \d+, in {forward}\n +{where}', done.stdout)


IMPORTS = """
import sys

loaded = set(sys.modules)


def square(x):
    new = sorted(set(sys.modules) - loaded)
    assert not new, f"imported by each check: {new}"
    return x * x


def square_backward(delta, x):
    return 2 * x * delta
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_checks_of_code_import_nothing_that_could_be_shared(
    gradcheck_process: Gradcheck, tmp_path: Path
) -> None:
    (tmp_path / "imports.py").write_text(IMPORTS, encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text(
        "forward: imports.py:square\nbackward: imports.py:square_backward\n"
        "inputs: {x: {shape: [3]}}\nchecks: [{name: a}, {name: b, inputs: {seed: 1}}]\n",
        encoding="utf-8",
    )
    done = gradcheck_process("run", "--allow-code", config)
    assert done.returncode == 0, done.stdout


def test_what_a_backward_raises_is_shown(gradcheck: Gradcheck, folder: Path) -> None:
    text = CONFIG.replace("square_backward", "fails_later") % "square"
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    done = gradcheck("run", "--allow-code", "c.yaml", cwd=folder)
    assert done.returncode == 2
    assert "fails_later raised KeyError: 'cache'" in done.stdout
    assert at("raise KeyError", "fails_later") in done.stdout


def test_a_constant_that_may_be_meant_as_a_shape_is_told_as_what_it_is(
    gradcheck: Gradcheck, folder: Path
) -> None:
    code = "def f(x, X): return x @ X\n\ndef b(delta, x, X): return X @ delta\n"
    (folder / "product.py").write_text(code, encoding="utf-8")
    config = (
        "forward: product.py:f\nbackward: product.py:b\nshapes: {m: 4, F: 3}\n"
        "inputs: {x: [m]}\nconstants: {X: [m, F]}\n"
    )
    (folder / "product.yaml").write_text(config, encoding="utf-8")
    done = gradcheck("run", "--allow-code", str(folder / "product.yaml"))
    assert "X is the list [4, 3]; an array of that shape is {shape: [4, 3]}" in done.stdout


def test_a_file_that_cannot_be_imported_is_shown(gradcheck: Gradcheck, folder: Path) -> None:
    (folder / "layers.py").write_text("import numpy\nimport nosuchthing\n", encoding="utf-8")
    done = gradcheck("run", "--allow-code", config(folder, "square"), cwd=folder)
    assert done.returncode == 2
    assert "importing layers.py raised ModuleNotFoundError: No module named 'nosuch" in done.stdout
    assert 'File "layers.py", line 2, in <module>' in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_code_too(folder: Path) -> None:
    text = LAYERS.replace(
        "    while True:\n        pass", "    os.mkdir('called')\n    time.sleep(60)"
    )
    (folder / "layers.py").write_text(text, encoding="utf-8")
    arguments = ["run", "--allow-code", str(config(folder, "forever"))]
    started = subprocess.Popen(
        [command(), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=folder,
    )
    while not (folder / "called").exists() and started.poll() is None:
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=20)
    assert started.returncode == 130
    assert "1 check: 1 ok, interrupted" in out
    assert "gradcheck: interrupted; 1 check of 3 done" in err
    left = subprocess.run(
        ["pgrep", "-s", str(started.pid)], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


def test_files_and_modules_are_found_beside_the_config(gradcheck: Gradcheck, folder: Path) -> None:
    package = folder / "mine" / "layers"
    package.mkdir(parents=True)
    (folder / "mine" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "ops.py").write_text(
        "from ..shared import twice\ndef f(x): return twice(x)\ndef g(delta): return 2 * delta\n"
    )
    (folder / "mine" / "shared.py").write_text("def twice(x): return 2 * x\n")
    (folder / "c.yaml").write_text(
        "inputs: {x: [3]}\nchecks:\n"
        "- {name: file, forward: mine/layers/ops.py:f, backward: mine/layers/ops.py:g}\n"
        "- {name: module, forward: mine.layers.ops:f, backward: 'mine.layers.ops:g'}\n"
    )
    done = gradcheck("run", "--allow-code", folder / "c.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_inputs_and_constants_are_nested_as_functions_take_them(
    gradcheck: Gradcheck, folder: Path
) -> None:
    (folder / "nested.py").write_text(
        "def f(X, parameters, options):\n"
        "    assert (options['size'], options['mode']) == (3, 'same')\n"
        "    return X @ parameters['W'] * options['mask'] + parameters['b']\n"
        "def g(delta, X, parameters, options):\n"
        "    inner = delta * options['mask']\n"
        "    return inner @ parameters['W'].T, {'dW': X.T @ inner, 'db': delta.sum(0)}\n"
        "class Scale:\n"
        "    def __init__(self, factor): self.factor = factor\n"
        "    def forward(self, x): return self.factor * x\n"
        "    def backward(self, delta): return self.factor * delta\n"
        "def make(size): return Scale(size)\n"
    )
    (folder / "c.yaml").write_text(
        "shapes: {n: 4, N: 5, M: 3}\n"
        "checks:\n"
        "- forward: nested.py:f\n"
        "  backward: nested.py:g\n"
        "  inputs: {X: [n, N], parameters: {W: [N, M], b: [M]}}\n"
        "  constants: {options: {size: M, mode: same, mask: {distribution: mask, shape: [n, M]}}}\n"
        "- {layer: 'nested.py:make', inputs: {x: [n]}, constants: {size: 7}}\n"
    )
    done = gradcheck("run", "--allow-code", "--format", "json", folder / "c.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = json.loads(done.stdout)["checks"]
    names = [gradient["name"] for gradient in first["result"]["gradients"]]
    assert names == ["X", "parameters.W", "parameters.b"]
    assert second["outcome"] == "ok"
    explained = gradcheck("explain", folder / "c.yaml").stdout
    assert "  parameters.W: 5×3\n" in explained


def test_what_checks_share_may_be_left_by_some(gradcheck: Gradcheck, folder: Path) -> None:
    (folder / "two.py").write_text(
        "def f(x, w): return x * w\ndef g(delta, x, w): return delta * w, delta * x\n"
        "def h(z, power): return z ** power\n"
        "def k(delta, z, power): return power * delta * z ** (power - 1)\n"
    )
    (folder / "c.yaml").write_text(
        "inputs: {x: [3], w: [3]}\nconstants: {unused: 1}\n"
        "checks:\n"
        "- {name: both, forward: 'two.py:f', backward: 'two.py:g'}\n"
        "- {name: other, forward: 'two.py:h', backward: 'two.py:k', inputs: {z: [3]},"
        " constants: {power: 3}}\n"
        "- {name: own, forward: 'two.py:f', backward: 'two.py:g', inputs: {z: [3]}}\n"
    )
    done = gradcheck("run", "--allow-code", "--format", "json", folder / "c.yaml")
    both, other, own = json.loads(done.stdout)["checks"]
    assert both["outcome"] == other["outcome"] == "ok"
    assert [one["name"] for one in other["result"]["gradients"]] == ["z"]
    told = "which checks share, is left out"
    assert both["result"]["notes"] == [
        f"unused, {told}: no function takes the constant 'unused'",
    ]
    assert other["result"]["notes"][:2] == [
        f"x, {told}: h(z, power) takes no 'x'",
        f"w, {told}: h(z, power) takes no 'w'",
    ]
    assert own["error"] == "f(x, w) takes no 'z'"  # its own: most likely a typo


def test_keys_that_are_whole_numbers_are_numbers(gradcheck: Gradcheck, folder: Path) -> None:
    (folder / "keys.py").write_text(
        "def of_list(x, w): return sum(x @ one for one in w), (x, w)\n"
        "def of_list_back(d, cache):\n"
        "    x, w = cache\n"
        "    return d @ sum(w).T, [x.T @ d for _ in w]\n"
        "def of_dict(x, w): return x @ w[1] @ w[2], (x, w)\n"
        "def of_dict_back(d, cache):\n"
        "    x, w = cache\n"
        "    return d @ w[2].T @ w[1].T, {1: x.T @ d @ w[2].T, 2: (x @ w[1]).T @ d}\n"
    )
    (folder / "c.yaml").write_text(
        "inputs: {x: [4, 3]}\n"
        "checks:\n"
        "- forward: keys.py:of_list\n  backward: keys.py:of_list_back\n"
        "  inputs: {w: {0: [3, 2], 1: [3, 2]}}\n"
        "- forward: keys.py:of_dict\n  backward: keys.py:of_dict_back\n"
        "  inputs: {w: {1: [3, 5], 2: [5, 2]}}\n"
    )
    done = gradcheck("run", "--allow-code", "--format", "plain", folder / "c.yaml")
    assert done.returncode == 0, done.stdout
    names = [line.split("\t")[2] for line in done.stdout.splitlines()]
    assert names == ["∂L/∂x", "∂L/∂w[0]", "∂L/∂w[1]", "∂L/∂x", "∂L/∂w[1]", "∂L/∂w[2]"]


def test_an_object_that_cannot_be_made_is_told_with_what_would_make_it(
    gradcheck: Gradcheck, folder: Path
) -> None:
    (folder / "words.py").write_text(
        "class Words:\n"
        "    def __init__(self, count, start=0): self.count = count\n"
        "def f(x, words): return x * words.count\n"
        "def g(delta, words): return delta * words.count\n"
    )
    config = folder / "c.yaml"
    config.write_text(
        "inputs: {x: [3]}\nforward: words.py:f\nbackward: words.py:g\n"
        "constants: {words: 'words.py:Words'}\n"
    )
    done = gradcheck("run", "--allow-code", config)
    assert done.returncode == 2
    assert "for this object alone: words: {call: words.py:Words, count: …}" in done.stdout
    text = config.read_text()
    for given in ("words: {call: 'words.py:Words', count: 4}", "words: 'words.py:Words', count: 4"):
        config.write_text(text.replace("words: 'words.py:Words'", given))
        assert gradcheck("run", "--allow-code", config).returncode == 0


def test_a_file_whose_package_cannot_be_imported_is_loaded_by_itself(
    gradcheck: Gradcheck, folder: Path
) -> None:
    package = folder / "library"
    package.mkdir()
    (package / "__init__.py").write_text("import what_is_not_installed\n")
    (package / "alone.py").write_text("def f(x): return 2 * x\ndef g(delta): return 2 * delta\n")
    (package / "needs.py").write_text("from . import alone\nf, g = alone.f, alone.g\n")
    (folder / "c.yaml").write_text(
        "inputs: {x: [3]}\nchecks:\n"
        "- {forward: 'library/alone.py:f', backward: 'library/alone.py:g'}\n"
        "- {forward: 'library/needs.py:f', backward: 'library/needs.py:g'}\n"
    )
    done = gradcheck("run", "--allow-code", "--format", "json", folder / "c.yaml")
    alone, needs = json.loads(done.stdout)["checks"]
    why = "ModuleNotFoundError: No module named 'what_is_not_installed'"
    note = f"library/alone.py was loaded by itself: its package 'library' raised {why}"
    assert (alone["outcome"], alone["result"]["notes"]) == ("ok", [note])
    assert needs["error"].startswith(f"importing library/needs.py as library.needs raised {why}")
    assert "by itself, without its package 'library', it raised ImportError" in needs["error"]
    assert "install what is missing, or copy the file" in needs["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    "line",
    ["os.kill(os.getpid(), 19)", "import faulthandler; faulthandler.cancel_dump_traceback_later()"],
)
def test_a_process_that_cannot_end_itself_is_ended(
    gradcheck: Gradcheck, folder: Path, line: str
) -> None:
    text = LAYERS.replace("    while True:\n", f"    {line}\n    while True:\n")
    (folder / "layers.py").write_text(text, encoding="utf-8")
    done = gradcheck("run", "--allow-code", "--timeout", "0.5", config(folder, "forever"))
    assert done.returncode == 2
    assert "3 checks: 2 ok, 1 error" in done.stdout
    assert "a call did not return within 0.5 s" in done.stdout


def test_what_the_code_starts_ends_with_it(gradcheck: Gradcheck, folder: Path) -> None:
    text = LAYERS.replace(
        "def square(x):\n",
        "import subprocess\nsubprocess.Popen(['sleep', '61.25'])\n\n\ndef square(x):\n",
    )
    (folder / "layers.py").write_text(text, encoding="utf-8")
    assert gradcheck("run", "--allow-code", config(folder, "square")).returncode == 0
    left = subprocess.run(["pgrep", "-f", "sleep 61.25"], capture_output=True, check=False)
    assert left.stdout == b""


ENDLESS = """\
class Endless(tuple):
    def __iter__(self):
        while True:
            yield self

def square(x): return x * x
def square_backward(delta, x): return Endless()
"""


def test_what_does_not_end_when_it_is_read_shows_no_lines_of_ours(
    tmp_path: Path, gradcheck: Gradcheck
) -> None:
    (tmp_path / "layers.py").write_text(ENDLESS)
    (tmp_path / "c.yaml").write_text(
        "forward: layers.py:square\nbackward: layers.py:square_backward\ninputs: {x: [3]}\n"
    )
    done = gradcheck("run", "--allow-code", "--timeout", "1", "c.yaml", cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[1] == "  a call did not return within 1 s; --timeout allows more"
    # The alarm may find it in a line of the user's, or between two.
    assert all("layers.py" in line for line in lines[2:] if line.strip().startswith("File "))
    assert "gradcheck_cli" not in done.stdout


@pytest.mark.parametrize("changed", ["layer.py", "helper.py", "package/inner.py"])
def test_code_that_changes_within_a_second_is_checked_as_it_stands(
    gradcheck_process: Gradcheck, tmp_path: Path, changed: str
) -> None:
    """Its bytecode would be taken for that of the new text, which has the same time and size."""
    config = "forward: layer.py:square\nbackward: layer.py:back\ninputs: {x: [3]}\n"
    (tmp_path / "c.yaml").write_text(config)
    layer = "from helper import two\nfrom package.inner import one\ndef square(x): return x * x\n"
    layer += "def back(delta, x): return two * one * x * delta * 1\n"
    texts = {"layer.py": layer, "helper.py": "two = 2\n", "package/inner.py": "one = 1\n"}
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    for text, code in ((texts[changed], 0), (re.sub(r"[12]\n", "3\n", texts[changed]), 1)):
        for name, content in {**texts, changed: text}.items():
            (tmp_path / name).write_text(content)
            os.utime(tmp_path / name, (1e9, 1e9))
        done = gradcheck_process("run", "--allow-code", "-q", "c.yaml", cwd=tmp_path)
        assert done.returncode == code, done.stdout


def test_a_script_that_reads_its_command_line_and_goes_elsewhere_is_loaded(
    gradcheck: Gradcheck, folder: Path
) -> None:
    (folder / "script.py").write_text(
        "import argparse, os\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--power', type=int, default=3)\n"
        "power = parser.parse_args().power\n"
        "os.chdir('/')\n"
        "def f(x): return x**power\n"
        "def right(delta, x): return power * delta * x ** (power - 1)\n"
        "def wrong(delta, x): return delta * x ** (power - 1)\n"
    )
    (folder / "script.yaml").write_text(
        "forward: script.py:f\n"
        "inputs: {x: [4]}\n"
        "checks:\n"
        "- {name: right, backward: script.py:right}\n"
        "- {name: wrong, backward: script.py:wrong, expect: fail}\n"
    )
    done = gradcheck("run", "--allow-code", "script.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout
