"""Each patch is needed: without it the defect that its docstring names is there, with it the defect is gone.

When a test of the first kind fails, MiniStack has learned it: drop the patch.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from scaleout_cfn.local import GAP, STUBS, Emulator, running

from . import helpers, sets
from .ecs_sets import fargate, managed_instances, on, shifted, task
from .helpers import Account
from .test_replacements import CHANGES, planned_and_done
from .test_routing import answer, balancer, path, rule

Probe = Callable[[Account], bool]
PROBES: dict[str, Probe] = {}


def probe(name: str) -> Callable[[Probe], Probe]:
    """Say what tells a patched emulator from an unpatched one. A refused call counts as the defect."""

    def add(function: Probe) -> Probe:
        PROBES[name] = function
        return function

    return add


def holds(name: str, account: Account) -> bool:
    try:
        return PROBES[name](account)
    except ClientError:
        return False


def deployed(account: Account, files: sets.Files, **parameters: str) -> dict[str, Any]:
    """Create `demo` from a nested set, or change it."""
    helpers.upload(account, files)
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    # Path-style, which MiniStack reads with or without a patch.
    url = f"https://s3.amazonaws.com/{account.bucket}"
    change = helpers.change_set(
        account, "demo", f"{url}/root.json", {"Url": url, **parameters}, kind="UPDATE" if exists else "CREATE"
    )
    return helpers.execute(account, change)


VPC: sets.Template = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def in_vpc(kind: str, **properties: Any) -> sets.Template:
    """A VPC, and beside it the resource `It`."""
    return {"Vpc": VPC, "It": {"Type": kind, "Properties": properties}}


@probe("nested-stacks")
def _a_child_with_an_unchanged_role_is_updated(account: Account) -> bool:
    deployed(account, sets.pair(), Word="one")
    return bool(deployed(account, sets.pair(), Word="two")["StackStatus"] == "UPDATE_COMPLETE")


@probe("event-physical-ids")
def _every_event_of_a_known_resource_names_it(account: Account) -> bool:
    deployed(account, sets.pair(), Word="one")
    stack = deployed(account, sets.pair(), Word="two")
    events = helpers.events(account, stack["StackId"])
    return all(event["PhysicalResourceId"] for event in events if event["ResourceStatus"] == "UPDATE_IN_PROGRESS")


@probe("unchanged-resource-events")
def _an_update_has_events_of_what_changes_only(account: Account) -> bool:
    files = {"root.json": sets.root({"One": sets.parameter({"Ref": "Word"}), "Two": sets.parameter("same")})}
    files["root.json"]["Parameters"]["Word"] = {"Type": "String"}
    deployed(account, files, Word="one")
    stack = deployed(account, files, Word="two")
    events = [e for e in helpers.events(account, stack["StackId"]) if e["ResourceStatus"].startswith("UPDATE_")]
    return {event["LogicalResourceId"] for event in events} == {"demo", "One"}


@probe("parent-ids")
def _a_child_names_its_parent_and_its_root(account: Account) -> bool:
    stack = deployed(account, sets.three_levels(), Word="one")
    middle = helpers.children(account, stack["StackId"])["Middle"]
    leaf = helpers.described(account, helpers.children(account, middle)["Leaf"])
    return (leaf.get("ParentId"), leaf.get("RootId")) == (middle, stack["StackId"])


@probe("review-stack-kept")
def _a_second_first_change_set_is_for_the_same_stack(account: Account) -> bool:
    helpers.upload(account, sets.pair())
    url = f"https://s3.amazonaws.com/{account.bucket}"
    first, second = (
        helpers.change_set(account, "demo", f"{url}/root.json", {"Url": url, "Word": "one"}, kind="CREATE")
        for _ in range(2)
    )
    return bool(first["StackId"] == second["StackId"])


@probe("documented-changes")
def _a_change_of_a_child_has_its_own_change_set(account: Account) -> bool:
    helpers.upload(account, sets.pair())
    url = f"https://s3.amazonaws.com/{account.bucket}"
    change = helpers.change_set(account, "demo", f"{url}/root.json", {"Url": url, "Word": "one"}, kind="CREATE")
    return all("ChangeSetId" in entry["ResourceChange"] for entry in change["Changes"])


@probe("no-echo-masked")
def _a_secret_parameter_is_masked(account: Account) -> bool:
    secret = {"Type": "String", "NoEcho": True}
    files = {"root.json": sets.root({"It": sets.parameter("x")}, {"Secret": secret})}
    helpers.upload(account, files)
    url = f"https://s3.amazonaws.com/{account.bucket}/root.json"
    change = helpers.change_set(account, "demo", url, {"Url": "open", "Secret": "s3cret"}, kind="CREATE")
    shown = {entry["ParameterKey"]: entry["ParameterValue"] for entry in change["Parameters"]}
    return shown == {"Url": "open", "Secret": "****"}


@probe("property-values")
def _a_change_shows_from_what_to_what(account: Account) -> bool:
    deployed(account, sets.pair(), Word="one")
    url = f"https://s3.amazonaws.com/{account.bucket}"
    change = helpers.change_set(account, "demo", f"{url}/root.json", {"Url": url, "Word": "two"})
    cfn = account.client("cloudformation")
    shown = cfn.describe_change_set(ChangeSetName=change["ChangeSetId"], IncludePropertyValues=True)
    return "BeforeContext" in shown["Changes"][0]["ResourceChange"]


@probe("template-url-hosts")
def _a_template_is_read_by_its_bucket_s_host_name(account: Account) -> bool:
    url = helpers.upload(account, {"one.json": {"Resources": {"It": sets.parameter("x")}}})
    forms = [
        f"{url}/one.json",
        f"https://{account.bucket}.s3.amazonaws.com/one.json",
        f"https://{account.bucket}.s3.dualstack.us-east-1.amazonaws.com/one.json",
        f"https://{account.bucket}.s3.cn-north-1.amazonaws.com.cn/one.json",
    ]
    cfn = account.client("cloudformation")
    return all(cfn.get_template_summary(TemplateURL=form)["ResourceTypes"] for form in forms)


@probe("ami-parameters")
def _the_image_of_ecs_nodes_is_a_public_parameter(account: Account) -> bool:
    base = "/aws/service/ecs/optimized-ami/amazon-linux-2023"
    names = [f"{base}/recommended/image_id", f"{base}/arm64/recommended/image_id"]
    found = account.client("ssm").get_parameters(Names=names)["Parameters"]
    return [entry["Name"] for entry in found] == names


@probe("ec2-vpc-attributes")
def _a_vpc_tells_its_range(account: Account) -> bool:
    stack = helpers.stand(account, {"Vpc": VPC}, {"Range": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}})
    return helpers.outputs(stack) == {"Range": "10.0.0.0/16"}


@probe("ec2-elastic-ip")
def _an_elastic_ip_is_allocated(account: Account) -> bool:
    it = {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}}
    outputs = {"Ref": {"Ref": "It"}, "Id": {"Fn::GetAtt": ["It", "AllocationId"]}}
    made = helpers.outputs(helpers.stand(account, {"It": it}, outputs))
    addresses = account.client("ec2").describe_addresses()["Addresses"]
    return [(a["PublicIp"], a["AllocationId"]) for a in addresses] == [(made["Ref"], made["Id"])]


@probe("ec2-nat-gateway")
def _zonal_and_regional_nat_gateways_are_made(account: Account) -> bool:
    gateways: sets.Template = {
        "Vpc": VPC,
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
        "Address": {"Type": "AWS::EC2::EIP"},
        "Zonal": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {
                "SubnetId": {"Ref": "Subnet"},
                "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
            },
        },
        "Regional": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {"AvailabilityMode": "regional", "VpcId": {"Ref": "Vpc"}},
        },
    }
    made = helpers.outputs(helpers.stand(account, gateways, {"Vpc": {"Ref": "Vpc"}}))
    found = account.client("ec2").describe_nat_gateways()["NatGateways"]
    return [(one["State"], one["VpcId"]) for one in found] == [("available", made["Vpc"])] * 2


@probe("ec2-security-group-rules")
def _rules_between_groups_are_in_force(account: Account) -> bool:
    group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "x", "VpcId": {"Ref": "Vpc"}}}
    ports = {"GroupId": {"Fn::GetAtt": ["Inner", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    rules: sets.Template = {
        "Vpc": VPC,
        "Inner": group,
        "Outer": group,
        "In": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {**ports, "SourceSecurityGroupId": {"Fn::GetAtt": ["Outer", "GroupId"]}},
        },
        "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {**ports, "CidrIp": "10.0.0.0/16"}},
    }
    outputs = {name: {"Fn::GetAtt": [name, "GroupId"]} for name in ("Inner", "Outer")}
    made = helpers.outputs(helpers.stand(account, rules, outputs))
    found = account.client("ec2").describe_security_groups(GroupIds=[made["Inner"]])["SecurityGroups"][0]
    return [pair["GroupId"] for rule in found["IpPermissions"] for pair in rule["UserIdGroupPairs"]] == [
        made["Outer"]
    ] and "10.0.0.0/16" in [block["CidrIp"] for rule in found["IpPermissionsEgress"] for block in rule["IpRanges"]]


@probe("ec2-flow-log")
def _a_flow_log_is_made(account: Account) -> bool:
    helpers.stand(
        account,
        in_vpc(
            "AWS::EC2::FlowLog", ResourceId={"Ref": "Vpc"}, ResourceType="VPC", TrafficType="ALL", LogGroupName="flow"
        ),
    )
    return [log["LogDestination"] for log in account.client("ec2").describe_flow_logs()["FlowLogs"]] == ["flow"]


@probe("ec2-egress-only-internet-gateway")
def _an_egress_only_internet_gateway_is_made(account: Account) -> bool:
    helpers.stand(account, in_vpc("AWS::EC2::EgressOnlyInternetGateway", VpcId={"Ref": "Vpc"}))
    return len(account.client("ec2").describe_egress_only_internet_gateways()["EgressOnlyInternetGateways"]) == 1


@probe("ec2-cidr-blocks")
def _a_vpc_has_an_ipv6_block_that_subnets_divide(account: Account) -> bool:
    blocks = {"Fn::Cidr": [{"Fn::Select": [0, {"Fn::GetAtt": ["Vpc", "Ipv6CidrBlocks"]}]}, 2, 64]}
    subnet = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}
    stack = helpers.stand(
        account,
        {
            **in_vpc("AWS::EC2::VPCCidrBlock", VpcId={"Ref": "Vpc"}, AmazonProvidedIpv6CidrBlock=True),
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": subnet},
            "Six": {
                "Type": "AWS::EC2::SubnetCidrBlock",
                "DependsOn": "It",
                "Properties": {"SubnetId": {"Ref": "Subnet"}, "Ipv6CidrBlock": {"Fn::Select": [1, blocks]}},
            },
        },
        {"Second": {"Fn::Select": [1, blocks]}},
    )
    return helpers.outputs(stack).get("Second", "").endswith("::/64")


@probe("ecs-capacity-providers")
def _a_cluster_s_default_strategy_is_its_capacity_provider(account: Account) -> bool:
    helpers.stand(account, sets.cluster())
    ecs = account.client("ecs")
    made = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"][0]
    provider = next(p for p in ecs.describe_capacity_providers()["capacityProviders"] if "FARGATE" not in p["name"])
    return bool(
        made["defaultCapacityProviderStrategy"] == [{"capacityProvider": provider["name"], "weight": 1, "base": 0}]
        and provider["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 90
        and provider["autoScalingGroupProvider"]["managedDraining"] == "ENABLED"
    )


@probe("ecs-clusters")
def _a_changed_cluster_keeps_what_is_associated_with_it(account: Account) -> bool:
    helpers.stand(account, fargate("FARGATE"))
    changed = fargate("FARGATE")
    insights = [{"Name": "containerInsights", "Value": "enabled"}]
    changed["Cluster"] = {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": insights}}
    helpers.stand(account, changed)
    (cluster,) = account.client("ecs").describe_clusters(clusters=["demo-Cluster"])["clusters"]
    return bool(cluster["capacityProviders"] == ["FARGATE"])


@probe("ecs-managed-instances")
def _managed_instances_belong_to_their_cluster(account: Account) -> bool:
    helpers.stand(account, {"Cluster": {"Type": "AWS::ECS::Cluster"}, **managed_instances(Name="managed")})
    listed = account.client("ecs").describe_capacity_providers(cluster="demo-Cluster")["capacityProviders"]
    return [(one["name"], one.get("type")) for one in listed] == [("managed", "MANAGED_INSTANCES")]


@probe("ecs-task-definitions")
def _a_task_definition_has_its_platform(account: Account) -> bool:
    platform = {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    arn = helpers.outputs(helpers.stand(account, {"Task": task(RuntimePlatform=platform)}, {"It": {"Ref": "Task"}}))[
        "It"
    ]
    shown = account.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return bool(shown.get("runtimePlatform", {}).get("cpuArchitecture") == "ARM64")


@probe("ecs-services")
def _a_service_takes_its_count_from_a_parameter(account: Account) -> bool:
    files = {
        "root.json": {
            "Parameters": {"Count": {"Type": "Number"}, "Url": {"Type": "String"}},
            "Resources": sets.service(DesiredCount={"Ref": "Count"}, LaunchType="EC2"),
        }
    }
    deployed(account, files, Count="2")
    deployed(account, files, Count="3")
    ecs = account.client("ecs")
    arns = ecs.list_services(cluster="demo-Cluster")["serviceArns"]
    described = ecs.describe_services(cluster="demo-Cluster", services=arns)["services"]
    return bool([one["runningCount"] for one in described] == [3])


@probe("ecs-service-connect")
def _a_service_is_offered_in_cloud_map(account: Account) -> bool:
    config = {"Enabled": True, "Namespace": "shop", "Services": [{"PortName": "http", "DiscoveryName": "api"}]}
    service = {**on("FARGATE", ServiceConnectConfiguration=config), "DependsOn": ["Association", "Namespace"]}
    namespace = {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "shop"}}
    helpers.stand(account, {**fargate("FARGATE"), "Task": task(), "Namespace": namespace, "Service": service})
    return [one["Name"] for one in account.client("servicediscovery").list_services()["Services"]] == ["api"]


@probe("ecs-deployment-strategies")
def _a_strategy_that_its_balancer_cannot_follow_is_refused(account: Account) -> bool:
    stack = helpers.stand(account, shifted("BLUE_GREEN"))
    return bool(stack["StackStatus"] == "ROLLBACK_COMPLETE")


@probe("ecs-capacity-strategies")
def _a_strategy_that_names_what_its_cluster_lacks_is_refused(account: Account) -> bool:
    service = {**on("FARGATE_SPOT"), "DependsOn": "Association"}
    stack = helpers.stand(account, {**fargate("FARGATE"), "Task": task(), "Service": service})
    return bool(stack["StackStatus"] == "ROLLBACK_COMPLETE")


@probe("schedules")
def _what_is_told_of_a_schedule_can_be_given_back(account: Account) -> bool:
    strategy = [{"CapacityProvider": "FARGATE", "Weight": 1}]
    definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/one:1"
    target = {
        "Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/one",
        "RoleArn": "arn:aws:iam::123456789012:role/one",
        "EcsParameters": {"TaskDefinitionArn": definition, "CapacityProviderStrategy": strategy},
    }
    window = {"Mode": "OFF"}
    properties = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": window, "Target": target}
    helpers.stand(account, {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}})
    client = account.client("scheduler")
    (row,) = client.list_schedules()["Schedules"]
    told = client.get_schedule(Name=row["Name"], GroupName=row["GroupName"])["Target"]["EcsParameters"]
    return bool(told["CapacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}])


@probe("elbv2-rules")
def _two_rules_of_one_priority_are_refused(account: Account) -> bool:
    rules = {name: rule(1, path(f"/{name}"), action=answer(name)) for name in ("One", "Two")}
    return bool(helpers.stand(account, balancer(**rules))["StackStatus"] == "ROLLBACK_COMPLETE")


@probe("elbv2-listener-certificates")
def _a_listener_has_a_further_certificate(account: Account) -> bool:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    further = {"ListenerArn": {"Ref": "Listener"}, "Certificates": [{"CertificateArn": arn}]}
    it = {"Type": "AWS::ElasticLoadBalancingV2::ListenerCertificate", "Properties": further}
    stack = helpers.stand(account, balancer(It=it), {"Listener": {"Ref": "Listener"}})
    listener = helpers.outputs(stack)["Listener"]
    listed = account.client("elbv2").describe_listener_certificates(ListenerArn=listener)["Certificates"]
    return [one["CertificateArn"] for one in listed] == [arn]


@probe("scheduled-replacements")
def _what_the_plan_says_is_what_happens(account: Account) -> bool:
    before, after, _ = CHANGES["the name of a service"]
    planned, done, _ = planned_and_done(account, before, after)
    return planned == done


@probe("application-autoscaling")
def _scaling_policies_can_be_read_back(account: Account) -> bool:
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": {"Fn::Sub": "service/${Cluster}/${Service.Name}"},
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 1,
        "MaxCapacity": 4,
    }
    tracking = {
        "TargetValue": "60",
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    policy = {
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    helpers.stand(
        account,
        {
            **sets.service(LaunchType="EC2"),
            "Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": target},
            "Policy": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": policy},
        },
    )
    scaling = account.client("application-autoscaling")
    (found,) = scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    (scaled,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    return bool(
        found["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60
        and found["ResourceId"] == scaled["ResourceId"] == "service/demo-Cluster/demo-Service"
        and scaled["MaxCapacity"] == 4
    )


@probe("autoscaling-warm-pools")
def _a_group_has_a_warm_pool(account: Account) -> bool:
    warm = {"AutoScalingGroupName": {"Ref": "Group"}, "PoolState": "Stopped", "MinSize": "2"}
    pool = {"Type": "AWS::AutoScaling::WarmPool", "Properties": warm}
    made = helpers.stand(account, {**sets.cluster(), "Warm": pool}, {"It": {"Ref": "Warm"}})
    if made["StackStatus"] != "CREATE_COMPLETE":
        return False
    told = account.client("autoscaling").describe_warm_pool(AutoScalingGroupName=helpers.outputs(made)["It"])
    return bool(told["WarmPoolConfiguration"] == {"MinSize": 2, "PoolState": "Stopped"})


@probe("iam-instance-profiles")
def _an_instance_profile_goes_by_its_name(account: Account) -> bool:
    def profile(role: str) -> sets.Template:
        it = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": role}]}}
        return {"One": sets.role(), "Two": sets.role(), "It": it}

    made = [helpers.outputs(helpers.stand(account, profile(role), {"It": {"Ref": "It"}})) for role in ("One", "Two")]
    (there,) = account.client("iam").list_instance_profiles()["InstanceProfiles"]
    gone = helpers.delete(account, helpers.described(account, "demo")["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    return made == [{"It": there["InstanceProfileName"]}] * 2 and gone and helpers.leftovers(account) == []


@probe("iam-service-linked-role")
def _a_service_linked_role_is_made(account: Account) -> bool:
    it = {"Type": "AWS::IAM::ServiceLinkedRole", "Properties": {"AWSServiceName": "ecs.amazonaws.com"}}
    helpers.stand(account, {"It": it})
    return "/aws-service-role/ecs.amazonaws.com/" in [r["Path"] for r in account.client("iam").list_roles()["Roles"]]


@probe("iam-oidc-provider")
def _an_oidc_provider_is_made(account: Account) -> bool:
    properties = {"Url": "https://token.actions.githubusercontent.com", "ClientIdList": ["sts.amazonaws.com"]}
    stack = helpers.stand(
        account, {"It": {"Type": "AWS::IAM::OIDCProvider", "Properties": properties}}, {"It": {"Ref": "It"}}
    )
    made = account.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=helpers.outputs(stack)["It"])
    return bool(made["ClientIDList"] == ["sts.amazonaws.com"])


@probe("cloudwatch-alarm-mute-rules")
def _a_rule_that_mutes_alarms_is_made(account: Account) -> bool:
    schedule = {"Expression": "cron(0 20 * * FRI)", "Duration": "PT59H"}
    rule = {"Rule": {"Schedule": schedule}, "MuteTargets": {"AlarmNames": ["errors"]}}
    resources = {"It": {"Type": "AWS::CloudWatch::AlarmMuteRule", "Properties": rule}}
    stack = helpers.stand(account, resources, {"It": {"Fn::GetAtt": "It.Arn"}})
    return ":alarm-mute-rule:" in helpers.outputs(stack)["It"]


@probe("cloudwatch-metric-math-alarms")
def _an_alarm_on_metric_math_is_made(account: Account) -> bool:
    metric = {"Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount"}, "Period": 60, "Stat": "Sum"}
    queries = [
        {"Id": "requests", "MetricStat": metric, "ReturnData": False},
        {"Id": "share", "Expression": "100 / requests", "ReturnData": True},
    ]
    properties = {
        "Metrics": queries,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmName": "errors",
    }
    helpers.stand(account, {"It": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}})
    alarms = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return [alarm["AlarmName"] for alarm in alarms] == ["errors"]


def database(**properties: Any) -> sets.Template:
    small = {"DBInstanceClass": "db.t4g.micro", "Engine": "postgres", "AllocatedStorage": "20", "MasterUsername": "web"}
    return {"Type": "AWS::RDS::DBInstance", "Properties": {**small, **properties}}


PROTECTED: dict[str, sets.Template] = {
    "LoadBalancer": {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": {"LoadBalancerAttributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]},
    },
    "Instance": database(DeletionProtection=True),
    "Cluster": {
        "Type": "AWS::RDS::DBCluster",
        "Properties": {"Engine": "aurora-postgresql", "MasterUsername": "web", "DeletionProtection": "true"},
    },
    "Table": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": True,
        },
    },
}


@probe("deletion-protection")
def _what_is_protected_is_not_deleted(account: Account) -> bool:
    stack = helpers.stand(account, {**PROTECTED, "Topic": {"Type": "AWS::SNS::Topic"}})
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    deleted = helpers.delete(account, stack["StackId"])
    names = ", ".join(sorted(PROTECTED))
    reason = f"The following resource(s) failed to delete: [{names}]."
    return (deleted["StackStatus"], deleted.get("StackStatusReason")) == ("DELETE_FAILED", reason)


@probe("rds-master-user-secret")
def _a_database_names_the_secret_of_its_master_user(account: Account) -> bool:
    attribute = {"Fn::GetAtt": ["It", "MasterUserSecret.SecretArn"]}
    stack = helpers.stand(account, {"It": database(ManageMasterUserPassword=True)}, {"Secret": attribute})
    return helpers.outputs(stack).get("Secret", "").startswith("arn:aws:secretsmanager:us-east-1:")


@probe("waf-association")
def _a_web_acl_is_associated_and_let_go(account: Account) -> bool:
    visibility = {"CloudWatchMetricsEnabled": False, "MetricName": "x", "SampledRequestsEnabled": False}
    acl = {"Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visibility}
    resources = {
        "Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": acl},
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
        "It": {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "Properties": {"ResourceArn": {"Ref": "Balancer"}, "WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}},
        },
    }
    given = {"Acl": {"Fn::GetAtt": ["Acl", "Arn"]}, "Balancer": {"Ref": "Balancer"}}
    stack = helpers.stand(account, resources, given)
    made, waf = helpers.outputs(stack), account.client("wafv2")
    there = waf.list_resources_for_web_acl(WebACLArn=made["Acl"])["ResourceArns"]
    gone = helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    left = helpers.refused(lambda: waf.get_web_acl_for_resource(ResourceArn=made["Balancer"]))
    return there == [made["Balancer"]] and gone and left.startswith("No WebACL associated")


def why_not(account: Account, **template: Any) -> str:
    """Why a stack of this template is not made: the refusal, or the reason of the first failure."""
    cfn = account.client("cloudformation")
    try:
        made = cfn.create_stack(StackName=f"it-{len(template)}", TemplateBody=json.dumps(template))
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    helpers.settled(account, made["StackId"])
    return " ".join(helpers.failures(account))


@probe("gaps-told")
def _what_is_missing_is_told_as_a_gap_and_what_does_not_exist_as_on_aws(account: Account) -> bool:
    missing = {"Alarm": {"Type": "AWS::CloudWatch::CompositeAlarm"}}
    nobodys = {"Nope": {"Type": "AWS::ECS::Nope"}}
    attribute = {"Value": {"Fn::GetAtt": ["It", "CertificateDetails.CAIdentifier"]}}
    typo = {"Value": {"Fn::GetAtt": ["It", "Adress"]}}
    return (
        why_not(account, Resources=missing) == f"{GAP} AWS::CloudWatch::CompositeAlarm; AWS does"
        and why_not(account, Resources={**missing, **nobodys}).endswith("Unrecognized resource types: [AWS::ECS::Nope]")
        and GAP in why_not(account, Resources={"It": database()}, Outputs={"It": attribute})
        and GAP not in why_not(Account(account.emulator), Resources={"It": database()}, Outputs={"It": typo})
    )


@probe("network-parameters")
def _a_network_that_is_not_there_is_refused(account: Account) -> bool:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    kinds = {"Vpc": "AWS::EC2::VPC::Id", "Subnets": "List<AWS::EC2::Subnet::Id>"}
    template = sets.root({"It": sets.parameter("x")}, {name: {"Type": kind} for name, kind in kinds.items()})
    url, address = helpers.upload(account, {"root.json": template}), f"https://s3.amazonaws.com/{account.bucket}"

    def refusal(**network: str) -> str:
        change = partial(helpers.change_set, account, "demo", f"{address}/root.json")
        return helpers.refused(lambda: change({"Url": url, **network}, kind="CREATE"))

    said = "Parameter validation failed: parameter value {} for parameter name {} does not exist"
    try:
        wrong = [refusal(Vpc="vpc-0abc", Subnets=subnet), refusal(Vpc=vpc, Subnets=f"{subnet},subnet-0abc")]
    except AssertionError:  # it was taken
        return False
    right = helpers.change_set(
        account, "demo", f"{address}/root.json", {"Url": url, "Vpc": vpc, "Subnets": subnet}, kind="CREATE"
    )
    expected = [said.format("vpc-0abc", "Vpc"), said.format("subnet-0abc", "Subnets")]
    return wrong == expected and bool(right["Status"] == "CREATE_COMPLETE")


@probe("codepipeline")
def _a_pipeline_is_kept(account: Account) -> bool:
    properties = {"Name": "deliver", "RoleArn": "arn:aws:iam::123456789012:role/x", "Stages": []}
    it = {"Type": "AWS::CodePipeline::Pipeline", "Properties": properties}
    return helpers.outputs(helpers.stand(account, {"It": it}, {"It": {"Ref": "It"}})) == {"It": "deliver"}


def logging_to(group: str) -> sets.Template:
    visibility = {"CloudWatchMetricsEnabled": False, "MetricName": "x", "SampledRequestsEnabled": False}
    acl = {"Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visibility}
    arn = {"Fn::Sub": f"arn:aws:logs:us-east-1:${{AWS::AccountId}}:log-group:{group}"}
    logging = {"ResourceArn": {"Fn::GetAtt": ["Acl", "Arn"]}, "LogDestinationConfigs": [arn]}
    return {
        "Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": acl},
        "It": {"Type": "AWS::WAFv2::LoggingConfiguration", "Properties": logging},
    }


@probe("waf-logging")
def _a_web_acl_logs_to_a_group_of_the_name_that_waf_wants(account: Account) -> bool:
    made = helpers.stand(account, logging_to("aws-waf-logs-shop"))["StackStatus"] == "CREATE_COMPLETE"
    changed = helpers.stand(account, logging_to("aws-waf-logs-other"))["StackStatus"] == "UPDATE_COMPLETE"
    other = helpers.stand(account, logging_to("shop"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    return bool(made and changed and other)


@probe("trust-stores")
def _a_listener_has_a_trust_store(account: Account) -> bool:
    bundle = {"Name": "clients", "CaCertificatesBundleS3Bucket": "a", "CaCertificatesBundleS3Key": "ca.pem"}
    it = {"Type": "AWS::ElasticLoadBalancingV2::TrustStore", "Properties": bundle}
    outputs = {"Ref": {"Ref": "It"}, "Arn": {"Fn::GetAtt": ["It", "TrustStoreArn"]}}
    stack = helpers.stand(account, {"It": it}, outputs)
    made = helpers.outputs(stack)
    it["Properties"] = {**bundle, "CaCertificatesBundleS3ObjectVersion": "2"}
    changed = helpers.outputs(helpers.stand(account, {"It": it}, outputs))
    gone = helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    return bool(made == changed and made["Ref"] == made["Arn"] and ":truststore/clients/" in made["Ref"] and gone)


@probe("vpc-origins")
def _a_vpc_origin_leads_to_a_load_balancer_that_is_there(account: Account) -> bool:
    def leading_to(arn: Any) -> sets.Template:
        config = {"Name": "shop", "Arn": arn}
        return {
            "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
            "It": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": config}},
        }

    outputs = {"Id": {"Ref": "It"}, "Status": {"Fn::GetAtt": ["It", "Status"]}}
    stack = helpers.stand(account, leading_to({"Ref": "Balancer"}), outputs)
    made = helpers.outputs(stack)
    gone = helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    nowhere = helpers.stand(account, leading_to("arn:aws:elasticloadbalancing:nowhere"), name="nowhere")
    return bool(made["Id"].startswith("vo_") and gone and nowhere["StackStatus"] == "ROLLBACK_COMPLETE")


@probe("zonal-autoshifts")
def _a_load_balancer_is_shifted_by_itself_only_where_it_may_be(account: Account) -> bool:
    def shifting(enabled: str) -> sets.Template:
        attributes = [{"Key": "zonal_shift.config.enabled", "Value": enabled}]
        shift = {"ResourceIdentifier": {"Ref": "Balancer"}, "ZonalAutoshiftStatus": "ENABLED"}
        return {
            "Balancer": {
                "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
                "Properties": {"LoadBalancerAttributes": attributes},
            },
            "It": {"Type": "AWS::ARCZonalShift::ZonalAutoshiftConfiguration", "Properties": shift},
        }

    stack = helpers.stand(account, shifting("true"), {"It": {"Ref": "It"}, "Of": {"Ref": "Balancer"}})
    made = helpers.outputs(stack)
    gone = helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    other = helpers.stand(account, shifting("false"), name="other")
    return bool(made["It"] == made["Of"] and gone and other["StackStatus"] == "ROLLBACK_COMPLETE")


@probe("route53-health-checks")
def _a_health_check_is_made_changed_and_deleted(account: Account) -> bool:
    def asking(path: str) -> sets.Template:
        config = {"Type": "HTTPS", "FullyQualifiedDomainName": "a.example.com", "Port": 443, "ResourcePath": path}
        return {"It": {"Type": "AWS::Route53::HealthCheck", "Properties": {"HealthCheckConfig": config}}}

    def paths() -> list[str]:
        checks = account.client("route53").list_health_checks()["HealthChecks"]
        return [check["HealthCheckConfig"]["ResourcePath"] for check in checks]

    stack = helpers.stand(account, asking("/a"), {"It": {"Ref": "It"}})
    before = paths()
    changed = helpers.stand(account, asking("/b"), {"It": {"Ref": "It"}})
    after = paths()
    gone = helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    same = helpers.outputs(stack) == helpers.outputs(changed)
    return bool(same and gone and "/a" in before and "/b" in after and "/b" not in paths())


@probe("route53-record-policies")
def _records_of_two_routing_policies_are_not_kept_side_by_side(account: Account) -> bool:
    made = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="policies")
    zone = made["HostedZone"]["Id"]

    def stood(title: str, **own: str) -> bool:
        common = {"HostedZoneId": zone, "Name": "a.example.com", "Type": "A", "TTL": "60"}
        record = {**common, "ResourceRecords": ["192.0.2.1"], **own}
        it = {"It": {"Type": "AWS::Route53::RecordSet", "Properties": record}}
        return bool(helpers.stand(account, it, name=title)["StackStatus"] == "CREATE_COMPLETE")

    first = stood("policy-1", SetIdentifier="one", Region="eu-west-1")
    region_again = stood("policy-2", SetIdentifier="two", Region="eu-west-1")
    other_region = stood("policy-3", SetIdentifier="three", Region="us-east-1")
    simple = stood("policy-4")
    other_policy = stood("policy-5", SetIdentifier="five", Failover="PRIMARY")
    return (first, region_again, other_region, simple, other_policy) == (True, False, True, False, False)


@probe("given-secrets")
def _a_secret_that_somebody_stands_in_for_is_read(account: Account) -> bool:
    secret = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:shop/oidc-AbCdEf"
    account.emulator.stand_in(secrets=[secret])
    value = f"{{{{resolve:secretsmanager:{secret}:SecretString:key}}}}"
    reading = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}
    stack = helpers.stand(account, {"It": reading}, {"Value": {"Fn::GetAtt": ["It", "Value"]}})
    return helpers.outputs(stack).get("Value") == "stand-in"


@probe("codeconnections")
def _a_connection_is_kept_and_stays_pending(account: Account) -> bool:
    it = {
        "Type": "AWS::CodeConnections::Connection",
        "Properties": {"ConnectionName": "git", "ProviderType": "GitHub"},
    }
    outputs = {"Arn": {"Fn::GetAtt": ["It", "ConnectionArn"]}, "Status": {"Fn::GetAtt": ["It", "ConnectionStatus"]}}
    made = helpers.outputs(helpers.stand(account, {"It": it}, outputs))
    return made["Status"] == "PENDING" and made["Arn"].startswith("arn:aws:codeconnections:us-east-1:")


@pytest.mark.parametrize("name", sorted(PROBES))
def test_without_the_patch_the_defect_is_there(name: str) -> None:
    with running(without=[name]) as emulator:
        assert not holds(name, Account(emulator))


@pytest.mark.parametrize("name", sorted(PROBES))
def test_with_the_patch_the_defect_is_gone(name: str, account: Account) -> None:
    assert holds(name, account)


def test_every_patch_has_a_probe(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection(urlsplit(emulator.endpoint_url).netloc)
    connection.request("GET", "/_scaleout/health")
    assert sorted(json.loads(connection.getresponse().read())["patches"]) == sorted(PROBES)
    connection.close()


def test_every_stub_that_is_named_to_the_user_is_a_known_type(account: Account) -> None:
    template = {"Resources": {f"It{number}": {"Type": kind} for number, kind in enumerate(sorted(STUBS))}}
    account.client("cloudformation").validate_template(TemplateBody=json.dumps(template))
