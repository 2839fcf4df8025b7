"""Nested stacks, run by the engine that runs every other stack.

MiniStack deploys a child inline, by a copy of its engine that has no rollback, no exports, no dynamic
references and no deletion policies, and that forgets the attributes of unchanged resources. Here a child is
a stack like any other: the same engine creates, updates, rolls back and deletes it, on the worker thread
that the parent's engine gives to its resource.

The children read their templates from S3 when they are deployed, not when the change set was made.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4
from xml.etree.ElementTree import fromstring

from ministack.core.responses import get_account_id, get_region, now_iso
from ministack.services.cloudformation import (
    _stack_events,
    _stacks,
    changesets,
    engine,
    handlers,
    helpers,
    provisioners,
    stacks,
)

from scaleout_cfn.aws import NESTED

_REVERTING: ContextVar[bool] = ContextVar("reverting", default=False)
"""True while a parent sends a child back to what it was before the update."""

_ROLLING_BACK: ContextVar[bool] = ContextVar("rolling_back", default=False)
"""True while a parent deletes what the failed operation had created."""

_Record = dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """What a child is deployed from. `parameters` are resolved: name -> {Value, NoEcho, Type}."""

    template: dict[str, Any]
    body: str
    parameters: dict[str, dict[str, Any]]
    tags: list[dict[str, str]]


def nested_stacks() -> None:
    """MiniStack's nested stacks lose attributes on update (UPDATE_ROLLBACK_FAILED "attribute Arn does not
    exist"), leave a failed child's resources behind, ignore DeletionPolicy and swallow a failed delete."""
    update_resource, revert, roll_back = stacks._update_resource, stacks._revert_update, stacks._roll_back_operation
    execute = handlers._ACTION_HANDLERS["ExecuteChangeSet"]

    def update_any(
        resource_type: str, physical_id: str, old: _Record, new: _Record, stack_name: str, *rest: Any
    ) -> Any:
        # A child is looked at even when its properties are unchanged: the template behind its URL may not be.
        if resource_type == NESTED:
            return _update(physical_id, new, stack_name)
        return update_resource(resource_type, physical_id, old, new, stack_name, *rest)

    async def revert_any(*arguments: Any) -> Any:
        token = _REVERTING.set(True)
        try:
            return await revert(*arguments)
        finally:
            _REVERTING.reset(token)

    async def roll_back_children(
        stack_name: str, stack_id: str, stack: _Record, operation: _Record, *rest: Any
    ) -> None:
        token = _ROLLING_BACK.set(True)
        try:
            await roll_back(stack_name, stack_id, stack, _with_children(stack, operation), *rest)
        finally:
            _ROLLING_BACK.reset(token)
        for record in stack["_resources"].values():
            record["Properties"].pop(_CHANGED, None)

    def execute_with_options(params: Any) -> Any:
        _, change_set = changesets._find_change_set(
            helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
        )
        stack = _stacks.get(change_set["StackName"]) if change_set else None
        if stack is not None:
            stack["_keep_failed"] = change_set.get("OnStackFailure") == "DO_NOTHING" or _flag(params, "DisableRollback")
            stack["_retain_except_on_create"] = _flag(params, "RetainExceptOnCreate")
        return execute(params)

    provisioners._RESOURCE_HANDLERS[NESTED] = {"create": _create, "delete": _delete}
    stacks._update_resource = update_any
    stacks._revert_update = revert_any
    stacks._roll_back_operation = roll_back_children
    handlers._ACTION_HANDLERS["ExecuteChangeSet"] = execute_with_options


