"""Where a rule begins: what is just right, and the least change that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scaleout_cfn.lint.rules.tables import NEWEST_TLS_POLICY

from .cases import Case, Change, container, fargate, nothing, put, resources, service, tasks
from .cases_deliveries import moving
from .cases_listeners import (
    LISTENER,
    TARGETS,
    a_rule,
    attribute,
    balancer,
    catching,
    extra,
    hosts,
    listener,
    network_balancer,
    plain,
    redirecting,
    targets,
    two_rules,
)
from .cases_scaling import ALARM, CONFIGURATION, STEPS, adjustments, alarm, step, stepping
from .cases_schedules import action, morning, with_action, with_group_action
from .cases_tasks import SERVICE, TASKS, WEB, bridge, daemon, side, spot, task_memory, timeouts, unbalanced
from .sets import Set, passed, properties

ENTRY = f"{SERVICE}.LoadBalancers.0"
METRIC = f"service Resources.Requests.Properties.{CONFIGURATION}.PredefinedMetricSpecification"
PROVIDER = "cluster Resources.Provider.Properties.AutoScalingGroupProvider.ManagedScaling"
WIRES = "root Resources.{}.Properties.Parameters"
EXTRA = "service Resources.Extra.Properties.Conditions.1"
CLOSED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


def every(*changes: Change) -> Change:
    def change(templates: Set) -> None:
        for one_more in changes:
            one_more(templates)

    return change


def passing(nested: str, **values: Any) -> Change:
    return put(lambda templates: passed(templates, nested), **values)


def declaring(file: str, parameter: str, **values: Any) -> Change:
    def change(templates: Set) -> None:
        templates[f"{file}.yaml"]["Parameters"].setdefault(parameter, {"Type": "String"}).update(values)

    return change


def without_default(file: str, parameter: str) -> Change:
    def change(templates: Set) -> None:
        del templates[f"{file}.yaml"]["Parameters"][parameter]["Default"]

    return change


def ingress(**values: Any) -> Change:
    return put(lambda templates: properties(templates, "service", "Ingress"), **values)


def clients(*rules: dict[str, Any]) -> Change:
    return put(lambda templates: properties(templates, "balancer", "Group"), SecurityGroupIngress=list(rules))


def mapping(**values: Any) -> Change:
    return put(lambda templates: container(templates)["PortMappings"][0], **values)


def own_rule(templates: Set) -> None:
    """The service's stack puts its target group behind the listener, and the service waits for that."""
    listener(templates)["DefaultActions"] = [CLOSED]
    made = resources(templates, "service")
    made["Extra"] = a_rule(20, {"Ref": "Listener"}, {"Ref": "TargetGroup"}, "/extra/*")
    made["Service"]["DependsOn"] = ["Extra"]


def no_wait_for_rule(templates: Set) -> None:
    del resources(templates, "service")["Service"]["DependsOn"]


def classic(templates: Set) -> None:
    resources(templates, "balancer")["Classic"] = {
        "Type": "AWS::ElasticLoadBalancing::LoadBalancer",
        "Properties": {
            "Listeners": [{"InstancePort": "80", "LoadBalancerPort": "80", "Protocol": "HTTP"}],
            "HealthCheck": {
                "Interval": "5",
                "Timeout": "4",
                "Target": "HTTP:80/",
                "HealthyThreshold": "2",
                "UnhealthyThreshold": "2",
            },
        },
    }


def label(value: Any) -> Change:
    def change(templates: Set) -> None:
        policy = properties(templates, "service", "Requests")
        policy[CONFIGURATION]["PredefinedMetricSpecification"]["ResourceLabel"] = value

    return change


def label_of_balancer(templates: Set) -> None:
    value = {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}
    templates["balancer.yaml"]["Outputs"]["LabelOfRequests"]["Value"] = value


def unmanaged(templates: Set) -> None:
    """The group of instances is not scaled by ECS, so that it may say a size."""
    properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]["ManagedScaling"]["Status"] = "DISABLED"
    nodes(templates)["DesiredCapacity"] = 1


def nodes(templates: Set) -> dict[str, Any]:
    return properties(templates, "cluster", "Nodes")


def managed(templates: Set) -> dict[str, Any]:
    found: dict[str, Any]
    found = properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]["ManagedScaling"]
    return found


