"""Change sets as the deployer uses them: nested, and made again for a stack that waits for its first one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, fromstring, register_namespace, tostring

from ministack.services.cloudformation import (
    _change_sets,
    _stack_events,
    _stacks,
    changesets,
    engine,
    handlers,
    helpers,
    provisioners,
)

from scaleout_cfn.local.nested import STACK

__all__ = [
    "nested_change_sets",
    "nested_stack_replacement",
    "no_echo_masked",
    "parent_ids",
    "property_values",
    "review_stack_kept",
]

_NO_CHANGES: Final = "The submitted information didn't contain changes."
_KNOWN_LATER: Final = "{{changeSet:KNOWN_AFTER_APPLY}}"
_MASK: Final = "****"
_NAMESPACE: Final = f"{{{helpers.CFN_NS}}}"

_Record = dict[str, Any]
_Response = tuple[int, dict[str, str], bytes]


class _ChildRefusedError(Exception):
    """A child's change set could not be made; the root's fails with the reason."""


def nested_change_sets() -> None:
    """MiniStack ignores IncludeNestedStacks: no change set for a child, no ChangeSetId in the root's."""
    actions = handlers._ACTION_HANDLERS
    create, describe = actions["CreateChangeSet"], actions["DescribeChangeSet"]
    track = changesets._track_change_set_execution

    def create_nested(params: Any) -> _Response:
        response: _Response = create(params)
        if response[0] == 200 and helpers._p(params, "IncludeNestedStacks").lower() == "true":
            root = _change_sets[_found(fromstring(response[2]), "Id")]
            root["IncludeNestedStacks"] = True
            try:
                _expand(root, root, params, create)
            except _ChildRefusedError as error:
                root.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=str(error))
        return response

    def describe_nested(params: Any) -> _Response:
        return _edited(describe(params), _show_nesting)

    def from_the_root(action: str, verb: str) -> None:
        stock = actions[action]

        def checked(params: Any) -> _Response:
            _, change_set = changesets._find_change_set(
                helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
            )
            if change_set is not None and "RootChangeSetId" in change_set:
                message = f"A nested change set can only be {verb} from its root change set"
                return helpers._error("ValidationError", message)  # type: ignore[no-any-return]
            response: _Response = stock(params)
            _sweep()
            return response

        actions[action] = checked

    def delete_stack(params: Any, stock: Callable[[Any], _Response] = actions["DeleteStack"]) -> _Response:
        response = stock(params)
        _sweep()
        return response

    async def track_children(change_set: _Record, stack: _Record, deployment: Any) -> None:
        children = [c for c in _change_sets.values() if c.get("RootChangeSetId") == change_set["ChangeSetId"]]
        for child in children:
            child["ExecutionStatus"] = "EXECUTE_IN_PROGRESS"
        try:
            await track(change_set, stack, deployment)
        finally:
            for child in children:
                child["ExecutionStatus"] = change_set["ExecutionStatus"]
            _sweep()

    actions["CreateChangeSet"] = create_nested
    actions["DescribeChangeSet"] = describe_nested
    actions["DeleteStack"] = delete_stack
    from_the_root("ExecuteChangeSet", "executed")
    from_the_root("DeleteChangeSet", "deleted")
    changesets._track_change_set_execution = track_children


def review_stack_kept() -> None:
    """MiniStack gives a stack in REVIEW_IN_PROGRESS a new id with every change set made for it, and orphans
    the earlier ones. On AWS the stack and its earlier change sets stay."""
    create = handlers._ACTION_HANDLERS["CreateChangeSet"]

    def create_again(params: Any) -> _Response:
        name = helpers._p(params, "StackName")
        earlier = _stacks.get(name)
        if earlier is None or earlier["StackStatus"] != "REVIEW_IN_PROGRESS":
            return create(params)  # type: ignore[no-any-return]
        status, headers, body = create(params)
        made = _stacks.get(name)
        _stacks[name] = earlier
        if status != 200 or made is None:
            return status, headers, body
        _stack_events.pop(made["StackId"], None)
        for change_set in _change_sets.values():
            if change_set["StackId"] == made["StackId"]:
                change_set["StackId"] = earlier["StackId"]
        earlier["Tags"] = made["Tags"]
        return status, headers, body.replace(made["StackId"].encode(), earlier["StackId"].encode())

    handlers._ACTION_HANDLERS["CreateChangeSet"] = create_again


