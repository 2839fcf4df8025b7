"""What a root parameter takes from the tunable of its name: default, text and bounds; and the console's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from scaleout_cfn.config import Config
from scaleout_cfn.stack import file_name, pascal
from scaleout_cfn.tunables import pattern_of, tunables
from scaleout_cfn.values import Value

__all__ = ["asked", "interface"]

#: Words that are not written as a capitalised word.
SPELLING = {"uri": "URI", "url": "URL", "vpc": "VPC", "id": "ID", "ecs": "ECS", "cpu": "CPU"}


def asked(config: Config, name: str, kind: type[Value], *, most: int | None = None) -> dict[str, Any]:
    """Parameter properties of the tunable that has this name: Default, Description and its bounds.

    `most` lowers the upper bound. A name that no tunable has gives nothing: the parameter has no default then.
    """
    found = next((entry for entry in tunables(config) if entry[0].rpartition(".")[2] == name), None)
    if found is None:
        return {}
    key, inner, value, meta = found
    of_aws = "AWS::" in kind.parameter_type
    properties: dict[str, Any] = {"Description": f"{meta.description} ({key})"}
    if isinstance(value, bool):
        properties |= {"Default": str(value).lower(), "AllowedValues": ["true", "false"]}
    elif isinstance(value, (int, float)):
        properties |= {"Default": value, "MinValue": meta.ge, "MaxValue": meta.le if most is None else most}
    elif of_aws and not value:
        properties["Description"] += " No default: it differs from account to account."
    elif isinstance(value, tuple):
        properties["Default"] = ",".join(value)
    elif get_args(inner):
        properties |= {"Default": value, "AllowedValues": list(get_args(inner))}
    else:
        properties["Default"] = value
        if not of_aws:
            # CloudFormation checks what is an id itself, and patterns only of plain strings.
            properties |= {"AllowedPattern": pattern_of(meta), "MaxLength": meta.max_length}
            properties["ConstraintDescription"] = meta.description
    return {name: value for name, value in properties.items() if value is not None}


def interface(config: Config, titles: Iterable[str]) -> dict[str, Any]:
    """The AWS::CloudFormation::Interface of a root: its parameters grouped by section of the config, with labels.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-interface.html
    """
    names = {pascal(key.rpartition(".")[2]): key for key, *_ in reversed(list(tunables(config)))}
    groups: dict[str, list[str]] = {}
    labels = {}
    for title in titles:
        key = names.get(title, "")
        groups.setdefault(words(key.partition(".")[0] or "more"), []).append(title)
        labels[title] = {"default": words(key.rpartition(".")[2] or file_name(title).replace("-", "_"))}
    return {
        "ParameterGroups": [
            {"Label": {"default": label}, "Parameters": parameters} for label, parameters in groups.items()
        ],
        "ParameterLabels": labels,
    }


def words(name: str) -> str:
    """A name as a label: `image_uri` becomes `Image URI`."""
    parts = [SPELLING.get(part, part) for part in name.split("_")]
    return " ".join([parts[0][:1].upper() + parts[0][1:], *parts[1:]])
