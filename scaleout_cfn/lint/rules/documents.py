"""What a template says as a document: dashboards, partitions, sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Fault, Faults, fault, rule
from scaleout_cfn.templates.facts import VARIABLE, sub_parts
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Scope

_QUOTAS = GUIDE + "cloudformation-limits.html"
_HOLE = "\0"
# An ARN with an account number in it is bound to that account's partition anyway.
_UNBOUND = re.compile(r"arn:aws:(?![^:]*:[^:]*:\d{12}:)")


@rule(
    "S401",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html",
    "AWS::CloudWatch::Dashboard",
)
def dashboard_json(dashboard: Place) -> Faults:
    """The body of a dashboard is a JSON object."""
    text = _body(dashboard.scope, dashboard.node.get("DashboardBody"))
    wrong = _json_fault(text) if text is not None else None
    if wrong:
        message = f"The body of {dashboard} is not a JSON object: {wrong}."
        cure = "Write the body as JSON, with each variable inside a string or in the place of a number."
        yield fault(dashboard, "DashboardBody", message, cure)


def _body(scope: Scope, node: Any) -> str | None:
    """The text of a dashboard's body with a hole for each value; None where its shape is not known."""
    if isinstance(node, Mapping) and len(node) == 1:
        (function, argument), *_ = node.items()
        if function == "Fn::Sub":
            template, _ = sub_parts(argument)
            return VARIABLE.sub(lambda m: f"${{{m[1][1:]}}}" if m[1].startswith("!") else _HOLE, template) or None
        if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
            delimiter, parts = argument
            if isinstance(delimiter, str) and isinstance(parts, list):
                return delimiter.join(part if isinstance(part, str) else _HOLE for part in parts)
    value = scope.value(node)
    return value if isinstance(value, str) else None


def _json_fault(text: str) -> str | None:
    faults = []
    # A hole outside of a string may stand for a number or, in a list, for nothing.
    for filler in ("1", ""):
        try:
            parsed = json.loads(text.replace(_HOLE, filler), strict=False)
        except json.JSONDecodeError as error:
            faults.append(f"{error.msg} at line {error.lineno} column {error.colno}")
        else:
            if isinstance(parsed, dict):
                return None
            faults.append(f"it is {json.dumps(parsed)[:40]}")
    # What a bare hole brings may itself be JSON of any shape.
    return None if _HOLE in _without_strings(text) else faults[0]


def _without_strings(text: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)


@rule("S402", TEMPLATE_REFERENCE + "pseudo-parameter-reference.html", severity="info", overlaps=["I3042"])
def partition(stacks: StackSet) -> Faults:
    """No ARN without an account number names the partition aws, which fails in China and GovCloud."""
    for file, facts in stacks.facts.items():
        # A template that names another partition too makes the choice itself.
        if any("aws-cn" in text or "aws-us-gov" in text for text in _texts(facts.body.get("Conditions"))):
            continue
        places = [
            path
            for path, text in facts.arns
            if path[0] == "Resources" and path[2:3] == ("Properties",) and _UNBOUND.search(text)
        ]
        if places:
            more = f", and in {len(places) - 1} places more" if len(places) > 1 else ""
            yield Fault(
                file,
                ".".join(places[0]),
                f'An ARN begins with "arn:aws:" here{more}, so the template works in one partition only.',
                "Write arn:${AWS::Partition}: within Fn::Sub.",
            )


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, (Mapping, list)):
        for item in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(item)


_MOST = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}


@rule("S403", _QUOTAS, overlaps=["E3010", "E2010", "E6010", "E7010"])
def counts(stacks: StackSet) -> Faults:
    """A template has at most 500 resources, 200 parameters, 200 outputs and 200 mappings."""
    for file, facts in stacks.facts.items():
        for section, limit in _MOST.items():
            entries = facts.body.get(section)
            if isinstance(entries, Mapping) and len(entries) > limit:
                message = f"{file} has {len(entries)} {section.lower()}; CloudFormation takes {limit}."
                yield Fault(file, section, message, "Move some into a nested stack.")


@rule("S404", _QUOTAS, severity="warning")
def size(stacks: StackSet) -> Faults:
    """A root has at most 51,200 bytes, so that it can be sent as text."""
    # Past 1 MB not even S3 helps: cfn-lint's E1002.
    for root in stacks.roots:
        bytes_ = stacks.sizes.get(root.file, 0)
        if bytes_ > 51_200 and root.children:
            message = f"{root.file} has {bytes_:,} bytes; CloudFormation takes 51,200 as text, more only from S3."
            yield Fault(root.file, "", message, "Upload it and give its URL, or make it smaller.")
