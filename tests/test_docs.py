"""The documents say what is so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
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
