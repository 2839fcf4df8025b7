"""Stack policies: what holds data says so to CloudFormation, too.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from scaleout_cfn.aws import title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import Change, is_marked, takes
from scaleout_cfn.deploy.changes.stateful import is_stateful
from scaleout_cfn.deploy.live import Resource, resources_of, template_body
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.errors import AccessError, ApiError, ScaleoutError

LOST = ["Update:Replace", "Update:Delete"]
EVERYTHING: dict[str, object] = {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}


def policy(kept: Iterable[str]) -> str:
    """A stack policy that allows every update but the replacement and deletion of these logical ids."""
    statements: list[dict[str, object]] = [EVERYTHING]
    if titles := sorted(kept):
        statements.append(_statement("Deny", titles))
    return json.dumps({"Statement": statements})


def protect(aws: Aws, root_id: str, resources: Iterable[Resource], tell: Tell, *, marked: bool = True) -> None:
    """Set the policy of every stack that holds data, and last the root's, which so says that all of them are set.

    `marked`: there may be resources whose templates mark them, so that these are read. A policy that cannot be set is
    told, and changes nothing else: the root then still says so, to the next run.
    """
    kept: dict[str, set[str]] = {}
    marks: dict[str, Collection[str]] = {}
    for resource in resources:
        if marked and resource.stack_id not in marks:
            marks[resource.stack_id] = _marked_in(aws, resource.stack_id, tell)
        title = resource.path.rpartition("/")[2]
        if is_stateful(resource.type) or title in marks.get(resource.stack_id, ()):
            kept.setdefault(resource.stack_id, set()).add(title)
    own = kept.pop(root_id, None)
    done = [_deny(aws, stack_id, titles, tell) for stack_id, titles in kept.items()]
    if not all(done):
        return
    if own is not None:
        _deny(aws, root_id, own, tell)
    elif _is_open(statements := _statements(aws, root_id)):
        rest = [rule for rule in statements or [] if not _marks(rule)]
        _set(aws, root_id, json.dumps({"Statement": rest or [EVERYTHING]}), tell)


def _deny(aws: Aws, stack_id: str, titles: Collection[str], tell: Tell) -> bool:
    """Deny the loss of these logical ids, beside whatever else the stack's policy says."""
    statements = _statements(aws, stack_id) or []
    foreign = [rule for rule in statements if not _marks(rule)]
    others = [rule for rule in foreign if rule.get("Effect") != "Deny" or rule.get("Action") != LOST]
    wanted = [*(others or [EVERYTHING]), _statement("Deny", sorted(titles))]
    return wanted == statements or _set(aws, stack_id, json.dumps({"Statement": wanted}), tell)


def _marked_in(aws: Aws, stack_id: str, tell: Tell) -> Collection[str]:
    try:
        resources = template_body(aws, stack_id)["Resources"]
    except ScaleoutError as error:
        tell(Note(f"template of {title_in(stack_id)} not read, its marks are not known: {error}", "warning"))
        return ()
    return {title for title, resource in resources.items() if isinstance(resource, dict) and is_marked(resource)}


def lift(aws: Aws, root_id: str, changes: Iterable[Change], tell: Tell) -> bool:
    """Let through what the guard let through, and only that, until `protect` or `restore`. Whether there was anything.

    The root's policy is set first and says that others are not as they shall be, so that a run on any machine finds
    out with one call: this process may not live to set them. What is new is not protected yet, which counts as well.
    """
    titles: dict[str, set[str]] = {}
    for change in changes:
        if change.stack_id and (takes(change) or (change.stateful and change.action in ("Add", "Import"))):
            titles.setdefault(change.stack_id, set()).add(change.path.rpartition("/")[2])
    if not titles:
        return False
    for stack_id in (root_id, *(titles.keys() - {root_id})):
        statements = _statements(aws, stack_id) or []
        kept = list(_without(statements, titles.get(stack_id, ())))
        if stack_id == root_id:
            mark = _statement("Allow", sorted({title for group in titles.values() for title in group}))
            kept = [*(kept or [EVERYTHING]), mark]
        if kept != statements:
            _set(aws, stack_id, json.dumps({"Statement": kept}), tell)
    return True


def is_settled(aws: Aws, root_id: str) -> bool:
    """Whether the policies of a set are all set, as its root says; not where that cannot be read."""
    statements = _statements(aws, root_id)
    return statements is not None and not _is_open(statements)


def restore(aws: Aws, root_id: str, tell: Tell, *, unset: bool = True) -> None:
    """Protect what an operation left unprotected, whichever run began it; nothing where nothing was left.

    `unset`: also where the root has no policy at all, as after a creation whose end nobody saw, or in the console.
    """
    statements = _statements(aws, root_id)
    if not _is_open(statements) or not (statements or unset):
        return
    try:
        resources = list(resources_of(aws, root_id))
    except (ApiError, AccessError) as error:
        tell(Note(f"stack policies not set, the next deployment does it: {error}", "warning"))
        return
    protect(aws, root_id, resources, tell)


def _without(statements: Iterable[Any], titles: Collection[str]) -> Iterator[Any]:
    """Statements that no longer deny the loss of these logical ids."""
    for rule in statements:
        if _marks(rule):
            continue
        if rule.get("Effect") != "Deny" or rule.get("Action") != LOST:
            yield rule
        elif left := [each for each in _list(rule.get("Resource")) if each.rpartition("/")[2] not in titles]:
            yield {**rule, "Resource": left}


def _list(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [str(value)]


def _statement(effect: str, titles: Iterable[str]) -> dict[str, object]:
    resources = [f"LogicalResourceId/{title}" for title in titles]
    return {"Effect": effect, "Action": LOST, "Principal": "*", "Resource": resources}


def _marks(statement: Any) -> bool:
    """Whether this is the mark: nobody else allows these two actions alone, beside all the others."""
    return bool(statement.get("Effect") == "Allow" and statement.get("Action") == LOST)


def _is_open(statements: list[Any] | None) -> bool:
    """Whether a root with these statements has stacks whose policies are to be set. Not where they cannot be read."""
    return statements is not None and (not statements or any(map(_marks, statements)))


def _statements(aws: Aws, stack_id: str) -> list[Any] | None:
    """The statements of a stack's policy: none where it has no policy, None where it cannot be read."""
    try:
        body = aws.once("cloudformation", "get_stack_policy", StackName=stack_id).get("StackPolicyBody", "")
        stated = json.loads(body)["Statement"] if body else []
    except (ApiError, AccessError, ValueError, KeyError, TypeError):
        return None
    return [rule for rule in (stated if isinstance(stated, list) else [stated]) if isinstance(rule, dict)]


def _set(aws: Aws, stack_id: str, body: str, tell: Tell) -> bool:
    try:
        # A put of the whole policy: to repeat it is safe, and it takes no token.
        aws.write("cloudformation", "set_stack_policy", StackName=stack_id, StackPolicyBody=body)
    except (ApiError, AccessError) as error:
        tell(Note(f"stack policy of {title_in(stack_id)} not set: {error}", "warning"))
        return False
    return True
