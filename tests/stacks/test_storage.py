"""Volumes of a task: where they are mounted, who reaches them, and what becomes of what is on them."""

from __future__ import annotations

from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import att, made, of_type, properties, ref, resource

AIR: dict[str, Any] = {"air": sc.FargateCapacity()}
GIVEN = "fs-0123456789abcdef0"


def service(kind: type[Any] = sc.WebService, **settings: Any) -> Any:
    return kind(**{"cpu_units": 512, "memory_mib": 1024, "scaling": sc.Scaling(max_tasks=3), **settings})


def config(**settings: Any) -> sc.Config:
    return sc.Config(capacity=AIR, services={"web": service(**settings)})


def refusal(pools: dict[str, Any] | None = None, **settings: Any) -> str:
    with pytest.raises(sc.ConfigError) as raised:
        sc.compose(sc.Config(capacity=pools or AIR, services={"web": service(**settings)}))
    return str(raised.value)


def definition(of: sc.Config, name: str = "web") -> dict[str, Any]:
    return dict(properties(made(of), f"{name}-service", "TaskDefinition"))


def mounts(of: sc.Config, name: str = "web") -> dict[str, list[tuple[str, str, bool]]]:
    """By container: volume, path, and whether it may only be read."""
    return {
        container["Name"]: [
            (point["SourceVolume"], point["ContainerPath"], point["ReadOnly"])
            for point in container.get("MountPoints", [])
        ]
        for container in definition(of, name)["ContainerDefinitions"]
    }


def task_policies(of: sc.Config, name: str = "web") -> dict[str, list[dict[str, Any]]]:
    policies = properties(made(of), f"{name}-service", "TaskRole").get("Policies", [])
    return {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in policies}


def test_a_volume_is_where_its_containers_mount_it_and_some_may_only_read_it() -> None:
    one = config(
        sidecars={"helper": sc.ContainerSidecar(image_uri="public.ecr.aws/docker/library/alpine:3.22")},
        volumes={
            "shared": sc.BindVolume(mounts={"web": "/shared", "helper": "/in"}, read_only_for=("helper",)),
            "own": sc.BindVolume(mounts={"web": "/own"}),
        },
    )
    assert definition(one)["Volumes"] == [{"Name": "own"}, {"Name": "shared"}]
    assert mounts(one) == {
        "web": [("own", "/own", False), ("shared", "/shared", False)],
        "helper": [("shared", "/in", True)],
    }


