"""A nested set of several services in one cluster, in the emulator: what touches one leaves the others alone."""

from __future__ import annotations

from typing import Any

from . import helpers, sets
from .ecs_sets import fargate, on, task
from .helpers import Account
from .test_recreation import described
from .test_routing import ELB, forward, group, path, rule

Record = dict[str, Any]


def shared() -> sets.Template:
    """The cluster, its namespace, and a balancer that answers 404 by itself."""
    nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listening = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": nothing}
    return {
        "Resources": {
            **fargate("FARGATE"),
            "Namespace": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "shop"}},
            "Balancer": {"Type": f"{ELB}::LoadBalancer"},
            "Listener": {"Type": f"{ELB}::Listener", "Properties": listening},
        },
        "Outputs": {
            "Cluster": {"Value": {"Ref": "Cluster"}},
            "Listener": {"Value": {"Ref": "Listener"}},
            "Namespace": {"Value": {"Fn::GetAtt": ["Namespace", "Arn"]}},
        },
    }


def service() -> sets.Template:
    """A service behind the balancer, at a path of its own name, which the others reach by that name."""
    ports = [{"Name": "http", "ContainerPort": 8080}]
    container = {"Name": "web", "Image": {"Ref": "Image"}, "Memory": 128, "PortMappings": ports}
    behind = [{"TargetGroupArn": {"Ref": "Targets"}, "ContainerName": "web", "ContainerPort": 8080}]
    offered = {"PortName": "http", "DiscoveryName": {"Ref": "Name"}, "ClientAliases": [{"Port": 80}]}
    connected = {"Enabled": True, "Namespace": {"Ref": "Namespace"}, "Services": [offered]}
    names = ("Name", "Image", "Cluster", "Listener", "Namespace")
    return {
        "Parameters": {**{name: {"Type": "String"} for name in names}, "Priority": {"Type": "Number"}},
        "Resources": {
            "Targets": group(),
            "Rule": rule({"Ref": "Priority"}, path({"Fn::Sub": "/${Name}/*"}), action=forward("Targets")),
            "Task": task(ContainerDefinitions=[container]),
            "Service": {
                **on("FARGATE", LoadBalancers=behind, ServiceConnectConfiguration=connected),
                "DependsOn": "Rule",
            },
        },
    }


def several(*names: str) -> sets.Files:
    """A set of services, each with its image as a parameter of the root."""

    def nested(name: str) -> sets.Template:
        wired = {key: {"Fn::GetAtt": ["Shared", f"Outputs.{key}"]} for key in ("Cluster", "Listener", "Namespace")}
        priority = sorted(("Api", "Mail", "Web")).index(name) + 1
        return sets.nested("service.json", Name=name.lower(), Image={"Ref": f"{name}Image"}, Priority=priority, **wired)

    images = {f"{name}Image": {"Type": "String", "Default": "web:1"} for name in names}
    children = {"Shared": sets.nested("shared.json"), **{name: nested(name) for name in names}}
    return {"root.json": sets.root(children, images), "shared.json": shared(), "service.json": service()}


def planned(account: Account, files: sets.Files, **values: str) -> tuple[dict[str, str], Record]:
    """What a change set says, `Stack/Resource` -> what happens to it, and the change set."""
    url = helpers.upload(account, files)
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    kind = "UPDATE" if exists else "CREATE"
    change = helpers.change_set(account, "demo", f"{url}/root.json", {"Url": url, **values}, kind=kind)
    shown = described(account, change["ChangeSetId"])
    return {name: str(one.get("Replacement") or one["Action"]) for name, one in shown.items()}, change


def deployed(account: Account, files: sets.Files, **values: str) -> dict[str, str]:
    plan, change = planned(account, files, **values)
    stack = helpers.execute(account, change)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), helpers.failures(account)
    return plan


def test_the_plan_of_a_new_image_is_its_task_definition_and_its_service(account: Account) -> None:
    deployed(account, several("Web", "Api"))
    assert deployed(account, several("Web", "Api"), WebImage="web:2") == {
        "Web": "False",
        "Web/Task": "True",
        "Web/Service": "False",
    }


def test_a_service_comes_and_goes_without_touching_another(account: Account) -> None:
    deployed(account, several("Web", "Api"))
    added = deployed(account, several("Web", "Api", "Mail"))
    assert set(added.values()) == {"Add"}
    assert {name.partition("/")[0] for name in added} == {"Mail"}
    removed = deployed(account, several("Web", "Mail"))
    assert removed == {"Api": "Remove"}
    arns = account.client("elbv2").describe_listeners()["Listeners"]
    rules = account.client("elbv2").describe_rules(ListenerArn=arns[0]["ListenerArn"])["Rules"]
    assert sorted(one["Priority"] for one in rules) == ["2", "3", "default"]
    names = [one["Name"] for one in account.client("servicediscovery").list_services()["Services"]]
    assert sorted(names) == ["mail", "web"]


def test_a_set_of_several_services_is_taken_down_without_a_rest(account: Account) -> None:
    deployed(account, several("Web", "Api", "Mail"))
    stack = helpers.delete(account, helpers.described(account, "demo")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    assert helpers.leftovers(account) == []
