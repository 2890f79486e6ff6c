"""What hostile configs, files and streams met once: an exit code that is true, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gradcheck_cli.cli import exit_code
from tests.support.command import Gradcheck, command, environment, run_words, shell

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files and shells")


def run(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """A config in a folder, run in this process."""
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    code = exit_code(["run", str(path)])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


TINY = "form: XW\nshapes: {n: 2, N: 2, M: 2}\ninputs: {W: {scale: 1e-18}}\n"
BATCH = "form: XW\nshapes: {n: 2, N: 3, M: 3}\n"
ONE = "form: xW\nshapes: {N: 1, M: 2}\n"

VERDICTS = {
    # a wrong rule where the step of W's own scale cannot be seen in the loss
    "tiny weights, wrong sign": (TINY + 'backward: {W: "-X.T @ delta"}\n', {1, 3}),
    "tiny weights, right": (TINY, {0, 3}),
    "saturated softmax": (
        ONE + "loss: softmax-cross-entropy\ninputs: {x: [[1]], W: [[40, 1]], t: [[1, 0]]}\n",
        {0, 3},
    ),
    "saturated softmax, drawn": (
        "form: XW\nshapes: {n: 4, N: 5, M: 3}\nloss: softmax-cross-entropy\n"
        "inputs: {seed: 5, X: {scale: 30}}\n",
        {0, 3},
    ),
    "float32 logistic": (
        "form: xW\nshapes: {N: 11, M: 3}\nloss: logistic\ndtype: float32\ninputs: {seed: 732}\n",
        {0, 3},
    ),
    "huber beside its corner, wrong by 0.5 %": (
        ONE + "loss: huber\ninputs: {x: [[1]], W: [[1.0000001, 0.5]], t: 0}\n"
        'backward: {W: "x.T @ delta * where(W > 0.9, 0.995, 1.0)"}\n',
        {1},
    ),
    "an oscillation no step resolves": (
        "form: xW\nshapes: {N: 1, M: 1}\nloss: cosine\ninputs: {x: [[1]], W: [[1e30]], c: 1}\n",
        {3},
    ),
    "everything zero": (BATCH + "inputs: {X: {scale: 0}}\n", {0, 3}),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_at_the_edges(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, codes = VERDICTS[name]
    code, out, err = run(text, tmp_path, capsys)
    assert code in codes, out
    assert "pass, to inf" not in out
    assert err == ""


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("loss", ["softmax-cross-entropy", "logistic"])
def test_saturated_units_are_never_failed(
    seed: int, loss: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"form: XW\nshapes: {{n: 4, N: 5, M: 3}}\nloss: {loss}\n"
    config += f"inputs: {{seed: {seed}, X: {{scale: {3 * (1 + seed)}}}}}\n"
    code, out, _ = run(config, tmp_path, capsys)
    assert code in {0, 3}, out


def test_inputs_that_overflow_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = BATCH + "dtype: float32\ninputs: {W: 1e300}\n"
    code, out, err = run(config, tmp_path, capsys)
    assert (code, err) == (2, "")
    assert "W is not finite in float32; give it a smaller scale" in out


def test_a_forward_that_overflows_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(BATCH + "inputs: {W: {scale: 1e200}}\n", tmp_path, capsys)
    assert code == 2
    assert "the forward gives inf at [0]; give inputs of another scale" in out


def files(folder: Path) -> dict[str, str]:
    """Files that are no arrays, and what is said of each."""
    np.save(folder / "empty.npy", np.ones((0, 3)))
    (folder / "comment.csv").write_text("# nothing\n")
    header = b"\x93NUMPY\x01\x00\x76\x00"
    for name, text in {
        "unclosed.npy": "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3)",
        "huge.npy": "{'descr': '<f8', 'fortran_order': False, 'shape': (10**25, 3), }",
        "large.npy": f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**25}, 3), }}",
        "bool.npy": "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3), }",
    }.items():
        (folder / name).write_bytes(header + text.ljust(117).encode() + b"\n")
    (folder / "zip.npy").write_bytes(b"PK\x03\x04 cut")
    return {
        "empty.npy": "holds no numbers",
        "comment.csv": "holds no numbers",
        "unclosed.npy": "",
        "huge.npy": "",
        "large.npy": "",
        "bool.npy": "",
        "zip.npy": "",
    }


def test_files_that_are_no_arrays_are_config_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, said in files(tmp_path).items():
        code, _, err = run(BATCH + f"inputs: {{W: {name}}}\n", tmp_path, capsys)
        assert code == 2, name
        assert f"{name}'" in err
        assert said in err


@unix
def test_a_file_that_never_ends_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "fifo.npy")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("fifo.npy", "zero.csv"):
        code, _, err = run(BATCH + f"inputs: {{W: {name}}}\n", tmp_path, capsys)
        assert code == 2
        assert "it is not a regular file" in err


def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, err = run(BATCH + 'backward: {"\\e]0;title\\a\\e[31mW": 1}\n', tmp_path, capsys)
    assert "\x1b" not in err
    assert "\\x1b]0;title\\x07" in err


def test_a_formula_on_several_lines_is_one_line_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(BATCH + "backward:\n  W: |\n    X.T\n      @ delta\n", tmp_path, capsys)
    assert "∂L/∂W = X.T @ delta " in out


def test_many_errors_are_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = "form: XW\nchecks:\n" + "- {shapez: 1}\n" * 200
    code, _, err = run(config, tmp_path, capsys)
    assert code == 2
    assert len(err.splitlines()) < 200
    assert "more errors" in err


def test_paths_that_are_no_paths(gradcheck: Gradcheck) -> None:
    for path in ("", "a" * 300, "no\x1b[31m.yaml"):
        done = gradcheck("run", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "internal" not in done.stderr


@unix
@pytest.mark.parametrize(
    "line",
    [
        "gradcheck run tests/data/errors/unknown-key.yaml 2>/dev/full",
        "gradcheck run --format x configs 2>/dev/full",
        "gradcheck run - <&-",
        "gradcheck --help > /dev/full",
        "gradcheck run tests/data/errors/unknown-key.yaml 2>&1 | true; exit ${PIPESTATUS[0]}",
    ],
)
def test_streams_that_fail_do_not_look_like_a_wrong_gradient(line: str) -> None:
    done = shell(line)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr


@unix
@pytest.mark.parametrize("delay", [0.1, 0.2, 0.4])
def test_ctrl_c_at_any_time_is_quiet(delay: float, tmp_path: Path) -> None:
    config = tmp_path / "long.yaml"
    config.write_text("form: XW\nshapes: {n: 64, N: 256, M: 256}\nloss: cosine\n")
    process = subprocess.Popen(
        [command(), "run", str(config)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    # Before the first of our lines runs, the interpreter itself answers.
    assert "gradcheck_cli/" not in errors
    if process.returncode == 130:
        assert "Traceback" not in errors


SOFTMAX = "softmax(" * 60 + "ones(600, 600)" + ")" * 60
BOMBS = {
    "products": (
        "forward: x + 0 * sum(ones(900, 900) @ ones(900, 900))\nbackward: {x: delta}\n"
        "inputs: {x: [200]}\n",
        "310 calls of the formulas take the work of 2e+11 multiplications; at most 7e+10 are",
    ),
    "softmax in a rule": (
        f'{BATCH}backward: {{W: "X.T @ delta + 0 * sum({SOFTMAX})"}}\n',
        "entries together; at most",
    ),
    "logsumexp": (
        f"forward: x + {'+'.join(['logsumexp(ones(2**20))'] * 30)}\nbackward: {{x: delta}}\n"
        "inputs: {x: [2]}\n",
        "entries together; at most",
    ),
    "minus": (
        f"forward: x + sum({'-' * 60}ones(2**20))\nbackward: {{x: delta}}\ninputs: {{x: [2]}}\n",
        "entries together; at most",
    ),
    "large outputs": (
        "forward: outer(x, ones(2**17))\nbackward: {x: delta @ ones(2**17)}\ninputs: {x: [200]}\n",
        "'outer(x, ones(2**17))' are too large for memory: checking them takes 5 GiB",
    ),
    "deep comprehensions": (
        f'{BATCH}backward: {{W: "{"[x for x in " * 99}X{"]" * 99}"}}\n',
        "nested too deeply",
    ),
    "deep calls": (
        f'{BATCH}backward: {{W: "{"sum(X, keepdims=" * 70}1{")" * 70}"}}\n',
        "nested too deeply",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_takes_too_long_or_too_much_memory_is_an_error_of_the_config(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = BOMBS[name]
    started = time.process_time()
    code, out, err = run(text, tmp_path, capsys)
    assert (code, out) == (2, "")
    assert expected in err
    assert time.process_time() - started < 2


def test_formulas_of_which_entries_would_take_too_long_are_checked_in_directions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = "forward: x @ W\nbackward: {x: delta @ W.T, W: x.T @ delta}\n"
    config += "inputs: {x: [64, 64], W: [64, 256]}\n"
    code, out, _ = run(config, tmp_path, capsys)
    assert code == 0, out
    assert "random directions" in out


@pytest.mark.parametrize("command", ["run --power", "mutate"])
def test_mutants_of_jacobians_of_which_a_sample_is_measured(
    command: str, gradcheck: Gradcheck
) -> None:
    config = "form: xW\nshapes: {N: 2, M: 3}\njacobian: true\nnumeric: {sample: 1}\n"
    done = gradcheck(*command.split(), "-", stdin=config)
    assert done.returncode in (0, 1), done.stdout
    assert "internal error" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--timeout", "nan"),
        ("--timeout", "1e300"),
        ("--timeout", "9" * 5000),
        ("--jobs", "9" * 5000),
        ("--shard", f"1/{'9' * 5000}"),
        ("--shard", f"{'9' * 5000}/2"),
        ("--seed", "9" * 5000),
        ("--seeds", "9" * 5000),
        ("--durations", "9" * 5000),
        ("--budget", "9" * 5000),
        ("--budget", "nan"),
        ("--set", f"inputs.seed={'9' * 5000}"),
    ],
)
def test_numbers_out_of_all_bounds_are_usage_errors(
    words: tuple[str, str], gradcheck: Gradcheck
) -> None:
    done = gradcheck("run", *words, "configs/mean.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "internal error" not in done.stderr


@unix
@pytest.mark.parametrize("words", ["fifo.yaml", ""])
def test_completion_does_not_wait_for_a_pipe(words: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    done = run_words(
        [command()],
        cwd=tmp_path,
        env={
            "_GRADCHECK_COMPLETE": "bash_complete",
            "COMP_WORDS": f"gradcheck run {words} -k ",
            "COMP_CWORD": "4" if words else "3",
        },
        timeout=20,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
