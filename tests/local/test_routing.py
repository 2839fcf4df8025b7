"""Listener rules and certificates, in the emulator: what is asked goes where the rules say."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from . import helpers, sets
from .helpers import Account
from .test_capacity import why_not

Record = dict[str, Any]
ELB = "AWS::ElasticLoadBalancingV2"


def answer(word: str) -> Record:
    fixed = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": word}
    return {"Type": "fixed-response", "FixedResponseConfig": fixed}


def when(field: str, **config: Any) -> Record:
    """A condition: `when("path-pattern", PathPatternConfig={"Values": [...]})`."""
    return {"Field": field, **config}


def path(*values: Any) -> Record:
    return when("path-pattern", PathPatternConfig={"Values": list(values)})


def rule(priority: Any, *conditions: Record, action: Record, listener: str = "Listener") -> sets.Template:
    properties = {"Priority": priority, "Conditions": list(conditions), "Actions": [action]}
    return {"Type": f"{ELB}::ListenerRule", "Properties": {"ListenerArn": {"Ref": listener}, **properties}}


def group() -> sets.Template:
    return {"Type": f"{ELB}::TargetGroup", "Properties": {"Port": 80, "Protocol": "HTTP", "TargetType": "ip"}}


def forward(*names: str, weights: tuple[Any, ...] = ()) -> Record:
    if not weights:
        return {"Type": "forward", "TargetGroupArn": {"Ref": names[0]}}
    groups = [{"TargetGroupArn": {"Ref": name}, "Weight": weight} for name, weight in zip(names, weights, strict=True)]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def balancer(**resources: sets.Template) -> sets.Template:
    """A balancer that answers 404 by itself, on two ports, and what is behind it."""
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listening = {"LoadBalancerArn": {"Ref": "Balancer"}, "Protocol": "HTTP", "DefaultActions": [nothing]}
    return {
        "Balancer": {"Type": f"{ELB}::LoadBalancer", "Properties": {"Name": "shop"}},
        "Listener": {"Type": f"{ELB}::Listener", "Properties": {**listening, "Port": 80}},
        "Other": {"Type": f"{ELB}::Listener", "Properties": {**listening, "Port": 81}},
        **resources,
    }


def rules_of(account: Account, listener: str) -> list[Record]:
    rules = account.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]
    return [one for one in rules if not one["IsDefault"]]


def asked(account: Account, target: str, **headers: str) -> tuple[int, str]:
    """Status and body of a request to the balancer."""
    connection = http.client.HTTPConnection(urlsplit(account.emulator.endpoint_url).netloc)
    account_is = {"Authorization": f"AWS4-HMAC-SHA256 Credential={account.number}/20261128/us-east-1/x/aws4_request"}
    connection.request("GET", f"/_alb/shop{target}", headers={**account_is, **headers})
    response = connection.getresponse()
    status, body = response.status, response.read().decode()
    connection.close()
    return status, body


def test_a_request_goes_where_the_first_rule_that_matches_says(account: Account) -> None:
    helpers.stands(
        account,
        balancer(
            Path=rule("10", path("/api", "/api/*"), action=answer("path")),
            Host=rule(20, when("host-header", HostHeaderConfig={"Values": ["*.shop.test"]}), action=answer("host")),
            Header=rule(
                30,
                when("http-header", HttpHeaderConfig={"HttpHeaderName": "X-Beta", "Values": ["y*"]}),
                action=answer("header"),
            ),
            Query=rule(
                40,
                when("query-string", QueryStringConfig={"Values": [{"Key": "page", "Value": "new*"}, {"Value": "x"}]}),
                action=answer("query"),
            ),
            Both=rule(5, path("/api/*"), when("host-header", Values=["api.shop.test"]), action=answer("both")),
        ),
    )
    assert asked(account, "/api/1") == (200, "path")
    assert asked(account, "/api/1", Host="api.shop.test") == (200, "both")
    assert asked(account, "/", Host="www.shop.test") == (200, "host")
    assert asked(account, "/", **{"X-Beta": "Yes"}) == (200, "header")
    assert asked(account, "/?page=newest") == (200, "query")
    assert asked(account, "/?any=x") == (200, "query")
    assert asked(account, "/?page=old")[0] == 404


def test_a_redirect_is_one(account: Account) -> None:
    redirect = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", "Host": "other.test", "Port": "443"}}
    helpers.stands(account, balancer(It=rule(1, path("/old"), action=redirect)))
    assert asked(account, "/old")[0] == 302


def test_rules_are_shown_as_the_template_has_them(account: Account) -> None:
    pairs = [{"Key": "page", "Value": "a&b"}, {"Value": "x"}]
    resources = balancer(
        Blue=group(),
        Green=group(),
        It=rule(
            1,
            when("query-string", QueryStringConfig={"Values": pairs}),
            action=forward("Blue", "Green", weights=("90", 10)),
        ),
    )
    made = helpers.stands(
        account, resources, {name: {"Ref": name} for name in ("Listener", "Blue", "Green", "Balancer")}
    )
    (shown,) = rules_of(account, made["Listener"])
    assert shown["Conditions"] == [{"Field": "query-string", "QueryStringConfig": {"Values": pairs}}]
    assert shown["Actions"][0]["ForwardConfig"]["TargetGroups"] == [
        {"TargetGroupArn": made["Blue"], "Weight": 90},
        {"TargetGroupArn": made["Green"], "Weight": 10},
    ]
    groups = account.client("elbv2").describe_target_groups()["TargetGroups"]
    assert [one["LoadBalancerArns"] for one in groups] == [[made["Balancer"]]] * 2


def test_rules_made_by_the_service_itself_are_read_as_well(account: Account) -> None:
    made = helpers.stands(account, balancer(Blue=group()), {name: {"Ref": name} for name in ("Listener", "Blue")})
    elbv2 = account.client("elbv2")
    pairs = [{"Key": "page", "Value": "new"}]
    elbv2.create_rule(
        ListenerArn=made["Listener"],
        Priority=7,
        Conditions=[{"Field": "query-string", "QueryStringConfig": {"Values": pairs}}],
        Actions=[
            {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": made["Blue"], "Weight": 3}]}}
        ],
    )
    (shown,) = rules_of(account, made["Listener"])
    assert shown["Conditions"][0]["QueryStringConfig"]["Values"] == pairs
    assert (shown["Actions"][0]["TargetGroupArn"], shown["Priority"]) == (made["Blue"], "7")
    assert shown["Actions"][0]["ForwardConfig"]["TargetGroups"][0]["Weight"] == 3


def test_a_priority_is_of_one_rule_of_a_listener(account: Account) -> None:
    one = rule(1, path("/a"), action=answer("a"))
    helpers.stands(account, balancer(One=one, Elsewhere=rule(1, path("/a"), action=answer("a"), listener="Other")))
    two = {**rule("1", path("/b"), action=answer("b")), "DependsOn": "One"}
    assert "Priority '1' is currently in use (Error Code: PriorityInUse)" in why_not(
        account, balancer(One=one, Two=two)
    )


def test_the_service_itself_refuses_what_a_stack_may_not_have(account: Account) -> None:
    one = rule(1, path("/a"), action=answer("a"))
    outputs = {"Listener": {"Ref": "Listener"}, "One": {"Ref": "One"}}
    made = helpers.stands(account, balancer(One=one, Two=rule(2, path("/b"), action=answer("b"))), outputs)
    elbv2 = account.client("elbv2")
    wanted = {"Conditions": [{"Field": "path-pattern", "Values": ["/c"]}], "Actions": [answer("c")]}
    again = {"ListenerArn": made["Listener"], "Priority": 1, **wanted}
    assert helpers.refused(lambda: elbv2.create_rule(**again)) == "Priority '1' is currently in use"
    taken = [{"RuleArn": made["One"], "Priority": 2}]
    assert (
        helpers.refused(lambda: elbv2.set_rule_priorities(RulePriorities=taken)) == "Priority '2' is currently in use"
    )
    many = [{"Field": "path-pattern", "Values": [f"/{number}" for number in range(6)]}]
    assert "'5' condition values" in helpers.refused(lambda: elbv2.modify_rule(RuleArn=made["One"], Conditions=many))
    elbv2.set_rule_priorities(RulePriorities=[{"RuleArn": made["One"], "Priority": 3}])
    assert [one["Priority"] for one in rules_of(account, made["Listener"])] == ["3", "2"]


def test_two_rules_that_swap_priorities_collide_on_the_way(account: Account) -> None:
    def ordered(first: int, second: int) -> sets.Template:
        return balancer(
            One=rule(first, path("/a"), action=answer("a")),
            Two={**rule(second, path("/b"), action=answer("b")), "DependsOn": "One"},
        )

    helpers.stands(account, ordered(1, 2))
    assert "PriorityInUse" in why_not(account, ordered(2, 1))
    assert asked(account, "/a") == (200, "a")


def test_a_rule_changes_in_place_and_another_listener_s_is_another_rule(account: Account) -> None:
    outputs = {"It": {"Ref": "It"}}
    first = helpers.stands(account, balancer(It=rule(1, path("/a"), action=answer("a"))), outputs)
    moved = rule(3, path("/b"), action=answer("b"))
    assert helpers.stands(account, balancer(It=moved), outputs) == first
    assert (asked(account, "/a")[0], asked(account, "/b")) == (404, (200, "b"))

    elsewhere = rule(3, path("/b"), action=answer("b"), listener="Other")
    assert helpers.stands(account, balancer(It=elsewhere), outputs) != first
    assert asked(account, "/b")[0] == 404


@pytest.mark.parametrize(
    "conditions",
    [
        [path("/1", "/2", "/3", "/4", "/5", "/6")],
        [path("/1", "/2", "/3"), when("host-header", HostHeaderConfig={"Values": ["a", "b", "c"]})],
        [
            path("/1"),
            when("http-header", HttpHeaderConfig={"HttpHeaderName": "X", "Values": ["a", "b"]}),
            when("query-string", QueryStringConfig={"Values": [{"Key": "k", "Value": word} for word in "abc"]}),
        ],
    ],
)
def test_a_rule_has_five_condition_values_at_most(conditions: list[Record], account: Account) -> None:
    words = "A rule can only have '5' condition values"
    assert words in why_not(account, balancer(It=rule(1, *conditions, action=answer("a"))))


def test_five_condition_values_are_taken(account: Account) -> None:
    helpers.stands(account, balancer(It=rule(1, path("/1", "/2", "/3", "/4", "/5"), action=answer("a"))))


def test_a_rule_forwards_to_what_is_there(account: Account) -> None:
    nowhere = {"Type": "forward", "TargetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"}
    assert "TargetGroupNotFound" in why_not(account, balancer(It=rule(1, path("/"), action=nowhere)))


@pytest.mark.parametrize("action", [forward("Blue"), forward("Green", "Blue", weights=(1, 0))])
def test_a_target_group_that_a_rule_forwards_to_stays(action: Record, account: Account) -> None:
    resources = balancer(Blue=group(), Green=group(), It=rule(1, path("/"), action=action))
    blue = helpers.stands(account, resources, {"Blue": {"Ref": "Blue"}})["Blue"]
    elbv2 = account.client("elbv2")
    said = helpers.refused(lambda: elbv2.delete_target_group(TargetGroupArn=blue))
    assert said == f"Target group '{blue}' is currently in use by a listener or a rule"
    assert helpers.delete(account, helpers.described(account, "demo")["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(account) == []


def test_a_target_group_of_another_type_is_another_one_and_the_old_one_goes(account: Account) -> None:
    def of(kind: str) -> sets.Template:
        targets = group()
        targets["Properties"]["TargetType"] = kind
        return balancer(Blue=targets, It=rule(1, path("/"), action=forward("Blue")))

    outputs = {"It": {"Ref": "It"}, "Blue": {"Ref": "Blue"}}
    first = helpers.stands(account, of("instance"), outputs)
    second = helpers.stands(account, of("ip"), outputs)
    assert (second["It"], second["Blue"] == first["Blue"]) == (first["It"], False)
    groups = account.client("elbv2").describe_target_groups()["TargetGroups"]
    assert [one["TargetGroupArn"] for one in groups] == [second["Blue"]]


def test_a_listener_has_further_certificates(account: Account) -> None:
    arns = [f"arn:aws:acm:us-east-1:123456789012:certificate/{number}" for number in range(4)]

    def listening(*further: str) -> sets.Template:
        resources = balancer()
        resources["Listener"]["Properties"].update(Protocol="HTTPS", Certificates=[{"CertificateArn": arns[0]}])
        certificates = [{"CertificateArn": arn} for arn in further]
        properties = {"ListenerArn": {"Ref": "Listener"}, "Certificates": certificates}
        return {**resources, "It": {"Type": f"{ELB}::ListenerCertificate", "Properties": properties}}

    elbv2 = account.client("elbv2")

    def shown(listener: str) -> dict[str, bool]:
        listed = elbv2.describe_listener_certificates(ListenerArn=listener)["Certificates"]
        return {one["CertificateArn"]: one["IsDefault"] for one in listed}

    outputs = {"It": {"Ref": "It"}, "Listener": {"Ref": "Listener"}}
    first = helpers.stands(account, listening(arns[1]), outputs)
    assert shown(first["Listener"]) == {arns[0]: True, arns[1]: False}
    assert helpers.stands(account, listening(arns[2]), outputs) == first
    assert shown(first["Listener"]) == {arns[0]: True, arns[2]: False}
    elbv2.add_listener_certificates(ListenerArn=first["Listener"], Certificates=[{"CertificateArn": arns[3]}])
    elbv2.remove_listener_certificates(ListenerArn=first["Listener"], Certificates=[{"CertificateArn": arns[2]}])
    assert shown(first["Listener"]) == {arns[0]: True, arns[3]: False}
    assert "not found" in helpers.refused(lambda: shown(f"{first['Listener']}0"))


def test_a_target_group_belongs_to_one_load_balancer(account: Account) -> None:
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listening = {"LoadBalancerArn": {"Ref": "Second"}, "Protocol": "HTTP", "Port": 80, "DefaultActions": [nothing]}
    resources = balancer(
        Group=group(),
        First=rule(1, path("/a"), action=forward("Group")),
        Again=rule(2, path("/b"), action=forward("Group"), listener="Other"),
        Second={"Type": f"{ELB}::LoadBalancer", "Properties": {"Name": "second"}},
        SecondListener={"Type": f"{ELB}::Listener", "Properties": listening},
    )
    helpers.stands(account, resources)
    shared = {**resources, "Shared": rule(1, path("/a"), action=forward("Group"), listener="SecondListener")}
    assert helpers.stand(account, shared)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "cannot be associated with more than one load balancer" in str(helpers.failures(account))