def deploying(count: int | None, least: int | None, most: int | None, **more: Any) -> Change:
    """A service that nobody scales, of so many tasks, deployed by these percentages."""

    def change(templates: Set) -> None:
        for name in ("Scaling", "Requests"):
            resources(templates, "service").pop(name, None)
        properties = service(templates)
        properties.pop("AvailabilityZoneRebalancing", None)
        named = {"MinimumHealthyPercent": least, "MaximumPercent": most}
        percentages = {name: percent for name, percent in named.items() if percent is not None}
        properties["DeploymentConfiguration"] = percentages | more
        if count is not None:
            properties["DesiredCount"] = count

    return change


def controlled(by: str) -> Change:
    return put(service, DeploymentController={"Type": by})


def rebalanced(least: int, most: int) -> Change:
    return put(service, DeploymentConfiguration={"MinimumHealthyPercent": least, "MaximumPercent": most})


def spread(*fields: dict[str, str]) -> Change:
    return put(service, PlacementStrategies=list(fields))


def protected(templates: Set) -> None:
    """Instances that stay protected, and a group of them that the root tells the world of."""
    properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]["ManagedTerminationProtection"] = "ENABLED"
    nodes(templates)["NewInstancesProtectedFromScaleIn"] = True
    templates["cluster.yaml"]["Outputs"]["Nodes"] = {"Value": {"Ref": "Nodes"}}
    templates["root.yaml"]["Outputs"]["Nodes"] = {"Value": {"Fn::GetAtt": ["Cluster", "Outputs.Nodes"]}}


def groups(count: int) -> Change:
    """A service of so many target groups, all but one elsewhere."""

    def change(templates: Set) -> None:
        del service(templates)["LoadBalancers"][1:]
        for number in range(1, count):
            arn = f"arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/it/000000000000000{number}"
            entry = {"ContainerName": "web", "ContainerPort": {"Ref": "Port"}, "TargetGroupArn": arn}
            service(templates)["LoadBalancers"].append(entry)

    return change


def strategy(*items: dict[str, Any]) -> Change:
    return put(service, CapacityProviderStrategy=list(items))


def hourly(count: int, period: int = 3_600) -> Change:
    return put(alarm, Period=period, EvaluationPeriods=count, DatapointsToAlarm=1)


def all_below(templates: Set) -> None:
    """An alarm below its threshold, whose steps lie there."""
    stepping(templates)
    adjustments(templates)[:] = [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -1}]
    alarm(templates)["ComparisonOperator"] = "LessThanThreshold"


