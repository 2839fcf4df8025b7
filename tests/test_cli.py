"""The command line: what it prints where, what it writes, and its exit codes."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.shell_completion import ShellComplete

import scaleout_cfn.cli.render as render_command
from scaleout_cfn.cli import COMMANDS, cli, main, tables
from scaleout_cfn.cli.examples import EXAMPLES
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.config.file import load
from scaleout_cfn.config.text import json_schema, starter
from scaleout_cfn.files import write
from scaleout_cfn.graph import mermaid
from scaleout_cfn.lint.rules import RULES
from scaleout_cfn.profiles import PROFILES
from scaleout_cfn.rendering import render, set_of
from scaleout_cfn.templates.reading import read_folder

ROOT = Path(__file__).parent.parent


class Result(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(here: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command as the console script does."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capfd.readouterr()
        return Result(ended.value.code, out, err)

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- init and schema


def test_init_writes_a_config_that_is_the_default(run: Run, here: Path) -> None:
    result = run("init")
    assert (result.code, result.out) == (0, "")
    assert "scaleout.toml written" in result.err
    assert "scaleout-cfn render -c scaleout.toml" in result.err
    assert (here / "scaleout.toml").read_text(encoding="utf-8") == starter()
    assert load(here / "scaleout.toml") == Config()


@pytest.mark.parametrize(
    ("profile", "cpu_percent", "least_nodes", "in_use"),
    [("thrifty", 60, 1, 100), ("resilient", 30, 2, 90), ("spot", 28, 2, 90)],
)
def test_what_a_profile_sets_is_what_the_file_of_init_says_and_the_templates_do(
    run: Run, here: Path, profile: str, cpu_percent: int, least_nodes: int, in_use: int
) -> None:
    result = run("init", "--profile", profile, "mine.toml")
    assert "mine.toml written, with what differs from the defaults set in it" in result.err
    config = load(here / "mine.toml")
    assert config.services["web"].scaling == PROFILES[profile].tasks
    assert config.capacity["nodes"] == PROFILES[profile].nodes
    assert run("render", "-c", "mine.toml").code == 0
    rendered = {name: text.decode() for name, text in files(here / "templates_out").items()}
    assert f"TargetValue: {cpu_percent}\n" in rendered["web-service.yaml"]
    assert f"MinimumScalingStepSize: {least_nodes}\n" in rendered["capacity.yaml"]
    assert f"TargetCapacity: {in_use}\n" in rendered["capacity.yaml"]


def test_init_overwrites_nothing(run: Run, here: Path) -> None:
    (here / "mine.toml").write_text("mine", encoding="utf-8")
    result = run("init", "mine.toml")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: mine.toml: is there already; give another path, or move it away\n"
    assert (here / "mine.toml").read_text(encoding="utf-8") == "mine"


def test_schema_prints_the_json_schema_and_nothing_else(run: Run) -> None:
    result = run("schema")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == json.loads(json.dumps(json_schema()))


# --- render


def test_render_writes_the_default_set_and_says_what_and_what_next(run: Run, here: Path) -> None:
    result = run("render")
    texts = render(compose())
    assert result.code == 0
    assert files(here) == {f"templates_out/{name}": text.encode() for name, text in texts.items()}
    lines = [re.fullmatch(r"(\S+) +(\d+) resources +(\d+) bytes", line) for line in result.out.splitlines()]
    told = {match[1]: (int(match[2]), int(match[3])) for match in lines if match}
    templates = set_of(compose())
    assert told == {name: (len(templates[name]["Resources"]), len(text.encode())) for name, text in texts.items()}
    assert len(lines) == len(told)
    assert len({len(line) for line in result.out.splitlines()}) == 1
    assert result.err.startswith("Written to templates_out. Next: scaleout-cfn lint templates_out, or upload")
    assert result.err.count("\n") == 1


def test_render_takes_file_environment_and_overrides(run: Run, here: Path) -> None:
    (here / "a.toml").write_text(
        "[services.web.scaling]\nmax_tasks = 9\n[environments.prod.services.web.scaling]\nmin_tasks = 3\n",
        encoding="utf-8",
    )
    result = run(
        "render",
        "-c",
        "a.toml",
        "--env",
        "prod",
        "--set",
        "services.web.scaling.max_tasks=8",
        "--set",
        "tags.team=web",
        "-o",
        "out",
    )
    assert result.code == 0
    expected = load(Path("a.toml"), environment="prod", overrides=["services.web.scaling.max_tasks=8", "tags.team=web"])
    assert files(here / "out") == {name: text.encode() for name, text in render(compose(expected)).items()}


def test_render_takes_the_config_of_the_folder_and_says_so(run: Run, here: Path) -> None:
    (here / "scaleout.toml").write_text("[services.web.scaling]\nmax_tasks = 9\n", encoding="utf-8")
    result = run("render")
    assert result.err.startswith("config scaleout.toml\n")
    assert read_folder(here / "templates_out")["root.yaml"]["Parameters"]["WebScalingMaxTasks"]["Default"] == 9


def test_json_takes_the_place_of_our_yaml_and_of_nothing_else(run: Run, here: Path) -> None:
    run("render")
    (here / "templates_out" / "mine.yaml").write_text("Resources: {}\n", encoding="utf-8")
    result = run("render", "--format", "json")
    assert result.code == 0
    names = {path.name for path in (here / "templates_out").iterdir()}
    assert names == {"mine.yaml", *render(compose(), format="json")}
    assert "templates_out/root.yaml removed, for it is not of this set\n" in result.err
    assert result.err.count(" removed, ") == len(names) - 1


def test_render_writes_nothing_where_the_config_is_refused(run: Run, here: Path) -> None:
    run("render")
    before = files(here)
    for refused in (
        ["--set", "services.web.scaling.max_tasks=0"],
        ["--set", "services.web.scaling.max_tasks=4000"],
        ["-c", "nowhere.toml"],
    ):
        result = run("render", *refused)
        assert (result.code, result.out) == (2, "")
        assert files(here) == before


def test_every_mistake_of_a_config_is_a_line(run: Run, here: Path) -> None:
    (here / "a.toml").write_text("[services.web.scaling]\nmax_tasks = 0\nmin_task = 1\n", encoding="utf-8")
    result = run("render", "-c", "a.toml")
    assert result.code == 2
    assert result.err.splitlines() == [
        "error: a.toml:2: services.web.scaling.max_tasks: got 0; allowed is 1 to 5000 tasks (Most tasks that run.)",
        "error: a.toml:3: services.web.scaling.min_task: unknown; did you mean min_tasks?",
    ]


def test_tasks_that_do_not_fit_are_refused_with_a_cure(run: Run) -> None:
    result = run("render", "--set", "services.web.scaling.max_tasks=400")
    assert result.code == 2
    assert re.match(
        r"error: services\.web\.scaling\.max_tasks: 400 tasks .*: services\.web\.scaling\.max_tasks = \d+, or ",
        result.err,
    )


# --- render --check


@pytest.fixture
def rendered(run: Run, here: Path) -> Path:
    folder = here / "templates_out"
    write(folder, render(compose()))
    return folder


def test_check_says_when_nothing_differs(run: Run, rendered: Path) -> None:
    assert run("render", "--check") == (0, "", "templates_out is what the config gives\n")


def test_check_shows_how_a_changed_template_differs_and_changes_nothing(run: Run, rendered: Path) -> None:
    path = rendered / "root.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Default: 20", "Default: 21"), encoding="utf-8")
    before = files(rendered)
    result = run("render", "--check")
    assert result.code == 3
    assert result.err == "templates_out differs from the config\n"
    lines = result.out.splitlines()
    assert lines[:2] == ["--- templates_out/root.yaml", "+++ root.yaml by the config"]
    assert "-    Default: 21" in lines
    assert "+    Default: 20" in lines
    assert files(rendered) == before


def test_check_finds_missing_and_stale_templates_and_passes_over_others(run: Run, rendered: Path) -> None:
    (rendered / "mine.yaml").write_text("Resources: {}\n", encoding="utf-8")
    assert run("render", "--check").code == 0
    (rendered / "web-service.yaml").rename(rendered / "other.yaml")
    result = run("render", "--check")
    assert result.code == 3
    assert "+++ web-service.yaml by the config" in result.out
    assert "--- templates_out/other.yaml" in result.out
    assert "mine.yaml" not in result.out


def test_check_compares_with_the_config_that_is_asked_for(run: Run, rendered: Path) -> None:
    assert run("render", "--check", "--set", "services.web.scaling.max_tasks=9").code == 3
    assert run("render", "--check", "--format", "json").code == 3


def test_check_of_a_folder_that_is_not_there_shows_all(run: Run, here: Path) -> None:
    result = run("render", "--check", "-o", "nowhere")
    assert result.code == 3
    assert result.out.count("+++ ") == len(render(compose()))
    assert files(here) == {}


# --- help


def commands(group: click.Group = cli, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += commands(command, (*words, name)) if isinstance(command, click.Group) else [(*words, name)]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_of_each_command_has_an_example_that_can_be_parsed(run: Run, words: tuple[str, ...]) -> None:
    shown = run(*words, "--help")
    assert shown.code == 0
    lines = re.findall(r"^ {4,}scaleout-cfn (\S.*?)(?:  .*)?$", shown.out, re.M)
    assert any(line.startswith(" ".join(words)) for line in lines), shown.out
    for line in lines:
        args = shlex.split(line.partition(" > ")[0])
        group: click.Group = cli
        while True:
            name, command, args = group.resolve_command(click.Context(group), args)
            assert command is not None
            if not isinstance(command, click.Group) or (not args and command.invoke_without_command):
                break
            group = command
        command.make_context(name, args)


def test_examples_are_of_commands_that_are_there() -> None:
    assert set(EXAMPLES) <= {" ".join(words) for words in commands()}


# --- completion


def completed(words: str, cwd: Path) -> list[str]:
    """What bash is told for a line, the cursor at its end."""
    line = f"scaleout-cfn {words}"
    environment = {
        **os.environ,
        "_SCALEOUT_CFN_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    program = "import sys; sys.argv[0] = 'scaleout-cfn'; from scaleout_cfn.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd, env=environment
    )
    return [answer.partition(",")[2] for answer in done.stdout.splitlines() if answer]


def test_a_shell_gets_what_completes_a_line(here: Path) -> None:
    assert completed("rend", here) == ["render"]


NAMED = """
stack_name = "shop"
[services.web]
[services.mailer]
kind = "worker"
[jobs.nightly]
[environments.prod]
[environments.eu]
stack_name = "shop-europe"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("status --service ", ["web", "mailer"]),
        ("scale m", ["mailer"]),
        ("simulate --service w", ["web"]),
        ("simulate other.toml --service ", ["other"]),
        ("status -c other.toml --service ", ["other"]),
        ("jobs run ", ["nightly"]),
        ("deploy --env p", ["prod"]),
        ("deploy --env prod,", ["prod,eu"]),
        ("status --stack ", ["shop", "shop-prod", "shop-europe"]),
        ("simulate --stack shop-e", ["shop-europe"]),
        ("advise --capacity f", ["fargate"]),
        ("lint --explain S206", ["S206"]),
        ("lint --only S20", [rule.id for rule in RULES if rule.id.startswith("S20")]),
        ("simulate --event z", ["zone-lost@"]),
        ("import ", ["compose", "copilot", "ecs", "http-scale-out", "resources"]),
        ("import --adopt", ["--adopt"]),
        ("import --env prod --adopt", ["--adopt"]),
    ],
)
def test_what_a_config_names_and_what_we_name_is_completed(here: Path, line: str, offered: list[str]) -> None:
    (here / "scaleout.toml").write_text(NAMED, encoding="utf-8")
    (here / "other.toml").write_text("[services.other]", encoding="utf-8")
    *words, begun = line.split(" ")
    complete = ShellComplete(cli, {}, "scaleout-cfn", "_SCALEOUT_CFN_COMPLETE")
    assert [item.value for item in complete.get_completions(words, begun)] == offered


