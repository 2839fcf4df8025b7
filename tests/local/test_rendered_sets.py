"""What is rendered is created, updated and deleted on the emulator, through change sets with nested stacks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from one_service import one_service
from stacks.test_before_the_services import COGNITO, OIDC

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_service_set import running_image

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:"
DELETED_TOO = sc.Registry(empty_on_delete=True)


def parts(service: sc.WebService | None = None, **more: Any) -> dict[str, Any]:
    """Services and capacity of one service by its parts."""
    config = one_service(service, **more)
    return {"services": config.services, "capacity": config.capacity}


FRONT = sc.CloudFront(
    aliases=("shop.example.com",),
    certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab",
)
SETS = {
    "default": sc.Config(registry=DELETED_TOO),
    "three zones, NAT in each, everything scaled": sc.Config(
        registry=sc.Registry(empty_on_delete=True, mutable_tags=("latest",)),
        network=sc.NewVpc(zones=3, egress="nat-per-zone", flow_logs=True),
        **parts(
            scaling=sc.Scaling(
                memory=sc.TargetTracking(enabled=True, target=75),
                requests=sc.TargetTracking(enabled=True, target=600),
                step_policies=(sc.StepScaling(name="Surge", threshold=90, steps=(sc.StepAdjustment(adjustment=3),)),),
                schedules=(sc.Schedule(name="night", at="cron(0 22 * * ? *)", min_tasks=2, max_tasks=4),),
            )
        ),
        tags={"team": "shop"},
    ),
    "IPv6, HTTPS for a domain": sc.Config(
        registry=DELETED_TOO,
        network=sc.NewVpc(ipv6=True),
        load_balancer=sc.NewLoadBalancer(
            listener=sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")
        ),
        observability=sc.Observability(alarm_email="ops@example.com"),
    ),
    "regional NAT, a network interface a task, Spot": sc.Config(
        registry=DELETED_TOO,
        network=sc.NewVpc(egress="regional-nat"),
        **parts(
            sc.WebService(network_mode="awsvpc", exec=True, read_only=False),
            scaling=sc.Scaling(max_tasks=6, pulse=sc.NginxPulse(target_rps=30, port=8081)),
            nodes=sc.Ec2Capacity(
                instance_types=("m7i.large", "m6i.large"), spot_percent=70, on_demand_base=1, max_nodes=4
            ),
        ),
    ),
    "a web ACL, client certificates, users who sign in": sc.Config(
        registry=DELETED_TOO,
        load_balancer=sc.NewLoadBalancer(
            allowed_cidrs=("192.0.2.0/24",),
            allowed_prefix_lists={"pl-3b927c52": 55},
            listener=sc.Domain(
                domain_name="shop.example.com",
                hosted_zone_id="Z0123456789ABCDEFGHIJ",
                client_certificates=sc.CaBundle(bucket="authorities", key="clients/ca.pem"),
            ),
            waf=sc.NewWebAcl(),
        ),
        **parts(sc.WebService(sign_in=OIDC)),
    ),
    "behind CloudFront": sc.Config(
        registry=DELETED_TOO,
        load_balancer=sc.NewLoadBalancer(
            scheme="internal",
            allowed_prefix_lists={"pl-3b927c52": 55},
            listener=sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ"),
            cloudfront=FRONT,
        ),
        **parts(sc.WebService(sign_in=COGNITO)),
    ),
    "no way out": sc.Config(registry=DELETED_TOO, network=sc.NewVpc(egress="endpoints")),
    "sidecars of every kind": sc.Config(
        registry=DELETED_TOO,
        services={
            "web": sc.WebService(
                cpu_units=512,
                memory_mib=1024,
                environment_files=("arn:aws:s3:::shop-settings/prod.env",),
                sidecars={
                    "cache": sc.ContainerSidecar(
                        image_uri="public.ecr.aws/docker/library/memcached:1.6", ports=(11211,), essential=False
                    ),
                    "front": sc.ProxySidecar(),
                    "logs": sc.FireLensSidecar(
                        destination_arn="arn:aws:firehose:us-east-1:123456789012:deliverystream/logs"
                    ),
                    "setup": sc.InitSidecar(command=("migrate",)),
                    "telemetry": sc.OtelSidecar(),
                },
                scaling=sc.Scaling(max_tasks=6),
            )
        },
        capacity={"air": sc.FargateCapacity()},
    ),
    "volumes of every kind": sc.Config(
        registry=DELETED_TOO,
        services={
            "web": sc.WebService(
                cpu_units=512,
                memory_mib=1024,
                volumes={
                    "uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"}, keep=False, backup=False),
                    "archive": sc.ExistingEfs(
                        file_system_id="fs-0123456789abcdef0", mounts={"web": "/archive"}, read_only_for=("web",)
                    ),
                    "scratch": sc.EbsVolume(mounts={"web": "/scratch"}),
                    "shared": sc.BindVolume(mounts={"web": "/shared"}),
                },
                ephemeral_storage_gib=30,
                scaling=sc.Scaling(max_tasks=6),
            )
        },
        capacity={"air": sc.FargateCapacity()},
    ),
    "public subnets, internal": sc.Config(
        registry=DELETED_TOO,
        network=sc.NewVpc(egress="public-subnets"),
        load_balancer=sc.NewLoadBalancer(scheme="internal"),
    ),
}


def with_domain(account: Account, config: sc.Config) -> sc.Config:
    """The same, with a hosted zone that is there."""
    balancer = config.load_balancer
    if not isinstance(balancer, sc.NewLoadBalancer) or not isinstance(balancer.listener, sc.Domain):
        return config
    zone = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="tests")["HostedZone"]["Id"]
    replace = msgspec.structs.replace
    listener = replace(balancer.listener, hosted_zone_id=zone.rpartition("/")[2])
    return replace(config, load_balancer=replace(balancer, listener=listener))


@pytest.mark.parametrize("name", SETS)
def test_a_set_lives_from_its_first_deployment_without_an_image_to_its_end(name: str, account: Account) -> None:
    config = with_domain(account, SETS[name])
    account.emulator.stand_in(secrets=[OIDC.client_secret])
    url = helpers.upload(account, sc.render(sc.compose(config)))
    before = helpers.leftovers(account)
    values = {"TemplatesUrl": url}

    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    assert "WebService" not in helpers.children(account, stack["StackId"])

    values["WebImageUri"] = IMAGE + "1" * 64
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)
    assert "WebService" in helpers.children(account, stack["StackId"])
    assert running_image(account) == values["WebImageUri"]

    values["WebImageUri"] = IMAGE + "2" * 64
    change = helpers.change_set(account, "web", f"{url}/root.yaml", values)
    touched = {entry["ResourceChange"]["LogicalResourceId"] for entry in change["Changes"]}
    assert touched == {"WebService"}
    assert helpers.execute(account, change)["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)
    assert running_image(account) == values["WebImageUri"]

    values["WebScalingMaxTasks"] = "5"
    assert helpers.deploy(account, "web", f"{url}/root.yaml", values)["StackStatus"] == "UPDATE_COMPLETE"
    (target,) = account.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")[
        "ScalableTargets"
    ]
    assert target["MaxCapacity"] == 5

    assert helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    assert helpers.leftovers(account) == before


def test_a_changed_child_changes_and_the_others_stay(account: Account) -> None:
    config = SETS["default"]
    url = helpers.upload(account, sc.render(sc.compose(config)))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)

    observability = msgspec.structs.replace(config.observability, log_retention_days=7)
    changed = sc.render(sc.compose(msgspec.structs.replace(config, observability=observability)))
    s3 = account.client("s3")
    for name, text in changed.items():
        s3.put_object(Bucket=account.bucket, Key=f"v2/{name}", Body=text)
    values["TemplatesUrl"] = f"{url}/v2"
    stack = helpers.deploy(account, "web", f"{url}/v2/root.yaml", values)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)
    group = helpers.outputs(stack)["WebLogGroupName"]
    (found,) = account.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 7
    assert running_image(account) == values["WebImageUri"]
    helpers.delete(account, stack["StackId"])
    assert helpers.leftovers(account) == []


def test_the_same_again_is_no_change(account: Account) -> None:
    url = helpers.upload(account, sc.render(sc.compose(SETS["default"])))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    change = helpers.change_set(account, "web", f"{url}/root.yaml", values)
    assert change["Status"] == "FAILED"
    assert "didn't contain changes" in change["StatusReason"]


def test_two_sets_live_side_by_side(account: Account) -> None:
    url = helpers.upload(account, sc.render(sc.compose(SETS["default"])))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    stacks = [
        helpers.deploy(account, name, f"{url}/root.yaml", values, kind="CREATE") for name in ("web-one", "web-two")
    ]
    assert [stack["StackStatus"] for stack in stacks] == ["CREATE_COMPLETE"] * 2, helpers.failures(account)
    helpers.delete(account, stacks[0]["StackId"])
    assert running_image(account) == values["WebImageUri"]
    helpers.delete(account, stacks[1]["StackId"])
    assert helpers.leftovers(account) == []


def test_the_repository_and_nothing_else_outlives_the_default_set(account: Account) -> None:
    url = helpers.upload(account, sc.render(sc.compose()))
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", {"TemplatesUrl": url}, kind="CREATE")
    helpers.delete(account, stack["StackId"])
    left = helpers.leftovers(account)
    assert len(left) == 1
    assert "repository" in left[0].lower()


def test_a_vpc_that_is_there_already_is_used_and_left_alone(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    before = helpers.leftovers(account)
    network = sc.ExistingVpc(vpc_id=vpc, load_balancer_subnets=tuple(subnets), node_subnets=tuple(subnets))
    url = helpers.upload(account, sc.render(sc.compose(sc.Config(network=network, registry=DELETED_TOO))))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    assert len([group for group in groups if group["GroupName"] != "default"]) == 2
    assert "Network" not in helpers.children(account, stack["StackId"])
    helpers.delete(account, stack["StackId"])
    assert helpers.leftovers(account) == before


#: Three services on each kind of capacity: one that reaches another, and one by another command of the same image.
FEW = sc.Scaling(max_tasks=3)
POOLS: dict[str, Any] = {
    "ec2": sc.Ec2Capacity(max_nodes=20),
    "fargate": sc.FargateCapacity(spot_percent=50),
    "managed-instances": sc.ManagedCapacity(),
}
#: One of each kind side by side, and two of EC2.
MANY = {**POOLS, "graviton": sc.Ec2Capacity(architecture="arm64", instance_types=("m7g.large",), max_nodes=20)}
PLACES = {"web": "ec2", "api": "graviton", "mailer": "managed-instances", "blog": "fargate"}


def three(kind: str, *names: str) -> sc.Config:
    services: dict[str, Any] = {
        "web": sc.WebService(memory_mib=512, reaches=("api",), scaling=FEW),
        "api": sc.InternalService(memory_mib=512, scaling=FEW),
        "mailer": sc.WorkerService(memory_mib=512, image_of="web", command=("mail",), scaling=FEW),
        # Under bridge the first of a pool opens the nodes to the balancer, and their stack changes.
        "blog": sc.WebService(memory_mib=512, network_mode="awsvpc", route=sc.Route(paths=("/blog/*",)), scaling=FEW),
    }
    chosen = {name: services[name] for name in names or ("web", "api", "mailer")}
    if kind == "several":
        placed = {name: msgspec.structs.replace(service, capacity=PLACES[name]) for name, service in chosen.items()}
        return sc.Config(registry=DELETED_TOO, capacity=MANY, services=placed)
    return sc.Config(registry=DELETED_TOO, capacity={"pool": POOLS[kind]}, services=chosen)


def planned(account: Account, change: dict[str, Any]) -> dict[str, str]:
    """What a change set says of each resource: its action, or whether it is replaced."""
    cfn, plan = account.client("cloudformation"), {}
    for entry in cfn.describe_change_set(ChangeSetName=change["ChangeSetId"])["Changes"]:
        row = entry["ResourceChange"]
        plan[row["LogicalResourceId"]] = row.get("Replacement") or row["Action"]
        if "ChangeSetId" in row:
            nested = planned(account, {"ChangeSetId": row["ChangeSetId"]})
            plan |= {f"{row['LogicalResourceId']}/{name}": verdict for name, verdict in nested.items()}
    return plan


def brought(account: Account, config: sc.Config, **values: str) -> dict[str, str]:
    """Deploy a set, and tell what was planned."""
    url = helpers.upload(account, sc.render(sc.compose(config)))
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    given = {"TemplatesUrl": url, **values}
    change = helpers.change_set(account, "web", f"{url}/root.yaml", given, kind="UPDATE" if exists else "CREATE")
    plan = planned(account, change)
    stack = helpers.execute(account, change)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), helpers.failures(account)
    return plan


@pytest.mark.parametrize("kind", [*POOLS, "several"])
def test_services_come_get_images_and_go_without_touching_each_other(kind: str, account: Account) -> None:
    images = {"WebImageUri": IMAGE + "1" * 64, "ApiImageUri": ""}
    brought(account, three(kind), **images)
    children = helpers.children(account, helpers.described(account, "web")["StackId"])
    assert {name for name in children if name.endswith("Service")} == {"WebService", "MailerService"}
    images["ApiImageUri"] = IMAGE + "2" * 64
    first = brought(account, three(kind), **images)
    assert {name.partition("/")[0] for name, verdict in first.items() if verdict == "Add"} == {"ApiService"}
    # The tasks of the one that reaches it are new, or they would not find it.
    assert {name: verdict for name, verdict in first.items() if verdict != "Add"} == {
        "WebService": "False",
        "WebService/TaskDefinition": "True",
        "WebService/Service": "False",
    }

    images["ApiImageUri"] = IMAGE + "3" * 64
    assert brought(account, three(kind), **images) == {
        "ApiService": "False",
        "ApiService/TaskDefinition": "True",
        "ApiService/Service": "False",
    }

    images["BlogImageUri"] = IMAGE + "4" * 64
    names = ("web", "api", "mailer", "blog")
    added = brought(account, three(kind, *names), **images)
    assert {name.partition("/")[0] for name in added} == {"BlogFoundation", "BlogService", "Dashboard"}
    del images["BlogImageUri"]
    removed = brought(account, three(kind), **images)
    assert {name.partition("/")[0] for name in removed} == {"BlogFoundation", "BlogService", "Dashboard"}

    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    assert helpers.leftovers(account) == []
