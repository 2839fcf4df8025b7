"""How a new version of a service takes over: in place, or beside the old one, which requests then leave."""

from collections.abc import Mapping
from typing import Annotated, Literal

from scaleout_cfn.config.containers import NAME
from scaleout_cfn.config.ground import ARN
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import problem_of_allowed_cidr, problem_of_function

#: Where a deployment may be held; between the shifts, not in one.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
PauseStage = Literal[
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
]
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-lifecycle-hooks.html
Stage = Literal[PauseStage, "TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"]


class Pause(Section, frozen=True, kw_only=True):
    """A point at which a deployment waits for somebody: `rollout continue` lets it go on, `rollout back` takes it back.

    CloudFormation waits as long, and for 36 hours at most.
    """

    stages: Annotated[
        tuple[Annotated[PauseStage, tunable("A stage.")], ...],
        tunable(
            "Stages before whose end it waits, once each; at PRE_PRODUCTION_TRAFFIC_SHIFT linear and canary wait before"
            " every step.",
            min_length=1,
            max_length=6,
        ),
    ]
    timeout_minutes: Annotated[
        int, tunable("How long it waits before on_timeout follows.", unit="minutes", ge=1, le=2160)
    ] = 1440
    on_timeout: Annotated[Literal["rollback", "continue"], tunable("What follows when nobody said anything.")] = (
        "rollback"
    )


class Hook(Section, frozen=True, kw_only=True):
    """A Lambda function that ECS calls at stages of a deployment, and that says whether it goes on."""

    function_arn: Annotated[
        str,
        tunable(
            "The function, or an alias or a version of it, in the stack's region.",
            pattern=ARN + "lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?$",
            problem_of=problem_of_function,
        ),
    ]
    stages: Annotated[
        tuple[Annotated[Stage, tunable("A stage.")], ...],
        tunable("Stages at which it is called.", min_length=1, max_length=8),
    ]
    details: Annotated[
        dict[
            Annotated[str, tunable("A name.", pattern="^[!-~]{1,128}$", allowed="1 to 128 printable ASCII characters")],
            Annotated[str, tunable("A value.", max_length=1024)],
        ],
        tunable("What it is told besides, name to value.", max_length=20),
    ] = {}


class GreenPort(Section, frozen=True, kw_only=True, tag_field="kind", tag="port"):
    """A listener of its own on the set's load balancer, that reaches the new version before the others do."""

    port: Annotated[int, tunable("Its port, another than that of the listener.", ge=1, le=65535)]
    source_cidrs: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A range of addresses.",
                    pattern=r"^[0-9a-fA-F.:]+/\d{1,3}$",
                    problem_of=problem_of_allowed_cidr,
                ),
            ],
            ...,
        ],
        tunable("Who may reach it, for a new version is nobody else's yet.", min_length=1, max_length=20),
    ]


