"""What a change set says of a stack: which resources change, in which properties, why, and what that does to them;
and the update then does what was said.

The rules are those of API_ResourceChange, API_ResourceChangeDetail and API_ResourceTargetDefinition. Where they leave
a choice, it is made as AWS's own answers show it: the examples in
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets-samples.html, and
for nested stacks a published answer with all its details, docs/architecture/
phase1-ntgre-discrepancy-evidence-2026-09-26/individual-discrepancies.md in
https://github.com/Project-Respawn/project-respawn-website.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ministack.services.cloudformation import engine, provisioners, stacks

from scaleout_cfn.aws import NESTED
from scaleout_cfn.templates import schemas

KNOWN_LATER: Final = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""AWS's word for a value that only the execution of the change set gives."""

UNKNOWN_PARAMETER: Final = "{{IntrinsicFunction:"
"""How the value of a nested stack's parameter begins that is known later."""

_MASK: Final = "****"
_ABSENT: Final = object()

_Record = dict[str, Any]
_Path = tuple[str, ...]


@dataclass(frozen=True)
class _Leaf:
    """One value at the end of a path: as it is, as it is shown, and what the template says of it."""

    value: Any
    shown: Any
    source: Any

    @property
    def references(self) -> list[tuple[str, str | None]]:
        """The names that it reads, each with the attribute for Fn::GetAtt."""
        return list(dict.fromkeys(engine._intrinsic_references(self.source)))


