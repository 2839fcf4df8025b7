"""Listeners, rules and target groups: S211 to S225."""

from __future__ import annotations

from typing import Any

from .cases import Case, nothing, put, resources
from .sets import Set, passed, properties

LISTENER = "balancer Resources.Listener.Properties"
TARGETS = "balancer Resources.Targets.Properties"


def listener(templates: Set) -> dict[str, Any]:
    return properties(templates, "balancer", "Listener")


def balancer(templates: Set) -> dict[str, Any]:
    return properties(templates, "balancer", "Balancer")


def targets(templates: Set) -> dict[str, Any]:
    return properties(templates, "balancer", "Targets")


def extra(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Extra")


def a_rule(priority: int, listener_arn: Any, group: Any, path: str) -> dict[str, Any]:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Properties": {
            "ListenerArn": listener_arn,
            "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}],
            "Actions": [{"Type": "forward", "TargetGroupArn": group}],
        },
    }


def two_rules(templates: Set) -> None:
    """A rule in the balancer's stack, and one in the service's on the same listener."""
    resources(templates, "balancer")["Api"] = a_rule(10, {"Ref": "Listener"}, {"Ref": "Targets"}, "/api/*")
    resources(templates, "service")["Extra"] = a_rule(20, {"Ref": "Listener"}, {"Ref": "TargetGroup"}, "/extra/*")


def either_rule(templates: Set) -> None:
    """Two rules of one priority that never exist together."""
    two_rules(templates)
    for file, condition in (("balancer", "Old"), ("service", "New")):
        templates[f"{file}.yaml"]["Parameters"]["Stage"] = {"Type": "String"}
        equals: dict[str, Any] = {"Fn::Equals": [{"Ref": "Stage"}, "old"]}
        templates[f"{file}.yaml"]["Conditions"] = {condition: equals if condition == "Old" else {"Fn::Not": [equals]}}
        resources(templates, file)["Api" if file == "balancer" else "Extra"]["Condition"] = condition
        passed(templates, file.title())["Stage"] = {"Ref": "Stage"}
    templates["root.yaml"]["Parameters"]["Stage"] = {"Type": "String"}
    extra(templates)["Priority"] = 10


def both_rules(templates: Set) -> None:
    templates["service.yaml"]["Conditions"]["New"] = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "new"]}]}


def asked_twice(templates: Set) -> None:
    """One parameter of the root's says the priority of both rules."""
    templates["root.yaml"]["Parameters"]["Place"] = {"Type": "Number"}
    for file, name in (("balancer", "Api"), ("service", "Extra")):
        templates[f"{file}.yaml"]["Parameters"]["Place"] = {"Type": "Number"}
        passed(templates, file.title())["Place"] = {"Ref": "Place"}
        properties(templates, file, name)["Priority"] = {"Ref": "Place"}


def chosen(templates: Set) -> None:
    """A condition gives a rule the priority of another."""
    templates["root.yaml"]["Parameters"]["Stage"] = {"Type": "String"}
    passed(templates, "Service")["Stage"] = {"Ref": "Stage"}
    templates["service.yaml"]["Parameters"]["Stage"] = {"Type": "String"}
    templates["service.yaml"]["Conditions"] = {"New": {"Fn::Equals": [{"Ref": "Stage"}, "new"]}}
    extra(templates)["Priority"] = {"Fn::If": ["New", 10, 20]}


def catching(templates: Set) -> None:
    """The rule of the service's stack takes what no other does."""
    two_rules(templates)
    extra(templates)["Conditions"][0]["PathPatternConfig"]["Values"] = ["/*"]


def page(templates: Set) -> dict[str, Any]:
    return properties(templates, "balancer", "Api")


def closed(templates: Set) -> None:
    """The earlier rule answers every request by a page of maintenance."""
    two_rules(templates)
    answer = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "back soon"}
    page(templates)["Conditions"][0]["PathPatternConfig"]["Values"] = ["/*"]
    page(templates)["Actions"] = [{"Type": "fixed-response", "FixedResponseConfig": answer}]


