"""On which line of a TOML text each key stands. tomllib keeps no places, and only an error asks for one.

The text may be broken: what cannot be read is passed over up to the end of its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SPACE = re.compile(r"(?:[\s,]|#[^\n]*)*")
KEY = re.compile(r"""\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
STRING = re.compile(r'''"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL)
PLAIN = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[str, int]:
    """The line of each dotted key, entries of lists as `key[0]`; of what is there twice, the first."""
    lines: dict[str, int] = {}
    for key, line in statements(text):
        lines.setdefault(key, line)
    return lines


def statements(text: str) -> Iterator[tuple[str, int]]:
    """Each dotted key as it comes, headers of tables among them, with its line."""
    return _Reader(text).statements()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        #: How many tables of each array of tables there have been.
        self.counts: dict[str, int] = {}

    def statements(self) -> Iterator[tuple[str, int]]:
        table = ""
        while self._skip() < len(self.text):
            line = self._line()
            brackets = 2 if self.text.startswith("[[", self.at) else int(self.text.startswith("[", self.at))
            self.at += brackets
            key = self._key("" if brackets else table, is_array=brackets == 2)
            if key and brackets:
                table = key
                if brackets == 2:
                    yield key.rpartition("[")[0], line
                yield key, line
            elif key and self.text.startswith("=", self.at):
                yield key, line
                self.at += 1
                yield from self._value(key)
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def _skip(self) -> int:
        self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.at

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _key(self, table: str, *, is_array: bool = False) -> str:
        """A dotted key below a table; empty when there is none. Leaves off before what follows it."""
        key = table
        while found := KEY.match(self.text, self.at):
            self.at = found.end()
            name = found[1][1:-1] if found[1][0] in "\"'" else found[1]
            key = f"{key}.{name}" if key else name
            if found[2] or not is_array:
                # Below an array of tables, its last one is meant.
                key = f"{key}[{self.counts[key] - 1}]" if key in self.counts else key
            if not found[2]:
                if is_array:
                    self.counts[key] = self.counts.get(key, 0) + 1
                    key = f"{key}[{self.counts[key] - 1}]"
                return key
        return ""

    def _value(self, key: str) -> Iterator[tuple[str, int]]:
        while self.text.startswith((" ", "\t"), self.at):
            self.at += 1
        opening = self.text[self.at : self.at + 1]
        if opening not in ("[", "{"):
            self.at = (STRING.match(self.text, self.at) or PLAIN.match(self.text, self.at)).end()  # type: ignore[union-attr]
            return
        self.at += 1
        index = 0
        while self._skip() < len(self.text) and self.text[self.at] not in "]}":
            before, line = self.at, self._line()
            if opening == "[":
                yield f"{key}[{index}]", line
                yield from self._value(f"{key}[{index}]")
                index += 1
            elif (inner := self._key(key)) and self.text.startswith("=", self.at):
                yield inner, line
                self.at += 1
                yield from self._value(inner)
            if self.at == before:
                return  # not TOML
        self.at += 1
