"""What runs in a container, and what a task is: where its image comes from, how large it is, where files are."""

from typing import Annotated, Literal

import msgspec

from scaleout_cfn.config.ground import ARN, KEY_ARN
from scaleout_cfn.config.permissions import Permissions
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import (
    or_empty,
    problem_of_env_file,
    problem_of_image,
    problem_of_pull_from,
    problem_of_registry_secret,
    problem_of_resource_id,
    problem_of_secret,
)

#: Names of services and pools: titles and parameters are made of them, and from a title the name is known again.
NAME = tunable(
    "A name.",
    pattern="^(?=.{1,20}$)[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$",
    allowed="1 to 20 lower case letters and digits, in words that begin with a letter, with - between them",
)
VARIABLE = tunable(
    "A name.",
    pattern="^[A-Za-z_][A-Za-z0-9_]*$",
    allowed="a name of letters, digits and underscores, no digit at first",
)
OPTION = tunable(
    "A name.", pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", allowed="letters, digits and . _ -, a letter or digit at first"
)
SECRET = tunable(
    "An ARN.",
    pattern=ARN + "(ssm:[a-z0-9-]+:[0-9]{12}:parameter/.+|secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)$",
    problem_of=problem_of_secret,
)

PATH = tunable(
    "A path.",
    pattern="^/[A-Za-z0-9._/-]+$",
    allowed="a path that begins with a slash, of letters, digits and . _ / -",
)
TMPFS_SIZE = tunable("A size.", unit="MiB", ge=1, le=65536)
TMPFS = tunable("Writable memory file systems of the container, path to size; they count as its memory.", max_length=10)
REGISTRY_SECRET = tunable(
    "The Secrets Manager secret with username and password of image_uri's registry, where that is a private one and not"
    " ECR.",
    pattern=f"^$|{ARN}secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:[^:]+$",
    problem_of=or_empty(problem_of_registry_secret),
)


def image_tunable(meaning: str, *, may_be_empty: bool) -> msgspec.Meta:
    some = r"[a-zA-Z0-9][a-zA-Z0-9._/:-]*(@sha256:[0-9a-f]{64})?"
    return tunable(
        meaning,
        pattern=f"^({some})?$" if may_be_empty else f"^{some}$",
        allowed="an image with its tag or digest, as public.ecr.aws/nginx/nginx:1.27"
        + (", or nothing" if may_be_empty else ""),
        problem_of=or_empty(problem_of_image) if may_be_empty else problem_of_image,
        max_length=1024,
    )


#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
Capability = Literal[
    "DEFAULT",
    "AUDIT_CONTROL",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
]


class Container(Section, frozen=True, kw_only=True):
    """What a process is started with, and what it may."""

    command: Annotated[
        tuple[str, ...], tunable("The command of the container; empty for that of the image.", max_length=100)
    ] = ()
    entrypoint: Annotated[
        tuple[str, ...],
        tunable("What the command is given to; empty for that of the image.", max_length=100),
    ] = ()
    user: Annotated[
        str,
        tunable(
            "The user, and after a : the group, that the container runs as; empty for those of the image.",
            pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?)?$",
            allowed="names or numbers, as 10001 or www-data:www-data, or nothing",
        ),
    ] = ""
    working_directory: Annotated[
        str,
        tunable(
            "The folder that the command starts in; empty for that of the image.",
            pattern=r"^(/[!-~]*)?$",
            allowed="a path that begins with a slash, or nothing",
        ),
    ] = ""
    capabilities: Annotated[
        tuple[Annotated[Capability, tunable("A capability.")], ...],
        tunable(
            "Linux capabilities that the container has; without any it has none, and with DEFAULT those that Docker"
            " gives. An image that starts as root and then changes its user needs SETUID and SETGID at least."
        ),
    ] = ()
    ulimits: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "A limit.",
                    pattern="^(core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime"
                    "|sigpending|stack)$",
                    allowed="core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio,"
                    " rttime, sigpending or stack",
                ),
            ],
            Annotated[int, tunable("A number.", ge=-1, le=2147483647)],
        ],
        tunable("Limits of the container, name to number, which is both the soft and the hard limit; -1 for none."),
    ] = {}
    labels: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "A key.",
                    pattern=r"^(?!reaches$)[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$",
                    allowed="1 to 128 letters, digits and . _ / -, a letter or digit at first; not reaches, which is"
                    " the set's own",
                ),
            ],
            str,
        ],
        tunable("Docker labels of the container."),
    ] = {}
    environment: Annotated[
        dict[Annotated[str, VARIABLE], str],
        tunable("Environment variables of the container; no secrets, for anybody who may read the stack sees them."),
    ] = {}
    secrets: Annotated[
        dict[
            Annotated[str, VARIABLE],
            Annotated[str, SECRET],
        ],
        tunable("Environment variables read at start from SSM parameters or Secrets Manager secrets, by ARN."),
    ] = {}
    secrets_keys: Annotated[
        tuple[Annotated[str, KEY_ARN], ...],
        tunable(
            "KMS keys that the secrets are encrypted by, where these are neither AWS's nor the key of [encryption].",
            max_length=10,
        ),
    ] = ()
    read_only: Annotated[bool, tunable("Whether the container's root file system is read-only.")] = True
    tmpfs_mib: Annotated[dict[Annotated[str, PATH], Annotated[int, TMPFS_SIZE]], TMPFS] = msgspec.field(
        default_factory=lambda: {"/tmp": 64}
    )
    stop_timeout_s: Annotated[int, tunable("Time between SIGTERM and SIGKILL.", unit="seconds", ge=2, le=120)] = 30
    health_command: Annotated[
        tuple[str, ...], tunable("A command in the container that tells its health by its exit code; empty for none.")
    ] = ()
    health_interval_s: Annotated[
        int, tunable("Time between two runs of health_command.", unit="seconds", ge=5, le=300)
    ] = 10
    health_timeout_s: Annotated[int, tunable("Time in which health_command must end.", unit="seconds", ge=2, le=60)] = 5
    health_retries: Annotated[
        int, tunable("Failures of health_command in a row that make the container unhealthy.", ge=1, le=10)
    ] = 3
    health_start_s: Annotated[
        int,
        tunable("Time after the start in which failures of health_command do not count.", unit="seconds", ge=0, le=300),
    ] = 30
    environment_files: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "The ARN of an object.", pattern=r"^arn:aws[a-z-]*:s3:::.+/.*\.env$", problem_of=problem_of_env_file
                ),
            ],
            ...,
        ],
        tunable(
            "Objects in S3 whose lines NAME=value are variables too, by ARN. Of what is there twice environment counts,"
            " then the earlier file.",
            max_length=10,
        ),
    ] = ()
    log_driver: Annotated[
        Literal["awslogs", "fluentd", "gelf", "journald", "json-file", "splunk", "syslog"],
        tunable(
            "Who takes the logs: awslogs brings them to the log group in CloudWatch. Fargate and Managed Instances have"
            " splunk beside it, EC2 nodes all of them."
        ),
    ] = "awslogs"
    log_options: Annotated[
        dict[Annotated[str, OPTION], str], tunable("What log_driver is told, as splunk-url; not of awslogs.")
    ] = {}
    log_secret_options: Annotated[
        dict[Annotated[str, OPTION], Annotated[str, SECRET]],
        tunable("What log_driver is told of SSM parameters or Secrets Manager secrets, by ARN, as splunk-token."),
    ] = {}


