"""Services: what runs. Each is a web, an internal or a worker service, with its own image, size and scaling."""

from collections.abc import Mapping
from typing import Annotated, Literal

from scaleout_cfn.config.balancer import Cognito, Oidc
from scaleout_cfn.config.containers import NAME, BindVolume, EbsVolume, EfsOfService, EfsVolume, ExistingEfs, Task
from scaleout_cfn.config.delivery import (
    BlueGreen,
    Canary,
    Linear,
    Rolling,
    WebBlueGreen,
    WebCanary,
    WebLinear,
    WebRolling,
)
from scaleout_cfn.config.ground import ARN, CERTIFICATE, HOSTED_ZONE
from scaleout_cfn.config.scaling import Scaling
from scaleout_cfn.config.sidecars import (
    AFTER,
    ContainerSidecar,
    FireLensSidecar,
    InitSidecar,
    OtelSidecar,
    ProxySidecar,
)
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import (
    or_empty,
    problem_of_branch,
    problem_of_bucket,
    problem_of_certificate,
    problem_of_connection,
    problem_of_folder,
    problem_of_hosted_zone,
    problem_of_oidc_provider,
    problem_of_path,
    problem_of_repository,
)


class Queue(Section, frozen=True, kw_only=True):
    """An SQS queue with a dead-letter queue. How much of it waits moves the number of the worker's tasks.

    The acceptable backlog of a task is the latency that is accepted by the time that a message takes:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
    """

    fifo: Annotated[
        bool, tunable("In order, and each message once. A change makes the queue anew, and keeps the old one.")
    ] = False
    visibility_s: Annotated[
        int,
        tunable(
            "Time that a received message is hidden from other tasks; one that was not deleted by then comes again.",
            unit="seconds",
            ge=1,
            le=43200,
        ),
    ] = 120
    retention_days: Annotated[
        int, tunable("How long a message waits at most; the dead-letter queue keeps 14.", unit="days", ge=1, le=14)
    ] = 4
    max_receives: Annotated[
        int, tunable("How often a message is received before it goes to the dead-letter queue.", ge=1, le=1000)
    ] = 5
    latency_s: Annotated[
        float,
        tunable("How long a message may wait, as tasks are added for it.", unit="seconds", gt=0, le=43200),
    ] = 60
    seconds_per_message: Annotated[
        float, tunable("How long a task works on a message, on average.", unit="seconds", gt=0, le=43200)
    ] = 1
    oldest_s: Annotated[
        int, tunable("Age of the oldest message that raises an alarm.", unit="seconds", ge=60, le=43200)
    ] = 900

    @property
    def messages_per_task(self) -> float:
        """The backlog of a task that its latency allows: what scaling keeps."""
        return round(self.latency_s / self.seconds_per_message, 3)


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
    codes: Annotated[
        str,
        tunable(
            "The answers that are good: HTTP's, 200 to 499, or with protocol = grpc gRPC's, 0 to 99; several by commas,"
            " ranges by -.",
            pattern=r"^[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*$",
            allowed="numbers and ranges of numbers by commas, as in 200 or 200-299,301",
        ),
    ] = "200"
    port: Annotated[
        int,
        tunable("The port of the task that is asked; 0 for container_port. Needs awsvpc.", ge=0, le=65535),
    ] = 0
    protocol: Annotated[Literal["HTTP", "HTTPS"], tunable("How it is asked.")] = "HTTP"


class Route(Section, frozen=True, kw_only=True):
    """Which requests a service gets. Without paths, hosts, headers and query it gets what no other service claims.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
    """

    paths: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A path, with * for any characters and ? for one.",
                    pattern=r"^/[A-Za-z0-9_.$/~\"'@:+*?&-]{0,127}$",
                    allowed="a path of up to 128 characters that begins with a slash, as in /api/*",
                ),
            ],
            ...,
        ],
        tunable("Paths whose requests it gets, as in /api/*."),
    ] = ()
    hosts: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A host name, with * for any characters and ? for one.",
                    pattern=r"^[a-z0-9*?][a-z0-9.*?-]{0,126}[a-z0-9*?]$",
                    allowed="a host name in lower case, as in api.example.com or *.example.com",
                ),
            ],
            ...,
        ],
        tunable("Host names whose requests it gets."),
    ] = ()
    headers: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "The name of a header.",
                    pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$",
                    allowed="the name of a header, of 1 to 40 characters",
                ),
            ],
            Annotated[
                str,
                tunable(
                    "A value, with * for any characters and ? for one.",
                    pattern=r"^[ -~]{1,128}$",
                    allowed="1 to 128 printable ASCII characters",
                ),
            ],
        ],
        tunable("Headers that a request must have, name to value."),
    ] = {}
    query: Annotated[
        dict[
            Annotated[
                str,
                tunable("A key.", pattern=r"^[!-~]{1,128}$", allowed="1 to 128 printable ASCII characters, no space"),
            ],
            Annotated[
                str,
                tunable(
                    "A value, with * for any characters and ? for one.",
                    pattern=r"^[!-~]{1,128}$",
                    allowed="1 to 128 printable ASCII characters, no space",
                ),
            ],
        ],
        tunable("Query parameters that a request must have, key to value."),
    ] = {}
    priority: Annotated[
        int,
        tunable(
            "Place among the rules of the listener, the lowest first; 0 for one that is made of the route and the name"
            " and never moves.",
            ge=0,
            le=50000,
        ),
    ] = 0
    certificate_arn: Annotated[
        str,
        tunable(
            "An issued ACM certificate for the hosts, beside that of the listener; the client's SNI chooses it.",
            pattern=f"^$|{CERTIFICATE}",
            problem_of=or_empty(problem_of_certificate),
        ),
    ] = ""
    hosted_zone_id: Annotated[
        str,
        tunable(
            "The public Route 53 hosted zone of the hosts: a certificate and alias records are made in it.",
            pattern=f"^$|{HOSTED_ZONE}",
            problem_of=or_empty(problem_of_hosted_zone),
        ),
    ] = ""


