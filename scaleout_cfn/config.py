"""Every tunable once: its type, default, meaning, unit and bounds.

`Config()` is the default set. Sections are frozen: `msgspec.structs.replace(config.scaling, max_tasks=40)` gives a
changed copy. Choices that exclude each other are unions of sections, told apart by `kind`.
`conflicts(config)` names what no single bound can express.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec

from scaleout_cfn.grammars import (
    arn_of,
    ecr_repository,
    known_regions,
    or_empty,
    partition_of,
    problem_of_account,
    problem_of_boundary,
    problem_of_branch,
    problem_of_bucket,
    problem_of_certificate,
    problem_of_cidr,
    problem_of_connection,
    problem_of_email,
    problem_of_folder,
    problem_of_host_name,
    problem_of_hosted_zone,
    problem_of_image,
    problem_of_oidc_provider,
    problem_of_path,
    problem_of_pull_from,
    problem_of_region,
    problem_of_repository,
    problem_of_resource_id,
    problem_of_secret,
    problem_of_stack_name,
    problem_of_tag_key,
    problem_of_tag_value,
    remark_on_cidr,
)
from scaleout_cfn.scaling import Scaling
from scaleout_cfn.tunables import Section, tunable

__all__ = [
    "Certificate",
    "Cluster",
    "Config",
    "Deployment",
    "Domain",
    "ExistingVpc",
    "GitHubPipeline",
    "HealthCheck",
    "Http",
    "LoadBalancer",
    "NewVpc",
    "NoPipeline",
    "Observability",
    "Pipeline",
    "Registry",
    "RegistryPipeline",
    "Scaling",
    "Service",
    "SourcePipeline",
    "conflicts",
    "may_pull",
    "remarks",
    "unreachable",
]

ARN = "^arn:aws[a-z0-9-]*:"
HOST_NAME = r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"


TLS = tunable(
    "The security policy of the listener.",
    pattern="^ELBSecurityPolicy-",
    allowed=f"the name of one of Elastic Load Balancing's policies, as {TLS_POLICY}",
)
SUBNET = tunable("A subnet.", pattern="^subnet-[0-9a-f]+$", problem_of=problem_of_resource_id("subnet"))
VARIABLE = tunable(
    "A name.",
    pattern="^[A-Za-z_][A-Za-z0-9_]*$",
    allowed="a name of letters, digits and underscores, no digit at first",
)


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
    """The ECR repository of the service's image."""

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
    encryption: Annotated[
        Literal["AES256", "KMS"],
        tunable("Encryption at rest; KMS uses AWS's own key for ECR. A change replaces the repository."),
    ] = "AES256"
    empty_on_delete: Annotated[
        bool, tunable("Delete the repository with all its images when the stack is deleted; otherwise it is kept.")
    ] = False


