"""What holds for every template that the config space can give."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import configs, sections

import scaleout_cfn as sc
from scaleout_cfn.config import GreenHeader
from scaleout_cfn.config.conflicts import remarks
from scaleout_cfn.config.routing import priorities
from scaleout_cfn.config.units import Unit, jobs_of, units, with_stand_ins
from scaleout_cfn.grammars import ecr_repository
from scaleout_cfn.lint import check_set
from scaleout_cfn.lint.files import lint_files
from scaleout_cfn.stack import file_name

REGIONS = ("us-east-1", "us-east-2", "eu-central-1", "ap-southeast-2")
Templates = dict[str, dict[str, Any]]

# The same examples in every run: a red build has to be red again. `--hypothesis-seed` finds others.
every_config = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), print_blob=True
)


def templates(config: sc.Config) -> Templates:
    return sc.set_of(sc.compose(config))


def file_of(title: str) -> str:
    return f"{file_name(title)}.yaml"


def resources(templates: Templates, kind: str) -> list[dict[str, Any]]:
    found = [body for template in templates.values() for body in template["Resources"].values() if body["Type"] == kind]
    return [{**body, "Properties": body.get("Properties", {})} for body in found]


def walk(value: Any) -> Iterator[Any]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from walk(item)


@settings(parent=every_config, max_examples=16)
@given(config=configs())
def test_lint_finds_nothing_in_any_region(config: sc.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("set")
    sc.write(folder, sc.render(sc.compose(config)))
    found = lint_files(folder, regions=REGIONS).findings
    assert not found, "\n".join(map(str, found))


@every_config
@given(config=configs())
def test_the_set_agrees_with_itself(config: sc.Config) -> None:
    found = check_set(templates(config))
    assert not found, "\n".join(map(str, found))


@every_config
@given(config=configs())
def test_no_template_breaks_a_rule_of_single_templates_when_it_is_linted_alone(config: sc.Config) -> None:
    """As an editor or cfn-lint with our rules has them; those of how a set fits together (S1) are for the set."""
    for name, template in templates(config).items():
        alone = [finding for finding in check_set({name: template}) if not finding.rule.startswith("S1")]
        assert not alone, "\n".join(map(str, alone))


@every_config
@given(config=configs())
def test_the_console_s_form_asks_by_service_and_first_for_what_has_no_default(config: sc.Config) -> None:
    root = templates(config)["root.yaml"]
    form = root["Metadata"]["AWS::CloudFormation::Interface"]
    groups = {group["Label"]["default"]: group["Parameters"] for group in form["ParameterGroups"]}
    assert len(groups) == len(form["ParameterGroups"])
    assert sorted(title for titles in groups.values() for title in titles) == sorted(root["Parameters"])
    for titles in groups.values():
        assert len({form["ParameterLabels"][title]["default"] for title in titles}) == len(titles)
    has_defaults = [all("Default" in root["Parameters"][title] for title in titles) for titles in groups.values()]
    assert has_defaults == sorted(has_defaults)
    of_services = [label for label in groups if label.startswith("Service ")]
    assert of_services == [f"Service {name}" for name in sorted(config.services)]
    for unit in units(config):
        of_image = [unit.image_parameter] if unit.image_owner == unit.name else []
        bounds = [f"{unit.title}ScalingMinTasks", f"{unit.title}ScalingMaxTasks"]
        assert groups[f"Service {unit.name}"] == of_image + bounds


@every_config
@given(config=sections(sc.Config))
def test_whatever_is_asked_for_is_composed_or_refused_in_words(config: sc.Config) -> None:
    try:
        sc.compose(config)
    except (sc.ConfigError, sc.SetError) as error:
        assert error.problems
        assert all(re.match(r"\S.*\S$", problem) for problem in error.problems)


@every_config
@given(config=configs())
def test_an_update_sets_no_count_back(config: sc.Config) -> None:
    composed = templates(config)
    for unit in with_stand_ins(units(config)):
        (service,) = resources({"": composed[file_of(unit.service)]}, "AWS::ECS::Service")
        # Nothing scales a stand-in: its number is what the config says.
        assert ("DesiredCount" in service["Properties"]) == bool(unit.stands_in_for)
    for group in resources(composed, "AWS::AutoScaling::AutoScalingGroup"):
        assert "DesiredCapacity" not in group["Properties"]
        assert group["UpdatePolicy"]["AutoScalingScheduledAction"]["IgnoreUnmodifiedGroupSizeProperties"] is True
        # CloudFormation refuses a rolling update that would keep as many in service as there may be.
        rolling = group["UpdatePolicy"]["AutoScalingRollingUpdate"]
        assert rolling["MinInstancesInService"] < int(group["Properties"]["MaxSize"])


@every_config
@given(config=configs())
def test_nothing_is_protected_from_a_teardown(config: sc.Config) -> None:
    composed = templates(config)
    for group in resources(composed, "AWS::AutoScaling::AutoScalingGroup"):
        assert group["Properties"]["NewInstancesProtectedFromScaleIn"] is False
    for provider in resources(composed, "AWS::ECS::CapacityProvider"):
        if "AutoScalingGroupProvider" in provider["Properties"]:
            assert provider["Properties"]["AutoScalingGroupProvider"]["ManagedTerminationProtection"] == "DISABLED"


@every_config
@given(config=configs())
def test_nodes_and_tasks_are_reached_by_the_balancer_and_by_those_that_name_them(config: sc.Config) -> None:
    composed = templates(config)
    for name, template in composed.items():
        if name == "load-balancer.yaml" or "EndpointsSecurityGroup" in template["Resources"]:
            continue
        unit = next((unit for unit in with_stand_ins(units(config)) if file_of(unit.foundation) == name), None)
        for body in template["Resources"].values():
            if body["Type"] != "AWS::EC2::SecurityGroup":
                continue
            for rule in body["Properties"].get("SecurityGroupIngress", []):
                assert rule["SourceSecurityGroupId"] == {"Ref": "LoadBalancerSecurityGroup"}
                ports = {(32768, 60999)}
                if unit:
                    assert isinstance(unit.settings, sc.WebService)
                    port = unit.port or 0
                    asked = unit.settings.health_check.port or port
                    ports = {(port, port), (asked, asked)}
                assert (rule["FromPort"], rule["ToPort"]) in ports
    for unit in with_stand_ins(units(config)):
        rules = resources({"": composed[file_of(unit.service)]}, "AWS::EC2::SecurityGroupIngress")
        reached = sorted(unit.settings.reaches)
        listens = {"postgres": 5432, "valkey": 6379}
        kinds = [str(section.__struct_config__.tag) for section in unit.attachments.values() if section.has_group]
        assert [rule["Properties"]["FromPort"] for rule in rules] == [
            Unit(name, config.services[name], config).port for name in reached
        ] + [listens[kind] for kind in kinds]


@every_config
@given(config=configs())
def test_each_web_service_has_a_rule_whose_priority_is_its_own_and_stays(config: sc.Config) -> None:
    made = priorities(config)
    assert len(set(made.values())) == len(made)
    assert all(1 <= priority <= 50_000 for priority in made.values())
    for name in made:
        without = {other: service for other, service in config.services.items() if other != name}
        left = priorities(msgspec.structs.replace(config, services=without))
        assert left == {other: priority for other, priority in made.items() if other != name}
    composed = templates(config)
    for unit in units(config):
        rules = {
            title: rule["Properties"]["Priority"]
            for title, rule in composed[file_of(unit.foundation)]["Resources"].items()
            if rule["Type"] == "AWS::ElasticLoadBalancingV2::ListenerRule"
        }
        expected = {"Rule": made[unit.name]} if unit.is_web else {}
        if unit.test is not None:
            expected["TestRule"] = made[unit.name] - isinstance(unit.test, GreenHeader)
        assert rules == expected


@every_config
@given(config=configs(), other=configs())
def test_the_rule_that_ecs_moves_changes_with_its_route_alone(config: sc.Config, other: sc.Config) -> None:
    """Whatever else a deployment brings. A rule that an update touches would have its weights set back."""
    donors = [settings for settings in other.services.values() if isinstance(settings, sc.WebService)]
    for unit in units(config):
        if not unit.has_alternate or not donors:
            continue
        mine = unit.settings
        assert isinstance(mine, sc.WebService)
        changed = msgspec.structs.replace(
            donors[0],
            **{name: getattr(mine, name) for name in ("route", "capacity", "network_mode", "image_of", "stand_in")},
            sign_in=None,
            deployment=msgspec.structs.replace(mine.deployment, failure_threshold=7, health_check_grace_s=7),
        )
        services = {name: settings for name, settings in config.services.items() if name == unit.name}
        before = msgspec.structs.replace(config, services=services, jobs={}, attachments={})
        after = msgspec.structs.replace(before, services={unit.name: changed})
        try:
            texts = [templates(each)[file_of(unit.foundation)]["Resources"]["Rule"] for each in (before, after)]
        except (sc.ConfigError, sc.SetError):
            continue  # what is the other's does not go with this one's place
        assert texts[0] == texts[1] == templates(config)[file_of(unit.foundation)]["Resources"]["Rule"]


@every_config
@given(config=configs())
def test_another_service_changes_no_file_of_those_that_are_there(config: sc.Config) -> None:
    another = sc.WorkerService(
        capacity=min(config.capacity), cpu_units=256, memory_mib=512, scaling=sc.Scaling(min_tasks=1, max_tasks=1)
    )
    before = sc.render(sc.compose(config))
    roomy = {
        # A node that is full is no matter of this promise.
        name: msgspec.structs.replace(pool, max_nodes=min(pool.max_nodes + 4, 5000))
        if isinstance(pool, sc.Ec2Capacity)
        else pool
        for name, pool in config.capacity.items()
    }
    try:
        after = sc.render(
            sc.compose(msgspec.structs.replace(config, capacity=roomy, services={**config.services, "zz": another}))
        )
    except sc.SetError:
        return  # a node that takes no task of this size
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed <= {"root.yaml", "dashboard.yaml", "capacity.yaml"}
    if roomy == config.capacity:
        assert changed <= {"root.yaml", "dashboard.yaml"}
    assert after.keys() - before.keys() == {"zz-foundation.yaml", "zz-service.yaml"}


def _ec2(config: sc.Config) -> set[str]:
    return {name for name, pool in config.capacity.items() if isinstance(pool, sc.Ec2Capacity)}


@every_config
@given(config=configs())
def test_a_service_s_roles_name_its_own_secrets_repository_and_log_group(config: sc.Config) -> None:
    composed = templates(config)
    root = composed["root.yaml"]["Resources"]
    for unit in units(config):
        roles = [
            role
            for name in (unit.foundation, unit.service)
            for role in resources({"": composed[file_of(name)]}, "AWS::IAM::Role")
        ]
        named = {node for node in walk(roles) if isinstance(node, str)}
        foreign = {
            secret
            for other in units(config)
            for secret in other.secrets.values()
            if secret not in unit.secrets.values()
        }
        assert not {text for text in named for secret in foreign if secret in text}
        wires = root[unit.service]["Properties"]["Parameters"]
        foundations = {other.foundation: other.name for other in units(config)}
        for wire, value in wires.items():
            if wire in ("RepositoryArn", "LogGroupName") and isinstance(value, dict) and "Fn::GetAtt" in value:
                owner = foundations[value["Fn::GetAtt"][0]]
                assert owner == (unit.image_owner if wire == "RepositoryArn" else unit.name)


@every_config
@given(config=configs())
def test_a_service_follows_its_rule_and_its_pool(config: sc.Config) -> None:
    composed = templates(config)
    root = composed["root.yaml"]["Resources"]
    assert all("Role" not in body["Properties"] for body in resources(composed, "AWS::ECS::Service"))
    for unit in units(config):
        wires = root[unit.service]["Properties"]["Parameters"]
        # An output of a nested stack is there only once all of the stack is: rule and association included.
        if unit.is_web:
            assert wires["TargetGroup"] == {"Fn::GetAtt": [unit.foundation, "Outputs.TargetGroup"]}
        if not isinstance(unit.pool, sc.FargateCapacity):
            owner, output = wires["CapacityProvider"]["Fn::GetAtt"]
            assert owner == "Capacity"
            assert output in {f"Outputs.{name}" for name in composed["capacity.yaml"]["Outputs"]}


@every_config
@given(config=configs())
def test_no_child_takes_apart_what_comes_from_a_sibling(config: sc.Config) -> None:
    for name, template in templates(config).items():
        parameters = set(template.get("Parameters", {}))
        for node in walk(template["Resources"]):
            if isinstance(node, dict) and (node.keys() & {"Fn::Select", "Fn::Split"}):
                used = {n["Ref"] for n in walk(node) if isinstance(n, dict) and "Ref" in n}
                assert not used & parameters, name
        assert not any("Export" in output for output in template.get("Outputs", {}).values())
        assert not any(isinstance(node, dict) and "Fn::ImportValue" in node for node in walk(template))


HOLDS_DATA = {
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
}


@every_config
@given(config=configs())
def test_what_holds_data_says_what_becomes_of_it(config: sc.Config) -> None:
    for template in templates(config).values():
        for title, body in template["Resources"].items():
            if body["Type"] in HOLDS_DATA:
                assert {"DeletionPolicy", "UpdateReplacePolicy"} <= body.keys(), title


# Properties by which CloudFormation would be told a physical name.
NAMES = {
    "AlarmName",
    "AliasName",
    "AutoScalingGroupName",
    "BucketName",
    "ClusterName",
    "DBInstanceIdentifier",
    "DashboardName",
    "GroupName",
    "InstanceProfileName",
    "LaunchTemplateName",
    "LogGroupName",
    "Name",
    "ReplicationGroupId",
    "RepositoryName",
    "RoleName",
    "ServiceName",
    "TableName",
    "TopicName",
}


@every_config
@given(config=configs())
def test_two_sets_in_one_account_never_collide_but_by_names_that_are_given(config: sc.Config) -> None:
    own = [config.cluster.name, *(unit.settings.service_name for unit in units(config))]
    assert {remark.key for remark in remarks(config)} >= ({"cluster.name"} if config.cluster.name else set())
    for template in templates(config).values():
        for title, body in template["Resources"].items():
            named = {key: value for key, value in body.get("Properties", {}).items() if key in NAMES}
            if body["Type"] in ("AWS::ECS::Cluster", "AWS::ECS::Service"):
                named = {key: value for key, value in named.items() if value not in own}  # remarked on
            if body["Type"] == "AWS::Route53::RecordSet":
                named.pop("Name")  # the domain, asked for by name
            foreign = {key for key, value in named.items() if not isinstance(value, dict)}
            assert not {key for key in foreign if named[key] not in config.imports.values()}, title


@every_config
@given(config=configs())
def test_templates_are_within_the_limits_of_cloudformation(config: sc.Config) -> None:
    texts = sc.render(sc.compose(config))
    assert len(texts["root.yaml"].encode()) <= 51_200
    for name, template in templates(config).items():
        assert len(texts[name].encode()) <= 1_000_000
        assert len(template["Resources"]) <= 500
        assert len(template.get("Parameters", {})) <= 200
        assert len(template.get("Outputs", {})) <= 200


@every_config
@given(config=configs())
def test_every_partition_is_honoured(config: sc.Config) -> None:
    given = {node for node in walk(msgspec.to_builtins(config)) if isinstance(node, str) and "arn:aws" in node}
    # CloudFormation reads a key of a secret by another form of its ARN.
    given |= {":".join(text.split(":")[:7]) for text in given if ":secretsmanager:" in text}
    # An image in ECR names the repository that it may be pulled from.
    for unit in (*units(config), *jobs_of(config)):
        images = [unit.settings.image_uri, *(sidecar.image_uri for sidecar in unit.sidecars.values())]
        given |= {arn for image in images if (arn := ecr_repository(image))}
    for template in templates(config).values():
        literals = {node for node in walk(template["Resources"]) if isinstance(node, str) and "arn:aws" in node}
        assert not {literal for literal in literals if not any(literal in text or text in literal for text in given)}


@every_config
@given(config=configs())
def test_every_role_has_the_boundary_and_every_resource_the_tags(config: sc.Config) -> None:
    for template in templates(config).values():
        for title, body in template["Resources"].items():
            properties = body.get("Properties", {})
            if body["Type"] == "AWS::IAM::Role":
                assert properties.get("PermissionsBoundary", "") == config.permissions_boundary
            tags = properties.get("Tags") or [
                tag for specification in properties.get("TagSpecifications", []) for tag in specification["Tags"]
            ]
            if body["Type"] in TAGGED:
                assert config.tags.items() <= {tag["Key"]: tag["Value"] for tag in tags}.items(), title


TAGGED = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::CertificateManager::Certificate",
    "AWS::CloudFormation::Stack",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::VpcOrigin",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeBuild::Project",
    "AWS::CodePipeline::Pipeline",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::LaunchTemplate",
    "AWS::EC2::NatGateway",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::ECS::CapacityProvider",
    "AWS::ECS::Cluster",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::ElasticLoadBalancingV2::TrustStore",
    "AWS::Events::Rule",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::Scheduler::ScheduleGroup",
    "AWS::StepFunctions::StateMachine",
    "AWS::WAFv2::WebACL",
}


@every_config
@given(config=configs())
def test_without_its_image_a_service_is_left_out_and_nothing_needs_it(config: sc.Config) -> None:
    root = templates(config)["root.yaml"]
    for unit in units(config):
        condition = root["Resources"][unit.service]["Condition"]
        assert root["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": unit.image_parameter}, ""]}]}
    left_out = {title for title, body in root["Resources"].items() if "Condition" in body}
    jobs = {job.job for job in jobs_of(config)}
    assert left_out == {unit.service for unit in with_stand_ins(units(config))} | jobs
    for place in [*root["Resources"].values(), *root["Outputs"].values()]:
        needs = {node["Fn::GetAtt"][0] for node in walk(place) if isinstance(node, dict) and "Fn::GetAtt" in node}
        assert not needs & left_out


@pytest.mark.parametrize("name", ["aws-web", "AWS", "ecs1", "Fargate-shop", "1web", "a b", "", "x" * 65])
def test_stack_names_that_aws_forbids_are_refused(name: str) -> None:
    with pytest.raises(sc.ConfigError, match="stack_name"):
        sc.compose(sc.Config(stack_name=name))


def test_the_seed_s_own_numbers_are_refused_with_the_arithmetic() -> None:
    seed = sc.Config(
        capacity={"nodes": sc.Ec2Capacity(instance_types=("t2.micro",), min_nodes=1, max_nodes=5)},
        services={"web": sc.WebService(scaling=sc.Scaling(min_tasks=1, max_tasks=20))},
    )
    with pytest.raises(sc.SetError, match=r"need 7 t2\.micro.*nodes\.max_nodes is 5.*nodes\.max_nodes = 7"):
        sc.compose(seed)


def test_the_most_tasks_that_fit_bound_the_console_s_parameter() -> None:
    parameter = templates(sc.Config())["root.yaml"]["Parameters"]["WebScalingMaxTasks"]
    assert parameter["Default"] <= parameter["MaxValue"] < 100


def test_same_config_same_bytes_in_any_process() -> None:
    script = "import json, scaleout_cfn as sc; print(json.dumps(sc.render(sc.compose())))"

    def run(seed: str) -> dict[str, str]:
        environment = {"PYTHONHASHSEED": seed, "TZ": f"UTC-{seed}", "LANG": "C", "PATH": "", "HOME": "/nonexistent"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        result: dict[str, str] = json.loads(done.stdout)
        return result

    assert run("1") == run("2") == sc.render(sc.compose())