def event_physical_ids() -> None:
    """MiniStack's events name the physical id at the end only. AWS repeats it in every event once it is
    known, and a follower needs a child's ARN while the child is at work, or after it has failed."""
    add_event = stacks._add_event

    def add_event_with_id(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        if not physical_id:
            earlier = (e for e in reversed(_stack_events.get(stack_id, [])) if e["LogicalResourceId"] == logical_id)
            last = next(earlier, None)
            if last is not None and last["ResourceStatus"] != "DELETE_COMPLETE":
                physical_id = last["PhysicalResourceId"]
        add_event(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)

    stacks._add_event = add_event_with_id


def unchanged_resource_events() -> None:
    """MiniStack's update writes events for every resource of the template. AWS writes them for what changes."""
    update_resource, add_event = stacks._update_resource, stacks._add_event

    def update_noting(
        resource_type: str, physical_id: str, old: _Record, new: _Record, stack_name: str, logical_id: str, *rest: Any
    ) -> Any:
        if old == new and resource_type != NESTED:
            _stacks[stack_name].setdefault("_unchanged", set()).add(logical_id)
        return update_resource(resource_type, physical_id, old, new, stack_name, logical_id, *rest)

    def add_event_of_change(
        stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, *rest: Any, **more: Any
    ) -> None:
        unchanged = _stacks.get(stack_name, {}).get("_unchanged", set())
        if status == "UPDATE_COMPLETE" and logical_id in unchanged:
            unchanged.discard(logical_id)
            events = _stack_events[stack_id]
            if (events[-1]["LogicalResourceId"], events[-1]["ResourceStatus"]) == (logical_id, "UPDATE_IN_PROGRESS"):
                del events[-1]
            return
        add_event(stack_id, stack_name, logical_id, resource_type, status, *rest, **more)

    stacks._update_resource = update_noting
    stacks._add_event = add_event_of_change


_CHANGED: Final = "_Changed"
"""Marks the old properties of a child that changed behind an unchanged URL: the engine reverts by properties."""


def _create(logical_id: str, properties: _Record, parent_name: str) -> tuple[str, dict[str, str]]:
    parent = _stacks[parent_name]
    source = _read(properties, parent_name)
    child = _reviewed(parent, logical_id) or _record(parent, logical_id)
    _stacks[child["StackName"]] = child
    # The parent knows its child from here on: it shows it, and its rollback finds it.
    resource = {
        "PhysicalResourceId": child["StackId"],
        "ResourceType": NESTED,
        "ResourceStatus": "CREATE_IN_PROGRESS",
        "LogicalResourceId": logical_id,
        "Properties": properties,
        "Attributes": {},
        "Timestamp": now_iso(),
    }
    parent["_resources"][logical_id] = resource
    stacks._add_event(
        parent["StackId"],
        parent_name,
        logical_id,
        NESTED,
        "CREATE_IN_PROGRESS",
        "Resource creation Initiated",
        child["StackId"],
    )
    try:
        _deploy(child, source, parent)
    except ValueError:
        resource["ResourceStatus"] = "CREATE_FAILED"
        raise
    return child["StackId"], _attributes(child)


def _update(physical_id: str, properties: _Record, parent_name: str) -> tuple[str, dict[str, str]]:
    child = _child(physical_id)
    if _REVERTING.get():
        _revert(child)
    else:
        source = _read(properties, parent_name)
        child["_before"] = _current(child)
        if _current(child) != source:
            _deploy(child, source, _stacks[parent_name], is_update=True)
    return child["StackId"], _attributes(child)


def _delete(physical_id: str, properties: _Record) -> None:
    child = _find(physical_id)
    if child is None or child["StackStatus"] == "DELETE_COMPLETE":
        return
    if _ROLLING_BACK.get():
        _release(child)
    asyncio.run(stacks._delete_stack_async(child["StackName"], child["StackId"]))
    if child["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(
            f"Embedded stack {child['StackId']} was not successfully deleted: {child['StackStatusReason']}"
        )


def _release(child: _Record) -> None:
    """Let go of what is retained except when "the stack operation that created the resource is rolled back"
    (aws-attribute-deletionpolicy). For a child that operation is its root's."""
    released = ("RetainExceptOnCreate", *(("Retain",) if child.get("_retain_except_on_create") else ()))
    child["_template"] = copy.deepcopy(child["_template"])
    for resource in child["_template"].get("Resources", {}).values():
        if resource.get("DeletionPolicy") in released:
            resource["DeletionPolicy"] = "Delete"


def _deploy(child: _Record, source: _Source, parent: _Record, *, is_update: bool = False) -> None:
    """Run the engine for a child, and raise ValueError in AWS's words when it does not succeed."""
    kind = "UPDATE" if is_update else "CREATE"
    child["Capabilities"] = provisioners._inherited_capabilities(parent["StackName"])
    child["_keep_failed"] = parent.get("_keep_failed", parent.get("DisableRollback", False))
    child["_retain_except_on_create"] = parent.get("_retain_except_on_create", False)
    first = len(_stack_events[child["StackId"]])
    _run(
        child,
        source,
        kind,
        is_update=is_update,
        disable_rollback=child["_keep_failed"],
        retain_except_on_create=child["_retain_except_on_create"],
    )
    if child["StackStatus"] == f"{kind}_COMPLETE":
        return
    events = _stack_events[child["StackId"]][first:]
    failed = [
        event["LogicalResourceId"]
        for event in events
        if event["ResourceStatus"] in ("CREATE_FAILED", "UPDATE_FAILED")
        and event["LogicalResourceId"] != child["StackName"]
    ]
    verb = kind.lower()
    reason = (
        f"The following resource(s) failed to {verb}: [{', '.join(dict.fromkeys(failed))}]. "
        if failed
        else child.get("StackStatusReason") or _last_reason(events)
    )
    raise ValueError(f"Embedded stack {child['StackId']} was not successfully {verb}d: {reason}")


def _revert(child: _Record) -> None:
    """Send a child back to what it was when its parent's update began."""
    before: _Source | None = child.get("_before")
    if child["StackStatus"] == "UPDATE_ROLLBACK_FAILED" and child.get("_rollback_failed"):
        asyncio.run(stacks._continue_update_rollback_async(child["StackName"], child["StackId"], ()))
    elif before is not None and before != _current(child):
        _run(child, before, "UPDATE_ROLLBACK", is_update=True, disable_rollback=True)
        # The engine knows this as an update; it is told here as the rollback that it is.
        outcome = "COMPLETE" if child["StackStatus"] == "UPDATE_COMPLETE" else "FAILED"
        child["StackStatus"] = f"UPDATE_ROLLBACK_{outcome}"
        _stack_events[child["StackId"]][-1]["ResourceStatus"] = child["StackStatus"]
    if child["StackStatus"].endswith("_FAILED"):
        raise ValueError(
            f"Embedded stack {child['StackId']} was not successfully updated."
            f" Currently in {child['StackStatus']} with reason: {child.get('StackStatusReason', '')}"
        )


def _run(child: _Record, source: _Source, kind: str, *, is_update: bool, **options: bool) -> None:
    """Begin the operation `kind` on the child's record as CreateStack and ExecuteChangeSet do, and run it."""
    previous = None
    if is_update:
        kept = ("_resources", "_template", "_template_body", "_resolved_params", "_conditions")
        previous = {key: copy.deepcopy(child[key]) for key in (*kept, "Parameters", "Tags", "Outputs")}
    child.update(
        StackStatus=f"{kind}_IN_PROGRESS",
        StackStatusReason="",
        LastUpdatedTime=now_iso(),
        Description=source.template.get("Description", ""),
        Tags=source.tags,
        Parameters=[
            {"ParameterKey": name, "ParameterValue": entry["Value"], "NoEcho": entry["NoEcho"]}
            for name, entry in source.parameters.items()
        ],
        _template_body=source.body,
        _conditions=engine._evaluate_conditions(source.template, source.parameters),
    )
    name, stack_id = child["StackName"], child["StackId"]
    stacks._add_event(stack_id, name, name, NESTED, child["StackStatus"], physical_id=stack_id)
    asyncio.run(
        stacks._deploy_stack_async(
            name,
            stack_id,
            source.template,
            source.parameters,
            tags=source.tags,
            is_update=is_update,
            previous_stack=previous,
            **options,
        )
    )


def _with_children(stack: _Record, operation: _Record) -> _Record:
    """The operation to roll back, with the children that the engine would pass over: one that failed while
    it was created is deleted, one that changed behind an unchanged URL is sent back."""
    resources = stack.setdefault("_resources", {})
    previous = ((operation.get("previous_stack") or {}).get("_resources")) or {}
    created = list(operation.get("created") or [])
    failed = operation.get("failed_logical_id")
    if failed in resources and failed not in previous and resources[failed]["ResourceType"] == NESTED:
        created.append(failed)
    for logical_id in created:
        record, old = resources[logical_id], previous.get(logical_id)
        if record["ResourceType"] == NESTED and old is not None and old["Properties"] == record["Properties"]:
            child = _find(record["PhysicalResourceId"])
            if child is not None and child.get("_before") not in (None, _current(child)):
                old["Properties"] = {**old["Properties"], _CHANGED: True}
    return {**operation, "created": created}


def _read(properties: _Record, parent_name: str) -> _Source:
    """Fetch a child's template and resolve its parameters. Raises ValueError as AWS words it."""
    url = properties.get("TemplateURL")
    if not url:
        raise ValueError("Encountered unsupported property: a nested stack needs a TemplateURL")
    body, problem = helpers._resolve_template({"TemplateURL": [url]})
    if problem is not None:
        raise ValueError(fromstring(problem[2]).findtext(".//{*}Message"))
    template = engine._parse_template(body)
    provisioners._check_nested_stack_capabilities(parent_name, template)
    given = properties.get("Parameters") or {}
    if any(isinstance(value, (list, dict)) for value in given.values()):
        raise ValueError("Value of property Parameters must be an object with String (or simple type) properties")
    unknown = sorted(set(given) - set(template.get("Parameters") or {}))
    if unknown:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    parameters = engine._resolve_parameters(
        template, [{"Key": name, "Value": _text(value)} for name, value in given.items()]
    )
    engine.validate_template_support(template, engine._evaluate_conditions(template, parameters), parameters)
    tags = [
        {"Key": key, "Value": value}
        for key, value in provisioners._tag_map(properties.get("Tags")).items()
        if not key.startswith("aws:")
    ]
    return _Source(template, body, parameters, tags)


def _current(child: _Record) -> _Source:
    return _Source(child["_template"], child["_template_body"], child["_resolved_params"], child["Tags"])


def _reviewed(parent: _Record, logical_id: str) -> _Record | None:
    """The placeholder that a nested change set made for this child, if there was one."""
    wanted = (parent["StackId"], logical_id, "REVIEW_IN_PROGRESS")
    for stack in _stacks.values():
        if (stack.get("ParentId"), stack.get("_logical_id"), stack["StackStatus"]) == wanted:
            return stack  # type: ignore[no-any-return]
    return None


def _record(parent: _Record, logical_id: str) -> _Record:
    """A new child's record, with the keys that MiniStack's own stacks have."""
    name = f"{parent['StackName']}-{logical_id}-{uuid4().hex[:12].upper()}"
    stack_id = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{name}/{uuid4()}"
    _stack_events[stack_id] = []
    return {
        "StackName": name,
        "StackId": stack_id,
        "CreationTime": now_iso(),
        "Outputs": [],
        "DisableRollback": False,
        "ParentId": parent["StackId"],
        "RootId": parent.get("RootId", parent["StackId"]),
        "_logical_id": logical_id,
        "_region": get_region(),
        "_resources": {},
        "_template": {},
        "_resolved_params": {},
    }


def _find(stack_id: str) -> _Record | None:
    return next((stack for stack in _stacks.values() if stack["StackId"] == stack_id), None)


def _child(stack_id: str) -> _Record:
    child = _find(stack_id)
    if child is None or child["StackStatus"] == "DELETE_COMPLETE":
        raise ValueError(f"Stack [{stack_id}] does not exist")
    return child


def _attributes(child: _Record) -> dict[str, str]:
    return {f"Outputs.{output['OutputKey']}": output["OutputValue"] for output in child["Outputs"]}


def _last_reason(events: Sequence[Mapping[str, str]]) -> str:
    return next((event["ResourceStatusReason"] for event in reversed(events) if event["ResourceStatusReason"]), "")


def _flag(params: Any, name: str) -> bool:
    return str(helpers._p(params, name, "false")).lower() == "true"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
