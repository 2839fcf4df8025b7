"""What single bounds cannot say of how a new version takes over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scaleout_cfn.config import (
    Canary,
    Config,
    GreenHeader,
    GreenPort,
    Http,
    Linear,
    NewLoadBalancer,
    Rolling,
    Shifting,
    WebService,
)
from scaleout_cfn.config.routing import VALUES_PER_RULE, priority, values_of_rule
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit, units

#: How long CloudFormation waits for a deployment, and what it takes of one whose times are known beforehand.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-linearconfiguration.html
LONGEST_MIN, LONGEST_KNOWN_MIN = 36 * 60, 33 * 60


def delivery_conflicts(unit: Unit) -> Iterator[Conflict]:
    """What of a service's deployment excludes each other, and what of the service it cannot be with."""
    settings, key = unit.settings, f"{unit.key}.deployment"
    deployment = settings.deployment
    if isinstance(deployment, Rolling):
        if settings.zone_rebalancing and deployment.maximum_percent <= 100:
            yield Conflict(
                f"{key}.maximum_percent",
                f"got {deployment.maximum_percent}; zone_rebalancing starts a task before it stops one and needs"
                " more than 100",
            )
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentEarlySuccessCriteria.html
        early = deployment.early_success
        if early is not None and early.healthy_percent < deployment.minimum_healthy_percent:
            yield Conflict(
                f"{key}.early_success.healthy_percent",
                f"got {early.healthy_percent}, less than minimum_healthy_percent ="
                f" {deployment.minimum_healthy_percent}; allowed is that and more",
            )
    else:
        yield from _times(key, deployment)
        stages: dict[str, Sequence[str]] = {f"pauses.{name}": it.stages for name, it in deployment.pauses.items()}
        stages |= {f"hooks.{name}": hook.stages for name, hook in deployment.hooks.items()}
        for where, named in sorted(stages.items()):
            if len(set(named)) < len(named):
                yield Conflict(f"{key}.{where}.stages", "a stage is named twice; name each once")
    if isinstance(settings, WebService) and unit.has_alternate:
        yield from _with_two_groups(unit, settings, f'{key}.strategy = "{deployment.__struct_config__.tag}"')


def _with_two_groups(unit: Unit, settings: WebService, strategy: str) -> Iterator[Conflict]:
    """What does not go with a second target group, and a rule that ECS moves."""
    key = unit.key
    if settings.scaling.requests.enabled:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/target-tracking-create-policy.html
        yield Conflict(
            f"{key}.scaling.requests",
            f"counts the requests of one target group, and with {strategy} now the one serves and now the other; turn"
            f" it off, and let the tasks count them, by {key}.scaling.pulse, or track {key}.scaling.cpu",
        )
    predictive = settings.scaling.predictive
    if predictive is not None and predictive.metric == "requests":
        yield Conflict(
            f"{key}.scaling.predictive.metric",
            f'got "requests", which are counted at one target group, and with {strategy} now the one serves and now the'
            ' other; take "cpu"',
        )
    if settings.stand_in is not None:
        yield Conflict(
            f"{key}.stand_in",
            f"takes the place of the target group in the rule, which with {strategy} is ECS's to move; go back to"
            ' "rolling" first, as docs/deployments.md says, or leave it out',
        )
    if settings.sign_in is not None:
        # Of several actions a deployment fails, as the page said and in most languages says.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
        yield Conflict(
            f"{key}.sign_in",
            f"is an action of its own in the service's rule, with which ECS moves no requests; with {strategy} leave it"
            ' out, or keep "rolling"',
        )


