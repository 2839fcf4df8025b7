"""What differs from the templates in a whole set, and what of it is expected to. Changes nothing.

CloudFormation looks into one stack at a time, and into no nested one of it:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DetectStackDrift.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.changes.plan import RULE, Change
from scaleout_cfn.deploy.live import Live, require, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.services.scale import TARGET, Scaled, scaled_in, sentence
from scaleout_cfn.deploy.states import WATCH
from scaleout_cfn.errors import AGAIN, AccessError, ApiError, BusyError, Next

#: What can be looked into; others are at work or broken.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/detect-drift-stack.html
DETECTABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_FAILED",
}


class Difference(NamedTuple):
    """A property that is not as the template has it. `why` says what moves it, where that is expected."""

    property: str
    expected: str
    actual: str
    kind: str
    why: str = ""


@dataclass(frozen=True)
class Drifted:
    """A resource that is not as its template has it. `status` is MODIFIED, DELETED or UNKNOWN, with AWS's reason."""

    path: str
    type: str
    status: str
    differences: tuple[Difference, ...] = ()
    reason: str = ""

    @property
    def expected(self) -> bool:
        return self.status == "MODIFIED" and all(difference.why for difference in self.differences)


def why_expected(type: str, difference: Difference, scaled: str) -> str:
    """What moves a property, so that it differs and nobody is to blame; empty where nothing is known to.

    `scaled` says what `scale` has set, where it has.
    """
    name = difference.property
    if type == TARGET and name in ("/MinCapacity", "/MaxCapacity"):
        return f"`scale` set {scaled}" if scaled else ""
    if (type, name) == ("AWS::ECS::Service", "/DesiredCount"):
        return "scaling moves it"
    if (type, name) == ("AWS::AutoScaling::AutoScalingGroup", "/DesiredCapacity"):
        return "the capacity provider moves it"
    if type == RULE and re.fullmatch(r"/Actions/.*/Weight", name):
        return "ECS moves the weights while it deploys"
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html (AmazonECSManaged)
    if difference.kind == "ADD" and re.match(r"/Tags(/|$)", name):
        key = _tag(difference.actual)
        if key.startswith("aws:") or key == "AmazonECSManaged":
            return "AWS adds this tag"
    return ""


def _drifted(change: Change) -> Iterator[tuple[Difference, str]]:
    """What of a drift-aware plan is not as the last deployment made it, each with what it will be."""
    for entry in change.properties:
        for part in entry.parts if entry.drifted else []:
            path = "/" + re.sub(r"[.\[]", "/", part.name).replace("]", "")
            plain = Difference(path, part.template, part.before, "NOT_EQUAL")
            why = why_expected(change.type, plain, "")
            if change.type == TARGET and path in ("/MinCapacity", "/MaxCapacity"):
                why = "a schedule or `scale` may have set it"
            yield plain._replace(why=why), part.after


def set_back(changes: Iterable[Change]) -> Iterator[Note]:
    """What a drift-aware plan sets back though something is expected to have moved it.

    CloudFormation leaves what AWS's services manage, says its page; what it shows all the same is told before anybody
    agrees: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
    """
    for change in changes:
        for (name, _, actual, _, why), after in _drifted(change):
            if why:
                values = f"from {actual or '(none)'} to {after or '(none)'}"
                yield Note(f"{change.path} {name.strip('/')} would be set {values} at once: {why}", "warning")


def diverted(changes: Iterable[Change]) -> dict[str, str]:
    """The rules whose weights a drift-aware plan sets back, with what that does; also where AWS cuts the values off."""
    moved = [
        change.path
        for change in changes
        if change.type == RULE
        for difference, _ in _drifted(change)
        if difference.property.endswith("/Weight") or difference.property == "/Actions"
    ]
    return dict.fromkeys(moved, "would lead requests to the group that ECS took them from, where no task may be left")


def _tag(text: str) -> str:
    try:
        tag = json.loads(text)
    except ValueError:
        return ""
    return str(tag.get("Key", "")) if isinstance(tag, dict) else ""


def drift(aws: Aws, stack: str, tell: Tell, patience: Patience) -> Outcome:
    """Look into every stack of a set, and tell what differs. Raises BusyError while the set is at work."""
    live = require(aws, stack)
    if live.meaning.end == "running":
        raise BusyError(
            f"stack {live.name} is {live.status}: what differs is known once it has ended",
            state="nothing was begun",
            next=WATCH,
        )
    resources = list(resources_of(aws, live.stack_id))
    nested = [resource for resource in resources if resource.is_made(NESTED)]
    statuses = {live.stack_id: live.status, **{each.physical_id: each.status for each in nested}}
    paths = {live.stack_id: "", **{each.physical_id: each.path for each in nested}}
    unseen = [f"{paths[arn] or live.name} is {status}" for arn, status in statuses.items() if status not in DETECTABLE]
    looked = [arn for arn in paths if statuses[arn] in DETECTABLE]
    failed = _detect(aws, {arn: paths[arn] or live.name for arn in looked}, tell, patience)
    if failed is None:
        what = f"{live.name}: stopped waiting; CloudFormation goes on looking, and nothing is changed"
        return Outcome("still_running", what, live.status, live.stack_id, next=Next(AGAIN))
    scaled: dict[str, Scaled] = {}
    try:
        scaled = scaled_in(aws, resources)
    except (ApiError, AccessError) as error:
        tell(Note(f"not known what `scale` has set: {error}", "warning"))
    found = [each for arn in looked for each in _drifts(aws, arn, paths[arn], scaled)]
    for each in sorted(found, key=lambda each: (each.expected, each.path)):
        tell(_fact(each))
    return _outcome(live, len(looked), found, [*unseen, *failed])


