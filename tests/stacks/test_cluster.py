"""The cluster: nodes that register, that only the balancer reaches, and that come and go with the tasks."""

from __future__ import annotations

import re
from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn import capacity
from stacks.helpers import AWSVPC, PINNED, Templates, at, att, made, properties, ref, resource


def nodes(pool: sc.Ec2Capacity | None = None) -> dict[str, Any]:
    return resource(made(nodes=pool), "capacity", "NodesGroup")


def launch(templates: Templates) -> dict[str, Any]:
    data: dict[str, Any] = properties(templates, "capacity", "NodesLaunchTemplate")["LaunchTemplateData"]
    return data


def user_data(templates: Templates) -> str:
    """The script of a node, with what Fn::Sub puts in; references by their names."""
    script, given = launch(templates)["UserData"]["Fn::Base64"]["Fn::Sub"]
    values = {name: value if isinstance(value, str) else f"<{value['Ref']}>" for name, value in given.items()}
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], script)


# --- who reaches whom


def test_under_bridge_the_balancer_reaches_the_ports_that_docker_gives_and_nothing_else() -> None:
    templates = made()
    (ports,) = re.findall(r"ECS_DYNAMIC_HOST_PORT_RANGE=(\d+)-(\d+)", user_data(templates))
    first, last = map(int, ports)
    # What Linux calls ephemeral, and above what anything listens on.
    assert (first, last) == (32768, 60999)
    (inward,) = properties(templates, "capacity", "NodesSecurityGroup")["SecurityGroupIngress"]
    assert inward["SourceSecurityGroupId"] == ref("LoadBalancerSecurityGroup")
    outward = properties(templates, "capacity", "NodesLoadBalancerEgress")
    assert outward["GroupId"] == ref("LoadBalancerSecurityGroup")
    assert outward["DestinationSecurityGroupId"] == ref("NodesSecurityGroup")
    for rule in (inward, outward):
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", first, last)
    assert launch(templates)["SecurityGroupIds"] == [ref("NodesSecurityGroup")]
    assert properties(templates, "capacity", "NodesSecurityGroup")["VpcId"] == ref("VpcId")
    wire = properties(templates, "root", "Capacity")["Parameters"]["LoadBalancerSecurityGroup"]
    assert wire == att("LoadBalancer", "Outputs.SecurityGroup")


def test_under_awsvpc_nobody_reaches_a_node() -> None:
    templates = made(AWSVPC)
    assert "SecurityGroupIngress" not in properties(templates, "capacity", "NodesSecurityGroup")
    assert "NodesLoadBalancerEgress" not in templates["capacity.yaml"]["Resources"]


# --- a node


def test_a_node_joins_the_cluster_and_says_when_it_has() -> None:
    templates = made()
    script = user_data(templates)
    settings = dict(re.findall(r"^(ECS_\w+)=(.*)$", script, re.M))
    assert settings["ECS_CLUSTER"] == "<ClusterName>"
    # The arithmetic of what fits counts on it.
    assert settings["ECS_RESERVED_MEMORY"] == str(capacity.RESERVED_MEMORY_MIB)
    # Whoever waits for the signal is the group: by its name, in this stack.
    assert "--stack '${AWS::StackName}' --resource 'NodesGroup'" in script
    group = resource(templates, "capacity", "NodesGroup")
    assert group["Type"] == "AWS::AutoScaling::AutoScalingGroup"
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["WaitOnResourceSignals"] is True


def test_containers_cannot_ask_for_a_node_s_credentials() -> None:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    options = launch(made())["MetadataOptions"]
    assert options == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in user_data(made())


@pytest.mark.parametrize("size", [30, 101])
def test_a_node_s_disk_is_encrypted_and_goes_with_it(size: int) -> None:
    (disk,) = launch(made(nodes=sc.Ec2Capacity(disk_gib=size)))["BlockDeviceMappings"]
    # The root device of Amazon Linux 2023; under another name it would be a second disk.
    assert disk["DeviceName"] == "/dev/xvda"
    assert disk["Ebs"] == {"VolumeType": "gp3", "VolumeSize": size, "Encrypted": True, "DeleteOnTermination": True}


