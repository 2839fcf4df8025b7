"""What a root parameter takes from its tunable: name, default, text and bounds; and the form of the console."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from scaleout_cfn.config.tunables import Section, allowed_by, bare, pattern_of, tunable_at, tunables
from scaleout_cfn.errors import WiringError
from scaleout_cfn.values import Flag, Number, Value, Values

#: What one of a table's sections is called.
ONE_OF = {"services": "Service", "capacity": "Capacity", "jobs": "Job"}
#: Words that are not written as a capitalised word.
SPELLING = {"uri": "URI", "url": "URL", "vpc": "VPC", "id": "ID", "ecs": "ECS", "cpu": "CPU"}


def name_of(key: str) -> str:
    """What the parameter of a tunable is called: `web_image_uri` for the key `services.web.image_uri`.

    The first part of a key is the room that the tunable is in, and no part of the name.
    """
    return "_".join(key.split(".")[1:]) or key


def asked(config: Section, key: str, kind: type[Value], *, most: int | None = None) -> dict[str, Any]:
    """Parameter properties of the tunable with this dotted key: Default, Description and its bounds.

    `most` lowers the upper bound. Raises WiringError for a key that the config has not, and a kind that cannot hold it.
    """
    there = tunable_at(config, key)
    if there is None:
        import difflib  # here, for only this error needs it

        known = [entry[0] for entry in tunables(config)]
        near = ", ".join(difflib.get_close_matches(key, known, 3)) or "none"
        raise WiringError(f"{key} is no tunable of this config; nearest: {near}")
    inner, value, meta = there
    fits = _kind_for(inner)
    if fits is None:
        raise WiringError(f"{key} is a table or a list of tables, which no parameter can hold; set it in the config")
    if not issubclass(kind, fits) or (fits is Value and issubclass(kind, (Number, Values))):
        wanted = "a kind of one string, as Text is" if fits is Value else fits.__name__
        raise WiringError(f"{key} is asked for as {kind.__name__}; its value wants {wanted}")
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
            properties["ConstraintDescription"] = allowed_by(meta) or meta.description
    return {name: value for name, value in properties.items() if value is not None}


def _kind_for(inner: Any) -> type[Value] | None:
    """The widest kind whose parameter can hold a tunable of a type; None where none can."""
    if get_origin(inner) is Literal:
        inner = type(get_args(inner)[0])
    elif get_origin(inner) is tuple:
        item, _ = bare(get_args(inner)[0])
        return Values if item is str else None
    return {bool: Flag, int: Number, float: Number, str: Value}.get(inner)


def interface(titles: Iterable[str], keys: Mapping[str, str]) -> dict[str, Any]:
    """The AWS::CloudFormation::Interface of a root: its parameters grouped by section of the config, with labels.

    `keys` has the tunable's key of each parameter that was asked for; others come under "More".
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-interface.html
    """
    groups: dict[str, list[str]] = {}
    labels = {}
    for title in titles:
        key = keys.get(title, "more")
        room, *inside = key.split(".")
        if room in ONE_OF:
            # [services.web] is "Service web", and its parameters need not say so again.
            label, name = f"{ONE_OF[room]} {inside[0]}", "_".join(inside[1:])
        else:
            label, name = words(room), re.sub("(?<=.)(?=[A-Z])", "_", title).lower()
        groups.setdefault(label, []).append(title)
        labels[title] = {"default": words(name)}
    return {
        "ParameterGroups": [
            {"Label": {"default": label}, "Parameters": parameters} for label, parameters in groups.items()
        ],
        "ParameterLabels": labels,
    }


def words(name: str) -> str:
    parts = [SPELLING.get(part, part) for part in name.split("_")]
    return " ".join([parts[0][:1].upper() + parts[0][1:], *parts[1:]])
