"""What shall be: which value each parameter gets, when a stack has it already, and what marks an operation as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scaleout_cfn.deploy.desired import ENVIRONMENT, Desired, fingerprint_in, parameters_for, token
from scaleout_cfn.deploy.publish import Bucket, File, Published
from scaleout_cfn.errors import UsageError

from .scripted import live

DECLARED: dict[str, dict[str, Any]] = {
    "WebImageUri": {"Type": "String", "Default": ""},
    "Max": {"Type": "Number", "Default": 4},
    "Password": {"Type": "String", "NoEcho": True},
    "Ami": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/ami"},
}
BUCKET = Bucket("artifacts", "https://artifacts")


def published(**declared: Any) -> Published:
    return Published(BUCKET, (File("root.yaml", "k", "https://artifacts/k", "text"),), declared or DECLARED, ())


def desired(**more: Any) -> Desired:
    values = {"WebImageUri": "web:1", "Max": "4", "Password": None, "Ami": "/ami"}
    return replace(Desired("web", published(), values, {"a": "b"}), **more)


def there(**more: Any) -> Any:
    parameters = {"WebImageUri": "web:1", "Max": "4", "Password": "****", "Ami": "/ami"}
    return live(**{"parameters": parameters, "tags": {"a": "b"}} | more)


def test_a_stack_that_is_what_is_desired_matches() -> None:
    assert desired().matches(there(), "text")
    assert desired().matches(there(status="UPDATE_ROLLBACK_COMPLETE"), "text")
    assert desired(role_arn="role").matches(there(role_arn="role"), "text")
    assert desired().matches(there(role_arn="role"), "text")  # none is asked for: the stack's own is taken


@pytest.mark.parametrize(
    ("wished", "has", "template"),
    [
        ({}, {}, "other text"),
        ({}, {"status": "UPDATE_FAILED"}, "text"),
        ({}, {"status": "UPDATE_IN_PROGRESS"}, "text"),
        ({}, {"status": "CREATE_FAILED"}, "text"),
        ({}, {"status": "ROLLBACK_COMPLETE"}, "text"),
        ({}, {"tags": {}}, "text"),
        ({"tags": {}}, {}, "text"),
        ({"role_arn": "role"}, {}, "text"),
        ({}, {"parameters": {"WebImageUri": "web:2", "Max": "4", "Password": "****", "Ami": "/ami"}}, "text"),
        ({}, {"parameters": {"WebImageUri": "web:1", "Max": "4", "Password": "****"}}, "text"),
        ({}, {"parameters": {"WebImageUri": "web:1", "Max": "4", "Password": "****", "Ami": "/ami", "B": ""}}, "text"),
        # A secret that is given cannot be compared.
        ({"parameters": {"WebImageUri": "web:1", "Max": "4", "Password": "****", "Ami": "/ami"}}, {}, "text"),
    ],
)
def test_anything_that_differs_is_no_match(wished: Any, has: Any, template: str) -> None:
    assert not desired(**wished).matches(there(**has), template)


@pytest.mark.parametrize(
    "change",
    [
        {"stack_name": "other"},
        {"parameters": {"WebImageUri": "web:2"}},
        {"tags": {}},
        {"role_arn": "role"},
        {"parameters": {"WebImageUri": "web:1", "Max": "4", "Password": "x", "Ami": "/ami"}},
    ],
)
def test_another_desired_state_has_another_fingerprint(change: Any) -> None:
    assert desired().fingerprint == desired().fingerprint != desired(**change).fingerprint
    assert len(desired(**change).fingerprint) == 16


def test_the_order_in_which_something_is_desired_makes_no_other_state() -> None:
    one, other = ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})
    assert desired(parameters=one, tags=one).fingerprint == desired(parameters=other, tags=other).fingerprint


def test_no_fingerprint_shows_a_secret_and_each_secret_has_its_own() -> None:
    one, other = ({"WebImageUri": "web:1", "Password": word} for word in ("one", "other"))
    assert desired(parameters=one).fingerprint != desired(parameters=other).fingerprint
    assert desired(parameters=one)._value("Password") != "one"
    assert desired(parameters=one)._value("WebImageUri") == "web:1"
    assert desired()._value("Password") is None


def test_secrets_are_those_with_no_echo_however_it_is_written() -> None:
    declared = {"A": {"NoEcho": True}, "B": {"NoEcho": "true"}, "C": {"NoEcho": False}, "D": {}}
    assert desired(published=published(**declared)).secrets == {"A", "B"}


def test_only_what_has_a_value_can_stand_for_an_ssm_parameter() -> None:
    assert desired().looked_up == {"Ami": "/ami"}
    assert desired(parameters={"Ami": None, "Max": "4"}).looked_up == {}


def test_a_value_is_sent_and_none_keeps_the_one_before() -> None:
    assert desired(parameters={"A": "1", "B": None, "C": ""}).request() == [
        {"ParameterKey": "A", "ParameterValue": "1"},
        {"ParameterKey": "B", "UsePreviousValue": True},
        {"ParameterKey": "C", "ParameterValue": ""},
    ]


def test_the_environment_is_that_of_the_tag() -> None:
    assert (desired().environment, desired(tags={ENVIRONMENT: "prod"}).environment) == ("", "prod")


@pytest.mark.parametrize(
    ("has", "given", "image", "values"),
    [
        # The config is in the defaults, which win over what the stack has.
        ({"Max": "9", "Password": "****"}, {}, None, {"WebImageUri": "", "Max": "4", "Password": None, "Ami": "/ami"}),
        ({"Max": "9", "Password": "****"}, {"Max": "7"}, "web:2", {"WebImageUri": "web:2", "Max": "7"}),
        ({"WebImageUri": "web:1", "Password": "****"}, {}, None, {"WebImageUri": "web:1"}),
        ({"WebImageUri": "web:1", "Password": "****"}, {}, "", {"WebImageUri": ""}),
        ({"WebImageUri": "web:1", "Password": "****"}, {"WebImageUri": "web:3"}, "web:2", {"WebImageUri": "web:3"}),
        ({"Password": "plain"}, {}, None, {"Password": "plain"}),
        (None, {"Password": "new"}, None, {"Password": "new", "WebImageUri": ""}),
    ],
)
def test_each_parameter_gets_its_value(has: Any, given: Any, image: str | None, values: Any) -> None:
    found = parameters_for(
        published(),
        None if has is None else live(parameters=has),
        given,
        {} if image is None else {"WebImageUri": image},
    )
    assert found | values == found
    assert list(found) == list(DECLARED)


def test_an_image_in_the_config_wins_over_the_one_that_runs() -> None:
    declared = {"WebImageUri": {"Default": "web:7"}}
    assert parameters_for(published(**declared), live(parameters={"WebImageUri": "web:1"}), {}, {}) == {
        "WebImageUri": "web:7"
    }


def test_a_parameter_without_a_value_or_of_no_name_is_refused() -> None:
    with pytest.raises(UsageError, match="parameter Password: has no value"):
        parameters_for(published(), None, {}, {})
    with pytest.raises(UsageError, match="parameter Mox: the root has none of that name; it has WebImageUri, Max"):
        parameters_for(published(), None, {"Password": "x", "Mox": "1"}, {})


def test_a_token_is_the_same_for_the_same_and_carries_the_fingerprint() -> None:
    mark = desired().fingerprint
    one = token("deploy", mark, "state")
    assert one == token("deploy", mark, "state") != token("deploy", mark, "another")
    assert fingerprint_in(one) == fingerprint_in(f"scaleout-cfn {one}-2") == mark
    assert one.startswith("scfn-deploy-") and len(one) == len(f"scfn-deploy-{mark}-") + 8
    assert fingerprint_in(token("unmake", "", "state")) == "0" * 16
    assert fingerprint_in("somebody-else") == ""
