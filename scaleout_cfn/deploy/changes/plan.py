"""A plan: every change of a change set in every nested stack, with values before and after, and why. Pure.

What destroys data may not happen without consent, which is the logical path of the resource, `Data/Table`. A general
yes is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from scaleout_cfn.aws import NESTED
from scaleout_cfn.deploy.changes.stateful import NOTICED, held_by, is_stateful
from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.schemas import recreation

Replacement: TypeAlias = Literal["none", "possible", "certain"]
Kind: TypeAlias = Literal["add", "import", "change", "replace", "possible", "follow", "delete"]
"""`possible`: that it is replaced cannot be ruled out. `follow`: AWS cannot tell, but all values are of what stays
what it is."""
#: The policies under which nothing is lost.
KEEPS = {"Retain", "Snapshot", "ReplaceAndRetain", "ReplaceAndSnapshot", "RetainExceptOnCreate"}
UNKNOWN = "(known after it is applied)"

RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"

#: The Metadata by which a resource of another type says that it holds data: {"scaleout:stateful": true}.
MARK = "scaleout:stateful"


@dataclass(frozen=True)
class Property:
    """One property that changes. `forces_replacement` is what AWS and the resource's schema say of this one alone.

    `causes` are what it takes its value from, a change source and its entity each: `ResourceReference Target`.
    `unchanged`: AWS cannot tell, and by both templates it is what it was; `follows` are then the paths of the resources
    that it is taken from. `drifted`: `before` is what is there, which is not what the last deployment set, `template`.
    """

    name: str
    before: str
    after: str
    forces_replacement: Replacement = "none"
    causes: tuple[str, ...] = ()
    follows: str = ""
    unchanged: bool = False
    drifted: bool = False
    template: str = ""

    @property
    def parts(self) -> list[Part]:
        """Its parts that differ, for who finds a new image in two whole container definitions?"""
        values = []
        for text in (self.before, self.after, self.template if self.drifted else self.before):
            try:
                values.append(json.loads(text))
            except ValueError:
                values.append(text)
        if not all(isinstance(value, (dict, list)) for value in values[:2]):
            return [Part(self.name, self.before, self.after, self.template)]
        was, will, had = (dict(_leaves(self.name, value)) for value in values)
        paths = [path for path in {**was, **will} if was.get(path) != will.get(path)]
        return [Part(path, was.get(path, ""), will.get(path, ""), had.get(path, "")) for path in paths]


class Part(NamedTuple):
    """A value within a property: what it is, what it will be, and what the last deployment had set."""

    name: str
    before: str
    after: str
    template: str


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


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
    #: A nested stack whose own changes are not shown, or what is in such a one and might be among them.
    unseen: bool = False
    #: Of a listener rule that shares requests out among several target groups, before or after: the weight of each by
    #: its ARN, as the templates have it.
    weights: tuple[Mapping[str, int], Mapping[str, int]] | None = None
    #: What AWS itself says of the replacement: True, False or Conditional. `replacement` is what follows.
    said: str = ""
    #: Of a drift-aware change set whether it is as the last deployment made it: MODIFIED, DELETED, UNSUPPORTED ...
    drift: str = ""

    @property
    def nested(self) -> bool:
        return self.type == NESTED

    @property
    def unchanged(self) -> bool:
        """Whether AWS calls it a change because it cannot tell, and nothing of it can change."""
        return (
            self.replacement == "none" and bool(self.properties) and all(entry.unchanged for entry in self.properties)
        )

    @property
    def follows(self) -> str:
        """The paths of what it takes its values from, where it is unchanged."""
        followed = [path for entry in self.properties for path in entry.follows.split(", ") if path]
        return ", ".join(dict.fromkeys(followed)) if self.unchanged else ""

    @property
    def routine(self) -> bool:
        """A new revision of a task definition is a replacement, and what every deployment of an image does."""
        return self.type == "AWS::ECS::TaskDefinition"

    @property
    def why(self) -> str:
        """What forces the replacement, or else what changes."""
        if self.unseen:
            return "changes that are not shown"
        moving = [entry for entry in self.properties if not entry.unchanged] or self.properties
        forcing = [entry.name for entry in moving if entry.forces_replacement != "none"]
        return ", ".join(dict.fromkeys(forcing or [entry.name for entry in moving]))

    @property
    def users_see(self) -> str:
        """What users see if it is replaced, or removed and not kept, in one sentence; empty where they see nothing."""
        goes = self.action == "Remove" and not self.policy.startswith("Retain")
        return NOTICED.get(self.type, "") if goes or self.replacement != "none" else ""

    @property
    def gravity(self) -> tuple[int, int]:
        """How much users would notice of it: the less, the sooner and the worse."""
        if self.users_see or (self.stateful and (self.action == "Remove" or self.replacement != "none")):
            sure = self.action == "Remove" or self.replacement == "certain"
            return (0 if sure else 1), list(NOTICED).index(self.type) if self.type in NOTICED else len(NOTICED)
        return 2 + _BY_GRAVITY.index(kind_of(self)), 0


_BY_GRAVITY: Final[Sequence[Kind]] = ("delete", "replace", "possible", "import", "change", "add", "follow")


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
    #: What executing it acknowledges: CAPABILITY_IAM, say.
    capabilities: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind, nested stacks not counted."""
        numbers: dict[str, int] = dict.fromkeys(get_args(Kind), 0)
        for change in self.changes:
            if not change.nested:
                numbers[kind_of(change)] += 1
        return numbers