def test_a_file_system_is_encrypted_backed_up_and_outlives_its_stack() -> None:
    files = made(config(volumes={"uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"})}))
    system = resource(files, "web-storage", "UploadsFileSystem")
    assert (system["DeletionPolicy"], system["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert system["Properties"]["Encrypted"] is True
    assert system["Properties"]["BackupPolicy"] == {"Status": "ENABLED"}
    # Without a policy of its own whoever reaches it may mount it.
    (statement,) = system["Properties"]["FileSystemPolicy"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    gone = made(config(volumes={"uploads": sc.EfsVolume(mounts={"web": "/u"}, keep=False, backup=False)}))
    system = resource(gone, "web-storage", "UploadsFileSystem")
    assert (system["DeletionPolicy"], system["Properties"]["BackupPolicy"]) == ("Delete", {"Status": "DISABLED"})


@pytest.mark.parametrize("zones", [2, 3])
def test_a_file_system_has_a_mount_target_in_each_zone(zones: int) -> None:
    volumes = {"uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"})}
    files = made(sc.Config(capacity=AIR, network=sc.NewVpc(zones=zones), services={"web": service(volumes=volumes)}))
    targets = of_type(files["web-storage.yaml"], "EFS::MountTarget")
    assert {target["SubnetId"]["Ref"] for target in targets.values()} == {
        f"Zone{number}Subnet" for number in range(1, zones + 1)
    }
    wires = files["root.yaml"]["Resources"]["WebStorage"]["Properties"]["Parameters"]
    assert wires["Zone1Subnet"] == att("Network", "Outputs.Zone1NodeSubnet")
    there = sc.ExistingVpc(vpc_id="vpc-0a1b2c3d", node_subnets=("subnet-0a1b2c3d", "subnet-0b1b2c3d"))
    balancer: Any = {"load_balancer": sc.NewLoadBalancer()}
    files = made(sc.Config(capacity=AIR, network=there, services={"web": service(volumes=volumes)}, **balancer))
    wires = files["root.yaml"]["Resources"]["WebStorage"]["Properties"]["Parameters"]
    assert (wires["Zone1Subnet"], wires["Zone2Subnet"]) == ("subnet-0a1b2c3d", "subnet-0b1b2c3d")


def test_a_file_system_is_reached_by_the_services_that_mount_it_and_by_nobody_else() -> None:
    services: dict[str, Any] = {
        "web": service(volumes={"uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"})}),
        "mailer": service(
            sc.WorkerService,
            image_of="web",
            volumes={"uploads": sc.EfsOfService(service="web", mounts={"mailer": "/in"}, read_only_for=("mailer",))},
        ),
        "other": service(sc.WorkerService, image_of="web"),
    }
    whole = sc.Config(capacity=AIR, services=services)
    files = made(whole)
    group = properties(files, "web-storage", "SecurityGroup")
    assert "SecurityGroupIngress" not in group
    for name, lets_in in (("web", True), ("mailer", True), ("other", False)):
        rules = of_type(files[f"{name}-foundation.yaml"], "EC2::SecurityGroupIngress")
        assert [rule["FromPort"] for rule in rules.values()] == ([2049] if lets_in else [])
        for rule in rules.values():
            assert rule["SourceSecurityGroupId"] == ref("SecurityGroup")
            assert rule["GroupId"] == ref("WebStorageGroup")
    allowed = {name: task_policies(whole, name).get("mount-uploads") for name in services}
    (own,), (others,) = allowed["web"] or [], allowed["mailer"] or []
    assert own["Action"] == ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    # Who only reads may only read.
    assert others["Action"] == ["elasticfilesystem:ClientMount"]
    assert allowed["other"] is None
    for statement in (own, others):
        assert "elasticfilesystem:AccessPointArn" in statement["Condition"]["StringEquals"]
    volume = definition(whole, "mailer")["Volumes"][0]["EFSVolumeConfiguration"]
    assert (volume["TransitEncryption"], volume["AuthorizationConfig"]["IAM"]) == ("ENABLED", "ENABLED")


def test_a_file_system_that_is_there_is_mounted_by_its_access_point_or_at_its_root() -> None:
    by_point = sc.ExistingEfs(
        file_system_id=GIVEN,
        access_point_id="fsap-0123456789abcdef0",
        security_group_id="sg-0123456789abcdef0",
        mounts={"web": "/archive"},
    )
    one = config(volumes={"archive": by_point})
    assert "web-storage.yaml" not in made(one)
    rules = of_type(made(one)["web-foundation.yaml"], "EC2::SecurityGroupIngress")
    assert [rule["GroupId"] for rule in rules.values()] == ["sg-0123456789abcdef0"]
    volume = definition(one)["Volumes"][0]["EFSVolumeConfiguration"]
    assert volume["FilesystemId"] == GIVEN
    assert volume["AuthorizationConfig"] == {"IAM": "ENABLED", "AccessPointId": "fsap-0123456789abcdef0"}
    (statement,) = task_policies(one)["mount-archive"]
    # Whoever comes by an access point is whom that says, and root of nothing.
    assert statement["Action"] == ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    at_root = config(volumes={"archive": sc.ExistingEfs(file_system_id=GIVEN, mounts={"web": "/a"})})
    (statement,) = task_policies(at_root)["mount-archive"]
    assert "elasticfilesystem:ClientRootAccess" in statement["Action"]
    assert "Condition" not in statement
    assert not of_type(made(at_root)["web-foundation.yaml"], "EC2::SecurityGroupIngress")