def parent_ids() -> None:
    """MiniStack keeps a child's ParentId and RootId, and leaves them out of DescribeStacks and ListStacks."""

    def show(root: Element) -> None:
        known = {stack["StackId"]: stack for stack in _stacks.values()}
        for member in root.iter(f"{_NAMESPACE}member"):
            stack = known.get(member.findtext(f"{_NAMESPACE}StackId", ""), {})
            for tag in ("ParentId", "RootId"):
                if tag in stack:
                    _append(member, tag, stack[tag])

    for action in ("DescribeStacks", "ListStacks"):
        stock = handlers._ACTION_HANDLERS[action]
        handlers._ACTION_HANDLERS[action] = lambda params, stock=stock: _edited(stock(params), show)


def nested_stack_replacement() -> None:
    """MiniStack's change sets call every change of a nested stack a conditional replacement. "An update never
    causes a nested stack to be replaced" (aws-resource-cloudformation-stack)."""
    provisioners._REPLACING_PROPERTIES[STACK] = ()


def no_echo_masked() -> None:
    """MiniStack's DescribeChangeSet shows the values of NoEcho parameters. AWS shows ****."""
    describe = handlers._ACTION_HANDLERS["DescribeChangeSet"]

    def mask(root: Element) -> None:
        parameters = _change_sets[_found(root, "ChangeSetId")]["_resolved_params"]
        for value in root.iter(f"{_NAMESPACE}Parameters"):
            for member in value:
                if parameters[_found(member, "ParameterKey")]["NoEcho"]:
                    for text in member.iter(f"{_NAMESPACE}ParameterValue"):
                        text.text = _MASK

    handlers._ACTION_HANDLERS["DescribeChangeSet"] = lambda params: _edited(describe(params), mask)


def property_values() -> None:
    """MiniStack ignores IncludePropertyValues: a change set says what changes, not from what to what."""
    describe = handlers._ACTION_HANDLERS["DescribeChangeSet"]

    def describe_values(params: Any) -> _Response:
        response: _Response = describe(params)
        if helpers._p(params, "IncludePropertyValues").lower() != "true":
            return response
        return _edited(response, _show_values)

    handlers._ACTION_HANDLERS["DescribeChangeSet"] = describe_values


def _expand(change_set: _Record, root: _Record, params: Any, create: Callable[[Any], _Response]) -> None:
    """Make a change set for every child that changes, depth first, and tie it to its parent's change."""
    stack, template = _stacks[change_set["StackName"]], change_set["_template"]
    _heed_conditions(change_set, stack["_resources"])
    changes = {change["ResourceChange"]["LogicalResourceId"]: change for change in change_set["Changes"]}
    changed: set[str] = set()
    for logical_id, resource in _children(template, change_set["_resolved_params"]):
        live = stack["_resources"].get(logical_id)
        child = _child_change_set(logical_id, resource, live, changed, change_set, root, params, create)
        _expand(child, root, params, create)
        change = changes.get(logical_id)
        if child["Status"] == "FAILED" and child["StatusReason"].startswith(_NO_CHANGES):
            del _change_sets[child["ChangeSetId"]]
            continue
        changed.add(logical_id)
        if change is None:
            change = {"ResourceChange": _automatic_change(logical_id, live or {})}
            change_set["Changes"].append(change)
        change["ResourceChange"]["ChangeSetId"] = child["ChangeSetId"]
    if change_set["Changes"] and change_set["StatusReason"].startswith(_NO_CHANGES):
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")


