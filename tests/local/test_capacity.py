"""Capacity providers of every kind, in the emulator: what a cluster has, what ECS refuses, and what goes first."""

from __future__ import annotations

from typing import Any

import pytest

from . import helpers, sets
from .ecs_sets import after, fargate, managed_instances, nodes, on, task
from .helpers import Account

Record = dict[str, Any]
IN_USE = "The specified capacity provider is in use and cannot be removed."
BRIDGE = task(NetworkMode="bridge", RequiresCompatibilities=["EC2"], Cpu=None, Memory=None)


def cluster_of(account: Account) -> Record:
    ecs = account.client("ecs")
    (cluster,) = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
    return dict(cluster)


def providers_of(account: Account, **wanted: Any) -> dict[str, Record]:
    return {p["name"]: p for p in account.client("ecs").describe_capacity_providers(**wanted)["capacityProviders"]}


def services_of(account: Account) -> dict[str, Record]:
    ecs = account.client("ecs")
    cluster = ecs.list_clusters()["clusterArns"][0]
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    return {s["serviceName"]: s for s in ecs.describe_services(cluster=cluster, services=arns)["services"]}


def why_not(account: Account, resources: sets.Template, *, name: str = "demo") -> str:
    """Why a stack does not become these resources: the reason of what failed."""
    stack = helpers.stand(account, resources, name=name)
    assert "ROLLBACK_COMPLETE" in stack["StackStatus"]
    return " ".join(helpers.failures(account))


def test_one_cluster_has_capacity_of_every_kind(account: Account) -> None:
    every = nodes(CapacityProviders=[{"Ref": "Provider"}, "FARGATE", "FARGATE_SPOT"])
    names = {"Nodes": {"Ref": "Provider"}, "Managed": {"Ref": "Managed"}}
    made = helpers.stands(account, {**every, **managed_instances()}, names)
    associated = cluster_of(account)["capacityProviders"]
    assert sorted(associated) == sorted([made["Nodes"], "FARGATE", "FARGATE_SPOT", made["Managed"]])
    kinds = {name: provider["type"] for name, provider in providers_of(account, cluster="demo-Cluster").items()}
    assert kinds == {
        made["Nodes"]: "EC2_AUTOSCALING",
        made["Managed"]: "MANAGED_INSTANCES",
        "FARGATE": "FARGATE",
        "FARGATE_SPOT": "FARGATE_SPOT",
    }


def test_managed_instances_are_told_as_the_template_has_them_and_change_in_place(account: Account) -> None:
    cluster = {"Cluster": {"Type": "AWS::ECS::Cluster"}}
    outputs = {"It": {"Ref": "Managed"}, "Profile": {"Fn::GetAtt": ["Profile", "Arn"]}}
    made = helpers.stands(account, {**cluster, **managed_instances()}, outputs)
    shown = providers_of(account)[made["It"]]
    template = shown["managedInstancesProvider"]["instanceLaunchTemplate"]
    assert (shown["cluster"], "autoScalingGroupProvider" in shown) == ("demo-Cluster", False)
    assert template["ec2InstanceProfileArn"] == made["Profile"]
    assert template["instanceRequirements"]["vCpuCount"] == {"min": 1, "max": 4}
    assert ":instance-profile/" in made["Profile"]

    changed = managed_instances()
    changed["Managed"]["Properties"]["ManagedInstancesProvider"]["PropagateTags"] = "NONE"
    assert helpers.stands(account, {**cluster, **changed}, outputs)["It"] == made["It"]
    assert providers_of(account)[made["It"]]["managedInstancesProvider"]["propagateTags"] == "NONE"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((), "ClusterName"),
        (("ManagedInstancesProvider",), "InfrastructureRoleArn"),
        (("ManagedInstancesProvider", "InstanceLaunchTemplate"), "Ec2InstanceProfileArn"),
        (("ManagedInstancesProvider", "InstanceLaunchTemplate", "NetworkConfiguration"), "Subnets"),
        (("ManagedInstancesProvider", "InstanceLaunchTemplate", "InstanceRequirements"), "MemoryMiB"),
    ],
)
def test_managed_instances_need_what_their_schema_requires(path: tuple[str, ...], key: str, account: Account) -> None:
    resources = managed_instances()
    holder = resources["Managed"]["Properties"]
    for step in path:
        holder = holder[step]
    del holder[key]
    assert key in why_not(account, {"Cluster": {"Type": "AWS::ECS::Cluster"}, **resources})


