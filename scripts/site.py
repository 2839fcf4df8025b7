"""The documentation as a site: `tox -e docs`, or python scripts/site.py [FOLDER]

The pages are those under docs/, with the README as the first, the examples, the change log and the sample service as
pages beside them, and the reference that `reference.py` writes from the code. They are laid out in a folder (build/site
by default), links between files of the repository made links between pages, and Zensical builds them there: HTML, with
search. A link to nowhere or any other warning ends it with an error.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

import reference

ROOT = Path(__file__).parent.parent
#: Files of the repository that pages lead to, by what their page is called; of a folder, its files by their suffixes.
BESIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{f"examples/{path.name}": f"examples/{path.stem}.md" for path in sorted((ROOT / "examples").glob("*.py"))},
    "Dockerfile": "dockerfile.md",
    "tests/aws/README.md": "account.md",
    "templates_out": "templates.md",
    "webapp": "sample.md",
}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json", ".conf": "nginx", ".ini": "ini"}
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def page_of(path: str) -> str | None:
    """The page of the site that a path of the repository is shown on."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    # What lies in a folder is on the page of the folder.
    return BESIDE.get(path.rstrip("/")) or BESIDE.get(posixpath.dirname(path))


def linked(text: str, at: str, page: str) -> str:
    """A page's text with its links led to pages; `at` is where it lies in the repository, `page` on the site."""

    def led(match: re.Match[str]) -> str:
        start, target, end = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(at), target))
        to = page_of(there)
        if to is None or (to.startswith("/") or not (to in BESIDE.values() or (ROOT / there).exists())):
            raise SystemExit(f"{at}: {target} leads to nothing that is on the site")
        return f"{start}{posixpath.relpath(to, posixpath.dirname(page) or '.')}{end}"

    return LINK.sub(led, text)


def shown(path: Path) -> str:
    """A file as a block of code."""
    text = path.read_text(encoding="utf-8")
    fence = "````" if "```" in text else "```"
    return f"{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n{fence}\n"


def lay_out(folder: Path) -> None:
    """All pages in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    reference.write(folder / "reference")
    sources = {page: f"docs/{page}" for page in (path.relative_to(folder).as_posix() for path in folder.glob("*.md"))}
    for page, at in {**sources, "index.md": "README.md"}.items():
        (folder / page).write_text(linked((ROOT / at).read_text(encoding="utf-8"), at, page), encoding="utf-8")
    for at, page in BESIDE.items():
        source, target = ROOT / at, folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text = linked(source.read_text(encoding="utf-8"), at, page)
        elif source.is_file():
            text = f"# {source.stem.replace('_', ' ').capitalize()}\n\n`{at}`\n\n{shown(source)}"
        else:
            files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.name.startswith(".")]
            text = f"# `{at}/`\n\n" + "\n".join(f"## {path.name}\n\n{shown(path)}" for path in files)
        target.write_text(text, encoding="utf-8")


def main(folder: Path) -> int:
    lay_out(folder / "pages")
    shutil.copy(ROOT / "zensical.toml", folder / "zensical.toml")
    return subprocess.run(
        ["zensical", "build", "--clean", "--strict"], cwd=folder, env={**os.environ, "NO_COLOR": "1"}
    ).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"))
