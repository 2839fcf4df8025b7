"""Whether a statement may be about a resource: wildcards, and what is known of both only in part."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.lint import check_set
from scaleout_cfn.lint.rules.permissions import may_match
from scaleout_cfn.templates.facts import Facts
from scaleout_cfn.templates.stacks import StackView, Symbol

from .cases import container
from .cases_permissions import (
    ROOT,
    allowed_action,
    allowed_resource,
    by_a_literal,
    by_ref,
    encrypted,
    no_decrypt,
    parameter,
)
from .sets import good, properties

STACK = StackView("a.yaml", Facts({}), {})
REGION = Symbol(STACK, "AWS::Region", "", "", False)
NAME = Symbol(STACK, "Name", "", "String", False)
KEY, OTHER = (Symbol(STACK, name, "", "AWS::SecretsManager::Secret", True) for name in ("Key", "Other"))
QUEUE = Symbol(STACK, "Queue", "Arn", "AWS::SQS::Queue", True)
SUFFIX = Symbol(STACK, "Key", "suffix", "AWS::SecretsManager::Secret", True)


@pytest.mark.parametrize(
    ("pattern", "target", "matches"),
    [
        (("",), ("",), True),
        (("",), ("a",), False),
        (("*",), ("",), True),
        (("*",), ("a:b/c",), True),
        (("a*",), ("abc",), True),
        (("a*c",), ("abbc",), True),
        (("a*c",), ("ab",), False),
        (("b*",), ("abc",), False),
        (("a?",), ("ab",), True),
        (("a?",), ("a",), False),
        (("a?",), ("abc",), False),
        (("ab",), ("abc",), False),
        (("abc",), ("ab",), False),
        # A star in a resource's own name is a letter.
        (("ab",), ("a*",), False),
        ((KEY,), (KEY,), True),
        ((KEY,), (OTHER,), False),
        ((KEY, "x"), (KEY, "x"), True),
        ((KEY, "x"), (KEY, "yx"), False),
        ((KEY,), (QUEUE,), True),
        ((KEY,), ("abc",), True),
        ((KEY,), ("a/b",), True),
        ((KEY,), ("a:b",), False),
        ((REGION,), ("cn-north-1",), True),
        ((REGION,), ("a/b",), False),
        ((REGION,), ("a:b",), False),
        ((NAME,), ("a:b",), True),
        ((SUFFIX,), ("abc",), True),
        ((SUFFIX,), ("a/b",), False),
        (("abc",), (KEY,), True),
        (("a:c",), (KEY,), False),
        (("a?c",), (KEY,), True),
        (("*",), (KEY,), True),
        (("a*",), ("a", KEY), True),
        (("b*",), ("a", KEY), False),
        (("x:", REGION, ":y"), ("x:", REGION, ":y"), True),
        (("x:", REGION, ":y"), ("x:cn-north-1:y",), True),
        (("x:", REGION, ":y"), ("x:cn-north-1:z",), False),
        (("x:*:y",), ("x:", REGION, ":y"), True),
    ],
    ids=str,
)
def test_a_pattern_may_mean_a_resource_unless_what_is_known_excludes_it(
    pattern: tuple[str | Symbol, ...], target: tuple[str | Symbol, ...], matches: bool
) -> None:
    assert may_match(pattern, target) is matches


@pytest.mark.parametrize(
    ("action", "enough"),
    [
        ("*", True),
        ("secretsmanager:*", True),
        ("SecretsManager:getsecretvalue", True),
        ("secretsmanager:GetSecretVal?e", True),
        ("secretsmanager:GetSecretValu", False),
        ("secretsmanager:Get?", False),
        ("secretsmanager.GetSecretValue", False),
        ("s3:*", False),
    ],
)
def test_an_action_is_allowed_by_name_or_wildcard_in_any_case(action: str, enough: bool) -> None:
    templates = good()
    by_ref(templates)
    allowed_action(action)(templates)
    assert [finding.rule for finding in check_set(templates)] == ([] if enough else ["S801"])


ARN = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:shop/key"


@pytest.mark.parametrize(
    ("arn", "enough"),
    [
        (ARN, True),
        (f"{ARN}-??????", True),
        (f"{ARN}*", True),
        (f"{ARN}-a1b2c3", True),
        (f"{ARN}:password::", False),
        (f"{ARN}s", False),
        (ARN[:-1], False),
    ],
)
def test_a_secret_is_meant_with_or_without_the_letters_that_aws_adds(arn: str, enough: bool) -> None:
    templates = good()
    by_a_literal(templates)
    allowed_resource(arn)(templates)
    assert [finding.rule for finding in check_set(templates)] == ([] if enough else ["S801"])


@pytest.mark.parametrize(
    ("principal", "judged"),
    [
        ({"AWS": ROOT}, True),
        ({"AWS": {"Fn::GetAtt": ["Other", "Arn"]}}, True),
        ({"Service": "logs.amazonaws.com"}, True),
        ({"AWS": [ROOT, {"Fn::GetAtt": ["Execution", "Arn"]}]}, False),
        ({"AWS": {"Fn::ImportValue": "role"}}, False),
        ({"AWS": "arn:aws-cn:iam::123456789012:role/it"}, False),
        ({"AWS": "*"}, False),
        ("*", False),
    ],
    ids=str,
)
def test_a_role_that_a_key_may_let_in_by_itself_needs_no_statement_of_its_own(principal: Any, judged: bool) -> None:
    templates = good()
    encrypted(templates)
    no_decrypt(templates)
    trust = properties(templates, "service", "Execution")["AssumeRolePolicyDocument"]
    other = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    templates["service.yaml"]["Resources"]["Other"] = other
    properties(templates, "service", "Lock")["KeyPolicy"]["Statement"][0]["Principal"] = principal
    assert [finding.rule for finding in check_set(templates)] == (["S802"] if judged else [])


@pytest.mark.parametrize(("behind", "judged"), [("", True), (":password::", True), ("x", False), ("${Other}", False)])
def test_a_secret_by_reference_is_known_with_what_may_follow_it(behind: str, judged: bool) -> None:
    templates = good()
    by_ref(templates)
    container(templates)["Secrets"][0]["ValueFrom"] = {"Fn::Sub": "${Key}" + behind}
    templates["service.yaml"]["Resources"]["Other"] = {"Type": "AWS::SNS::Topic"}
    allowed_action("s3:GetObject")(templates)
    assert [finding.rule for finding in check_set(templates)] == (["S801"] if judged else [])


@pytest.mark.parametrize(("reach", "enough"), [("shop/*", True), ("shop/key", True), ("other/*", False)])
def test_a_parameter_by_reference_is_meant_by_its_name(reach: str, enough: bool) -> None:
    templates = good()
    parameter(templates)
    value = {"Type": "String", "Value": "a", "Name": "/shop/key"}
    templates["service.yaml"]["Resources"]["Value"] = {"Type": "AWS::SSM::Parameter", "Properties": value}
    container(templates)["Secrets"][0]["ValueFrom"] = {"Ref": "Value"}
    arn = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/" + reach
    allowed_resource({"Fn::Sub": arn})(templates)
    assert [finding.rule for finding in check_set(templates)] == ([] if enough else ["S801"])