def waits_for(paths: list[str]) -> Any:
    """Two rules, of which the later one waits for these paths, of one host too."""

    def change(templates: Set) -> None:
        if "Extra" not in resources(templates, "service"):
            two_rules(templates)
        host = {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example.com"]}}
        extra(templates)["Conditions"] = [{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}, host]

    return change


def by_host(templates: Set) -> None:
    """The earlier rule waits for one host, too; the later one for a path of another."""
    waits_for(["/api/*"])(templates)
    extra(templates)["Conditions"][1]["HostHeaderConfig"]["Values"] = ["other.example.com"]
    host = {"Field": "host-header", "Values": ["shop.example.com"]}
    resources(templates, "balancer")["Api"]["Properties"]["Conditions"].append(host)


def redirecting(templates: Set) -> None:
    """A second listener that sends each request to HTTPS."""
    redirect = {"Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "StatusCode": "HTTP_301"}
    resources(templates, "balancer")["Plain"] = {
        "Type": "AWS::ElasticLoadBalancingV2::Listener",
        "Properties": {
            "LoadBalancerArn": {"Ref": "Balancer"},
            "Port": 80,
            "Protocol": "HTTP",
            "DefaultActions": [{"Type": "redirect", "RedirectConfig": redirect}],
        },
    }
    opened = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"}
    properties(templates, "balancer", "Group")["SecurityGroupIngress"].append(opened)


def plain(templates: Set) -> dict[str, Any]:
    return properties(templates, "balancer", "Plain")


def redirect(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = plain(templates)["DefaultActions"][0]["RedirectConfig"]
    return found


def network_balancer(templates: Set) -> None:
    balancer(templates).update(Type="network", LoadBalancerAttributes=[])
    listener(templates).update(Protocol="TLS", SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    targets(templates)["Protocol"] = "TCP"
    for name in ("Scaling", "Requests"):
        del resources(templates, "service")[name]


def second_balancer(templates: Set) -> None:
    """Another load balancer with a target group of its own."""
    balancers = resources(templates, "balancer")
    balancers["Inner"] = {**balancers["Balancer"], "Properties": {**balancer(templates), "Scheme": "internal"}}
    balancers["InnerTargets"] = {**balancers["Targets"], "Properties": dict(targets(templates))}
    balancers["InnerListener"] = {
        **balancers["Listener"],
        "Properties": {
            **listener(templates),
            "LoadBalancerArn": {"Ref": "Inner"},
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "InnerTargets"}}],
        },
    }


def share_targets(templates: Set) -> None:
    action = properties(templates, "balancer", "InnerListener")["DefaultActions"][0]
    action["TargetGroupArn"] = {"Ref": "Targets"}


def signing_in(templates: Set) -> None:
    pool = {"UserPoolArn": "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/it", "UserPoolClientId": "it"}
    sign_in = {
        "Type": "authenticate-cognito",
        "Order": 1,
        "AuthenticateCognitoConfig": {**pool, "UserPoolDomain": "it"},
    }
    actions = listener(templates)["DefaultActions"]
    actions[0]["Order"] = 2
    actions.insert(0, sign_in)


def without_encryption(templates: Set) -> None:
    listener(templates)["Protocol"] = "HTTP"
    for name in ("SslPolicy", "Certificates"):
        del listener(templates)[name]


def two_ends(templates: Set) -> None:
    end = {"Type": "fixed-response", "Order": 3, "FixedResponseConfig": {"StatusCode": "404"}}
    listener(templates)["DefaultActions"].append(end)


def hosts(templates: Set) -> None:
    two_rules(templates)
    extra(templates)["Conditions"].append({"Field": "host-header", "Values": ["*.example.com"]})


def one_more_path(templates: Set) -> None:
    extra(templates)["Conditions"].append({"Field": "path-pattern", "Values": ["/more"]})


def host(name: str) -> Any:
    return put(lambda templates: extra(templates)["Conditions"][1], Values=[name])


def attribute(kind: Any, name: str, key: str, value: str) -> Any:
    def change(templates: Set) -> None:
        kind(templates)[name].append({"Key": key, "Value": value})

    return change


def other_network(templates: Set) -> None:
    network = resources(templates, "network")
    network["Other"] = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}}
    templates["network.yaml"]["Outputs"]["Other"] = {"Value": {"Ref": "Other"}}
    templates["balancer.yaml"]["Parameters"]["Other"] = {"Type": "AWS::EC2::VPC::Id"}
    passed(templates, "Balancer")["Other"] = {"Fn::GetAtt": ["Network", "Outputs.Other"]}
    targets(templates)["VpcId"] = {"Ref": "Other"}


def named_zones(templates: Set) -> None:
    for name, zone in (("One", "cn-north-1a"), ("Two", "cn-north-1b")):
        properties(templates, "network", name)["AvailabilityZone"] = zone


def one_zone(templates: Set) -> None:
    properties(templates, "network", "Two")["AvailabilityZone"] = "cn-north-1a"


def checked_by_path(templates: Set) -> None:
    targets(templates)["HealthCheckPath"] = "/health"


def checked_by_tcp(templates: Set) -> None:
    network_balancer(templates)
    targets(templates)["HealthCheckProtocol"] = "TCP"


def weighted(count: int) -> Any:
    def change(templates: Set) -> None:
        groups = [{"TargetGroupArn": {"Ref": "Targets"}, "Weight": 1}]
        for number in range(1, count):
            name = f"Targets{number}"
            resources(templates, "balancer")[name] = {
                "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
                "Properties": dict(targets(templates)),
            }
            groups.append({"TargetGroupArn": {"Ref": name}, "Weight": 1})
        listener(templates)["DefaultActions"] = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    return change