class Http(Section, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """Plain HTTP on port 80."""


class Certificate(Section, frozen=True, kw_only=True, tag_field="kind", tag="certificate"):
    """HTTPS on port 443 with a given certificate; port 80 redirects."""

    certificate_arn: Annotated[
        str,
        tunable(
            "An issued ACM certificate in the stack's region.",
            pattern=ARN + "acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$",
            problem_of=problem_of_certificate,
        ),
    ]
    domain_name: Annotated[
        str,
        tunable(
            "A name that the certificate is for: ServiceUrl's. A DNS record of your own leads it to the load balancer.",
            pattern=HOST_NAME,
            problem_of=problem_of_host_name,
        ),
    ]
    tls_policy: Annotated[str, TLS] = TLS_POLICY


class Domain(Section, frozen=True, kw_only=True, tag_field="kind", tag="domain"):
    """HTTPS on port 443 with a certificate made for a domain, and the domain's alias records; port 80 redirects."""

    domain_name: Annotated[
        str,
        tunable(
            "The service's name.",
            pattern=HOST_NAME,
            problem_of=problem_of_host_name,
        ),
    ]
    hosted_zone_id: Annotated[
        str,
        tunable(
            "The public Route 53 hosted zone that holds the name.",
            pattern="^Z[A-Z0-9]{1,31}$",
            problem_of=problem_of_hosted_zone,
        ),
    ]
    tls_policy: Annotated[str, TLS] = TLS_POLICY


class HealthCheck(Section, frozen=True, kw_only=True):
    """How the load balancer finds out whether a task can serve."""

    path: Annotated[
        str, tunable("The path that is asked for.", pattern=r"^/[!-~]{0,1023}$", problem_of=problem_of_path)
    ] = "/health"
    interval_s: Annotated[int, tunable("Time between two checks.", unit="seconds", ge=5, le=300)] = 10
    timeout_s: Annotated[
        int, tunable("Time for an answer, shorter than the interval.", unit="seconds", ge=2, le=120)
    ] = 5
    healthy_count: Annotated[int, tunable("Good answers in a row that make a task healthy.", ge=2, le=10)] = 2
    unhealthy_count: Annotated[int, tunable("Bad answers in a row that make it unhealthy.", ge=2, le=10)] = 3


class LoadBalancer(Section, frozen=True, kw_only=True):
    """The application load balancer."""

    scheme: Annotated[Literal["internet-facing", "internal"], tunable("Who can reach it.")] = "internet-facing"
    listener: Annotated[Http | Certificate | Domain, tunable("HTTP, or HTTPS by a given certificate or a domain.")] = (
        Http()
    )
    health_check: Annotated[HealthCheck, tunable("The target group's health check.")] = HealthCheck()
    deregistration_delay_s: Annotated[
        int, tunable("Time that a task may finish its requests in before it is stopped.", unit="seconds", ge=0, le=3600)
    ] = 30
    idle_timeout_s: Annotated[
        int,
        tunable(
            "Idle time after which a connection is closed; the container's must be longer.",
            unit="seconds",
            ge=1,
            le=4000,
        ),
    ] = 60
    access_logs: Annotated[bool, tunable("Write access logs to an own bucket, which outlives the stack.")] = False
    access_logs_days: Annotated[int, tunable("How long access logs are kept.", unit="days", ge=1, le=3650)] = 90
    deletion_protection: Annotated[bool, tunable("Refuse to delete the load balancer until this is off again.")] = False


class Cluster(Section, frozen=True, kw_only=True):
    """The ECS cluster and its EC2 container instances."""

    architecture: Annotated[Literal["x86_64", "arm64"], tunable("Of the nodes and of the image.")] = "x86_64"
    instance_types: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "An EC2 instance type.",
                    pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$",
                    allowed="a family and a size with a dot between them, as in t3.small",
                ),
            ],
            ...,
        ],
        tunable(
            "Types to use, the preferred one first; several make Spot capacity easier to find.",
            min_length=1,
            max_length=40,
        ),
    ] = ("t3.small",)
    min_nodes: Annotated[int, tunable("Fewest nodes.", unit="nodes", ge=0, le=5000)] = 2
    max_nodes: Annotated[int, tunable("Most nodes.", unit="nodes", ge=1, le=5000)] = 5
    spot_percent: Annotated[
        int, tunable("Share of Spot among the nodes above the base.", unit="percent", ge=0, le=100)
    ] = 0
    on_demand_base: Annotated[int, tunable("Nodes that are On-Demand in any case.", unit="nodes", ge=0, le=5000)] = 0
    node_image: Annotated[
        str,
        tunable(
            "The public SSM parameter that names the machine image; by default the newest Amazon Linux 2023 ECS image."
            " A path with a version in it pins the image, so that an update of the stack does not roll the nodes.",
            pattern="^(/aws/service/[A-Za-z0-9_./-]+)?$",
            allowed="the path of a public parameter, which begins with /aws/service/, or nothing",
        ),
    ] = ""
    disk_gib: Annotated[int, tunable("Root volume of a node, encrypted gp3.", unit="GiB", ge=30, le=16384)] = 30
    container_insights: Annotated[
        Literal["disabled", "enabled", "enhanced"], tunable("Level of Container Insights; CloudWatch bills by metric.")
    ] = "disabled"
    update_batch: Annotated[
        int, tunable("Nodes that a rolling update replaces at once.", unit="nodes", ge=1, le=100)
    ] = 1
    update_timeout_min: Annotated[
        int, tunable("Time in which a new node must have registered with the cluster.", unit="minutes", ge=3, le=60)
    ] = 10
    create_service_linked_role: Annotated[
        bool,
        tunable(
            "Make the ECS service-linked role: only in an account that has never used ECS, where it does not exist."
        ),
    ] = False


