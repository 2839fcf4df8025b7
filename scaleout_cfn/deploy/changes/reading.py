"""A change set read as a plan: all pages, all nested stacks, and what they hide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.changeset import warnings
from scaleout_cfn.deploy.changes.plan import RULE, Change, Plan, change_of, is_marked, weights_in
from scaleout_cfn.deploy.changes.stateful import NOTICED, is_stateful
from scaleout_cfn.deploy.changes.unchanged import Pair, with_unchanged
from scaleout_cfn.deploy.live import find, resources_of, template_body
from scaleout_cfn.errors import BusyError, Next, ScaleoutError

INCOMPLETE = "[WARN] --include-property-values"


def read_plan(aws: Aws, change_set: str) -> Plan:
    """The plan of a change set that is ready, by its ARN. Raises BusyError when it can no longer be executed."""
    root = _described(aws, change_set)
    if root["ExecutionStatus"] != "AVAILABLE":
        raise BusyError(
            f"change set {root['ChangeSetName']} cannot be executed: it is {root['ExecutionStatus']}",
            state="nothing was changed by this run",
            next=Next("plan", words="to make a new one"),
        )
    sets = {"": (root["StackId"], root["ChangeSetId"])}
    changes = with_unchanged(_walk(aws, root, "", sets), partial(_pair, aws, root, sets))
    return Plan(
        stack=root["StackName"],
        stack_id=root["StackId"],
        change_set=root["ChangeSetId"],
        creates=not any(change["ResourceChange"]["Action"] != "Add" for change in root["Changes"])
        and _is_new(aws, root["StackId"]),
        description=root.get("Description", ""),
        changes=changes,
        warnings=tuple(_warnings(aws, root, changes, [change_set for _, change_set in sets.values()])),
        capabilities=tuple(root.get("Capabilities", [])),
    )


def _warnings(aws: Aws, root: Mapping[str, Any], changes: Iterable[Change], sets: Iterable[str]) -> Iterator[str]:
    if unseen := [change.path for change in changes if change.nested and change.unseen]:
        yield f"not shown: the changes inside {', '.join(unseen)}. What holds data in there needs consent"
    blind = ("NOT_CHECKED", "UNKNOWN", "UNSUPPORTED")
    if unread := [change.path for change in changes if change.drift in blind]:
        yield f"not compared with what is there, and so not set back: {', '.join(unread)}"
    for change in exchanged_records(changes):
        yield (
            f"{change.path}: Route 53 keeps no two routing policies under one name, so that this is rolled back unless"
            " the record before it was exchanged by hand: docs/regions.md"
        )
    if reason := root.get("StatusReason"):
        yield reason
    for change_set in sets:
        yield from warnings(aws, change_set)


def exchanged_records(changes: Iterable[Change]) -> Iterator[Change]:
    """The new records of which the stack had one of another routing policy: their titles say which, as `alias_records`
    makes them."""
    titles: dict[str, dict[str, Change]] = {"Add": {}, "Remove": {}}
    for change in changes:
        if change.type == "AWS::Route53::RecordSet" and change.action in titles:
            stack, _, title = change.path.rpartition("/")
            plain = re.sub("^(Latency|Primary|Secondary)(?=AliasRecord)", "", title)
            titles[change.action][f"{stack}/{plain}"] = change
    for place, change in titles["Add"].items():
        if place in titles["Remove"]:
            yield change


def _is_new(aws: Aws, stack_id: str) -> bool:
    stack = aws.read("cloudformation", "describe_stacks", StackName=stack_id)["Stacks"][0]
    return str(stack["StackStatus"]) == "REVIEW_IN_PROGRESS"


def _described(aws: Aws, change_set: str) -> dict[str, Any]:
    """All pages of a change set as one description, with what the service left out for want of values added back."""
    whole = _all_pages(aws, change_set, values=True)
    if whole.get("StatusReason", "").startswith(INCOMPLETE):
        # https://github.com/aws/aws-cdk-cli/issues/1780
        known = {change["ResourceChange"]["LogicalResourceId"] for change in whole["Changes"]}
        plain = _all_pages(aws, change_set, values=False)["Changes"]
        whole["Changes"] += [change for change in plain if change["ResourceChange"]["LogicalResourceId"] not in known]
    return whole


def _all_pages(aws: Aws, change_set: str, *, values: bool) -> dict[str, Any]:
    pages = aws.pages("cloudformation", "describe_change_set", ChangeSetName=change_set, IncludePropertyValues=values)
    whole = dict(next(pages))
    whole["Changes"] = [raw for page in (whole, *pages) for raw in page.get("Changes", []) if raw.get("ResourceChange")]
    return whole


def _pair(aws: Aws, root: Mapping[str, Any], sets: Mapping[str, tuple[str, str]], path: str) -> Pair | None:
    """The templates of the stack at a path, as it is and as its change set makes it. None where they cannot be read, a
    macro writes them, or what failed halfway is not what its template says."""
    try:
        if path not in sets:
            return None
        before, after = (template_body(aws, arn) for arn in sets[path])
        if _is_written(before) or _is_written(after):
            return None
        if path:
            return Pair(before, after)
        live = find(aws, root["StackId"])
    except ScaleoutError:
        return None
    if live is None or not live.status.endswith("_COMPLETE"):
        return None
    told = {given["ParameterKey"]: given for given in root.get("Parameters", [])}
    will = {
        name: live.parameters.get(name) if given.get("UsePreviousValue") else given.get("ParameterValue")
        for name, given in told.items()
    }
    return Pair(before, after, (live.parameters, {name: value for name, value in will.items() if value is not None}))


def _is_written(template: Mapping[str, Any]) -> bool:
    """Whether a macro writes more than the template says."""
    transforms = template.get("Transform", [])
    named = transforms if isinstance(transforms, list) else [transforms]
    return bool(set(map(str, named)) - {"AWS::LanguageExtensions"}) or "Fn::Transform" in str(template)


def _walk(aws: Aws, description: Mapping[str, Any], path: str, sets: dict[str, tuple[str, str]]) -> Iterator[Change]:
    for entry in description["Changes"]:
        raw = entry["ResourceChange"]
        change = change_of(raw, path, description["StackId"])
        if change.type == RULE and change.action == "Modify" and not raw.get("BeforeContext"):
            change = replace(change, weights=_declared_weights(aws, change))
        child = raw.get("ChangeSetId")
        hidden = change.nested and not child and bool(change.physical_id)
        # What has drifted in a nested stack is no change of templates or parameters.
        reverts = "DeploymentMode" in description
        if hidden and change.action != "Remove":
            change = replace(change, unseen=reverts or not (_only_automatic(raw) and _looks_nothing_up(aws, change)))
        below = _described(aws, child) if change.nested and child else {}
        if below and reverts and "DeploymentMode" not in below:
            change = replace(change, drift="NOT_CHECKED")
        yield change
        if below:
            sets[change.path] = change.physical_id, child
            yield from _walk(aws, below, change.path, sets)
        elif hidden and (change.unseen or change.action == "Remove"):
            yield from _hidden(aws, change)


def _only_automatic(raw: Mapping[str, Any]) -> bool:
    """Whether CloudFormation shows a nested stack only because it does not look inside, and nothing of it changes.

    Neither its parameters do, nor its TemplateURL, which we make of the content of the template and of all below it.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChangeDetail.html
    """
    details = raw.get("Details", [])
    return bool(details) and all(detail.get("ChangeSource") == "Automatic" for detail in details)


def _looks_nothing_up(aws: Aws, stack: Change) -> bool:
    """Whether a nested stack has no parameter of its own that stands for an SSM parameter: that is looked up anew, and
    may change what nobody changed. One whose template cannot be read may have some."""
    nested = [resource.physical_id for resource in resources_of(aws, stack.physical_id) if resource.type == NESTED]
    for stack_id in (stack.physical_id, *nested):
        try:
            declared = template_body(aws, stack_id).get("Parameters", {})
        except ScaleoutError:
            return False
        if "AWS::SSM::Parameter::Value" in str(declared):
            return False
    return True


def _hidden(aws: Aws, stack: Change) -> Iterator[Change]:
    """What a change set does not say of a nested stack: what goes with one that is removed whole, and what holds data
    in one whose own changes are not shown, for any of it might be replaced or deleted, under a policy that is not
    known. Where its template cannot be read all of it counts as data."""
    templates: dict[str, Mapping[str, Any] | None] = {}
    for resource in resources_of(aws, stack.physical_id, stack.path):
        if resource.stack_id not in templates:
            templates[resource.stack_id] = _resources(aws, resource.stack_id)
        known = templates[resource.stack_id]
        declared = (known or {}).get(resource.path.rpartition("/")[2], {})
        stateful = is_stateful(resource.type) or is_marked(declared) or (known is None and resource.type != NESTED)
        if stack.unseen and not stateful and resource.type != RULE:
            continue
        policy = str(declared.get("DeletionPolicy", "Delete"))
        hidden = Change(
            path=resource.path,
            type=resource.type,
            action="Dynamic" if stack.unseen else "Remove",
            replacement="possible" if stack.unseen else "none",
            policy="" if stack.unseen else "Retain" if policy.startswith("Retain") else policy,
            stateful=stateful,
            disruptive=resource.type in NOTICED,
            physical_id=resource.physical_id,
            stack_id=resource.stack_id,
            unseen=stack.unseen,
        )
        if stack.unseen and not stateful:  # a rule: what counts is whether it shares requests out
            hidden = replace(hidden, replacement="none", weights=_declared_weights(aws, hidden))
            if hidden.weights is None:
                continue
        yield hidden


def _declared_weights(aws: Aws, rule: Change) -> tuple[Mapping[str, int], Mapping[str, int]] | None:
    """The weights that the template of its stack gives to a rule's target groups, where it has several, and which it is
    taken to have afterwards, too."""
    try:
        declared = template_body(aws, rule.stack_id)["Resources"][rule.path.rpartition("/")[2]]
    except (ScaleoutError, KeyError):
        return None
    actions = json.dumps(declared.get("Properties", {}).get("Actions"))
    for resource in resources_of(aws, rule.stack_id, inside=()):
        actions = actions.replace(json.dumps({"Ref": resource.path}), json.dumps(resource.physical_id))
    weights = weights_in(json.loads(actions))
    return (weights, weights) if len(weights) > 1 else None


def _resources(aws: Aws, stack_id: str) -> Mapping[str, Any] | None:
    try:
        resources = template_body(aws, stack_id).get("Resources", {})
    except ScaleoutError:
        return None
    return {title: resource for title, resource in resources.items() if isinstance(resource, Mapping)}