CASES = (
    Case(
        "S211", two_rules, put(extra, Priority="10"), "service Resources.Extra.Properties.Priority", "Api of balancer"
    ),
    Case("S211", two_rules, asked_twice, "service Resources.Extra.Properties.Priority", "has priority ${Place}"),
    Case("S211", two_rules, chosen, "service Resources.Extra.Properties.Priority", "has priority 10"),
    Case("S211", either_rule, both_rules, "service Resources.Extra.Properties.Priority", "has priority 10"),
    Case(
        "S212", redirecting, put(plain, Port=443), "balancer Resources.Plain.Properties.Port", "port 443, as Listener"
    ),
    Case(
        "S213",
        two_rules,
        waits_for(["/api/v1/*", "/api/x"]),
        "service Resources.Extra.Properties.Priority",
        "Api of balancer.yaml takes all that Extra waits for before Extra sees it",
    ),
    Case(
        "S213",
        waits_for(["/api/v1/*", "/shop"]),
        waits_for(["/api/v1/*"]),
        "service Resources.Extra.Properties.Priority",
        "Give Extra a lower number than Api.",
    ),
    Case(
        "S213",
        by_host,
        waits_for(["/api/*"]),
        "service Resources.Extra.Properties.Priority",
        "takes all that Extra waits for",
    ),
    Case("S213", catching, put(extra, Priority=5), "balancer Resources.Api.Properties.Priority", "takes every request"),
    # A page of maintenance is meant to come first; another page is not, nor is one before some paths.
    Case(
        "S213",
        closed,
        put(lambda templates: page(templates)["Actions"][0]["FixedResponseConfig"], StatusCode="404"),
        "service Resources.Extra.Properties.Priority",
        "Api of balancer.yaml takes every request before Extra sees it",
    ),
    Case(
        "S213",
        closed,
        put(lambda templates: page(templates)["Conditions"][0]["PathPatternConfig"], Values=["/extra/*"]),
        "service Resources.Extra.Properties.Priority",
        "Api of balancer.yaml takes all that Extra waits for",
    ),
    Case(
        "S214",
        network_balancer,
        put(balancer, Type="application"),
        f"{LISTENER}.Protocol",
        "Set Protocol to HTTP or HTTPS",
    ),
    Case(
        "S215",
        nothing,
        put(targets, Protocol="TCP"),
        f"{LISTENER}.DefaultActions.0.TargetGroupArn",
        "whose targets speak TCP",
    ),
    Case(
        "S216",
        second_balancer,
        share_targets,
        "balancer Resources.InnerListener.Properties.DefaultActions.0.TargetGroupArn",
        "behind Balancer already",
    ),
    Case(
        "S217",
        redirecting,
        put(redirect, Protocol="HTTP", Port="80"),
        "balancer Resources.Plain.Properties.DefaultActions.0.RedirectConfig",
        "to itself",
    ),
    Case("S218", signing_in, two_ends, f"{LISTENER}.DefaultActions", "has 2 actions that end it"),
    Case("S218", signing_in, without_encryption, f"{LISTENER}.DefaultActions", "its listener speaks HTTP"),
    Case("S219", hosts, one_more_path, "service Resources.Extra.Properties.Conditions.2.Field", "two conditions"),
    Case("S219", hosts, host("shop"), "service Resources.Extra.Properties.Conditions.1", 'the host "shop"'),
    Case(
        "S220",
        redirecting,
        put(plain, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06"),
        "balancer Resources.Plain.Properties.SslPolicy",
        "set Protocol to HTTPS",
    ),
    Case(
        "S221",
        nothing,
        attribute(targets, "TargetGroupAttributes", "slow_start.duration_seconds", "20"),
        f"{TARGETS}.TargetGroupAttributes.1.Value",
        "30 to 900 seconds",
    ),
    Case(
        "S221",
        nothing,
        attribute(balancer, "LoadBalancerAttributes", "idle_timeout.timeout_seconds", "4001"),
        "balancer Resources.Balancer.Properties.LoadBalancerAttributes.1.Value",
        "1 to 4,000 seconds",
    ),
    Case(
        "S222",
        nothing,
        other_network,
        f"{LISTENER}.DefaultActions.0.TargetGroupArn",
        "Set VpcId of Targets to Vpc.",
    ),
    Case("S223", named_zones, one_zone, "balancer Resources.Balancer.Properties.Subnets", "are in one zone"),
    Case(
        "S224", checked_by_path, put(targets, HealthCheckPath="health"), f"{TARGETS}.HealthCheckPath", "Write /health"
    ),
    Case("S224", checked_by_tcp, checked_by_path, f"{TARGETS}.HealthCheckPath", "checked by TCP"),
    Case(
        "S225",
        weighted(5),
        weighted(6),
        f"{LISTENER}.DefaultActions.0.ForwardConfig.TargetGroups",
        "forwards to 6 target groups",
    ),
)
