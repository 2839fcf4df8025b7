"""Files of traffic, opened and read as text, gzipped or not."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from scaleout_cfn.errors import UsageError

__all__ = ["lines_of", "opened"]


def opened(path: Path) -> IO[str]:
    """A file as text. What is no UTF-8 makes its own line unreadable, not the file. Raises UsageError."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        opener = gzip.open if zipped else open
        return opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None


def lines_of(file: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    """Its lines with their numbers. Raises UsageError where a gzipped file ends too early."""
    try:
        yield from enumerate(file, 1)
    except (EOFError, OSError) as error:
        raise UsageError(f"{path}: {error}; give a whole file") from None