class Alarms(Section, frozen=True, kw_only=True):
    """What raises an alarm."""

    utilization_percent: Annotated[
        float,
        tunable("Average CPU or memory use, over ten minutes, that raises an alarm.", unit="percent", gt=0, le=1000),
    ] = 90


class WebAlarms(Alarms, frozen=True, kw_only=True):
    """What raises an alarm of a service that answers requests."""

    error_percent: Annotated[
        float, tunable("Share of 5xx answers, over five minutes, that raises an alarm.", unit="percent", gt=0, le=100)
    ] = 5
    latency_s: Annotated[
        float,
        tunable(
            "p99 of the targets' response time, over five minutes, that raises an alarm.", unit="seconds", gt=0, le=900
        ),
    ] = 1


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


class Service(Task, frozen=True, kw_only=True):
    """What all kinds of services have."""

    reaches: Annotated[
        tuple[Annotated[str, NAME], ...],
        tunable("Internal services that it may reach, by name; only those let it in.", max_length=50),
    ] = ()
    after: Annotated[
        AFTER, tunable("Sidecars that the service's container starts after, by name, as theirs; it is stopped before.")
    ] = {}
    sidecars: Annotated[
        Mapping[
            Annotated[str, NAME],
            ContainerSidecar | InitSidecar | FireLensSidecar | OtelSidecar | ProxySidecar,
        ],
        tunable("Containers beside that of the service, by name; their sizes are parts of the task's.", max_length=9),
    ] = {}
    volumes: Annotated[
        Mapping[Annotated[str, NAME], BindVolume | EfsVolume | EfsOfService | ExistingEfs | EbsVolume],
        tunable("Volumes of the task, by name.", max_length=10),
    ] = {}
    ephemeral_storage_gib: Annotated[
        int, tunable("Disk of a task on Fargate, 21 to 200; 0 for the 20 that each has.", unit="GiB", ge=0, le=200)
    ] = 0
    service_name: Annotated[
        str,
        tunable(
            "The name of the ECS service, where a company insists on one; empty for one that CloudFormation makes. A"
            " change makes the service anew.",
            pattern="^[A-Za-z0-9_-]{0,100}$",
            allowed="up to 100 letters, digits and _ -, or nothing",
        ),
    ] = ""
    cpu_is: Annotated[
        Literal["auto", "share", "quota"],
        tunable(
            "What cpu_units are. share: tasks have that much for certain, and use what is idle of their node beside it."
            " quota: no task ever uses more. auto: share on EC2 nodes, quota elsewhere, where there is nothing else."
        ),
    ] = "auto"
    exec: Annotated[bool, tunable("Allow a shell in a running task through ECS Exec; wants read_only = false.")] = False
    placement: Annotated[
        Literal["spread", "binpack"],
        tunable("spread: even over zones, then fill nodes. binpack: fill nodes first, with no zone rebalancing."),
    ] = "spread"
    zone_rebalancing: Annotated[
        bool, tunable("Let ECS move tasks between zones when they have become uneven; goes with placement = spread.")
    ] = True
    scaling: Annotated[Scaling, tunable("How many tasks run, and what moves them.")] = Scaling()
    pipeline: Annotated[
        NoPipeline | SourcePipeline | RegistryPipeline | GitHubPipeline,
        tunable("What brings new images: nothing, a repository's pushes, the registry's pushes, or GitHub Actions."),
    ] = NoPipeline()


class StandIn(Section, frozen=True, kw_only=True):
    """Tasks beside those of a web service, for as long as what they are behind is made anew.

    Whether a target group has nodes or addresses cannot be changed, and a new one would be asked before its tasks are
    there. A stand-in has a target group of its own, and gets all requests meanwhile.
    """

    capacity: Annotated[
        str,
        tunable(
            "The pool that it runs on; empty for the service's own.",
            pattern="^[a-z0-9-]*$",
            allowed="the name of a pool, or nothing",
        ),
    ] = ""
    network_mode: Annotated[
        Literal["auto", "bridge", "awsvpc"], tunable("As that of the service; auto: bridge on EC2 nodes.")
    ] = "auto"
    tasks: Annotated[
        int, tunable("How many there are, for nothing scales them; 0 for the most of the service.", ge=0, le=10000)
    ] = 0
    serves: Annotated[
        bool, tunable("Whether it gets the requests; false until it is there, and while the service does.")
    ] = False