def _heed_conditions(change_set: _Record, live: _Record) -> None:
    """MiniStack compares templates: it adds what a condition leaves out, and what it left out before it modifies, or
    shows no change of."""
    template = change_set["_template"]
    conditions = engine._evaluate_conditions(template, change_set["_resolved_params"])
    for change in list(change_set["Changes"]):
        raw = change["ResourceChange"]
        resource = template["Resources"].get(raw["LogicalResourceId"])
        if resource is None or raw["LogicalResourceId"] in live:
            continue
        if not conditions.get(resource.get("Condition"), True):
            change_set["Changes"].remove(change)
        elif raw["Action"] == "Modify":
            raw["Action"] = "Add"
            for name in ("Details", "PhysicalResourceId", "Replacement", "Scope"):
                raw.pop(name, None)
    shown = {change["ResourceChange"]["LogicalResourceId"] for change in change_set["Changes"]}
    for logical_id, resource in template["Resources"].items():
        new = logical_id not in live and logical_id not in shown and resource["Type"] != STACK
        if new and conditions.get(resource.get("Condition"), True):
            raw = {"Action": "Add", "LogicalResourceId": logical_id, "ResourceType": resource["Type"]}
            change_set["Changes"].append({"ResourceChange": raw})


def _child_change_set(
    logical_id: str,
    resource: _Record,
    live: _Record | None,
    changed: set[str],
    parent: _Record,
    root: _Record,
    params: Any,
    create: Callable[[Any], _Response],
) -> _Record:
    stack = _stacks[parent["StackName"]]
    properties = resource.get("Properties") or {}
    request = {key: value for key, value in params.items() if key.startswith("Capabilities")}
    request["ChangeSetName"] = [f"{root['ChangeSetName']}-{logical_id}-{uuid4().hex[:12].upper()}"[-128:].lstrip("-")]
    request["TemplateURL"] = [_resolved(properties.get("TemplateURL"), parent, stack)]
    for number, (key, value) in enumerate((properties.get("Parameters") or {}).items(), 1):
        unknown = _is_unknown(value, parent["_template"], stack, changed)
        text = f"{{{{IntrinsicFunction:{stack['StackId']}/{logical_id}/{key}/Fn::GetAtt}}}}"
        request[f"Parameters.member.{number}.ParameterKey"] = [key]
        request[f"Parameters.member.{number}.ParameterValue"] = [
            text if unknown else str(_resolved(value, parent, stack))
        ]
    if live is None:
        name = f"{stack['StackName']}-{logical_id}-{uuid4().hex[:12].upper()}"
        request.update(StackName=[name], ChangeSetType=["CREATE"])
    else:
        name = live["PhysicalResourceId"].split("/")[1]
        request.update(StackName=[name], ChangeSetType=["UPDATE"])
    status, _, body = create(request)
    answer = fromstring(body)
    if status != 200:
        raise _ChildRefusedError(
            f"Nested change set for {logical_id} was not successfully created: {_found(answer, 'Message')}"
        )
    if live is None:
        _stacks[name].update(
            ParentId=stack["StackId"], RootId=stack.get("RootId", stack["StackId"]), _logical_id=logical_id
        )
    child: _Record = _change_sets[_found(answer, "Id")]
    child.update(ParentChangeSetId=parent["ChangeSetId"], RootChangeSetId=root["ChangeSetId"], IncludeNestedStacks=True)
    return child


def _children(template: _Record, parameters: _Record) -> Iterator[tuple[str, _Record]]:
    """The nested stacks of a template whose conditions hold, each after those that it takes outputs from."""
    conditions = engine._evaluate_conditions(template, parameters)
    for logical_id in engine._topological_sort(template["Resources"], conditions):
        resource = template["Resources"][logical_id]
        if resource.get("Type") == STACK and conditions.get(resource.get("Condition"), True):
            yield logical_id, resource


def _is_unknown(value: object, template: _Record, stack: _Record, changed: set[str]) -> bool:
    """Whether a value is known only once the change set is executed: it reads what is yet to be made, or a
    sibling that changes. AWS then shows a placeholder, and more changes than there will be
    (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759)."""
    return any(
        name in template["Resources"] and (name not in stack["_resources"] or name in changed)
        for name, _ in engine._intrinsic_references(value)
    )


def _resolved(value: object, change_set: _Record, stack: _Record) -> Any:
    template, parameters = change_set["_template"], change_set["_resolved_params"]
    return engine._resolve_refs(
        copy.deepcopy(value),
        stack["_resources"],
        parameters,
        engine._evaluate_conditions(template, parameters),
        template.get("Mappings", {}),
        stack["StackName"],
        stack["StackId"],
    )


