"""A small service set, made of the kinds of resources that the real one is made of, through its life."""

from __future__ import annotations

from typing import Any

from . import helpers, sets
from .helpers import Account


def test_a_service_is_created_gets_a_new_image_and_a_new_maximum_and_goes(account: Account) -> None:
    url = helpers.upload(account, sets.scaled_service())
    values = {"Url": url, "Image": "web:1", "Most": "4"}
    root = f"{url}/root.json"
    assert helpers.deploy(account, "demo", root, values, kind="CREATE")["StackStatus"] == "CREATE_COMPLETE"
    assert running_image(account) == "web:1"

    values["Image"] = "web:2"
    change = helpers.change_set(account, "demo", root, values)
    assert [entry["ResourceChange"]["LogicalResourceId"] for entry in change["Changes"]] == ["Service"]
    assert helpers.execute(account, change)["StackStatus"] == "UPDATE_COMPLETE"
    assert running_image(account) == "web:2"

    values["Most"] = "9"
    stack = helpers.deploy(account, "demo", root, values)
    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert target["MaxCapacity"] == 9

    # What a teardown asks for first: bounds of zero, and no scaling.
    identity = {name: target[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    scaling.register_scalable_target(**identity, MinCapacity=0, MaxCapacity=0)
    scaling.register_scalable_target(**identity, SuspendedState={"DynamicScalingInSuspended": True})
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MaxCapacity"], target["SuspendedState"]) == (0, {"DynamicScalingInSuspended": True})

    assert helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(account) == []


def test_a_service_runs_the_least_tasks_that_its_scaling_allows(account: Account) -> None:
    files = sets.scaled_service()
    files["service.json"]["Resources"]["Target"]["Properties"]["MinCapacity"] = 3
    url = helpers.upload(account, files)
    values = {"Url": url, "Image": "web:1", "Most": "4"}
    helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE")
    assert running_tasks(account) == 3
    values["Image"] = "web:2"
    helpers.deploy(account, "demo", f"{url}/root.json", values)
    assert running_tasks(account) == 3

    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    identity = {name: target[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    scaling.register_scalable_target(**identity, MinCapacity=0, MaxCapacity=2)
    assert running_tasks(account) == 2
    suspended = {"DynamicScalingOutSuspended": True}
    scaling.register_scalable_target(**identity, MinCapacity=4, MaxCapacity=4, SuspendedState=suspended)
    assert running_tasks(account) == 2


def test_a_target_for_a_service_that_does_not_exist_is_refused(account: Account) -> None:
    files = sets.scaled_service()
    target = files["service.json"]["Resources"]["Target"]["Properties"]
    target["ResourceId"] = {"Fn::Sub": "service/${Cluster}/somebody-elses"}
    url = helpers.upload(account, files)
    stack = helpers.deploy(
        account, "demo", f"{url}/root.json", {"Url": url, "Image": "web:1", "Most": "4"}, kind="CREATE"
    )
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("ECS service doesn't exist: service/demo-Cluster-" in failure for failure in helpers.failures(account))


def running_tasks(account: Account) -> int:
    return int(the_service(account)["runningCount"])


def the_service(account: Account) -> dict[str, Any]:
    """The one service of the one cluster."""
    ecs = account.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    services = ecs.list_services(cluster=cluster)["serviceArns"]
    (service,) = ecs.describe_services(cluster=cluster, services=services)["services"]
    return dict(service)


def running_image(account: Account) -> str:
    """The image of the one task definition that the one service runs."""
    ecs, service = account.client("ecs"), the_service(account)
    definition: dict[str, Any] = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])[
        "taskDefinition"
    ]
    return str(definition["containerDefinitions"][0]["image"])