def times_of(deployment: Shifting) -> tuple[int, dict[str, int], int]:
    """The minutes that a deployment takes for sure, the longest that each of its pauses waits, and in how many shifts
    requests move."""
    shifts = 1
    known = deployment.bake_minutes
    if isinstance(deployment, Linear):
        shifts = int(-(-100 // deployment.step_percent))
        known += (shifts - 1) * deployment.step_bake_minutes
    elif isinstance(deployment, Canary):
        shifts = 2
        known += deployment.canary_bake_minutes
    waits = {
        name: pause.timeout_minutes
        * sum(shifts if stage == "PRE_PRODUCTION_TRAFFIC_SHIFT" else 1 for stage in dict.fromkeys(pause.stages))
        for name, pause in sorted(deployment.pauses.items())
    }
    return known, waits, shifts


def _times(key: str, deployment: Shifting) -> Iterator[Conflict]:
    """Whether all is done while CloudFormation waits."""
    known, waits, shifts = times_of(deployment)
    if known > LONGEST_KNOWN_MIN:
        yield Conflict(
            f"{key}.bake_minutes",
            f"and the minutes between the shifts are {known} together; CloudFormation takes {LONGEST_KNOWN_MIN}, 33"
            " hours, at most: bake for less, or in fewer steps",
        )
        return
    if known + sum(waits.values()) > LONGEST_MIN:
        name = max(waits, key=waits.__getitem__)
        yield Conflict(
            f"{key}.pauses.{name}.timeout_minutes",
            f"pauses of up to {sum(waits.values())} minutes, one before each of {shifts} shifts where it says so, with"
            f" {known} of baking are more than the {LONGEST_MIN}, 36 hours, that CloudFormation waits for a deployment"
            " before it takes that back; give less",
        )


def preview_conflicts(config: Config, priorities: dict[str, int]) -> Iterator[Conflict]:
    """Whether each new version can be reached the way that its section says, and by nobody else's."""
    ports: dict[int, tuple[str, Sequence[str]]] = {}
    rules = {number: name for name, number in priorities.items()}
    for unit in units(config):
        key = f"{unit.key}.deployment.test"
        if isinstance(unit.test, GreenPort):
            yield from _port(config, key, unit.test)
            before, cidrs = ports.setdefault(unit.test.port, (key, unit.test.source_cidrs))
            if set(cidrs) != set(unit.test.source_cidrs):
                yield Conflict(
                    f"{key}.source_cidrs",
                    f"differ from those of {before}, and who reaches a port reaches all that is behind it; name the"
                    " same, or take another port",
                )
        elif isinstance(unit.test, GreenHeader):
            settings = unit.settings
            assert isinstance(settings, WebService)
            route, mine = settings.route, priority(config, unit.name, settings.route) - 1
            if unit.test.header.lower() in {name.lower() for name in route.headers}:
                yield Conflict(f"{key}.header", f"{unit.test.header} is a header of the route already; take another")
            if (values := len(values_of_rule(route)) + 1) > VALUES_PER_RULE:
                yield Conflict(
                    key,
                    f"makes {values} paths, hosts, headers and query parameters together with those of the route; a"
                    f" rule of a load balancer takes {VALUES_PER_RULE}: use * in them, or give it a port",
                )
            balancer = config.load_balancer
            reserved = int(isinstance(balancer, NewLoadBalancer) and balancer.maintenance)
            if mine <= reserved:
                yield Conflict(
                    f"{unit.key}.route.priority",
                    f"got {mine + 1}, and the rule of the test header comes just before it, where none is left; give"
                    f" {reserved + 2} or more",
                )
            elif other := rules.get(mine):
                yield Conflict(
                    f"{unit.key}.route",
                    f"has the priority {mine + 1}, and the rule of its test header that before it, {mine}, which is"
                    f" {other}'s; give one of them another by route.priority",
                )
            rules.setdefault(mine, f"the test header of {unit.name}")


def _port(config: Config, key: str, test: GreenPort) -> Iterator[Conflict]:
    balancer = config.load_balancer
    if not isinstance(balancer, NewLoadBalancer):
        yield Conflict(
            f"{key}.port",
            "is a listener of the set's own load balancer, and that of a shared one is its owner's; give it a header,"
            ' by kind = "header"',
        )
    elif test.port in ({80} if isinstance(balancer.listener, Http) else {80, 443}):
        yield Conflict(f"{key}.port", f"got {test.port}, which is that of the load balancer's listener; take another")
    if not config.network.ipv6 and (ipv6 := [cidr for cidr in test.source_cidrs if ":" in cidr]):
        yield Conflict(
            f"{key}.source_cidrs",
            f"{ipv6[0]} is IPv6, and the load balancer has IPv4 alone; leave it out, or set network.ipv6 = true",
        )


def functions_named(unit: Unit) -> list[tuple[str, str]]:
    hooks = unit.shifting.hooks if unit.shifting else {}
    return [(f"{unit.key}.deployment.hooks.{name}.function_arn", hook.function_arn) for name, hook in hooks.items()]
