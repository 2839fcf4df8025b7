"""The documents say what is so."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Context, Group

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.config.tunables import Section, bare, fields_of, named_sections, section_items, sections_of
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


def command_lines(text: str) -> list[str]:
    """What is typed after the name of our program, in blocks and within lines."""
    # An ARN that `apply` takes is one of a change set.
    arn = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/a/b"
    text = re.sub(r'"\$\(.*?\)"', arn, text.replace("\\\n", " "))
    program = r"(?:scaleout-cfn|python -m scaleout_cfn|python shop\.py)"
    typed = re.findall(rf"^(?: {{4}}|  - run: )?(?:pip .*&& )?{program} ([^|<>#\n]+)", text, re.M)
    names = "|".join(cli.list_commands(Context(cli)))
    within = re.findall(rf"`(?:{program} )?((?:{names}) [^`|>]+)", text)
    return typed + [line.replace("apply ARN", f"apply {arn}") for line in within]


@of_each_page
def test_each_command_line_of_a_page_has_commands_and_options_that_there_are(page: Path) -> None:
    for line in command_lines(page.read_text(encoding="utf-8")):
        command: Command = cli
        words = shlex.split(line)
        while isinstance(command, Group):
            _, found, words = command.resolve_command(Context(command), words)
            assert found is not None, line
            command = found
        command.make_context(command.name, words)


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


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    spec = importlib.util.spec_from_file_location("rules_table", ROOT / "scripts" / "rules_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == module.page()


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
