"""stdout carries the report alone, whatever reads it; notes and errors go to stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Gradcheck, command, environment, shell

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
WRONG = "form: XW\nshapes: {n: 8, N: 5, M: 3}\nbackward: {W: X.T @ delta / n}\n"


@unix
@pytest.mark.parametrize(
    "arguments", ["run configs/losses.yaml", "explain configs", "--help", "run --help"]
)
def test_a_closed_pipe_does_not_look_like_a_wrong_gradient(arguments: str) -> None:
    for reader in ("head -1", "true"):
        done = shell(f"set -o pipefail; gradcheck {arguments} | {reader} > /dev/null")
        assert (done.returncode, done.stderr) == (0, "")


@unix
def test_a_closed_pipe_keeps_the_verdict(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(WRONG)
    done = shell(f"set -o pipefail; gradcheck run {config} | true")
    assert (done.returncode, done.stderr) == (1, "")


@unix
def test_a_report_that_cannot_be_written_is_an_error_with_a_reason() -> None:
    done = shell("gradcheck run configs/mean.yaml >&-")
    assert (done.returncode, done.stderr) == (
        2,
        "gradcheck: error: cannot write the report: stdout is closed\n",
    )
    if Path("/dev/full").exists():
        done = shell("gradcheck run configs/mean.yaml > /dev/full")
        assert done.returncode == 2
        assert "cannot write the report: No space left on device" in done.stderr


@unix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("format", ["table", "json", "jsonl"])
def test_a_wrong_gradient_stays_one_where_the_report_cannot_be_written(
    format: str, tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    done = shell(f"gradcheck run {tmp_path}/wrong.yaml --format {format} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    done = shell(f"gradcheck run {tmp_path}/wrong.yaml -o json=/dev/full > /dev/null")
    assert done.returncode == 1
    assert "cannot write the report '/dev/full': No space left on device" in done.stderr


@unix
@pytest.mark.parametrize(
    "outputs",
    [
        "-o json=/dev/stdout -qq > OUT",
        "-o json=/dev/stdout -qq | cat > OUT",
        "-o json=/dev/fd/1 -qq > OUT",
        "-o json=/proc/self/fd/1 -qq | cat > OUT",
        "-o json=/dev/stderr -qq 2> OUT",
        "-o json=>(cat > OUT) -qq; wait $!",
        "-o json=/dev/fd/5 -qq 5> OUT",
    ],
)
def test_a_report_goes_to_descriptors_as_to_files(outputs: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = shell(f"gradcheck run configs/mean.yaml {outputs.replace('OUT', str(out))}")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(out.read_text())["exit_code"] == 0


@unix
def test_a_report_and_the_table_follow_each_other_on_stdout(tmp_path: Path) -> None:
    done = shell(
        f"gradcheck run configs/mean.yaml -o plain=/dev/stdout > {tmp_path}/out; cat {tmp_path}/out"
    )
    assert done.stdout.count("1 check: 1 ok") == 1
    assert done.stdout.count("∂L/∂W") >= 2
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@unix
def test_a_descriptor_that_is_closed_is_named() -> None:
    done = shell("gradcheck run configs/mean.yaml -o json=/dev/fd/7")
    assert done.returncode == 2
    assert "cannot write the report '/dev/fd/7': Bad file descriptor" in done.stderr


@unix
@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-", ">&- 2>&-", "<&-"])
def test_no_file_of_the_run_gets_the_number_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    """What code prints would be written into it."""
    (tmp_path / "layer.py").write_text(
        "import os\ndef forward(x):\n    os.write(1, b'one'); os.write(2, b'two')\n    return x\n"
    )
    (tmp_path / "c.yaml").write_text(
        "forward: layer.py:forward\nbackward: {x: delta}\ninputs: {x: [2]}\n"
    )
    done = shell(
        f"gradcheck run --allow-code -qq {tmp_path}/c.yaml -o json={tmp_path}/r.json {closed}"
    )
    assert done.returncode in (0, 2)
    if (tmp_path / "r.json").exists():
        json.loads((tmp_path / "r.json").read_text())


def test_without_a_terminal_rules_are_cut_to_80_columns_and_nothing_else_is(
    gradcheck: Gradcheck,
) -> None:
    name = "a-name-that-is-longer-than-any-terminal-" * 2
    rule = "X.T @ delta * " + "1 * " * 30 + "1"
    config = f"form: XW\nname: {name}\nshapes: {{n: 8, N: 5, M: 3}}\nbackward: {{W: {rule}}}\n"
    done = gradcheck("run", "-", stdin=config)
    assert name in done.stdout
    (cut,) = (line for line in done.stdout.splitlines() if "…" in line)
    assert cut.startswith("  ∂L/∂W = X.T @ delta * 1")
    assert len(cut) <= 80
    assert ", to " in cut
    assert "\x1b" not in done.stdout


def test_user_text_is_printed_as_it_is(gradcheck: Gradcheck) -> None:
    name = "W[x] :100: [bold]loud[/bold] [/]"
    config = f'name: "{name}"\n{WRONG}'
    done = gradcheck("run", "-", stdin=config, env={"FORCE_COLOR": "1"})
    assert name in done.stdout


@pytest.mark.parametrize(
    ("env", "colored"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_is_decided_by_no_color_then_force_color_then_the_terminal(
    gradcheck: Gradcheck, env: dict[str, str], colored: bool
) -> None:
    assert ("\x1b[" in gradcheck("run", "configs/own-rules.yaml", env=env).stdout) is colored


def test_an_encoding_without_greek_does_not_break_the_report(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process(
        "run", "configs/batch.yaml", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "dL/dW = XTD (52)" in done.stdout


def test_json_carries_the_same_as_the_table(gradcheck: Gradcheck) -> None:
    table = gradcheck("run", "-", stdin=WRONG)
    done = gradcheck("run", "-", "--format", "json", stdin=WRONG)
    assert (done.returncode, done.stderr) == (1, "")

    def refuse(constant: str) -> Any:
        raise AssertionError(f"bare {constant}")

    report = json.loads(done.stdout, parse_constant=refuse)
    assert (report["schema_version"], report["exit_code"]) == (1, 1)
    (check,) = report["checks"]
    assert check["rerun"] == "gradcheck run -"
    assert check["settings"]["seed"] == 0
    right, wrong = check["result"]["gradients"]
    assert (right["equation"], right["verdict"], wrong["equation"]) == (45, "pass", None)
    assert wrong["verdict"] == "fail"
    assert wrong["wrong"] == wrong["entries"] == 15
    assert wrong["worst"]["ratio"] == pytest.approx(1 / 8)
    for value in (wrong["max_abs_error"], wrong["max_rel_error"], wrong["max_over_allowed"]):
        assert f"{value:.1e}" in table.stdout


def test_json_has_null_where_there_is_no_number(gradcheck: Gradcheck) -> None:
    config = WRONG.replace("X.T @ delta / n", "X.T @ (delta / (y - y))")
    done = gradcheck("run", "-", "--format", "json", stdin=config)
    wrong = json.loads(done.stdout)["checks"][0]["result"]["gradients"][1]
    assert wrong["worst"] is None
    assert "nan at [0, 0]" in wrong["reason"]


def test_a_directory_is_walked_in_order_and_other_yaml_is_skipped_with_a_note(
    gradcheck: Gradcheck, tmp_path: Path
) -> None:
    for name in ("b.yaml", "a.yml", "deep/c.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("form: Wx\nshapes: {N: 2, M: 2}\n")
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x}}\n")
    (tmp_path / "README.md").write_text("not YAML\n")
    done = gradcheck("run", tmp_path, "--format", "json")
    assert [check["id"] for check in json.loads(done.stdout)["checks"]] == ["a", "b", "c"]
    assert done.stderr == "gradcheck: skipped 1 YAML file without a key of a config\n"
    (tmp_path / "broken.yaml").write_text("shapes: {n: [\n")
    assert gradcheck("run", tmp_path).returncode == 2


def test_select_runs_just_these_checks_and_rerun_names_one(gradcheck: Gradcheck) -> None:
    done = gradcheck(
        "run",
        "configs/own-rules.yaml",
        "configs/reduction.yaml",
        "-k",
        "mixed-*",
        "-k",
        "einsum",
        "--format",
        "json",
    )
    checks = json.loads(done.stdout)["checks"]
    assert [check["id"] for check in checks] == ["einsum", "mixed-pair", "mixed-pair-per-sample"]
    again = gradcheck(*checks[1]["rerun"].split()[1:], "--format", "json")
    (only,) = json.loads(again.stdout)["checks"]
    without_times = [
        {**check, "result": {**check["result"], "seconds": 0}} for check in (checks[1], only)
    ]
    assert without_times[0] == without_times[1]


@unix
def test_a_report_that_does_not_fit_leaves_its_room_to_the_others(tmp_path: Path) -> None:
    """The second report is a pipe: when it is opened, nothing of the first is left."""
    (tmp_path / "ok.yaml").write_text("form: XW\nshapes: {n: 2, N: 3, M: 3}\n")
    os.mkfifo(tmp_path / "pipe")
    line = f"ulimit -f 8; exec {command()} run -q --seeds 40 ok.yaml -o json=r.json -o plain=pipe"
    process = subprocess.Popen(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, (tmp_path / "pipe").open() as pipe:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ok.yaml", "pipe"]
        assert len(pipe.readlines()) == 80
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "r.json': File too large" in err
