"""The action, the hooks and the recipes of docs/ci.md do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

from gradcheck_cli.cli import cli
from tests.support.command import ROOT, Gradcheck, Result, command, run_words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}
SCRIPTS = {id: step["run"] for id, step in STEPS.items() if "run" in step}
HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
USES = "OWNER/gradcheck-cli@"

RIGHT = "form: XW\nshapes: {n: 8, N: 5, M: 3}\n"
WRONG = f"{RIGHT}backward: {{W: X.T @ delta / n}}\n"
INCONCLUSIVE = f"{RIGHT}loss: cosine\nnumeric: {{order: 2, step: 0.1}}\n"
CODE = "forward: own.py:f\nbackward: own.py:g\ninputs: {x: [3]}\n"
OUTCOMES = ["right", "wrong", "inconclusive"]
OWN = "def f(x): return 2 * x\ndef g(delta, x): return 2 * delta\n"


def recipes(language: str) -> list[str]:
    return [text for found, text in FENCE.findall(CI) if found == language]


def recipe(language: str, name: str) -> str:
    """The block of docs/ci.md whose comment at the top says `name`."""
    (found,) = (
        text
        for text in recipes(language)
        if re.match(rf"# {re.escape(name)}[ \n]", text.removeprefix("#!/bin/sh\n"))
    )
    return found


def strings(tree: Any) -> Iterator[str]:
    """Every string in what YAML holds."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list | dict):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(item)


def mappings(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    if isinstance(tree, list | dict):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from mappings(item)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run(words: list[str], cwd: Path, **extra: str) -> Result:
    """With the command on the path, as in an environment that is active."""
    path = f"{Path(command()).parent}{os.pathsep}{os.environ['PATH']}"
    return run_words(words, cwd=cwd, env={"PATH": path, **extra}, timeout=120)


# The action


def step(
    id: str, cwd: Path, values: dict[str, str], pythonpath: str = "", **outputs: str
) -> tuple[Result, str]:
    """Runs a step of the action as GitHub does; returns its outputs, too."""
    inputs = {name: spec["default"] for name, spec in ACTION["inputs"].items()}
    assert set(values) <= set(inputs)
    inputs |= values
    env = {}
    for name, value in STEPS[id]["env"].items():
        for source, known in (("inputs", inputs), ("outputs", outputs)):
            found = re.fullmatch(rf"\${{{{ (?:\w+\.)*{source}\.([\w-]+) }}}}", value)
            value = (
                known.get(found[1].replace("-", "_"), known.get(found[1], "")) if found else value
            )
        env[name] = value
    temp = cwd / "runner temp"
    temp.mkdir(exist_ok=True)
    script, output = temp / "script.sh", temp / "output"
    script.write_text(SCRIPTS[id], encoding="utf-8")
    output.write_text("", encoding="utf-8")
    done = run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd,
        **env,
        PYTHONPATH=pythonpath,
        GITHUB_ACTIONS="true",
        GITHUB_ACTION_PATH=str(ROOT),
        GITHUB_OUTPUT=str(output),
        GITHUB_STEP_SUMMARY=str(temp / "summary.md"),
        RUNNER_TEMP=str(temp),
    )
    return done, output.read_text(encoding="utf-8")


def test_every_input_is_used_and_every_input_used_is_there() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", "\n".join(strings(ACTION["runs"]))))
    assert used == set(ACTION["inputs"])


@pytest.mark.parametrize("id", SCRIPTS)
def test_a_script_takes_values_from_its_environment_alone(id: str) -> None:
    assert "${{" not in SCRIPTS[id]
    given = set(STEPS[id]["env"]) - {"PYTHONIOENCODING"}
    used = set(re.findall(r"\$\{?([A-Z_]+)\b", SCRIPTS[id]))
    assert used - {"GITHUB_ACTION_PATH", "GITHUB_OUTPUT", "RUNNER_TEMP"} == given


