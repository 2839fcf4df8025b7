"""The documents say what is so."""

from __future__ import annotations

import configparser
import gzip
import html
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import yaml
from click import Command, Context, Group
from click.testing import CliRunner

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.config.tunables import Section, bare, fields_of, named_sections, section_items, sections_of
from scaleout_cfn.simulator import peers, traffic
from scaleout_cfn.templates.reading import read_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_exactly_two_set_up_commands_and_ci_runs_the_second() -> None:
    commands = re.findall(r"^    (pip install .*)$", README, re.M)
    assert commands == ["pip install . && python -m scaleout_cfn render", "pip install tox && tox"]
    assert r"pip install tox && tox" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_s_picture_is_what_graph_prints() -> None:
    (picture,) = re.findall(r"```mermaid\n(.*?)```", README, re.S)
    templates = read_folder(ROOT / "templates_out")
    assert picture == sc.mermaid({"root.yaml": templates["root.yaml"], **templates})


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.setattr(sys, "argv", ["shop.py", "render", "-o", "out"])
    with pytest.raises(SystemExit, match="0"):
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    assert "MaxInstanceLifetime: 1209600" in (tmp_path / "out" / "capacity.yaml").read_text(encoding="utf-8")


def test_the_readme_s_config_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.S)
    path = tmp_path / "scaleout.toml"
    path.write_text(block, encoding="utf-8")
    config = sc.load(path, environment="prod", overrides=["services.web.memory_mib=512"])
    assert getattr(config.capacity["nodes"], "max_nodes", None) == 20


SNIPPETS = [
    (path.name, number, block)
    for path in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), re.S))
]


@pytest.mark.parametrize(("page", "number", "block"), SNIPPETS, ids=[f"{page}-{n}" for page, n, _ in SNIPPETS])
def test_each_config_of_a_page_renders(page: str, number: int, block: str, tmp_path: Path) -> None:
    path = tmp_path / "scaleout.toml"
    path.write_text(block, encoding="utf-8")
    assert sc.render(sc.compose(sc.load(path)))


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
of_each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def typed_in(text: str) -> list[str]:
    """The lines of a page's blocks that call our program, without its name, and between them its configs."""
    text = re.sub(r'"\$\(.*?\)"', CHANGE_SET, text.replace("\\\n", " ")).replace("apply ARN", f"apply {CHANGE_SET}")
    parts = re.split(r"```toml\n(.*?)```", text, flags=re.S)
    lines = [re.findall(rf"^(?: {{4}}|  - run: )?(?:pip .*&& )?{PROGRAM} ([^\n]+)", part, re.M) for part in parts[::2]]
    return [line for config, part in zip(["", *parts[1::2]], lines, strict=True) for line in (f"#{config}", *part)]


#: An ARN that `apply` takes is one of a change set.
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/a/b"
PROGRAM = r"(?:scaleout-cfn|python -m scaleout_cfn|python shop\.py)"


def command_lines(text: str) -> list[str]:
    """What is typed after the name of our program, in blocks and within lines."""
    names = "|".join(cli.list_commands(Context(cli)))
    within = re.findall(rf"`(?:{PROGRAM} )?((?:{names}) [^`|>]+)", text)
    lines = [*typed_in(text), *(line.replace("apply ARN", f"apply {CHANGE_SET}") for line in within)]
    return [words for line in lines if (words := re.split("[|<>#]", line)[0])]


def called(line: str) -> tuple[str, Command, Context]:
    """The command that a line calls, its words, and what it is given."""
    command: Command = cli
    path, words = "", shlex.split(line)
    while isinstance(command, Group):
        name, found, words = command.resolve_command(Context(command), words)
        assert found is not None, line
        path, command = f"{path} {name}".lstrip(), found
    return path, command, command.make_context(command.name, words)


@of_each_page
def test_each_command_line_of_a_page_has_commands_and_options_that_there_are(page: Path) -> None:
    for line in command_lines(page.read_text(encoding="utf-8")):
        called(line)


