"""What a set costs by the bill, beside what was simulated. Changes nothing.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html (costs by tag, service and
usage type) https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/ (0.01 USD a request)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.desired import ENVIRONMENT
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.errors import NeedsHandError, Next, UsageError

#: Parts of the simulator's costs, each with the service and the usage types that the bill has it under.
PARTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "instances": ("EC2 instances", "Amazon Elastic Compute Cloud - Compute", "BoxUsage|SpotUsage"),
    "credits": ("CPU credits", "EC2 - Other", "CPUCredits"),
    "fees": ("fee of Managed Instances", "Amazon Elastic Container Service", "Managed"),
    "fargate": ("Fargate", "Amazon Elastic Container Service", "Fargate"),
    "disks": ("disks of the nodes", "EC2 - Other", "EBS:Volume"),
    "load_balancer": ("load balancer", "Amazon Elastic Load Balancing", ""),
    "nat": ("NAT gateways", "EC2 - Other", "NatGateway"),
    "endpoints": ("VPC endpoints", "Amazon Virtual Private Cloud", "VpcEndpoint"),
    "addresses": ("public addresses", "Amazon Virtual Private Cloud", "PublicIPv4"),
    "metrics": ("metrics and alarms", "AmazonCloudWatch", "MetricMonitorUsage|AlarmMonitorUsage"),
    "registry": ("image registry", "Amazon EC2 Container Registry (ECR)", "TimedStorage"),
    "queue": ("queue", "Amazon Simple Queue Service", ""),
}
A_REQUEST_USD = 0.01
DAY_S = 24 * 60 * 60


@dataclass(frozen=True)
class Bill:
    """Billed of a month so far, in USD: by the parts that the simulator knows, and what is beside by service."""

    start: date
    end: date
    parts: Mapping[str, float]
    beside: Mapping[str, float]

    @property
    def days(self) -> int:
        return (self.end - self.start).days


@dataclass(frozen=True)
class Simulated:
    """What `simulate --json` told: USD by part, and for how many seconds."""

    costs: Mapping[str, float]
    seconds: float


def tag_of(live: Live, asked: str) -> tuple[str, str]:
    """The tag that the bill is looked up by: the one that is asked for, that of the environment, or the only one.

    Raises UsageError where the stack has none, or several and none is asked for.
    """
    tags = live.tags
    key = asked or (ENVIRONMENT if ENVIRONMENT in tags else next(iter(tags), "") if len(tags) == 1 else "")
    if key in tags:
        return key, tags[key]
    there = ", ".join(sorted(tags)) or "none"
    raise UsageError(
        f"{'--tag ' + asked if asked else '--tag'}: the bill is told by a tag that this set has and no other;"
        f" stack {live.name} has {there}. Name one of them, or write one under [tags] of the config and deploy it"
    )


def bill_of(aws: Aws, tag: tuple[str, str], month: date, today: date, tell: Tell) -> Bill:
    """The bill of a month, to the day before today. Raises NeedsHandError where the tag does not count yet."""
    key, value = tag
    following = (month.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = min(following, today)
    if end <= month:
        raise UsageError(f"--month: nothing is billed of {month:%Y-%m} yet; give a month before, as in 2026-10")
    listed = aws.read("ce", "list_cost_allocation_tags", TagKeys=[key]).get("CostAllocationTags", [])
    if not any(one["TagKey"] == key and one["Status"] == "Active" for one in listed):
        raise NeedsHandError(
            f"the tag {key} is no active cost allocation tag: the bill does not have it",
            state="nothing was changed; one request of Cost Explorer was made",
            next=Next(
                words=f"activate {key} in the billing console of the account that pays (or by `aws ce"
                f" update-cost-allocation-tags-status`); it counts from then on, within a day"
            ),
        )
    parts, beside, requests = dict.fromkeys(PARTS, 0.0), dict[str, float](), 1
    for page in _pages(aws, {
        "TimePeriod": {"Start": f"{month:%Y-%m-%d}", "End": f"{end:%Y-%m-%d}"},
        "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost"],
        "Filter": {"Tags": {"Key": key, "Values": [value]}},
        "GroupBy": [{"Type": "DIMENSION", "Key": name} for name in ("SERVICE", "USAGE_TYPE")],
    }):  # fmt: skip
        requests += 1
        for group in (group for period in page["ResultsByTime"] for group in period.get("Groups", [])):
            service, usage = group["Keys"]
            amount = float(group["Metrics"]["UnblendedCost"]["Amount"])
            part = _part(service, usage)
            if part:
                parts[part] += amount
            elif amount:
                beside[service] = beside.get(service, 0.0) + amount
    tell(Note(f"{requests} requests of Cost Explorer, {requests * A_REQUEST_USD:.2f} USD"))
    return Bill(month, end, parts, beside)


def _pages(aws: Aws, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        page = aws.read("ce", "get_cost_and_usage", **request, **token)
        yield page
        if not page.get("NextPageToken"):
            return
        token = {"NextPageToken": page["NextPageToken"]}


def _part(service: str, usage: str) -> str:
    """The simulator's part that a line of the bill belongs to; empty for what it does not know."""
    for part, (_, where, types) in PARTS.items():
        if service == where and re.search(types, usage):
            return part
    return ""


def compared(live: Live, tag: tuple[str, str], bill: Bill, simulated: Simulated | None, tell: Tell) -> Outcome:
    """Tell the bill by parts, beside the simulated costs of as many days."""
    factor = bill.days * DAY_S / simulated.seconds if simulated else 0.0
    expected = {part: simulated.costs.get(part, 0.0) * factor for part in PARTS} if simulated else {}
    rows = [(PARTS[part][0], billed, expected.get(part)) for part, billed in bill.parts.items()]
    for name, billed, other in rows:
        if billed or other:
            tell(_row(name, billed, other, modelled=True))
    for service, billed in sorted(bill.beside.items(), key=lambda item: -item[1]):
        tell(_row(service, billed, None, modelled=False))
    known, beside = sum(bill.parts.values()), sum(bill.beside.values())
    total = known + beside
    words = f"{total:.2f} USD billed of {bill.start:%Y-%m}, {bill.days} days, by {tag[0]}={tag[1]}"
    if total:
        words += f"; {beside / total:.0%} of it is in no simulation"
    if simulated:
        words += f"; {sum(expected.values()):.2f} USD simulated for as many days"
    if not total:
        return Outcome(
            "done", f"{live.name}: {words}", live.status, live.stack_id,
            next=Next(words="a tag counts from its activation on, and what is tagged from then on"),
        )  # fmt: skip
    return Outcome("done", f"{live.name}: {words}", live.status, live.stack_id)


def _row(name: str, billed: float, simulated: float | None, *, modelled: bool) -> Fact:
    line = f"{name:<36} {billed:>10.2f}"
    if simulated is not None:
        line += f" {simulated:>10.2f} {billed - simulated:>+10.2f}"
    elif not modelled:
        line += "  not in the model"
    data = {"part": name, "billed_usd": round(billed, 4), "modelled": modelled}
    return Fact("cost", (line,), {**data, "simulated_usd": None if simulated is None else round(simulated, 4)})