def kind_of(change: Change) -> Kind:
    """What becomes of a resource. A new revision of a task definition is a change, as everybody sees it."""
    if change.action in ("Add", "Import"):
        return "add" if change.action == "Add" else "import"
    if change.action == "Remove":
        return "delete"
    if change.routine or change.replacement == "none":
        return "follow" if change.unchanged else "change"
    return "replace" if change.replacement == "certain" else "possible"


def takes(change: Change) -> bool:
    """Whether a change takes the place of what holds data, or takes it out of the stack, whatever becomes of it then.

    A policy that AWS does not name counts as deletion: it is the default of CloudFormation.
    """
    if not change.stateful or change.action in ("Add", "Import"):
        return False
    return change.action == "Remove" or change.replacement != "none" or change.policy in ("Delete", "ReplaceAndDelete")


def destroys(change: Change) -> str:
    """In what way a change takes data away from the service, in words; empty when it does not.

    What is kept, or of which a snapshot is, is not lost; but whatever uses it begins on an empty one.
    """
    if not takes(change):
        return ""
    sure = "might" if change.action != "Remove" and change.replacement != "certain" else "would"
    if change.policy in KEEPS:
        kept = "a snapshot is kept" if "Snapshot" in change.policy else "the old one is kept"
        done = "be taken out of the stack" if change.action == "Remove" else "be replaced"
        return f"{sure} {done}, and what uses it go on without {held_by(change.type)}; {kept}"
    if change.action == "Remove" or change.policy == "Delete":
        return f"would be deleted, with {held_by(change.type)}"
    return f"{sure} be replaced and the old one deleted, because of {change.why or 'its properties'}"


def blocked(changes: Iterable[Change], allowed: Collection[str]) -> dict[str, str]:
    """Logical path to reason of every change that destroys data and is not named in `allowed`.

    Raises UsageError when `allowed` names what destroys nothing: consent to a slip of the pen is no consent.
    """
    destructive = {change.path: reason for change in changes if (reason := destroys(change))}
    if unknown := sorted(set(allowed) - set(destructive)):
        there = ", ".join(destructive) or "none, so leave the option out"
        raise UsageError(f"--allow-replace {unknown[0]}: nothing of that path is to be replaced or deleted: {there}")
    return {path: reason for path, reason in destructive.items() if path not in allowed}


def change_of(raw: Mapping[str, Any], path: str, stack_id: str = "") -> Change:
    """One ResourceChange of the stack at `path`."""
    contexts = [_context(raw.get(name)) for name in ("BeforeContext", "AfterContext")]
    properties = tuple(_properties(raw))
    kind = raw["ResourceType"]
    replacement = _replacement(raw, properties)
    policy = raw.get("PolicyAction", "")
    return Change(
        path=f"{path}/{raw['LogicalResourceId']}".lstrip("/"),
        type=kind,
        action=raw["Action"],
        replacement=replacement,
        policy="" if replacement == "none" and policy.startswith("Replace") else policy,
        stateful=is_stateful(kind) or any(is_marked(context) for context in contexts),
        disruptive=kind in NOTICED,
        physical_id=raw.get("PhysicalResourceId", ""),
        stack_id=stack_id,
        properties=properties,
        weights=_weights(contexts) if kind == RULE else None,
        said=raw.get("Replacement", ""),
        drift=raw.get("ResourceDriftStatus", ""),
    )


