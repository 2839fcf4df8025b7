"""Other people's templates to models: small sets of the shapes that their tools write. docs/tried.md has real ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.decide import ServicePolicies
from scaleout_cfn.simulator.model import Delays, Fargate, Load
from scaleout_cfn.simulator.policies import KEEP, firings
from scaleout_cfn.simulator.read import model_of, read
from scaleout_cfn.simulator.run import run
from scaleout_cfn.simulator.traffic import Traffic

Template = dict[str, Any]

TASKS = {
    "Type": "AWS::ECS::TaskDefinition",
    "Properties": {
        "Cpu": "256",
        "Memory": "512",
        "RequiresCompatibilities": ["FARGATE"],
        "ContainerDefinitions": [{"Name": "app", "Image": "nginx"}],
    },
}
SERVICE = {
    "Type": "AWS::ECS::Service",
    "Properties": {"LaunchType": "FARGATE", "TaskDefinition": {"Ref": "Tasks"}, "DesiredCount": 3},
}
TARGET = {
    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
    "Properties": {
        "MinCapacity": 2,
        "MaxCapacity": 9,
        "ServiceNamespace": "ecs",
        "ResourceId": {
            "Fn::Join": ["/", ["service", {"Fn::ImportValue": "shop-Cluster"}, {"Fn::GetAtt": ["Service", "Name"]}]]
        },
    },
}
POLICY = {
    "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "Properties": {
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 60,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        },
    },
}
STEPS = {
    "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "Properties": {
        "PolicyType": "StepScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    },
}
ALARM = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": {
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 70,
        "Period": 300,
        "EvaluationPeriods": 2,
        "AlarmActions": [{"Ref": "Steps"}],
    },
}
GROUP = {
    "Type": "AWS::AutoScaling::AutoScalingGroup",
    "Properties": {"MinSize": "1", "MaxSize": "4", "LaunchConfigurationName": {"Ref": "Launch"}},
}
LAUNCH = {"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": {"InstanceType": "m5.large"}}


def template(parameters: Mapping[str, Any] | None = None, **resources: Any) -> Template:
    """A template with a service and its tasks, and more resources; None leaves one out."""
    every = {"Tasks": TASKS, "Service": SERVICE, **resources}
    body = {"Resources": {name: copy.deepcopy(made) for name, made in every.items() if made is not None}}
    return {"Parameters": dict(parameters or {}), **body}


def with_(base: Mapping[str, Any], **properties: Any) -> Template:
    """A resource with other properties; None takes one away."""
    both = {**base["Properties"], **properties}
    return {**base, "Properties": {name: value for name, value in both.items() if value is not None}}


def on_nodes(**resources: Any) -> Template:
    tasks = with_(TASKS, RequiresCompatibilities=None)
    return template(
        Tasks=tasks, Service=with_(SERVICE, LaunchType="EC2"), **{"Group": GROUP, "Launch": LAUNCH, **resources}
    )


def said_of(body: Template, **options: Any) -> str:
    with pytest.raises(UsageError) as refused:
        model_of({"app.yaml": body}, **options)
    return str(refused.value)


def test_a_service_that_nothing_scales_is_a_fixed_number_of_tasks() -> None:
    model = model_of({"app.yaml": template()})
    assert (model.scaling.min_tasks, model.scaling.max_tasks, model.scaling.cpu.enabled) == (3, 3, False)
    assert model.pool == Fargate()


def test_a_target_is_found_past_an_import_that_nobody_knows() -> None:
    model = model_of({"app.yaml": template(Target=TARGET, Policy=POLICY)})
    assert (model.scaling.min_tasks, model.scaling.max_tasks, model.scaling.cpu.target) == (2, 9, 60)


def test_a_target_is_found_by_the_name_of_its_service_and_by_being_the_only_one() -> None:
    by_name = with_(TARGET, ResourceId="service/shop/app")
    assert (
        model_of({"app.yaml": template(Target=by_name, Service=with_(SERVICE, ServiceName="app"))}).scaling.max_tasks
        == 9
    )
    unnamed = template({"Name": {"Type": "String"}}, Target=with_(TARGET, ResourceId={"Ref": "Name"}))
    model = model_of({"app.yaml": unnamed})
    assert model.scaling.max_tasks == 9
    assert "Target is taken to scale it" in " ".join(model.notes)


@pytest.mark.parametrize("size", [("0.5 vCPU", "2 GB"), (".5 vcpu", "2GB"), ("512", "2048"), (512, 2048)])
def test_the_size_of_a_task_is_read_in_every_way_that_ecs_takes(size: tuple[Any, Any]) -> None:
    model = model_of({"app.yaml": template(Tasks=with_(TASKS, Cpu=size[0], Memory=size[1]))})
    assert (model.task.cpu_units, model.task.memory_mib) == (512, 2048)


def test_what_a_template_asks_for_is_given_by_name() -> None:
    count = {"Tasks2": {"Type": "Number"}}
    body = template(count, Service=with_(SERVICE, DesiredCount={"Ref": "Tasks2"}))
    assert "give it by --parameter Tasks2=VALUE" in said_of(body)
    assert model_of({"app.yaml": body}, given={"Tasks2": "5"}).scaling.max_tasks == 5
    imported = template(Service=with_(SERVICE, DesiredCount={"Fn::ImportValue": "shop-Count"}))
    assert "give it by --parameter shop-Count=VALUE" in said_of(imported)
    assert model_of({"app.yaml": imported}, given={"shop-Count": "4"}).scaling.max_tasks == 4
    assert "Task2: no parameter, import or SSM parameter of that name; there is Tasks2" in said_of(
        body, given={"Task2": "5"}
    )
    few = {"Tasks2": {"Type": "Number", "AllowedValues": [1, 2]}}
    assert "Tasks2=5: app.yaml takes 1, 2" in said_of({**body, "Parameters": few}, given={"Tasks2": "5"})


def test_a_default_decides_a_condition_and_what_is_given_decides_it_otherwise() -> None:
    body = template(
        {"Stage": {"Type": "String", "Default": "test"}},
        Service=with_(SERVICE, DesiredCount={"Fn::If": ["IsProduction", 8, 1]}),
    )
    body["Conditions"] = {"IsProduction": {"Fn::Equals": [{"Ref": "Stage"}, "production"]}}
    assert model_of({"app.yaml": body}).scaling.max_tasks == 1
    assert model_of({"app.yaml": body}, given={"Stage": "production"}).scaling.max_tasks == 8


def test_exports_and_ssm_parameters_are_followed_across_stacks() -> None:
    cluster: Template = {
        "Parameters": {},
        "Resources": {
            "Stored": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/shop/memory", "Value": "1024"}},
        },
        "Outputs": {"Count": {"Value": 6, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:Count"}}}},
    }
    body = template(
        {
            "ClusterStack": {"Type": "String", "Default": "production"},
            "TaskMemory": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/shop/memory"},
        },
        Service=with_(SERVICE, DesiredCount={"Fn::ImportValue": {"Fn::Sub": "${ClusterStack}:Count"}}),
        Tasks=with_(TASKS, Memory={"Ref": "TaskMemory"}, Cpu="{{resolve:ssm:/shop/cpu:1}}"),
    )
    body["Resources"]["Cpu"] = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/shop/cpu", "Value": "128"}}
    model = model_of({"app.yaml": body, "cluster.yaml": cluster})
    assert (model.scaling.max_tasks, model.task.memory_mib, model.task.cpu_units) == (6, 1024, 128)
    assert "or --parameter production:Count=VALUE" in said_of(body, given={"/shop/memory": "512"})


def test_several_services_are_told_apart_by_name_logical_id_and_file() -> None:
    daemon = with_(SERVICE, SchedulingStrategy="DAEMON")
    assert model_of({"app.yaml": template(Agent=daemon)}).service == "Service"
    two = {"app.yaml": template(Other=SERVICE)}
    with pytest.raises(UsageError, match="several services: Other, Service; say which one by --service NAME"):
        model_of(two)
    assert model_of(two, service="Other").service == "Other"
    named = {"app.yaml": template(Other=with_(SERVICE, ServiceName="orders"))}
    assert model_of(named, service="orders").service == "Other"
    twice = {"app.json": template(), "app.yaml": template()}
    with pytest.raises(UsageError, match=r"several services: app\.json/Service, app\.yaml/Service"):
        model_of(twice)
    assert model_of(twice, service="app.yaml/Service").service == "app.yaml/Service"


def test_nodes_of_a_launch_configuration_that_nothing_moves_are_as_many_as_there_are() -> None:
    model = model_of({"app.yaml": on_nodes()})
    assert model.nodes is not None
    assert (model.nodes.instance_type, model.nodes.min_nodes, model.nodes.max_nodes) == ("m5.large", 1, 1)
    assert "Nothing moves its nodes: there are 1 of them" in " ".join(model.notes)


def test_a_cluster_says_by_its_default_strategy_what_a_service_runs_on() -> None:
    cluster = {
        "Type": "AWS::ECS::Cluster",
        "Properties": {
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}],
        },
    }
    service = with_(SERVICE, LaunchType=None, Cluster={"Ref": "Cluster"})
    assert model_of({"app.yaml": template(Cluster=cluster, Service=service)}).pool == Fargate(spot_percent=100)


def on_managed(**provider: Any) -> Template:
    made = {"InstanceLaunchTemplate": {"NetworkConfiguration": {"Subnets": ["a", "b", "c"]}, **provider}}
    strategy = [{"CapacityProvider": {"Ref": "Managed"}, "Weight": 1}]
    return template(
        Service=with_(SERVICE, LaunchType=None, CapacityProviderStrategy=strategy),
        Tasks=with_(TASKS, RequiresCompatibilities=["MANAGED_INSTANCES"]),
        Target=TARGET,
        Managed={"Type": "AWS::ECS::CapacityProvider", "Properties": {"ManagedInstancesProvider": made}},
    )


def test_managed_instances_are_of_the_types_that_are_asked_for() -> None:
    nodes = model_of({"app.yaml": on_managed()}).nodes
    assert nodes and nodes.managed and nodes.zones == 3
    assert (nodes.managed.scale_in_after_s, nodes.disk_gib, nodes.spot_percent) == (None, 80, 0)
    asked = {
        "VCpuCount": {"Min": 4, "Max": 8}, "MemoryMiB": {"Min": 8000}, "AllowedInstanceTypes": ["m7g.*", "m7i.*"],
        "ExcludedInstanceTypes": ["m7i.2xlarge"],
    }  # fmt: skip
    nodes = model_of({"app.yaml": on_managed(InstanceRequirements=asked, CapacityOptionType="SPOT")}).nodes
    assert nodes and nodes.managed and nodes.spot_percent == 100
    assert [kind.instance_type for kind in nodes.managed.kinds] == ["m7i.xlarge"]
    asked["MemoryMiB"] = {"Min": 8000, "Max": 9000}
    said = said_of(on_managed(InstanceRequirements=asked))
    assert "Managed: no instance type of Managed's requirements that has a price holds a task of 256 CPU units" in said


def of_types(*types: str, **bought: Any) -> Template:
    overrides = [{"InstanceType": type} for type in types]
    for override, weight in zip(overrides, bought.pop("weights", ()), strict=False):
        override["WeightedCapacity"] = weight
    mixed = {"LaunchTemplate": {"Overrides": overrides}, "InstancesDistribution": bought}
    return on_nodes(Group=with_(GROUP, LaunchConfigurationName=None, MixedInstancesPolicy=mixed))


def test_of_several_instance_types_the_smallest_counts_but_where_they_are_taken_in_order() -> None:
    model = model_of({"app.yaml": of_types("m5.xlarge", "m5.large")})
    assert model.nodes and model.nodes.instance_type == "m5.large"
    assert "of m5.xlarge, m5.large, whichever Auto Scaling finds: all count as m5.large" in " ".join(model.notes)
    in_order = {"OnDemandAllocationStrategy": "prioritized"}
    model = model_of({"app.yaml": of_types("m5.xlarge", "m5.large", **in_order)})
    assert model.nodes and model.nodes.instance_type == "m5.xlarge"
    spot = {**in_order, "OnDemandPercentageAboveBaseCapacity": 50}
    model = model_of({"app.yaml": of_types("m5.xlarge", "m5.large", **spot)})
    assert model.nodes and (model.nodes.instance_type, model.nodes.spot_percent) == ("m5.large", 50)


def test_weights_are_a_node_s_part_of_the_group_s_size_and_refused_beside_a_capacity_provider() -> None:
    model = model_of({"app.yaml": of_types("m5.xlarge", "m5.large", weights=("4", "2"))})
    assert model.nodes and (model.nodes.min_nodes, model.nodes.max_nodes) == (1, 1)
    body = of_types("m5.xlarge", "m5.large", weights=("4", "2"))
    body["Resources"]["Group"]["Properties"]["DesiredCapacity"] = 6
    model = model_of({"app.yaml": body})
    assert model.nodes and model.nodes.min_nodes == 3
    body = of_types("m5.large", weights=("2",))
    arn = {"AutoScalingGroupProvider": {"AutoScalingGroupArn": {"Ref": "Group"}}}
    body["Resources"]["Provider"] = {"Type": "AWS::ECS::CapacityProvider", "Properties": arn}
    body["Resources"]["Service"] = with_(
        SERVICE, LaunchType=None, CapacityProviderStrategy=[{"CapacityProvider": {"Ref": "Provider"}}]
    )
    assert "Group: its instance types have weights, which ECS's capacity providers do not take" in said_of(body)


def test_a_strategy_over_several_pools_is_one_that_buys_as_they_do() -> None:
    def provider(group: str) -> Template:
        return {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {"AutoScalingGroupProvider": {"AutoScalingGroupArn": {"Ref": group}}},
        }

    spot = {"InstanceType": "m5.large", "InstanceMarketOptions": {"MarketType": "spot"}}
    strategy = [
        {"CapacityProvider": {"Ref": "Steady"}, "Base": 9, "Weight": 1},
        {"CapacityProvider": {"Ref": "Cheap"}, "Weight": 3},
    ]
    launch = {"LaunchTemplate": {"LaunchTemplateId": {"Ref": "OnSpot"}}}
    body = template(
        Service=with_(SERVICE, LaunchType=None, CapacityProviderStrategy=strategy),
        Tasks=with_(TASKS, RequiresCompatibilities=None),
        Group=GROUP,
        Launch=LAUNCH,
        Steady=provider("Group"),
        Cheap=provider("SpotGroup"),
        SpotGroup=with_(GROUP, LaunchConfigurationName=None, MaxSize="7", **launch),
        OnSpot={"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": spot}},
        Odd={"Type": "AWS::AutoScaling::ScalingPolicy", "Properties": {"AutoScalingGroupName": {"Ref": "Group"}}},
    )
    model = model_of({"app.yaml": body})
    assert model.nodes is not None
    # Of the base's nine tasks eight fit on a node.
    assert (model.nodes.spot_percent, model.nodes.on_demand_base) == (75, 2)
    assert (model.nodes.min_nodes, model.nodes.max_nodes) == (2, 11)
    notes = " ".join(model.notes)
    assert "above the base 1 of 4 on steady and 3 of 4 on cheap: they are taken as one of m5.large" in notes
    assert "Odd move the group beside its capacity provider, which is left out" in notes


def test_a_balancer_and_target_groups_are_taken_as_far_as_they_are_known() -> None:
    elsewhere = with_(SERVICE, LoadBalancers=[{"TargetGroupArn": {"Fn::ImportValue": "shop-Group"}}])
    model = model_of({"app.yaml": template(Service=elsewhere)})
    assert (model.health_check_interval_s, model.deregistration_delay_s) == (30, 300)
    assert "Its target group is not among the templates" in " ".join(model.notes)
    groups = {
        name: {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {"HealthCheckIntervalSeconds": interval},
        }
        for name, interval in (("Inner", 5), ("Outer", 15))
    }
    both = with_(SERVICE, LoadBalancers=[{"TargetGroupArn": {"Ref": name}} for name in groups])
    assert model_of({"app.yaml": template(Service=both, **groups)}).health_check_interval_s == 15


@pytest.mark.parametrize("period", [10, 20, 30, 60, 120, 3600])
def test_an_alarm_may_have_any_period_that_aws_takes(period: int) -> None:
    body = template(Target=TARGET, Steps=STEPS, Alarm=with_(ALARM, Period=period))
    (policy,) = model_of({"app.yaml": body}).scaling.step_policies
    assert policy.period_s == period
    assert "its period is 45 s; that cannot be simulated: AWS takes 10, 20, 30 or a multiple of 60" in said_of(
        template(Target=TARGET, Steps=STEPS, Alarm=with_(ALARM, Period=45))
    )


class Counts:
    running = desired = least = 1
    most = 9


def test_periods_of_minutes_slide_and_each_of_them_has_to_breach() -> None:
    scaling = model_of({"app.yaml": template(Target=TARGET, Steps=STEPS, Alarm=ALARM)}).scaling
    policies = ServicePolicies(scaling, Delays(), [])
    (source,) = policies.sources
    assert source.period == 60
    # Two periods of five minutes above 70: the mean of each counts, and every minute there is a look.
    values = [0.0] * 5 + [100.0] * 20
    acted = [
        minute
        for minute, value in enumerate(values)
        if list(policies.decide(60 * minute, source, {"cpu": value}, Counts()))
    ]
    # The older period has four minutes of 100 from the 14th minute on: a mean of 80.
    assert acted[0] == 13


def _of_queue(name: str) -> dict[str, Any]:
    metric = {"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": [{"Name": "QueueName", "Value": "jobs"}]}
    return {"Id": name[-7:].lower(), "MetricStat": {"Metric": metric, "Stat": "Average", "Period": 60}}


def _tracking(**metric: Any) -> Template:
    kept = {"TargetValue": 10, "CustomizedMetricSpecification": metric}
    return template(Target=TARGET, Policy=with_(POLICY, TargetTrackingScalingPolicyConfiguration=kept))


VISIBLE = "ApproximateNumberOfMessagesVisible"


@pytest.mark.parametrize(
    ("metric", "of", "in_work"),
    [
        ({"Metrics": [_of_queue(VISIBLE), {"Id": "e", "Expression": "visible / running"}]}, "task", False),
        ({"Metrics": [_of_queue(VISIBLE), _of_queue("ApproximateNumberOfMessagesNotVisible"),
                      {"Id": "e", "Expression": "(a + b) / running"}]}, "task", True),
        ({"Namespace": "AWS/SQS", "MetricName": VISIBLE, "Statistic": "Average"}, "queue", False),
    ],
)  # fmt: skip
def test_the_backlog_that_others_track_is_by_task_or_of_the_queue(metric: Any, of: str, in_work: bool) -> None:
    backlog = model_of({"app.yaml": _tracking(**metric)}).backlog
    assert backlog is not None
    assert (backlog.tracking.target, backlog.of, backlog.in_work) == (10, of, in_work)


def test_steps_on_the_messages_of_a_queue_add_tasks_and_take_them_away() -> None:
    """As CDK's QueueProcessingFargateService makes them."""
    few = with_(
        STEPS,
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -1}],
        },
    )
    on = {"Namespace": "AWS/SQS", "MetricName": VISIBLE, "Period": 60, "EvaluationPeriods": 1}
    below = {"ComparisonOperator": "LessThanOrEqualToThreshold", "Threshold": 0, "AlarmActions": [{"Ref": "Few"}]}
    made = model_of(
        {"app.yaml": template(
            Target=TARGET, Steps=STEPS, Few=few, Many=with_(ALARM, **{**on, "Threshold": 100}),
            None_=with_(ALARM, **on, **below),
        )}
    )  # fmt: skip
    assert made.backlog is not None
    assert not made.backlog.tracking.enabled
    assert [(policy.metric, policy.when, policy.threshold) for policy in made.scaling.step_policies] == [
        ("messages", "above", 100),
        ("messages", "below", 0),
    ]
    queue = Traffic("queue", np.repeat([0.0, 50.0, 0.0], 3600))
    trace = run(made, Load(task_rps=10), Delays(), queue)
    assert max(state.running for state in trace.states) > 5
    assert trace.states[-1].running == 2
    assert trace.dropped.sum() == 0
    assert trace.backlog[-1] == 0