#: What needs more than this machine's files, and is only parsed: whatever says by an option where AWS is, and these.
ELSEWHERE = {"import ecs": "an account", "image build": "an engine", "upgrade": "an installation of another version"}
#: What a reader has, by how it ends, or as it is called.
SMALL = "scaling = {max_tasks = 4}"
READERS = {
    ".csv": "time,requests\n" + "".join(f"2026-11-24T10:{minute:02}:00Z,{3000 + minute}\n" for minute in range(3)),
    ".log.gz": "".join(
        f'1.2.3.4 - - [24/Nov/2026:10:{minute:02}:00 +0000] "GET / HTTP/1.1" 200 5\n' for minute in range(3)
    ),
    ".toml": f"[services.web]\n{SMALL}\n",
    "compose.yaml": "services: {web: {image: nginx, ports: ['80:80']}}\n",
    "cdk.out": "Resources: {Topic: {Type: AWS::SNS::Topic}}\n",
    "stacks/**/*.yaml": "Resources: {Topic: {Type: AWS::SNS::Topic}}\n",
    "shop": "name: web\ntype: Load Balanced Web Service\nimage: {build: Dockerfile, port: 80}\n",
    "../http-scale-out": 'resource "aws_ecs_service" "api" {\n  desired_count = 2\n}\n',
}
INSIDE = {
    "cdk.out": "shop.template.json",
    "stacks/**/*.yaml": "../../shop.yaml",
    "shop": "copilot/web/manifest.yml",
    "../http-scale-out": "main.tf",
}


def lay_out(word: str, services: list[str]) -> None:
    """What a line reads and no line before it has made: the reader's own."""
    kind = next((name for name in READERS if word == name or (name.startswith(".") and word.endswith(name))), "")
    if not kind or Path(word).exists():
        return
    path = Path(word, INSIDE[kind]) if kind in INSIDE else Path(word)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = READERS[kind]
    if kind == ".toml":
        text += "".join(f"[services.{name}]\n{SMALL}\nkind = 'internal'\n" for name in services if name != "web")
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())


@of_each_page
def test_the_command_lines_of_a_page_that_need_nothing_but_files_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    # What takes long is cut short: of a made-up traffic all but a minute, or what befalls it later, and most peers.
    made_up = traffic.synthetic
    last = [1850]
    monkeypatch.setattr(traffic, "synthetic", lambda *asked: made_up(*asked).window(1790, last[0]))
    monkeypatch.setattr(peers, "peers", lambda model: {})
    for line in typed_in(page.read_text(encoding="utf-8")):
        words, _, said = line.partition("#")
        if words.startswith(("init", "import")):  # these begin where nothing is
            for name in ("scaleout.toml", "scaleout.import.md"):
                Path(name).unlink(missing_ok=True)
        if not words:
            Path("scaleout.toml").write_text(said, encoding="utf-8")
            continue
        words, _, into = words.partition(">")
        path, command, _ = called(words)
        if path in ELSEWHERE or any("--endpoint-url" in parameter.opts for parameter in command.params):
            continue
        if path != "render" and not Path("templates_out").exists():
            sc.write("templates_out", sc.render(sc.compose(sc.Config())))
        arguments = shlex.split(words)
        reads = [word for option, word in pairwise(arguments) if option not in ("-o", "--html", "--plot", "init")]
        for word in reads:
            lay_out(word.partition("=")[2] or word, re.findall(r"--(?:traffic|csv) (\w+)=", words))
        last[0] = 1790 + 60 + max([0, *map(int, re.findall(r"--event [\w-]+@(\d+)", words))])
        if path == "advise":
            arguments += ["--tries", "2", "--allow", "1"]  # so few keep no objective
        ended = CliRunner().invoke(cli, arguments)
        assert (ended.exit_code != 0) is ("refused" in said), (line, ended.exception, ended.output)
        if into:
            Path(into.strip()).parent.mkdir(parents=True, exist_ok=True)
            Path(into.strip()).write_text(ended.stdout, encoding="utf-8")