def test_a_node_acts_as_its_role_from_the_image_that_is_asked_for() -> None:
    templates = made()
    data = launch(templates)
    assert data["ImageId"] == ref("NodesMachineImage")
    assert data["IamInstanceProfile"] == {"Arn": att("NodesProfile", "Arn")}
    assert properties(templates, "capacity", "NodesProfile")["Roles"] == [ref("NodesRole")]
    role = properties(templates, "capacity", "NodesRole")
    assert at(role, "AssumeRolePolicyDocument.Statement.0.Principal") == {"Service": "ec2.amazonaws.com"}
    assert [policy["PolicyName"] for policy in role["Policies"]] == ["join-cluster", "session-manager"]
    assert "cluster/${Cluster}" in str(role["Policies"][0])
    assert node_image(sc.Ec2Capacity()).endswith("/amazon-linux-2023/recommended/image_id")
    arm = sc.Ec2Capacity(architecture="arm64", instance_types=("t4g.small",))
    assert node_image(arm).endswith("/amazon-linux-2023/arm64/recommended/image_id")
    assert node_image(sc.Ec2Capacity(machine_image=PINNED)) == PINNED


def node_image(pool: sc.Ec2Capacity) -> str:
    return str(made(nodes=pool)["root.yaml"]["Parameters"]["NodesMachineImage"]["Default"])


# --- the group of nodes


def test_nodes_are_of_the_types_asked_for_the_preferred_one_first() -> None:
    types = ("m7i.large", "m6i.large", "m5.large")
    group = nodes(sc.Ec2Capacity(instance_types=types))["Properties"]
    mixed = group["MixedInstancesPolicy"]
    assert [override["InstanceType"] for override in mixed["LaunchTemplate"]["Overrides"]] == list(types)
    assert mixed["InstancesDistribution"]["OnDemandAllocationStrategy"] == "prioritized"
    assert mixed["LaunchTemplate"]["LaunchTemplateSpecification"] == {
        "LaunchTemplateId": ref("NodesLaunchTemplate"),
        # Whatever changes in it, the nodes are replaced.
        "Version": att("NodesLaunchTemplate", "LatestVersionNumber"),
    }
    assert launch(made(nodes=sc.Ec2Capacity(instance_types=types)))["InstanceType"] == types[0]
    assert group["VPCZoneIdentifier"] == ref("Subnets")


