"""Change sets as the deployer uses them: nested, and made again for a stack that waits for its first one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, fromstring, register_namespace, tostring

from ministack.services.cloudformation import (
    _change_sets,
    _stack_events,
    _stacks,
    changesets,
    handlers,
    helpers,
    provisioners,
    stacks,
)

from scaleout_cfn.aws import NESTED
from scaleout_cfn.local.differences import Comparison

_NO_CHANGES: Final = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
_MASK: Final = "****"
_NAMESPACE: Final = f"{{{helpers.CFN_NS}}}"

_Record = dict[str, Any]
_Response = tuple[int, dict[str, str], bytes]


class _ChildRefusedError(Exception):
    """A child's change set could not be made; the root's fails with the reason."""


def documented_changes() -> None:
    """MiniStack ignores IncludeNestedStacks: no change set for a child, no ChangeSetId in the root's. It compares
    templates without their conditions, and for most types takes any change for a conditional replacement."""
    actions = handlers._ACTION_HANDLERS
    create, describe = actions["CreateChangeSet"], actions["DescribeChangeSet"]
    track = changesets._track_change_set_execution

    def create_compared(params: Any) -> _Response:
        response: _Response = create(params)
        if response[0] == 200:
            root = _change_sets[_text_at(fromstring(response[2]), "Id")]
            root["IncludeNestedStacks"] = helpers._p(params, "IncludeNestedStacks").lower() == "true"
            try:
                _compare(root, root, params, create)
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

    actions["CreateChangeSet"] = create_compared
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


def no_echo_masked() -> None:
    """MiniStack's DescribeChangeSet shows the values of NoEcho parameters. AWS shows ****."""
    describe = handlers._ACTION_HANDLERS["DescribeChangeSet"]

    def mask(root: Element) -> None:
        parameters = _change_sets[_text_at(root, "ChangeSetId")]["_resolved_params"]
        for value in root.iter(f"{_NAMESPACE}Parameters"):
            for member in value:
                if parameters[_text_at(member, "ParameterKey")]["NoEcho"]:
                    for text in member.iter(f"{_NAMESPACE}ParameterValue"):
                        text.text = _MASK

    handlers._ACTION_HANDLERS["DescribeChangeSet"] = lambda params: _edited(describe(params), mask)


def property_values() -> None:
    """MiniStack ignores IncludePropertyValues: a change set says what changes, not from what to what."""
    describe = handlers._ACTION_HANDLERS["DescribeChangeSet"]

    def describe_values(params: Any) -> _Response:
        response: _Response = describe(params)
        with_values = helpers._p(params, "IncludePropertyValues").lower() == "true"
        return _edited(response, _show_values if with_values else _fold)

    handlers._ACTION_HANDLERS["DescribeChangeSet"] = describe_values


def _compare(change_set: _Record, root: _Record, params: Any, create: Callable[[Any], _Response]) -> None:
    """Write the changes of a change set, and make one for every child that changes, depth first."""
    if change_set["ChangeSetType"] == "IMPORT" or change_set["ImportExistingResources"]:
        return  # what is imported is no matter of templates
    stack = _stacks[change_set["StackName"]]
    retagged = stacks._stack_tags_changed(stack, change_set["Tags"], change_set["_tags_given"])
    comparison = Comparison(stack, change_set)
    changes: dict[str, _Record] = {}
    for logical_id in comparison.order:
        change = comparison.change(logical_id, retagged=retagged)
        if root["IncludeNestedStacks"] and comparison.definition(logical_id)["Type"] == NESTED:
            child = _child_change_set(logical_id, comparison, change_set, root, params, create)
            if child is None:  # its outputs stay, whatever its URL is
                comparison.effects.pop(logical_id, None)
            else:
                change = change or comparison.modified(logical_id, [_AUTOMATIC])
                change["ChangeSetId"] = child["ChangeSetId"]
        if change is not None:
            changes[logical_id] = change
    changes |= {change["LogicalResourceId"]: change for change in comparison.removals()}
    change_set["Changes"] = [{"ResourceChange": changes[logical_id]} for logical_id in sorted(changes)]
    if changes or comparison.changes_outputs():
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
    else:
        change_set.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=_NO_CHANGES)