def test_a_schedule_with_one_bound_leaves_the_other_as_it_is() -> None:
    actions = [
        {"ScheduledActionName": "Up", "Schedule": "cron(0 8 * * ? *)", "ScalableTargetAction": {"MinCapacity": 5}},
        {"ScheduledActionName": "Down", "Schedule": "cron(0 9 * * ? *)", "ScalableTargetAction": {"MaxCapacity": 7}},
    ]
    scaling = model_of({"app.yaml": template(Target=with_(TARGET, ScheduledActions=actions))}).scaling
    assert [(one.min_tasks, one.max_tasks) for one in scaling.schedules] == [(5, KEEP), (KEEP, 7)]
    assert firings(scaling.schedules, 12 * 3600, None, (2, 9)) == [(8 * 3600, 5, 9), (9 * 3600, 5, 7)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            template(Target=TARGET, Policy=with_(POLICY, TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 1, "CustomizedMetricSpecification": {"Namespace": "shop", "MetricName": "Backlog"},
            })),
            "a metric of its own (shop/Backlog), not one of",
        ),
        (
            template(Target=TARGET, Steps=STEPS, Alarm=with_(ALARM, Namespace="AWS/SQS", MetricName="Age")),
            "it watches AWS/SQS/Age, not CPU or memory of the service; that cannot be simulated: to see",
        ),
        (template(Service=with_(SERVICE, DesiredCount=0)), "its DesiredCount is 0, so that nothing answers"),
        (template(Tasks=with_(TASKS, Memory={"Ref": "M"})), "it reserves no memory that is known"),
        (template(Tasks=None), "its task definition is not among the templates; that cannot be simulated: give"),
        (template(Service=with_(SERVICE, LaunchType="EXTERNAL")), "machines of one's own"),
        (template(Target=with_(TARGET, MinCapacity=99)), "its MinCapacity, 99, is above its MaxCapacity"),
        (on_nodes(Launch=None), "its instance type is not known before a deployment; that cannot be simulated:"
         " write it into the template, as in InstanceType: t3.small"),
        (on_nodes(Grow={"Type": "AWS::AutoScaling::ScalingPolicy", "Properties": {
            "AutoScalingGroupName": {"Ref": "Group"}}}), "its nodes are moved by Grow"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_by_name_with_the_way_out(body: Template, says: str) -> None:
    body["Parameters"]["M"] = {"Type": "String"}
    said = said_of(body)
    assert says in said
    assert not said.endswith("cannot be simulated")


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body if isinstance(body, str) else json.dumps(body))
    return folder


