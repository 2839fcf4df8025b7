"""Deployments that move requests: a right set, and one mistake each."""

from __future__ import annotations

from typing import Any

from .cases import Case, Change, resources, service
from .sets import Set, passed

ENTRY = "service Resources.Service.Properties.LoadBalancers.0"
ADVANCED = f"{ENTRY}.AdvancedConfiguration"
TRACKS = "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification"
HOOK = "service Resources.Service.Properties.DeploymentConfiguration.LifecycleHooks.0"
ROLE = "arn:aws:iam::123456789012:role/ecs-moves"


def advanced(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = service(templates)["LoadBalancers"][0]["AdvancedConfiguration"]
    return found


def moving(templates: Set) -> None:
    """The good set with two target groups, a rule over both, and a strategy."""
    there = resources(templates, "balancer")
    there["Others"] = {**there["Targets"], "Properties": dict(there["Targets"]["Properties"])}
    both = [{"TargetGroupArn": {"Ref": "Targets"}, "Weight": 100}, {"TargetGroupArn": {"Ref": "Others"}, "Weight": 0}]
    for number, title in enumerate(("Rule", "TestRule"), 1):
        there[title] = {
            "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
            "Properties": {
                "ListenerArn": {"Ref": "Listener"},
                "Priority": number,
                "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{number}"]}}],
                "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [dict(group) for group in both]}}],
            },
        }
    for title in ("Others", "Rule", "TestRule"):
        templates["balancer.yaml"]["Outputs"][title] = {"Value": {"Ref": title}}
        templates["service.yaml"]["Parameters"][title] = {"Type": "String"}
        passed(templates, "Service")[title] = {"Fn::GetAtt": ["Balancer", f"Outputs.{title}"]}
    service(templates)["DeploymentConfiguration"]["Strategy"] = "CANARY"
    service(templates)["LoadBalancers"][0]["AdvancedConfiguration"] = {
        "AlternateTargetGroupArn": {"Ref": "Others"},
        "ProductionListenerRule": {"Ref": "Rule"},
        "TestListenerRule": {"Ref": "TestRule"},
        "RoleArn": ROLE,
    }
    policy = resources(templates, "service")["Requests"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    policy["PredefinedMetricSpecification"] = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    del templates["service.yaml"]["Parameters"]["LabelOfRequests"], passed(templates, "Service")["LabelOfRequests"]
    del templates["balancer.yaml"]["Outputs"]["LabelOfRequests"]


def without(name: str) -> Change:
    def change(templates: Set) -> None:
        del advanced(templates)[name]

    return change


def without_all(templates: Set) -> None:
    service(templates)["LoadBalancers"][0].pop("AdvancedConfiguration")
    for title in ("Others", "Rule", "TestRule"):
        del templates["service.yaml"]["Parameters"][title], passed(templates, "Service")[title]
        del templates["balancer.yaml"]["Outputs"][title]


def one_group(templates: Set) -> None:
    advanced(templates)["AlternateTargetGroupArn"] = {"Ref": "TargetGroup"}


def another_protocol(templates: Set) -> None:
    resources(templates, "balancer")["Others"]["Properties"]["ProtocolVersion"] = "HTTP2"
    resources(templates, "balancer")["Targets"]["Properties"]["ProtocolVersion"] = "HTTP1"


def a_third_group(templates: Set) -> None:
    there = resources(templates, "balancer")
    there["Third"] = {**there["Targets"], "Properties": dict(there["Targets"]["Properties"])}
    (action,) = there["Rule"]["Properties"]["Actions"]
    action["ForwardConfig"]["TargetGroups"][1]["TargetGroupArn"] = {"Ref": "Third"}


def a_redirect(templates: Set) -> None:
    actions = resources(templates, "balancer")["Rule"]["Properties"]["Actions"]
    actions[0]["Order"] = 2
    actions.insert(0, {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": OIDC})


OIDC = {
    "Issuer": "https://id.example.com",
    "AuthorizationEndpoint": "https://id.example.com/authorize",
    "TokenEndpoint": "https://id.example.com/token",
    "UserInfoEndpoint": "https://id.example.com/me",
    "ClientId": "shop",
    "ClientSecret": "{{resolve:secretsmanager:shop:SecretString:client}}",
}


def one_rule(templates: Set) -> None:
    advanced(templates)["TestListenerRule"] = {"Ref": "Rule"}


def by_requests(templates: Set) -> None:
    policy = resources(templates, "service")["Requests"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    label = "app/shop/0123456789abcdef/targetgroup/shop/0123456789abcdef"
    policy["PredefinedMetricSpecification"] = {
        "PredefinedMetricType": "ALBRequestCountPerTarget",
        "ResourceLabel": label,
    }


def hooked(**hook: Any) -> Change:
    def change(templates: Set) -> None:
        service(templates)["DeploymentConfiguration"]["LifecycleHooks"] = [hook]

    return change


CASES: tuple[Case, ...] = (
    Case("S616", moving, without("RoleArn"), ADVANCED, "CANARY, and its load balancer has no RoleArn"),
    Case("S616", moving, without_all, ENTRY, "AlternateTargetGroupArn, ProductionListenerRule, RoleArn"),
    Case("S617", moving, one_group, f"{ADVANCED}.AlternateTargetGroupArn", "both of its target groups"),
    Case("S617", moving, another_protocol, f"{ADVANCED}.AlternateTargetGroupArn", "ProtocolVersion HTTP1"),
    Case("S618", moving, a_third_group, f"{ADVANCED}.ProductionListenerRule", "none of the two"),
    Case("S618", moving, a_redirect, f"{ADVANCED}.ProductionListenerRule", "an action authenticate-oidc"),
    Case("S618", moving, one_rule, f"{ADVANCED}.TestListenerRule", "a rule of their own"),
    Case(
        "S619",
        moving,
        by_requests,
        f"service Resources.Requests.Properties.{TRACKS}.PredefinedMetricType",
        "has two by CANARY",
    ),
    Case(
        "S620",
        moving,
        hooked(TargetType="PAUSE", LifecycleStages=["PRODUCTION_TRAFFIC_SHIFT"]),
        f"{HOOK}.LifecycleStages",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    ),
    Case(
        "S620",
        moving,
        hooked(HookTargetArn="arn:aws:lambda:eu-west-1:123456789012:function:it", LifecycleStages=["PRE_SCALE_UP"]),
        HOOK,
        "no RoleArn",
    ),
)
