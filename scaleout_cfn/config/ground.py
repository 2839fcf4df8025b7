"""What a set stands on: network, cluster, repositories, notifications, keys, and rules of the house."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from scaleout_cfn.config.tunables import Conflict, Section, tunable
from scaleout_cfn.grammars import (
    arn_of,
    or_empty,
    problem_of_cidr,
    problem_of_email,
    problem_of_key,
    problem_of_path_of_roles,
    problem_of_resource_id,
)

ARN = "^arn:aws[a-z0-9-]*:"
HOST_NAME = r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"
HOSTED_ZONE = "^Z[A-Z0-9]{1,31}$"
CERTIFICATE = ARN + "acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$"
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
SUBNET = tunable("A subnet.", pattern="^subnet-[0-9a-f]+$", problem_of=problem_of_resource_id("subnet"))


class NewVpc(Section, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """A VPC of the set's own."""

    cidr: Annotated[
        str,
        tunable(
            "IPv4 range of the VPC, /16 to /24; it is cut into eight equal subnets, of which a zone takes two.",
            pattern=r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/\d{1,2}$",
            problem_of=problem_of_cidr,
        ),
    ] = "10.0.0.0/16"
    zones: Annotated[int, tunable("Availability zones to spread over.", unit="zones", ge=2, le=4)] = 2
    egress: Annotated[
        Literal["nat-per-zone", "single-nat", "regional-nat", "public-subnets", "endpoints"],
        tunable(
            "The way out of the nodes: a NAT gateway in each zone, one for all, one regional NAT gateway, public"
            " subnets without NAT, or only interface endpoints to the AWS services in use and no way out."
        ),
    ] = "single-nat"
    ipv6: Annotated[bool, tunable("Dual-stack: IPv6 beside IPv4 in the VPC and on the load balancer.")] = False
    explicit_egress: Annotated[
        bool,
        tunable(
            "Let tasks and nodes out to the VPC's own addresses and by HTTPS alone; otherwise security groups let out"
            " to anywhere."
        ),
    ] = False
    flow_logs: Annotated[bool, tunable("Log the VPC's traffic to CloudWatch Logs.")] = False


class ExistingVpc(Section, frozen=True, kw_only=True, tag_field="kind", tag="existing"):
    """A VPC that is there already. The root stack asks for its ids; what is given here is their default."""

    vpc_id: Annotated[
        str, tunable("The VPC.", pattern="^(vpc-[0-9a-f]+)?$", problem_of=or_empty(problem_of_resource_id("vpc")))
    ] = ""
    load_balancer_subnets: Annotated[
        tuple[Annotated[str, SUBNET], ...],
        tunable("Subnets of the load balancer, in two zones at least.", max_length=6),
    ] = ()
    node_subnets: Annotated[
        tuple[Annotated[str, SUBNET], ...],
        tunable("Subnets of the nodes and tasks; they need a way out to the AWS services in use.", max_length=16),
    ] = ()
    ipv6: Annotated[bool, tunable("Whether the load balancer's subnets have IPv6 ranges to serve on.")] = False


class Registry(Section, frozen=True, kw_only=True):
    """The ECR repositories of the set, one for each service that has an image of its own."""

    mutable_tags: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A tag with * as wildcard.",
                    pattern=r"^[A-Za-z0-9._*-]{1,128}$",
                    allowed="a tag of 1 to 128 letters, digits and . _ -, with * for any of them",
                ),
            ],
            ...,
        ],
        tunable("Tags that may be moved to another image; all others are immutable.", max_length=5),
    ] = ()
    keep_images: Annotated[int, tunable("Tagged images to keep; older ones expire.", unit="images", ge=1, le=10000)] = (
        50
    )
    encryption: Annotated[
        Literal["auto", "AES256", "KMS"],
        tunable(
            "Encryption at rest. auto: by the key of [encryption], and AES256 where that is AWS's. KMS: by AWS's own"
            " key for ECR. A change replaces the repository."
        ),
    ] = "auto"
    empty_on_delete: Annotated[
        bool, tunable("Delete the repository with all its images when the stack is deleted; otherwise it is kept.")
    ] = False


class Cluster(Section, frozen=True, kw_only=True):
    """The ECS cluster. What its tasks run on are the pools of [capacity.NAME]."""

    name: Annotated[
        str,
        tunable(
            "Its name, where a company insists on one; empty for one that CloudFormation makes. A change makes the"
            " cluster and all its services anew.",
            pattern="^[A-Za-z0-9_-]{0,100}$",
            allowed="up to 100 letters, digits and _ -, or nothing",
        ),
    ] = ""
    container_insights: Annotated[
        Literal["disabled", "enabled", "enhanced"], tunable("Level of Container Insights; CloudWatch bills by metric.")
    ] = "disabled"
    exec_logs: Annotated[
        bool,
        tunable(
            "Log the sessions of ECS Exec to a log group of their own, kept as that of a service is; with a key of"
            " [encryption] they are encrypted by it, too."
        ),
    ] = False
    create_service_linked_role: Annotated[
        bool,
        tunable(
            "Make the ECS service-linked role: only in an account that has never used ECS, where it does not exist."
        ),
    ] = False


