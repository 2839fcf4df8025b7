"""CloudFormation as a deployer sees it: stacks and change sets with nested ones, events, failures and rollbacks."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from scaleout_cfn.templates.reading import load as read_text

NESTED = "AWS::CloudFormation::Stack"
PAGE = 2
#: Properties whose change replaces the resource.
REPLACING = {"AWS::DynamoDB::Table": {"KeySchema"}, "AWS::ECS::TaskDefinition": {"Family", "ContainerDefinitions"}}
#: By what property a change set finds what is there, where it may take it in.
NAMES = {"AWS::DynamoDB::Table": "TableName"}
#: The result of a hook that refuses a resource.
HOOK = "2a36aa47-2d4c-4ab8-a263-000000000001"
BASE = "arn:aws:cloudformation:eu-west-1:123456789012"
ELB = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
#: The only listener rules that a set here may have, and the target groups that they lead to.
RULE = f"{ELB}:listener-rule/app/web/0123456789abcdef/0123456789abcdef/1111111111111111"
TEST_RULE = f"{ELB}:listener-rule/app/web/0123456789abcdef/fedcba9876543210/2222222222222222"
GROUPS = (f"{ELB}:targetgroup/blue/0123456789abcdef", f"{ELB}:targetgroup/green/0123456789abcdef")


@functools.cache
def load(text: str, name: str) -> Any:
    """A template; each text is read once, for there are many deployments of the same few."""
    return read_text(text, name)


class Refused(Exception):
    """An error of the API."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code, self.message, self.status = code, message, status
        super().__init__(f"{code}: {message}")


class Failed(Exception):
    """A resource that failed."""


@dataclass
class Stack:
    name: str
    id: str
    status: str
    created: Any
    updated: Any = None
    text: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    policy: str = ""
    path: str = ""
    replaced: list[tuple[str, str, str]] = field(default_factory=list)
    role: str = ""

    def since(self, title: str) -> Any:
        """When a resource got the status that it has."""
        times = (one["Timestamp"] for one in reversed(self.events) if one["LogicalResourceId"] == title)
        return next(times, self.created)

    @property
    def template(self) -> dict[str, Any]:
        return load(self.text, "t").body if self.text else {"Resources": {}}


