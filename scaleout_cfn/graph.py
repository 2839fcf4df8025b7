"""A picture of a stack set as Mermaid text, made from the templates themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["mermaid"]

STACK = "AWS::CloudFormation::Stack"
# How many kinds of resources a box names before it says "and more".
SHOWN = 5


def mermaid(templates: Mapping[str, Mapping[str, Any]]) -> str:
    """A Mermaid flowchart: a box for each nested stack, an arrow for each that is fed by another's outputs.

    `templates` maps file names to templates in long form, the root first. Dashed boxes are made under a condition.
    """
    root = next(iter(templates.values()))
    stacks = {title: body for title, body in root["Resources"].items() if body["Type"] == STACK}
    lines = ["flowchart LR"]
    for title, body in stacks.items():
        # The longest: web-cache.yaml ends in cache.yaml.
        file = max((name for name in templates if name in str(body["Properties"]["TemplateURL"])), key=len, default="")
        inside = "".join(f"<br/>{kind}" for kind in _kinds(templates[file])) if file else ""
        lines.append(f'    {title}["<b>{title}</b>{inside}"]')
    for title, body in stacks.items():
        fed = _fed(body["Properties"].get("Parameters", {}))
        for source, outputs in fed.items():
            if source in stacks:
                lines.append(f'    {source} -- "{"<br/>".join(outputs)}" --> {title}')
    conditional = [title for title, body in stacks.items() if "Condition" in body]
    if conditional:
        lines += ["    classDef conditional stroke-dasharray: 5 5", f"    class {','.join(conditional)} conditional"]
    return "\n".join(lines) + "\n"


def _kinds(template: Mapping[str, Any]) -> Iterator[str]:
    """What a template makes, most of it first: `4 Subnet`."""
    counts: dict[str, int] = {}
    for resource in template["Resources"].values():
        kind = resource["Type"].rpartition("::")[2]
        counts[kind] = counts.get(kind, 0) + 1
    for number, (kind, count) in enumerate(counts.items()):
        if number == SHOWN:
            yield "..."
            return
        yield f"{count} {kind}" if count > 1 else kind


def _fed(value: Any) -> dict[str, list[str]]:
    """Which outputs of which sibling a value is made of."""
    found: dict[str, list[str]] = {}
    for source, output in _references(value):
        names = found.setdefault(source, [])
        if output not in names:
            names.append(output)
    return found


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        target = value.get("Fn::GetAtt")
        parts = target.split(".") if isinstance(target, str) else target
        if isinstance(parts, list) and len(parts) > 1 and (name := re.match(r"Outputs\.(\w+)", ".".join(parts[1:]))):
            yield parts[0], name[1]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
