"""A document of another tool, taken apart: each value with the line it stands on, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from scaleout_cfn.errors import UsageError

Fate = Literal["taken", "changed", "no place"]

#: Aliases of YAML make much of little; more than this no file that somebody wrote has.
MOST_ITEMS = 50_000


class Item:
    """A value of a document: its path, its line, what it holds, and, once somebody has said so, what became of it.

    `value` is a text for a scalar, as it is written, None for null, and else a dict or a list of items.
    """

    __slots__ = ("fate", "file", "line", "path", "value", "words")

    def __init__(self, path: str, file: str, line: int, value: Any) -> None:
        self.path = path
        self.file = file
        self.line = line
        self.value: str | dict[str, Item] | list[Item] | None = value
        self.fate: Fate | None = None
        self.words = ""

    @property
    def text(self) -> str:
        """A scalar as it is written; empty for all else."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def entries(self) -> dict[str, Item]:
        """What a mapping holds; nothing for all else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Item]:
        """What a list holds; of a scalar itself, and nothing of a mapping or of null."""
        if isinstance(self.value, list):
            return self.value
        return [self] if isinstance(self.value, str) else []

    @property
    def flag(self) -> bool | None:
        return {"true": True, "false": False}.get(self.text.lower())

    @property
    def number(self) -> int | None:
        return int(self.text) if re.fullmatch(r"-?[0-9]{1,9}", self.text, re.ASCII) else None

    def get(self, *keys: str) -> Item | None:
        """What stands at a path below; None where nothing does."""
        item: Item | None = self
        for key in keys:
            item = item.entries.get(key) if item else None
        return item

    def leaves(self) -> Iterator[Item]:
        """All that holds nothing more, in order."""
        inner = list(self.entries.values()) or (self.value if isinstance(self.value, list) else [])
        if not inner:
            yield self
        for item in inner:
            yield from item.leaves()

    def mark(self, fate: Fate, words: str, *, over: bool = False) -> None:
        """Say what became of all leaves below of which nobody has said it yet; with `over` of all."""
        for leaf in self.leaves():
            if leaf.fate is None or over:
                leaf.fate, leaf.words = fate, words


#: What stands where nothing does.
NOTHING = Item("", "", 0, None)


def read_text(path: Path) -> str:
    """The text of a file. Raises UsageError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give one that is there") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from None


def read_yaml(path: Path, told: Callable[[str], str] = str, *, shown: str = "") -> Item:
    """A YAML document as items. Keys that `<<` brings in stand where they are written; `told` is what a text means.

    Raises UsageError where it is no YAML, holds a key twice, or is larger than files are.
    """
    import yaml  # here and in the functions below: most commands read none

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    file = shown or path.as_posix()
    try:
        # Tags are not looked at: what a template's !Sub holds is a text.
        root = yaml.compose(read_text(path), loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{where}: {what}; this is not YAML") from None
    if root is None:
        return Item("", file, 1, {})
    left = [MOST_ITEMS]
    try:
        return _item(root, "", file, told, left)
    except RecursionError:
        raise UsageError(f"{file}: is nested too deeply, or an alias holds itself") from None


def _item(node: Any, path: str, file: str, told: Callable[[str], str], left: list[int]) -> Item:
    left[0] -= 1
    line = node.start_mark.line + 1
    if left[0] < 0:
        raise UsageError(f"{file}:{line}: its aliases stand for more than {MOST_ITEMS} values; write less of them")
    if node.id == "scalar":
        is_null = node.tag.endswith(":null") and node.style is None
        return Item(path, file, line, None if is_null else told(node.value))
    if node.id == "sequence":
        inner = [_item(entry, f"{path}[{index}]", file, told, left) for index, entry in enumerate(node.value)]
        return Item(path, file, line, inner)
    own: dict[str, Item] = {}
    merged: dict[str, Item] = {}
    for key, value in node.value:
        if key.tag.endswith(":merge"):
            for other in value.value if value.id == "sequence" else [value]:
                for name, item in _item(other, path, file, told, left).entries.items():
                    merged.setdefault(name, item)
            continue
        name = str(key.value)
        if name in own:
            raise UsageError(f"{file}:{key.start_mark.line + 1}: {name} is there twice; delete one of them")
        own[name] = _item(value, f"{path}.{name}".lstrip("."), file, told, left)
        if own[name].value is None or isinstance(own[name].value, str):
            own[name].line = key.start_mark.line + 1
    return Item(path, file, line, {**{name: item for name, item in merged.items() if name not in own}, **own})


def read_env(path: Path, *, shown: str = "") -> Item:
    """A file of lines NAME=value as a mapping, as Docker reads it: comments and quotes are taken off."""
    file = shown or path.as_posix()
    entries: dict[str, Item] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or name.startswith("#"):
            continue
        if value[:1] in ("'", '"') and value.endswith(value[0]) and len(value) > 1:
            value = value[1:-1]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        entries[name] = Item(name, file, number, value)
    return Item("", file, 1, entries)


def cut(text: str, most: int = 60) -> str:
    """A text on one line, and no longer than a cell of a table."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