def test_a_disk_comes_with_each_task_by_a_role_that_makes_it() -> None:
    disk = sc.EbsVolume(mounts={"web": "/scratch"}, size_gib=50, iops=4000, throughput_mib_s=250, file_system="ext4")
    one = config(volumes={"scratch": disk})
    assert definition(one)["Volumes"] == [{"Name": "scratch", "ConfiguredAtLaunch": True}]
    (told,) = properties(made(one), "web-service", "Service")["VolumeConfigurations"]
    assert told["Name"] == "scratch"
    wanted = {"SizeInGiB": 50, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "FilesystemType": "ext4"}
    assert wanted.items() <= told["ManagedEBSVolume"].items()
    assert told["ManagedEBSVolume"]["Encrypted"] is True
    assert told["ManagedEBSVolume"]["RoleArn"] == att("VolumeRole", "Arn")
    (policy,) = properties(made(one), "web-service", "VolumeRole")["ManagedPolicyArns"]
    assert policy["Fn::Sub"].endswith("service-role/AmazonECSInfrastructureRolePolicyForVolumes")


def test_the_key_of_the_set_encrypts_its_file_systems_and_disks() -> None:
    volumes = {
        "uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"}),
        "scratch": sc.EbsVolume(mounts={"web": "/scratch"}),
    }
    files = made(sc.Config(capacity=AIR, encryption=sc.OwnKey(), services={"web": service(volumes=volumes)}))
    assert properties(files, "web-storage", "UploadsFileSystem")["KmsKeyId"] == ref("Key")
    (told,) = properties(files, "web-service", "Service")["VolumeConfigurations"]
    assert told["ManagedEBSVolume"]["KmsKeyId"] == ref("Key")
    (policy,) = properties(files, "web-service", "VolumeRole")["Policies"]
    assert {statement["Resource"][0]["Ref"] for statement in policy["PolicyDocument"]["Statement"]} == {"Key"}


def test_what_stands_in_mounts_what_the_service_does() -> None:
    both: dict[str, Any] = {"nodes": sc.Ec2Capacity(max_nodes=8), **AIR}
    web = service(
        capacity="nodes",
        volumes={"uploads": sc.EfsVolume(mounts={"web": "/srv/uploads"})},
        stand_in=sc.StandIn(capacity="air"),
    )
    files = made(sc.Config(capacity=both, services={"web": web}))
    assert "web-stand-in-storage.yaml" not in files
    assert mounts(sc.Config(capacity=both, services={"web": web}), "web-stand-in") == {
        "web-stand-in": [("uploads", "/srv/uploads", False)]
    }
    assert of_type(files["web-stand-in-foundation.yaml"], "EC2::SecurityGroupIngress")


def test_tasks_on_fargate_have_a_larger_disk_where_they_ask_for_it() -> None:
    assert definition(config(ephemeral_storage_gib=100))["EphemeralStorage"] == {"SizeInGiB": 100}
    assert "EphemeralStorage" not in definition(config())
    assert "got 20; allowed are 0 for the 20 that each task has, and 21 to 200" in refusal(ephemeral_storage_gib=20)
    nodes = {"nodes": sc.Ec2Capacity()}
    assert "ephemeral_storage_gib: is of Fargate, and nodes is ec2" in refusal(nodes, ephemeral_storage_gib=30)


def test_a_folder_of_the_node_is_for_nodes() -> None:
    volumes = {"logs": sc.BindVolume(host_path="/var/shared", mounts={"web": "/shared"})}
    nodes: dict[str, Any] = {"nodes": sc.Ec2Capacity()}
    whole = sc.Config(capacity=nodes, services={"web": service(volumes=volumes)})
    assert definition(whole)["Volumes"] == [{"Name": "logs", "Host": {"SourcePath": "/var/shared"}}]
    assert "logs.host_path: is for EC2 nodes, and air is fargate" in refusal(volumes=volumes)


