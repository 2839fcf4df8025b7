"""Attachments: a database, a cache, a bucket or a table beside the services, and who of them uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from scaleout_cfn.config.containers import NAME
from scaleout_cfn.config.tunables import Conflict, Section, tunable


class Attachment(Section, frozen=True, kw_only=True):
    """What all attachments have."""

    #: What the variables of its users end in.
    variables: ClassVar[tuple[str, ...]] = ()
    #: Whether it is in the network, so that its users need a security group of their own.
    has_group: ClassVar[bool] = False

    used_by: Annotated[
        tuple[Annotated[str, NAME], ...],
        tunable("Services and jobs that are told where it is and may use it; nobody else may.", max_length=40),
    ] = ()


class Postgres(Attachment, frozen=True, kw_only=True, tag_field="kind", tag="postgres"):
    """A PostgreSQL database on Amazon RDS, with a master password that RDS makes and keeps."""

    variables = ("HOST", "PORT", "NAME", "USERNAME", "PASSWORD", "SECRET_ARN")
    has_group = True

    # https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
    version: Annotated[
        Literal["14", "15", "16", "17", "18"],
        tunable("Major version; a newer one is an upgrade in place, with an outage, and no older one can follow."),
    ] = "17"
    instance_class: Annotated[
        str,
        tunable(
            "Size of the instance.",
            pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$",
            allowed="a class of RDS, as db.t4g.micro or db.m7g.large",
        ),
    ] = "db.t4g.micro"
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
    storage_gib: Annotated[int, tunable("Storage to begin with.", unit="GiB", ge=20, le=65536)] = 20
    max_storage_gib: Annotated[
        int, tunable("What the storage may grow to by itself; 0 for not at all.", unit="GiB", ge=0, le=65536)
    ] = 100
    multi_az: Annotated[bool, tunable("A standby in another zone, which takes over by itself; twice the price.")] = (
        False
    )
    database: Annotated[
        str,
        tunable(
            "The database that is made in it.",
            pattern="^[a-z_][a-z0-9_]{0,62}$",
            allowed="1 to 63 lower case letters, digits and _, no digit at first",
        ),
    ] = "app"
    backup_days: Annotated[
        int, tunable("How long daily backups and the log between them are kept; 0 for none.", unit="days", ge=0, le=35)
    ] = 7
    deletion_protection: Annotated[
        bool, tunable("Refuse to delete it. A first deployment that fails then cannot be undone by itself either.")
    ] = False


class Valkey(Attachment, frozen=True, kw_only=True, tag_field="kind", tag="valkey"):
    """A Valkey cache on Amazon ElastiCache, which speaks TLS alone."""

    variables = ("HOST", "PORT")
    has_group = True

    version: Annotated[Literal["7.2", "8.0", "8.1"], tunable("Version of the engine; none can be gone back from.")] = (
        "8.0"
    )
    node_type: Annotated[
        str,
        tunable(
            "Size of a node.",
            pattern=r"^cache\.[a-z0-9-]+\.[a-z0-9-]+$",
            allowed="a type of ElastiCache, as cache.t4g.micro or cache.m7g.large",
        ),
    ] = "cache.t4g.micro"
    nodes: Annotated[
        int, tunable("Nodes: one is written to, each other is a copy in another zone that takes over.", ge=1, le=6)
    ] = 2
    snapshot_days: Annotated[
        int, tunable("How long daily snapshots are kept; 0 for none.", unit="days", ge=0, le=35)
    ] = 0


class Bucket(Attachment, frozen=True, kw_only=True, tag_field="kind", tag="bucket"):
    """A private S3 bucket, versioned and encrypted, that speaks TLS alone and outlives the set."""

    variables = ("BUCKET",)

    old_versions_days: Annotated[
        int,
        tunable(
            "How long what is overwritten or deleted is kept as an older version; 0 for ever.",
            unit="days",
            ge=0,
            le=3650,
        ),
    ] = 90


class Table(Attachment, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """A DynamoDB table, paid by request, with point-in-time recovery, that outlives the set."""

    variables = ("TABLE",)

    partition_key: Annotated[
        str,
        tunable(
            "The attribute that items are spread by. A change of a key makes an empty table; the old one is kept.",
            pattern=r"^[A-Za-z0-9_.-]{1,255}$",
            allowed="1 to 255 letters, digits and _ . -",
        ),
    ] = "id"
    partition_key_type: Annotated[Literal["S", "N", "B"], tunable("A string, a number or bytes.")] = "S"
    sort_key: Annotated[
        str,
        tunable(
            "The attribute that items of one partition key are in order of; empty for one item a key.",
            pattern=r"^[A-Za-z0-9_.-]{0,255}$",
            allowed="up to 255 letters, digits and _ . -, or nothing",
        ),
    ] = ""
    sort_key_type: Annotated[Literal["S", "N", "B"], tunable("A string, a number or bytes.")] = "S"
    deletion_protection: Annotated[
        bool, tunable("Refuse to delete it. A first deployment that fails then cannot be undone by itself either.")
    ] = False


AnyAttachment = Postgres | Valkey | Bucket | Table


def prefix_of(name: str) -> str:
    """What the variables of an attachment's users begin with: `ORDER_DESK` for `order-desk`."""
    return name.upper().replace("-", "_")


def used_by_conflicts(attachments: Mapping[str, AnyAttachment], users: Iterable[str]) -> Iterator[Conflict]:
    there = sorted(users)
    for name, section in sorted(attachments.items()):
        key = f"attachments.{name}.used_by"
        for user in section.used_by:
            if user not in there:
                yield Conflict(key, f"{user} is not there; the services and jobs are {', '.join(there) or 'none'}")
        if len(set(section.used_by)) < len(section.used_by):
            yield Conflict(key, "one is named twice; name each once")


def variable_conflicts(
    key: str, attachments: Mapping[str, AnyAttachment], environment: Mapping[str, str], secrets: Mapping[str, str]
) -> Iterator[Conflict]:
    """Whether a service, of the dotted key `key`, is told by itself what its attachments tell it."""
    for name, section in attachments.items():
        told = {f"{prefix_of(name)}_{variable}" for variable in section.variables}
        for where, variables in (("environment", environment), ("secrets", secrets)):
            for variable in sorted(told & set(variables)):
                yield Conflict(f"{key}.{where}.{variable}", f"is what attachments.{name} tells it; leave it out")


def attachment_conflicts(attachments: Mapping[str, AnyAttachment]) -> Iterator[Conflict]:
    for name, section in sorted(attachments.items()):
        key = f"attachments.{name}"
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
        if isinstance(section, Postgres) and 0 < section.max_storage_gib < section.storage_gib * 1.1:
            yield Conflict(
                f"{key}.max_storage_gib",
                f"got {section.max_storage_gib}, which has to be a tenth more than storage_gib ="
                f" {section.storage_gib} at least; give {-(-section.storage_gib * 11 // 10)}, or 0 for storage that"
                " does not grow",
            )
        if isinstance(section, Table) and section.partition_key == section.sort_key:
            yield Conflict(f"{key}.sort_key", f"got {section.sort_key}, which is the partition key; name another")