class _Side:
    """A template with its parameters, before the change or after it, read with what exists of its resources."""

    def __init__(self, source: _Record, stack: _Record) -> None:
        self.template: _Record = source["_template"]
        self.parameters: Mapping[str, _Record] = source["_resolved_params"]
        self.conditions: Mapping[str, bool] = engine._evaluate_conditions(self.template, self.parameters)
        self.stack = stack
        self._masked = {
            name: {**entry, "Value": _MASK} if entry["NoEcho"] else entry for name, entry in self.parameters.items()
        }

    @property
    def resources(self) -> dict[str, _Record]:
        return {
            logical_id: definition
            for logical_id, definition in self.template.get("Resources", {}).items()
            if self.conditions.get(definition.get("Condition"), True)
        }

    def resolved(self, value: object, *, masked: bool = False) -> Any:
        return engine._resolve_refs(
            copy.deepcopy(value),
            self.stack["_resources"],
            self._masked if masked else self.parameters,
            self.conditions,
            self.template.get("Mappings", {}),
            self.stack["StackName"],
            self.stack["StackId"],
        )

    def chosen(self, value: Any) -> Any:
        """The value with the branch of every Fn::If that holds in place of it."""
        if isinstance(value, list):
            return [self.chosen(member) for member in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Fn::If"}:
            condition, then, otherwise = value["Fn::If"]
            return self.chosen(then if self.conditions[condition] else otherwise)
        return {key: self.chosen(member) for key, member in value.items()}


class Comparison:
    """A stack as it is against what a change set makes of it, resource by resource in the order of `order`.

    `effects` holds what has been found: logical id -> Add, or the Replacement of what is modified. References to a
    resource are followed from there, so that each resource is asked for after those that it refers to.
    """

    def __init__(self, stack: _Record, change_set: _Record) -> None:
        self._live: Mapping[str, _Record] = stack["_resources"]
        self._before, self._after = _Side(stack, stack), _Side(change_set, stack)
        self.effects: dict[str, str] = {}

    @property
    def order(self) -> list[str]:
        """The resources after the change, each after what it depends on."""
        template = self._after.template
        return list(engine._topological_sort(template.get("Resources", {}), self._after.conditions))

    def definition(self, logical_id: str) -> _Record:
        resource: _Record = self._after.resources[logical_id]
        return resource

    def change(self, logical_id: str, *, retagged: bool = False) -> _Record | None:
        """The ResourceChange of a resource that is there after the change, None when nothing of it changes.

        `retagged`: the tags of the stack change, which every resource of it inherits.
        """
        definition, live = self.definition(logical_id), self._live.get(logical_id)
        if live is None:
            self.effects[logical_id] = "Add"
            return {**_identity(logical_id, definition["Type"]), "Action": "Add", "_after": self._context(definition)}
        old = self._before.resources.get(logical_id, {})
        details = [*self._details(old, definition), *_attribute_details(old, definition)]
        if retagged and definition["Type"] not in stacks._UNTAGGED_TYPES:
            details.insert(0, _detail({"Attribute": "Tags", "RequiresRecreation": "Never"}, "Static"))
        if not details and live["ResourceType"] == definition["Type"]:
            return None
        replacement = stacks._replacement(details, live["ResourceType"] != definition["Type"])
        return self.modified(logical_id, details, replacement)

    def modified(self, logical_id: str, details: list[_Record], replacement: str = "False") -> _Record:
        """The ResourceChange of a resource that these details modify."""
        definition = self.definition(logical_id)
        self.effects[logical_id] = replacement
        policy = stacks._policy_action(definition, "UpdateReplacePolicy", "ReplaceAnd")
        return {
            **_identity(logical_id, definition["Type"]),
            "Action": "Modify",
            "PhysicalResourceId": self._live[logical_id]["PhysicalResourceId"],
            "Replacement": replacement,
            **(policy if replacement == "True" else {}),
            "Scope": list(dict.fromkeys(detail["Target"]["Attribute"] for detail in details)),
            "Details": details,
            "_before": self._context(self._before.resources.get(logical_id, {}), self._before),
            "_after": self._context(definition),
        }

    def removals(self) -> Iterator[_Record]:
        for logical_id in sorted(set(self._live) - set(self._after.resources)):
            live = self._live[logical_id]
            old = self._before.template["Resources"].get(logical_id, {})
            yield {
                **_identity(logical_id, live["ResourceType"]),
                "Action": "Remove",
                "PhysicalResourceId": live["PhysicalResourceId"],
                **stacks._policy_action(old, "DeletionPolicy"),
                "_before": self._context(old, self._before),
            }

    def changes_outputs(self) -> bool:
        """Whether an output changes. It is no change of a resource, and has to be executed all the same:
        https://github.com/jenkinsci/pipeline-aws-plugin/issues/210."""
        return bool(self._outputs(self._before) != self._outputs(self._after))

    def parameter(self, value: object) -> str:
        """A nested stack's parameter. What is known later is named as AWS names it."""
        tree = self._tree(self._after.chosen(value), self._after)
        if not isinstance(tree, _Leaf) or tree.value != KNOWN_LATER:
            return str(self._after.resolved(value))
        function = next(iter(tree.source))
        place = "/"
        if function == "Fn::GetAtt":
            place = f"{self._after.stack['StackName']}/{'.'.join(filter(None, tree.references[0]))}"
        return f"{UNKNOWN_PARAMETER}{place}/{function}}}}}"

    def resolved(self, value: object) -> Any:
        return self._after.resolved(value)

    def _details(self, old: _Record, new: _Record) -> Iterator[_Record]:
        """What changes in the properties, one entry for each cause of each change."""
        before = _leaves(self._tree(self._before.chosen(old.get("Properties") or {}), self._before))
        after = _leaves(self._tree(self._after.chosen(new.get("Properties") or {}), self._after))
        for path in sorted(before.keys() | after.keys()):
            first, last = before.get(path), after.get(path)
            if first is not None and last is not None and first.value == last.value:
                continue
            target = _target(new["Type"], path, first, last)
            causes = list(self._causes(last.references)) if last is not None else []
            # A change that CloudFormation is sure of is listed a second time, as one whose value is yet to be found.
            edited = (first and first.source) != (last and last.source)
            if not causes or edited or any(evaluation == "Static" for evaluation, _, _ in causes):
                yield _detail(target, "Dynamic" if causes else "Static", "DirectModification")
            for evaluation, source, entity in causes:
                yield _detail(target, evaluation, source, entity)

    def _causes(self, references: list[tuple[str, str | None]]) -> Iterator[tuple[str, str, str]]:
        """(Evaluation, ChangeSource, CausingEntity) of every reference to what changes.

        "CloudFormation follows" a Ref where the resource is recreated or may be, for only then its id is another; it
        follows a Fn::GetAtt whenever the resource changes (API_ResourceChangeDetail). So it does with the outputs of a
        nested stack, https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759.
        """
        for name, attribute in references:
            if name in self._after.parameters:
                if self._before.parameters.get(name, {}).get("Value") != self._after.parameters[name]["Value"]:
                    yield "Static", "ParameterReference", name
            elif attribute and name in self.effects:
                evaluation = "Static" if self.effects[name] in ("Add", "True") else "Dynamic"
                yield evaluation, "ResourceAttribute", f"{name}.{attribute}"
            elif self.effects.get(name, "False") != "False":
                evaluation = "Dynamic" if self.effects[name] == "Conditional" else "Static"
                yield evaluation, "ResourceReference", name

    def _is_unknown(self, value: object) -> bool:
        """Whether a value of the new template is known only once the change set is executed."""
        return any(
            str(self._after.parameters[name]["Value"]).startswith(UNKNOWN_PARAMETER)
            if name in self._after.parameters
            else self.effects.get(name, "False") != "False" or bool(attribute and name in self.effects)
            for name, attribute in engine._intrinsic_references(value)
        )

    def _tree(self, value: Any, side: _Side) -> Any:
        """The value with a leaf for everything that is no list and no object, and for every intrinsic function."""
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
            if side is self._after and self._is_unknown(value):
                return _Leaf(KNOWN_LATER, KNOWN_LATER, value)
            try:
                resolved, shown = side.resolved(value), side.resolved(value, masked=True)
            except (LookupError, TypeError, ValueError):  # what does not exist is found out when it is executed
                return _Leaf(KNOWN_LATER, KNOWN_LATER, value)
            return _ABSENT if resolved is engine._NO_VALUE else _spread(resolved, shown, value)
        if isinstance(value, dict):
            members = {key: self._tree(member, side) for key, member in value.items()}
            return {key: member for key, member in members.items() if member is not _ABSENT}
        if isinstance(value, list):
            return [tree for tree in (self._tree(member, side) for member in value) if tree is not _ABSENT]
        return _Leaf(value, value, value)

    def _outputs(self, side: _Side) -> Any:
        outputs = (side.template.get("Outputs") or {}).items()
        there = {name: output for name, output in outputs if side.conditions.get(output.get("Condition"), True)}
        return _shown(self._tree(side.chosen(there), side))

    def _context(self, definition: _Record, side: _Side | None = None) -> _Record:
        """BeforeContext or AfterContext: the resource's properties as they are shown."""
        side = side or self._after
        tree = self._tree(side.chosen(definition.get("Properties") or {}), side)
        return {"Properties": _shown(tree)}


def _identity(logical_id: str, kind: str) -> _Record:
    return {"LogicalResourceId": logical_id, "ResourceType": kind}


def _detail(target: _Record, evaluation: str, source: str = "", entity: str = "") -> _Record:
    detail = {"Target": target, "Evaluation": evaluation, "ChangeSource": source, "CausingEntity": entity}
    return {key: value for key, value in detail.items() if value}


def _attribute_details(old: _Record, new: _Record) -> Iterator[_Record]:
    """What changes of a resource beside its properties."""
    for attribute in stacks._DIFFED_ATTRIBUTES:
        if old.get(attribute) != new.get(attribute):
            yield _detail({"Attribute": attribute, "RequiresRecreation": "Never"}, "Static", "DirectModification")


def _target(kind: str, path: _Path, first: _Leaf | None, last: _Leaf | None) -> _Record:
    target: _Record = (
        {"Attribute": "Tags"} if schemas.is_tag(kind, path) else {"Attribute": "Properties", "Name": path[0]}
    )
    target["RequiresRecreation"] = schemas.recreation(kind, path)
    target["Path"] = "/".join(("/Properties", *path))
    target["AttributeChangeType"] = "Add" if first is None else "Remove" if last is None else "Modify"
    for name, leaf in (("BeforeValue", first), ("AfterValue", last)):
        if leaf is not None:
            target[name] = _text(leaf.shown)
    return target


def _spread(value: Any, shown: Any, source: Any) -> Any:
    """The tree of what an intrinsic function gave: all its leaves come from the one source."""
    if isinstance(value, list) and len(value) != len(shown):  # a list that is secret as a whole
        return _Leaf(value, shown, source)
    if isinstance(value, dict) and value:
        return {key: _spread(member, shown[key], source) for key, member in value.items()}
    if isinstance(value, list) and value:
        return [_spread(member, shown[number], source) for number, member in enumerate(value)]
    return _Leaf(value, shown, source)


def _leaves(tree: Any, path: _Path = ()) -> dict[_Path, _Leaf]:
    """Path -> leaf. An empty list or object is a leaf, too."""
    if isinstance(tree, _Leaf):
        return {path: tree}
    members = tree.items() if isinstance(tree, dict) else ((str(number), member) for number, member in enumerate(tree))
    leaves = {place: leaf for key, member in members for place, leaf in _leaves(member, (*path, key)).items()}
    return leaves or ({path: _Leaf(tree, tree, tree)} if path else {})


def _shown(tree: Any) -> Any:
    if isinstance(tree, _Leaf):
        return tree.shown
    if isinstance(tree, dict):
        return {key: _shown(member) for key, member in tree.items()}
    return [_shown(member) for member in tree]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def scheduled_replacements() -> None:
    """MiniStack's update replaces a resource by a table that knows a fifth of its types, and by what its handlers do.
    One whose type has no handler for updates is created anew, whatever changed."""
    replacing, update = provisioners._replacing_change, stacks._update_resource

    def replacing_by_schema(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        if not schemas.is_known(kind):
            return bool(replacing(kind, old, new))
        return any(schemas.recreation(kind, path) == "Always" for path in _changed(old, new))

    def update_by_schema(
        kind: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        fixed = kind != NESTED and "update" not in provisioners._RESOURCE_HANDLERS.get(kind, {})
        if old != new and fixed and schemas.is_known(kind) and not replacing_by_schema(kind, old, new):
            return physical_id, attributes or {}  # the object itself stays as it is
        return update(kind, physical_id, old, new, stack_name, logical_id, attributes)

    provisioners._replacing_change = stacks._replacing_change = replacing_by_schema
    stacks._update_resource = update_by_schema


def _changed(old: Any, new: Any) -> Iterator[tuple[str, ...]]:
    """The paths of all that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in old.keys() | new.keys():
            for path in _changed(old.get(name, _ABSENT), new.get(name, _ABSENT)):
                yield (name, *path)
    elif old != new:
        yield ()