class Task(Container, frozen=True, kw_only=True):
    """A container with its image, its size and the pool that it runs on."""

    capacity: Annotated[
        str,
        tunable(
            "The pool that its tasks run on: a NAME of [capacity.NAME].",
            pattern="^[a-z0-9-]*$",
            allowed="the name of a pool, or nothing where there is one pool",
        ),
    ] = ""
    image_of: Annotated[
        str,
        tunable(
            "The service whose image this one runs, too: one repository, one push, one parameter.",
            pattern="^[a-z0-9-]*$",
            allowed="the name of another service, or nothing",
        ),
    ] = ""
    image_uri: Annotated[
        str,
        image_tunable(
            "The image to run; empty for one that is pushed to the service's own repository.", may_be_empty=True
        ),
    ] = ""
    registry_secret: Annotated[str, REGISTRY_SECRET] = ""
    pull_from: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "The ARN of a repository, with * at its end for all that begin so.",
                    pattern=ARN + r"ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9][a-z0-9._/-]*\*?$",
                    problem_of=problem_of_pull_from,
                ),
            ],
            ...,
        ],
        tunable(
            "Other ECR repositories that images may be pulled from. One of another account has to let this one in by"
            " its own policy.",
            max_length=20,
        ),
    ] = ()
    architecture: Annotated[
        Literal["auto", "x86_64", "arm64"], tunable("Of the image. auto: that of the pool, and x86_64 on Fargate.")
    ] = "auto"
    cpu_units: Annotated[int, tunable("CPU of a task.", unit="1/1024 of a vCPU", ge=128, le=196608)] = 256
    memory_mib: Annotated[int, tunable("Memory of a task; more is killed.", unit="MiB", ge=32, le=3145728)] = 256
    gpus: Annotated[
        int,
        tunable("NVIDIA GPUs of a task, on EC2 nodes or Managed Instances that have them.", unit="GPUs", ge=0, le=16),
    ] = 0
    network_mode: Annotated[
        Literal["auto", "bridge", "awsvpc"],
        tunable(
            "bridge: tasks share the node's address, on dynamic ports. awsvpc: each task has a network interface and a"
            " security group. auto: bridge on EC2 nodes, where nothing else asks for awsvpc."
        ),
    ] = "auto"
    permissions: Annotated[
        Permissions | None, tunable("What the application may do at AWS; without it nothing at all.")
    ] = None
    sends_to: Annotated[
        tuple[Annotated[str, NAME], ...],
        tunable(
            "Workers whose queues it may send to, by name; it finds the address in MAILER_QUEUE_URL for mailer.",
            max_length=50,
        ),
    ] = ()


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


#: Those that are reached over the network of the task.
EFS = (EfsVolume, EfsOfService, ExistingEfs)
