"""Findings that were there before somebody began to look, kept in a file, so that only new ones count.

A finding is known by its file, its rule and its place in the template. Its line and its words may change.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.findings import Finding


class Known(Struct, frozen=True, order=True):
    """So many findings of a rule at one place."""

    file: str
    rule: str
    path: str
    count: int = 1


class Baseline(Struct, frozen=True):
    """What a baseline file holds."""

    findings: tuple[Known, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Baseline:
        """A baseline that knows all of some findings."""
        counts = Counter((finding.file, finding.rule, finding.path) for finding in findings)
        return cls(tuple(sorted(Known(*place, count) for place, count in counts.items())))

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Raises UsageError for a file that is none."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise UsageError(
                f"--baseline {path}: {error.strerror or error}; --update-baseline writes it from what is found now"
            ) from None
        except msgspec.DecodeError as error:
            raise UsageError(f"--baseline {path}: {error}; --update-baseline writes it anew") from None

    def write(self, path: Path) -> None:
        """Sorted and one finding a line, so that a change of it can be read. Raises UsageError."""
        lines = ",\n".join(f"    {msgspec.json.encode(known).decode()}" for known in self.findings)
        text = f'{{\n  "findings": [\n{lines}\n  ]\n}}\n' if lines else '{\n  "findings": []\n}\n'
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8", newline="\n")
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UsageError(f"--baseline {path}: {error.strerror or error}; give a file that can be written") from None

    def new(self, findings: Iterable[Finding]) -> list[Finding]:
        """What it does not know. Of more findings at one place than it knows the last ones are new."""
        left = Counter({(known.file, known.rule, known.path): known.count for known in self.findings})
        new = []
        for finding in findings:
            place = (finding.file, finding.rule, finding.path)
            if left[place]:
                left[place] -= 1
            else:
                new.append(finding)
        return new

    def gone(self, findings: Iterable[Finding]) -> int:
        """How many of those that it knows are not there any more."""
        left = Counter({(known.file, known.rule, known.path): known.count for known in self.findings})
        left.subtract((finding.file, finding.rule, finding.path) for finding in findings)
        return sum(count for count in left.values() if count > 0)