class Deployment(Section, frozen=True, kw_only=True):
    """How a new version takes over, and when it is taken back."""

    minimum_healthy_percent: Annotated[
        int, tunable("Share of the tasks that must stay healthy meanwhile.", unit="percent", ge=0, le=100)
    ] = 100
    maximum_percent: Annotated[
        int, tunable("Share of the tasks that may run meanwhile.", unit="percent", ge=100, le=200)
    ] = 200
    failure_threshold: Annotated[
        int, tunable("Failed tasks after which the circuit breaker rolls back.", unit="tasks", ge=1, le=200)
    ] = 3
    alarms: Annotated[
        bool, tunable("Also roll back when targets answer 5xx or are unhealthy during the deployment.")
    ] = True
    health_check_grace_s: Annotated[
        int,
        tunable(
            "Time after its start in which failing health checks do not stop a task.", unit="seconds", ge=0, le=3600
        ),
    ] = 60


class Service(Section, frozen=True, kw_only=True):
    """The task definition and the service."""

    image_uri: Annotated[
        str,
        tunable(
            "The image to run, best by digest. Empty on the first deployment: everything but the service is made then,"
            " so that there is a repository to push to.",
            pattern=r"^([a-zA-Z0-9][a-zA-Z0-9._/:-]*(@sha256:[0-9a-f]{64})?)?$",
            allowed="an image with its tag or digest, as in 123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v1, or"
            " nothing",
            problem_of=or_empty(problem_of_image),
            max_length=1024,
        ),
    ] = ""
    container_port: Annotated[int, tunable("The port that the container listens on.", ge=1, le=65535)] = 8080
    cpu_units: Annotated[int, tunable("CPU of a task.", unit="1/1024 of a vCPU", ge=128, le=196608)] = 256
    memory_mib: Annotated[int, tunable("Memory of a task; more is killed.", unit="MiB", ge=32, le=3145728)] = 256
    network_mode: Annotated[
        Literal["bridge", "awsvpc"],
        tunable("bridge: tasks share the node's address, on dynamic ports. awsvpc: each task has a network interface."),
    ] = "bridge"
    environment: Annotated[
        dict[Annotated[str, VARIABLE], str],
        tunable("Environment variables of the container; no secrets, for anybody who may read the stack sees them."),
    ] = {}
    secrets: Annotated[
        dict[
            Annotated[str, VARIABLE],
            Annotated[
                str,
                tunable(
                    "An ARN.",
                    pattern=ARN
                    + "(ssm:[a-z0-9-]+:[0-9]{12}:parameter/.+|secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)$",
                    problem_of=problem_of_secret,
                ),
            ],
        ],
        tunable("Environment variables read at start from SSM parameters or Secrets Manager secrets, by ARN."),
    ] = {}
    read_only: Annotated[bool, tunable("Whether the container's root file system is read-only.")] = True
    tmpfs_mib: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "A path.",
                    pattern="^/[A-Za-z0-9._/-]+$",
                    allowed="a path that begins with a slash, of letters, digits and . _ / -",
                ),
            ],
            Annotated[int, tunable("A size.", unit="MiB", ge=1, le=65536)],
        ],
        tunable(
            "Writable memory file systems of the container, path to size; they count as its memory.", max_length=10
        ),
    ] = msgspec.field(default_factory=lambda: {"/tmp": 64})
    stop_timeout_s: Annotated[int, tunable("Time between SIGTERM and SIGKILL.", unit="seconds", ge=2, le=120)] = 30
    health_command: Annotated[
        tuple[str, ...], tunable("A command in the container that tells its health by its exit code; empty for none.")
    ] = ()
    exec: Annotated[bool, tunable("Allow a shell in a running task through ECS Exec; needs read_only = false.")] = False
    placement: Annotated[
        Literal["spread", "binpack"],
        tunable("spread: even over zones, then fill nodes. binpack: fill nodes first, with no zone rebalancing."),
    ] = "spread"
    zone_rebalancing: Annotated[
        bool, tunable("Let ECS move tasks between zones when they have become uneven; goes with placement = spread.")
    ] = True
    deployment: Annotated[Deployment, tunable("How a new version takes over.")] = Deployment()


class Observability(Section, frozen=True, kw_only=True):
    """Logs, alarms and the dashboard."""

    log_retention_days: Annotated[RetentionDays, tunable("How long logs are kept.", unit="days")] = 30
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
    error_percent: Annotated[
        float, tunable("Share of 5xx answers, over five minutes, that raises an alarm.", unit="percent", gt=0, le=100)
    ] = 5
    latency_s: Annotated[
        float,
        tunable(
            "p99 of the targets' response time, over five minutes, that raises an alarm.", unit="seconds", gt=0, le=900
        ),
    ] = 1
    utilization_percent: Annotated[
        float,
        tunable("Average CPU or memory use, over ten minutes, that raises an alarm.", unit="percent", gt=0, le=1000),
    ] = 90


