"""What moves requests from one version of a service to the next: a second target group, rules over both, and a role.

ECS owns the weights of the rules: it moves them at each deployment, and nothing of a rule's text changes with one. A
stack update that touches a rule would set them back to the first group: https://github.com/aws/aws-cdk/issues/36649
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import cloudwatch, ecs, iam
from troposphere import elasticloadbalancingv2 as elb

from scaleout_cfn.config import Canary, GreenHeader, Linear, Shifting
from scaleout_cfn.config.units import Unit
from scaleout_cfn.iam import assumed_by, call_functions, shift_requests
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import query
from scaleout_cfn.values import ListenerArn, ListenerRuleArn, RoleArn, TargetGroupArn

#: Below so many requests a minute a p99 is the slowest one's time.
FEW_REQUESTS = 100


def add_test_listener(stack: Stack, production: elb.Listener, port: int) -> ListenerArn:
    """A listener as the one that serves, with its certificate and who its clients are, on another port."""
    return ListenerArn(stack.add(elb.Listener(f"TestListener{port}", **{**production.properties, "Port": port})).ref())


def forward_to_both(targets: object, alternate: object) -> elb.ListenerRuleAction:
    """To the first of two target groups: what ECS finds before a service's first deployment."""
    groups = [
        elb.TargetGroupTuple(TargetGroupArn=targets, Weight=100),
        elb.TargetGroupTuple(TargetGroupArn=alternate, Weight=0),
    ]
    return elb.ListenerRuleAction(Type="forward", ForwardConfig=elb.ForwardConfig(TargetGroups=groups))


def add_test_rule(
    stack: Stack, unit: Unit, production: elb.ListenerRule, test_listener: ListenerArn | None
) -> ListenerRuleArn:
    """The rule by which the new version is reached. While there is none it leads to the one that serves.

    On a listener of its own it is as that of production, with a header just before it.
    """
    properties: dict[str, Any] = dict(production.properties)
    if isinstance(unit.test, GreenHeader):
        header = elb.HttpHeaderConfig(HttpHeaderName=unit.test.header, Values=[unit.test.value])
        properties["Conditions"] = [
            *properties["Conditions"],
            elb.Condition(Field="http-header", HttpHeaderConfig=header),
        ]
        properties["Priority"] -= 1
    else:
        properties["ListenerArn"] = test_listener
    return ListenerRuleArn(stack.add(elb.ListenerRule("TestRule", **properties)).ref())


def add_role(stack: Stack, unit: Unit, groups: Sequence[object], rules: Sequence[object]) -> RoleArn | None:
    """What ECS does on the way: move requests, and call functions. None where it does neither."""
    policies = []
    if groups:
        shifting = shift_requests(groups, rules)
        policies.append(iam.Policy(PolicyName="shift-requests", PolicyDocument=shifting))
    if unit.shifting and unit.shifting.hooks:
        functions = sorted({hook.function_arn for hook in unit.shifting.hooks.values()})
        policies.append(iam.Policy(PolicyName="call-functions", PolicyDocument=call_functions(functions)))
    if not policies:
        return None
    role = iam.Role("DeploymentRole", AssumeRolePolicyDocument=assumed_by("ecs"), Policies=policies)
    return RoleArn(stack.add(role).get_att("Arn"))


def times_of_slowest(watched: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What an alarm looks at: the p99 of the group that is slower, of those that serve more than a few requests."""
    queries, times = [], []
    for number, group in enumerate(watched, 1):
        queries += [
            query(f"times{number}", "TargetResponseTime", "p99", group),
            query(f"requests{number}", "RequestCount", "Sum", group),
        ]
        times.append(f"IF(FILL(requests{number}, 0) >= {FEW_REQUESTS}, FILL(times{number}, 0), 0)")
    slowest = cloudwatch.MetricDataQuery(
        Id="slowest",
        Expression=f"MAX([{', '.join(times)}])",
        Label="p99 of the slower group, seconds",
        ReturnData=True,
    )
    return {"Metrics": [*queries, slowest]}


def configure(
    alternate: TargetGroupArn | None,
    rule: ListenerRuleArn | None,
    test_rule: ListenerRuleArn | None,
    role: RoleArn | None,
) -> ecs.AdvancedConfiguration:
    """What of the load balancer ECS works with."""
    configuration = ecs.AdvancedConfiguration(
        AlternateTargetGroupArn=alternate, ProductionListenerRule=rule, RoleArn=role
    )
    if test_rule is not None:
        configuration.TestListenerRule = test_rule
    return configuration


def shift_by(deployment: ecs.DeploymentConfiguration, shifting: Shifting, role: RoleArn | None) -> None:
    """Say how requests move, where that waits for somebody, and who is asked."""
    deployment.Strategy = str(shifting.__struct_config__.tag).upper().replace("-", "_")
    deployment.BakeTimeInMinutes = shifting.bake_minutes
    if isinstance(shifting, Linear):
        deployment.LinearConfiguration = ecs.LinearConfiguration(
            StepPercent=shifting.step_percent, StepBakeTimeInMinutes=shifting.step_bake_minutes
        )
    if isinstance(shifting, Canary):
        deployment.CanaryConfiguration = ecs.CanaryConfiguration(
            CanaryPercent=shifting.canary_percent, CanaryBakeTimeInMinutes=shifting.canary_bake_minutes
        )
    hooks = [
        ecs.DeploymentLifecycleHook(
            TargetType="PAUSE",
            LifecycleStages=list(pause.stages),
            TimeoutConfiguration=ecs.HookTimeoutConfig(
                TimeoutInMinutes=pause.timeout_minutes, Action=pause.on_timeout.upper()
            ),
        )
        for _, pause in sorted(shifting.pauses.items())
    ]
    for _, hook in sorted(shifting.hooks.items()):
        asked = ecs.DeploymentLifecycleHook(
            TargetType="AWS_LAMBDA", HookTargetArn=hook.function_arn, RoleArn=role, LifecycleStages=list(hook.stages)
        )
        if hook.details:
            asked.HookDetails = dict(sorted(hook.details.items()))
        hooks.append(asked)
    if hooks:
        deployment.LifecycleHooks = hooks