@pytest.mark.parametrize("text", ["[", "services = 1", "stack_name = 1\nenvironments = {a = 1}"])
def test_a_config_that_is_none_completes_nothing(here: Path, text: str) -> None:
    (here / "scaleout.toml").write_text(text, encoding="utf-8")
    complete = ShellComplete(cli, {}, "scaleout-cfn", "_SCALEOUT_CFN_COMPLETE")
    assert complete.get_completions(["status", "--service"], "") == []
    assert all(item.value for item in complete.get_completions(["status", "--stack"], ""))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert f"_SCALEOUT_CFN_COMPLETE={shell}_complete" in result.out


def test_what_is_written_has_the_same_bytes_on_windows(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There text that is written gets the line ends of the machine, unless its writer says otherwise."""
    opened = Path.open

    def on_windows(
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        ends = "\r\n" if newline is None and "b" not in mode and "r" not in mode else newline
        return opened(path, mode, buffering, encoding, errors, ends)

    (here / "compose.yaml").write_text("services: {web: {image: nginx, ports: ['80:80']}}\r\n", encoding="utf-8")
    monkeypatch.setattr(Path, "open", on_windows)
    assert run("init", "--short").code == 0
    assert b"\r" not in (here / "scaleout.toml").read_bytes()
    assert run("import", "compose", "compose.yaml", "-o", "imported.toml").code == 0
    (here / "scaleout.toml").write_bytes((here / "scaleout.toml").read_bytes().replace(b"\n", b"\r\n"))
    assert run("render").code == 0
    tables.write(here / "series.csv", "a,b\n1,2\n")
    written = [
        path for path in here.rglob("*") if path.is_file() and path.name not in ("scaleout.toml", "compose.yaml")
    ]
    assert len(written) > 10
    assert [path.name for path in written if b"\r" in path.read_bytes()] == []
    ours = {path.name: path.read_text(encoding="utf-8") for path in (here / "templates_out").iterdir()}
    assert ours == {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "templates_out").glob("*.yaml")}


def test_what_is_printed_into_a_file_is_utf_8_in_lines_that_a_shell_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    printed = io.TextIOWrapper(raw, encoding="cp1252", newline="\r\n")
    monkeypatch.setattr(os, "linesep", "\r\n")
    monkeypatch.setattr(sys, "stdout", printed)
    with pytest.raises(SystemExit):
        main(["completion", "zsh"])
    printed.flush()
    monkeypatch.undo()
    assert printed.encoding == "utf-8" and b"\r" not in raw.getvalue()


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("looked_at", [True, False])
def test_what_takes_long_moves_a_bar_on_a_terminal_and_nowhere_else(
    looked_at: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AtOnce(threading.Timer):
        def start(self) -> None:
            self.function()

        def join(self, timeout: float | None = None) -> None:
            """It was not begun."""

    monkeypatch.setattr(tables, "Timer", AtOnce)
    monkeypatch.setenv("TERM", "xterm")
    shown = Terminal() if looked_at else io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with tables.waiting("checking"):
        pass
    with tables.progress(2, "simulating") as done:
        done()
        done()
    assert ("checking" in shown.getvalue(), "simulating" in shown.getvalue()) == (looked_at, looked_at)


# --- lint

GOOD = "AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n"


def test_lint_of_a_file_that_is_no_template_names_no_place_within_it(run: Run, here: Path) -> None:
    (here / "a.yaml").write_text("just words", encoding="utf-8")
    result = run("lint", "a.yaml")
    assert result.code == 10
    assert result.out.startswith("a.yaml:1: error E0000: The file is one value, not a template.")


def test_lint_of_a_clean_folder_says_so(run: Run, here: Path) -> None:
    (here / "a.yaml").write_text(GOOD, encoding="utf-8")
    assert run("lint", ".") == (
        0,
        "",
        "1 templates; followed 0 of 0 nested stacks\n.: 0 errors, 0 warnings, 0 for information\n",
    )
    result = run("lint", "--format", "json", "--region", "us-east-1", "--region", "eu-central-1", ".")
    assert (result.code, result.err) == (0, "")
    counts = {"errors": 0, "warnings": 0, "infos": 0}
    seen = {"findings": [], "templates": ["a.yaml"], "followed": 0, "unfollowed": []}
    assert json.loads(result.out) == {"v": 1, **counts, **seen}


def test_lint_shows_each_finding_with_place_rule_and_cure(run: Run, here: Path) -> None:
    child = "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: b.yaml, Parameters: {Nmae: x}}}"
    (here / "a.yaml").write_text(GOOD + f"  Child: {child}\n", encoding="utf-8")
    (here / "b.yaml").write_text(GOOD + "Parameters: {Name: {Type: String, Default: a}}\n", encoding="utf-8")
    text = run("lint", ".")
    as_json = run("lint", "--format", "json", ".")
    assert text.code == as_json.code == 10
    found = json.loads(as_json.out)
    assert found["errors"] == sum(finding["severity"] == "error" for finding in found["findings"]) > 0
    assert found["warnings"] == len(found["findings"]) - found["errors"]
    totals = f"{found['errors']} errors, {found['warnings']} warnings, 0 for information"
    assert text.err == f"2 templates; followed 1 of 1 nested stacks\n.: {totals}\n"
    for finding in found["findings"]:
        place = f"{finding['file']}:{finding['line']}"
        assert f"{place}: {finding['severity']} {finding['rule']} at {finding['path']}: " in text.out
        assert finding["cure"] in text.out
        assert finding["source"].startswith("https://")
    assert any(finding["file"] == "a.yaml" and "Nmae" in finding["path"] for finding in found["findings"])


# --- graph


def test_graph_prints_the_picture_of_a_folder(run: Run, rendered: Path) -> None:
    result = run("graph")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("flowchart LR\n")
    assert result.out == mermaid(set_of(compose()))
    assert run("graph", str(rendered)).out == result.out


# --- help


def options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_help(run: Run, name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    assert command.help.splitlines()[0].endswith(".")
    for option in options(command):
        assert option.help, option.opts
    result = run(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"Usage: scaleout-cfn {name}" in result.out
    for option in options(command):
        assert all(flag in result.out for flag in option.opts)


def test_help_names_every_command(run: Run) -> None:
    for flag in ("-h", "--help"):
        result = run(flag)
        assert (result.code, result.err) == (0, "")
        assert all(re.search(rf"^  {name} ", result.out, re.MULTILINE) for name in COMMANDS)


def test_the_version_is_that_of_the_package(run: Run) -> None:
    try:
        version = importlib.metadata.version("scaleout-cfn")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("scaleout-cfn is not installed here")
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    first, python, *packages = result.out.splitlines()
    assert first == f"scaleout-cfn {version}"
    assert python.startswith("Python 3.")
    assert f"troposphere {importlib.metadata.version('troposphere')}" in packages


# --- bad input


BAD = [
    (["nope"], "Error: No such command 'nope'."),
    (["render", "--nope"], "Error: No such option '--nope'."),
    (["render", "extra"], "Error: Got unexpected extra argument (extra)"),
    (["render", "--format", "xml"], "Error: Invalid value for '--format': 'xml' is not one of 'yaml', 'json'."),
    (["render", "-c"], "Error: Option '-c' requires an argument."),
    (["render", "-c", "nowhere.toml"], "error: nowhere.toml: no such file; `init` writes one with every tunable"),
    (["render", "-c", "folder"], "Error: Invalid value for '-c' / '--config': File 'folder' is a directory."),
    (["render", "-c", "latin.toml"], "error: latin.toml: byte 3 is not UTF-8, which TOML files are"),
    (["render", "-c", "half.toml"], "error: half.toml:1: Expected"),
    (["render", "-c", "/proc/self/mem"], "error: /proc/self/mem: "),
    (["render", "-c", "file/below.toml"], "error: file/below.toml: Not a directory; give a file that can be read"),
    (["render", "--check", "-c", "nowhere.toml"], "error: nowhere.toml: no such file; "),
    (["render", "-o", "file"], "error: file: File exists; give a folder that can be written to"),
    (["render", "-o", "file/below"], "error: file/below: Not a directory; give a folder that can be written to"),
    (["render", "-o", "/proc/nowhere"], "error: /proc/nowhere: "),
    (["render", "--set", "x"], "error: --set x: give KEY=VALUE, as in --set services.web.scaling.max_tasks=40"),
    (
        ["render", "--set", "services.web.scaling.max_tasks=x"],
        "error: --set services.web.scaling.max_tasks=x: got 'x'; allowed is a whole number",
    ),
    (
        ["render", "--set", "services.web.scaling.max_task=9"],
        "error: --set services.web.scaling.max_task=9: unknown; did you mean max_tasks",
    ),
    (["render", "--env", "prod"], "error: the default config: environment 'prod' is not there; it has none"),
    (["init", "file"], "error: file: is there already; give another path, or move it away"),
    (["init", "folder"], "error: folder: is there already; give another path, or move it away"),
    (["init", "nowhere/a.toml"], "error: nowhere/a.toml: its folder cannot be written to; give a path that can be "),
    (["init", "/proc/nowhere"], "error: /proc/nowhere: "),
    (["schema", "x"], "Error: Got unexpected extra argument (x)"),
    (["lint", "nowhere"], "error: nowhere: No such file or directory; give folders of templates, or files"),
    (["lint", "--only", "ZZ", "good"], "error: --only ZZ: no rule begins so; docs/rules.md lists ours, S101 to S"),
    (["lint", "--ignore", "S102,X9", "good"], "error: --ignore X9: no rule begins so"),
    (["lint", "--explain", ""], "error: --explain : no rule"),
    (["lint", "--region", "mars-1", "good"], "error: --region: Regions ['mars-1'] are unsupported."),
    (["graph", "nowhere"], "error: nowhere: No such file or directory; give a folder of templates"),
    (["graph", "file"], "error: file: Not a directory; give a folder of templates"),
    (["graph", "folder"], "error: folder: no templates in it; give a folder of templates"),
    (["graph", "broken"], "error: broken: root.yaml:3: Not YAML"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_clear_message_and_exit_code_2(run: Run, here: Path, arguments: list[str], said: str) -> None:
    for folder in ("folder", "broken", "good"):
        (here / folder).mkdir()
    (here / "file").write_text("text\n", encoding="utf-8")
    (here / "latin.toml").write_bytes(b"a='\xe9'\n")
    (here / "half.toml").write_text("[scaling\n", encoding="utf-8")
    (here / "broken" / "root.yaml").write_text("Resources:\n  A: [\n", encoding="utf-8")
    (here / "good" / "root.yaml").write_text(GOOD, encoding="utf-8")
    before = files(here)
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    messages = [line for line in result.err.splitlines() if line.lower().startswith("error:")]
    assert len(messages) == 1
    assert messages[0].startswith(said)
    # Beside it there is at most click's word on usage.
    assert all(line.startswith(("Usage: ", "Try ", *messages)) or not line for line in result.err.splitlines())
    assert files(here) == before


# --- what goes wrong on our side


def test_an_internal_error_is_told_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(render_command, "composed", fails)
    result = run("render")
    assert (result.code, result.out) == (1, "")
    assert re.match(r"internal error: RuntimeError: boom \(test_cli\.py:\d+\)\nThis is a fault of ", result.err)
    assert "Traceback" not in result.err
    assert files(here) == {}


def test_an_interruption_is_told_in_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(render_command, "composed", interrupted)
    result = run("render")
    assert result.code == 130
    assert result.err.strip() == "interrupted"


# --- as processes of their own

#: What only `lint`, `deploy` and the emulator need, by name of the package.
DEAR = {"boto3", "botocore", "cfnlint", "rich", "matplotlib", "moto", "ministack", "jsonschema", "samtranslator"}


def start(*arguments: str, cwd: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE
    )


IMPORTED = (
    "import sys, json\n"
    "from scaleout_cfn.cli import main\n"
    "try: main(sys.argv[1:])\n"
    "finally: print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules} )))\n"
)


def test_commands_import_only_what_they_need(tmp_path: Path) -> None:
    commands = {"render": ["render"], "help": ["--help"], "schema": ["schema"]}
    running = {name: start("-c", IMPORTED, *arguments, cwd=tmp_path) for name, arguments in commands.items()}
    loaded = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        loaded[name] = set(json.loads(out.splitlines()[-1]))
    for name, modules in loaded.items():
        assert not modules & DEAR, name
    assert "troposphere" in loaded["render"]
    assert "yaml" not in loaded["render"]
    assert "troposphere" not in loaded["schema"]


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start("-m", "scaleout_cfn", "schema", cwd=tmp_path, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert err == b""


def test_the_module_runs_as_the_console_script_does(tmp_path: Path) -> None:
    process = start("-m", "scaleout_cfn", "render", "--set", "x", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")
    assert err.startswith(b"error: --set x: give KEY=VALUE")


TWO = """\
[environments.prod-eu]
region = "eu-west-1"

[environments.prod-us]
region = "us-east-1"
services.web.memory_mib = 300
"""


def test_render_writes_a_folder_for_each_of_several_environments_and_checks_each(run: Run, here: Path) -> None:
    (here / "two.toml").write_text(TWO)
    assert run("render", "-c", "two.toml", "--env", "prod-eu,prod-us", "-o", "out").code == 0
    for name in ("prod-eu", "prod-us"):
        alone = render(compose(load("two.toml", environment=name)))
        assert {path.name: path.read_text() for path in (here / "out" / name).iterdir()} == alone
    (here / "out" / "prod-us" / "root.yaml").unlink()
    checked = run("render", "-c", "two.toml", "--env", "prod-eu,prod-us", "-o", "out", "--check")
    assert checked.code == 3
    assert "out/prod-eu is what the config gives" in checked.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy", "--env", "prod-eu,prod-eu"], "one is named twice; give each environment once"),
        (["deploy", "--env", "prod-eu,"], "a name is missing"),
        (["deploy", "--env", "prod-eu,prod-us", "--stack", "x"], "--stack x: is for one environment"),
        (["deploy", "--env", "prod-eu,prod-us", "--region", "eu-west-1"], "--region eu-west-1: is for one environment"),
        (["logs", "--env", "prod-eu,prod-us"], "this command is for one environment; name one"),
        (["policies", "--env", "prod-eu,prod-us", "-o", "out"], "this command is for one environment; name one"),
        (["status", "--env", "prod-eu,prod-us", "--watch"], "--watch: watches one environment"),
    ],
)
def test_what_is_for_one_environment_says_so_before_anything_is_asked_of_aws(
    run: Run, here: Path, arguments: list[str], said: str
) -> None:
    (here / "scaleout.toml").write_text(TWO)
    result = run(*arguments)
    assert result.code == 2
    assert said in result.err
    assert not (here / "out").exists()


def test_a_set_of_several_that_cannot_be_rendered_is_named_and_none_is_written(run: Run, here: Path) -> None:
    (here / "scaleout.toml").write_text(TWO.replace("300", "700"))
    result = run("render", "--env", "prod-eu,prod-us", "-o", "out")
    assert (result.code, result.out) == (2, "")
    assert "error: prod-us: services.web.scaling.max_tasks: 20 tasks" in result.err
    assert not (here / "out").exists()


def test_what_is_wrong_with_any_of_several_environments_is_told_at_once(run: Run, here: Path) -> None:
    (here / "scaleout.toml").write_text(TWO)
    result = run("deploy", "--env", "prod-a,prod-b", "--json")
    assert result.code == 2
    *notes, last = [json.loads(line) for line in result.out.splitlines()]
    assert last["what"].startswith("prod-a: scaleout.toml: environment 'prod-a' is not there")
    assert [note["text"].partition(":")[0] for note in notes] == ["prod-b"]
