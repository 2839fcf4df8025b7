"""From EC2 nodes to Fargate and back in three deployments each: the plan of each step, and what it leaves alone.

Under awsvpc the service is moved in place. Under bridge, where its target group cannot stay, a
stand-in serves meanwhile.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_recreation import described

IMAGE = {"WebImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:v1"}
NODES = sc.Ec2Capacity(max_nodes=12)
#: Under awsvpc on nodes, too: the target group is of addresses then, and stays.
ON_NODES = sc.WebService(
    capacity="nodes", network_mode="awsvpc", cpu_units=256, memory_mib=512, scaling=sc.Scaling(max_tasks=4)
)
ON_FARGATE = replace(ON_NODES, capacity="air")
BOTH: dict[str, Any] = {"nodes": NODES, "air": sc.FargateCapacity()}
STEPS = {
    "nodes alone": sc.Config(capacity={"nodes": NODES}, services={"web": ON_NODES}),
    "a pool is added": sc.Config(capacity=BOTH, services={"web": ON_NODES}),
    "the service is switched": sc.Config(capacity=BOTH, services={"web": ON_FARGATE}),
    "the nodes are removed": sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": ON_FARGATE}),
}


def step(account: Account, config: sc.Config) -> dict[str, str]:
    """What a deployment plans, by resource, once it is done: what is made, changed in place, replaced or removed."""
    files = sc.render(sc.compose(config), format="json")
    url = helpers.upload(account, files)
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    kind = "UPDATE" if exists else "CREATE"
    values = {"TemplatesUrl": url, **IMAGE}
    change = helpers.change_set(account, "web", f"{url}/root.json", values, kind=kind)
    plan = {
        name: str(row.get("Replacement") or row["Action"])
        for name, row in described(account, change["ChangeSetId"]).items()
    }
    done = helpers.execute(account, change)
    assert done["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), helpers.failures(account)
    return plan


def strategy(account: Account) -> list[str]:
    ecs = account.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    (service,) = ecs.describe_services(cluster=cluster, services=ecs.list_services(cluster=cluster)["serviceArns"])[
        "services"
    ]
    return [item["capacityProvider"] for item in service["capacityProviderStrategy"]]


def test_a_service_moves_to_fargate_and_back_and_is_never_replaced(account: Account) -> None:
    first, *others = STEPS.values()
    step(account, first)
    there = [step(account, config) for config in others]
    assert strategy(account) == ["FARGATE"]
    back = [step(account, config) for config in reversed([first, *others[:-1]])]
    assert len(strategy(account)) == 1
    assert strategy(account) != ["FARGATE"]
    for plan in (*there, *back):
        # The service, its target group and its rule stay: the tasks of the old kind serve until those of the new do.
        # What hangs on its name has nothing to follow.
        of_service = {name: verdict for name, verdict in plan.items() if name.startswith("Web")}
        assert of_service.pop("WebService/TaskDefinition", "True") == "True"
        assert set(of_service.values()) <= {"False"}, plan
    added, switched, removed = there
    assert "WebService/TaskDefinition" not in added
    assert switched["WebService/TaskDefinition"] == "True"
    assert {name.partition("/")[0] for name in switched} <= {"Capacity", "WebFoundation", "WebService", "Dashboard"}
    assert removed["Capacity/NodesGroup"] == "Remove"
    assert "WebService/TaskDefinition" not in removed


UNDER_BRIDGE = replace(ON_NODES, network_mode="auto")
MOVE = {
    "nodes alone": sc.Config(capacity={"nodes": NODES}, services={"web": UNDER_BRIDGE}),
    "a pool is added, and a stand-in": sc.Config(
        capacity=BOTH, services={"web": replace(UNDER_BRIDGE, stand_in=sc.StandIn(capacity="air"))}
    ),
    "the service is switched": sc.Config(
        capacity=BOTH,
        services={"web": replace(UNDER_BRIDGE, capacity="air", stand_in=sc.StandIn(capacity="air", serves=True))},
    ),
    "the nodes are removed": sc.Config(
        capacity={"air": sc.FargateCapacity()}, services={"web": replace(UNDER_BRIDGE, capacity="air")}
    ),
}
AND_BACK = {
    "the nodes are added, and a stand-in": sc.Config(
        capacity=BOTH,
        services={"web": replace(UNDER_BRIDGE, capacity="air", stand_in=sc.StandIn(capacity="nodes"))},
    ),
    "the service is switched back": sc.Config(
        capacity=BOTH, services={"web": replace(UNDER_BRIDGE, stand_in=sc.StandIn(capacity="nodes", serves=True))}
    ),
    "fargate is removed": MOVE["nodes alone"],
}


def serving(account: Account) -> tuple[str, dict[str, str]]:
    """The target group that gets the requests, and the task definition behind each that tasks register in."""
    balancing, ecs = account.client("elbv2"), account.client("ecs")
    groups = {group["TargetGroupArn"] for group in balancing.describe_target_groups()["TargetGroups"]}
    listeners = [
        listener["ListenerArn"]
        for balancer in balancing.describe_load_balancers()["LoadBalancers"]
        for listener in balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    ]
    rules = [rule for arn in listeners for rule in balancing.describe_rules(ListenerArn=arn)["Rules"]]
    (action,) = [rule["Actions"][0] for rule in rules if rule["Actions"][0]["Type"] == "forward"]
    weighted = action.get("ForwardConfig", {}).get("TargetGroups") or [action]
    (serves,) = [group["TargetGroupArn"] for group in weighted if group.get("Weight", 1)]
    (cluster,) = ecs.list_clusters()["clusterArns"]
    services = ecs.describe_services(cluster=cluster, services=ecs.list_services(cluster=cluster)["serviceArns"])
    behind = {
        balancer["targetGroupArn"]: service["taskDefinition"]
        for service in services["services"]
        for balancer in service["loadBalancers"]
    }
    assert set(behind) <= groups
    return serves, behind


def test_a_service_under_bridge_moves_to_fargate_and_back_while_its_tasks_or_the_stand_in_serve(
    account: Account,
) -> None:
    before: dict[str, str] = {}
    for name, config in {**MOVE, **AND_BACK}.items():
        plan = step(account, config)
        serves, behind = serving(account)
        if before:
            # Whoever serves after a step had its tasks before it, so that the rule may move at any time within the
            # step; and they are the same tasks still.
            assert behind[serves] == before[serves], name
        # No service is ever replaced: one changes in place, one comes and goes.
        assert plan.get("WebService/Service", "False") in ("False", "Add"), name
        assert plan.get("WebStandInService/Service", "Add") in ("Add", "Remove", "False"), name
        before = behind