def test_what_cannot_be_is_refused_with_the_cure() -> None:
    here = {"web": "/data"}
    for volumes, why in [
        (
            {"data": sc.BindVolume(mounts={})},
            "data.mounts: nobody mounts it; name a container and a path",
        ),
        ({"data": sc.BindVolume(mounts={"db": "/a"})}, "data.mounts.db: there is no such container; there are web"),
        (
            {"data": sc.BindVolume(mounts=here), "more": sc.BindVolume(mounts=here)},
            "more.mounts.web: /data is taken by services.web.volumes.data",
        ),
        ({"data": sc.BindVolume(mounts={"web": "/tmp"})}, "/tmp is taken by services.web.tmpfs_mib"),
        ({"data": sc.BindVolume(mounts=here, read_only_for=("db",))}, "read_only_for: db does not mount it"),
        ({"data": sc.BindVolume(mounts=here, read_only_for=("web",))}, "nobody can write to it, and it starts empty"),
        ({"data": sc.EfsOfService(service="db", mounts=here)}, "data.service: got 'db'; the services are web"),
        ({"data": sc.EfsOfService(service="web", mounts=here)}, 'web has no volume data of kind = "efs"'),
        (
            {"a": sc.EbsVolume(mounts={"web": "/a"}), "b": sc.EbsVolume(mounts={"web": "/b"})},
            "volumes.b: a is of EBS, and a task has one such",
        ),
        ({"a": sc.EbsVolume(mounts=here, volume_type="st1")}, "a.size_gib: got 20; st1 has 125 to 16384"),
        ({"a": sc.EbsVolume(mounts=here, volume_type="io2")}, "a.iops: is 0, and io2 needs a number"),
        ({"a": sc.EbsVolume(mounts=here, volume_type="gp2", iops=3)}, "a.iops: are not chosen for gp2"),
        ({"a": sc.EbsVolume(mounts=here, size_gib=4, iops=9000)}, "a.iops: got 9000; gp3 of 4 GiB has 3000 to 3000"),
        ({"a": sc.EbsVolume(mounts=here, throughput_mib_s=900)}, "got 900; with these iops gp3 has 125 to 750"),
        ({"a": sc.ExistingEfs(file_system_id="fs-1", mounts=here)}, "allowed is fs- and 17"),
    ]:
        assert why in refusal(volumes=volumes), why
    efs = {"data": sc.EfsVolume(mounts=here)}
    nodes: dict[str, Any] = {"nodes": sc.Ec2Capacity()}
    why = "is bridge, under which all tasks of a node would be let in to the file system of data"
    assert why in refusal(nodes, network_mode="bridge", volumes=efs)
    there = sc.ExistingVpc(vpc_id="vpc-0a1b2c3d")
    with pytest.raises(sc.ConfigError, match=r"network\.node_subnets: is empty, and services\.web has a file system"):
        sc.compose(sc.Config(capacity=AIR, network=there, services={"web": service(volumes=efs)}))


def test_a_pipeline_may_pass_on_the_role_that_makes_disks() -> None:
    pinned = "/aws/service/ecs/optimized-ami/amazon-linux-2023/1/image_id"
    pools: dict[str, Any] = {"nodes": sc.Ec2Capacity(machine_image=pinned)}
    for volumes, passed in [
        ({}, "ecs-tasks.amazonaws.com"),
        ({"a": sc.EbsVolume(mounts={"web": "/a"})}, ["ecs-tasks.amazonaws.com", "ecs.amazonaws.com"]),
    ]:
        web = service(volumes=volumes, pipeline=sc.GitHubPipeline(repository="shop/web"))
        files = made(sc.Config(capacity=pools, services={"web": web}))
        statements = [
            statement
            for role in of_type(files["web-pipeline.yaml"], "IAM::Role").values()
            for policy in role.get("Policies", [])
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        (passes,) = [statement for statement in statements if statement["Sid"] == "PassRoles"]
        assert passes["Condition"]["StringEquals"]["iam:PassedToService"] == passed