class Observability(Section, frozen=True, kw_only=True):
    """How long logs are kept, and who is told of alarms."""

    log_retention_days: Annotated[RetentionDays, tunable("How long logs are kept.", unit="days")] = 30
    bucket_logs: Annotated[
        bool,
        tunable("Log what is asked of the set's buckets to a bucket for that alone, which outlives the stack."),
    ] = False
    keep_logs: Annotated[bool, tunable("Keep the log groups when the stack is deleted.")] = False
    alarm_email: Annotated[
        str,
        tunable(
            "Who is told of alarms; empty for nobody.",
            pattern=r"^([^\s@]+@[^\s@]+\.[^\s@]+)?$",
            allowed="a mail address, as in ops@example.com, or nothing",
            problem_of=or_empty(problem_of_email),
            max_length=254,
        ),
    ] = ""


KEY_ARN = tunable("The ARN of a KMS key.", pattern=ARN + "kms:[a-z0-9-]+:[0-9]{12}:key/.+$", problem_of=problem_of_key)


class AwsKeys(Section, frozen=True, kw_only=True, tag_field="kind", tag="aws"):
    """The keys that AWS keeps for each of its services."""


class OwnKey(Section, frozen=True, kw_only=True, tag_field="kind", tag="own"):
    """One KMS key of the set's own, with its policy, alias and yearly rotation; it outlives the stack."""


class GivenKey(Section, frozen=True, kw_only=True, tag_field="kind", tag="given"):
    """A KMS key that is there, whose policy lets in what docs/security.md lists."""

    key_arn: Annotated[str, KEY_ARN]


def secrets_keys_conflicts(key: str, secrets: Mapping[str, str], keys: Sequence[str]) -> Iterator[Conflict]:
    """What of `secrets_keys`, of the section with the dotted key `key`, can open none of its secrets.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    if keys and not secrets:
        yield Conflict(f"{key}.secrets_keys", f"{key} has no secrets that they could open; leave it out")
        return
    regions = {arn.region for text in secrets.values() if (arn := arn_of(text))}
    for number, text in enumerate(keys):
        arn = arn_of(text)
        if arn and arn.region not in regions:
            there = ", ".join(sorted(regions))
            yield Conflict(
                f"{key}.secrets_keys[{number}]",
                f"is in {arn.region}, and the secrets of {key} are in {there}; a secret's key is in its region",
            )


class Roles(Section, frozen=True, kw_only=True):
    """The IAM roles of the set."""

    path: Annotated[
        str,
        tunable(
            "The path of roles, instance profiles and policies. A change makes them anew.",
            pattern="^/([!-~]{1,510}/)?$",
            problem_of=problem_of_path_of_roles,
        ),
    ] = "/"
    prefix: Annotated[
        str,
        tunable(
            "What the names of roles begin with; empty for names that CloudFormation makes. A change makes them anew,"
            " and whoever deploys acknowledges CAPABILITY_NAMED_IAM.",
            pattern=r"^[\w+=,.@-]{0,12}$",
            allowed="up to 12 letters, digits and + = , . @ _ -, or nothing",
        ),
    ] = ""
    inline_policies: Annotated[
        bool, tunable("Whether policies are part of their roles; false for managed ones, as some auditors ask.")
    ] = True


def tag_conflicts(required: Sequence[str], tags: Mapping[str, str]) -> Iterator[Conflict]:
    if missing := [key for key in required if key not in tags]:
        lacks, example = " and no ".join(missing), ", ".join(f'"{key}" = "..."' for key in missing)
        yield Conflict("tags", f"has no {lacks}, which required_tags asks for; give tags = {{{example}}}")


def names_given(cluster: str, services: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names that a config gives at AWS, by key: of the cluster, and of services by theirs."""
    named = [("cluster.name", cluster), *((f"services.{name}.service_name", text) for name, text in services.items())]
    return [(key, text) for key, text in named if text]


def name_remarks(named: Sequence[tuple[str, str]]) -> Iterator[Conflict]:
    """What a name of one's own means, which one that CloudFormation makes does not."""
    for key, text in named:
        whose = "cluster of the account and region" if key == "cluster.name" else "service of a cluster"
        yield Conflict(
            key,
            f"no other {whose} may be called {text}: a second set with it collides with this one, and so does what"
            " makes this one anew; give another name then",
        )


def name_conflicts(named: Sequence[tuple[str, str]]) -> Iterator[Conflict]:
    first: dict[str, str] = {}
    for key, text in named:
        if key != "cluster.name" and first.setdefault(text, key) != key:
            yield Conflict(key, f"{text} is that of {first[text]}, too; a cluster has one service of a name")
