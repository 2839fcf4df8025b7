"""Deployments that move requests, and the ways from rolling to them and back: who serves after each step.

ECS moves the weights of the rule. An update of the stack that touches the rule sets them back, while the tasks are in
the other group: https://github.com/aws/aws-cdk/issues/36649
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_recreation import described

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:{}"
ROLLING = sc.WebService(cpu_units=256, memory_mib=512, scaling=sc.Scaling(max_tasks=2))
HEADER = sc.GreenHeader(header="X-Green", value="yes")
BLUE_GREEN = replace(ROLLING, deployment=sc.WebBlueGreen(test=HEADER))
BETWEEN = replace(ROLLING, deployment=sc.WebRolling(alternate_target_group=True))


def config(web: sc.WebService) -> sc.Config:
    return sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": web})


def step(account: Account, web: sc.WebService, image: str = "v1") -> dict[str, str]:
    """What a deployment plans, by resource, once it is done."""
    url = helpers.upload(account, sc.render(sc.compose(config(web)), format="json"))
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE.format(image)}
    change = helpers.change_set(account, "web", f"{url}/root.json", values, kind="UPDATE" if exists else "CREATE")
    plan = {
        name: str(row.get("Replacement") or row["Action"])
        for name, row in described(account, change["ChangeSetId"]).items()
    }
    done = helpers.execute(account, change)
    assert done["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), helpers.failures(account)
    return plan


def groups(account: Account) -> dict[str, str]:
    """The target groups that the stack has."""
    cloudformation = account.client("cloudformation")
    (foundation,) = [
        resource["PhysicalResourceId"]
        for resource in cloudformation.describe_stack_resources(StackName="web")["StackResources"]
        if resource["LogicalResourceId"] == "WebFoundation"
    ]
    titles = {"TargetGroup": "first", "AlternateTargetGroup": "alternate"}
    return {
        titles[resource["LogicalResourceId"]]: resource["PhysicalResourceId"]
        for resource in cloudformation.describe_stack_resources(StackName=foundation)["StackResources"]
        if resource["LogicalResourceId"] in titles
    }


def weights(account: Account) -> list[dict[str, int]]:
    """The weights of each rule that forwards, by target group: the test rule's first, for it comes before."""
    balancing = account.client("elbv2")
    (balancer,) = balancing.describe_load_balancers()["LoadBalancers"]
    (listener,) = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    names = {arn: name for name, arn in groups(account).items()}
    rules = balancing.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    actions = [rule["Actions"][0] for rule in rules if rule["Actions"][0]["Type"] == "forward"]
    return [
        {
            names[group["TargetGroupArn"]]: group.get("Weight", 1)
            for group in action.get("ForwardConfig", {}).get("TargetGroups") or [action]
        }
        for action in actions
    ]


def behind(account: Account) -> str:
    """The target group in which the tasks are."""
    ecs = account.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    (arn,) = ecs.list_services(cluster=cluster)["serviceArns"]
    (service,) = ecs.describe_services(cluster=cluster, services=[arn])["services"]
    (current,) = service["currentServiceRevisions"]
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[current["arn"]])["serviceRevisions"]
    resolved = revision.get("resolvedConfiguration", revision)["loadBalancers"][0]["targetGroupArn"]
    return {arn: name for name, arn in groups(account).items()}[resolved]


def serves(account: Account) -> str:
    """The one target group that gets requests by every rule, and has the tasks; empty where requests find none."""
    (gets,) = {tuple(name for name, weight in each.items() if weight) for each in weights(account)}
    return gets[0] if gets == (behind(account),) else ""


def test_each_image_moves_the_requests_and_nothing_of_the_stack_touches_the_rule(account: Account) -> None:
    step(account, BLUE_GREEN)
    assert serves(account) == "first"
    for image, there in (("v2", "alternate"), ("v3", "first"), ("v4", "alternate")):
        plan = step(account, BLUE_GREEN, image)
        assert not [name for name in plan if name.startswith("WebFoundation")]
        assert serves(account) == there
    # What is of the tasks, of scaling or of the deployment itself is none of the rule either.
    changed = replace(BLUE_GREEN, memory_mib=1024, alarms=sc.WebAlarms(latency_s=3))
    assert "WebFoundation/Rule" not in step(account, changed, "v4")
    assert serves(account) == "first"


def test_an_update_that_touches_the_rule_sets_its_weights_back_while_green_serves(account: Account) -> None:
    step(account, BLUE_GREEN)
    step(account, BLUE_GREEN, "v2")
    assert serves(account) == "alternate"
    plan = step(account, replace(BLUE_GREEN, route=sc.Route(paths=("/shop/*",))), "v2")
    assert plan["WebFoundation/Rule"] == "False"
    # Requests go to the first group, where no task is: what `deploy` refuses until the way is free.
    assert weights(account) == [{"first": 100, "alternate": 0}] * 2
    assert behind(account) == "alternate"


def test_from_rolling_to_blue_green_and_back_somebody_serves_at_any_time(account: Account) -> None:
    plans = []

    def then(web: sc.WebService, image: str = "v1") -> str:
        plans.append(step(account, web, image))
        return serves(account)

    assert then(ROLLING) == "first"
    plans.clear()
    assert then(BETWEEN) == "first"
    assert then(BLUE_GREEN) == "alternate"  # its test rule is new to the service, which is a deployment
    # The way back begins while the first group serves, which any deployment brings about.
    assert then(BLUE_GREEN, "v2") == "first"
    back = replace(BETWEEN, deployment=replace(BETWEEN.deployment, failure_threshold=4))
    assert then(back, "v2") == "first"
    assert then(BETWEEN, "v3") == "first"
    assert then(ROLLING, "v3") == "first"
    assert groups(account).keys() == {"first"}
    for plan in plans:
        kept = {name: plan[name] for name in ("WebFoundation/Rule", "WebService/Service") if name in plan}
        assert set(kept.values()) <= {"False"}, "neither is made anew"
        assert plan.get("WebFoundation/TargetGroup", "False") == "False"


@pytest.mark.parametrize("strategy", [sc.WebBlueGreen(), sc.WebLinear(), sc.WebCanary()])
def test_a_strategy_is_refused_until_a_rolling_deployment_has_brought_its_groups(
    strategy: Any, account: Account
) -> None:
    step(account, ROLLING)
    with pytest.raises(AssertionError, match="that a rolling deployment has brought before"):
        step(account, replace(ROLLING, deployment=strategy))
    assert serves(account) == "first"