def datagrams(templates: Set) -> None:
    """Two listeners on one port of a network load balancer, one of them of datagrams."""
    network_balancer(templates)
    redirecting(templates)
    plain(templates).update(Port=443, Protocol="UDP", DefaultActions=[])
    properties(templates, "balancer", "Group")["SecurityGroupIngress"].append(
        {"IpProtocol": "udp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    )


def _ranges() -> Iterator[Case]:
    """The least and the largest that each attribute of load balancers and target groups takes."""
    for kind, name, path, key, low, high in (
        (balancer, "LoadBalancerAttributes", "Balancer", "client_keep_alive.seconds", 60, 604_800),
        (balancer, "LoadBalancerAttributes", "Balancer", "idle_timeout.timeout_seconds", 1, 4_000),
        (targets, "TargetGroupAttributes", "Targets", "deregistration_delay.timeout_seconds", 0, 3_600),
        (targets, "TargetGroupAttributes", "Targets", "stickiness.app_cookie.duration_seconds", 1, 604_800),
        (targets, "TargetGroupAttributes", "Targets", "stickiness.lb_cookie.duration_seconds", 1, 604_800),
        (
            targets,
            "TargetGroupAttributes",
            "Targets",
            "target_health_state.unhealthy.draining_interval_seconds",
            0,
            360_000,
        ),
        (targets, "TargetGroupAttributes", "Targets", "slow_start.duration_seconds", 30, 900),
    ):
        for good, bad in ((low, low - 1), (high, high + 1)):
            yield Case(
                "S221",
                attribute(kind, name, key, str(good)),
                put(lambda t, kind=kind, name=name: kind(t)[name][1], Value=bad),
                f"balancer Resources.{path}.Properties.{name}.1.Value",
                f"{low:,} to {high:,} seconds",
            )


CASES = (
    # Behind the load balancer.
    Case("S202", nothing, put(container, PortMappings=[]), f"{ENTRY}.ContainerPort", "which maps no port"),
    Case("S203", nothing, put(targets, TargetType=None), f"{ENTRY}.TargetGroupArn", "targets of type instance"),
    Case(
        "S203",
        every(bridge, mapping(HostPort=8080), put(tasks, NetworkMode="host")),
        passing("Balancer", TargetType="ip"),
        f"{ENTRY}.TargetGroupArn",
        "runs tasks in host networking",
    ),
    Case(
        "S204",
        every(bridge, mapping(HostPort=8080), put(targets, HealthCheckPort="8080")),
        mapping(HostPort=None),
        f"{TARGETS}.HealthCheckPort",
        "maps port 8080 to a host port of the moment",
    ),
    Case("S206", own_rule, no_wait_for_rule, "service Resources.Service", "Add DependsOn: Extra."),
    Case("S207", ingress(ToPort=8081), ingress(FromPort=8081), f"{ENTRY}.ContainerPort", "let in 8081 only"),
    Case("S207", ingress(FromPort=8079), ingress(ToPort=8079), f"{ENTRY}.ContainerPort", "let in 8079 only"),
    Case(
        "S207",
        clients({"IpProtocol": -1, "CidrIp": "0.0.0.0/0"}),
        clients({"IpProtocol": 6, "FromPort": 1, "ToPort": 442, "CidrIp": "0.0.0.0/0"}),
        f"{LISTENER}.Port",
        "let in 1-442 only",
    ),
    Case(
        "S207",
        clients(
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"},
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"},
        ),
        clients(
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"},
            {"IpProtocol": "udp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"},
        ),
        f"{LISTENER}.Port",
        "let in 80 only",
    ),
    Case(
        "S208",
        put(targets, HealthCheckTimeoutSeconds=9),
        put(targets, HealthCheckTimeoutSeconds=10),
        f"{TARGETS}.HealthCheckTimeoutSeconds",
        "may take 10 s but is repeated every 10 s",
    ),
    Case(
        "S208",
        every(network_balancer, put(targets, HealthCheckTimeoutSeconds=10)),
        put(targets, HealthCheckTimeoutSeconds=11),
        f"{TARGETS}.HealthCheckTimeoutSeconds",
        "Set the timeout below 10 s",
    ),
    Case(
        "S208",
        classic,
        put(lambda t: properties(t, "balancer", "Classic")["HealthCheck"], Timeout="5"),
        "balancer Resources.Classic.Properties.HealthCheck.Timeout",
        "may take 5 s",
    ),
    Case(
        "S209",
        put(listener, SslPolicy="ELBSecurityPolicy-TLS13-1-9-2099-12"),
        put(listener, SslPolicy=f"ELBSecurityPolicy-TLS13-1-9-{NEWEST_TLS_POLICY}"),
        f"{LISTENER}.SslPolicy",
        "There is no TLS policy",
    ),
    # How many.
    Case("S301", label("app/shop/0a1/targetgroup/web/0b2"), label("targetgroup/web/0b2"), METRIC, 'is "targetgroup/'),
    Case("S301", nothing, label_of_balancer, METRIC, "alone"),
    Case(
        "S302",
        passing("Service", MinTasks=4, MaxTasks=4),
        passing("Service", MaxTasks=3),
        "service Resources.Scaling.Properties.MaxCapacity",
        "MinCapacity is 4, MaxCapacity is 3 with what root.yaml passes",
    ),
    Case(
        "S302",
        every(with_action, lambda t: action(t)["ScalableTargetAction"].update(MaxCapacity=4)),
        lambda t: action(t)["ScalableTargetAction"].update(MaxCapacity=3),
        "service Resources.Scaling.Properties.ScheduledActions.0.ScalableTargetAction.MaxCapacity",
        "MinCapacity is 4",
    ),
    Case(
        "S302",
        every(with_group_action, put(morning, MaxSize=2)),
        put(morning, MaxSize=1),
        "cluster Resources.Morning.Properties.MaxSize",
        "MinSize is 2",
    ),
    Case(
        "S302",
        unmanaged,
        put(nodes, DesiredCapacity=0),
        "cluster Resources.Nodes.Properties.DesiredCapacity",
        "MinSize is 1, DesiredCapacity is 0",
    ),
    Case(
        "S302",
        put(managed, MinimumScalingStepSize=10),
        put(managed, MinimumScalingStepSize=11),
        f"{PROVIDER}.MaximumScalingStepSize",
        "Raise MaximumScalingStepSize to 11",
    ),
    Case("S304", unmanaged, put(managed, Status="ENABLED"), "cluster Resources.Nodes.Properties.DesiredCapacity", ""),
    *(
        Case("S305", right, wrong, f"{SERVICE}.DeploymentConfiguration", words)
        for right, wrong, words in (
            (deploying(None, 100, 101), deploying(None, 100, 100), "none may start"),
            (deploying(None, 99, 100), deploying(None, 100, 100), "Set MaximumPercent to 200"),
            (deploying(None, None, 101), deploying(None, None, 100), "Percent is 100 and MaximumPercent 100"),
            (deploying(3, 66, 133), deploying(3, 67, 133), "of 3 tasks of Service"),
            (deploying(3, 67, 134), deploying(3, 67, 133), "or MinimumHealthyPercent to 0"),
            (deploying(1, 100, None), deploying(1, 100, 199), "of 1 tasks"),
            (deploying(0, 50, 150), deploying(1, 50, 150), "of 1 tasks"),
            (
                every(moving, deploying(None, 100, 100, Strategy="CANARY")),
                deploying(None, 100, 100, Strategy="ROLLING"),
                "",
            ),
            (every(deploying(None, 100, 100), controlled("CODE_DEPLOY")), controlled("ECS"), ""),
        )
    ),
    Case(
        "S306", rebalanced(50, 101), rebalanced(50, 100), f"{SERVICE}.AvailabilityZoneRebalancing", "MaximumPercent is"
    ),
    Case("S306", nothing, spread({"Type": "random"}), f"{SERVICE}.AvailabilityZoneRebalancing", "strategy is random."),
    Case(
        "S306",
        spread({"Type": "spread", "Field": "attribute:ecs.availability-zone"}),
        spread({"Type": "spread", "Field": "instanceId"}),
        f"{SERVICE}.AvailabilityZoneRebalancing",
        "spread by instanceId",
    ),
    Case(
        "S306",
        every(daemon, put(service, AvailabilityZoneRebalancing="DISABLED")),
        put(service, AvailabilityZoneRebalancing="ENABLED"),
        f"{SERVICE}.AvailabilityZoneRebalancing",
        "a DAEMON service",
    ),
    Case(
        "S307",
        nothing,
        protected,
        "cluster Resources.Provider.Properties.AutoScalingGroupProvider.ManagedTerminationProtection",
        "no custom resource of the set clears that",
    ),
    # What passes between stacks.
    Case(
        "S104",
        every(declaring("network", "Cidr", Default="10.0.0.0/16"), passing("Network", Cidr=None)),
        without_default("network", "Cidr"),
        "root Resources.Network.Properties",
        "is not given Cidr (String)",
    ),
    Case(
        "S107",
        passing("Network", Cidr="255.255.255.255/16"),
        passing("Network", Cidr="255.255.255.255/016"),
        WIRES.format("Network") + ".Cidr",
        "19 characters; MaxLength is 18",
    ),
    Case(
        "S107",
        declaring("network", "Cidr", MinLength="11"),
        declaring("network", "Cidr", MinLength="12"),
        WIRES.format("Network") + ".Cidr",
        "11 characters; MinLength is 12",
    ),
    Case(
        "S107",
        passing("Cluster", MinNodes="0"),
        passing("Cluster", MinNodes="-1"),
        WIRES.format("Cluster") + ".MinNodes",
        "MinValue is 0",
    ),
    Case(
        "S107",
        every(passing("Cluster", MaxNodes=100), declaring("cluster", "MaxNodes", MaxLength=1, AllowedPattern="x")),
        passing("Cluster", MaxNodes=101),
        WIRES.format("Cluster") + ".MaxNodes",
        "MaxValue is 100",
    ),
    Case(
        "S107",
        every(declaring("cluster", "MaxNodes", AllowedValues=[True, "4.0"]), passing("Cluster", MaxNodes=4)),
        passing("Cluster", MaxNodes=5),
        WIRES.format("Cluster") + ".MaxNodes",
        "allowed are True, 4.0",
    ),
    Case(
        "S107",
        every(declaring("network", "Own", AllowedValues=[True, False]), passing("Network", Own="true")),
        passing("Network", Own="True"),
        WIRES.format("Network") + ".Own",
        'is "True"',
    ),
    Case(
        "S107",
        every(
            declaring("network", "Some", Type="CommaDelimitedList", AllowedValues=[*"abcdefghijklmn"]),
            passing("Network", Some="a, n"),
        ),
        passing("Network", Some="a, z"),
        WIRES.format("Network") + ".Some",
        'is "z"; allowed are a, b, c, d, e, f, g, h, i, j, k, l.',
    ),
    # Tasks and services.
    Case(
        "S501",
        every(task_memory, put(container, Memory=512, MemoryReservation=8)),
        put(container, Memory=513),
        f"{WEB}.Memory",
        "",
    ),
    Case(
        "S501",
        every(task_memory, put(side, MemoryReservation=256)),
        put(side, MemoryReservation=257),
        f"{TASKS}.Memory",
        "",
    ),
    Case("S502", every(fargate, put(container, Cpu=256)), put(container, Cpu=257), f"{TASKS}.Cpu", "257 CPU units"),
    Case(
        "S504",
        put(container, MemoryReservation=256),
        put(container, MemoryReservation=257),
        f"{WEB}.MemoryReservation",
        "",
    ),
    Case(
        "S517",
        every(timeouts, put(container, StartTimeout=2)),
        put(container, StartTimeout=1),
        f"{WEB}.StartTimeout",
        "is 1 s",
    ),
    Case(
        "S517",
        every(timeouts, put(container, StopTimeout=120)),
        put(container, StopTimeout=121),
        f"{WEB}.StopTimeout",
        "",
    ),
    Case("S609", groups(5), groups(6), f"{SERVICE}.LoadBalancers", "has 6 target groups"),
    Case(
        "S603",
        every(spot, strategy({"CapacityProvider": "FARGATE", "Weight": 0})),
        strategy({"CapacityProvider": "FARGATE", "Weight": 0}, {"CapacityProvider": "FARGATE_SPOT"}),
        f"{SERVICE}.CapacityProviderStrategy",
        "no task is placed",
    ),
    Case(
        "S603",
        every(
            spot,
            strategy(
                {"CapacityProvider": "FARGATE", "Weight": 1, "Base": 1}, {"CapacityProvider": "FARGATE_SPOT", "Base": 0}
            ),
        ),
        strategy(
            {"CapacityProvider": "FARGATE", "Weight": 1, "Base": 1}, {"CapacityProvider": "FARGATE_SPOT", "Base": 1}
        ),
        f"{SERVICE}.CapacityProviderStrategy",
        "2 providers",
    ),
    Case(
        "S614",
        every(unbalanced, put(service, HealthCheckGracePeriodSeconds=0)),
        put(service, HealthCheckGracePeriodSeconds=1),
        f"{SERVICE}.HealthCheckGracePeriodSeconds",
        "of 1 s",
    ),
    # Listeners.
    *_ranges(),
    Case(
        "S221",
        attribute(targets, "TargetGroupAttributes", "slow_start.duration_seconds", "0"),
        put(lambda t: targets(t)["TargetGroupAttributes"][1], Value="1"),
        f"{TARGETS}.TargetGroupAttributes.1.Value",
        "0, or 30 to 900 seconds",
    ),
    Case(
        "S215",
        two_rules,
        put(targets, Protocol="TCP"),
        "balancer Resources.Api.Properties.Actions.0.TargetGroupArn",
        "Api takes HTTPS and forwards to Targets",
    ),
    Case(
        "S213",
        every(catching, put(extra, Priority=11)),
        put(extra, Priority=9),
        "balancer Resources.Api.Properties.Priority",
        "its priority is 9, that of Api 10",
    ),
    Case(
        "S219",
        hosts,
        put(lambda t: extra(t)["Conditions"][1], Values=["shop.example.com/a"]),
        "service Resources.Extra.Properties.Conditions.1",
        "",
    ),
    Case(
        "S219",
        hosts,
        put(lambda t: extra(t)["Conditions"][1], Values=["shop.example.com:8080"]),
        "service Resources.Extra.Properties.Conditions.1",
        "",
    ),
    # Scaling.
    Case("S714", every(stepping, hourly(1_440, 60)), hourly(1_441, 60), f"{ALARM}.EvaluationPeriods", "86460 s in all"),
    Case("S714", every(stepping, hourly(168)), hourly(169), f"{ALARM}.EvaluationPeriods", "takes 604,800"),
    Case("S714", every(stepping, hourly(24)), hourly(25, 3_540), f"{ALARM}.EvaluationPeriods", "takes 86,400"),
    Case(
        "S715",
        every(stepping, put(alarm, DatapointsToAlarm=3)),
        put(alarm, DatapointsToAlarm=4),
        f"{ALARM}.DatapointsToAlarm",
        "",
    ),
    Case(
        "S709",
        all_below,
        put(alarm, ComparisonOperator="GreaterThanThreshold"),
        f"{ALARM}.ComparisonOperator",
        "goes off above its threshold",
    ),
    Case("S704", all_below, step(0, MetricIntervalLowerBound=-10), STEPS, "none reaches below -10"),
    Case("S704", stepping, step(1, MetricIntervalUpperBound=20), STEPS, "one ends before it begins"),
)
