"""Where the rules of a service lead whose deployments move traffic between two target groups. Reads only.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import weights_in
from scaleout_cfn.deploy.messages import Fact, Rollout, Tell, left
from scaleout_cfn.errors import AccessError, ApiError, Next


@dataclass(frozen=True)
class Traffic:
    """The weights of the production rules, by the ARN of the target group, and by what the test rule tells requests."""

    weights: Mapping[str, int] = field(default_factory=dict)
    test: str = ""


def production_rules(service: Mapping[str, Any]) -> dict[str, str]:
    """The production rules that ECS moves of a service of DescribeServices, each with its test rule or nothing."""
    return {
        rule: advanced.get("testListenerRule", "")
        for balancer in service.get("loadBalancers", [])
        if (advanced := balancer.get("advancedConfiguration")) and (rule := advanced.get("productionListenerRule"))
    }


def groups_of(service: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of a service's target groups, each with the one beside it."""
    for balancer in service.get("loadBalancers", []):
        beside = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        yield from (arn for arn in (balancer.get("targetGroupArn"), beside) if arn)


def traffic_of(aws: Aws, service: Mapping[str, Any]) -> Traffic:
    """The weights of a service of DescribeServices as they are now; nothing is asked where ECS moves no rule of it.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html
    """
    rules = production_rules(service)
    # A Network Load Balancer has listeners in their place.
    asked = [arn for arn in (*rules, *rules.values()) if ":listener-rule/" in arn]
    if not asked:
        return Traffic()
    weights: dict[str, int] = {}
    test = ""
    for raw in aws.once("elbv2", "describe_rules", RuleArns=asked)["Rules"]:
        if raw.get("RuleArn") in rules:
            weights |= weights_in(raw["Actions"])
        else:
            test = _told_by(aws, raw, next(iter(rules)))
    return Traffic(weights, test)


def _told_by(aws: Aws, rule: Mapping[str, Any], production: str) -> str:
    """What a request needs to be a test of the new version."""
    words = []
    for condition in rule.get("Conditions", []):
        header = condition.get("HttpHeaderConfig")
        if header:
            words.append(f"the header {header['HttpHeaderName']}: {' or '.join(header['Values'])}")
        elif query := condition.get("QueryStringConfig"):
            pairs = (f"{pair.get('Key', '')}={pair['Value']}".lstrip("=") for pair in query["Values"])
            words.append(f"the query {' or '.join(pairs)}")
    listener, other = (_listener_of(arn) for arn in (rule["RuleArn"], production))
    if listener != other:
        described = aws.once("elbv2", "describe_listeners", ListenerArns=[listener])["Listeners"]
        words.insert(0, f"port {described[0]['Port']}")
    return " and ".join(words)


def _listener_of(rule: str) -> str:
    """The listener in the ARN of a rule.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
    """
    return rule.replace(":listener-rule/", ":listener/").rpartition("/")[0]


def waiting_lines(newest: Rollout, now: datetime) -> Iterator[str]:
    """What a deployment waits for: an answer, a function, or the end of the time that a version is given."""
    for hook in newest.hooks:
        if hook in newest.paused:
            what = "waits for an answer"
        elif hook.status in ("IN_PROGRESS", "AWAITING_ACTION"):
            what = f"waits for the function {hook.target.rpartition(':')[2]}"
        else:
            continue
        then = {"CONTINUE": ", then it goes on", "ROLLBACK": ", then it goes back"}.get(hook.otherwise, "")
        yield what + (f", until {left(hook.until, now)}{then}" if hook.until else "")
    if newest.until:
        yield f"stays so until about {left(newest.until, now)}, unless an alarm goes off"


def trial_line(test: str, url: str = "") -> str:
    """How the new version is looked at before it has traffic."""
    return f"a request with {test}{f' to {url}' if url else ''} gets the new version"


def answers(name: str) -> Next:
    """The two answers to a pause of a service's deployment."""
    of = ("--service", name)
    return Next("rollout continue", of, instead=Next("rollout back", of))


def tell_pause(aws: Aws, service: Mapping[str, Any], newest: Rollout, tell: Tell, url: str = "") -> None:
    """Tell, for whoever waits for more than this, that a deployment waits for an answer, and how to see what it brings.

    `service` is as DescribeServices has it.
    """
    try:
        test = traffic_of(aws, service).test
    except (AccessError, ApiError):  # the pause is what counts
        test = ""
    lines = [f"{newest.name}: its deployment is at {newest.stage}, and {line}" for line in
             waiting_lines(newest, datetime.now(UTC))]  # fmt: skip
    lines += [f"  {trial_line(test, url)}"] if test else []
    data = {"name": newest.name, "stage": newest.stage, "hooks": [asdict(hook) for hook in newest.paused], "test": test}
    tell(Fact("paused", tuple(lines), data, "warning", next=answers(newest.name)))
