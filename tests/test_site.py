"""The documentation site: every page is on it, and every link of a page leads to one. `tox -e docs` builds it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn as sc

ROOT = Path(__file__).parent.parent


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """scripts/site.py, whose name is that of a module of Python's own."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("our_site", ROOT / "scripts" / "site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("reference", None)


def test_every_page_is_in_the_navigation_and_its_links_lead_to_pages(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trying each key takes long; `tox -e docs` does.
    monkeypatch.setattr(site.reference, "sets", dict)
    site.lay_out(tmp_path / "pages")
    pages = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.md")}
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    assert sorted(page for group in navigation for listed in group.values() for page in listed) == sorted(pages)
    for page in pages:
        text = (tmp_path / "pages" / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:\s]+\.md)", re.sub(r"```.*?```", "", text, flags=re.S)):
            assert (tmp_path / "pages" / page).parent.joinpath(target).resolve().is_file(), f"{page}: {target}"


def test_the_release_workflow_is_one_by_its_schema_and_names_each_action_by_its_commit() -> None:
    path = ROOT / ".github" / "workflows" / "release.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_the_reference_has_every_key_command_and_name(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.reference, "sets", dict)
    config = site.reference.config_page()
    assert "| `memory_mib` | whole number, " in config
    assert "msgspec" not in config
    assert " 0x" not in (python := site.reference.python_page())
    for name in sc.__all__:
        assert f"### {name}\n" in python
    commands = site.reference.commands_page()
    assert "## scaleout-cfn deploy\n" in commands
    assert "### scaleout-cfn jobs run\n" in commands
