"""Why a change set failed, and what CloudFormation found in one that did not: validations and hooks. Best effort."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.errors import ScaleoutError

_ARN = re.compile(r"arn:[\w-]+:cloudformation:[\w-]+:\d+:changeSet/[\w/-]+")


def explained(aws: Aws, described: Mapping[str, Any], depth: int = 0) -> str:
    """Why a change set failed: the reason of the child that the root only points to, and what validations and hooks
    found."""
    reason = str(described.get("StatusReason", "")) or "no reason given"
    arn = _ARN.search(reason)
    if arn and arn[0] != described["ChangeSetId"] and depth < 5:
        try:
            child = aws.read("cloudformation", "describe_change_set", ChangeSetName=arn[0])
            return f"{child['StackName']}: {explained(aws, child, depth + 1)}"
        except ScaleoutError:
            return reason
    more = [words for words, _ in _validations(aws, described["ChangeSetId"])]
    if "hook" in reason.lower():
        more += _hooks(aws, described["ChangeSetId"])
    return "".join([reason, *(f"\n  - {line}" for line in more)])


def warnings(aws: Aws, change_set: str) -> list[str]:
    """What the validation of a change set that is ready found, and lets through: a repository with images that is to
    be deleted, say, or a quota.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_OperationEvent.html
    """
    return [f"validation: {words}" for words, mode in _validations(aws, change_set) if mode == "WARN"]


def _validations(aws: Aws, change_set: str) -> list[tuple[str, str]]:
    """What the validation found, each with its mode, FAIL or WARN. It needs a permission of its own."""
    reasons = []
    try:
        arguments = {"ChangeSetName": change_set}
        while True:
            answer = aws.once("cloudformation", "describe_events", **arguments)
            for raw in answer.get("OperationEvents", []):
                if reason := raw.get("ValidationStatusReason"):
                    place = f"{raw.get('LogicalResourceId', '')} {raw.get('ValidationPath', '')}".strip()
                    reasons.append(
                        (f"{place}: {reason}" if place else reason, raw.get("ValidationFailureMode", "FAIL"))
                    )
            if not answer.get("NextToken"):
                return reasons
            arguments["NextToken"] = answer["NextToken"]
    except ScaleoutError:
        return reasons


def _hooks(aws: Aws, change_set: str) -> list[str]:
    """What hooks said of a change set: they leave no events."""
    try:
        pages = aws.pages("cloudformation", "list_hook_results", TargetType="CHANGE_SET", TargetId=change_set)
        failed = [
            result
            for page in pages
            for result in page.get("HookResults", [])
            if result.get("Status", "").endswith("_FAILED") and result.get("FailureMode") != "WARN"
        ]
    except ScaleoutError:
        return []
    return [
        f"{result.get('TypeName', 'hook')}: {words}"
        for result in failed
        for words in hook_words(aws, result.get("HookResultId", ""), result.get("HookStatusReason", ""))
    ]


def hook_words(aws: Aws, result_id: str, reason: str) -> list[str]:
    """What a hook objects to, with its remedies; the reason alone where it says no more, or that may not be read.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetHookResult.html
    """
    try:
        answer = aws.once("cloudformation", "get_hook_result", HookResultId=result_id) if result_id else {}
    except ScaleoutError:
        answer = {}
    words = []
    for note in answer.get("Annotations", []):
        if note.get("Status") == "FAILED":
            parts = (note.get("StatusMessage"), note.get("RemediationMessage"), note.get("RemediationLink"))
            words.append(f"{note.get('AnnotationName', '')}: {'; '.join(part for part in parts if part)}")
    return words or [str(answer.get("HookStatusReason") or reason or "no reason given")]
