"""Scalable targets, policies and alarms: S7xx."""

from __future__ import annotations

from typing import Any

from .cases import Case, nothing, put, resources, service
from .sets import Set, passed, properties

CONFIGURATION = "TargetTrackingScalingPolicyConfiguration"
FORECAST = "PredictiveScalingPolicyConfiguration"
TARGET = "service Resources.Scaling.Properties"
STEPS = "service Resources.Steps.Properties.StepScalingPolicyConfiguration.StepAdjustments"
ALARM = "service Resources.Busy.Properties"


def target(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Scaling")


def alarm(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Busy")


def resource_id(value: Any) -> Any:
    return put(target, ResourceId={"Fn::Sub": value} if "$" in value else value)


def by_ref(templates: Set) -> None:
    """The target names its service by what a Ref to it gives, its ARN."""
    target(templates)["ResourceId"] = {"Fn::Select": [5, {"Fn::Split": [":", {"Ref": "Service"}]}]}


def wrong_part(templates: Set) -> None:
    target(templates)["ResourceId"] = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "Service"}]}]}


def named(templates: Set) -> None:
    """Cluster and service with names of their own, which the target spells out."""
    resources(templates, "cluster")["Cluster"]["Properties"] = {"ClusterName": "shop"}
    service(templates)["ServiceName"] = "web"
    target(templates)["ResourceId"] = "service/shop/web"


def other_cluster(templates: Set) -> None:
    """The cluster's stack has a second cluster, on which the service is to be scaled."""
    resources(templates, "cluster")["Other"] = {"Type": "AWS::ECS::Cluster"}
    templates["cluster.yaml"]["Outputs"]["Other"] = {"Value": {"Ref": "Other"}}
    templates["service.yaml"]["Parameters"]["Other"] = {"Type": "String"}
    passed(templates, "Service")["Other"] = {"Fn::GetAtt": ["Cluster", "Outputs.Other"]}
    target(templates)["ResourceId"] = {"Fn::Sub": "service/${Other}/${Service.Name}"}


def stepping(templates: Set) -> None:
    """A policy of two steps up and an alarm that triggers it."""
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": "20", "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 2},
    ]
    resources(templates, "service")["Steps"] = {
        "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
        "Properties": {
            "PolicyName": "steps",
            "PolicyType": "StepScaling",
            "ScalingTargetId": {"Ref": "Scaling"},
            "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps},
        },
    }
    resources(templates, "service")["Busy"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "Namespace": "AWS/ECS",
            "MetricName": "CPUUtilization",
            "Dimensions": [
                {"Name": "ClusterName", "Value": {"Ref": "Cluster"}},
                {"Name": "ServiceName", "Value": {"Fn::GetAtt": ["Service", "Name"]}},
            ],
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "Threshold": 60,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "AlarmActions": [{"Ref": "Steps"}],
        },
    }


def adjustments(templates: Set) -> list[dict[str, Any]]:
    found: list[dict[str, Any]]
    found = properties(templates, "service", "Steps")["StepScalingPolicyConfiguration"]["StepAdjustments"]
    return found


def step(index: int, **values: Any) -> Any:
    return put(lambda templates: adjustments(templates)[index], **values)


def named_target(templates: Set) -> None:
    """The tracking policy names what it scales, and waits for the scalable target."""
    policy = properties(templates, "service", "Requests")
    del policy["ScalingTargetId"]
    policy.update({key: target(templates)[key] for key in ("ResourceId", "ServiceNamespace", "ScalableDimension")})
    resources(templates, "service")["Requests"]["DependsOn"] = "Scaling"


def no_wait(templates: Set) -> None:
    del resources(templates, "service")["Requests"]["DependsOn"]


def no_target(templates: Set) -> None:
    no_wait(templates)
    del resources(templates, "service")["Scaling"]


def two_metrics(templates: Set) -> None:
    for metric in ("CPU", "Memory"):
        specification = {"PredefinedMetricType": f"ECSServiceAverage{metric}Utilization"}
        resources(templates, "service")[metric] = {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": metric,
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": {"Ref": "Scaling"},
                CONFIGURATION: {"TargetValue": 60, "PredefinedMetricSpecification": specification},
            },
        }


def forecasting(templates: Set) -> None:
    """A predictive policy of requests that acts, beside the tracking of requests."""
    specification = properties(templates, "service", "Requests")[CONFIGURATION]["PredefinedMetricSpecification"]
    pair = {"PredefinedMetricType": "ALBRequestCount", "ResourceLabel": specification["ResourceLabel"]}
    resources(templates, "service")["Forecast"] = {
        "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
        "Properties": {
            "PolicyName": "forecast",
            "PolicyType": "PredictiveScaling",
            "ScalingTargetId": {"Ref": "Scaling"},
            FORECAST: {
                "Mode": "ForecastAndScale",
                "MetricSpecifications": [{"TargetValue": 1000, "PredefinedMetricPairSpecification": pair}],
            },
        },
    }


