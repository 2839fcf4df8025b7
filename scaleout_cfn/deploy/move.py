"""Resources that move between nested stacks of a set, by a stack refactor: as they are, and nothing is made anew.

What CloudFormation allows: no property, parameter, condition or mapping changes, no stack is left empty or has a stack
policy, whatever that says; resources may move between nested stacks.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from scaleout_cfn.aws import NESTED, title_in
from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, Resource, find, require, resources_of, template_body
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.states import WATCH
from scaleout_cfn.errors import AGAIN, ApiError, BusyError, NeedsHandError, Next, RefusedError, UsageError
from scaleout_cfn.templates.facts import VARIABLE, sub_parts


class Move(NamedTuple):
    """Where a resource is, and where it shall be: `Data/Table` to `Store/Table`."""

    source: str
    destination: str


#: What this version has in another stack than an earlier one had: `deploy` asks for it to be moved first.
MOVES: Final[tuple[Move, ...]] = ()
MOST_STACKS = 5
RUNNING = ("CREATE_IN_PROGRESS", "EXECUTE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
#: What has another value in another stack.
OWN = ("AWS::NotificationARNs", "AWS::StackId", "AWS::StackName")


def due(paths: Collection[str], moves: Sequence[Move]) -> tuple[Move, ...]:
    """The moves of which the resource is still where it was."""
    return tuple(each for each in moves if each.source in paths and each.destination not in paths)


def unmoved(aws: Aws, live: Live, moves: Sequence[Move]) -> str:
    """What a deployment would make anew though it can be moved, in words."""
    left = due({resource.path for resource in resources_of(aws, live.stack_id)}, moves) if moves else ()
    words = "; ".join(f"{each.source} is {each.destination} in this version" for each in left)
    return f"{words}: a deployment would make it anew" if words else ""


def require_moved(aws: Aws, live: Live, moves: Sequence[Move]) -> None:
    """Raise RefusedError where a deployment would make anew what can be moved."""
    if words := unmoved(aws, live, moves):
        raise RefusedError(words, state="nothing was changed", next=Next("move", words="first"))


def move(
    aws: Aws,
    stack: str,
    moves: Sequence[Move],
    tell: Tell,
    ask: Callable[[str], bool],
    patience: Patience,
    *,
    environment: str = "",
    adopt: bool = False,
) -> Outcome:
    """Move what is not where it shall be yet. Called again it goes on with what it began, or does nothing.

    Raises RefusedError for what CloudFormation would not move, UsageError for what is not there.
    """
    live = require(aws, stack)
    require_ours(aws, live, environment, adopt=adopt)
    resources = {resource.path: resource for resource in resources_of(aws, live.stack_id)}
    for each in moves:
        for path in (each.source, each.destination):
            parent = path.rpartition("/")[0]
            if parent and (parent not in resources or resources[parent].type != NESTED):
                raise UsageError(f"{each.source}={each.destination}: the set has no nested stack {parent}")
        if each.source not in resources and each.destination not in resources:
            raise UsageError(f"{each.source}={each.destination}: the set has no resource {each.source}")
        if each.source in resources and each.destination in resources:
            raise UsageError(f"{each.source}={each.destination}: {each.destination} is there already")
    stacks = {path.rpartition("/")[0] for each in moves for path in each}
    ids = {path: resources[path].physical_id if path else live.stack_id for path in sorted(stacks)}
    mark = _mark(live.name, moves)
    running = next((raw for raw in _ours(aws, mark) if raw["ExecutionStatus"] in RUNNING), None)
    if running is not None:
        tell(Note("an earlier run began this; going on with it"))
        return _ended(aws, live, running["StackRefactorId"], patience)
    left = due(resources, moves)
    if not left:
        return Outcome("no_change", f"{live.name}: all is where it shall be", live.status, live.stack_id)
    if live.meaning.start != "update" or live.meaning.end not in ("done", "rolled_back"):
        raise BusyError(f"stack {live.name} is {live.status}", state="nothing was changed by this run", next=WATCH)
    bodies = {path: copy.deepcopy(dict(template_body(aws, arn))) for path, arn in ids.items()}
    outputs = {path: (found.outputs if (found := find(aws, arn)) else {}) for path, arn in ids.items()}
    if problems := [*_forbidden(aws, ids), *_moved(bodies, outputs, left)]:
        raise RefusedError(
            "; ".join(problems),
            state="nothing was changed",
            next=Next(words="see docs/upgrading.md for the way by deletion with Retain and `import`"),
        )
    for each in left:
        tell(_fact(each, resources[each.source]))
    arn = _made(aws, mark, ids, bodies, left, patience)
    if not ask(f"Move {'this' if len(left) == 1 else f'these {len(left)}'} in {live.name}?"):
        raise RefusedError("not confirmed", state="nothing was changed", next=Next(AGAIN, ("--yes",)))
    _execute(aws, arn)
    return _ended(aws, live, arn, patience)


def _mark(stack: str, moves: Sequence[Move]) -> str:
    """The description by which any run finds its own refactor: CreateStackRefactor takes no token."""
    whole = json.dumps([stack, sorted(moves)])
    return f"scaleout-cfn scfn-move-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _fact(each: Move, resource: Resource) -> Fact:
    words = f"{each.source} -> {each.destination}  {resource.type}  {resource.physical_id}"
    data = {"from": each.source, "to": each.destination, "resource_type": resource.type, "id": resource.physical_id}
    return Fact("move", (words,), data)


def _forbidden(aws: Aws, ids: Mapping[str, str]) -> Iterator[str]:
    if len(ids) > MOST_STACKS:
        yield f"{len(ids)} stacks are concerned, and a refactor takes {MOST_STACKS}"
    for path, arn in ids.items():
        if aws.read("cloudformation", "get_stack_policy", StackName=arn).get("StackPolicyBody"):
            yield (
                f"{path or 'the root'} has a stack policy, as `deploy` gives it to what holds data, and CloudFormation"
                " refactors none that has one"
            )


def _moved(
    bodies: Mapping[str, dict[str, Any]], outputs: Mapping[str, Mapping[str, str]], moves: Sequence[Move]
) -> Iterator[str]:
    """Move definitions between templates, in place; what makes that impossible, in words.

    An output that tells of what has moved becomes the text that it was, until the next deployment takes it elsewhere.
    """
    for source, destination in moves:
        (old, title), (new, name) = (
            (path.rpartition("/")[0], path.rpartition("/")[2]) for path in (source, destination)
        )
        definition = bodies[old]["Resources"].pop(title)
        bodies[new]["Resources"][name] = definition
        for word in sorted(set(_names(definition))):
            if word in OWN:
                yield f"{source} takes {word}, which is another one in another stack"
            elif not word.startswith("AWS::") and not _same(bodies[old], bodies[new], word):
                yield f"{source} takes {word}, which {new or 'the root'} does not have as {old or 'the root'} has it"
        for user, body in bodies[old]["Resources"].items():
            if title in _names(body):
                yield f"{old}/{user} takes a value of {source}, and would have to change".lstrip("/")
        for key, output in bodies[old].get("Outputs", {}).items():
            if title in _names(output):
                output["Value"] = outputs[old].get(key, "")
    for path, body in bodies.items():
        if not body["Resources"]:
            yield f"{path} would be empty, and CloudFormation has no empty stacks"


def _same(old: Mapping[str, Any], new: Mapping[str, Any], word: str) -> bool:
    """Whether a name means the same in both templates: a condition, by its text. What a parameter is given is checked
    by CloudFormation, which compares values."""
    if word in old.get("Conditions", {}):
        return bool(old["Conditions"][word] == new.get("Conditions", {}).get(word))
    return word in new.get("Parameters", {}) and word in old.get("Parameters", {})


def _names(node: Any) -> Iterator[str]:
    """What an expression refers to: parameters, resources, pseudo parameters and conditions."""
    if isinstance(node, list):
        for item in node:
            yield from _names(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("Ref", "Condition") and isinstance(value, str):
            yield value
        elif key == "DependsOn":
            yield from [value] if isinstance(value, str) else value
        elif key == "Fn::GetAtt":
            yield value.partition(".")[0] if isinstance(value, str) else str(value[0])
        elif key == "Fn::If":
            yield str(value[0])
            yield from _names(value[1:])
        elif key == "Fn::Sub":
            template, given = sub_parts(value)
            pieces = VARIABLE.split(template)[1::2]
            yield from (piece.strip().partition(".")[0] for piece in pieces if piece not in given and piece[0] != "!")
            yield from _names(given)
        else:
            yield from _names(value)


def _ours(aws: Aws, mark: str) -> Iterator[Mapping[str, Any]]:
    for page in aws.pages("cloudformation", "list_stack_refactors"):
        yield from (raw for raw in page["StackRefactorSummaries"] if raw.get("Description") == mark)


def _made(
    aws: Aws,
    mark: str,
    ids: Mapping[str, str],
    bodies: Mapping[str, Mapping[str, Any]],
    moves: Sequence[Move],
    patience: Patience,
) -> str:
    """A refactor that does these moves and nothing else, made or found, by its id."""
    for _ in range(3):
        waiting = ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
        there = (raw for raw in _ours(aws, mark) if raw["Status"] in waiting)
        usable = next((raw for raw in there if raw["ExecutionStatus"] in ("UNAVAILABLE", "AVAILABLE")), None)
        if usable is not None:
            arn = str(usable["StackRefactorId"])
            break
        try:
            answer = aws.write(
                "cloudformation",
                "create_stack_refactor",
                Description=mark,
                StackDefinitions=[
                    {"StackName": title_in(ids[path]), "TemplateBody": json.dumps(body)}
                    for path, body in bodies.items()
                ],
                ResourceMappings=[
                    {"Source": _place(ids, each.source), "Destination": _place(ids, each.destination)} for each in moves
                ],
            )
            arn = str(answer["StackRefactorId"])
            break
        except ApiError as error:
            if error.kind != "unclear":
                raise
            aws.pace.wait()
    else:
        raise BusyError("CloudFormation gives no clear answer", state="nothing was changed", next=Next(AGAIN))
    described = _settled(aws, arn, "Status", patience)
    if described["Status"] != "CREATE_COMPLETE":
        raise RefusedError(
            f"CloudFormation refuses the move: {described.get('StatusReason', described['Status'])}",
            state="nothing was changed",
            next=Next(words="see docs/upgrading.md"),
        )
    wanted = [(_place(ids, each.source), _place(ids, each.destination)) for each in moves]
    for page in aws.pages("cloudformation", "list_stack_refactor_actions", StackRefactorId=arn):
        for action in page["StackRefactorActions"]:
            if action["Action"] != "MOVE" or _sides(action.get("ResourceMapping", {})) not in wanted:
                raise RefusedError(
                    f"CloudFormation would do more than was asked for: {action.get('Description', action)}",
                    state="nothing was changed",
                )
    return arn


def _place(ids: Mapping[str, str], path: str) -> dict[str, str]:
    stack, _, title = path.rpartition("/")
    return {"StackName": title_in(ids[stack]), "LogicalResourceId": title}


def _sides(mapping: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    """From where to where, each stack by its name, whether it is told by that or by its ARN."""
    places = [mapping[side] for side in ("Source", "Destination") if side in mapping]
    names = (place["StackName"] for place in places)
    return tuple(
        {**place, "StackName": title_in(name) if name.startswith("arn:") else name}
        for place, name in zip(places, names, strict=True)
    )


def _settled(aws: Aws, arn: str, field: str, patience: Patience) -> dict[str, Any]:
    """A refactor once it is at rest, or as it is when time is up."""
    described: dict[str, Any] = {}
    for _ in aws.pace.turns(patience.end(aws.pace)):
        described = aws.read("cloudformation", "describe_stack_refactor", StackRefactorId=arn)
        if described[field] not in RUNNING:
            break
    return described


def _execute(aws: Aws, arn: str) -> None:
    """Begin a refactor, once: an unclear answer is settled by reading."""
    for _ in range(3):
        try:
            aws.write("cloudformation", "execute_stack_refactor", StackRefactorId=arn)
            return
        except ApiError as error:
            if error.kind not in ("unclear", "refused"):
                raise
            status = aws.read("cloudformation", "describe_stack_refactor", StackRefactorId=arn)["ExecutionStatus"]
            if status != "AVAILABLE":
                return
            if error.kind == "refused":
                raise
            aws.pace.wait()
    raise BusyError("CloudFormation gives no clear answer", state="nothing is known to be changed", next=Next(AGAIN))


def _ended(aws: Aws, live: Live, arn: str, patience: Patience) -> Outcome:
    described = _settled(aws, arn, "ExecutionStatus", patience)
    status, reason = described["ExecutionStatus"], described.get("ExecutionStatusReason", "")
    if status in RUNNING:
        what = f"{live.name}: stopped waiting; CloudFormation goes on moving"
        return Outcome("still_running", what, live.status, live.stack_id, next=Next(AGAIN))
    if status == "EXECUTE_COMPLETE":
        what = f"{live.name}: moved; nothing was made anew"
        following = Next("deploy", words="with the templates in which it is there")
        return Outcome("done", what, live.status, live.stack_id, next=following)
    if status == "ROLLBACK_COMPLETE":
        what = f"{live.name}: the move failed, and all is where it was"
        return Outcome("rolled_back", what, live.status, live.stack_id, reason=reason, next=Next(AGAIN))
    raise NeedsHandError(f"{live.name}: the move is {status}: {reason}", next=Next("status"))