@pytest.mark.parametrize(("spot", "base"), [(0, 0), (1, 1), (70, 2), (100, 0)])
def test_spot_takes_its_share_above_the_base_and_is_moved_before_it_is_taken_away(spot: int, base: int) -> None:
    group = nodes(sc.Ec2Capacity(spot_percent=spot, on_demand_base=base))["Properties"]
    distribution = group["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution["OnDemandPercentageAboveBaseCapacity"] + spot == 100
    assert distribution["OnDemandBaseCapacity"] == base
    assert distribution["SpotAllocationStrategy"] == "price-capacity-optimized"
    assert group["CapacityRebalance"] is (spot > 0)
    assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in user_data(made())


@pytest.mark.parametrize(("least", "most"), [(0, 5), (1, 5), (2, 5), (4, 5), (5, 5)])
def test_an_update_keeps_the_fewest_nodes_but_where_it_could_not_begin(least: int, most: int) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html"""
    body = nodes(sc.Ec2Capacity(min_nodes=least, max_nodes=most, update_batch=3, update_timeout_min=7))
    group, rolling = body["Properties"], body["UpdatePolicy"]["AutoScalingRollingUpdate"]
    assert (group["MinSize"], group["MaxSize"]) == (str(least), str(most))
    assert rolling["MinInstancesInService"] == (least if least < most else most - 1)
    assert (rolling["MaxBatchSize"], rolling["PauseTime"]) == (3, "PT7M")
    # The number of nodes is ECS's: an update does not set it back.
    assert body["UpdatePolicy"]["AutoScalingScheduledAction"]["IgnoreUnmodifiedGroupSizeProperties"] is True
    # Of what would interfere all but what the update itself needs: to launch, to terminate, to add to the balancer.
    assert {"HealthCheck", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions"} == set(
        rolling["SuspendProcesses"]
    )
    # An instance that is protected would stand in the way of the group's deletion.
    assert group["NewInstancesProtectedFromScaleIn"] is False
    # As many as the group starts with have to report; where it starts with none, nobody does.
    signal = {"ResourceSignal": {"Count": least, "Timeout": "PT7M"}}
    assert body.get("CreationPolicy") == (signal if least else None)


def test_what_happens_to_the_group_can_be_seen_by_the_minute() -> None:
    (metrics,) = nodes()["Properties"]["MetricsCollection"]
    assert metrics["Granularity"] == "1Minute"
    body, _ = properties(made(), "dashboard", "Dashboard")["DashboardBody"]["Fn::Sub"]
    drawn = set(re.findall(r"\bGroup[A-Z]\w+", body))
    watched = properties(made(), "capacity", "NodesAtMaximum")["MetricName"]
    assert drawn | {watched} <= set(metrics["Metrics"])


def test_ecs_marks_the_group_that_it_scales_and_an_update_leaves_the_mark() -> None:
    tags = {tag["Key"]: tag for tag in nodes()["Properties"]["Tags"]}
    assert tags["AmazonECSManaged"]["Value"] == "true"
    assert tags["Name"]["PropagateAtLaunch"] is True


# --- the cluster and its capacity


def test_nodes_follow_tasks_by_the_settings_of_the_config() -> None:
    scaling = sc.NodeScaling(target_capacity_percent=83, min_step=3, max_step=9, warmup_s=77)
    templates = made(nodes=sc.Ec2Capacity(scaling=scaling))
    provider = properties(templates, "capacity", "NodesCapacityProvider")["AutoScalingGroupProvider"]
    assert provider == {
        "AutoScalingGroupArn": ref("NodesGroup"),
        "ManagedDraining": "ENABLED",
        "ManagedTerminationProtection": "DISABLED",
        "ManagedScaling": {
            "Status": "ENABLED",
            "TargetCapacity": 83,
            "MinimumScalingStepSize": 3,
            "MaximumScalingStepSize": 9,
            "InstanceWarmupPeriod": 77,
        },
    }


def test_a_service_without_a_strategy_of_its_own_runs_on_the_nodes_too() -> None:
    association = properties(made(), "capacity", "CapacityProviderAssociation")
    assert association["Cluster"] == ref("ClusterName")
    assert association["CapacityProviders"] == [ref("NodesCapacityProvider")]
    (strategy,) = association["DefaultCapacityProviderStrategy"]
    assert strategy["CapacityProvider"] == ref("NodesCapacityProvider")
    # A share of the tasks, of which it gets all: any but none.
    assert strategy["Weight"] > 0


@pytest.mark.parametrize("level", ["disabled", "enabled", "enhanced"])
def test_container_insights_are_at_the_level_asked_for(level: Any) -> None:
    cluster = properties(made(cluster=sc.Cluster(container_insights=level)), "cluster", "Cluster")
    assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": level}]


def test_the_linked_role_is_made_only_where_it_is_asked_for_and_belongs_to_the_account() -> None:
    templates = made()
    role = resource(templates, "cluster", "ServiceLinkedRole")
    assert role["Properties"]["AWSServiceName"] == "ecs.amazonaws.com"
    wanted = {"Fn::Equals": [ref("CreateServiceLinkedRole"), "true"]}
    assert templates["cluster.yaml"]["Conditions"][role["Condition"]] == wanted
    assert role["DeletionPolicy"] == role["UpdateReplacePolicy"] == "Retain"
    # The cluster comes after it where it is made, and does without where it is not.
    waits = resource(templates, "cluster", "Cluster")["Metadata"]["ServiceLinkedRole"]["Fn::If"]
    assert waits[:2] == [role["Condition"], ref("ServiceLinkedRole")]
    assert isinstance(waits[2], str)
    for asked in (False, True):
        cluster = sc.Cluster(create_service_linked_role=asked)
        parameter = made(cluster=cluster)["root.yaml"]["Parameters"]["CreateServiceLinkedRole"]
        assert parameter["Default"] == str(asked).lower()


def test_cluster_and_capacity_tell_what_others_are_wired_to() -> None:
    files = ("cluster.yaml", "capacity.yaml")
    outputs = {name: output["Value"] for file in files for name, output in made()[file]["Outputs"].items()}
    assert outputs == {
        "ClusterName": ref("Cluster"),
        "NodesCapacityProvider": ref("NodesCapacityProvider"),
        "NodesGroupName": ref("NodesGroup"),
    }