def of_a_shell(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def of_a_workflow(block: str) -> None:
    job = {"runs-on": "ubuntu-latest", **yaml.safe_load(block)}
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", "-"]
    told = json.dumps({"on": "push", "jobs": {"deploy": job}})
    subprocess.run(words, input=told, text=True, check=True, stdout=subprocess.DEVNULL)


def of_a_dockerfile(block: str) -> None:
    known = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "CMD"}
    assert {line.split()[0] for line in block.replace("\\\n", " ").splitlines() if line} <= known


def of_node(block: str) -> None:
    if node := shutil.which("node"):
        subprocess.run([node, "--check", "-"], input=block, text=True, check=True)


#: How a block of each language is checked; None where a test above does it.
LANGUAGES: dict[str, Callable[[str], object] | None] = {
    "toml": None,
    "python": None,
    "mermaid": None,
    "sh": of_a_shell,
    "yaml": of_a_workflow,
    "json": json.loads,
    "ini": lambda block: configparser.ConfigParser().read_string(block),
    "dockerfile": of_a_dockerfile,
    "javascript": of_node,
}


@of_each_page
def test_each_block_of_a_page_is_what_its_language_takes(page: Path) -> None:
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        if check := LANGUAGES[language]:
            check(block)


def keys_of(section: type[Section], path: str = "") -> Iterator[str]:
    """The dotted keys of all that a section can hold, NAME for what a user calls it."""
    for field in fields_of(section):
        inner, _ = bare(field.type)
        key = f"{path}.{field.name}".removeprefix(".")
        yield key
        for within, kinds in ((key, sections_of(inner)), (f"{key}.NAME", named_sections(inner))):
            if kinds:
                yield from (within, f"{within}.kind")
            for kind in kinds:
                yield from keys_of(kind, within)
        if item := section_items(inner):
            yield from keys_of(item, key)


KEYS = {*keys_of(sc.Config)}
ROOMS = {key.partition(".")[0] for key in KEYS if "." in key}


@of_each_page
def test_each_key_that_a_page_names_is_one_of_the_config(page: Path) -> None:
    for key in re.findall(r"(?:`|--set '?)([a-z_]+(?:\.[a-zA-Z_]+)+)", page.read_text(encoding="utf-8")):
        if key.partition(".")[0] in ROOMS:
            assert re.sub(r"^(services|capacity)\.[a-zA-Z]+", r"\1.NAME", key) in KEYS, key


def test_every_command_is_documented_and_has_help() -> None:
    context = Context(cli)
    documents = README + "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None and command.help, name
        assert f"`{name}" in documents, name


def script(name: str) -> ModuleType:
    """A module of scripts/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == script("rules_table").page()


def test_each_picture_is_made_by_the_script_asks_nobody_for_anything_and_is_shown_with_words() -> None:
    pictures = script("pictures")
    made = {f"{name}.svg": command for name, command, *_ in (pictures.SIMULATED, *pictures.REHEARSED) if name}
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} == {*made, "flash-crowd.png", "frontier.svg"}
    for name, command in made.items():
        called(command)
        drawn = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
        shown = html.unescape("".join(ElementTree.fromstring(drawn).itertext())).replace("\N{NO-BREAK SPACE}", " ")
        assert shlex.split(command)[-1] in shown and "url(http" not in drawn
        assert re.search(rf"!\[[^\]]{{40,}}\]\((?:docs/)?pictures/{name}\)", pages), name


def test_what_is_found_on_the_hardened_set_is_named_with_its_reason() -> None:
    accepted = tomllib.loads((ROOT / "tests" / "audit" / "accepted.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for check, entry in accepted.items():
        assert (f"| `{check}` | {entry['reason']} |" in page) == bool(entry["hardened"]), check


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_wheel_s_data_is_there() -> None:
    package = Path(sys.modules["scaleout_cfn"].__file__ or "").parent
    for name in ("py.typed", "data/instance_types.json", "stacks/node.sh"):
        assert (package / name).is_file(), name


@pytest.mark.parametrize("name", ["node.sh"])
def test_shell_is_valid(name: str) -> None:
    script = (ROOT / "scaleout_cfn" / "stacks" / name).read_text(encoding="utf-8")
    subprocess.run(["bash", "-n"], input=re.sub(r"\$\{[A-Za-z:]+\}", "x", script), text=True, check=True)
