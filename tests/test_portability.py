"""What holds on other systems and in odd environments, as far as one machine can tell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scaleout_cfn.image import builder

ROOT = Path(__file__).parents[1]

#: No ASCII has it, and of its letters cp1252 has one.
NAME = "café ✓"


def run(folder: Path, *words: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; what is None is not in its environment."""
    there = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=folder,
        env={name: value for name, value in there.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_command_ends_for_want_of_a_letter_or_reads_in_the_machines_encoding(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    told = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "always::EncodingWarning"}
    for words in (
        ("init",),
        ("render", "-o", NAME),
        ("render", "-o", NAME, "--check"),
        ("lint", NAME),
        ("lint", NAME, "--format", "json"),
        ("graph", NAME),
        ("simulate", NAME, "--traffic", "step", "--task-rps", "40"),
        ("deploy", "--local", "--yes"),
        ("--help",),
    ):
        done = run(folder, "-m", "scaleout_cfn", *words, PYTHONIOENCODING=encoding, **told)
        assert done.returncode == 0 and "UnicodeE" not in done.stderr, (words, done.stderr)
        assert not re.search("scaleout_cfn/.*EncodingWarning", done.stderr), done.stderr
    ours = {path.name: path.read_bytes() for path in (folder / NAME).iterdir()}
    assert ours == {path.name: path.read_bytes() for path in (ROOT / "templates_out").glob("*.yaml")}


def test_a_letter_that_is_not_there_is_written_by_its_number(tmp_path: Path) -> None:
    said = "import sys, scaleout_cfn.cli as cli; cli.cli = lambda *a, **k: 0; cli.cli.main = lambda *a, **k: print('✓')"
    done = run(tmp_path, "-c", f"{said}; cli.main([])", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u2713\n", "")


@pytest.mark.parametrize(
    "environment", [{"HOME": None}, {"HOME": "/proc", "LANG": "C", "LC_ALL": "C", "COLUMNS": "40"}]
)
def test_neither_a_home_nor_a_locale_is_needed(tmp_path: Path, environment: dict[str, str | None]) -> None:
    for words in (("init",), ("render",), ("lint",), ("deploy", "--local", "--yes")):
        gone = dict.fromkeys(("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"))
        done = run(tmp_path, "-m", "scaleout_cfn", *words, **gone, **environment)
        assert done.returncode == 0, (words, done.stderr)


def test_a_home_without_room_is_told_in_one_line_where_an_emulator_is_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "scaleout_cfn", "init").returncode == 0
    (tmp_path / "home").write_bytes(b"")  # root may write to a folder that nobody may
    there = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": None, "XDG_CACHE_HOME": None}
    done = run(tmp_path, "-m", "scaleout_cfn", "deploy", "--local", "--yes", "--keep", **there)
    assert done.returncode == 2
    assert "set XDG_RUNTIME_DIR to a folder of yours" in done.stderr + done.stdout


def test_every_module_is_there_without_what_windows_has_not(tmp_path: Path) -> None:
    said = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(("fcntl", "grp", "pwd", "readline", "resource", "termios", "tty")))
import scaleout_cfn
for module in pkgutil.walk_packages(scaleout_cfn.__path__, "scaleout_cfn."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
    done = run(tmp_path, "-c", said)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 200


def test_no_file_of_ours_has_a_name_that_windows_does_not_take() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = names.rstrip("\0").split("\0")
    assert [path for path in paths if set(path) & set('<>:"\\|?*')] == []
    # `A` and `a` are one file there, and on macOS.
    assert len({path.casefold() for path in paths}) == len(paths)


def test_where_no_links_can_be_made_dockers_folders_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, target: Path) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    (tmp_path / "contexts").mkdir()
    (tmp_path / "contexts" / "meta.json").write_bytes(b"{}")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"a": {}}, "note": NAME}, ensure_ascii=False), "utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(Path, "symlink_to", refused)
    with builder._own_config("registry.example") as environment:
        own = Path(environment["DOCKER_CONFIG"])
        assert (own / "contexts" / "meta.json").read_bytes() == b"{}"
        assert json.loads((own / "config.json").read_bytes()) == {"note": NAME, "auths": {"registry.example": {}}}
