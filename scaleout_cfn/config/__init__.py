"""Every tunable once: its type, default, meaning, unit and bounds.

`Config()` is the default set: one web service, `web`, on one pool of EC2 nodes, `nodes`. Sections are frozen:
`msgspec.structs.replace(config.services["web"], cpu_units=512)` gives a changed copy. Choices that exclude each other
are unions of sections, told apart by `kind`. What no single bound can express is in `config.conflicts`.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from scaleout_cfn.config.attachments import Bucket, Postgres, Table, Valkey
from scaleout_cfn.config.balancer import (
    AnyClient,
    CaBundle,
    Certificate,
    CloudFront,
    Cognito,
    Domain,
    ExistingLoadBalancer,
    ExistingWebAcl,
    FailoverRouting,
    Http,
    LatencyRouting,
    NewLoadBalancer,
    NewWebAcl,
    Oidc,
    TrustStore,
)
from scaleout_cfn.config.containers import NAME, BindVolume, EbsVolume, EfsOfService, EfsVolume, ExistingEfs
from scaleout_cfn.config.delivery import (
    BlueGreen,
    Canary,
    EarlySuccess,
    GreenHeader,
    GreenPort,
    Hook,
    Linear,
    Pause,
    Rolling,
    Shifting,
    WebBlueGreen,
    WebCanary,
    WebLinear,
    WebRolling,
)
from scaleout_cfn.config.ground import (
    ARN,
    AwsKeys,
    Cluster,
    ExistingVpc,
    GivenKey,
    NewVpc,
    Observability,
    OwnKey,
    Registry,
    Roles,
)
from scaleout_cfn.config.permissions import Permissions, PolicyStatement
from scaleout_cfn.config.pools import Capacity, Ec2Capacity, FargateCapacity, ManagedCapacity, WarmPool
from scaleout_cfn.config.scaling import (
    Night,
    NodeScaling,
    Predictive,
    Scaling,
    Schedule,
    StepAdjustment,
    StepScaling,
    TargetTracking,
)
from scaleout_cfn.config.services import (
    Alarms,
    AnyService,
    GitHubPipeline,
    HealthCheck,
    InternalService,
    Job,
    NoPipeline,
    Pipeline,
    Queue,
    RegistryPipeline,
    Route,
    Service,
    SourcePipeline,
    StandIn,
    WebAlarms,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.sidecars import (
    ContainerSidecar,
    FireLensSidecar,
    InitSidecar,
    OtelSidecar,
    ProxySidecar,
)
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import (
    or_empty,
    problem_of_account,
    problem_of_boundary,
    problem_of_bucket,
    problem_of_own_region,
    problem_of_stack_name,
    problem_of_tag_key,
    problem_of_tag_value,
)

__all__ = [
    "Alarms",
    "AnyClient",
    "AnyService",
    "AwsKeys",
    "BindVolume",
    "BlueGreen",
    "Bucket",
    "CaBundle",
    "Canary",
    "Capacity",
    "Certificate",
    "CloudFront",
    "Cluster",
    "Cognito",
    "Config",
    "ContainerSidecar",
    "Domain",
    "EarlySuccess",
    "EbsVolume",
    "Ec2Capacity",
    "EfsOfService",
    "EfsVolume",
    "ExistingEfs",
    "ExistingLoadBalancer",
    "ExistingVpc",
    "ExistingWebAcl",
    "FailoverRouting",
    "FargateCapacity",
    "FireLensSidecar",
    "GitHubPipeline",
    "GivenKey",
    "GreenHeader",
    "GreenPort",
    "HealthCheck",
    "Hook",
    "Http",
    "InitSidecar",
    "InternalService",
    "Job",
    "LatencyRouting",
    "Linear",
    "ManagedCapacity",
    "NewLoadBalancer",
    "NewVpc",
    "NewWebAcl",
    "Night",
    "NoPipeline",
    "NodeScaling",
    "Observability",
    "Oidc",
    "OtelSidecar",
    "OwnKey",
    "Pause",
    "Permissions",
    "Pipeline",
    "PolicyStatement",
    "Postgres",
    "Predictive",
    "ProxySidecar",
    "Queue",
    "Registry",
    "RegistryPipeline",
    "Roles",
    "Rolling",
    "Route",
    "Scaling",
    "Schedule",
    "Section",
    "Service",
    "Shifting",
    "SourcePipeline",
    "StandIn",
    "StepAdjustment",
    "StepScaling",
    "Table",
    "TargetTracking",
    "TrustStore",
    "Valkey",
    "WarmPool",
    "WebAlarms",
    "WebBlueGreen",
    "WebCanary",
    "WebLinear",
    "WebRolling",
    "WebService",
    "WorkerService",
    "tunable",
]


TAG_KEY = r"^(?!aws:)[\w .:/=+@-]{1,128}$"


class Config(Section, frozen=True, kw_only=True):
    """Everything that a stack set can be told."""

    stack_name: Annotated[
        str,
        tunable(
            "Name of the root stack. The names of capacity providers start with it, and must not start with aws, ecs"
            " or fargate.",
            pattern="^(?![aA][wW][sS]|[eE][cC][sS]|[fF][aA][rR][gG][aA][tT][eE])[A-Za-z][A-Za-z0-9-]{0,63}$",
            problem_of=problem_of_stack_name,
        ),
    ] = "web"
    tags: Annotated[
        dict[
            Annotated[str, tunable("A key.", pattern=TAG_KEY, problem_of=problem_of_tag_key)],
            Annotated[str, tunable("A value.", pattern=r"^[\w .:/=+@-]{1,256}$", problem_of=problem_of_tag_value)],
        ],
        tunable("Tags of every resource that takes tags.", max_length=40),
    ] = {}
    imports: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "The path of a resource in the set, as a plan shows it: WebFoundation/Repository.",
                    pattern=r"^[A-Za-z0-9]{1,255}(/[A-Za-z0-9]{1,255})*$",
                    allowed="logical ids of letters and digits, parted by slashes",
                ),
            ],
            Annotated[
                str,
                tunable("Its name.", pattern=r"^[!-~]{1,512}$", allowed="1 to 512 characters of ASCII without blanks"),
            ],
        ],
        tunable(
            "What was there before the set, by the path that it gets in it. `import` takes it in; it stays here for as"
            " long as it is of the set, and is kept when the set is deleted.",
            max_length=40,
        ),
    ] = {}
    account_id: Annotated[
        str,
        tunable(
            "The only account that may be deployed to, checked before anything is written; empty for any.",
            pattern=r"^(\d{12})?$",
            problem_of=or_empty(problem_of_account),
        ),
    ] = ""
    profile: Annotated[
        str,
        tunable(
            "The profile of the AWS configuration to work with, which may take a role of another account; empty for the"
            " shell's own. --profile comes first.",
            pattern=r"^[^\x00-\x1f\[\]]{0,128}$",
            allowed="the name of a profile, of up to 128 characters without brackets, or nothing",
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
            problem_of=problem_of_own_region,
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
    required_tags: Annotated[
        tuple[Annotated[str, tunable("A key.", pattern=TAG_KEY, problem_of=problem_of_tag_key)], ...],
        tunable("Keys that tags must have, as a company's rules say.", max_length=40),
    ] = ()
    roles: Annotated[Roles, tunable("How the roles of the set are named and given their policies.")] = Roles()
    encryption: Annotated[
        AwsKeys | OwnKey | GivenKey,
        tunable("By whose keys what is at rest is encrypted: AWS's, one of the set's own, or a given one."),
    ] = AwsKeys()
    network: Annotated[NewVpc | ExistingVpc, tunable("A new VPC or an existing one.")] = NewVpc()
    load_balancer: Annotated[
        NewLoadBalancer | ExistingLoadBalancer, tunable("The application load balancer of the web services.")
    ] = NewLoadBalancer()
    cluster: Annotated[Cluster, tunable("The ECS cluster.")] = Cluster()
    registry: Annotated[Registry, tunable("The ECR repositories.")] = Registry()
    observability: Annotated[Observability, tunable("Logs, and who is told of alarms.")] = Observability()
    capacity: Annotated[
        Mapping[Annotated[str, NAME], Ec2Capacity | FargateCapacity | ManagedCapacity],
        tunable("Pools that tasks run on, by name.", max_length=10),
    ] = msgspec.field(default_factory=lambda: {"nodes": Ec2Capacity()})
    services: Annotated[
        Mapping[Annotated[str, NAME], WebService | InternalService | WorkerService],
        tunable("Services, by name.", max_length=40),
    ] = msgspec.field(default_factory=lambda: {"web": WebService()})
    night: Annotated[Night | None, tunable("When nothing runs; without, it runs at all times.")] = None
    attachments: Annotated[
        Mapping[Annotated[str, NAME], Postgres | Valkey | Bucket | Table],
        tunable("Databases, caches, buckets and tables beside the services, by name.", max_length=20),
    ] = {}
    jobs: Annotated[
        Mapping[Annotated[str, NAME], Job],
        tunable(
            "Tasks that run to their end, by name: at a time, before a service's new image, or by hand.", max_length=40
        ),
    ] = {}