class NoPipeline(Section, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """No pipeline: images come with `deploy`, or from the console."""


class Pipeline(Section, frozen=True, kw_only=True):
    """What all pipelines have in common: they end in a deployment of an image through CloudFormation."""

    approval: Annotated[bool, tunable("Whether somebody has to approve before an image is deployed.")] = False
    templates_bucket: Annotated[
        str,
        tunable(
            "The bucket that the set's templates lie in, which a deployment reads; empty for the one that"
            " `bootstrap` makes.",
            pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
            problem_of=or_empty(problem_of_bucket),
        ),
    ] = ""


class SourcePipeline(Pipeline, frozen=True, kw_only=True, tag_field="kind", tag="source"):
    """From a repository at GitHub, GitLab or Bitbucket: each push to a branch is built, pushed and deployed."""

    connection_arn: Annotated[
        str,
        tunable(
            "An available connection of AWS CodeConnections in the stack's region.",
            pattern=ARN + "(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/[0-9a-f-]+$",
            problem_of=problem_of_connection,
        ),
    ]
    repository: Annotated[
        str,
        tunable("The repository, as owner/name.", pattern=r"^[\w.-]+(/[\w.-]+)+$", problem_of=problem_of_repository),
    ]
    branch: Annotated[
        str, tunable("The branch whose pushes are deployed.", pattern=r"^[\w./-]{1,255}$", problem_of=problem_of_branch)
    ] = "main"
    context: Annotated[
        str,
        tunable(
            "The folder of the repository that holds the Dockerfile.",
            pattern=r"^[\w.][\w./-]*$",
            problem_of=problem_of_folder,
        ),
    ] = "."


class RegistryPipeline(Pipeline, frozen=True, kw_only=True, tag_field="kind", tag="registry"):
    """From the set's own ECR repository: each push of an image under a given tag is deployed."""

    image_tag: Annotated[
        str,
        tunable(
            "The tag whose pushes are deployed; one of registry.mutable_tags, for it moves.",
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
            allowed="a tag of 1 to 128 letters, digits and . _ -, no . or - at first",
        ),
    ] = "latest"


class GitHubPipeline(Pipeline, frozen=True, kw_only=True, tag_field="kind", tag="github"):
    """GitHub Actions: roles that the workflow printed by `ci github` takes on by OIDC, without keys."""

    repository: Annotated[
        str,
        tunable(
            "The repository, as the subject of its tokens names it: owner/name, with the numbers of both after a @"
            " where GitHub adds them.",
            pattern=r"^[\w.-]+(@\d+)?/[\w.-]+(@\d+)?$",
            allowed="owner/name, with one slash",
            problem_of=problem_of_repository,
        ),
    ]
    branch: Annotated[
        str, tunable("The branch whose pushes are deployed.", pattern=r"^[\w./-]{1,255}$", problem_of=problem_of_branch)
    ] = "main"
    context: Annotated[
        str,
        tunable(
            "The folder of the repository that holds the Dockerfile.",
            pattern=r"^[\w.][\w./-]*$",
            problem_of=problem_of_folder,
        ),
    ] = "."
    provider_arn: Annotated[
        str,
        tunable(
            "The account's OIDC provider for GitHub; empty to make it, once an account.",
            pattern=f"^$|{ARN}iam::[0-9]{{12}}:oidc-provider/token\\.actions\\.githubusercontent\\.com$",
            problem_of=or_empty(problem_of_oidc_provider),
        ),
    ] = ""


class Config(Section, frozen=True, kw_only=True):
    """Everything that a stack set can be told."""

    stack_name: Annotated[
        str,
        tunable(
            "Name of the root stack. The capacity provider's name starts with it, and must not start with aws, ecs or"
            " fargate.",
            pattern="^(?![aA][wW][sS]|[eE][cC][sS]|[fF][aA][rR][gG][aA][tT][eE])[A-Za-z][A-Za-z0-9-]{0,63}$",
            problem_of=problem_of_stack_name,
        ),
    ] = "web"
    tags: Annotated[
        dict[
            Annotated[str, tunable("A key.", pattern=r"^(?!aws:)[\w .:/=+@-]{1,128}$", problem_of=problem_of_tag_key)],
            Annotated[str, tunable("A value.", pattern=r"^[\w .:/=+@-]{1,256}$", problem_of=problem_of_tag_value)],
        ],
        tunable("Tags of every resource that takes tags.", max_length=40),
    ] = {}
    account_id: Annotated[
        str,
        tunable(
            "The only account that may be deployed to, checked before anything is written; empty for any.",
            pattern=r"^(\d{12})?$",
            problem_of=or_empty(problem_of_account),
        ),
    ] = ""
    bucket: Annotated[
        str,
        tunable(
            "The bucket that templates are uploaded to; empty for scaleout-ACCOUNT-REGION.",
            pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
            problem_of=or_empty(problem_of_bucket),
        ),
    ] = ""
    region: Annotated[
        str,
        tunable(
            "The region to deploy to, and the only one that may be; empty for that of the profile or environment.",
            pattern=r"^([a-z]{2,}(-[a-z]+)+-\d+)?$",
            problem_of=or_empty(problem_of_region),
        ),
    ] = ""
    permissions_boundary: Annotated[
        str,
        tunable(
            "ARN of the policy that bounds every role; empty for none.",
            pattern=f"^$|{ARN}iam::.+:policy/.+$",
            problem_of=or_empty(problem_of_boundary),
        ),
    ] = ""
    network: Annotated[NewVpc | ExistingVpc, tunable("A new VPC or an existing one.")] = NewVpc()
    registry: Annotated[Registry, tunable("The ECR repository.")] = Registry()
    load_balancer: Annotated[LoadBalancer, tunable("The application load balancer.")] = LoadBalancer()
    cluster: Annotated[Cluster, tunable("The ECS cluster and its nodes.")] = Cluster()
    service: Annotated[Service, tunable("The task definition and the service.")] = Service()
    scaling: Annotated[Scaling, tunable("How many tasks and nodes run.")] = Scaling()
    pipeline: Annotated[
        NoPipeline | SourcePipeline | RegistryPipeline | GitHubPipeline,
        tunable("What brings new images: nothing, a repository's pushes, the registry's pushes, or GitHub Actions."),
    ] = NoPipeline()
    observability: Annotated[Observability, tunable("Logs, alarms and the dashboard.")] = Observability()


def conflicts(config: Config) -> list[str]:
    """What single bounds cannot say: one line for each pair of tunables that exclude each other."""
    return [
        *_place(config),
        *_network(config),
        *_load_balancer(config),
        *_cluster(config),
        *_service(config),
        *_scaling(config),
        *_pipeline(config),
    ]


def remarks(config: Config) -> list[str]:
    """What AWS takes and few people mean: one line each, in the form of `conflicts`."""
    found = []
    if config.region and config.region not in known_regions():
        found.append(f"region: {config.region} is none of the regions that this version knows; it may be a new one")
    if isinstance(config.network, NewVpc) and (why := remark_on_cidr(config.network.cidr)):
        found.append(f"network.cidr: {why}")
    for name, text in config.service.secrets.items():
        arn = arn_of(text)
        if config.region and arn and arn.region != config.region:
            found.append(
                f"service.secrets.{name}: is in {arn.region}, where the set goes to {config.region}; tasks start only"
                " while both regions work"
            )
    return found


def unreachable(config: Config, image: str, region: str) -> str:
    """Why no node of a set in this region, empty where it is not known, has a way to the registry of an image.

    An interface endpoint for ECR leads to that of its own region:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    if not isinstance(config.network, NewVpc) or config.network.egress != "endpoints":
        return ""
    repository = arn_of(ecr_repository(image))
    if repository and (not region or repository.region == region):
        return ""
    where = f"to ECR in {repository.region}" if repository else "to a registry other than ECR"
    return (
        f'got {image}, where network.egress = "endpoints" leaves nodes no way {where}; push it to the stack\'s'
        ' repository by `image push`, or choose another egress, as "single-nat"'
    )


def may_pull(config: Config, image: str) -> bool:
    """Whether registry.pull_from lets tasks pull an image, or its registry, which is not ECR, asks nobody."""
    repository = ecr_repository(image)
    return not repository or any(
        repository.startswith(arn[:-1]) if arn.endswith("*") else repository == arn for arn in config.registry.pull_from
    )


def _place(config: Config) -> list[str]:
    """Whether what the config names by ARN can be used where the set goes to."""
    listener, pipeline = config.load_balancer.listener, config.pipeline
    #: Key, ARN, and whether it has to be of the set's region, and of its account.
    named = [(f"service.secrets.{name}", text, False, False) for name, text in config.service.secrets.items()]
    named += [
        (f"registry.pull_from[{number}]", text, False, False) for number, text in enumerate(config.registry.pull_from)
    ]
    named.append(("permissions_boundary", config.permissions_boundary, False, True))
    if isinstance(listener, Certificate):
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
        named.append(("load_balancer.listener.certificate_arn", listener.certificate_arn, True, True))
    if isinstance(pipeline, SourcePipeline):
        named.append(("pipeline.connection_arn", pipeline.connection_arn, True, False))
    if isinstance(pipeline, GitHubPipeline):
        named.append(("pipeline.provider_arn", pipeline.provider_arn, False, True))
    found: list[str] = []
    partitions: dict[str, str] = {}
    for key, text, of_region, of_account in named:
        arn = arn_of(text)
        if arn is None:
            continue
        partitions.setdefault(arn.partition, key)
        if of_region and config.region and arn.region != config.region:
            found.append(
                f"{key}: is in {arn.region}, where region is {config.region}; only one of the same region can be used:"
                f" make one in {config.region}"
            )
        elif config.region and arn.partition != partition_of(config.region):
            found.append(f"{key}: is in the partition {arn.partition}, where {config.region} is not; name one that is")
        elif of_account and config.account_id and arn.account not in (config.account_id, "aws"):
            found.append(
                f"{key}: is of the account {arn.account}, where account_id is {config.account_id}; only one of the same"
                " account can be used"
            )
    if len(partitions) > 1 and not config.region:
        (one, its_key), (other, other_key), *_ = partitions.items()
        found.append(f"{other_key}: is in the partition {other}, {its_key} in {one}; a set is in one")
    # IAM's keys differ by more than case: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
    folded = [key.lower() for key in config.tags]
    if twice := [key for key in config.tags if folded.count(key.lower()) > 1]:
        found.append(f"tags.{twice[1]}: differs from {twice[0]} in case only, which roles do not tell apart; keep one")
    return found


def _network(config: Config) -> list[str]:
    network, found = config.network, []
    if isinstance(network, ExistingVpc):
        if network.load_balancer_subnets and len(set(network.load_balancer_subnets)) < 2:
            found.append("network.load_balancer_subnets: a load balancer needs subnets in two zones at least; name two")
        return found
    if network.egress == "public-subnets" and config.service.network_mode == "awsvpc":
        found.append(
            'network.egress: "public-subnets" gives a way out only to addresses of nodes, and service.network_mode'
            ' = "awsvpc" gives tasks none; use "bridge" or a NAT'
        )
    return found


def _load_balancer(config: Config) -> list[str]:
    check, found = config.load_balancer.health_check, []
    if check.timeout_s >= check.interval_s:
        found.append(
            f"load_balancer.health_check.timeout_s: got {check.timeout_s}, which must be less than interval_s ="
            f" {check.interval_s}"
        )
    return found


def _cluster(config: Config) -> list[str]:
    cluster, found = config.cluster, []
    if cluster.min_nodes > cluster.max_nodes:
        found.append(f"cluster.min_nodes: got {cluster.min_nodes}, more than max_nodes = {cluster.max_nodes}")
    if cluster.on_demand_base > cluster.max_nodes:
        found.append(f"cluster.on_demand_base: got {cluster.on_demand_base}, more than max_nodes = {cluster.max_nodes}")
    if len(set(cluster.instance_types)) < len(cluster.instance_types):
        found.append("cluster.instance_types: a type is named twice; name each once")
    other = {"x86_64": "arm64", "arm64": "x86_64"}[cluster.architecture]
    if other in cluster.node_image:
        found.append(f"cluster.node_image: is for {other}, where architecture is {cluster.architecture}")
    nodes = config.scaling.nodes
    if nodes.min_step > nodes.max_step:
        found.append(f"scaling.nodes.min_step: got {nodes.min_step}, more than max_step = {nodes.max_step}")
    return found


def _service(config: Config) -> list[str]:
    service, found = config.service, []
    deployment = service.deployment
    if service.zone_rebalancing and service.placement == "binpack":
        found.append('service.zone_rebalancing: does not go with placement = "binpack"; use "spread" or turn it off')
    if service.zone_rebalancing and deployment.maximum_percent <= 100:
        found.append(
            f"service.deployment.maximum_percent: got {deployment.maximum_percent}; zone_rebalancing starts a task"
            " before it stops one and needs more than 100"
        )
    if sum(service.tmpfs_mib.values()) >= service.memory_mib:
        found.append(
            f"service.tmpfs_mib: {sum(service.tmpfs_mib.values())} MiB in all, which must be less than memory_mib ="
            f" {service.memory_mib}, for they count as the container's memory"
        )
    if service.exec and service.read_only:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
        found.append(
            "service.exec: the agent of ECS Exec writes to the root file system; set service.read_only = false"
        )
    if service.image_uri and (why := unreachable(config, service.image_uri, config.region)):
        found.append(f"service.image_uri: {why}")
    if both := sorted(set(service.environment) & set(service.secrets)):
        found.append(f"service.secrets: {', '.join(both)} also in service.environment; keep one of the two")
    return found


def _scaling(config: Config) -> list[str]:
    scaling, found = config.scaling, []
    if scaling.min_tasks > scaling.max_tasks:
        found.append(f"scaling.min_tasks: got {scaling.min_tasks}, more than max_tasks = {scaling.max_tasks}")
    for index, schedule in enumerate(scaling.schedules):
        if schedule.min_tasks > schedule.max_tasks:
            found.append(
                f"scaling.schedules[{index}].min_tasks: got {schedule.min_tasks}, more than its max_tasks ="
                f" {schedule.max_tasks}"
            )
    for kind, names in (
        ("schedules", [schedule.name for schedule in scaling.schedules]),
        ("step_policies", [policy.name for policy in scaling.step_policies]),
    ):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            found.append(f"scaling.{kind}: the name {', '.join(twice)} is there twice; names are unique")
    for index, policy in enumerate(scaling.step_policies):
        where = f"scaling.step_policies[{index}]"
        if policy.period_s < 60 and not scaling.high_resolution:
            found.append(
                f"{where}.period_s: got {policy.period_s}, where metrics come every 60 s; give 60, or set"
                " scaling.high_resolution = true"
            )
        if policy.min_adjustment_magnitude > 1 and policy.adjustment_type != "PercentChangeInCapacity":
            found.append(
                f"{where}.min_adjustment_magnitude: got {policy.min_adjustment_magnitude}, which goes with"
                f' adjustment_type = "PercentChangeInCapacity" and not with "{policy.adjustment_type}"; leave it out'
            )
        if policy.adjustment_type == "ExactCapacity" and min(step.adjustment for step in policy.steps) < 0:
            found.append(f"{where}.steps: an ExactCapacity of less than no task; give adjustments of 0 or more")
        distances = [step.distance for step in policy.steps]
        if distances[0] != 0 or distances != sorted(set(distances)):
            found.append(
                f"scaling.step_policies[{index}].steps: distances are {distances}; the first is 0 and each is larger"
                " than the one before"
            )
        if policy.when == "below" and distances[-1] >= policy.threshold_percent:
            found.append(
                f"scaling.step_policies[{index}].steps: a distance of {distances[-1]} below a threshold of"
                f" {policy.threshold_percent} percent can never be; keep distances below the threshold"
            )
    return found


def _pipeline(config: Config) -> list[str]:
    pipeline = config.pipeline
    if isinstance(pipeline, NoPipeline):
        return []
    found = []
    if config.service.image_uri:
        found.append(
            "service.image_uri: with a pipeline the image is what that has deployed, and the next deployment of the"
            " set would take it back to this one; leave it empty"
        )
    # CloudFormation reads SSM parameters anew at each update, UsePreviousValue or not.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/systems-manager-parameter-types.html
    if not config.cluster.node_image or "/recommended" in config.cluster.node_image:
        found.append(
            "cluster.node_image: follows AWS's newest image, so that a pipeline's deployment of a container would at"
            " times replace the nodes too; give a path with a version in it (docs/pipeline.md says how to find it)"
        )
    if isinstance(pipeline, RegistryPipeline):
        tags = config.registry.mutable_tags
        if not any(fnmatchcase(pipeline.image_tag, tag) for tag in tags):
            found.append(
                f"pipeline.image_tag: got {pipeline.image_tag}, which can be pushed only once; add it to"
                f" registry.mutable_tags, which is {list(tags)}"
            )
    return found
