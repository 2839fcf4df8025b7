"""Run the set-level rules over checkouts of other people's templates: python scripts/field.py FOLDER [RULE ...]

FOLDER holds a checkout each; each directory in one is a set. Every finding is printed, to be looked at by hand, and
then how many templates were read and how many findings each rule has. A RULE is an id or how it begins, such as S5.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaleout_cfn.lint import check_set
from scaleout_cfn.templates.locations import SUFFIXES
from scaleout_cfn.templates.reading import load


def templates_of(directory: Path, names: list[str]) -> dict[str, Mapping[str, Any]]:
    """The templates of one directory that can be read, by file name."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        if name.endswith(SUFFIXES):
            text = (directory / name).read_text(encoding="utf-8-sig", errors="replace")
            source = load(text, name) if "Resources" in text else None
            resources = source.body.get("Resources") if source and not source.problems else None
            if source and isinstance(resources, dict) and any("Type" in (it or ()) for it in resources.values()):
                found[name] = source.body
    return found


def main(folder: Path, rules: tuple[str, ...]) -> None:
    templates, found = Counter[str](), Counter[str]()
    for checkout in sorted(folder.iterdir()):
        for directory, _, names in os.walk(checkout):
            bodies = templates_of(Path(directory), names)
            templates[checkout.name] += len(bodies)
            for finding in check_set(bodies) if bodies else ():
                if finding.rule.startswith(rules):
                    found[finding.rule] += 1
                    place = os.path.join(directory, finding.file)
                    print(f"{place}: {finding.severity} {finding.rule} at {finding.path}: {finding.message}")
    for name, count in sorted(templates.items()):
        print(f"{count:6} templates in {name}")
    print(
        f"{templates.total():6} templates; {', '.join(f'{rule} {n}' for rule, n in sorted(found.items())) or 'nothing'}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or ("S",))
