"""Secrets of containers, from a file on this machine: NAME=VALUE a line."""

from __future__ import annotations

from pathlib import Path

from scaleout_cfn.local import EmulatorError


def read_secrets(file: Path) -> dict[str, str]:
    """The variables of a file; lines that begin with # and empty ones say nothing. Raises EmulatorError with the line
    that is none of these; the value is not repeated."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EmulatorError(f"--secrets {file}: {getattr(error, 'strerror', None) or error}") from None
    found = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            raise EmulatorError(f"--secrets {file}: line {number} is not NAME=VALUE")
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name.strip()] = value[1:-1] if quoted else value
    return found
