"""Why a change set failed, and what CloudFormation found in one that did not: validations and hooks. Best effort."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.errors import ScaleoutError

__all__ = ["explained", "hook_words", "warnings"]

_ARN = re.compile(r"arn:[\w-]+:cloudformation:[\w-]+:\d+:changeSet/[\w/-]+")


def explained(aws: Aws, described: Mapping[str, Any], depth: int = 0) -> str:
    """Why a change set failed: the reason of the child that the root only points to, and what validations and hooks
    found."""
    reason = str(described.get("StatusReason", "")) or "no reason given"
    found = _ARN.search(reason)
    if found and found[0] != described["ChangeSetId"] and depth < 5:
        try:
            child = aws.read("cloudformation", "describe_change_set", ChangeSetName=found[0])
            return f"{child['StackName']}: {explained(aws, child, depth + 1)}"
        except ScaleoutError:
            return reason
    more = [words for words, _ in _validations(aws, described["ChangeSetId"])]
    if "hook" in reason.lower():
        more += _hooks(aws, described["ChangeSetId"])
    return "".join([reason, *(f"\n  - {one}" for one in more)])


def warnings(aws: Aws, change_set: str) -> list[str]:
    """What the validation of a change set that is ready found, and lets through: a repository with images that is to
    be deleted, say, or a quota.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_OperationEvent.html
    """
    return [f"validation: {words}" for words, mode in _validations(aws, change_set) if mode == "WARN"]


def _validations(aws: Aws, change_set: str) -> list[tuple[str, str]]:
    """What the validation found, each with its mode, FAIL or WARN. It needs a permission of its own."""
    found = []
    try:
        arguments = {"ChangeSetName": change_set}
        while True:
            answer = aws.once("cloudformation", "describe_events", **arguments)
            for one in answer.get("OperationEvents", []):
                if reason := one.get("ValidationStatusReason"):
                    place = f"{one.get('LogicalResourceId', '')} {one.get('ValidationPath', '')}".strip()
                    found.append((f"{place}: {reason}" if place else reason, one.get("ValidationFailureMode", "FAIL")))
            if not answer.get("NextToken"):
                return found
            arguments["NextToken"] = answer["NextToken"]
    except ScaleoutError:
        return found


def _hooks(aws: Aws, change_set: str) -> list[str]:
    """What hooks said of a change set: they leave no events."""
    try:
        pages = aws.pages("cloudformation", "list_hook_results", TargetType="CHANGE_SET", TargetId=change_set)
        failed = [
            one
            for page in pages
            for one in page.get("HookResults", [])
            if one.get("Status", "").endswith("_FAILED") and one.get("FailureMode") != "WARN"
        ]
    except ScaleoutError:
        return []
    return [
        f"{one.get('TypeName', 'hook')}: {words}"
        for one in failed
        for words in hook_words(aws, one.get("HookResultId", ""), one.get("HookStatusReason", ""))
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
    for one in answer.get("Annotations", []):
        if one.get("Status") == "FAILED":
            parts = (one.get("StatusMessage"), one.get("RemediationMessage"), one.get("RemediationLink"))
            words.append(f"{one.get('AnnotationName', '')}: {'; '.join(part for part in parts if part)}")
    return words or [str(answer.get("HookStatusReason") or reason or "no reason given")]