def _artifact(kind: str, **properties: str) -> dict[str, Any]:
    return {"type": kind, "properties": properties}


CDK = {
    "manifest.json": {
        "version": "48.0.0",
        "artifacts": {
            "Shop.assets": _artifact("cdk:asset-manifest", file="Shop.assets.json"),
            "Shop": _artifact("aws:cloudformation:stack", templateFile="Shop.template.json"),
            "assembly-Prod": _artifact("cdk:cloud-assembly", directoryName="assembly-Prod"),
        },
    },
    "Shop.template.json": {
        "Resources": {
            "Web.NestedStack": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"TemplateURL": {"Fn::Sub": "https://s3.${AWS::URLSuffix}/cdk/0a1b.json"}},
                "Metadata": {"aws:asset:path": "ShopWeb.nested.template.json", "aws:asset:property": "TemplateURL"},
            }
        }
    },
    "ShopWeb.nested.template.json": template(Target=TARGET, Policy=POLICY),
    "Left.template.json": template(),
    "assembly-Prod/manifest.json": {
        "artifacts": {"Db": _artifact("aws:cloudformation:stack", templateFile="Db.template.json")}
    },
    "assembly-Prod/Db.template.json": {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}},
}


def test_of_cdks_output_the_stacks_of_its_manifest_are_read_and_no_others(tmp_path: Path) -> None:
    model = read(write(tmp_path, CDK))
    assert (model.service, model.scaling.max_tasks) == ("Web.NestedStack/Service", 9)


@pytest.mark.parametrize(
    "place", [lambda folder: folder, lambda folder: folder / "app.yaml", lambda folder: folder.parent]
)
def test_a_file_a_folder_and_the_folder_above_may_be_given(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set", {"app.yaml": template(), "values.json": {"a": 1}})
    assert read(place(tmp_path / "set")).scaling.max_tasks == 3


def test_a_file_that_cannot_be_read_is_told_where_the_service_is_in_another(tmp_path: Path) -> None:
    broken = "Resources:\n  Queue: {Type: 'AWS::SQS::Queue'\n"
    write(tmp_path, {"app.yaml": template(), "broken.yaml": broken})
    assert "broken.yaml is left out, for it cannot be read" in " ".join(read(tmp_path).notes)
    (tmp_path / "app.yaml").unlink()
    with pytest.raises(UsageError, match=r"broken.yaml:\d: Not YAML"):
        read(tmp_path)


def test_a_sam_template_is_read_as_it_is_written() -> None:
    body = {"Transform": "AWS::Serverless-2016-10-31", **template(Target=TARGET, Policy=POLICY)}
    body["Resources"]["Hook"] = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.13"}}
    assert model_of({"template.yaml": body}).scaling.max_tasks == 9