class WebService(Service, frozen=True, kw_only=True, tag_field="kind", tag="web"):
    """A service behind the load balancer."""

    container_port: Annotated[int, tunable("The port that the container listens on.", ge=1, le=65535)] = 8080
    route: Annotated[Route, tunable("Which requests it gets.")] = Route()
    health_check: Annotated[HealthCheck, tunable("How the load balancer finds out whether a task can serve.")] = (
        HealthCheck()
    )
    protocol: Annotated[
        Literal["http1", "http2", "grpc"],
        tunable(
            "What the load balancer speaks to the tasks; http2 and grpc need a listener with TLS. A change makes the"
            " target group anew, and until its tasks are healthy requests are answered 503."
        ),
    ] = "http1"
    slow_start_s: Annotated[
        int,
        tunable(
            "Time in which a new task is sent more and more, in turns with the others; 0, or 30 to 900.",
            unit="seconds",
            ge=0,
            le=900,
        ),
    ] = 0
    stickiness_s: Annotated[
        int,
        tunable(
            "Time that a client's requests go to the same task, by a cookie; 0 for to any.",
            unit="seconds",
            ge=0,
            le=604800,
        ),
    ] = 0
    deregistration_delay_s: Annotated[
        int, tunable("Time that a task may finish its requests in before it is stopped.", unit="seconds", ge=0, le=3600)
    ] = 30
    deployment: Annotated[
        WebRolling | WebBlueGreen | WebLinear | WebCanary, tunable("How a new version takes over.")
    ] = WebRolling()
    alarms: Annotated[WebAlarms, tunable("What raises an alarm.")] = WebAlarms()
    sign_in: Annotated[Oidc | Cognito | None, tunable("Who asks for it signs in at the load balancer first.")] = None
    stand_in: Annotated[StandIn | None, tunable("Tasks that take its place while its target group is made anew.")] = (
        None
    )


class InternalService(Service, frozen=True, kw_only=True, tag_field="kind", tag="internal"):
    """A service that others of the set reach by its name, through Service Connect, and nobody from outside."""

    container_port: Annotated[int, tunable("The port that the container listens on.", ge=1, le=65535)] = 8080
    deployment: Annotated[Rolling | BlueGreen | Linear | Canary, tunable("How a new version takes over.")] = Rolling()
    alarms: Annotated[Alarms, tunable("What raises an alarm.")] = Alarms()


class WorkerService(Service, frozen=True, kw_only=True, tag_field="kind", tag="worker"):
    """A service that no request is sent to: it looks for its work itself, or receives it from a queue."""

    deployment: Annotated[Rolling | BlueGreen, tunable("How a new version takes over.")] = Rolling()
    alarms: Annotated[Alarms, tunable("What raises an alarm.")] = Alarms()
    queue: Annotated[Queue | None, tunable("The queue that it receives from, and is scaled by.")] = None


AnyService = WebService | InternalService | WorkerService


def _problem_of_schedule(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_schedule  # here, for most sets have no job

    return problem_of_schedule(text, "scheduler") if text else ""


def _problem_of_timezone(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_timezone

    return problem_of_timezone(text)


class Job(Task, frozen=True, kw_only=True):
    """A task that runs to its end, by a schedule of EventBridge Scheduler, before a service's new image, or by hand.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/tasks-scheduled-eventbridge-scheduler.html
    """

    at: Annotated[
        str,
        tunable(
            "When it runs: cron(minute hour day month weekday year), rate(n unit) or at(yyyy-mm-ddThh:mm:ss); empty for"
            " by hand only.",
            pattern=r"^$|^(cron\([^()]+\)|rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|at\([0-9T:-]+\))$",
            problem_of=_problem_of_schedule,
        ),
    ] = ""
    timezone: Annotated[
        str,
        tunable("A name of the tz database.", pattern="^[A-Za-z0-9_+/-]{1,64}$", problem_of=_problem_of_timezone),
    ] = "UTC"
    retries: Annotated[
        int,
        tunable("How often a start that AWS refused is tried again; a command that fails is not.", ge=0, le=185),
    ] = 10
    retry_within_s: Annotated[
        int,
        tunable("How long a start is tried; then it is in the dead-letter queue.", unit="seconds", ge=60, le=86400),
    ] = 3600
    overlap: Annotated[
        bool,
        tunable("Whether it begins while an earlier run goes on; with false it is left out then, by Step Functions."),
    ] = True
    success_within_h: Annotated[
        int,
        tunable("Hours without a run that ended well which raise an alarm; 0 for none.", unit="hours", ge=0, le=168),
    ] = 0
    before: Annotated[
        str,
        tunable(
            "The service before whose new image it runs with that image, as a migration does; it fails, and the service"
            " keeps the old one.",
            pattern="^[a-z0-9-]*$",
            allowed="the name of a service, or nothing",
        ),
    ] = ""