class CloudFormation:
    """The service. `failures` maps a path such as `Service/Service` to the reason it fails with, so many times.

    `hooks` maps a path to the reason why a hook refuses it, with `hook_results` for more of what it says; `findings`
    are what the validation of change sets found. `undeletable` maps a path to the reason why what it was before its
    replacement cannot be deleted. `drifted` maps the path of a resource to those of its properties that somebody has
    changed, and `gone` is what somebody has deleted; a drift-aware change set sees both. `existing` are the
    properties of what is there and of no stack, by type and name. `crowd` maps the path of a stack to the number of old
    change sets that it has, besides those that are made here.
    """

    def __init__(self, world: Any) -> None:
        self.world = world
        self.stacks: dict[str, Stack] = {}
        self.sets: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, tuple[str, int]] = {}
        self.crowd: dict[str, int] = {}
        self.findings: list[dict[str, Any]] = []
        self.hook_results: list[dict[str, Any]] = []
        self.hooks: dict[str, str] = {}
        self.undeletable: dict[str, str] = {}
        self.drifted: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.existing: dict[tuple[str, str], dict[str, Any]] = {}
        self.taking_in = False
        self.refactors: dict[str, dict[str, Any]] = {}
        self.more_moves: list[dict[str, Any]] = []
        self.move_failure = ""
        self.reverting = False
        self.executions = 0
        self.resource_s = 4.0
        self.set_s = 2.0
        self.set_failure = ""
        self._jobs: list[tuple[float, Iterator[float]]] = []
        self._ids = itertools.count(1)
        self._tokens: dict[str, str] = {}
        self.hide_updates_until = 0.0
        self.traffic: Any = None  # of `shifting`: the deployments that services wait for

    # time

    def advance(self) -> None:
        """Everything that has become due since."""
        while due := [job for job in self._jobs if job[0] <= self.world.seconds]:
            job = min(due, key=lambda one: one[0])
            self._jobs.remove(job)
            here = self.world.seconds
            self.world.seconds = job[0]  # what happens then has that time
            try:
                wait = next(job[1])
                self._jobs.append((job[0] + wait, job[1]))
            except StopIteration:
                pass
            self.world.seconds = here

    def finish(self) -> None:
        """Let all that runs come to its end."""
        while self._jobs:
            self.world.seconds += 1
            self.advance()

    def _start(self, job: Iterator[float]) -> None:
        self._jobs.append((self.world.seconds, job))
        self.advance()

    # reading

    def physical_id(self, title: str) -> str:
        """Of the first resource of that title in any live stack."""
        for stack in self.stacks.values():
            if title in stack.resources and stack.status != "DELETE_COMPLETE":
                return str(stack.resources[title]["physical"])
        return ""

    def definition_of(self, service: str) -> str:
        """The task definition beside a service, in a live stack."""
        for stack in self.stacks.values():
            if stack.status == "DELETE_COMPLETE":
                continue
            if any(resource["physical"] == service for resource in stack.resources.values()):
                definitions = (one for one in stack.resources.values() if one["type"] == "AWS::ECS::TaskDefinition")
                return next((str(one["physical"]) for one in definitions), "")
        return ""

    def live(self, name: str) -> Stack | None:
        for stack in self.stacks.values():
            if name == stack.id or (name == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        return None

    def _there(self, name: str) -> Stack:
        stack = self.live(name)
        if stack is None:
            raise Refused("ValidationError", f"Stack with id {name} does not exist")
        return stack

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        stack = self._there(StackName)
        shown = {
            "StackName": stack.name,
            "StackId": stack.id,
            "StackStatus": stack.status,
            "CreationTime": stack.created,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": "****" if self._secret(stack, key) else value}
                for key, value in stack.parameters.items()
            ],
            "Tags": stack.tags,
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()],
        }
        if stack.updated:
            shown["LastUpdatedTime"] = stack.updated
        if stack.role:
            shown["RoleARN"] = stack.role
        return {"Stacks": [shown]}

    def _secret(self, stack: Stack, key: str) -> bool:
        return str(stack.template.get("Parameters", {}).get(key, {}).get("NoEcho", "")).lower() == "true"

    def GetTemplate(self, StackName: str = "", ChangeSetName: str = "", *, TemplateStage: str = "") -> dict[str, Any]:
        text = self._found(ChangeSetName, "")["_text"] if ChangeSetName else self._there(StackName).text
        return {"TemplateBody": text}

    def DescribeStackEvents(self, StackName: str, NextToken: str = "0") -> dict[str, Any]:
        return _page("StackEvents", list(reversed(self._there(StackName).events)), NextToken)

    def DescribeEvents(self, ChangeSetName: str, NextToken: str = "0") -> dict[str, Any]:
        assert ChangeSetName.startswith("arn:")
        return _page("OperationEvents", self.findings, NextToken)

    def ListHookResults(self, TargetType: str, TargetId: str, NextToken: str = "0") -> dict[str, Any]:
        assert TargetType == "CHANGE_SET" and TargetId.startswith("arn:")
        summaries = [{key: value for key, value in one.items() if key != "Annotations"} for one in self.hook_results]
        return _page("HookResults", summaries, NextToken)

    def GetHookResult(self, HookResultId: str) -> dict[str, Any]:
        for one in self.hook_results:
            if one["HookResultId"] == HookResultId:
                return one
        raise Refused("HookResultNotFound", f"no result {HookResultId}", 404)

    def ListStackResources(self, StackName: str, NextToken: str = "0") -> dict[str, Any]:
        stack = self._there(StackName)
        rows = [
            {
                "LogicalResourceId": title,
                "PhysicalResourceId": one["physical"],
                "ResourceType": one["type"],
                "ResourceStatus": one["status"],
                "LastUpdatedTimestamp": stack.since(title),
            }
            for title, one in stack.resources.items()
        ]
        return _page("StackResourceSummaries", rows, NextToken)

    def ListChangeSets(self, StackName: str, NextToken: str = "0") -> dict[str, Any]:
        stack = self._there(StackName)
        names = ("ChangeSetId", "ChangeSetName", "Status", "ExecutionStatus")
        found = [{key: one[key] for key in names} for one in self.sets.values() if one["StackId"] == stack.id]
        found += [{"Status": "FAILED", "ExecutionStatus": "UNAVAILABLE"}] * self.crowd.get(stack.path, 0)
        return _page("Summaries", found, NextToken, 200)

    def _full(self, stack: Stack) -> str:
        """Why a stack takes no more change sets."""
        count = sum(one["StackId"] == stack.id for one in self.sets.values()) + self.crowd.get(stack.path, 0)
        return f"ChangeSet limit exceeded for stack {stack.id}" if count >= 1000 else ""

    def SetStackPolicy(self, StackName: str, StackPolicyBody: str) -> dict[str, Any]:
        self._there(StackName).policy = StackPolicyBody
        return {}

    def GetStackPolicy(self, StackName: str) -> dict[str, Any]:
        policy = self._there(StackName).policy
        return {"StackPolicyBody": policy} if policy else {}

    # change sets

    def CreateChangeSet(self, StackName: str, ChangeSetName: str, ChangeSetType: str, **given: Any) -> dict[str, Any]:
        stack = self.live(StackName)
        if ChangeSetType == "UPDATE":
            if stack is None:
                raise Refused("ValidationError", f"Stack [{StackName}] does not exist")
            if stack.status.endswith("_IN_PROGRESS") or stack.status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"):
                raise Refused("ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        elif stack is not None and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused("ValidationError", f"Stack [{StackName}] already exists and cannot be created")
        if stack and any(
            one["StackId"] == stack.id and one["ChangeSetName"] == ChangeSetName for one in self.sets.values()
        ):
            raise Refused("AlreadyExistsException", f"ChangeSet {ChangeSetName} already exists")
        if stack and (full := self._full(stack)):
            raise Refused("LimitExceededException", full)
        if stack is None:
            stack = self._new(StackName, "REVIEW_IN_PROGRESS")
            self._event(stack, stack.name, NESTED, "REVIEW_IN_PROGRESS", stack.id, "User Initiated")
        text = self._text(given["TemplateURL"])
        parameters = self._resolved(text, given.get("Parameters", []), stack)
        nested = given.get("IncludeNestedStacks", False)
        self.reverting = given.get("DeploymentMode") == "REVERT_DRIFT"
        self.taking_in = given.get("ImportExistingResources", False)
        made = self._set(stack, ChangeSetName, ChangeSetType, text, parameters, nested=nested)
        made |= {"Description": given.get("Description", ""), "_tags": given.get("Tags", [])}
        made["Capabilities"] = given.get("Capabilities", [])
        made["_role"] = given.get("RoleARN", "")
        self._start(self._making(made))
        return {"Id": made["ChangeSetId"], "StackId": stack.id}

    def _set(
        self,
        stack: Stack,
        name: str,
        kind: str,
        text: str,
        parameters: dict[str, str],
        root: str = "",
        *,
        nested: bool = True,
    ) -> dict[str, Any]:
        arn = f"{BASE}:changeSet/{name}/{next(self._ids)}"
        made: dict[str, Any] = {
            "ChangeSetName": name,
            "ChangeSetId": arn,
            "StackId": stack.id,
            "StackName": stack.name,
            "Status": "CREATE_PENDING",
            "ExecutionStatus": "UNAVAILABLE",
            "IncludeNestedStacks": nested,
            **({"DeploymentMode": "REVERT_DRIFT"} if self.reverting else {}),
            **({"ImportExistingResources": True} if self.taking_in else {}),
            "_full": "",
            "_type": kind,
            "_text": text,
            "_parameters": parameters,
            "_root": root or arn,
        }
        self.sets[arn] = made
        try:
            made["Changes"] = list(self._changes(stack, text, parameters, made))
        except Refused as refused:  # the template of a nested stack
            made |= {"Changes": [], "_full": refused.message}
        return made

    def _making(self, made: dict[str, Any]) -> Iterator[float]:
        yield self.set_s / 2
        made["Status"] = "CREATE_IN_PROGRESS"
        yield self.set_s / 2
        stack = self.stacks[made["StackId"]]
        if made["_full"]:
            made |= {"Status": "FAILED", "StatusReason": f"{made['_full']}: Resource creation cancelled"}
        elif self.set_failure:
            made |= {"Status": "FAILED", "StatusReason": self.set_failure}
        elif not made["Changes"] and made["_tags"] == stack.tags and made["_type"] == "UPDATE":
            made |= {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes. Submit"}
        else:
            made |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}
            for child in self.sets.values():
                if child["_root"] == made["ChangeSetId"]:
                    child |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}

    def DescribeChangeSet(
        self, ChangeSetName: str, StackName: str = "", IncludePropertyValues: bool = False, NextToken: str = "0"
    ) -> dict[str, Any]:
        made = self._found(ChangeSetName, StackName)
        whole = {key: value for key, value in made.items() if not key.startswith("_") and key != "Changes"}
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in made.get("_parameters", {}).items()]
        whole |= {"Tags": made.get("_tags", []), "Parameters": given}
        return {**whole, **_page("Changes", made["Changes"], NextToken)}

    def _found(self, name: str, stack_name: str) -> dict[str, Any]:
        if name in self.sets:
            return self.sets[name]
        stack = self.live(stack_name) if stack_name else None
        if stack_name and stack is None:
            raise Refused("ValidationError", f"Stack [{stack_name}] does not exist")
        for one in self.sets.values():
            if stack and one["StackId"] == stack.id and one["ChangeSetName"] == name:
                return one
        raise Refused("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)

    def DeleteChangeSet(self, ChangeSetName: str) -> dict[str, Any]:
        try:
            made = self._found(ChangeSetName, "")
        except Refused:
            return {}
        if made["ExecutionStatus"].startswith("EXECUTE_IN"):
            raise Refused("InvalidChangeSetStatus", "it is being executed")
        if made["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            raise Refused("InvalidChangeSetStatus", "it is being created")
        self.sets = {arn: one for arn, one in self.sets.items() if one["_root"] != made["ChangeSetId"]}
        return {}

    def ExecuteChangeSet(self, ChangeSetName: str, ClientRequestToken: str, **_: Any) -> dict[str, Any]:
        made = self._found(ChangeSetName, "")
        if made["ExecutionStatus"] != "AVAILABLE":
            raise Refused("InvalidChangeSetStatus", f"ChangeSet is in {made['ExecutionStatus']}")
        self.executions += 1
        stack = self.stacks[made["StackId"]]
        made["ExecutionStatus"] = "EXECUTE_IN_PROGRESS"
        keep = {made["ChangeSetId"]}
        self.sets = {arn: one for arn, one in self.sets.items() if one["StackId"] != stack.id or one["_root"] in keep}
        stack.tags, stack.role = made["_tags"], made["_role"] or stack.role
        if made["_type"] == "UPDATE":
            stack.updated = self.world.now
        self._start(self._executing(stack, made, ClientRequestToken))
        return {}

    def _executing(self, stack: Stack, made: dict[str, Any], token: str) -> Iterator[float]:
        run = self._create if made["_type"] == "CREATE" else self._update
        self.reverting = "DeploymentMode" in made
        self.taking_in = "ImportExistingResources" in made
        ok = yield from run(stack, made["_text"], made["_parameters"], token)
        for one in self.sets.values():
            if one["_root"] == made["ChangeSetId"]:
                one["ExecutionStatus"] = "EXECUTE_COMPLETE" if ok else "EXECUTE_FAILED"

    # operations

    def DeleteStack(self, StackName: str, ClientRequestToken: str = "", **_: Any) -> dict[str, Any]:
        stack = self.live(StackName)
        if stack is None or stack.status == "DELETE_COMPLETE":
            return {}
        if stack.status == "REVIEW_IN_PROGRESS":
            stack.status = "DELETE_COMPLETE"
            return {}
        self._start(self._deleting(stack, ClientRequestToken))
        return {}

    def _deleting(self, stack: Stack, token: str) -> Iterator[float]:
        self._own(stack, "DELETE_IN_PROGRESS", token)
        yield self.resource_s
        for title in list(stack.resources):
            yield from self._delete(stack, title, token)
        self._own(stack, "DELETE_COMPLETE", token)

    def _delete(self, stack: Stack, title: str, token: str) -> Iterator[float]:
        one = stack.resources[title]
        if one["type"] == NESTED:
            yield from self._deleting(self.stacks[one["physical"]], token)
        policy = stack.template["Resources"].get(title, {}).get("DeletionPolicy", "Delete")
        status = "DELETE_SKIPPED" if policy == "Retain" else "DELETE_COMPLETE"
        self._event(stack, title, one["type"], status, one["physical"], token=token)
        del stack.resources[title]

    def _create(self, stack: Stack, text: str, parameters: dict[str, str], token: str) -> Generator[float, None, bool]:
        stack.text, stack.parameters = text, parameters
        self._own(stack, "CREATE_IN_PROGRESS", token)
        try:
            yield from self._apply(stack, text, parameters, token)
        except Failed as failed:
            self._own(stack, "ROLLBACK_IN_PROGRESS", token, str(failed))
            yield self.resource_s
            for title in list(stack.resources):
                yield from self._delete(stack, title, token)
            self._own(stack, "ROLLBACK_COMPLETE", token)
            return False
        self._own(stack, "CREATE_COMPLETE", token)
        return True

    def _update(self, stack: Stack, text: str, parameters: dict[str, str], token: str) -> Generator[float, None, bool]:
        before = copy.deepcopy((stack.text, stack.parameters, stack.resources, stack.outputs))
        children = {title: self.stacks[one["physical"]] for title, one in before[2].items() if one["type"] == NESTED}
        kept = {title: copy.deepcopy((one.text, one.parameters)) for title, one in children.items()}
        stack.text, stack.parameters = text, parameters
        self._own(stack, "UPDATE_IN_PROGRESS", token)
        try:
            yield from self._apply(stack, text, parameters, token)
        except Failed as failed:
            self._own(stack, "UPDATE_ROLLBACK_IN_PROGRESS", token, str(failed))
            stack.replaced = []
            yield self.resource_s
            for title, child in children.items():
                if (child.text, child.parameters) != kept[title]:
                    yield from self._update(child, *kept[title], token)
            stack.text, stack.parameters, stack.resources, stack.outputs = before
            self._own(stack, "UPDATE_ROLLBACK_COMPLETE", token)
            return False
        self._own(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", token)
        yield 1.0
        active = _active(stack.template, parameters)
        for title in [title for title in stack.resources if title not in active]:
            yield from self._delete(stack, title, token)
        if not stack.path:
            # Nested stacks delete what they replaced only now, after their parents said that they were updated.
            for one in [stack, *self._nested(stack)]:
                yield from self._clean_up(one, token)
        self._own(stack, "UPDATE_COMPLETE", token)
        return True

    def _nested(self, stack: Stack) -> Iterator[Stack]:
        for one in stack.resources.values():
            if one["type"] == NESTED:
                yield self.stacks[one["physical"]]
                yield from self._nested(self.stacks[one["physical"]])

    def _clean_up(self, stack: Stack, token: str) -> Iterator[float]:
        for title, kind, physical in stack.replaced:
            policy = stack.template["Resources"].get(title, {}).get("UpdateReplacePolicy", "Delete")
            reason = self.undeletable.get(f"{stack.path}/{title}".lstrip("/"), "")
            status = "DELETE_SKIPPED" if policy == "Retain" else "DELETE_FAILED" if reason else "DELETE_COMPLETE"
            self._event(stack, title, kind, status, physical, reason, token)
            yield 0.5
        stack.replaced = []

    def _apply(self, stack: Stack, text: str, parameters: dict[str, str], token: str) -> Iterator[float]:
        template = load(text, "t").body
        for title, resource in _active(template, parameters).items():
            properties = self._value(resource.get("Properties", {}), stack, parameters)
            old = stack.resources.get(title)
            verb = "CREATE" if old is None else "UPDATE"
            kind = resource["Type"]
            path = f"{stack.path}/{title}".lstrip("/")
            there = (self.drifted.pop(path, {}), path in self.gone) if self.reverting else ({}, False)
            below = self.reverting and kind == NESTED and self._has_drift(path)
            if old is not None and old["properties"] == properties and not any((*there, below)):
                continue
            if there[1]:
                self.gone.discard(path)
                old, verb = None, "CREATE"
            physical = old["physical"] if old else ""
            self._event(stack, title, kind, f"{verb}_IN_PROGRESS", physical, token=token)
            yield 0.5
            if kind == NESTED:
                child = self.stacks[physical] if old else self._new(f"{stack.name}-{title}", "CREATE_IN_PROGRESS")
                child.path = f"{stack.path}/{title}".lstrip("/")
                record = {"type": kind, "physical": child.id, "properties": properties, "status": f"{verb}_COMPLETE"}
                stack.resources[title] = record
                self._event(stack, title, kind, f"{verb}_IN_PROGRESS", child.id, "Resource creation Initiated", token)
                run = self._create if old is None else self._update
                inner = self._text(properties["TemplateURL"])
                given = {
                    name: str(properties.get("Parameters", {}).get(name, one.get("Default", "")))
                    for name, one in load(inner, "t").body.get("Parameters", {}).items()
                }
                ok = yield from run(child, inner, given, token)
                if not ok:
                    reason = f"Embedded stack {child.id} was not successfully {verb.lower()}d"
                    self._event(stack, title, kind, f"{verb}_FAILED", child.id, reason, token)
                    raise Failed(f"The following resource(s) failed to {verb.lower()}: [{title}].")
                self._event(stack, title, kind, f"{verb}_COMPLETE", child.id, token=token)
                continue
            yield from self._one(stack, title, kind, verb, properties, old, token)
        stack.outputs = {
            name: str(self._value(one["Value"], stack, parameters))
            for name, one in _active(template, parameters, "Outputs").items()
        }

    def _one(
        self, stack: Stack, title: str, kind: str, verb: str, properties: Any, old: Any, token: str
    ) -> Iterator[float]:
        path = f"{stack.path}/{title}".lstrip("/")
        replaced = old and any(
            properties.get(name) != old["properties"].get(name) for name in REPLACING.get(kind, set())
        )
        physical = old["physical"] if old and not replaced else f"{kind.split('::')[-1].lower()}-{next(self._ids)}"
        if kind == "AWS::ElasticLoadBalancingV2::ListenerRule":
            physical = {"TestRule": TEST_RULE}.get(title, RULE)
        if kind == "AWS::ElasticLoadBalancingV2::TargetGroup":
            physical = GROUPS[title == "AlternateTargetGroup"]
        if kind == "AWS::ECS::Service":
            root = stack.name.removesuffix("-" + stack.path.replace("/", "-")) if stack.path else stack.name
            cluster = "main" if root == "web" else root
            arn = f"arn:aws:ecs:eu-west-1:123456789012:service/{cluster}/{stack.path or title}"
            physical = old["physical"] if old else arn
        if replaced and denied(stack.policy, "Update:Replace", title):
            reason = "Action denied by stack policy: Statement [#2] does not allow [Update:Replace] for resource"
            self._event(stack, title, kind, "UPDATE_FAILED", physical, f"{reason} [*/{title}]", token)
            raise Failed(f"The following resource(s) failed to update: [{title}].")
        if path in self.hooks:
            yield from self._hooked(stack, title, kind, verb, token, self.hooks[path])
        self._event(stack, title, kind, f"{verb}_IN_PROGRESS", physical, token=token)
        yield self.resource_s
        reason, times = self.failures.get(path, ("", 0))
        if (
            self.traffic
            and kind == "AWS::ECS::Service"
            and (why := (yield from self.traffic.stabilised(physical, properties)))
        ):
            reason, times = why, 1
        if times:
            self.failures[path] = (reason, times - 1)
            self._event(stack, title, kind, f"{verb}_FAILED", physical, reason, token)
            raise Failed(f"The following resource(s) failed to {verb.lower()}: [{title}].")
        status = f"{verb}_COMPLETE"
        if old is None and self._there_already(kind, {"Properties": properties, "DeletionPolicy": "Retain"}):
            physical = properties[NAMES[kind]]
            if not self.taking_in:
                self._event(stack, title, kind, "CREATE_FAILED", physical, f"{physical} already exists", token)
                raise Failed(f"The following resource(s) failed to create: [{title}].")
            status = "IMPORT_COMPLETE"
        if old and replaced:
            stack.replaced.append((title, kind, old["physical"]))
        stack.resources[title] = {"type": kind, "physical": physical, "properties": properties, "status": status}
        self._event(stack, title, kind, status, physical, token=token)

    def _hooked(self, stack: Stack, title: str, kind: str, verb: str, token: str, reason: str) -> Iterator[float]:
        hook = {"HookType": "Private::Guard::Hook", "HookFailureMode": "FAIL", "HookInvocationId": HOOK}
        first: dict[str, Any] = {}
        for status, words in (("HOOK_IN_PROGRESS", "Invoking hook"), ("HOOK_COMPLETE_FAILED", reason)):
            self._event(stack, title, kind, f"{verb}_IN_PROGRESS", "", token=token)
            stack.events[-1] |= {**hook, "HookStatus": status, "HookStatusReason": words}
            first = first or {"EventId": stack.events[-1]["EventId"]}
            stack.events[-1] |= first
            yield self.resource_s
        self._event(
            stack, title, kind, f"{verb}_FAILED", "", f"The following hook(s) failed: [{hook['HookType']}]", token
        )
        raise Failed(f"The following resource(s) failed to {verb.lower()}: [{title}].")

    # refactors

    def CreateStackRefactor(
        self, StackDefinitions: list[dict[str, Any]], ResourceMappings: list[dict[str, Any]], Description: str
    ) -> dict[str, Any]:
        arn = f"refactor-{next(self._ids)}"
        made = {"StackRefactorId": arn, "Description": Description, "Status": "CREATE_IN_PROGRESS",
                "ExecutionStatus": "UNAVAILABLE", "_texts": StackDefinitions, "_moves": ResourceMappings}  # fmt: skip
        self.refactors[arn] = made
        self._start(self._refactoring(made))
        return {"StackRefactorId": arn}

    def _refactoring(self, made: dict[str, Any]) -> Iterator[float]:
        yield self.set_s
        stacks = {one["StackName"]: self._there(one["StackName"]) for one in made["_texts"]}
        for one in made["_texts"]:
            stack, body = stacks[one["StackName"]], json.loads(one["TemplateBody"])
            if stack.policy:
                made |= {"Status": "CREATE_FAILED", "StatusReason": f"Stack {stack.name} has a stack policy"}
                return
            for part in ("Parameters", "Conditions", "Mappings"):
                assert body.get(part) == stack.template.get(part), "a refactor changes resources alone"
            assert body["Resources"], "there are no empty stacks"
        made |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}

    def ListStackRefactors(self, NextToken: str = "0") -> dict[str, Any]:
        return _page("StackRefactorSummaries", [_public(one) for one in self.refactors.values()], NextToken)

    def DescribeStackRefactor(self, StackRefactorId: str) -> dict[str, Any]:
        return _public(self.refactors[StackRefactorId])

    def ListStackRefactorActions(self, StackRefactorId: str, NextToken: str = "0") -> dict[str, Any]:
        actions = [{"Action": "MOVE", "Entity": "RESOURCE", "ResourceMapping": one}
                   for one in self.refactors[StackRefactorId]["_moves"] + self.more_moves]  # fmt: skip
        return _page("StackRefactorActions", actions, NextToken)

    def ExecuteStackRefactor(self, StackRefactorId: str) -> dict[str, Any]:
        made = self.refactors[StackRefactorId]
        if made["ExecutionStatus"] != "AVAILABLE":
            raise Refused("ValidationError", f"Stack refactor is in {made['ExecutionStatus']}")
        self.executions += 1
        made["ExecutionStatus"] = "EXECUTE_IN_PROGRESS"
        self._start(self._moving(made))
        return {}

    def _moving(self, made: dict[str, Any]) -> Iterator[float]:
        yield self.resource_s
        if self.move_failure:
            made |= {"ExecutionStatus": "ROLLBACK_COMPLETE", "ExecutionStatusReason": self.move_failure}
            return
        for one in made["_moves"]:
            source, target = (self._there(one[side]["StackName"]) for side in ("Source", "Destination"))
            record = source.resources.pop(one["Source"]["LogicalResourceId"])
            target.resources[one["Destination"]["LogicalResourceId"]] = record
        for one in made["_texts"]:
            self._there(one["StackName"]).text = one["TemplateBody"]
        made["ExecutionStatus"] = "EXECUTE_COMPLETE"

    # what a change set shows

    def _changes(
        self, stack: Stack, text: str, parameters: dict[str, str], made: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        template = load(text, "t").body
        active = _active(template, parameters)
        for title, resource in active.items():
            old = stack.resources.get(title)
            properties = self._value(resource.get("Properties", {}), stack, parameters)
            kind = resource["Type"]
            path = f"{stack.path}/{title}".lstrip("/")
            live = {**old["properties"], **self.drifted.get(path, {})} if old and self.reverting else None
            if live is not None and path in self.gone:
                old = None
            if kind == NESTED and old is not None and made["IncludeNestedStacks"]:
                made["_full"] = made["_full"] or self._full(self.stacks[old["physical"]])
            below = live is not None and kind == NESTED and self._has_drift(path)
            if old is not None and (live or old["properties"]) == properties and not below:
                if kind == NESTED and not made["IncludeNestedStacks"]:
                    yield {"Type": "Resource", "ResourceChange": automatic(title, old)}
                continue
            change: dict[str, Any] = {
                "Action": "Modify" if old else "Add",
                "LogicalResourceId": title,
                "ResourceType": kind,
            }
            if self._there_already(kind, resource) and self.taking_in and not old:
                change |= {"Action": "Import", "PhysicalResourceId": properties[NAMES[kind]]}
            if live is not None:
                state = "DELETED" if path in self.gone else "MODIFIED" if path in self.drifted else "IN_SYNC"
                change["ResourceDriftStatus"] = state
            if old:
                change |= self._modified(old, properties, resource, kind, live)
            if kind == NESTED and made["IncludeNestedStacks"]:
                child = self.stacks[old["physical"]] if old else self._new(title, "REVIEW_IN_PROGRESS")
                inner = self._text(properties["TemplateURL"])
                given = {
                    name: str(properties.get("Parameters", {}).get(name, one.get("Default", "")))
                    for name, one in load(inner, "t").body.get("Parameters", {}).items()
                }
                kind_of_set = "UPDATE" if old else "CREATE"
                nested = self._set(child, f"{made['ChangeSetName']}-{title}", kind_of_set, inner, given, made["_root"])
                change["ChangeSetId"] = nested["ChangeSetId"]
                if not old:
                    del self.stacks[child.id]
            yield {"Type": "Resource", "ResourceChange": change}
        for title, old in stack.resources.items():
            if title not in active:
                policy = stack.template["Resources"].get(title, {}).get("DeletionPolicy", "Delete")
                yield {
                    "Type": "Resource",
                    "ResourceChange": {
                        "Action": "Remove",
                        "LogicalResourceId": title,
                        "ResourceType": old["type"],
                        "PhysicalResourceId": old["physical"],
                        "PolicyAction": "Retain" if policy.startswith("Retain") else policy,
                    },
                }

    def _there_already(self, kind: str, resource: dict[str, Any]) -> bool:
        """Whether something of no stack has the name, which counts only where it is written as a text."""
        name = resource.get("Properties", {}).get(NAMES.get(kind, ""))
        keeps = resource.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
        return isinstance(name, str) and (kind, name) in self.existing and (keeps or not self.taking_in)

    def _has_drift(self, path: str) -> bool:
        return any(each.startswith(f"{path}/") for each in [*self.drifted, *self.gone])

    def _modified(
        self, old: dict[str, Any], properties: Any, resource: Any, kind: str, live: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        details: list[dict[str, Any]] = []
        there = old["properties"] if live is None else live
        for name in sorted({*there, *properties}):
            before, after = there.get(name), properties.get(name)
            if before == after:
                continue
            always = name in REPLACING.get(kind, set())
            target: dict[str, Any] = {
                "Attribute": "Properties",
                "Name": name,
                "Path": f"/Properties/{name}",
                "RequiresRecreation": "Always" if always else "Never",
                "BeforeValue": before if isinstance(before, str) else json.dumps(before),
                "AfterValue": after if isinstance(after, str) else json.dumps(after),
            }
            if live is not None:
                drifted = before != old["properties"].get(name)
                target |= {"BeforeValueFrom": "ACTUAL_STATE", "AfterValueFrom": "TEMPLATE"}
                if drifted:
                    had = old["properties"].get(name)
                    told = had if isinstance(had, str) else json.dumps(had)
                    target["Drift"] = {"PreviousValue": told, "ActualValue": target["BeforeValue"],
                                       "DriftDetectionTimestamp": self.world.now}  # fmt: skip
            details.append({"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"})
        replaced = any(one["Target"]["RequiresRecreation"] == "Always" for one in details)
        found: dict[str, Any] = {
            "PhysicalResourceId": old["physical"],
            "BeforeContext": json.dumps({"Properties": old["properties"]}),
            "AfterContext": json.dumps({"Properties": properties}),
            "Details": details,
            "Replacement": "True" if replaced else "False",
        }
        if replaced:
            keeps = resource.get("UpdateReplacePolicy", "Delete")
            found["PolicyAction"] = f"ReplaceAnd{keeps}"
        return found

    # help

    def _new(self, name: str, status: str) -> Stack:
        stack = Stack(name, f"{BASE}:stack/{name}/{next(self._ids)}", status, self.world.now)
        self.stacks[stack.id] = stack
        return stack

    def _text(self, url: str) -> str:
        key = url.partition(".com/")[2]
        if key not in self.world.objects:
            raise Refused("ValidationError", f"S3 error: Access Denied: {url}")
        return str(self.world.objects[key])

    def _resolved(self, text: str, given: list[dict[str, Any]], stack: Stack) -> dict[str, str]:
        declared = load(text, "t").body.get("Parameters", {})
        values = {name: str(one["Default"]) for name, one in declared.items() if "Default" in one}
        for one in given:
            key = one["ParameterKey"]
            if key not in declared:
                raise Refused("ValidationError", f"Parameters: [{key}] do not exist in the template")
            values[key] = stack.parameters[key] if one.get("UsePreviousValue") else one["ParameterValue"]
        return {name: values[name] for name in declared}

    def _value(self, value: Any, stack: Stack, parameters: dict[str, str]) -> Any:
        if isinstance(value, dict) and len(value) == 1:
            ((name, inner),) = value.items()
            if name == "Ref":
                if inner in parameters:
                    return parameters[inner]
                return stack.resources[inner]["physical"] if inner in stack.resources else f"{{{{changeSet:{inner}}}}}"
            if name == "Fn::GetAtt":
                title, attribute = inner if isinstance(inner, list) else inner.split(".", 1)
                one = stack.resources.get(title)
                if one is None:
                    return f"{{{{IntrinsicFunction:{title}/Fn::GetAtt}}}}"
                if one["type"] == NESTED:
                    return self.stacks[one["physical"]].outputs.get(attribute.removeprefix("Outputs."), "")
                return f"{one['physical']}/{attribute}"
            if name == "Fn::Sub":
                return str(inner)
        if isinstance(value, dict):
            return {key: self._value(inner, stack, parameters) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner, stack, parameters) for inner in value]
        return value

    def _own(self, stack: Stack, status: str, token: str, reason: str = "") -> None:
        stack.status = status
        self._event(stack, stack.name, NESTED, status, stack.id, reason, token)

    def _event(
        self, stack: Stack, title: str, kind: str, status: str, physical: str = "", reason: str = "", token: str = ""
    ) -> None:
        event = {
            "StackId": stack.id,
            "StackName": stack.name,
            "EventId": f"event-{next(self._ids)}",
            "LogicalResourceId": title,
            "PhysicalResourceId": physical,
            "ResourceType": kind,
            "ResourceStatus": status,
            "Timestamp": self.world.now,
        }
        stack.events.append(
            event
            | ({"ResourceStatusReason": reason} if reason else {})
            | ({"ClientRequestToken": token} if token else {})
        )


def _public(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not key.startswith("_")}


def _active(template: dict[str, Any], parameters: dict[str, str], section: str = "Resources") -> dict[str, Any]:
    """The entries of a section whose conditions hold: only `Not Equals [Ref, text]` is known."""
    holds = {}
    for name, condition in template.get("Conditions", {}).items():
        (equals,) = condition["Fn::Not"]
        left, right = equals["Fn::Equals"]
        holds[name] = parameters[left["Ref"]] != right
    return {title: one for title, one in template.get(section, {}).items() if holds.get(one.get("Condition", ""), True)}


def automatic(title: str, old: dict[str, Any]) -> dict[str, Any]:
    """A nested stack that CloudFormation does not look into, and which nothing in its parent changes."""
    return {
        "Action": "Modify",
        "LogicalResourceId": title,
        "PhysicalResourceId": old["physical"],
        "ResourceType": NESTED,
        "Replacement": "False",
        "Details": [{"Target": {"Attribute": "Properties"}, "Evaluation": "Dynamic", "ChangeSource": "Automatic"}],
    }


def denied(policy: str, action: str, title: str) -> bool:
    """Whether a stack policy denies an action on a resource: a Deny wins over every Allow."""
    statements = json.loads(policy)["Statement"] if policy else []
    return any(
        one["Effect"] == "Deny" and action in one["Action"] and f"LogicalResourceId/{title}" in one["Resource"]
        for one in statements
    )


def _page(key: str, rows: list[Any], token: str, size: int = 0) -> dict[str, Any]:
    size = size or PAGE
    start = int(token)
    more = {"NextToken": str(start + size)} if start + size < len(rows) else {}
    return {key: rows[start : start + size], **more}
