"""A picture of a stack set as Mermaid text, made from the templates themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import StackView

# How many kinds of resources a box names before it says "and more".
SHOWN = 5


def mermaid(templates: Mapping[str, Mapping[str, Any]]) -> str:
    """A Mermaid flowchart: a box for each nested stack, an arrow for each that is fed by another's outputs.

    `templates` maps file names to templates in long form, the root first. Dashed boxes are made under a condition.
    """
    root = StackSet(templates).view(next(iter(templates)))
    lines = ["flowchart LR"]
    for title in root.nestings:
        inside = "".join(_kinds(child) for child in root.children.get(title, ()))
        lines.append(f'    {title}["<b>{title}</b>{inside}"]')
    fed: dict[tuple[str, str], dict[str, None]] = {}
    for (_, title, *_), source, attribute in root.facts.attributes:
        head, _, output = attribute.partition(".")
        if source in root.nestings and title in root.nestings and head == "Outputs":
            fed.setdefault((source, title), {})[output] = None
    lines += [f'    {source} -- "{"<br/>".join(outputs)}" --> {title}' for (source, title), outputs in fed.items()]
    conditional = [title for title in root.nestings if "Condition" in root.resource(title)]
    if conditional:
        lines += ["    classDef conditional stroke-dasharray: 5 5", f"    class {','.join(conditional)} conditional"]
    return "\n".join(lines) + "\n"


def _kinds(stack: StackView) -> str:
    counts = Counter(resource["Type"].rpartition("::")[2] for resource in stack.facts.resources.values())
    shown = [f"{count} {kind}" if count > 1 else kind for kind, count in counts.items()]
    return "".join(f"<br/>{kind}" for kind in (*shown[:SHOWN], *(["..."] if len(shown) > SHOWN else [])))