def weights_in(actions: object) -> dict[str, int]:
    """The weights of the target groups that a rule's actions forward to, as ELB or a template has them. What is not
    known yet is left out."""
    weights: dict[str, int] = {}
    for action in actions if isinstance(actions, list) else []:
        tuples = (action.get("ForwardConfig") or {}).get("TargetGroups") or [action]
        for entry in tuples:
            # A single group gets everything, whatever its weight.
            weight = str(entry.get("Weight", 1)) if len(tuples) > 1 else "1"
            if isinstance(arn := entry.get("TargetGroupArn"), str) and weight.isdigit():
                weights[arn] = int(weight)
    return weights


def _weights(contexts: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, int], Mapping[str, int]] | None:
    before, after = (weights_in((context.get("Properties") or {}).get("Actions")) for context in contexts)
    return (before, after) if len(before) > 1 or len(after) > 1 else None


def _context(text: str | None) -> Mapping[str, Any]:
    try:
        context = json.loads(text or "{}")
    except ValueError:  # AWS cuts long values off
        return {}
    return context if isinstance(context, dict) else {}


def is_marked(resource: Mapping[str, Any]) -> bool:
    """Whether a resource of a template says that it holds data."""
    metadata = resource.get("Metadata")
    return isinstance(metadata, dict) and str(metadata.get(MARK, "")).lower() == "true"


def _properties(raw: Mapping[str, Any]) -> Iterator[Property]:
    """The properties that change, each once: AWS evaluates one that hangs on another resource twice."""
    properties: dict[str, Property] = {}
    for detail in raw.get("Details", []):
        target = detail.get("Target", {})
        place = target.get("Path", "").removeprefix("/Properties/").replace("/", ".") or target.get("Name", "")
        name = place or target.get("Attribute", "")
        before, after = _value(target.get("BeforeValue", "")), _value(target.get("AfterValue", ""))
        if before and before == after and target.get("AttributeChangeType") != "SyncWithActual":  # or both were cut off
            after = UNKNOWN
        force = _force(raw["ResourceType"], detail, known=UNKNOWN not in after)
        drift = target.get("Drift")
        template = _value(drift.get("PreviousValue", "")) if drift else ""
        new = Property(name, before, after, force, tuple(_causes(detail)), drifted=bool(drift), template=template)
        old = properties.get(name)
        if old is not None:
            first = new if (new.forces_replacement, old.forces_replacement) == ("certain", "possible") else old
            new = replace(first, causes=tuple(dict.fromkeys((*old.causes, *new.causes))))
        properties[name] = new
    yield from properties.values()


def _force(kind: str, detail: Mapping[str, Any], *, known: bool) -> Replacement:
    """Whether one property forces a replacement: AWS's word, but for where it can only guess.

    A value that is known once it is applied may turn out to be what it was
    (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759), and `Conditionally` is said of
    what the resource's schema lists neither as create-only nor as conditionally so: that never replaces it.
    """
    target = detail.get("Target", {})
    said = target.get("RequiresRecreation", "Never")
    if said == "Never" or target.get("Attribute", "Properties") != "Properties":
        return "none" if said == "Never" else "possible"
    if said == "Always" and known and detail.get("Evaluation") != "Dynamic":
        return "certain"
    steps = target.get("Path", "").split("/")[2:] or [target.get("Name", "")]
    lists = recreation(kind, steps)
    if lists == "Always" and known and detail.get("Evaluation") != "Dynamic":
        return "certain"
    return "none" if lists == "Never" else "possible"


def _causes(detail: Mapping[str, Any]) -> Iterator[str]:
    """Where a property's new value comes from. AWS tells of a value that it evaluates later a second time, without."""
    source = detail.get("ChangeSource", "")
    if source != "DirectModification":
        yield f"{source} {detail.get('CausingEntity', '')}"
    elif detail.get("Evaluation") != "Dynamic":
        yield source


def _value(text: str) -> str:
    """A value, with AWS's placeholders of what is not known yet in words."""
    return re.sub(r"\{\{(IntrinsicFunction|changeSet):[^}]*\}\}", UNKNOWN, text)


def _replacement(raw: Mapping[str, Any], properties: tuple[Property, ...]) -> Replacement:
    said = raw.get("Replacement", "False")
    if raw["Action"] not in ("Modify", "Dynamic", "SyncWithActual") or said == "False":
        return "possible" if raw["Action"] == "Dynamic" else "none"
    forces = {entry.forces_replacement for entry in properties}
    if "certain" in forces or "possible" in forces:
        return "certain" if "certain" in forces else "possible"
    words = {detail.get("Target", {}).get("RequiresRecreation", "Never") for detail in raw.get("Details", [])}
    if said == "True":  # by no property that is named, or by one that its schema refutes
        return "none" if words - {"Never"} else "certain"
    # Conditional: possible, unless each property by itself never forces it.
    return "none" if properties else "possible"
