"""The page of an import: what became of each leaf of the source, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from scaleout_cfn.conversion.sources import Item


def page(command: str, leaves: Iterable[Item], added: Sequence[tuple[str, str]], counts: Mapping[str, int]) -> str:
    """The page as Markdown. Values of variables are not on it, for some are secrets."""
    lines = [
        f"# What `{command}` made of it",
        "",
        f"{counts['taken']} taken, {counts['changed']} changed, {counts['no place']} with no place here. The config was"
        " written once it rendered.",
    ]
    if added:
        lines += ["", "## Added", "", "What the source does not say, and the config does.", ""]
        lines += ["| config | why |", "|---|---|"]
        lines += [f"| `{_cell(what)}` | {_cell(why)} |" for what, why in added]
    ordered = sorted(leaves, key=lambda leaf: leaf.file)  # stable: in a file, the order of its keys
    for file, own in groupby(ordered, key=lambda leaf: leaf.file):
        lines += ["", f"## {file}", "", "| line | key | | what became of it |", "|---|---|---|---|"]
        for leaf in sorted(own, key=lambda leaf: leaf.line):
            words = _cell(leaf.words)
            place = f"{file}:{leaf.line}" if leaf.line else file  # what AWS answers has no lines
            lines.append(f"| {place} | `{_cell(leaf.path)}` | {leaf.fate} | {words} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("`", "'").split())
