"""Each set-level rule finds its mistake in an otherwise good set, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.lint import RULES, check_set, errors_on
from scaleout_cfn.templates.sets import StackSet

from .cases_deliveries import moving
from .sets import Set, beside, good, passed, properties
from .test_ecs_rules import CASES

Change = Callable[[Set], None]
SERVICE = "Resources.Service.Properties"


def rename(mapping: dict[str, Any], old: str, new: str) -> None:
    mapping[new] = mapping.pop(old)


def nest(templates: Set, logical_id: str, file: str, parameters: dict[str, Any] | None = None) -> None:
    templates["root.yaml"]["Resources"][logical_id] = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": {"Fn::Sub": f"${{TemplatesUrl}}/{file}"}, "Parameters": parameters or {}},
    }


def s101_missing_file(templates: Set) -> None:
    del templates["cluster.yaml"]
    passed(templates, "Service")["Cluster"] = "shop"


def s102_ring(templates: Set) -> None:
    templates["network.yaml"]["Resources"]["Again"] = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": "./network.yaml", "Parameters": {"Cidr": "10.0.0.0/16"}},
    }


def s103_unknown_parameter(templates: Set) -> None:
    passed(templates, "Network")["Tenancy"] = "default"


def s103_misspelt_parameter(templates: Set) -> None:
    templates["network.yaml"]["Parameters"]["Cidr"]["Default"] = "10.0.0.0/16"
    rename(passed(templates, "Network"), "Cidr", "CIDR")


def s103_among_eight(templates: Set) -> None:
    passed(templates, "Network")["Tenancy"] = "default"
    names = [f"P{number}" for number in range(2, 9)]
    templates["network.yaml"]["Parameters"] |= {name: {"Type": "String", "Default": ""} for name in names}


def s103_among_nine(templates: Set) -> None:
    s103_among_eight(templates)
    templates["network.yaml"]["Parameters"]["P9"] = {"Type": "String", "Default": ""}


def s104_missing_parameter(templates: Set) -> None:
    del passed(templates, "Service")["Listener"]


def s105_unknown_output(templates: Set) -> None:
    rename(templates["balancer.yaml"]["Outputs"], "DnsName", "DomainName")


def s105_misspelt_output(templates: Set) -> None:
    passed(templates, "Balancer")["VpcId"] = {"Fn::GetAtt": ["Network", "Outputs.VpcID"]}


def s106_list_parameter(templates: Set) -> None:
    templates["root.yaml"]["Parameters"]["Given"] = {"Type": "List<AWS::EC2::Subnet::Id>"}
    passed(templates, "Cluster")["Subnets"] = {"Ref": "Given"}


def s106_list_literal(templates: Set) -> None:
    passed(templates, "Cluster")["Subnets"] = ["subnet-0a1", "subnet-0b2"]


def s106_function_that_gives_a_list(templates: Set) -> None:
    passed(templates, "Cluster")["Subnets"] = {"Fn::Split": ["|", "subnet-0a1|subnet-0b2"]}


def s107_pattern(templates: Set) -> None:
    passed(templates, "Network")["Cidr"] = "ten"


def s107_length(templates: Set) -> None:
    passed(templates, "Network")["Cidr"] = "1000.1000.1000.1000/16"


def s107_allowed_values(templates: Set) -> None:
    passed(templates, "Balancer")["TargetType"] = "lambda"


def s107_number(templates: Set) -> None:
    passed(templates, "Cluster")["MinNodes"] = "one"


def s107_bound(templates: Set) -> None:
    passed(templates, "Cluster")["MaxNodes"] = 1000


def s107_bound_through_an_output(templates: Set) -> None:
    templates["network.yaml"]["Outputs"]["Zones"] = {"Value": "200"}
    passed(templates, "Cluster")["MaxNodes"] = {"Fn::GetAtt": ["Network", "Outputs.Zones"]}


def s107_bound_by_a_default_of_the_root(templates: Set) -> None:
    templates["root.yaml"]["Parameters"]["Nodes"] = {"Type": "Number", "Default": 101}
    passed(templates, "Cluster")["MaxNodes"] = {"Ref": "Nodes"}


def s108_subnet_for_a_vpc(templates: Set) -> None:
    templates["network.yaml"]["Outputs"]["VpcId"]["Value"] = {"Ref": "One"}


def s108_list_for_a_scalar(templates: Set) -> None:
    passed(templates, "Balancer")["VpcId"] = {"Fn::GetAtt": ["Network", "Outputs.Subnets"]}
    passed(templates, "Service")["VpcId"] = "vpc-0a1"


def s108_root_parameter_of_another_type(templates: Set) -> None:
    templates["root.yaml"]["Parameters"]["Given"] = {"Type": "AWS::EC2::Subnet::Id"}
    passed(templates, "Service")["BalancerGroup"] = {"Ref": "Given"}


def s108_wrong_one_within_a_list(templates: Set) -> None:
    passed(templates, "Cluster")["Subnets"] = {
        "Fn::Join": [",", [{"Fn::GetAtt": ["Network", "Outputs.SubnetOne"]}, "vpc-0a1"]]
    }


def s109_listener_for_a_target_group(templates: Set) -> None:
    templates["balancer.yaml"]["Outputs"]["TargetGroup"]["Value"] = {"Ref": "Listener"}


def s110_circle(templates: Set) -> None:
    templates["network.yaml"]["Parameters"]["Name"] = {"Type": "String"}
    passed(templates, "Network")["Name"] = {"Fn::GetAtt": ["Cluster", "Outputs.Cluster"]}


def s111_select(templates: Set) -> None:
    properties(templates, "cluster", "Nodes")["VPCZoneIdentifier"] = [{"Fn::Select": [0, {"Ref": "Subnets"}]}]


def s112_export(templates: Set) -> None:
    for file, output in (("network.yaml", "VpcId"), ("balancer.yaml", "DnsName")):
        templates[file]["Outputs"][output]["Export"] = {"Name": {"Fn::Sub": "${AWS::Region}-it"}}


def s113_name(templates: Set) -> None:
    for file, cluster in (("cluster.yaml", "Cluster"), ("balancer.yaml", "Second")):
        resource = templates[file]["Resources"].setdefault(cluster, {"Type": "AWS::ECS::Cluster"})
        resource["Properties"] = {"ClusterName": "shop"}


def s113_child_nested_twice(templates: Set) -> None:
    properties(templates, "cluster", "Template")["LaunchTemplateName"] = {"Fn::Sub": "${AWS::Region}-nodes"}
    nest(templates, "Second", "cluster.yaml", {**passed(templates, "Cluster")})


def s105_output_that_is_never_there(templates: Set) -> None:
    balancer = templates["balancer.yaml"]
    balancer["Conditions"] = {"Internal": {"Fn::Equals": [{"Ref": "TargetType"}, "instance"]}}
    balancer["Outputs"]["DnsName"]["Condition"] = "Internal"


def s109_outputs_swapped_beyond_ecs(templates: Set) -> None:
    templates["database.yaml"] = {
        "Parameters": {"One": {"Type": "String"}, "Two": {"Type": "String"}, "Group": {"Type": "String"}},
        "Resources": {
            "Subnets": {
                "Type": "AWS::RDS::DBSubnetGroup",
                "Properties": {
                    "DBSubnetGroupDescription": "Two.",
                    "SubnetIds": [{"Ref": "One"}, {"Ref": "Two"}],
                },
            },
        },
    }
    outputs = {
        "One": "Balancer.Outputs.Group",
        "Two": "Network.Outputs.SubnetTwo",
        "Group": "Network.Outputs.SubnetOne",
    }
    nest(templates, "Database", "database.yaml", {name: {"Fn::Sub": f"${{{out}}}"} for name, out in outputs.items()})


def s114_import(templates: Set) -> None:
    templates["network.yaml"]["Outputs"]["VpcId"]["Export"] = {"Name": {"Fn::Sub": "${AWS::StackName}-VpcId"}}
    name = {"Fn::ImportValue": {"Fn::Sub": "${Cluster}-VpcID"}}
    properties(templates, "service", "Tasks")["ContainerDefinitions"][0]["Environment"][0]["Value"] = name
    passed(templates, "Service")["Cluster"] = {"Ref": "Name"}
    templates["root.yaml"]["Parameters"]["Name"] = {"Type": "String", "Default": "shop"}


def s201_container(templates: Set) -> None:
    properties(templates, "service", "Service")["LoadBalancers"][0]["ContainerName"] = "wbe"


def s202_port(templates: Set) -> None:
    properties(templates, "service", "Tasks")["ContainerDefinitions"][0]["PortMappings"][0]["ContainerPort"] = 80


def s203_awsvpc_behind_instances(templates: Set) -> None:
    passed(templates, "Balancer")["TargetType"] = "instance"


def bridge(templates: Set) -> None:
    """The good set with bridge networking."""
    passed(templates, "Balancer")["TargetType"] = "instance"
    tasks = properties(templates, "service", "Tasks")
    del tasks["NetworkMode"]
    tasks["ContainerDefinitions"][0]["PortMappings"][0]["HostPort"] = 0
    del properties(templates, "service", "Service")["NetworkConfiguration"]


def s203_bridge_behind_addresses(templates: Set) -> None:
    bridge(templates)
    passed(templates, "Balancer")["TargetType"] = "ip"


def s204_health_check_port(templates: Set) -> None:
    bridge(templates)
    properties(templates, "balancer", "Targets")["HealthCheckPort"] = "8080"


def s205_unattached(templates: Set) -> None:
    listener = properties(templates, "balancer", "Listener")
    listener["DefaultActions"] = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


def s206_rule_in_a_stack_of_its_own(templates: Set) -> None:
    listener = properties(templates, "balancer", "Listener")
    listener["DefaultActions"] = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    templates["rule.yaml"] = {
        "Parameters": {"Listener": {"Type": "String"}, "TargetGroup": {"Type": "String"}},
        "Resources": {
            "Rule": {
                "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
                "Properties": {
                    "ListenerArn": {"Ref": "Listener"},
                    "Priority": 1,
                    "Conditions": [{"Field": "path-pattern", "Values": ["*"]}],
                    "Actions": [
                        {
                            "Type": "forward",
                            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "TargetGroup"}}]},
                        }
                    ],
                },
            }
        },
    }
    wires = passed(templates, "Service")
    nest(templates, "Rule", "rule.yaml", {name: wires[name] for name in ("Listener", "TargetGroup")})


def s207_closed_service(templates: Set) -> None:
    properties(templates, "service", "Ingress").update(FromPort=80, ToPort=81)


def s207_closed_listener(templates: Set) -> None:
    properties(templates, "balancer", "Group")["SecurityGroupIngress"][0].update(FromPort=80, ToPort=80)


def s208_timeout(templates: Set) -> None:
    properties(templates, "balancer", "Targets")["HealthCheckTimeoutSeconds"] = 10


def s209_policy(templates: Set) -> None:
    properties(templates, "balancer", "Listener")["SslPolicy"] = "ELBSecurityPolicy-TLS13-1-2-2021-6"


def s210_balancer_attribute(templates: Set) -> None:
    properties(templates, "balancer", "Balancer")["LoadBalancerAttributes"][0]["Key"] = "routing.http2.enable"


def s210_attribute_of_the_other(templates: Set) -> None:
    attribute = {"Key": "idle_timeout.timeout_seconds", "Value": "60"}
    properties(templates, "balancer", "Targets")["TargetGroupAttributes"].append(attribute)


def _metric(templates: Set) -> dict[str, Any]:
    policy = properties(templates, "service", "Requests")
    found: dict[str, Any] = policy["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
    return found


def s301_no_label(templates: Set) -> None:
    del _metric(templates)["ResourceLabel"]


def s301_label_of_arns(templates: Set) -> None:
    label = {"Fn::Sub": "${Balancer}/${Targets.TargetGroupFullName}"}
    templates["balancer.yaml"]["Outputs"]["LabelOfRequests"]["Value"] = label


def s301_label_the_wrong_way_round(templates: Set) -> None:
    label = {"Fn::Sub": "${Targets.TargetGroupFullName}/${Balancer.LoadBalancerFullName}"}
    templates["balancer.yaml"]["Outputs"]["LabelOfRequests"]["Value"] = label


def s302_tasks(templates: Set) -> None:
    passed(templates, "Service").update(MinTasks=8, MaxTasks="4")


def s302_nodes_by_a_default_of_the_root(templates: Set) -> None:
    templates["root.yaml"]["Parameters"]["Nodes"] = {"Type": "Number", "Default": 5}
    passed(templates, "Cluster")["MinNodes"] = {"Ref": "Nodes"}


def s302_desired(templates: Set) -> None:
    properties(templates, "cluster", "Nodes")["DesiredCapacity"] = 9
    del properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]["ManagedScaling"]


def s302_steps(templates: Set) -> None:
    provider = properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]
    provider["ManagedScaling"]["MinimumScalingStepSize"] = 20


def s303_desired_count(templates: Set) -> None:
    properties(templates, "service", "Service")["DesiredCount"] = {"Ref": "MinTasks"}


def s304_desired_capacity(templates: Set) -> None:
    properties(templates, "cluster", "Nodes")["DesiredCapacity"] = {"Ref": "MinNodes"}


def s305_hundred_hundred(templates: Set) -> None:
    properties(templates, "service", "Service")["DeploymentConfiguration"]["MaximumPercent"] = 100
    del properties(templates, "service", "Service")["AvailabilityZoneRebalancing"]


def s305_hundred_by_default(templates: Set) -> None:
    properties(templates, "service", "Service")["DeploymentConfiguration"] = {"MaximumPercent": "100"}
    del properties(templates, "service", "Service")["AvailabilityZoneRebalancing"]


def s305_one_task_of_one(templates: Set) -> None:
    del templates["service.yaml"]["Resources"]["Scaling"]
    del templates["service.yaml"]["Resources"]["Requests"]
    service = properties(templates, "service", "Service")
    service.update(DesiredCount=1, DeploymentConfiguration={"MinimumHealthyPercent": 50, "MaximumPercent": 150})


def s306_binpack_first(templates: Set) -> None:
    properties(templates, "service", "Service")["PlacementStrategies"].reverse()


def s306_maximum_percent(templates: Set) -> None:
    configuration = {"MinimumHealthyPercent": 50, "MaximumPercent": 100}
    properties(templates, "service", "Service")["DeploymentConfiguration"] = configuration


def s307_protection(templates: Set) -> None:
    provider = properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]
    provider["ManagedTerminationProtection"] = "ENABLED"
    properties(templates, "cluster", "Nodes")["NewInstancesProtectedFromScaleIn"] = True


def s307_half_a_protection(templates: Set) -> None:
    provider = properties(templates, "cluster", "Provider")["AutoScalingGroupProvider"]
    provider["ManagedTerminationProtection"] = "ENABLED"


def s308_launch_configuration(templates: Set) -> None:
    templates["cluster.yaml"]["Resources"]["Old"] = {
        "Type": "AWS::AutoScaling::LaunchConfiguration",
        "Properties": {"ImageId": {"Ref": "Image"}, "InstanceType": "t2.micro"},
    }


def s401_dashboard(templates: Set) -> None:
    properties(templates, "service", "Dashboard")["DashboardBody"] = {"Fn::Sub": '{"widgets": [{"x": "${Port}"},]}'}


def s401_dashboard_of_a_list(templates: Set) -> None:
    properties(templates, "service", "Dashboard")["DashboardBody"] = "[]"


def s402_partition(templates: Set) -> None:
    templates["network.yaml"]["Resources"]["Role"] = {
        "Type": "AWS::IAM::Role",
        "Properties": {"ManagedPolicyArns": [{"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:policy/a"}]},
    }


def s403_parameters(templates: Set) -> None:
    many = {f"P{number}": {"Type": "String", "Default": ""} for number in range(201)}
    templates["network.yaml"]["Parameters"].update(many)


# The mistake, the file and the path of its finding, and words of its message or cure.
MISTAKES: tuple[tuple[Change, str, str, str], ...] = (
    (s101_missing_file, "root", "Resources.Cluster.Properties.TemplateURL", "cluster.yaml"),
    (s102_ring, "network", "Resources.Again", "network.yaml nests itself"),
    (s103_unknown_parameter, "root", "Resources.Network.Properties.Parameters.Tenancy", "no parameter Tenancy"),
    (s103_misspelt_parameter, "root", "Resources.Network.Properties.Parameters.CIDR", "Did you mean Cidr?"),
    (s103_among_eight, "root", "Resources.Network.Properties.Parameters.Tenancy", "Cidr, P2, P3, P4, P5, P6, P7, P8."),
    (s103_among_nine, "root", "Resources.Network.Properties.Parameters.Tenancy", "P7, P8, ..."),
    (s104_missing_parameter, "root", f"{SERVICE}.Parameters", "Listener (String)"),
    (s105_unknown_output, "root", "Outputs.Url.Value", "no output DnsName"),
    (s105_misspelt_output, "root", "Resources.Balancer.Properties.Parameters.VpcId", "Did you mean VpcId?"),
    (s106_list_parameter, "root", "Resources.Cluster.Properties.Parameters.Subnets", "Given"),
    (s106_list_literal, "root", "Resources.Cluster.Properties.Parameters.Subnets", "a list"),
    (s106_function_that_gives_a_list, "root", "Resources.Cluster.Properties.Parameters.Subnets", "Fn::Split"),
    (s107_pattern, "root", "Resources.Network.Properties.Parameters.Cidr", "does not match"),
    (s107_length, "root", "Resources.Network.Properties.Parameters.Cidr", "MaxLength is 18"),
    (s107_allowed_values, "root", "Resources.Balancer.Properties.Parameters.TargetType", "instance, ip"),
    (s107_number, "root", "Resources.Cluster.Properties.Parameters.MinNodes", "not a number"),
    (s107_bound, "root", "Resources.Cluster.Properties.Parameters.MaxNodes", "MaxValue is 100"),
    (s107_bound_through_an_output, "root", "Resources.Cluster.Properties.Parameters.MaxNodes", '"200"'),
    (s107_bound_by_a_default_of_the_root, "root", "Resources.Cluster.Properties.Parameters.MaxNodes", '"101"'),
    (s108_subnet_for_a_vpc, "root", "Resources.Balancer.Properties.Parameters.VpcId", "One (AWS::EC2::Subnet)"),
    (s108_list_for_a_scalar, "root", "Resources.Balancer.Properties.Parameters.VpcId", "several values"),
    (s108_root_parameter_of_another_type, "root", f"{SERVICE}.Parameters.BalancerGroup", "Given"),
    (s108_wrong_one_within_a_list, "root", "Resources.Cluster.Properties.Parameters.Subnets", '"vpc-0a1"'),
    (s109_listener_for_a_target_group, "service", f"{SERVICE}.LoadBalancers.0.TargetGroupArn", "Listener (AWS::"),
    (s110_circle, "root", "Resources.Network", "Network -> Cluster -> Network"),
    (s111_select, "cluster", "Resources.Nodes.Properties.VPCZoneIdentifier.0", "takes Subnets apart"),
    (s112_export, "balancer", "Outputs.DnsName.Export.Name", "${AWS::Region}-it"),
    (s114_import, "service", "Resources.Tasks.Properties.ContainerDefinitions.0.Environment.0.Value", '"*-VpcId"'),
    (s105_output_that_is_never_there, "root", "Outputs.Url.Value", "only where Internal holds"),
    (s109_outputs_swapped_beyond_ecs, "database", "Resources.Subnets.Properties.SubnetIds.0", "AWS::EC2::Subnet"),
    (s113_name, "cluster", "Resources.Cluster.Properties.ClusterName", '"shop"'),
    (s113_child_nested_twice, "cluster", "Resources.Template.Properties.LaunchTemplateName", "nested twice"),
    (s201_container, "service", f"{SERVICE}.LoadBalancers.0.ContainerName", "Did you mean web?"),
    (s202_port, "service", f"{SERVICE}.LoadBalancers.0.ContainerPort", "port 8080 of container web, which maps 80"),
    (s203_awsvpc_behind_instances, "service", f"{SERVICE}.LoadBalancers.0.TargetGroupArn", "to ip"),
    (s203_bridge_behind_addresses, "service", f"{SERVICE}.LoadBalancers.0.TargetGroupArn", "to instance"),
    (s204_health_check_port, "balancer", "Resources.Targets.Properties.HealthCheckPort", "traffic-port"),
    (s205_unattached, "service", f"{SERVICE}.LoadBalancers.0.TargetGroupArn", "No listener"),
    (s206_rule_in_a_stack_of_its_own, "service", "Resources.Service", "Rule of rule.yaml"),
    (s207_closed_service, "service", f"{SERVICE}.LoadBalancers.0.ContainerPort", "let in 80-81 only"),
    (s207_closed_listener, "balancer", "Resources.Listener.Properties.Port", "serves port 443"),
    (s208_timeout, "balancer", "Resources.Targets.Properties.HealthCheckTimeoutSeconds", "every 10 s"),
    (s209_policy, "balancer", "Resources.Listener.Properties.SslPolicy", "Did you mean"),
    (s210_balancer_attribute, "balancer", "Resources.Balancer.Properties.LoadBalancerAttributes.0.Key", "http2"),
    (s210_attribute_of_the_other, "balancer", "Resources.Targets.Properties.TargetGroupAttributes.1.Key", "load balan"),
    (
        s301_no_label,
        "service",
        "Resources.Requests.Properties.TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification",
        "has no ResourceLabel",
    ),
    (
        s301_label_of_arns,
        "service",
        "Resources.Requests.Properties.TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification",
        "not LoadBalancerFullName",
    ),
    (
        s301_label_the_wrong_way_round,
        "service",
        "Resources.Requests.Properties.TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification",
        "before the load balancer",
    ),
    (s302_tasks, "service", "Resources.Scaling.Properties.MaxCapacity", "MinCapacity is 8, MaxCapacity is 4"),
    (s302_nodes_by_a_default_of_the_root, "cluster", "Resources.Nodes.Properties.MaxSize", "MaxSize is 4"),
    (s302_desired, "cluster", "Resources.Nodes.Properties.MaxSize", "DesiredCapacity is 9"),
    (
        s302_steps,
        "cluster",
        "Resources.Provider.Properties.AutoScalingGroupProvider.ManagedScaling.MaximumScalingStepSize",
        "is 20",
    ),
    (s303_desired_count, "service", f"{SERVICE}.DesiredCount", "Leave DesiredCount out"),
    (s304_desired_capacity, "cluster", "Resources.Nodes.Properties.DesiredCapacity", "Provider scales Nodes"),
    (s305_hundred_hundred, "service", f"{SERVICE}.DeploymentConfiguration", "never moves"),
    (s305_hundred_by_default, "service", f"{SERVICE}.DeploymentConfiguration", "never moves"),
    (s305_one_task_of_one, "service", f"{SERVICE}.DeploymentConfiguration", "of 1 tasks"),
    (s306_binpack_first, "service", f"{SERVICE}.AvailabilityZoneRebalancing", "binpack by memory"),
    (s306_maximum_percent, "service", f"{SERVICE}.AvailabilityZoneRebalancing", "MaximumPercent is 100"),
    (
        s307_protection,
        "cluster",
        "Resources.Provider.Properties.AutoScalingGroupProvider.ManagedTerminationProtection",
        "hangs",
    ),
    (
        s307_half_a_protection,
        "cluster",
        "Resources.Provider.Properties.AutoScalingGroupProvider.ManagedTerminationProtection",
        "NewInstancesProtectedFromScaleIn",
    ),
    (s308_launch_configuration, "cluster", "Resources.Old", "LaunchTemplate"),
    (s401_dashboard, "service", "Resources.Dashboard.Properties.DashboardBody", "column"),
    (s401_dashboard_of_a_list, "service", "Resources.Dashboard.Properties.DashboardBody", "it is []"),
    (s402_partition, "network", "Resources.Role.Properties.ManagedPolicyArns.0.Fn::Sub", "${AWS::Partition}"),
    (s403_parameters, "network", "Parameters", "202 parameters"),
)


def test_the_good_set_has_no_finding() -> None:
    assert check_set(good()) == []


@pytest.mark.parametrize(("change", "file", "path", "words"), MISTAKES, ids=[m[0].__name__ for m in MISTAKES])
def test_a_mistake_gives_its_own_finding_and_no_other(change: Change, file: str, path: str, words: str) -> None:
    templates = good()
    change(templates)
    findings = check_set(templates)
    assert {finding.rule for finding in findings} == {change.__name__.partition("_")[0].upper()}, findings
    first = next(finding for finding in findings if finding.path == path)
    assert first.file == f"{file}.yaml"
    assert words in f"{first.message} {first.cure}"
    # Rendering asks for errors alone, and so no rule that by itself only warns.
    assert errors_on(StackSet(templates)) == [finding for finding in findings if finding.severity == "error"]


@pytest.mark.parametrize("change", [change for change, *_ in MISTAKES], ids=[m[0].__name__ for m in MISTAKES])
def test_a_mistake_is_found_behind_a_good_set(change: Change) -> None:
    templates = good()
    change(templates)
    findings = check_set(beside(good(), templates))
    assert {finding.file.partition("/")[0] for finding in findings} == {"b"}
    assert {finding.rule for finding in findings} == {change.__name__.partition("_")[0].upper()}


def test_every_rule_has_a_mistake_that_shows_it() -> None:
    # S404 judges the size of files; its test is in test_files.py.
    shown = {change.__name__.partition("_")[0].upper() for change, *_ in MISTAKES} | {case.rule for case in CASES}
    assert {rule.id for rule in RULES} - shown == {"S404"}


def test_rules_are_listed_by_id_each_with_a_sentence_and_a_source() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    for rule in RULES:
        assert rule.sentence.endswith(".") and rule.sentence[0].isupper()
        assert rule.source.startswith("https://")
        assert rule.severity in ("error", "warning", "info")


def test_checking_changes_nothing_and_repeats_itself() -> None:
    templates = good()
    s302_tasks(templates)
    before = copy.deepcopy(templates)
    assert check_set(templates) == check_set(dict(reversed(templates.items())))
    assert templates == before


def silent(change: Change) -> None:
    templates = good()
    change(templates)
    assert check_set(templates) == []


def test_bridge_networking_behind_instances_is_good() -> None:
    silent(bridge)


def test_a_location_that_cannot_be_told_is_not_judged() -> None:
    def change(templates: Set) -> None:
        properties(templates, "root", "Network")["TemplateURL"] = {"Ref": "TemplatesUrl"}
        passed(templates, "Network")["Whatever"] = "1"

    silent(change)


def test_a_published_child_under_its_content_hash_is_not_missing() -> None:
    def change(templates: Set) -> None:
        url = {"Fn::Sub": "${TemplatesUrl}/cluster-3f2a9b8c77d0e1f2.yaml"}
        properties(templates, "root", "Cluster")["TemplateURL"] = url
        del templates["cluster.yaml"]

    silent(change)


def test_somebody_elses_file_of_the_same_name_is_not_the_sets_own() -> None:
    def change(templates: Set) -> None:
        nest(templates, "Other", "", {"Zones": 3, "Tenancy": "default"})
        url = "https://other.s3.amazonaws.com/vpc/network.yaml"
        properties(templates, "root", "Other")["TemplateURL"] = url

    silent(change)


def test_where_two_urls_could_mean_the_sets_folder_neither_does() -> None:
    templates = {name: good()[name] for name in ("network.yaml", "cluster.yaml")}
    templates["root.yaml"] = {"Resources": {}}
    for name in ("network", "cluster"):
        nest(templates, name, f"{name}.yaml", {"Wrong": "1"})
    assert {finding.rule for finding in check_set(templates)} == {"S103", "S104"}
    properties(templates, "root", "network")["TemplateURL"] = "https://other.s3.amazonaws.com/network.yaml"
    assert check_set(templates) == []


def test_a_file_that_shares_no_parameter_with_what_is_passed_is_another() -> None:
    templates = {"network.yaml": good()["network.yaml"], "root.yaml": {"Resources": {}}}
    nest(templates, "Other", "network.yaml", {"Zones": 3, "Tenancy": "default", "Range": "10.0.0.0/16"})
    assert check_set(templates) == []
    passed(templates, "Other")["Cidr"] = "10.0.0.0/16"
    assert [finding.rule for finding in check_set(templates)] == ["S103", "S103", "S103"]


def test_a_url_whose_folder_nobody_knows_says_nothing_of_missing_files() -> None:
    templates = {"root.yaml": good()["root.yaml"]}
    assert check_set(templates) == []


@pytest.mark.parametrize(
    "url",
    [
        "cluster.yaml",
        "./cluster.yaml",
        "https://bucket.s3.amazonaws.com/a/b/cluster.yaml",
        {"Fn::Sub": "https://${Bucket}.s3.${AWS::URLSuffix}/${Prefix}cluster.yaml?versionId=1"},
        {"Fn::Sub": ["${Where}/cluster.yaml", {"Where": {"Fn::ImportValue": "it"}}]},
        {"Fn::Join": ["/", [{"Ref": "TemplatesUrl"}, "cluster.yaml"]]},
        {"Fn::Join": ["", ["https://s3.amazonaws.com/", {"Ref": "TemplatesUrl"}, "/cluster.yaml"]]},
    ],
    ids=str,
)
def test_a_child_is_found_behind_every_form_of_its_location(url: Any) -> None:
    templates = {name: body for name, body in good().items() if name in ("root.yaml", "cluster.yaml")}
    resources = templates["root.yaml"]["Resources"]
    templates["root.yaml"]["Outputs"] = {}
    templates["root.yaml"]["Resources"] = {"Cluster": resources["Cluster"]}
    properties(templates, "root", "Cluster")["TemplateURL"] = url
    passed(templates, "Cluster").update(Subnets="subnet-0a1", Surplus="1")
    assert [finding.rule for finding in check_set(templates)] == ["S103"]


def test_a_parameter_left_out_by_no_value_is_missing() -> None:
    templates = good()
    passed(templates, "Service")["Listener"] = {"Ref": "AWS::NoValue"}
    assert {finding.rule for finding in check_set(templates)} == {"S104"}


def test_a_value_chosen_at_deploy_time_is_not_judged() -> None:
    def change(templates: Set) -> None:
        choice = {"Fn::If": ["HasImage", "ten", "10.0.0.0/16"]}
        passed(templates, "Network")["Cidr"] = choice
        passed(templates, "Cluster")["MinNodes"] = {"Fn::ImportValue": "nodes"}
        passed(templates, "Balancer")["TargetType"] = "{{resolve:ssm:type}}"

    silent(change)


def test_a_default_that_stands_for_leaving_it_out_is_not_judged() -> None:
    # ImageUri is empty by default and MinLength forbids that, but then the service is not there at all.
    templates = good()
    assert templates["service.yaml"]["Parameters"]["ImageUri"]["MinLength"] == 1
    assert check_set(templates) == []
    del templates["root.yaml"]["Resources"]["Service"]["Condition"]
    assert [finding.rule for finding in check_set(templates)] == ["S107"]


def test_both_branches_alike_are_as_good_as_a_value() -> None:
    templates = good()
    passed(templates, "Network")["Cidr"] = {"Fn::If": ["HasImage", "ten", "ten"]}
    assert [finding.rule for finding in check_set(templates)] == ["S107"]


def test_a_resource_that_what_is_passed_leaves_out_is_not_judged() -> None:
    def change(templates: Set) -> None:
        templates["cluster.yaml"]["Conditions"] = {"Big": {"Fn::Equals": [{"Ref": "MinNodes"}, "2"]}}
        templates["cluster.yaml"]["Resources"]["Other"] = {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Condition": "Big",
            "Properties": {"MinSize": 9, "MaxSize": 1},
        }

    silent(change)


def test_patterns_that_only_java_reads_are_not_judged() -> None:
    def change(templates: Set) -> None:
        templates["network.yaml"]["Parameters"]["Cidr"]["AllowedPattern"] = r"\p{Digit}++.*[a-z&&[^b]]"

    silent(change)


def test_a_pattern_that_backtracks_is_judged_all_the_same() -> None:
    templates = good()
    # AWS's Quick Starts have it; Python's own engine takes minutes.
    pattern = "^[0-9a-zA-Z]+([0-9a-zA-Z-]*[0-9a-zA-Z])*$"
    templates["network.yaml"]["Parameters"]["Bucket"] = {"Type": "String", "AllowedPattern": pattern}
    passed(templates, "Network")["Bucket"] = "mycompany-cfn-artifacts-production_eu"
    assert [finding.rule for finding in check_set(templates)] == ["S107"]
    passed(templates, "Network")["Bucket"] = "mycompany-cfn-artifacts-production-eu"
    assert check_set(templates) == []


@pytest.mark.parametrize("pattern", ["(?=^.{3,63}$)x", "(a)\\1", "[a-z&&[^b]]", "(", "a{1,5000}"])
def test_a_pattern_that_is_not_read_as_java_does_proves_nothing(pattern: str) -> None:
    def change(templates: Set) -> None:
        templates["network.yaml"]["Parameters"]["Cidr"]["AllowedPattern"] = pattern

    silent(change)


def test_exports_that_hold_the_stack_name_do_not_meet() -> None:
    def change(templates: Set) -> None:
        for file, output in (("network.yaml", "VpcId"), ("balancer.yaml", "DnsName")):
            templates[file]["Outputs"][output]["Export"] = {"Name": {"Fn::Sub": "${AWS::StackName}-it"}}

    silent(change)


@pytest.mark.parametrize(("mistake", "first"), [(s112_export, "Network"), (s113_name, "Cluster")])
@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (None, "HasImage", True),
        ("HasImage", "HasImage", True),
        ("HasImage", "Small", True),
        ("HasImage", "NoImage", False),
        ("NoImage", "Small", True),
        ("NoImage", "Built", False),
    ],
)
def test_names_meet_unless_their_conditions_exclude_each_other(
    mistake: Change, first: str, one: str | None, other: str, meet: bool
) -> None:
    templates = good()
    mistake(templates)
    root = templates["root.yaml"]
    root["Conditions"] |= {
        "NoImage": {"Fn::Equals": [{"Ref": "ImageUri"}, ""]},
        "Small": {"Fn::Equals": [{"Ref": "MaxTasks"}, 1]},
        "Built": {
            "Fn::Or": [{"Fn::And": [{"Condition": "HasImage"}, {"Condition": "Small"}]}, {"Condition": "HasImage"}]
        },
    }
    for nested, condition in ((first, one), ("Balancer", other)):
        if condition:
            root["Resources"][nested]["Condition"] = condition
    found = [f.rule for f in check_set(templates) if f.rule in ("S112", "S113")]
    assert bool(found) is meet


@pytest.mark.parametrize(("sides", "meet"), [(["no", "yes"], False), (["yes", "no"], True)])
def test_names_meet_by_conditions_on_what_a_parent_passes_by_a_condition(sides: list[str], meet: bool) -> None:
    templates = good()
    for file, nested, passed_on in (("cluster", "Cluster", ["yes", "no"]), ("balancer", "Balancer", sides)):
        template = templates[f"{file}.yaml"]
        template.setdefault("Parameters", {})["Named"] = {"Type": "String"}
        template.setdefault("Conditions", {})["IsNamed"] = {"Fn::Equals": [{"Ref": "Named"}, "yes"]}
        passed(templates, nested)["Named"] = {"Fn::If": ["HasImage", *passed_on]}
    for file in ("cluster.yaml", "balancer.yaml"):
        templates[file]["Resources"]["Queue"] = {
            "Type": "AWS::SQS::Queue",
            "Condition": "IsNamed",
            "Properties": {"QueueName": "the-queue"},
        }
    assert [finding.rule for finding in check_set(templates)] == ["S113"] * meet


@pytest.mark.parametrize(("sides", "meet"), [(["it", "another"], True), (["another", "it"], False)])
def test_a_name_that_a_condition_chooses_meets_where_that_holds(sides: list[str], meet: bool) -> None:
    templates = good()
    templates["root.yaml"]["Resources"] |= {
        "First": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::If": ["HasImage", "it", "one"]}}},
        "Second": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::If": ["HasImage", *sides]}}},
    }
    assert [finding.rule for finding in check_set(templates)] == ["S113"] * meet


def test_names_made_of_one_root_parameter_meet() -> None:
    templates = good()
    templates["root.yaml"]["Parameters"]["Name"] = {"Type": "String"}
    for file, nested in (("cluster.yaml", "Cluster"), ("balancer.yaml", "Balancer")):
        templates[file]["Parameters"]["Name"] = {"Type": "String"}
        passed(templates, nested)["Name"] = {"Ref": "Name"}
        group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Sub": "/ecs/${Name}"}}}
        templates[file]["Resources"]["Logs"] = group
    assert [finding.rule for finding in check_set(templates)] == ["S113"]


def test_protection_with_a_custom_resource_that_clears_it_is_good() -> None:
    def change(templates: Set) -> None:
        s307_protection(templates)
        templates["cluster.yaml"]["Resources"]["Destroyer"] = {
            "Type": "Custom::GroupDestroyer",
            "Properties": {
                "ServiceToken": "arn:aws-cn:lambda:cn-north-1:123456789012:function:it",
                "Group": {"Ref": "Nodes"},
            },
        }

    silent(change)


@pytest.mark.parametrize("by", ["code", "policy"])
def test_protection_that_the_function_of_a_custom_resource_clears_is_good(by: str) -> None:
    def change(templates: Set) -> None:
        s307_protection(templates)
        resources = templates["cluster.yaml"]["Resources"]
        named = {"Fn::Sub": "const group = '${Nodes}', region = '${AWS::Region}', key = '${Elsewhere.Arn}';"}
        resources["Role"] = {"Type": "AWS::IAM::Role", "Properties": {}}
        function = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"ZipFile": named if by == "code" else "code"}}
        resources["Function"] = {"Type": "AWS::Lambda::Function", "Properties": function}
        token = {"Fn::GetAtt": ["Function", "Arn"]}
        resources["Destroyer"] = {"Type": "Custom::GroupDestroyer", "Properties": {"ServiceToken": token}}
        if by == "policy":
            statement = {"Action": "autoscaling:DeleteAutoScalingGroup", "Resource": {"Fn::GetAtt": ["Nodes", "Arn"]}}
            policy = {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": [statement]}}
            resources["Policy"] = {"Type": "AWS::IAM::Policy", "Properties": policy}

    silent(change)


@pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
def test_a_listener_of_datagrams_is_let_in_by_udp(protocol: str) -> None:
    templates = good()
    properties(templates, "balancer", "Group")["SecurityGroupIngress"] = [
        {"IpProtocol": "udp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"},
        {"IpProtocol": "tcp", "FromPort": 2020, "ToPort": 2020, "CidrIp": "0.0.0.0/0"},
    ]
    listener = properties(templates, "balancer", "Listener")
    assert "S207" in {finding.rule for finding in check_set(templates)}
    listener["Protocol"] = protocol
    assert "S207" not in {finding.rule for finding in check_set(templates)}


def test_what_a_macro_makes_of_a_parent_is_not_judged() -> None:
    def change(templates: Set) -> None:
        templates["root.yaml"]["Transform"] = ["Resolver"]
        passed(templates, "Balancer")["TargetType"] = "~~/balancer/TargetType~~"
        passed(templates, "Network").clear()
        passed(templates, "Cluster")["MinNodes"] = "~~/nodes~~"

    silent(change)


def test_a_default_of_a_stack_that_must_be_asked_for_is_only_a_warning() -> None:
    templates = good()
    templates["root.yaml"]["Parameters"]["Path"] = {"Type": "String", "Default": ""}
    templates["service.yaml"]["Parameters"]["Listener"] |= {"AllowedPattern": ".+"}
    passed(templates, "Service")["Listener"] = {"Ref": "Path"}
    assert [(finding.rule, finding.severity) for finding in check_set(templates)] == [("S107", "warning")]


def test_a_parameter_that_a_condition_takes_away_is_not_unknown() -> None:
    def change(templates: Set) -> None:
        passed(templates, "Network")["Tenancy"] = {"Fn::If": ["HasImage", {"Ref": "AWS::NoValue"}, "default"]}

    silent(change)


@pytest.mark.parametrize("condition", ["Internal", "HasImage"])
def test_an_output_that_is_read_where_it_may_be_there_is_good(condition: str) -> None:
    def change(templates: Set) -> None:
        root, balancer = templates["root.yaml"], templates["balancer.yaml"]
        root["Conditions"]["Internal"] = {"Fn::Equals": [{"Ref": "Kind"}, "instance"]}
        root["Parameters"]["Kind"] = {"Type": "String", "Default": "ip"}
        passed(templates, "Balancer")["TargetType"] = "ip"
        balancer["Parameters"]["Kind"] = {"Type": "String"}
        passed(templates, "Balancer")["Kind"] = {"Ref": "Kind"}
        balancer["Conditions"] = {"Made": {"Fn::Equals": [{"Ref": "Kind"}, "instance"]}}
        balancer["Outputs"]["DnsName"]["Condition"] = "Made"
        address = root["Outputs"]["Url"].pop("Value")
        root["Outputs"]["Url"] |= {"Value": {"Fn::If": [condition, address, "none"]}}

    silent(change)


@pytest.mark.parametrize("name", ["net-SubnetB", "net-Subnet1", "other-Thing", "${AWS::StackName}-SubnetA"])
def test_an_import_that_resembles_no_export_is_good(name: str) -> None:
    def change(templates: Set) -> None:
        templates["network.yaml"]["Outputs"]["VpcId"]["Export"] = {"Name": "net-SubnetA"}
        value = {"Fn::ImportValue": {"Fn::Sub": name}}
        properties(templates, "service", "Tasks")["ContainerDefinitions"][0]["Environment"][0]["Value"] = value

    silent(change)


@pytest.mark.parametrize(
    ("exported", "imported", "slip"),
    [
        ("net-VpcId", "NET-VPCID", True),
        ("net-VpcId", "net:Vpc_Id", True),
        ("net-VpcId", "n-e-t-V-pcId", True),
        ("net-VpcId", "n-e-t-V-p-cId", False),
        ("net-VpcId", "net-VppcId", True),
        ("net-VpcId", "net-VpcIds", True),
        ("net-VpcId", "net-VpId", True),
        ("net-VpcId", "net-VqcId", True),
        ("net-VpcId", "net-VqqId", False),
        ("net-VpcId", "net-VpcIe", False),
        ("net-VpcId", "net-Vp1Id", False),
        ("net-Vp1Id", "net-VpcId", False),
        ("net-Vpc1Id", "net-VpcId", False),
        ("net-VpcId", "net-VcpId", True),
        ("net-VpcId", "net-VpcdI", True),
        ("net-VpcId", "net-VcpIx", False),
        ("neat-vpc", "net-vpc", True),
        ("net-vpc", "ne-vpc", False),
    ],
)
def test_an_import_that_differs_from_an_export_by_a_slip_of_the_hand_is_told(
    exported: str, imported: str, slip: bool
) -> None:
    templates = good()
    templates["network.yaml"]["Outputs"]["VpcId"]["Export"] = {"Name": exported}
    environment = properties(templates, "service", "Tasks")["ContainerDefinitions"][0]["Environment"]
    environment[0]["Value"] = {"Fn::ImportValue": imported}
    found = check_set(templates)
    assert [finding.rule for finding in found] == ["S114"] * slip
    assert all(f'"{imported}" is imported' in f.message and exported.lower() in f.cure.lower() for f in found)


def test_an_import_is_no_slip_of_what_another_tree_in_another_folder_exports() -> None:
    exporting = {"Outputs": {"O": {"Value": "1", "Export": {"Name": "net-VpcId"}}}, "Resources": {}}
    importing = {"Outputs": {"O": {"Value": {"Fn::ImportValue": "net-VpcID"}}}, "Resources": {}}
    found = [
        [finding.rule for finding in check_set({"a/one.yaml": exporting, f"{folder}/two.yaml": importing})]
        for folder in ("a", "b")
    ]
    assert found == [["S114"], []]


def test_a_name_that_is_used_twice_is_told_with_both_places() -> None:
    templates = good()
    s113_child_nested_twice(templates)
    (finding,) = check_set(templates)
    assert finding.message.endswith("by Template of cluster.yaml, nested twice as Cluster and Second.")
    assert finding.also == ("Resources.Template.Properties.LaunchTemplateName",)
    templates = good()
    s113_name(templates)
    (finding,) = check_set(templates)
    assert finding.message == 'AWS::ECS::Cluster "shop" is made already by Second of balancer.yaml.'
    assert finding.also == ()


def test_a_name_that_meets_only_the_twentieth_before_it_is_told() -> None:
    def rules(others: int) -> list[str]:
        topics = {
            f"T{number:02}": {
                "Type": "AWS::SNS::Topic",
                "Condition": f"C{number}",
                "Properties": {"TopicName": "it"},
            }
            for number in range(others)
        }
        conditions = {f"C{number}": {"Fn::Equals": [{"Ref": "Which"}, str(number)]} for number in range(others)}
        last = {"Type": "AWS::SNS::Topic", "Condition": f"C{others - 1}", "Properties": {"TopicName": "it"}}
        return [
            finding.rule
            for finding in check_set(
                {
                    "a.yaml": {
                        "Parameters": {"Which": {"Type": "String"}},
                        "Conditions": conditions,
                        "Resources": {**topics, "U": last},
                    }
                }
            )
        ]

    assert (rules(20), rules(21)) == (["S113"], [])


def test_templates_that_nest_each_other_in_a_ring_are_told_with_the_whole_way() -> None:
    def nesting(child: str) -> dict[str, Any]:
        stack = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": child}}
        return {"Resources": {"N": stack}}

    templates = {"a.yaml": nesting("b.yaml"), "b.yaml": nesting("c.yaml"), "c.yaml": nesting("b.yaml")}
    (finding,) = check_set(templates)
    assert (finding.file, finding.path) == ("b.yaml", "Resources.N")
    assert finding.message == "The templates nest each other in a ring: b.yaml -> c.yaml -> b.yaml."


def test_a_parameter_taken_apart_in_many_places_is_told_once() -> None:
    templates = good()
    s111_select(templates)
    resources = templates["cluster.yaml"]["Resources"]
    resources["More"] = copy.deepcopy(resources["Nodes"])
    nest(templates, "Again", "cluster.yaml", passed(templates, "Cluster"))
    (finding,) = check_set(templates)
    assert finding.rule == "S111" and "places more" in finding.message


def test_what_an_unseen_stack_is_told_of_may_be_attached_there() -> None:
    def change(templates: Set) -> None:
        s205_unattached(templates)
        nest(templates, "Elsewhere", "", {"Group": passed(templates, "Service")["TargetGroup"]})
        properties(templates, "root", "Elsewhere")["TemplateURL"] = {"Ref": "TemplatesUrl"}

    silent(change)


def test_ports_of_a_group_that_others_are_told_of_may_be_opened_there() -> None:
    def change(templates: Set) -> None:
        s207_closed_listener(templates)
        value = {"Fn::GetAtt": ["Balancer", "Outputs.Group"]}
        templates["root.yaml"]["Outputs"]["Group"] = {"Value": value}

    silent(change)


def test_a_loop_may_make_the_listener() -> None:
    def change(templates: Set) -> None:
        s205_unattached(templates)
        templates["balancer.yaml"]["Transform"] = "AWS::LanguageExtensions"
        templates["balancer.yaml"]["Resources"]["Fn::ForEach::Port"] = ["P", ["80"], {"L${P}": {"Type": "T"}}]

    silent(change)


def test_a_location_written_for_another_tool_is_not_missing() -> None:
    def change(templates: Set) -> None:
        for name in ("{{ templates }}/a", "../elsewhere/a.yaml", "/srv/a.yaml"):
            nest(templates, f"N{len(name)}", "")
            properties(templates, "root", f"N{len(name)}")["TemplateURL"] = name

    silent(change)


def test_a_policy_newer_than_the_list_is_not_judged() -> None:
    def change(templates: Set) -> None:
        properties(templates, "balancer", "Listener")["SslPolicy"] = "ELBSecurityPolicy-TLS13-1-3-2031-01"

    silent(change)


def test_an_attribute_that_resembles_none_is_only_a_warning() -> None:
    templates = good()
    properties(templates, "balancer", "Balancer")["LoadBalancerAttributes"][0]["Key"] = "quantum"
    assert [(f.rule, f.severity) for f in check_set(templates)] == [("S210", "warning")]


def test_percentages_of_other_deployments_are_not_judged() -> None:
    def change(templates: Set) -> None:
        moving(templates)
        s305_hundred_hundred(templates)
        properties(templates, "service", "Service")["DeploymentConfiguration"]["Strategy"] = "BLUE_GREEN"

    silent(change)


def test_a_network_balancers_check_may_take_its_whole_interval() -> None:
    def change(templates: Set) -> None:
        properties(templates, "balancer", "Balancer").update(Type="network", LoadBalancerAttributes=[])
        properties(templates, "balancer", "Listener")["Protocol"] = "TLS"
        properties(templates, "balancer", "Targets").update(Protocol="TCP", HealthCheckTimeoutSeconds=10)

    silent(change)


@pytest.mark.parametrize("body", ["{${Widgets}}", '{"widgets": ${Widgets}}', '{"widgets": [${A}${B}]}', "${Body}"])
def test_a_dashboard_made_of_pieces_of_json_is_not_judged(body: str) -> None:
    def change(templates: Set) -> None:
        variables = {name: {"Fn::ImportValue": name} for name in ("Widgets", "A", "B", "Body")}
        properties(templates, "service", "Dashboard")["DashboardBody"] = {"Fn::Sub": [body, variables]}

    silent(change)


def test_a_template_that_chooses_its_partition_may_name_one() -> None:
    def change(templates: Set) -> None:
        s402_partition(templates)
        china = {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-cn"]}
        templates["network.yaml"]["Conditions"] = {"China": china}

    silent(change)


def test_an_arn_that_is_bound_to_an_account_may_name_its_partition() -> None:
    def change(templates: Set) -> None:
        s402_partition(templates)
        arn = "arn:aws:iam::123456789012:policy/a"
        properties(templates, "network", "Role")["ManagedPolicyArns"] = [arn]

    silent(change)


def test_a_macro_may_add_parameters_and_outputs() -> None:
    def change(templates: Set) -> None:
        templates["balancer.yaml"]["Transform"] = ["Ours"]
        s105_unknown_output(templates)
        passed(templates, "Balancer")["Made"] = "1"

    silent(change)


def test_applications_of_the_serverless_transform_are_nested_stacks_too() -> None:
    templates = good()
    templates["root.yaml"]["Transform"] = "AWS::Serverless-2016-10-31"
    network = templates["root.yaml"]["Resources"]["Network"]
    network["Type"] = "AWS::Serverless::Application"
    network["Properties"] = {"Location": "network.yaml", "Parameters": {"Cidr": "ten"}}
    assert [finding.rule for finding in check_set(templates)] == ["S107"]


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sets(st.sampled_from("ABCDEF"))))
def test_a_circle_is_found_wherever_a_nested_stack_waits_for_itself(waits: dict[str, set[str]]) -> None:
    def beyond(names: set[str]) -> set[str]:
        further = names.union(*(waits.get(name, set()) for name in names))
        return names if further == names else beyond(further)

    nested = {
        name: {
            "Type": "AWS::CloudFormation::Stack",
            "DependsOn": sorted(others & waits.keys()),
            "Properties": {"TemplateURL": "child.yaml"},
        }
        for name, others in waits.items()
    }
    templates: Set = {
        "root.yaml": {"Resources": nested},
        "child.yaml": {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}},
    }
    rings = [set(finding.also) for finding in check_set(templates) if finding.rule == "S110"]
    told = {path.removeprefix("Resources.") for ring in rings for path in ring}
    waits = {name: others & waits.keys() for name, others in waits.items()}
    assert told == {name for name, others in waits.items() if name in beyond(others)}
