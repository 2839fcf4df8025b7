"""A change set as a plan: every change in every nested stack, with values before and after, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from scaleout_cfn.deploy.aws import Aws
from scaleout_cfn.deploy.live import NESTED, inventory, template_text
from scaleout_cfn.errors import BusyError, ScaleoutError

__all__ = ["Change", "Plan", "Property", "Replacement", "read_plan"]

Replacement: TypeAlias = Literal["none", "possible", "certain"]
INCOMPLETE = "[WARN] --include-property-values"
UNKNOWN = "(known after it is applied)"

# Types whose loss is loss of data. A resource of another type can say so: Metadata: {"scaleout:stateful": true}.
STATEFUL = (
    "AWS::RDS::",
    "AWS::DocDB::",
    "AWS::Neptune::",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
    "AWS::S3::Bucket",
    "AWS::EFS::FileSystem",
    "AWS::FSx::",
    "AWS::ElastiCache::",
    "AWS::MemoryDB::",
    "AWS::OpenSearchService::Domain",
    "AWS::Elasticsearch::Domain",
    "AWS::Redshift::",
    "AWS::ECR::Repository",
    "AWS::KMS::Key",
    "AWS::SecretsManager::Secret",
    "AWS::Cognito::UserPool",
    "AWS::Logs::LogGroup",
    "AWS::Kinesis::Stream",
    "AWS::MSK::Cluster",
    "AWS::EC2::Volume",
)
# What clients reach the service through: nothing is lost with it, but everybody notices.
DISRUPTIVE = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::EC2::EIP",
    "AWS::Route53::HostedZone",
    "AWS::ECS::Cluster",
}
# Satellites of stateful types, which hold nothing themselves, by the ends of their names.
STATELESS = (
    "Attachment",
    "BucketPolicy",
    "ClusterPolicy",
    "EventSubscription",
    "OptionGroup",
    "ParameterGroup",
    "Proxy",
    "ProxyEndpoint",
    "SecurityGroup",
    "SecurityGroupIngress",
    "SubnetGroup",
    "TargetGroup",
)


@dataclass(frozen=True)
class Property:
    """One property that changes. `forces_replacement` is AWS's word for this property alone."""

    name: str
    before: str
    after: str
    forces_replacement: Replacement = "none"
    cause: str = ""


@dataclass(frozen=True)
class Change:
    """One resource that changes. `path` is `Data/Table`; `policy` what becomes of the physical resource."""

    path: str
    type: str
    action: str
    replacement: Replacement = "none"
    policy: str = ""
    stateful: bool = False
    disruptive: bool = False
    physical_id: str = ""
    stack_id: str = ""
    properties: tuple[Property, ...] = ()

    @property
    def nested(self) -> bool:
        return self.type == NESTED

    @property
    def routine(self) -> bool:
        """A new revision of a task definition is a replacement, and what every deployment of an image does."""
        return self.type == "AWS::ECS::TaskDefinition"

    @property
    def why(self) -> str:
        """What forces the replacement, or else what changes."""
        forcing = [one.name for one in self.properties if one.forces_replacement != "none"]
        return ", ".join(dict.fromkeys(forcing or [one.name for one in self.properties]))


