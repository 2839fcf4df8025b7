"""upgrade: both versions render the config, and what differs is shown before anything is deployed."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import click.testing
import pytest

import scaleout_cfn
from scaleout_cfn.cli import upgrade as module
from scaleout_cfn.cli.upgrade import upgrade
from scaleout_cfn.errors import UsageError

ROOT = Path(scaleout_cfn.__file__).parents[1]
#: Another version in an environment: `keeps` stands in for what it makes otherwise, `key` for a key that is gone.
OTHER = """#!{python}
import sys
sys.path[:0] = [{root!r}]
assert sys.argv[1:4] == ["-P", "-m", "scaleout_cfn"], sys.argv
sys.argv[1:4] = []
import scaleout_cfn.cli, scaleout_cfn.config.text
{change}
scaleout_cfn.cli.main()
"""
KEEPS = "import scaleout_cfn.stacks.foundation as module; module._keep = lambda images: 'other'"
VERSION = "import importlib.metadata as module; module.version = lambda name: '0.0.9'"
KEYS = """
import scaleout_cfn.cli.config as module
module.json_schema = lambda: {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {
    "old_key": {"default": 1}, "stack_name": {"default": "other"}, "again": {"$ref": "#/$defs/A"}}}}}
"""


def environment(folder: Path, change: str = "") -> str:
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(OTHER.format(python=sys.executable, root=str(ROOT), change=change))
    python.chmod(0o755)
    return str(folder)


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(upgrade, [*arguments], catch_exceptions=False)


def test_what_the_other_version_made_otherwise_is_shown_as_a_plan(tmp_path: Path) -> None:
    result = run("--from", environment(tmp_path, f"{VERSION}\n{KEEPS}"))
    assert result.exit_code == 0
    assert result.output.startswith("from 0.0.9: 0 keys of the config are new, 0 gone, 0 have another default")
    assert "~ Repository  AWS::ECR::Repository" in result.output and "other -> {" in result.output
    assert "0 add, 1 change, 0 replace, 0 delete" in result.output


def test_two_versions_that_make_the_same_say_so(tmp_path: Path) -> None:
    assert "web: both versions make the same set" in run("--from", environment(tmp_path)).output


def test_keys_that_came_went_or_have_another_default_are_told(tmp_path: Path) -> None:
    result = run("--from", environment(tmp_path, KEYS), "--json")
    keys, plan = map(json.loads, result.stdout.splitlines())
    assert keys["gone"] == ["again", "old_key"] and keys["defaults"] == ["stack_name"] and "bucket" in keys["new"]
    assert keys["lines"][1:4] == ["  gone  again", "  gone  old_key", '  stack_name  "other" -> "web"']
    assert plan["type"] == "plan" and plan["changes"] == []


def test_both_render_the_config_that_the_options_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('stack_name = "shop"\n[services.web]\n[environments.prod]\nregion = "eu-central-1"\n')
    arguments = ("-c", str(path), "--env", "prod", "--set", "services.web.cpu_units=128")
    (tmp_path / "other").mkdir()
    result = run("--from", environment(tmp_path / "other"), *arguments)
    assert "shop-prod: both versions make the same set" in result.output


def test_a_config_that_the_other_version_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    refuses = "import scaleout_cfn.cli.render as module\ndef no(*a): raise module.UsageError('imports: unknown')\n"
    with pytest.raises(UsageError, match="refuses the config, which has to be one for both versions: imports: unknown"):
        run("--from", environment(tmp_path, f"{refuses}module.load_config = no"))


def wheel(folder: Path) -> str:
    """A wheel of a version 0.0.9 that is this tree under another number, and needs nothing else."""
    main = f"""
import sys
sys.path[:0] = {[*filter(None, sys.path), str(ROOT)]!r}
for name in [name for name in sys.modules if name.partition('.')[0] == 'scaleout_cfn']:
    del sys.modules[name]
import scaleout_cfn.cli
{VERSION}
scaleout_cfn.cli.main()
"""
    info = "scaleout_cfn-0.0.9.dist-info"
    files = {
        "scaleout_cfn/__init__.py": "",
        "scaleout_cfn/__main__.py": main,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: scaleout-cfn\nVersion: 0.0.9\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / "scaleout_cfn-0.0.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return str(path)


def test_pip_brings_a_version_and_needs_no_network_where_it_finds_it_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    result = run("--from", "0.0.9")
    assert result.output.startswith("from 0.0.9: 0 keys of the config are new")
    assert "web: both versions make the same set" in result.output


def test_what_pip_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version by its number, what is there by its path, and a ref of git by its URL."""
    asked: list[str] = []

    def fake(command: list[str], problem: str) -> str:
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        else:
            asked.append(command[-1])
        return ""

    monkeypatch.setattr(module, "_run", fake)
    local = wheel(tmp_path)
    for number, source in enumerate(("1.4.0", local, "git+file:///srv/scaleout-cfn@v1.4.0")):
        module._python_of(source, tmp_path / f"venv{number}")
    assert asked == ["scaleout-cfn==1.4.0", local, "scaleout-cfn @ git+file:///srv/scaleout-cfn@v1.4.0"]


@pytest.mark.parametrize("source", ["/nowhere/at/all", "nothing.whl"])
def test_a_path_that_is_not_there_is_no_version(source: str) -> None:
    with pytest.raises(UsageError, match=f"--from {source}: there is nothing of that path"):
        run("--from", source)


def test_what_is_no_environment_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be run: .*no module"):
        run("--from", environment(tmp_path, "sys.exit('Error: no module')"))