def forecast_unlabelled(templates: Set) -> None:
    (specification,) = properties(templates, "service", "Forecast")[FORECAST]["MetricSpecifications"]
    del specification["PredefinedMetricPairSpecification"]["ResourceLabel"]


def metric_of_memory(name: str) -> Any:
    def change(templates: Set) -> None:
        policy = properties(templates, "service", "Memory")
        policy[CONFIGURATION]["PredefinedMetricSpecification"]["PredefinedMetricType"] = name

    return change


def untriggered(templates: Set) -> None:
    del alarm(templates)["AlarmActions"]


def dimension(index: int, value: Any) -> Any:
    def change(templates: Set) -> None:
        alarm(templates)["Dimensions"][index]["Value"] = value

    return change


def targets_watched(templates: Set) -> None:
    """An alarm of the balancer's stack on its target group."""
    resources(templates, "balancer")["Busy"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": "UnHealthyHostCount",
            "Dimensions": [
                {"Name": "TargetGroup", "Value": {"Fn::GetAtt": ["Targets", "TargetGroupFullName"]}},
                {"Name": "LoadBalancer", "Value": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}},
            ],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    }


def arn_of_targets(templates: Set) -> None:
    properties(templates, "balancer", "Busy")["Dimensions"][0]["Value"] = {"Ref": "Targets"}


def targets_alone(templates: Set) -> None:
    del properties(templates, "balancer", "Busy")["Dimensions"][1]


def watched_fast(templates: Set) -> None:
    """An alarm of 30 s on a service's CPU, which comes every 20 s."""
    stepping(templates)
    alarm(templates)["Period"] = 30
    resolution = {"MetricNames": ["CPUUtilization"], "ResolutionSeconds": 20}
    service(templates)["Monitoring"] = {"MetricConfigurations": [resolution]}


def targets_fast(templates: Set) -> None:
    properties(templates, "balancer", "Busy")["Period"] = 30


def second_service(templates: Set) -> None:
    stepping(templates)
    copy = {key: service(templates)[key] for key in ("Cluster", "TaskDefinition", "NetworkConfiguration")}
    resources(templates, "service")["Worker"] = {"Type": "AWS::ECS::Service", "Properties": copy}


def telling(templates: Set) -> None:
    stepping(templates)
    resources(templates, "service")["Lock"] = {"Type": "AWS::KMS::Key", "Properties": {}}
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Fn::GetAtt": ["Lock", "Arn"]}}}
    resources(templates, "service")["Topic"] = topic
    alarm(templates)["AlarmActions"].append({"Ref": "Topic"})


def aws_key(templates: Set) -> None:
    properties(templates, "service", "Topic")["KmsMasterKeyId"] = "alias/aws/sns"