def _automatic_change(logical_id: str, live: _Record) -> _Record:
    """A child that changes although its properties in the parent do not."""
    detail = {
        "Target": {"Attribute": "Properties", "Name": "TemplateURL", "RequiresRecreation": "Never"},
        "Evaluation": "Dynamic",
        "ChangeSource": "Automatic",
    }
    return {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": live.get("PhysicalResourceId", ""),
        "ResourceType": STACK,
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [detail],
    }


def _sweep() -> None:
    """Drop the children's change sets whose root is gone, and the placeholders that no change set needs."""
    for change_set_id, change_set in list(_change_sets.items()):
        if change_set.get("RootChangeSetId", change_set_id) not in _change_sets:
            del _change_sets[change_set_id]
    pending = ("AVAILABLE", "UNAVAILABLE", "EXECUTE_IN_PROGRESS")
    needed = {c["StackId"] for c in _change_sets.values() if c["ExecutionStatus"] in pending}
    for name, stack in list(_stacks.items()):
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS" and "ParentId" in stack and stack["StackId"] not in needed:
            del _stacks[name]
            _stack_events.pop(stack["StackId"], None)


def _show_nesting(root: Element) -> None:
    result = root.find(f"{_NAMESPACE}DescribeChangeSetResult")
    assert result is not None
    change_set = _change_sets[_found(result, "ChangeSetId")]
    for tag in ("ParentChangeSetId", "RootChangeSetId"):
        if tag in change_set:
            _append(result, tag, change_set[tag])
    _append(result, "IncludeNestedStacks", str(change_set.get("IncludeNestedStacks", False)).lower())
    nested = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"].get("ChangeSetId")
        for change in change_set["Changes"]
    }
    for change in result.iter(f"{_NAMESPACE}ResourceChange"):
        change_set_id = nested.get(_found(change, "LogicalResourceId"))
        if change_set_id:
            _append(change, "ChangeSetId", change_set_id)


def _show_values(root: Element) -> None:
    change_set = _change_sets[_found(root, "ChangeSetId")]
    stack = _stacks[change_set["StackName"]]
    live = {"_template": stack["_template"], "_resolved_params": stack["_resolved_params"]}
    for change in root.iter(f"{_NAMESPACE}ResourceChange"):
        logical_id = _found(change, "LogicalResourceId")
        before, after = (_properties(logical_id, source, stack) for source in (live, change_set))
        if before is not None:
            _append(change, "BeforeContext", json.dumps({"Properties": before}))
        if after is not None:
            _append(change, "AfterContext", json.dumps({"Properties": after}))
        for target in change.iter(f"{_NAMESPACE}Target"):
            name = target.findtext(f"{_NAMESPACE}Name")
            if name is not None:
                _show_change(target, name, before or {}, after or {})


def _show_change(target: Element, name: str, before: _Record, after: _Record) -> None:
    _append(target, "Path", f"/Properties/{name}")
    kind = "Add" if name not in before else "Remove" if name not in after else "Modify"
    _append(target, "AttributeChangeType", kind)
    for tag, properties in (("BeforeValue", before), ("AfterValue", after)):
        if name in properties:
            value = properties[name]
            _append(target, tag, value if isinstance(value, str) else json.dumps(value))


def _properties(logical_id: str, source: _Record, stack: _Record) -> _Record | None:
    """A resource's properties as far as they are known before execution, with every secret masked."""
    template, parameters = source["_template"], source["_resolved_params"]
    resource = template.get("Resources", {}).get(logical_id)
    if resource is None:
        return None
    masked = {name: {**entry, "Value": _MASK} if entry["NoEcho"] else entry for name, entry in parameters.items()}
    shown = {"_template": template, "_resolved_params": masked}
    return {
        name: _KNOWN_LATER if _is_unknown(value, template, stack, set()) else _resolved(value, shown, stack)
        for name, value in (resource.get("Properties") or {}).items()
    }


def _edited(response: _Response, edit: Callable[[Element], None]) -> _Response:
    """The response with its XML changed; an error passes as it is."""
    status, headers, body = response
    if status != 200:
        return response
    root = fromstring(body)
    edit(root)
    register_namespace("", helpers.CFN_NS)
    return status, headers, tostring(root, encoding="utf-8", xml_declaration=True)


def _append(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, f"{_NAMESPACE}{tag}").text = text


def _found(element: Element, tag: str) -> str:
    return element.findtext(f".//{_NAMESPACE}{tag}") or ""