def test_every_output_of_a_step_that_is_used_is_set() -> None:
    used = set(re.findall(r"steps\.(\w+)\.outputs\.([\w-]+)", "\n".join(strings(ACTION))))
    assert used == {("python", "python-path"), ("install", "gradcheck"), ("run", "exit-code")}
    for id, name in used - {("python", "python-path")}:
        assert f'echo "{name}=' in SCRIPTS[id]


def test_the_docs_have_every_input_with_its_default() -> None:
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (?:`([^`]*)`)? ?\|", CI, re.M)
    shown = {name: default for names, default in rows for name in re.findall(r"[a-z-]+", names)}
    assert shown == {name: spec["default"] for name, spec in ACTION["inputs"].items()}


@pytest.fixture
def stub(tmp_path: Path) -> str:
    """A command that notes its words in the file `words`, and exits as the file `code` says."""
    path = tmp_path / "a stub"
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words\nexit "$(cat code)"\n')
    path.chmod(0o755)
    (tmp_path / "code").write_text("0")
    return str(path)


@pytest.mark.parametrize(
    ("values", "options", "configs"),
    [
        ({}, [], ["."]),
        (
            {"configs": "a.yaml  b.yaml\n\n'with space/c d.yaml'\n"},
            [],
            ["a.yaml", "b.yaml", "with space/c d.yaml"],
        ),
        (
            {"configs": "more/*.yaml 'with space'/*"},
            [],
            ["more/1.yaml", "more/2.yaml", "with space/c d.yaml"],
        ),
        (
            {"configs": "$(touch pwned) `touch pwned`"},
            [],
            ["$(touch", "pwned)", "`touch", "pwned`"],
        ),
        ({"configs": "; touch pwned"}, [], [";", "touch", "pwned"]),
        ({"configs": "--allow-code"}, [], ["--allow-code"]),
        ({"args": "-k '*' --set \"name=a b\"\n-x"}, ["-k", "*", "--set", "name=a b", "-x"], ["."]),
        (
            {"args": "; touch pwned; $(touch pwned)"},
            [";", "touch", "pwned;", "$(touch", "pwned)"],
            ["."],
        ),
        (
            {"junit": "out/a b.xml", "html": "$(touch pwned)"},
            ["--output", "junit=out/a b.xml", "--output", "html=$(touch pwned)"],
            ["."],
        ),
        ({"allow-code": "true"}, ["--allow-code"], ["."]),
    ],
)
def test_the_words_of_the_action_reach_the_command_as_they_are(
    tmp_path: Path, stub: str, values: dict[str, str], options: list[str], configs: list[str]
) -> None:
    write(tmp_path, dict.fromkeys(("more/1.yaml", "more/2.yaml", "with space/c d.yaml"), ""))
    done, output = step("run", tmp_path, values, gradcheck=stub)
    assert (done.returncode, output, done.stderr) == (0, "exit-code=0\n", "")
    words = (tmp_path / "words").read_text().splitlines()
    start = ["run", "--format", "github", "--jobs", "auto"]
    assert words == [*start, *options, "--", *configs]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 130])
@pytest.mark.parametrize("strict", ["true", "false"])
def test_the_action_fails_as_the_command_does(
    tmp_path: Path, stub: str, code: int, strict: str
) -> None:
    (tmp_path / "code").write_text(str(code))
    done, output = step("run", tmp_path, {"fail-on-inconclusive": strict}, gradcheck=stub)
    assert output == f"exit-code={code}\n"
    assert done.returncode == (0 if (code, strict) == (3, "false") else code)


def test_a_quote_that_does_not_end_is_no_wrong_gradient(tmp_path: Path, stub: str) -> None:
    for name in ("configs", "args"):
        done, output = step("run", tmp_path, {name: "it's"}, gradcheck=stub)
        assert (done.returncode, output) == (2, "exit-code=2\n")
        assert "quote" in done.stderr
        assert not (tmp_path / "words").exists()


def test_the_action_installs_this_repository_into_an_environment_of_its_own(
    tmp_path: Path,
) -> None:
    """With a Python that notes what it is asked for, and makes environments of itself."""
    python = tmp_path / "a python"
    python.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$*" >> words\n'
        "for last; do :; done\n"
        'if [ "$3" = venv ]; then mkdir -p "$last/bin" && cp "$0" "$last/bin/python"; fi\n'
    )
    python.chmod(0o755)
    done, output = step("install", tmp_path, {}, python_path=str(python))
    assert (done.returncode, done.stderr) == (0, "")
    venv = tmp_path / "runner temp" / "gradcheck-venv"
    assert output == f"gradcheck={venv}/bin/gradcheck\n"
    made, installed = (tmp_path / "runner temp" / "words").read_text().splitlines()
    assert made.endswith(f"--system-site-packages {venv}")
    assert installed.startswith("-I -m pip install ")
    assert installed.endswith(f" {ROOT}")


SHADOWS = ("venv", "pip", "ensurepip", "subprocess", "typing", "click", "msgspec", "numpy", "yaml")


def shadow(folder: Path, names: tuple[str, ...] = SHADOWS) -> None:
    """Modules that note, in the file `pwned`, that they were imported in the place of others."""
    note = f"open({str(folder / 'pwned')!r}, 'a').write(__name__)\n"
    write(folder, {f"{name}.py": note for name in names})


def test_the_action_is_installed_without_code_of_the_checkout(tmp_path: Path) -> None:
    """With a Python that imports the module it is asked for, and asks that for help alone."""
    shadow(tmp_path)
    python = tmp_path / "a python"
    python.write_text(
        "#!/bin/sh\nflags=\n"
        'while [ "$1" != -m ]; do flags="$flags $1"; shift; done\n'
        "for last; do :; done\n"
        'if [ "$2" = venv ]; then mkdir -p "$last/bin" && cp "$0" "$last/bin/python"; fi\n'
        f'exec "{sys.executable}" $flags -m "$2" --help\n'
    )
    python.chmod(0o755)
    done = step("install", tmp_path, {}, python_path=str(python), pythonpath=str(tmp_path))[0]
    assert done.returncode == 0, done.stderr
    assert "usage: venv" in done.stdout
    assert "pip <command>" in done.stdout
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("path", ["", "."])
def test_the_action_checks_without_code_of_the_checkout(tmp_path: Path, path: str) -> None:
    shadow(tmp_path)
    write(tmp_path, {"right.yaml": RIGHT})
    done, _ = step("run", tmp_path, {}, gradcheck=command(), pythonpath=path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("flags", "names"),
    [([], ("click", "msgspec", "numpy", "yaml")), (["-P"], SHADOWS)],
    ids=["as it is", "with -P, before the module starts, too"],
)
def test_the_module_is_run_without_code_of_the_current_folder(
    tmp_path: Path, flags: list[str], names: tuple[str, ...]
) -> None:
    shadow(tmp_path, names)
    write(tmp_path, {"right.yaml": RIGHT})
    done = run([sys.executable, *flags, "-m", "gradcheck_cli", "run", "right.yaml"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "config", "code"),
    [
        ("right.yaml", RIGHT, 0),
        ("wrong.yaml", WRONG, 1),
        ("no config.yaml", "form: [\n", 2),
        ("inconclusive.yaml", INCONCLUSIVE, 3),
        ("it is  ok; echo $HOME & (x).yaml", WRONG, 1),
    ],
    ids=[*OUTCOMES[:2], "no config", "inconclusive", "odd name"],
)
def test_the_action_checks_gradients(tmp_path: Path, name: str, config: str, code: int) -> None:
    write(tmp_path, {name: config})
    values = {"configs": f'"{name}"', "junit": "out/a b.xml", "html": "out/report.html"}
    done, output = step("run", tmp_path, values, gradcheck=command())
    assert (done.returncode, output) == (code, f"exit-code={code}\n"), done.stderr
    if code == 2:
        assert "this is not YAML" in done.stdout + done.stderr
        return
    assert ElementTree.parse(tmp_path / "out" / "a b.xml").find(".//testcase") is not None
    assert "<html" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "runner temp" / "summary.md").stat().st_size > 0
    assert ("::error" in done.stdout) is (code == 1)
    if code == 3:
        done, output = step(
            "run", tmp_path, values | {"fail-on-inconclusive": "false"}, gradcheck=command()
        )
        assert (done.returncode, output) == (0, "exit-code=3\n")


def test_the_action_runs_code_only_where_it_is_told_to(tmp_path: Path) -> None:
    write(tmp_path, {"own.py": OWN, "own.yaml": CODE})
    done, _ = step("run", tmp_path, {}, gradcheck=command())
    assert done.returncode == 2
    assert "--allow-code" in done.stderr
    done, _ = step("run", tmp_path, {"allow-code": "true"}, gradcheck=command())
    assert done.returncode == 0


# What every recipe says


def documents() -> list[Any]:
    texts = [text for text in FENCE.findall(CI + README) if text[0] == "yaml"]
    return [yaml.safe_load(text) for _, text in texts]


def test_the_yaml_of_the_docs_gives_the_action_inputs_it_has() -> None:
    used = [found for found in mappings(documents()) if found.get("uses", "").startswith(USES)]
    assert len(used) >= 2
    for found in used:
        assert set(found["with"]) <= set(ACTION["inputs"])


def commands() -> list[tuple[str, list[str]]]:
    """Every `gradcheck run` of the docs, the hooks and the action: what it is, and its words."""
    lines = [line for text in strings(documents()) for line in text.splitlines()]
    lines += [
        line for name in ("make", "sh") for text in recipes(name) for line in text.splitlines()
    ]
    lines += [" ".join([hook["entry"], *hook.get("args", [])]) for hook in HOOKS.values()]
    found = []
    for line in lines:
        _, start, rest = line.partition("gradcheck run ")
        if start:
            words = shlex.split(re.split(r" \|\| | && ", rest)[0])
            found.append((line.strip(), words))
    options = re.search(r"options=\((.*)\)", SCRIPTS["run"])
    assert options is not None
    more = re.findall(r"options\+=\((--.*)\)", SCRIPTS["run"])
    found.append(("action.yml", shlex.split(" ".join([options[1], *more]))))
    return found


OPTIONS = {
    name: option
    for option in cli.commands["run"].params
    if isinstance(option, click.Option)
    for name in (*option.opts, *option.secondary_opts)
}


@pytest.mark.parametrize("said", commands(), ids=lambda said: said[0])
def test_the_options_of_the_recipes_exist(said: tuple[str, list[str]]) -> None:
    words = iter(said[1])
    formats = OPTIONS["--format"].type
    assert isinstance(formats, click.Choice)
    for word in words:
        if not word.startswith("-"):
            continue
        assert word in OPTIONS, word
        if OPTIONS[word].is_flag:
            continue
        value = next(words)
        if word == "--format":
            assert value in formats.choices
        if word == "--output":
            assert value.partition("=")[0] in formats.choices


def test_the_recipes_have_commands() -> None:
    assert len(commands()) == 7


# pre-commit


def chosen(hook: dict[str, Any], names: list[str]) -> list[str]:
    """The files that pre-commit takes for a hook."""
    exclude = hook.get("exclude", "^$")
    return [
        name for name in names if re.search(hook["files"], name) and not re.search(exclude, name)
    ]


def test_the_hook_validates_what_is_named_as_a_config(tmp_path: Path, gradcheck: Gradcheck) -> None:
    hook = HOOKS["gradcheck-validate"]
    own = ["gradcheck.yaml", "a/layers.gradcheck.yml", "gradcheck/a b.yaml", "a/gradcheck/b/c.yml"]
    others = [
        "compose.yaml",
        ".github/workflows/gradcheck.yml",
        ".pre-commit-config.yaml",
        "gradcheck/x.py",
    ]
    assert chosen(hook, own + others) == own
    write(tmp_path, dict.fromkeys(own, RIGHT) | dict.fromkeys(others, "on: [push]\n"))
    words = hook["entry"].split()[1:]
    assert gradcheck(*words, *own, cwd=tmp_path).returncode == 0
    assert gradcheck(*words, *own, "compose.yaml", cwd=tmp_path).returncode == 2


def test_the_hook_takes_no_name_of_a_file_for_an_option(
    tmp_path: Path, gradcheck: Gradcheck
) -> None:
    hook = HOOKS["gradcheck-validate"]
    name = "-sloss=gradcheck.yaml"
    assert chosen(hook, [name]) == [name]
    write(tmp_path, {name: "form: [\n"})
    done = gradcheck(*hook["entry"].split()[1:], name, cwd=tmp_path)
    assert (done.returncode, done.stderr.startswith(f"{name}:")) == (2, True), done.stderr


def test_the_hook_runs_the_configs_of_a_folder_when_code_changes(
    tmp_path: Path, gradcheck: Gradcheck
) -> None:
    hook = HOOKS["gradcheck"]
    assert hook["pass_filenames"] is False
    changed = ["a.yaml", "a.yml", "b/own.py", "b/x.npy", "x.csv"]
    assert chosen(hook, [*changed, "a.md", "yaml", "py.txt"]) == changed
    words = [*hook["entry"].split()[1:], *hook["args"]]
    write(tmp_path, {"a.yaml": RIGHT, ".github/workflows/ci.yml": "on: [push]\n", "b.py": ""})
    assert gradcheck(*words, cwd=tmp_path).returncode == 0
    write(tmp_path, {"deep/b.yaml": WRONG})
    assert gradcheck(*words, cwd=tmp_path).returncode == 1


def test_the_hooks_of_the_docs_exist() -> None:
    (repo,) = yaml.safe_load(recipe("yaml", ".pre-commit-config.yaml"))["repos"]
    assert [hook["id"] for hook in repo["hooks"]] == list(HOOKS)
    names = ["configs/a.yaml", "configs/b.py", "b.yaml"]
    validated, _ = repo["hooks"]
    assert chosen(HOOKS["gradcheck-validate"] | validated, names) == ["configs/a.yaml"]


def test_the_local_hook_of_the_docs_is_the_same_but_for_its_environment() -> None:
    (repo,) = yaml.safe_load(recipe("yaml", ".pre-commit-config.yaml, with"))["repos"]
    (hook,) = repo["hooks"]
    same = {key: hook[key] for key in ("id", "name", "pass_filenames", "files")}
    assert same.items() <= HOOKS["gradcheck"].items()


# The recipes of other machines


def shell_lines(cwd: Path, lines: list[str], **env: str) -> list[Result]:
    """Runs the lines of a job, as its machine does, without what installs."""
    return [
        run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line], cwd, **env)
        for line in lines
        if not line.startswith("pip install ")
    ]


def test_the_shards_of_the_workflow_share_the_checks_out(tmp_path: Path) -> None:
    job = yaml.safe_load(recipe("yaml", ".github/workflows/gradients-in-shards.yml"))["jobs"][
        "gradients"
    ]
    write(tmp_path, {f"configs/affine{number}.yaml": RIGHT for number in range(1, 8)})
    write(tmp_path, {"configs/affine8.yaml": WRONG})
    lines = [step["run"] for step in job["steps"] if "run" in step]
    assert not any("${{" in line for line in lines)
    shards = job["strategy"]["matrix"]["shard"]
    assert f"/{len(shards)}" in lines[-1]
    seen: list[str] = []
    codes = []
    for shard in map(str, shards):
        (done,) = shell_lines(tmp_path, lines, SHARD=shard, GITHUB_STEP_SUMMARY=os.devnull)
        codes.append(done.returncode)
        path = job["steps"][-1]["with"]["path"].replace("${{ matrix.shard }}", shard)
        seen += set(re.findall(r"\baffine[1-8]\b", (tmp_path / path).read_text(encoding="utf-8")))
    assert sorted(seen) == [f"affine{number}" for number in range(1, 9)]
    assert sorted(codes) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("last", "code"), [(RIGHT, 0), (WRONG, 1), (INCONCLUSIVE, 3)], ids=OUTCOMES
)
def test_the_jobs_of_gitlab_share_the_checks_out(tmp_path: Path, last: str, code: int) -> None:
    job = yaml.safe_load(recipe("yaml", ".gitlab-ci.yml"))["gradients"]
    assert job["allow_failure"] == {"exit_codes": 3}
    write(tmp_path, {f"configs/c{number}.yaml": RIGHT for number in range(1, 4)})
    write(tmp_path, {"configs/c4.yaml": last})
    total = job["parallel"]
    codes, cases = [], 0
    for index in range(1, total + 1):
        node = {"CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(total)}
        (done,) = shell_lines(tmp_path, job["script"], **node)
        codes.append(done.returncode)
        report = ElementTree.parse(tmp_path / job["artifacts"]["reports"]["junit"])
        cases += len(report.findall(".//testcase"))
    assert cases == 4
    assert sorted(codes) == [0, code]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_runs_what_has_changed(tmp_path: Path) -> None:
    write(tmp_path, {"Makefile": recipe("make", "Makefile"), "configs/own.py": OWN})
    write(tmp_path, {"configs/own.yaml": CODE, "configs/right.yaml": RIGHT})

    def checked() -> tuple[int, list[str]]:
        done = run(["make", "-k", "gradients"], tmp_path)
        return done.returncode, re.findall(r"^gradcheck run .*/(\w+)\.yaml$", done.stdout, re.M)

    def touch(name: str) -> None:
        """Makes a file newer than all others."""
        newest = max(path.stat().st_mtime for path in (tmp_path / "configs").iterdir())
        os.utime(tmp_path / "configs" / name, (newest + 10, newest + 10))

    assert checked() == (0, ["own", "right"])
    assert checked() == (0, [])
    touch("right.yaml")
    assert checked() == (0, ["right"])
    write(tmp_path, {"configs/wrong.yaml": WRONG})
    assert checked()[0] == 2
    assert "wrong" in checked()[1]
    (tmp_path / "configs" / "wrong.yaml").unlink()
    touch("own.py")
    assert sorted(checked()[1]) == ["own", "right"]


def pytest_run(cwd: Path, *words: str, **extra: str) -> Result:
    start = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return run([*start, *words], cwd, PYTEST_ADDOPTS="", **extra)


def test_functions_are_checked_by_pytest(tmp_path: Path) -> None:
    name = "test_softplus.py"
    write(tmp_path, {name: recipe("python", name)})
    done = pytest_run(tmp_path, name)
    assert "3 passed" in done.stdout, done.stdout
    right = "delta / (1 + np.exp(-x))"
    write(tmp_path, {name: recipe("python", name).replace(right, "delta / (1 + np.exp(x))")})
    done = pytest_run(tmp_path, name)
    assert "3 failed" in done.stdout, done.stdout


def test_configs_are_checked_by_pytest(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": recipe("toml", "pyproject.toml"), "configs/own.py": OWN})
    several = f"{RIGHT}checks:\n- {{name: one}}\n- {{name: two}}\n"
    write(tmp_path, {"configs/own.yaml": CODE, "configs/with space.yaml": several})
    write(tmp_path, {"other/wrong.yaml": WRONG})
    words = ("-p", "no:gradcheck", "-p", "gradcheck_cli.pytest_plugin", "-W", "default")
    done = pytest_run(tmp_path, *words)
    assert "3 passed" in done.stdout, done.stdout
    write(tmp_path, {"configs/batch.yaml": f"name: batch\n{WRONG}"})
    done = pytest_run(tmp_path, *words, CI="true")
    assert "1 failed, 3 passed" in done.stdout, done.stdout
    said = next(text for text in recipes("") if text.startswith("FAILED"))
    assert said in done.stdout


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        (RIGHT, 0, ""),
        (WRONG, 1, "a gradient is wrong"),
        ("form: [\n", 2, "nothing was checked: the error is above"),
        (INCONCLUSIVE, 0, "no gradient is wrong, but one is inconclusive"),
    ],
    ids=["right", "wrong", "no config", "inconclusive"],
)
def test_the_shell_script_tells_the_exit_codes_apart(
    tmp_path: Path, config: str, code: int, said: str
) -> None:
    write(tmp_path, {"gradients.sh": recipe("sh", "gradients.sh"), "a config.yaml": config})
    done = run(["sh", "-e", "gradients.sh", "a config.yaml"], tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert bool(done.stderr) is bool(said)