_AUTOMATIC: Final = {
    "Target": {"Attribute": "Properties", "RequiresRecreation": "Never"},
    "Evaluation": "Dynamic",
    "ChangeSource": "Automatic",
}
"""The detail of a child that changes although its properties in the parent do not."""


def _child_change_set(
    logical_id: str,
    comparison: Comparison,
    parent: _Record,
    root: _Record,
    params: Any,
    create: Callable[[Any], _Response],
) -> _Record | None:
    """A change set for a nested stack, None where nothing in it changes."""
    stack = _stacks[parent["StackName"]]
    live = stack["_resources"].get(logical_id)
    properties = comparison.definition(logical_id).get("Properties") or {}
    request = {key: value for key, value in params.items() if key.startswith("Capabilities")}
    request["ChangeSetName"] = [f"{root['ChangeSetName']}-{logical_id}-{uuid4().hex[:12].upper()}"[-128:].lstrip("-")]
    request["TemplateURL"] = [comparison.resolved(properties.get("TemplateURL"))]
    for number, (key, value) in enumerate((properties.get("Parameters") or {}).items(), 1):
        request[f"Parameters.member.{number}.ParameterKey"] = [key]
        request[f"Parameters.member.{number}.ParameterValue"] = [comparison.parameter(value)]
    inherited = parent["Tags"] if parent["_tags_given"] else stack["Tags"]
    tags = provisioners._tag_map(inherited) | provisioners._tag_map(comparison.resolved(properties.get("Tags")))
    request["Tags"] = [""]  # given, even if there are none
    for number, (key, value) in enumerate(tags.items(), 1):
        request[f"Tags.member.{number}.Key"], request[f"Tags.member.{number}.Value"] = [key], [value]
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
            f"Nested change set for {logical_id} was not successfully created: {_text_at(answer, 'Message')}"
        )
    if live is None:
        _stacks[name].update(
            ParentId=stack["StackId"], RootId=stack.get("RootId", stack["StackId"]), _logical_id=logical_id
        )
    child: _Record = _change_sets[_text_at(answer, "Id")]
    child.update(ParentChangeSetId=parent["ChangeSetId"], RootChangeSetId=root["ChangeSetId"], IncludeNestedStacks=True)
    _compare(child, root, params, create)
    if child["Status"] == "CREATE_COMPLETE":
        return child
    del _change_sets[child["ChangeSetId"]]
    return None


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
    change_set = _change_sets[_text_at(result, "ChangeSetId")]
    for tag in ("ParentChangeSetId", "RootChangeSetId"):
        if tag in change_set:
            _append(result, tag, change_set[tag])
    _append(result, "IncludeNestedStacks", str(change_set.get("IncludeNestedStacks", False)).lower())
    for raw, change in _with_records(root):
        if "ChangeSetId" in raw:
            _append(change, "ChangeSetId", raw["ChangeSetId"])


def _show_values(root: Element) -> None:
    for raw, change in _with_records(root):
        for tag, name in (("BeforeContext", "_before"), ("AfterContext", "_after")):
            if name in raw:
                _append(change, tag, json.dumps(raw[name]))
        for detail, target in zip(raw.get("Details", ()), change.iter(f"{_NAMESPACE}Target"), strict=True):
            for tag in ("Path", "AttributeChangeType", "BeforeValue", "AfterValue"):
                if tag in detail["Target"]:
                    _append(target, tag, detail["Target"][tag])


def _fold(root: Element) -> None:
    """Without values, the changes of one property are told once for each cause."""
    for details in root.iter(f"{_NAMESPACE}Details"):
        told = set()
        for detail in list(details):
            text = tostring(detail)
            if text in told:
                details.remove(detail)
            told.add(text)


def _with_records(root: Element) -> list[tuple[_Record, Element]]:
    """Every change of the answer, with what is recorded of it."""
    change_set = _change_sets[_text_at(root, "ChangeSetId")]
    recorded = [change["ResourceChange"] for change in change_set["Changes"]]
    return list(zip(recorded, root.iter(f"{_NAMESPACE}ResourceChange"), strict=True))


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


def _text_at(element: Element, tag: str) -> str:
    return element.findtext(f".//{_NAMESPACE}{tag}") or ""
