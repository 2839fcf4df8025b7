"""Volumes of a task: where its containers keep files, and what becomes of them."""

from __future__ import annotations

from typing import Annotated, Literal

from scaleout_cfn.config.containers import NAME, PATH
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import or_empty, problem_of_resource_id


class Volume(Section, frozen=True, kw_only=True):
    """What all volumes have: containers that they are mounted in."""

    mounts: Annotated[
        dict[Annotated[str, NAME], Annotated[str, PATH]],
        tunable(
            "Where each container has it, name of the container to path; the service's is called as the service is."
        ),
    ]
    read_only_for: Annotated[
        tuple[Annotated[str, NAME], ...], tunable("Containers that may read it and not write to it.", max_length=10)
    ] = ()


class BindVolume(Volume, frozen=True, kw_only=True, tag_field="kind", tag="bind"):
    """A folder that containers of a task share, empty at its start and gone with it, or one of the node."""

    host_path: Annotated[
        str,
        tunable(
            "A folder of the node, which all its tasks share and which goes when the node does; empty for one of the"
            " task alone. On EC2 nodes only.",
            pattern="^(/[A-Za-z0-9._/-]+)?$",
            allowed="a path that begins with a slash, of letters, digits and . _ / -, or nothing",
        ),
    ] = ""


class EfsVolume(Volume, frozen=True, kw_only=True, tag_field="kind", tag="efs"):
    """A file system of the set's own in EFS, which all tasks of the service share."""

    uid: Annotated[
        int, tunable("The user that all files are written by, whoever a container runs as.", ge=0, le=65535)
    ] = 10001
    gid: Annotated[int, tunable("And the group.", ge=0, le=65535)] = 10001
    throughput: Annotated[
        Literal["elastic", "bursting"],
        tunable("elastic: as much as is asked for, billed by use. bursting: by how much is stored."),
    ] = "elastic"
    backup: Annotated[bool, tunable("Whether AWS Backup keeps a copy of each day, for 35 days.")] = True
    keep: Annotated[
        bool, tunable("Keep the file system when its stack goes; false deletes it with all that is in it.")
    ] = True


class EfsOfService(Volume, frozen=True, kw_only=True, tag_field="kind", tag="efs-of"):
    """The file system of another service's volume of the same name."""

    service: Annotated[
        str, tunable("The service whose volume it is.", pattern="^[a-z0-9-]+$", allowed="the name of a service")
    ]


class ExistingEfs(Volume, frozen=True, kw_only=True, tag_field="kind", tag="existing-efs"):
    """A file system that is there, in this account and region, with mount targets in the zones of the tasks."""

    file_system_id: Annotated[
        str, tunable("The file system.", pattern="^fs-[0-9a-f]+$", problem_of=problem_of_resource_id("fs"))
    ]
    access_point_id: Annotated[
        str,
        tunable(
            "The access point that it is mounted by; empty for its root.",
            pattern="^(fsap-[0-9a-f]+)?$",
            problem_of=or_empty(problem_of_resource_id("fsap")),
        ),
    ] = ""
    security_group_id: Annotated[
        str,
        tunable(
            "The security group of its mount targets, which then lets the service in; empty where it does already.",
            pattern="^(sg-[0-9a-f]+)?$",
            problem_of=or_empty(problem_of_resource_id("sg")),
        ),
    ] = ""


class EbsVolume(Volume, frozen=True, kw_only=True, tag_field="kind", tag="ebs"):
    """A volume of EBS of each task's own, made when it starts and deleted when it ends."""

    size_gib: Annotated[int, tunable("Its size.", unit="GiB", ge=1, le=16384)] = 20
    volume_type: Annotated[Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"], tunable("Its type.")] = "gp3"
    iops: Annotated[
        int, tunable("Operations a second, of gp3, io1 and io2; 0 for what the type has.", ge=0, le=256000)
    ] = 0
    throughput_mib_s: Annotated[int, tunable("Throughput, of gp3; 0 for what it has.", unit="MiB/s", ge=0, le=1000)] = 0
    file_system: Annotated[Literal["xfs", "ext4", "ext3"], tunable("What it is formatted with.")] = "xfs"


AnyVolume = BindVolume | EfsVolume | EfsOfService | ExistingEfs | EbsVolume
#: Those that are reached over the network of the task.
EFS = (EfsVolume, EfsOfService, ExistingEfs)