def test_a_provider_is_of_one_kind(account: Account) -> None:
    resources = {**nodes(), **managed_instances()}
    group = resources["Provider"]["Properties"]["AutoScalingGroupProvider"]
    resources["Managed"]["Properties"]["AutoScalingGroupProvider"] = group
    assert "has either an AutoScalingGroupProvider or a ManagedInstancesProvider" in why_not(account, resources)


def warm(**properties: Any) -> sets.Template:
    wanted = {"AutoScalingGroupName": {"Ref": "Group"}, **properties}
    return {"Warm": {"Type": "AWS::AutoScaling::WarmPool", "Properties": wanted}}


def test_a_warm_pool_changes_in_place_moves_with_its_group_and_leaves_nothing(account: Account) -> None:
    def told(group: str) -> Record:
        return dict(account.client("autoscaling").describe_warm_pool(AutoScalingGroupName=group))

    outputs = {"It": {"Ref": "Warm"}, "Group": {"Ref": "Group"}}
    made = helpers.stands(account, {**sets.cluster(), **warm(MinSize=1, MaxGroupPreparedCapacity=3)}, outputs)
    assert made["It"] == made["Group"]
    assert told(made["Group"])["WarmPoolConfiguration"] == {
        "MinSize": 1,
        "MaxGroupPreparedCapacity": 3,
        "PoolState": "Stopped",
    }
    assert helpers.stands(account, {**sets.cluster(), **warm(PoolState="Running")}, outputs) == made
    assert told(made["Group"])["WarmPoolConfiguration"] == {"MinSize": 0, "PoolState": "Running"}

    other = sets.cluster()
    other["Group"]["Properties"]["AutoScalingGroupName"] = "another"
    assert helpers.stands(account, {**other, **warm()}, outputs)["It"] == "another"
    helpers.stands(account, other, {"Group": {"Ref": "Group"}})
    assert "WarmPoolConfiguration" not in told("another")
    helpers.stands(account, {**other, **warm()}, outputs)
    assert helpers.delete(account, helpers.described(account, "demo")["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(account) == []


@pytest.mark.parametrize("name", ["aws-demo", "ecs-demo", "fargate-demo"])
def test_a_name_made_of_the_stack_s_may_not_begin_with_what_is_reserved(name: str, account: Account) -> None:
    assert 'cannot be prefixed with "aws", "ecs", or "fargate"' in why_not(account, nodes(), name=name)


def test_a_strategy_names_what_its_cluster_has_and_does_not_mix(account: Account) -> None:
    mixed = {**nodes(CapacityProviders=[{"Ref": "Provider"}, "FARGATE"]), "Task": task()}
    service = after("Association", on("FARGATE", {"Ref": "Provider"}))
    assert "cannot contain a mix of capacity providers" in why_not(account, {**mixed, "Service": service})

    other = Account(account.emulator)
    service = after("Association", on("FARGATE_SPOT"))
    missing = why_not(other, {**fargate("FARGATE"), "Task": task(), "Service": service})
    assert "not associated with the cluster" in missing


def test_a_provider_in_use_stays_in_the_association(account: Account) -> None:
    both = {**fargate("FARGATE", "FARGATE_SPOT"), "Task": task()}
    helpers.stands(account, {**both, "Service": after("Association", on("FARGATE"))})
    only = fargate("FARGATE_SPOT")
    service = after("Association", on("FARGATE"))
    assert IN_USE in why_not(account, {**only, "Task": task(), "Service": service})
    assert cluster_of(account)["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]

    helpers.stands(account, {**both, "Service": after("Association", on("FARGATE_SPOT"))})
    helpers.stands(account, {**only, "Task": task(), "Service": after("Association", on("FARGATE_SPOT"))})
    assert cluster_of(account)["capacityProviders"] == ["FARGATE_SPOT"]


def test_a_provider_that_a_cluster_has_is_not_deleted_and_one_that_is_not_there_not_associated(
    account: Account,
) -> None:
    made = helpers.stands(account, nodes(), {"It": {"Ref": "Provider"}})["It"]
    ecs = account.client("ecs")
    said = helpers.refused(lambda: ecs.delete_capacity_provider(capacityProvider=made))
    assert said == "Cannot delete a capacity provider while it is associated with a cluster."
    put = {"cluster": "demo-Cluster", "capacityProviders": ["other"], "defaultCapacityProviderStrategy": []}
    assert "'other' was not found" in helpers.refused(lambda: ecs.put_cluster_capacity_providers(**put))


def test_a_service_without_a_strategy_of_its_own_takes_the_cluster_s_if_there_is_one(account: Account) -> None:
    resources = {**fargate("FARGATE", "FARGATE_SPOT"), "Task": task(), "Service": after("Association", on("FARGATE"))}
    helpers.stands(account, resources)
    ecs = account.client("ecs")
    none = {
        "cluster": "demo-Cluster",
        "service": "demo-Service",
        "capacityProviderStrategy": [],
        "forceNewDeployment": True,
    }
    assert "No launch type to fall back to" in helpers.refused(lambda: ecs.update_service(**none))
    spot = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    resources["Association"]["Properties"]["DefaultCapacityProviderStrategy"] = spot
    helpers.stands(account, resources)
    (deployment, *_) = ecs.update_service(**none)["service"]["deployments"]
    assert [item["capacityProvider"] for item in deployment["capacityProviderStrategy"]] == ["FARGATE_SPOT"]


def test_an_association_is_not_deleted_before_the_service_that_runs_by_it(account: Account) -> None:
    resources = {**fargate("FARGATE"), "Task": task(), "Service": after("Association", on("FARGATE"))}
    helpers.stands(account, resources)
    later = fargate("FARGATE", "FARGATE_SPOT")["Association"]
    helpers.stands(account, {**resources, "Association": after("Service", later), "Service": on("FARGATE")})
    # What is made last goes first.
    stack = helpers.delete(account, helpers.described(account, "demo")["StackId"])
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert IN_USE in " ".join(helpers.failures(account))


def test_managed_instances_cannot_go_before_the_services_on_them(account: Account) -> None:
    cluster = {"Cluster": {"Type": "AWS::ECS::Cluster"}, "Task": task(RequiresCompatibilities=["MANAGED_INSTANCES"])}
    resources = {**cluster, **managed_instances(Name="managed")}
    helpers.stands(account, {**resources, "Service": after("Managed", on("managed"))})
    ecs = account.client("ecs")
    assert (
        helpers.refused(lambda: ecs.delete_capacity_provider(capacityProvider="managed", cluster="demo-Cluster"))
        == IN_USE
    )
    (task_,) = ecs.describe_tasks(cluster="demo-Cluster", tasks=ecs.list_tasks(cluster="demo-Cluster")["taskArns"])[
        "tasks"
    ]
    assert (task_["launchType"], task_["capacityProviderName"]) == ("MANAGED_INSTANCES", "managed")
    # A service that depends on its provider goes first, and all of it goes.
    assert helpers.delete(account, helpers.described(account, "demo")["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(account) == []


def test_a_cluster_cannot_go_before_what_is_in_it(account: Account) -> None:
    ecs = account.client("ecs")
    helpers.stands(account, {"Cluster": {"Type": "AWS::ECS::Cluster"}, **managed_instances()})
    assert "Cluster Scoped Capacity Providers" in helpers.refused(lambda: ecs.delete_cluster(cluster="demo-Cluster"))

    other = Account(account.emulator)
    helpers.stands(other, {**sets.service(LaunchType="EC2")})
    ecs = other.client("ecs")
    assert "while Services are active" in helpers.refused(lambda: ecs.delete_cluster(cluster="demo-Cluster"))


def test_managed_instances_are_not_associated_by_hand_and_stay_whatever_else_is(account: Account) -> None:
    resources = {**fargate("FARGATE"), **managed_instances()}
    made = helpers.stands(account, resources, {"It": {"Ref": "Managed"}})["It"]
    ecs = account.client("ecs")
    ecs.put_cluster_capacity_providers(
        cluster="demo-Cluster",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": made}],
    )
    assert cluster_of(account)["capacityProviders"] == ["FARGATE", "FARGATE_SPOT", made]
    put = {"cluster": "demo-Cluster", "capacityProviders": [made], "defaultCapacityProviderStrategy": []}
    assert "using this API" in helpers.refused(lambda: ecs.put_cluster_capacity_providers(**put))


def test_a_change_of_the_cluster_keeps_what_is_associated_with_it(account: Account) -> None:
    helpers.stands(account, fargate("FARGATE"))
    changed = fargate("FARGATE")
    insights = [{"Name": "containerInsights", "Value": "enabled"}]
    changed["Cluster"] = {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": insights}}
    helpers.stands(account, changed)
    assert cluster_of(account)["capacityProviders"] == ["FARGATE"]


def test_a_cluster_names_its_providers_itself_or_by_an_association(account: Account) -> None:
    def own(*names: str) -> sets.Template:
        return {"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"CapacityProviders": list(names)}}}

    helpers.stands(account, own("FARGATE"))
    helpers.stands(account, own("FARGATE", "FARGATE_SPOT"))
    assert cluster_of(account)["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    both = {**fargate("FARGATE"), **own("FARGATE", "FARGATE_SPOT")}
    assert "already contains capacity provider associations" in why_not(account, both)


def test_a_change_of_the_strategy_needs_a_new_deployment_which_a_stack_asks_for(account: Account) -> None:
    resources = {**fargate("FARGATE", "FARGATE_SPOT"), "Task": task()}
    helpers.stands(account, {**resources, "Service": after("Association", on("FARGATE"))})
    ecs = account.client("ecs")
    spot = {
        "cluster": "demo-Cluster",
        "service": "demo-Service",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}],
    }
    assert "you must force a new deployment" in helpers.refused(lambda: ecs.update_service(**spot))
    before = services_of(account)["demo-Service"]
    helpers.stands(account, {**resources, "Service": after("Association", on("FARGATE_SPOT"))})
    now = services_of(account)["demo-Service"]
    assert now["serviceArn"] == before["serviceArn"]
    assert now["deployments"][0]["id"] != before["deployments"][0]["id"]
    assert [item["capacityProvider"] for item in now["deployments"][0]["capacityProviderStrategy"]] == ["FARGATE_SPOT"]


def test_a_service_moves_from_nodes_to_fargate_in_three_deployments(account: Account) -> None:
    """Add a pool, move the service, remove the old pool: the service is the same one all along."""
    old = nodes()
    arn = {"Arn": {"Ref": "Service"}}
    on_nodes = after("Association", on({"Ref": "Provider"}, NetworkConfiguration=None))
    first = helpers.stands(account, {**old, "Task": BRIDGE, "Service": on_nodes}, arn)

    both = nodes(CapacityProviders=[{"Ref": "Provider"}, "FARGATE"])
    helpers.stands(account, {**both, "Task": BRIDGE, "Service": on_nodes}, arn)

    on_fargate = after("Association", on("FARGATE"))
    helpers.stands(account, {**both, "Task": task(), "Service": on_fargate}, arn)

    rest = {**fargate("FARGATE"), "Task": task(), "Service": on_fargate}
    assert helpers.stands(account, rest, arn) == first
    ecs = account.client("ecs")
    tasks = ecs.describe_tasks(cluster="demo-Cluster", tasks=ecs.list_tasks(cluster="demo-Cluster")["taskArns"])[
        "tasks"
    ]
    assert {one["launchType"] for one in tasks} == {"FARGATE"}
    assert list(providers_of(account)) == ["FARGATE", "FARGATE_SPOT"]