def _detect(aws: Aws, stacks: Mapping[str, str], tell: Tell, patience: Patience) -> list[str] | None:
    """Have CloudFormation look into stacks, and wait; which could not be looked into whole. None: time was up.

    A detection takes no token and changes nothing: what was begun by an earlier run is waited for, and done anew.
    """
    waiting = dict(stacks)
    begun: dict[str, str] = {}
    failed: list[str] = []
    told: set[str] = set()
    for _ in aws.pace.turns(patience.end(aws.pace)):
        for arn, name in [*waiting.items()]:
            if arn not in begun:
                try:
                    answer = aws.read("cloudformation", "detect_stack_drift", StackName=arn)
                except ApiError as error:
                    if error.kind != "refused" or "in progress" not in error.reason.lower():
                        raise
                    if name not in told:
                        tell(Note(f"{name}: somebody else has it looked into, which is waited for"))
                    told.add(name)
                    continue
                begun[arn] = answer["StackDriftDetectionId"]
            state = aws.read(
                "cloudformation", "describe_stack_drift_detection_status", StackDriftDetectionId=begun[arn]
            )
            if state["DetectionStatus"] == "DETECTION_IN_PROGRESS":
                continue
            if state["DetectionStatus"] == "DETECTION_FAILED":
                failed.append(f"{name}: {state.get('DetectionStatusReason', 'no reason given')}")
            del waiting[arn]
            tell(Note(f"looked into {name}, {len(stacks) - len(waiting)} of {len(stacks)} stacks"))
        if not waiting:
            return failed
    return None


def _drifts(aws: Aws, stack: str, path: str, scaled: Mapping[str, Scaled]) -> Iterator[Drifted]:
    """What differs in a stack that was looked into."""
    asked = ["MODIFIED", "DELETED", "UNKNOWN"]
    for page in aws.pages(
        "cloudformation", "describe_stack_resource_drifts", StackName=stack, StackResourceDriftStatusFilters=asked
    ):
        for raw in page["StackResourceDrifts"]:
            if raw["ResourceType"] == NESTED:
                continue  # it is looked into itself
            where = f"{path}/{raw['LogicalResourceId']}".lstrip("/")
            set_ = scaled.get(service_in(where))
            yield Drifted(
                where,
                raw["ResourceType"],
                raw["StackResourceDriftStatus"],
                tuple(_differences(raw, sentence(set_) if set_ else "")),
                raw.get("DriftStatusReason", ""),
            )


def _differences(raw: Mapping[str, Any], scaled: str) -> Iterator[Difference]:
    for each in raw.get("PropertyDifferences", []):
        plain = Difference(
            each["PropertyPath"], each.get("ExpectedValue", ""), each.get("ActualValue", ""), each["DifferenceType"]
        )
        yield plain._replace(why=why_expected(raw["ResourceType"], plain, scaled))


def _fact(each: Drifted) -> Fact:
    words = {"DELETED": "it is gone", "UNKNOWN": "it could not be compared"}.get(each.status, "")
    said = "  ".join(filter(None, (each.path, each.type, each.status, words, each.reason)))
    lines = [said + ("  as expected" if each.expected else "")]
    for name, expected, actual, kind, why in each.differences:
        sides = {"ADD": f"+ {actual}", "REMOVE": f"- {expected}"}.get(kind, f"{expected} -> {actual}")
        lines.append(f"  {name}  {sides}" + (f"  ({why})" if why else ""))
    data = {
        "path": each.path,
        "resource_type": each.type,
        "status": each.status,
        "expected": each.expected,
        "reason": each.reason,
        "differences": [difference._asdict() for difference in each.differences],
    }
    return Fact("drift", tuple(lines), data, "info" if each.expected else "warning")


def _outcome(live: Live, stacks: int, found: Sequence[Drifted], unseen: Sequence[str]) -> Outcome:
    wrong = [each.path for each in found if not each.expected and each.status != "UNKNOWN"]
    unknown = [*unseen, *(each.path for each in found if each.status == "UNKNOWN")]
    usual = sum(each.expected for each in found)
    as_usual = f"; {usual} as is expected" if usual else ""
    reason = f"could not be compared: {'; '.join(unknown)}" if unknown else ""
    if wrong:
        some = "1 resource differs from its template"
        if len(wrong) > 1:
            some = f"{len(wrong)} resources differ from their templates"
        what = f"{live.name}: {some}: {', '.join(wrong)}{as_usual}"
        by_hand = Next(words="put it back by hand, or into the config")
        cure = Next("deploy", ("--revert-drift",), "to set it back", instead=by_hand)
        return Outcome("changes", what, live.status, live.stack_id, reason=reason, next=cure)
    if unknown:
        what = f"{live.name}: nothing differs in what could be compared{as_usual}"
        return Outcome("error", what, live.status, live.stack_id, reason=reason, next=Next(AGAIN))
    what = f"{live.name}: {stacks} stacks are as their templates have them{as_usual}"
    return Outcome("done", what, live.status, live.stack_id)
