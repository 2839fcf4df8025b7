"""The tag of a folder: the same for the same, another for anything else, and blind for what no builder sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaleout_cfn.errors import UsageError
from scaleout_cfn.image.delivery import Source, included

from .helpers import folder, need

AMD = "linux/amd64"


def tag(path: Path, platform: str = AMD, *arguments: str) -> str:
    return Source(path, platform, arguments).tag


def test_the_same_files_have_the_same_tag_wherever_and_whenever(tmp_path: Path) -> None:
    one, other = folder(tmp_path), folder(tmp_path, name="copy")
    os.utime(other / "main.py", (1, 1))
    os.chmod(other / "main.py", 0o600)
    assert tag(one) == tag(other)


@pytest.mark.parametrize("change", ["content", "name", "program", "link", "platform", "arguments"])
def test_whatever_changes_the_image_changes_the_tag(tmp_path: Path, change: str) -> None:
    app = folder(tmp_path)
    before = tag(app)
    main = app / "main.py"
    if change == "content":
        main.write_text("print(1)\n")
    elif change == "name":
        main.rename(app / "Main.py")
    elif change == "program":
        main.chmod(0o755)
    elif change == "link":
        (app / "link").symlink_to("main.py")
    platform = "linux/arm64" if change == "platform" else AMD
    assert tag(app, platform, *(["--build-arg", "A=1"] if change == "arguments" else [])) != before


TREES = st.dictionaries(st.sampled_from(["a", "b", "ab", "c/a", "c/b"]), st.sampled_from(["", "a", "b", "ab"]))


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
@example({"a": "b"}, {"ab": ""})
def test_two_folders_have_one_tag_only_when_they_are_the_same(one: Mapping[str, str], other: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        tags = [tag(folder(Path(home), dict(files), name)) for files, name in ((one, "x"), (other, "y"))]
    assert (tags[0] == tags[1]) == (one == other)


FILES = ["main.py", "a.pyc", "lib/b.pyc", "lib/deep/c.pyc", "keep.pyc", "data/x", "data/keep/y", ".git/HEAD", "a[1]"]
IGNORES = {
    "*.pyc": {"a.pyc", "keep.pyc"},
    "**/*.pyc": {"a.pyc", "keep.pyc", "lib/b.pyc", "lib/deep/c.pyc"},
    "*.pyc\n!keep.pyc": {"a.pyc"},
    "data": {"data/x", "data/keep/y"},
    "/data/": {"data/x", "data/keep/y"},
    "data/*\n!data/keep": {"data/x"},
    ".git\n# data\n\n": {".git/HEAD"},
    "lib/**": {"lib/b.pyc", "lib/deep/c.pyc"},
    "**/deep": {"lib/deep/c.pyc"},
    "?.pyc": {"a.pyc"},
    "[a-k]*.pyc": {"a.pyc", "keep.pyc"},
    "a\\[1\\]": {"a[1]"},
    "*": set(FILES),
    "*\n!main.py": set(FILES) - {"main.py"},
    "./lib/../main.py": {"main.py"},
}


@pytest.mark.parametrize("text", IGNORES)
def test_what_dockerignore_names_is_not_in_the_tag(tmp_path: Path, text: str) -> None:
    app = folder(tmp_path, {**dict.fromkeys(FILES, "x"), ".dockerignore": text})
    assert set(included(app)) == {*FILES, "Dockerfile", ".dockerignore"} - IGNORES[text]


def test_dockerignore_is_read_as_a_builder_reads_it(tmp_path: Path) -> None:
    need("buildah")
    storage = tmp_path / "storage.conf"
    root, run = tmp_path / "root", tmp_path / "run"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{root}"\nrunroot = "{run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(storage)}
    for number, text in enumerate(IGNORES):
        app = folder(tmp_path, {**dict.fromkeys(FILES, "x"), ".dockerignore": text}, f"app{number}")
        # A scratch image takes at least one file, whatever is ignored.
        (app / "Dockerfile").write_text("FROM scratch\nCOPY . /copied/\n")
        out = tmp_path / f"out{number}"
        subprocess.run(
            ["buildah", "build", "--quiet", "--output", str(out), str(app)],
            env=environment, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        copied = {path.relative_to(out / "copied").as_posix() for path in out.rglob("*") if path.is_file()}
        assert copied - {"Dockerfile", ".dockerignore"} == set(included(app)) - {"Dockerfile", ".dockerignore"}, text
    shutil.rmtree(root, ignore_errors=True)


def test_beside_another_builders_ignore_file_everything_counts(tmp_path: Path) -> None:
    app = folder(tmp_path, {".dockerignore": "main.py", ".containerignore": ""})
    assert "main.py" in included(app)


def test_a_folder_without_a_dockerfile_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no Dockerfile in it; give the folder"):
        Source(tmp_path, AMD)
