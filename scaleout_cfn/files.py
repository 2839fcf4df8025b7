"""A rendered set as files: written whole or not at all, and known again as ours."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from scaleout_cfn.errors import UsageError

#: `rendering.MARK` as text.
OURS = re.compile(r'^Metadata:\n  RenderedBy: scaleout_cfn$|"Metadata": \{\s*"RenderedBy": "scaleout_cfn"', re.M)


def write(folder: Path | str, texts: Mapping[str, str]) -> list[Path]:
    """Write a set to a folder, all of it or nothing, and remove templates of ours that are not of the set.

    Returns what was removed. Raises UsageError when the folder cannot be written to, or holds another file of one of
    the names; the old files are intact then.
    """
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
        raise UsageError("what is written is texts by file name, as render(stack) gives them")
    folder = Path(folder)
    before: dict[Path, bytes | None] = {}
    temporary = {folder / name: folder / f".{name}.{os.getpid()}" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in temporary:
            if path.exists() and not is_ours(path) and path.read_text(encoding="utf-8", errors="replace").strip():
                raise UsageError(f"{path}: is there already and not one of ours; give another folder, or move it away")
        stale = [path for path in templates_in(folder) if path.name not in texts and is_ours(path)]
        for path, beside in temporary.items():
            beside.write_text(texts[path.name], encoding="utf-8", newline="\n")
        for path, beside in temporary.items():
            old = path.read_bytes() if path.exists() else None
            os.replace(beside, path)
            before[path] = old
        for path in stale:
            old = path.read_bytes()
            path.unlink()
            before[path] = old
    except BaseException as error:
        for path, old in before.items():
            with contextlib.suppress(OSError):
                path.unlink() if old is None else path.write_bytes(old)
        if isinstance(error, OSError):
            raise UsageError(f"{folder}: {error.strerror or error}; give a folder that can be written to") from None
        raise
    finally:
        for beside in temporary.values():
            with contextlib.suppress(OSError):
                beside.unlink()
    return stale


def templates_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".json") and path.is_file())


def is_ours(path: Path) -> bool:
    return OURS.search(path.read_text(encoding="utf-8", errors="replace")) is not None