@dataclass(frozen=True)
class Plan:
    """What one change set does, all of it. It is bound to the change set's ARN: that and nothing else is executed."""

    stack: str
    stack_id: str
    change_set: str
    creates: bool
    description: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Adds, changes in place, replacements and deletions, nested stacks not counted."""
        found = {"add": 0, "change": 0, "replace": 0, "delete": 0}
        for one in self.changes:
            if not one.nested:
                found[kind_of(one)] += 1
        return found


def kind_of(change: Change) -> str:
    """add, change, replace or delete. A new revision of a task definition is a change, as everybody sees it."""
    if change.action in ("Add", "Import"):
        return "add"
    if change.action == "Remove":
        return "delete"
    return "change" if change.replacement == "none" or change.routine else "replace"


def read_plan(aws: Aws, change_set: str) -> Plan:
    """The plan of a change set that is ready, by its ARN. Raises BusyError when it can no longer be executed."""
    root = _described(aws, change_set)
    if root["ExecutionStatus"] != "AVAILABLE":
        raise BusyError(
            f"change set {root['ChangeSetName']} cannot be executed: it is {root['ExecutionStatus']}",
            state="nothing was changed by this run",
            next_command="scaleout-cfn plan, to make a new one",
        )
    return Plan(
        stack=root["StackName"],
        stack_id=root["StackId"],
        change_set=root["ChangeSetId"],
        creates=not any(one["ResourceChange"]["Action"] != "Add" for one in root["Changes"])
        and _is_new(aws, root["StackId"]),
        description=root.get("Description", ""),
        changes=tuple(_walk(aws, root, "")),
        warnings=(root["StatusReason"],) if root.get("StatusReason") else (),
    )


def _is_new(aws: Aws, stack_id: str) -> bool:
    stack = aws.read("cloudformation", "describe_stacks", StackName=stack_id)["Stacks"][0]
    return str(stack["StackStatus"]) == "REVIEW_IN_PROGRESS"


def _described(aws: Aws, change_set: str) -> dict[str, Any]:
    """All pages of a change set as one description, with what the service left out for want of values added back."""
    whole = _all_pages(aws, change_set, values=True)
    if whole.get("StatusReason", "").startswith(INCOMPLETE):
        # https://github.com/aws/aws-cdk-cli/issues/1780
        known = {one["ResourceChange"]["LogicalResourceId"] for one in whole["Changes"]}
        plain = _all_pages(aws, change_set, values=False)["Changes"]
        whole["Changes"] += [one for one in plain if one["ResourceChange"]["LogicalResourceId"] not in known]
    return whole


def _all_pages(aws: Aws, change_set: str, *, values: bool) -> dict[str, Any]:
    pages = aws.pages("cloudformation", "describe_change_set", ChangeSetName=change_set, IncludePropertyValues=values)
    whole = dict(next(pages))
    whole["Changes"] = [one for page in (whole, *pages) for one in page.get("Changes", []) if one.get("ResourceChange")]
    return whole


def _walk(aws: Aws, description: Mapping[str, Any], path: str) -> Iterator[Change]:
    for one in description["Changes"]:
        change = change_of(one["ResourceChange"], path, description["StackId"])
        yield change
        if not change.nested:
            continue
        child = one["ResourceChange"].get("ChangeSetId")
        if child:
            yield from _walk(aws, _described(aws, child), change.path)
        elif change.action == "Remove" and change.physical_id:
            yield from _removed(aws, change)


def change_of(raw: Mapping[str, Any], path: str, stack_id: str = "") -> Change:
    """One ResourceChange of the stack at `path`."""
    contexts = [_context(raw.get(name)) for name in ("BeforeContext", "AfterContext")]
    properties = tuple(_properties(raw))
    kind = raw["ResourceType"]
    return Change(
        path=f"{path}/{raw['LogicalResourceId']}".lstrip("/"),
        type=kind,
        action=raw["Action"],
        replacement=_replacement(raw, properties),
        policy=raw.get("PolicyAction", ""),
        stateful=is_stateful(kind) or any(_marked(context) for context in contexts),
        disruptive=kind in DISRUPTIVE,
        physical_id=raw.get("PhysicalResourceId", ""),
        stack_id=stack_id,
        properties=properties,
    )


def is_stateful(kind: str) -> bool:
    """Whether a resource of this type holds data."""
    return kind.startswith(STATEFUL) and not kind.endswith(STATELESS)


def _context(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:  # AWS cuts long values off
        return {}
    return found if isinstance(found, dict) else {}


def _marked(context: Mapping[str, Any]) -> bool:
    metadata = context.get("Metadata")
    return isinstance(metadata, dict) and str(metadata.get("scaleout:stateful", "")).lower() == "true"


def _properties(raw: Mapping[str, Any]) -> Iterator[Property]:
    """The properties that change, each once: AWS evaluates one that hangs on another resource twice."""
    found: dict[str, Property] = {}
    for detail in raw.get("Details", []):
        target = detail.get("Target", {})
        place = target.get("Path", "").removeprefix("/Properties/").replace("/", ".") or target.get("Name", "")
        name = place or target.get("Attribute", "")
        force = {"Always": "certain", "Conditionally": "possible"}.get(target.get("RequiresRecreation", ""), "none")
        after = _value(target.get("AfterValue", ""))
        if force == "certain" and (detail.get("Evaluation") == "Dynamic" or UNKNOWN in after):
            # The value is known only once it is applied, and may turn out to be what it was.
            # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759
            force = "possible"
        new = Property(name, _value(target.get("BeforeValue", "")), after, force, detail.get("CausingEntity", ""))  # type: ignore[arg-type]
        old = found.get(name)
        if old is None or (old.forces_replacement != "certain" and new.forces_replacement == "certain"):
            found[name] = new
    yield from found.values()


def _value(text: str) -> str:
    """A value, with AWS's placeholders of what is not known yet in words."""
    return re.sub(r"\{\{(IntrinsicFunction|changeSet):[^}]*\}\}", UNKNOWN, text)


def _replacement(raw: Mapping[str, Any], properties: tuple[Property, ...]) -> Replacement:
    said = raw.get("Replacement", "False")
    if raw["Action"] not in ("Modify", "Dynamic", "SyncWithActual") or said == "False":
        return "possible" if raw["Action"] == "Dynamic" else "none"
    forces = {one.forces_replacement for one in properties}
    if said == "True":
        return "certain" if "certain" in forces or not forces - {"none"} else "possible"
    # Conditional: possible, unless each property by itself never forces it.
    return "none" if properties and forces == {"none"} else "possible"


def _removed(aws: Aws, stack: Change) -> Iterator[Change]:
    """What goes with a nested stack that is removed whole."""
    policies: dict[tuple[str, str], str] = {}
    for one in inventory(aws, stack.physical_id, stack.path):
        if one.stack_id not in {key[0] for key in policies}:
            policies |= _policies(aws, one.stack_id)
        title = one.path.rpartition("/")[2]
        policy = policies.get((one.stack_id, title), "Delete")
        yield Change(
            path=one.path,
            type=one.type,
            action="Remove",
            policy=policy,
            stateful=is_stateful(one.type),
            disruptive=one.type in DISRUPTIVE,
            physical_id=one.physical_id,
            stack_id=one.stack_id,
        )


def _policies(aws: Aws, stack_id: str) -> dict[tuple[str, str], str]:
    """The DeletionPolicy of each resource of a stack; Delete for all when its template cannot be read."""
    from scaleout_cfn.lint.reading import load

    try:
        resources = load(template_text(aws, stack_id), "template").body.get("Resources", {})
    except ScaleoutError:
        resources = {}
    found = {(stack_id, ""): ""}
    for title, resource in resources.items():
        policy = str(resource.get("DeletionPolicy", "Delete")) if isinstance(resource, dict) else "Delete"
        found[stack_id, title] = "Retain" if policy.startswith("Retain") else policy
    return found
