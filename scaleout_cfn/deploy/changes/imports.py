"""What a set takes in: how it is now, and that a change set takes in that and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.live import Live, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Tell
from scaleout_cfn.errors import AGAIN, AccessError, ApiError, Next, RefusedError, UsageError

if TYPE_CHECKING:
    from scaleout_cfn.imports import Import

#: Its identifier has four parts, of which a plain record lacks one: no page says how Cloud Control is asked for it.
UNREAD = {"AWS::Route53::RecordSet"}


#: Of a value on a line; --json has all of it.
LONGEST = 60


def look(aws: Aws, live: Live | None, wanted: Sequence[Import], tell: Tell) -> tuple[Import, ...]:
    """Tell of what is not in the stack yet how it differs from its template, and return it.

    It stays as it is: CloudFormation believes the template from then on, and changes what a later template changes.
    Raises UsageError where there is nothing of a name: a change set would make it.
    https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/resource-operations-read.html
    """
    there = {resource.path for resource in resources_of(aws, live.stack_id)} if live else set()
    left = tuple(each for each in wanted if each.path not in there)
    for each in left:
        if each.type in UNREAD:
            tell(Note(f"{each.path}: {each.what} is taken in as it is; what it holds now is not asked for"))
            continue
        try:
            answer = aws.read("cloudcontrol", "get_resource", TypeName=each.type, Identifier=each.name)
        except AccessError as error:
            tell(Note(f"{each.path}: not known how {each.what} differs from its template: {error}", "warning"))
        except ApiError as error:
            if error.kind != "missing":
                tell(Note(f"{each.path}: not known how {each.what} differs from its template: {error}", "warning"))
                continue
            raise UsageError(
                f"imports.{each.path}: there is no {each.what} in {aws.region}; correct the name, or leave the line out"
                " and `deploy` makes one",
                next=Next(AGAIN),
            ) from None
        else:
            tell(_fact(each, json.loads(answer["ResourceDescription"]["Properties"])))
    return left


def _fact(each: Import, properties: Mapping[str, Any]) -> Fact:
    differences = list(_differences(each.properties, properties, ""))
    lines = [
        f"{each.path}  {each.what}  " + (f"{len(differences)} differ" if differences else "as its template has it")
    ]
    lines += [f"  {name}  live {_short(live) or '(none)'}, template {_short(text)}" for name, live, text in differences]
    found = [{"property": name, "live": live, "template": template} for name, live, template in differences]
    data = {"path": each.path, "resource_type": each.type, "name": each.name, "differences": found}
    return Fact("import", tuple(lines), data, "warning" if differences else "info")


def _differences(template: Mapping[str, Any], live: Mapping[str, Any], place: str) -> Iterator[tuple[str, str, str]]:
    """What of a template is not so, each by its place; what only the resource has is its default, or nobody's."""
    for key, value in template.items():
        there = live.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            yield from _differences(value, there, f"{place}{key}.")
        elif _plain(value) != _plain(there):
            yield f"{place}{key}", _plain(there), _plain(value)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"


def _plain(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def require_imports(plan: Plan, imports: Mapping[str, str]) -> None:
    """Raise RefusedError unless a plan takes in what is named in `imports`, path to words, and nothing else."""
    if problems := list(_problems(plan, imports)):
        raise RefusedError(
            "; ".join(problems), state="nothing was changed", next=Next(words="correct imports, then the same again")
        )


def _problems(plan: Plan, imports: Mapping[str, str]) -> Iterator[str]:
    hidden: Collection[str] = [change.path for change in plan.changes if change.nested and change.unseen]
    if hidden:
        yield f"not shown is what is inside {', '.join(hidden)}, and so not what would be taken in there"
    for change in plan.changes:
        if change.action == "Import" and change.path not in imports and not change.nested:
            yield f"{change.path} is there already and would be taken in too: name it in imports, or name it otherwise"
        if change.action == "Add" and change.path in imports:
            yield f"{change.path}: CloudFormation does not take in {imports[change.path]}, but would make it"