class GreenHeader(Section, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """A header with which the production listener leads to the new version."""

    header: Annotated[
        str,
        tunable(
            "The name of the header.",
            pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$",
            allowed="the name of a header, of 1 to 40 characters",
        ),
    ]
    value: Annotated[
        str,
        tunable(
            "The value that it has to have; whoever knows both reaches the new version.",
            pattern=r"^[!-)+->@-~]{1,128}$",
            allowed="1 to 128 printable ASCII characters, none of them * or ? or a space",
        ),
    ]


class EarlySuccess(Section, frozen=True, kw_only=True):
    """When a rolling deployment counts as done before all of its tasks are there.

    Circuit breaker and alarms take back nothing after that.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-failure-detection.html
    """

    healthy_percent: Annotated[
        int, tunable("Share of the tasks that are new and healthy by then.", unit="percent", ge=0, le=100)
    ] = 100
    cleanup: Annotated[
        Literal["blocking", "deferred"], tunable("Whether the old tasks are gone by then, or go afterwards.")
    ] = "blocking"


class Deployment(Section, frozen=True, kw_only=True):
    """When a new version is taken back, whichever way it comes."""

    failure_threshold: Annotated[
        int, tunable("Failed tasks after which the circuit breaker rolls back.", unit="tasks", ge=1, le=200)
    ] = 3


class Rolling(Deployment, frozen=True, kw_only=True, tag_field="strategy", tag="rolling"):
    """New tasks take the place of old ones, a few at a time."""

    minimum_healthy_percent: Annotated[
        int, tunable("Share of the tasks that must stay healthy meanwhile.", unit="percent", ge=0, le=100)
    ] = 100
    maximum_percent: Annotated[
        int, tunable("Share of the tasks that may run meanwhile.", unit="percent", ge=100, le=200)
    ] = 200
    early_success: Annotated[
        EarlySuccess | None, tunable("When it counts as done before all of its tasks are there.")
    ] = None


class Shifting(Deployment, frozen=True, kw_only=True):
    """As many new tasks as there are old ones come beside these, and requests leave the old for the new.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-blue-green.html
    """

    bake_minutes: Annotated[
        int,
        tunable(
            "Time after the last shift in which both versions run, so that it is taken back at once.",
            unit="minutes",
            ge=0,
            le=1440,
        ),
    ] = 15
    pauses: Annotated[
        Mapping[Annotated[str, NAME], Pause], tunable("Where it waits for somebody, by name.", max_length=6)
    ] = {}
    hooks: Annotated[
        Mapping[Annotated[str, NAME], Hook], tunable("Functions that are asked on the way, by name.", max_length=10)
    ] = {}


class BlueGreen(Shifting, frozen=True, kw_only=True, tag_field="strategy", tag="blue-green"):
    """All requests move to the new version at once."""


class Linear(Shifting, frozen=True, kw_only=True, tag_field="strategy", tag="linear"):
    """Requests move to the new version in equal steps."""

    #: Whole, where ECS takes a decimal: by floating point cfn-lint's E3002 finds that 14.2 is no multiple of 0.1.
    step_percent: Annotated[
        int, tunable("Share of the requests that moves in a step.", unit="percent", ge=3, le=100)
    ] = 10
    step_bake_minutes: Annotated[int, tunable("Time between two steps.", unit="minutes", ge=0, le=1440)] = 6


class Canary(Shifting, frozen=True, kw_only=True, tag_field="strategy", tag="canary"):
    """A few requests move to the new version first, and the others after a while."""

    canary_percent: Annotated[int, tunable("Share of the requests that moves first.", unit="percent", ge=1, le=100)] = 5
    canary_bake_minutes: Annotated[int, tunable("Time before the others follow.", unit="minutes", ge=0, le=1440)] = 10


#: What a service behind the load balancer has besides.
ALARMS = Annotated[bool, tunable("Also roll back when targets answer 5xx or are unhealthy during the deployment.")]
GRACE = Annotated[
    int,
    tunable("Time after its start in which failing health checks do not stop a task.", unit="seconds", ge=0, le=3600),
]
TEST = Annotated[GreenPort | GreenHeader | None, tunable("How the new version is reached before requests move to it.")]


class WebRolling(Rolling, frozen=True, kw_only=True, tag_field="strategy", tag="rolling"):
    """New tasks take the place of old ones behind the load balancer, a few at a time."""

    alarms: ALARMS = True
    health_check_grace_s: GRACE = 60
    alternate_target_group: Annotated[
        bool,
        tunable(
            "Have the second target group of the other strategies already, or still: the step between them and this"
            " one, in which nothing is done but that."
        ),
    ] = False


class WebBlueGreen(BlueGreen, frozen=True, kw_only=True, tag_field="strategy", tag="blue-green"):
    """All requests of the load balancer move to the new version at once."""

    alarms: ALARMS = True
    health_check_grace_s: GRACE = 60
    test: TEST = None


class WebLinear(Linear, frozen=True, kw_only=True, tag_field="strategy", tag="linear"):
    """Requests of the load balancer move to the new version in equal steps."""

    alarms: ALARMS = True
    health_check_grace_s: GRACE = 60
    test: TEST = None


class WebCanary(Canary, frozen=True, kw_only=True, tag_field="strategy", tag="canary"):
    """A few requests of the load balancer move to the new version first, and the others after a while."""

    alarms: ALARMS = True
    health_check_grace_s: GRACE = 60
    test: TEST = None
