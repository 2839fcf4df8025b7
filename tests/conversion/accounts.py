"""What every import promises: a config that loads, and a line on the page for each leaf of the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scaleout_cfn.config import Config
from scaleout_cfn.config.file import load
from scaleout_cfn.conversion import Draft, Imported

FATES = ("taken", "changed", "no place")


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The dotted path of all that holds nothing more."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path


def lines(imported: Imported) -> dict[str, tuple[str, str, str]]:
    """The page as key to file:line, fate and words."""
    rows = re.findall(r"^\| (\S+:\d+) \| `(.*?)` \| (.*?) \| (.*) \|$", imported.page, re.M)
    return {key: (place, fate, words) for place, key, fate, words in rows}


def finished(draft: Draft, folder: Path, *environments: str) -> tuple[Imported, Config]:
    """What a draft becomes, and the config that its text means, for each environment."""
    imported = draft.finished("import it", "scaleout-cfn render")
    path = folder / "imported.toml"
    path.write_text(imported.config, encoding="utf-8")
    config = load(path)
    for name in environments:
        load(path, environment=name)
    return imported, config


def assert_accounted(imported: Imported, file: str, text: str) -> None:
    """Each leaf of a YAML text has one line, with the place where it stands and what became of it."""
    page = lines(imported)
    source = text.splitlines()
    for leaf in leaves(yaml.safe_load(text)):
        place, fate, words = page[leaf]
        where, _, number = place.rpartition(":")
        key = re.split(r"[.\[]", leaf.rstrip("]"))[-1]
        assert where == file and (key.isdigit() or key in source[int(number) - 1]), (leaf, place)
        assert fate in FATES and words, leaf
