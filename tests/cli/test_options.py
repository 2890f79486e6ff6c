"""The options that choose, repeat, divide and report checks, as a user gives them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gradcheck_cli.cli import exit_code
from gradcheck_cli.config.load import read_config
from gradcheck_cli.reporters import FORMATS
from tests.support.command import ROOT, Gradcheck, command, environment, run_words, shell

BAD = """\
form: XW
shapes: {n: 4, N: 3, M: 2}
checks:
- {name: right}
- {name: wrong, backward: {W: "X.T @ delta / n"}}
- {name: also-right}
- {name: also-wrong, backward: {W: "-(X.T @ delta)"}}
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path


def ids(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_list_names_every_check_and_runs_none(gradcheck: Gradcheck, bad: Path) -> None:
    done = gradcheck("run", "--list", bad)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == f"wrong\t{bad}:5"
    code = gradcheck("run", "--list", "docs/examples")
    assert code.returncode == 0  # of code, too, which is not run


def test_shards_are_disjoint_and_together_all(gradcheck: Gradcheck) -> None:
    whole = ids(gradcheck("run", "--list", "configs"))
    shards = [ids(gradcheck("run", "--list", "configs", "--shard", f"{k}/3")) for k in (1, 2, 3)]
    assert sorted(id for shard in shards for id in shard) == sorted(whole)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_an_empty_shard_is_no_failure(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "configs/mean.yaml", "--shard", "2/2")
    assert done.returncode == 0
    assert done.stderr == "gradcheck: shard 2/2 has none of 1 check\n"


def test_exitfirst_stops_and_says_what_was_not_reached(gradcheck: Gradcheck, bad: Path) -> None:
    for jobs in ("1", "2"):
        done = gradcheck("run", "-x", "--format", "json", "--jobs", jobs, bad)
        report = json.loads(done.stdout)
        assert (done.returncode, report["counts"]["wrong"]) == (1, 1)
        assert len(report["checks"]) + report["not_reached"] == 4
    assert "not reached" in gradcheck("run", "-x", bad).stdout


def test_last_failed_runs_what_failed_until_it_passes(gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        return gradcheck("run", "bad.yaml", *words, cwd=tmp_path, env=cache)

    nothing = run("--last-failed", "--list")
    assert (len(ids(nothing)), "none of these checks failed" in nothing.stderr) == (4, True)
    run()
    assert ids(run("--last-failed", "--list")) == ["wrong", "also-wrong"]
    fixed = BAD.replace("X.T @ delta / n", "X.T @ delta")
    (tmp_path / "bad.yaml").write_text(fixed)
    run("-k", "wrong")
    assert ids(run("--lf", "--list")) == ["also-wrong"]


def test_a_cache_that_cannot_be_written_changes_nothing(gradcheck: Gradcheck, bad: Path) -> None:
    done = gradcheck("run", bad, env={"XDG_CACHE_HOME": "/dev/null"})
    assert (done.returncode, done.stderr) == (1, "")


def test_quiet_shows_what_is_wrong_and_twice_nothing(gradcheck: Gradcheck, bad: Path) -> None:
    done = gradcheck("run", "-q", bad)
    assert done.stdout.startswith("FAIL  wrong  ")
    assert "4 checks: 2 ok, 2 wrong" in done.stdout
    assert "verdict" not in done.stdout
    done = gradcheck("run", "-q", "configs/mean.yaml")
    assert done.stdout.count("\n") == 1
    for format in ("table", "json", "jsonl"):
        done = gradcheck("run", "-qq", "--format", format, bad)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_quiet_mutants_are_the_survivors(gradcheck: Gradcheck) -> None:
    done = gradcheck("mutate", "-q", "configs/mean.yaml")
    assert done.stdout.count("\n") == 1
    same = "form: XW\nshapes: {n: 1, N: 3, M: 2}\ninputs: {X: {scale: 0}}\n"
    assert gradcheck("mutate", "-q", "-", stdin=same).stdout.startswith("SURVIVED  stdin")


def test_verbose_tells_settings_steps_and_the_reasons_of_expected_failures(
    gradcheck: Gradcheck,
) -> None:
    done = gradcheck("run", "-v", "configs/misprint-35.yaml")
    assert done.returncode == 0
    for said in ("loss squared-error", "step 0.", "evaluations of the forward", "GC107"):
        assert said in done.stdout


def test_durations_are_of_the_slowest(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--durations", "2", "configs/losses.yaml")
    times = re.findall(r"^ +(\d+\.\d\d) s  \S+$", done.stdout.split("slowest 2 checks:")[1], re.M)
    assert len(times) == 2
    assert float(times[0]) >= float(times[1])


@pytest.mark.parametrize(
    ("color", "env", "colored"),
    [
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_color_is_what_the_option_says_first(
    gradcheck: Gradcheck, bad: Path, color: str, env: dict[str, str], colored: bool
) -> None:
    done = gradcheck("run", "--color", color, bad, env=env)
    assert ("\x1b[" in done.stdout) is colored


def test_seeds_repeat_with_fresh_data_and_rerun_repeats_one(
    gradcheck: Gradcheck, bad: Path
) -> None:
    done = gradcheck("run", "--seeds", "3", "-k", "wrong", "--format", "json", bad)
    checks = json.loads(done.stdout)["checks"]
    assert [check["settings"]["seed"] for check in checks] == [0, 1, 2]
    worst = [check["result"]["gradients"][1]["worst"]["numeric"] for check in checks]
    assert len(set(worst)) == 3
    again = gradcheck(*shell_words(checks[2]["rerun"]), "--format", "json")
    (only,) = json.loads(again.stdout)["checks"]
    assert only["result"]["gradients"][1]["worst"]["numeric"] == worst[2]


def shell_words(rerun: str) -> list[str]:
    import shlex

    return shlex.split(rerun)[1:]


def test_a_glob_of_an_axis_has_brackets_of_its_own(gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "form: XW\nshapes: {N: 5, M: 3}\nmatrix: {reduction: [sum, mean], shapes.n: [1, 8]}\n"
    )
    for pattern, count in (("m", 4), ("m[*n=8]", 2), ("m[reduction=sum,n=1]", 1), ("*mean*", 2)):
        done = gradcheck("run", "--list", "-k", pattern, "m.yaml", cwd=tmp_path)
        assert len(ids(done)) == count, pattern


# -- reports in files ------------------------------------------------------------------------


def test_reports_go_to_several_files_beside_the_screen(gradcheck: Gradcheck, bad: Path) -> None:
    folder = bad.parent / "made" / "for it"
    outputs = [
        word
        for format in ("json", "junit", "html", "markdown", "plain", "github", "jsonl", "table")
        for word in ("-o", f"{format}={folder / format}")
    ]
    done = gradcheck("run", bad, *outputs)
    assert done.returncode == 1
    assert "4 checks:" in done.stdout
    assert len(list(folder.iterdir())) == 8  # and no other file is left
    assert json.loads((folder / "json").read_text())["exit_code"] == 1
    assert (folder / "html").read_text().startswith("<!doctype html>")
    assert "\x1b" not in (folder / "table").read_text()
    gradcheck("run", "-qq", bad, "-o", f"table={folder / 'quiet'}")
    assert "also-right  " in (folder / "quiet").read_text()  # of the screen alone


def test_a_file_is_replaced_whole_and_keeps_its_mode(gradcheck: Gradcheck, bad: Path) -> None:
    target = bad.parent / "r.json"
    target.write_text("old")
    target.chmod(0o640)
    link = bad.parent / "link.json"
    link.symlink_to(target)
    gradcheck("run", bad, "-o", f"json={link}")
    assert link.is_symlink()
    assert json.loads(target.read_text())["exit_code"] == 1
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("json", "must be FORMAT=PATH"),
        ("jsn=x", "there is no format 'jsn'; did you mean 'json'"),
        ("json=.", "it is a directory"),
        ("json=-", "'-' is no file; --format says what is written to stdout"),
        ("json=/dev/null/x", "its folder is a file"),
        ("json=bad.yaml", "is a config; a report would overwrite it"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(
    gradcheck: Gradcheck, bad: Path, output: str, said: str
) -> None:
    done = gradcheck("run", "bad.yaml", "-o", output, cwd=bad.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert bad.read_text() == BAD


def test_a_config_of_a_directory_is_not_overwritten(gradcheck: Gradcheck, bad: Path) -> None:
    (bad.parent / "other.yaml").write_text(BAD)
    done = gradcheck("run", ".", "-k", "right", "-o", "json=other.yaml", cwd=bad.parent)
    assert (done.returncode, "may be a config" in done.stderr) == (2, True)
    assert (bad.parent / "other.yaml").read_text() == BAD


def test_two_reports_in_one_file_are_refused(gradcheck: Gradcheck, bad: Path) -> None:
    done = gradcheck("run", bad, "-o", "json=x", "-o", "html=./x", cwd=bad.parent)
    assert (done.returncode, "same file" in done.stderr) == (2, True)


def test_a_report_that_finds_no_room_costs_no_other(gradcheck: Gradcheck, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no full disk here")
    good = tmp_path / "r.json"
    done = gradcheck("run", "configs/mean.yaml", "-o", "html=/dev/full", "-o", f"json={good}")
    assert done.returncode == 2
    assert "cannot write the report '/dev/full': No space left on device" in done.stderr
    assert "1 check: 1 ok" in done.stdout
    assert json.loads(good.read_text())["exit_code"] == 0


def test_the_step_summary_gets_markdown(gradcheck: Gradcheck, bad: Path) -> None:
    summary = bad.parent / "summary"
    summary.write_text("# before\n")
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    gradcheck("run", bad, env=env)
    assert summary.read_text() == "# before\n"  # only for GitHub
    done = gradcheck("run", bad, "--format", "github", env=env)
    assert done.stdout.count("::error ") == 2
    assert summary.read_text().startswith("# before\n## gradcheck: 2 of 4 not as expected")


def test_github_annotates_broken_configs(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--format", "github", "tests/data/errors/unknown-key.yaml")
    assert done.returncode == 2
    assert "::error file=tests/data/errors/unknown-key.yaml,line=" in done.stdout


def test_jsonl_is_written_as_checks_are_done(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    slow = "{name: slow, shapes: {n: 64, N: 512, M: 512}, loss: cosine}"
    config.write_text(f"form: XW\nshapes: {{n: 2, N: 2, M: 2}}\nchecks: [{{name: quick}}, {slow}]")
    started = subprocess.Popen(
        [command(), "run", "--format", "jsonl", str(config)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert json.loads(started.stdout.readline())["id"] == "quick"
    assert started.poll() is None
    started.kill()
    started.communicate()


# -- manners ---------------------------------------------------------------------------------


def test_odd_file_names(gradcheck: Gradcheck, tmp_path: Path) -> None:
    for name in ("-x.yaml", "a b.yaml", "ü[1]*.yaml", "new\nline.yaml"):
        (tmp_path / name).write_text(BAD)
    done = gradcheck("run", "--format", "json", "--", "-x.yaml", "a b.yaml", cwd=tmp_path)
    checks = json.loads(done.stdout)["checks"]
    assert len(checks) == 8
    wrong = next(check for check in checks if check["outcome"] == "wrong")
    assert wrong["rerun"] == "gradcheck run --select wrong -- -x.yaml"
    again = gradcheck(*shell_words(wrong["rerun"]), cwd=tmp_path)
    assert "1 check: 1 wrong" in again.stdout
    assert gradcheck("run", ".", cwd=tmp_path).returncode == 1
    if sys.platform == "linux":
        undecodable = os.fsdecode(b"\xff.yaml")
        (tmp_path / undecodable).write_text(BAD.split("checks")[0])
        for format in FORMATS:
            done = gradcheck("run", undecodable, "--format", format, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / undecodable).unlink()
    assert len(ids(gradcheck("run", "--list", ".", cwd=tmp_path))) == 16


def test_a_config_that_changes_while_it_runs_is_run_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("form: Wx\nshapes: {N: 2, M: 2}\n")
    line = f"cd {tmp_path}; (sleep 0.05; echo '}}' > c.yaml) & gradcheck run c.yaml c.yaml"
    done = shell(line)
    assert done.returncode in (0, 2)
    assert "internal" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal")
def test_forty_columns_are_enough(tmp_path: Path, bad: Path) -> None:
    env = environment(COLUMNS="40", TERM="dumb")
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command(), [command(), "run", str(bad)], env)
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass
    os.waitpid(pid, 0)
    lines = shown.decode().replace("\r", "").splitlines()
    assert any("∂L/∂W" in line for line in lines)
    long = [line for line in lines if len(line) > 40]
    assert all("rerun: gradcheck run" in line for line in long), long
    assert b"\x1b[" not in shown


# -- init, schema, completion ----------------------------------------------------------------


@pytest.mark.parametrize("form", ["Wx", "xW", "XW"])
def test_init_writes_a_config_that_runs_and_whose_comments_are_true(
    gradcheck: Gradcheck, tmp_path: Path, form: str
) -> None:
    done = gradcheck("init", "--form", form, cwd=tmp_path)
    assert done.stderr == "gradcheck: wrote gradcheck.yaml; next: gradcheck run gradcheck.yaml\n"
    assert gradcheck("run", "gradcheck.yaml", cwd=tmp_path).returncode == 0
    text = (tmp_path / "gradcheck.yaml").read_text()
    keys = re.findall(r"^# (\w+: .*)$", text, re.M)
    assert len(keys) > 10
    for key in keys:
        assert len(read_config(f"{text}{key}\n", "one.yaml")) == 1, key


def test_init_reads_a_function_and_does_not_run_it(gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "open('ran', 'w')\n"
        "def scaled_forward(x, w, b, scale=2.0):\n    return scale * (x @ w + b), (x, w, scale)\n"
        "def scaled_backward(delta, cache):\n    x, w, scale = cache\n"
        "    return scale * delta @ w.T, scale * x.T @ delta, scale * delta.sum(0)\n"
    )
    done = gradcheck("init", "c.yaml", "--forward", "mine.py:scaled_forward", cwd=tmp_path)
    assert done.returncode == 0
    assert not (tmp_path / "ran").exists()
    text = (tmp_path / "c.yaml").read_text()
    assert "inputs: {x: [n, N], w: [N, M], b: [M]}" in text
    assert "constants: {scale: 2.0}" in text
    done = gradcheck("run", "--allow-code", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine.py:scale"], "there is no 'scale' in the file; did you mean 'scaled'?"),
        (["mine.py:scaled", "a.yaml", "b.yaml"], "one PATH, not 2: a.yaml b.yaml"),
        (["--forward", "mine.py:scale"], "there is no 'scale' in the file; did you mean 'scaled'?"),
        (["--forward", "mine.py:scaled"], "say which it is with --backward NAME"),
        (
            ["--forward", "mine.py:scaled"],
            "or with --value-and-grad mine.py:scaled that it returns",
        ),
        (["--forward", "none.py:f"], "cannot read 'none.py'"),
        (["--forward", "mine.py"], "must be a Python file and a name in it"),
        (["--form", "XW", "--layer", "mine.py:A"], "give one of"),
        (["--backward", "f"], "--backward goes with --forward"),
    ],
)
def test_init_says_what_is_missing(
    gradcheck: Gradcheck, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "mine.py").write_text("def scaled(x):\n    return x\n")
    done = gradcheck("init", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "gradcheck.yaml").exists()


def test_init_never_overwrites_without_asking(gradcheck: Gradcheck, tmp_path: Path) -> None:
    config = tmp_path / "gradcheck.yaml"
    config.write_text("mine")
    done = gradcheck("init", cwd=tmp_path)
    assert (done.returncode, config.read_text()) == (2, "mine")
    assert "'gradcheck.yaml' exists and was left as it is; --force overwrites it" in done.stderr
    assert gradcheck("init", "--force", cwd=tmp_path).returncode == 0
    assert config.read_text() != "mine"


def test_schema_prints_what_is_published(gradcheck: Gradcheck) -> None:
    for words in ([], ["report"], ["lines"]):
        assert json.loads(gradcheck("schema", *words).stdout)["$schema"].startswith(
            "https://json-s"
        )


BASH = """
source <(gradcheck completion bash)
COMP_WORDS=({words}); COMP_CWORD={at}
_gradcheck_completion gradcheck; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(words: str, folder: str = ".") -> list[str]:
    at = len(words.split()) - (0 if words.endswith(" ") else 1)
    script = BASH.format(words=words + ("''" if words.endswith(" ") else ""), at=at)
    env = environment(PATH=f"{Path(command()).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-c", f"cd {folder}; {script}"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_bash_completes_commands_options_configs_and_ids() -> None:
    assert completed("gradcheck mu") == ["mutate"]
    assert "--shard" in completed("gradcheck run --sh")
    assert completed("gradcheck run configs/me") == ["configs/mean.yaml"]
    assert "configs/batch.yaml" in completed("gradcheck run conf")
    assert completed("gradcheck run configs/own-rules.yaml -k ein") == ["einsum"]
    assert completed("gradcheck run --format js") == ["json", "jsonl"]


def test_fish_completes_ids_with_commas(gradcheck: Gradcheck, tmp_path: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("no fish here")
    (tmp_path / "m.yaml").write_text(
        "form: XW\nshapes: {N: 5, M: 3}\nmatrix: {reduction: [sum, mean], shapes.n: [1, 8]}\n"
    )
    (tmp_path / "script").write_text(gradcheck("completion", "fish").stdout)
    line = "source script; complete -C 'gradcheck run m.yaml -k m[reduction=me'"
    done = run_words(
        ["fish", "--no-config", "-c", line],
        cwd=tmp_path,
        env={"PATH": f"{Path(command()).parent}:{os.environ['PATH']}"},
    )
    assert done.stdout.split() == ["m[reduction=mean,n=1]", "m[reduction=mean,n=8]"]


@pytest.mark.parametrize(
    ("words", "word", "lines"),
    [
        ("gradcheck mu", "mu", ["mutate\tTell which bugs the checks would catch."]),
        ("gradcheck run configs/me", "configs/me", ["configs/mean.yaml\tconfigs/mean.yaml"]),
        (
            "gradcheck run tests/data/screen/matrix.yaml -k 'ma",
            "ma",
            ["matrix\tmatrix", "'matrix[reduction=sum,n=1]'\tmatrix[reduction=sum,n=1]"],
        ),
    ],
)
def test_powershell_is_given_words_and_what_to_show_beside_them(
    words: str, word: str, lines: list[str]
) -> None:
    """As the script for it asks; PowerShell itself is not tried."""
    asked = environment(
        _GRADCHECK_COMPLETE="powershell_complete", COMP_WORDS=words, COMP_CWORD=word
    )
    done = subprocess.run(
        [command()], cwd=ROOT, env=asked, capture_output=True, encoding="utf-8", check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[: len(lines)] == lines


@pytest.mark.parametrize("shell_name", ["zsh", "fish", "powershell"])
def test_the_scripts_of_other_shells_are_read_by_them(
    gradcheck: Gradcheck, shell_name: str, tmp_path: Path
) -> None:
    text = gradcheck("completion", shell_name).stdout
    assert f"{shell_name}_complete" in text
    if not shutil.which(shell_name):
        pytest.skip(f"no {shell_name} here")
    script = tmp_path / "script"
    script.write_text(text)
    checked = subprocess.run([shell_name, "-n", script], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


WRONG_AND_RIGHT = """\
form: xW
shapes: {N: 3, M: 2}
checks:
- {name: right}
- {name: wrong, backward: {W: 2 * x.T @ delta}}
- {name: again, backward: {W: 2 * x.T @ delta}}
"""


def test_exit_zero_looks_and_does_not_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(WRONG_AND_RIGHT)
    assert exit_code(["run", str(path)]) == 1
    assert exit_code(["run", "--exit-zero", str(path)]) == 0
    assert "2 wrong" in capsys.readouterr().out
    path.write_text("form: Q")
    assert exit_code(["run", "--exit-zero", str(path)]) == 2


def test_statistics_are_the_most_frequent_faults_and_the_slowest_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(WRONG_AND_RIGHT)
    exit_code(["run", "--statistics", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert "most frequent: GC103 a constant factor (2×)" in lines
    assert any(line.startswith(f"slowest file: {path}, ") for line in lines)
    exit_code(["run", str(path)])
    assert "most frequent" not in capsys.readouterr().out


def test_an_unknown_id_gets_near_misses_and_not_every_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    names = "".join(f"- {{name: layer-{place}}}\n" for place in range(50))
    path.write_text(f"form: xW\nshapes: {{N: 3, M: 2}}\nchecks:\n{names}")
    assert exit_code(["run", "-k", "layr-17", str(path)]) == 2
    assert "did you mean 'layer-17'?" in capsys.readouterr().err
    assert exit_code(["run", "-k", "zzz", str(path)]) == 2
    error = capsys.readouterr().err
    assert "layer-9 and 40 more; --list prints them" in error
    assert "layer-10" not in error


def test_many_files_of_code_that_may_not_run_take_a_few_lines(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "docs/examples")
    assert done.returncode == 2
    assert re.search(r"^NOT RUN  \d+ checks of \d+ config files$", done.stdout, re.M)
    head, files, advice = done.stderr.splitlines()
    assert re.fullmatch(r"gradcheck: \d+ checks of Python code were not run", head)
    assert files.startswith("  docs/examples/affine.py, docs/examples/convolution.py, ")
    assert advice == "read this code, then add --allow-code"