CASES = (
    Case(
        "S701",
        nothing,
        resource_id("service/${Service.Name}/${Cluster}"),
        f"{TARGET}.ResourceId",
        "the service where the cluster belongs",
    ),
    Case("S701", nothing, resource_id("service/${Cluster}/${Service}"), f"{TARGET}.ResourceId", "the ARN of Service"),
    Case("S701", nothing, resource_id("${Cluster}/${Service.Name}"), f"{TARGET}.ResourceId", "no service/cluster"),
    Case("S701", by_ref, wrong_part, f"{TARGET}.ResourceId", "Service.Name}, which is no service/cluster"),
    Case("S701", nothing, other_cluster, f"{TARGET}.ResourceId", "Service on cluster Other, but it runs on Cluster"),
    Case("S701", nothing, resource_id("service/${Cluster}/web"), f"{TARGET}.ResourceId", "the set does not have"),
    Case("S701", named, resource_id("service/shop/wbe"), f"{TARGET}.ResourceId", "Did you mean web?"),
    Case("S701", named, resource_id("service/store/web"), f"{TARGET}.ResourceId", "on cluster store"),
    Case("S701", named, resource_id("service/web"), f"{TARGET}.ResourceId", "service/web, which is no"),
    Case(
        "S702",
        nothing,
        put(target, ScalableDimension="ec2:spot-fleet-request:TargetCapacity"),
        f"{TARGET}.ScalableDimension",
        "Set it to ecs:service:DesiredCount.",
    ),
    Case("S303", by_ref, put(service, DesiredCount=2), "service Resources.Service.Properties.DesiredCount", "Leave"),
    Case("S703", named_target, no_wait, "service Resources.Requests.Properties.ResourceId", "wait for Scaling"),
    Case("S703", named_target, no_target, "service Resources.Requests.Properties.ResourceId", "no scalable target"),
    Case("S704", stepping, step(1, MetricIntervalLowerBound=30), STEPS, "0 to 20 and 30 to inf leave a gap"),
    Case("S704", stepping, step(1, MetricIntervalLowerBound=10), STEPS, "overlap"),
    Case("S704", stepping, step(1, MetricIntervalUpperBound=40), STEPS, "none reaches above 40"),
    Case("S704", stepping, step(1, MetricIntervalLowerBound=None), STEPS, "one has neither bound"),
    Case(
        "S705",
        two_metrics,
        metric_of_memory("ECSServiceAverageCPUUtilization"),
        f"service Resources.Memory.Properties.{CONFIGURATION}",
        "which CPU of service.yaml tracks already",
    ),
    Case(
        "S706",
        two_metrics,
        metric_of_memory("RDSReaderAverageCPUUtilization"),
        f"service Resources.Memory.Properties.{CONFIGURATION}.PredefinedMetricSpecification.PredefinedMetricType",
        "scales a service",
    ),
    Case(
        "S707",
        stepping,
        put(lambda t: properties(t, "service", "Steps"), PolicyType="TargetTrackingScaling"),
        "service Resources.Steps.Properties.PolicyType",
        "Give it TargetTrackingScalingPolicyConfiguration alone.",
    ),
    Case(
        "S707",
        forecasting,
        put(lambda t: properties(t, "service", "Forecast"), PolicyType="TargetTrackingScaling"),
        "service Resources.Forecast.Properties.PolicyType",
        "is of type TargetTrackingScaling and has PredictiveScalingPolicyConfiguration",
    ),
    Case(
        "S301",
        forecasting,
        forecast_unlabelled,
        f"service Resources.Forecast.Properties.{FORECAST}.MetricSpecifications.0.PredefinedMetricPairSpecification",
        "forecasts ALBRequestCount, but has no ResourceLabel",
    ),
    Case(
        "S716",
        forecasting,
        put(lambda t: properties(t, "service", "Requests")[CONFIGURATION], DisableScaleIn=True),
        f"service Resources.Forecast.Properties.{FORECAST}.Mode",
        "no policy of Scaling takes it away again",
    ),
    Case("S708", stepping, untriggered, "service Resources.Steps", "No alarm of the set triggers Steps"),
    Case(
        "S709",
        stepping,
        put(alarm, ComparisonOperator="LessThanThreshold"),
        f"{ALARM}.ComparisonOperator",
        "an alarm below has steps below",
    ),
    Case("S710", stepping, dimension(1, {"Ref": "Service"}), f"{ALARM}.Dimensions", "Set it to Service.Name."),
    Case(
        "S710",
        targets_watched,
        arn_of_targets,
        "balancer Resources.Busy.Properties.Dimensions",
        "Set it to TargetGroup.TargetGroupFullName.",
    ),
    Case(
        "S711",
        stepping,
        put(alarm, Dimensions=[{"Name": "ServiceName", "Value": {"Fn::GetAtt": ["Service", "Name"]}}]),
        f"{ALARM}.Dimensions",
        "without ClusterName",
    ),
    Case(
        "S711",
        targets_watched,
        targets_alone,
        "balancer Resources.Busy.Properties.Dimensions",
        "Add the dimension LoadBalancer.",
    ),
    Case(
        "S712",
        second_service,
        dimension(1, {"Fn::GetAtt": ["Worker", "Name"]}),
        f"{ALARM}.Dimensions",
        "watches Worker and triggers Steps, which scales Service",
    ),
    Case("S713", telling, aws_key, f"{ALARM}.AlarmActions.1", "admits no alarm"),
    Case("S714", stepping, put(alarm, EvaluationPeriods=1441), f"{ALARM}.EvaluationPeriods", "takes 86,400"),
    Case("S715", stepping, put(alarm, DatapointsToAlarm=4), f"{ALARM}.DatapointsToAlarm", "Set DatapointsToAlarm to 3"),
    Case("S717", stepping, put(alarm, Period=10), f"{ALARM}.Period", "looks every 10 s at a metric of AWS/ECS"),
    Case("S717", watched_fast, put(service, Monitoring=None), f"{ALARM}.Period", "comes every 60 s"),
    Case(
        "S717",
        targets_watched,
        targets_fast,
        "balancer Resources.Busy.Properties.Period",
        "looks every 30 s at a metric of AWS/ApplicationELB",
    ),
)
