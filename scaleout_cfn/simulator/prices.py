"""What a run costs: what tasks run on, and all that is paid for beside it.

Prices are of one region, in a file with the source of each. One that nobody read anywhere, or that moves, has a band,
and so has what hangs on it. `refresh` asks AWS: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scaleout_cfn.config.pulse import PERIOD_S
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Fargate, Load, Model

if TYPE_CHECKING:
    from scaleout_cfn.aws.client import Aws
    from scaleout_cfn.simulator.service import Trace

_FOLDER = Path(__file__).parent.parent / "data" / "prices"
REGIONS = tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))
"""Those with built-in prices."""
ELSEWHERE = "us-east-1"
"""Whose prices are taken for a region without."""
_HOURS_A_MONTH = 730
_PULSE_BYTES = 300  # of a line, with the 26 that CloudWatch Logs adds to each
_POLL_S = 20  # the longest wait of a receive, as in the queues of our templates
_IMAGE_GIB = 0.1  # what a node pulls, and a repository keeps; as `Delays.image_pull_s` has it


class Unit(NamedTuple):
    """What is sold, and how the Price List names it: service, family of products, usage type without its region.

    Names are those that Infracost looks prices up by, and that bills show: https://github.com/infracost/infracost
    (internal/resources/aws). A unit without a service is asked for otherwise, or not at all.
    """

    what: str
    service: str = ""
    family: str = ""
    usage: str = ""
    per: float = 1


UNITS: Mapping[str, Unit] = {
    "alarm_month": Unit("alarm, a month", "AmazonCloudWatch", "Alarm", "CW:AlarmMonitorUsage"),
    "high_resolution_alarm_month": Unit(
        "  of a period below a minute", "AmazonCloudWatch", "Alarm", "CW:HighResAlarmMonitorUsage"
    ),
    "custom_metric_month": Unit("metric, a month", "AmazonCloudWatch", "Metric", "CW:MetricMonitorUsage"),
    "logs_gb": Unit("logs, a GB written", "AmazonCloudWatch", "Data Payload", "DataProcessing-Bytes"),
    "load_balancer_hour": Unit("load balancer, an hour", "AWSELB", "Load Balancer-Application", "LoadBalancerUsage"),
    "load_balancer_lcu_hour": Unit("  capacity unit, an hour", "AWSELB", "Load Balancer-Application", "LCUUsage"),
    "nat_gateway_hour": Unit("NAT gateway, an hour", "AmazonEC2", "NAT Gateway", "NatGateway-Hours"),
    "nat_gateway_gib": Unit("  a GB", "AmazonEC2", "NAT Gateway", "NatGateway-Bytes"),
    "endpoint_hour": Unit("VPC endpoint in a zone, an hour", "AmazonVPC", "VpcEndpoint", "VpcEndpoint-Hours"),
    "public_ipv4_hour": Unit("public address, an hour", "AmazonVPC", "", "PublicIPv4:InUseAddress"),
    "gp3_gib_month": Unit("gp3 volume, a GiB and month", "AmazonEC2", "Storage", "EBS:VolumeUsage.gp3"),
    "ecr_gb_month": Unit(
        "image registry, a GB and month", "AmazonECR", "EC2 Container Registry", "TimedStorage-ByteHrs"
    ),
    "sqs_million_requests": Unit(
        "queue, a million requests", "AWSQueueService", "API Request", "Requests-Tier1", per=1e6
    ),
    "fargate_x86_64_vcpu_hour": Unit("Fargate, x86_64, a vCPU-hour", "AmazonECS", "", "Fargate-vCPU-Hours:perCPU"),
    "fargate_x86_64_gb_hour": Unit("Fargate, x86_64, a GB-hour", "AmazonECS", "", "Fargate-GB-Hours"),
    "fargate_arm64_vcpu_hour": Unit("Fargate, arm64, a vCPU-hour", "AmazonECS", "", "Fargate-ARM-vCPU-Hours:perCPU"),
    "fargate_arm64_gb_hour": Unit("Fargate, arm64, a GB-hour", "AmazonECS", "", "Fargate-ARM-GB-Hours"),
    "fargate_spot_share": Unit("Fargate Spot, a share of On-Demand"),
    "spot_share": Unit("EC2 Spot, a share of On-Demand"),
    "managed_instances_share": Unit("Managed Instances' fee, a share of On-Demand"),
    "t3_surplus_vcpu_hour": Unit("t3's surplus credits, a vCPU-hour", "AmazonEC2", "CPU Credits", "CPUCredits:t3"),
    "t4g_surplus_vcpu_hour": Unit("t4g's surplus credits, a vCPU-hour", "AmazonEC2", "CPU Credits", "CPUCredits:t4g"),
}
"""All that is paid for beside instances."""


@dataclass(frozen=True)
class Prices:
    """USD, by unit and by instance type and hour; `sources` says of each unit, and of the instances, where from.

    `bands` has the least and the most that a unit may cost, where its price is not known for sure.
    """

    region: str
    as_of: str
    sources: dict[str, str]
    units: dict[str, float]
    instances: dict[str, float]
    bands: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """USD of one run."""

    instances: float = 0
    credits: float = 0
    fees: float = 0
    fargate: float = 0
    disks: float = 0
    load_balancer: float = 0
    nat: float = 0
    endpoints: float = 0
    addresses: float = 0
    metrics: float = 0
    registry: float = 0
    queue: float = 0

    @property
    def total(self) -> float:
        return math.fsum(vars(self).values())


def prices_of(region: str) -> Prices:
    """The built-in prices of a region, or those of another where there are none for it: `Prices.region` says whose.

    The file of a region leaves out what is the same in ELSEWHERE, and known by the same source. Of a family it has the
    price of `large` and the sizes whose price is in proportion, as nearly all are.
    """
    usual = _FOLDER / f"{ELSEWHERE}.json"
    if region not in REGIONS or region == ELSEWHERE:
        return load_prices(usual)
    return load_prices(_FOLDER / f"{region}.json", json.loads(usual.read_text(encoding="utf-8")))


def load_prices(path: Path, usual: Mapping[str, Any] | None = None) -> Prices:
    """A price file; what it leaves out of units is as `usual` has it. Raises UsageError where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if usual:
            left_out = usual["units"].keys() - data["units"].keys()
            for part in ("units", "sources", "bands"):
                data[part] |= {name: entry for name, entry in usual[part].items() if name in left_out}
        units = {name: float(data["units"][name]) for name in UNITS}
        instances = _by_family(data.get("families", {}))
        instances |= {str(name): float(value) for name, value in data["instances"].items()}
        sources = {name: str(data["sources"][name]) for name in ("instances", *units)}
        bands = {str(name): (float(low), float(high)) for name, (low, high) in data.get("bands", {}).items()}
        prices = Prices(str(data["region"]), str(data["as_of"]), sources, units, instances, bands)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a price file") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: no price file ({error}); start from a copy: `prices show --json > prices.json`"
        ) from None
    for name, value in {**units, **instances}.items():
        if not math.isfinite(value) or value < 0:
            raise UsageError(f"{path}: {name} costs {value}; give USD of 0 or more")
    for name, (low, high) in bands.items():
        if name not in units or not 0 <= low <= units[name] <= high < math.inf:
            raise UsageError(
                f"{path}: the band of {name} is {low:g} to {high:g}; give the least and the most that it may cost,"
                " around a unit's price"
            )
    return prices


_LARGES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1, "xlarge": 2}


def _by_family(families: Mapping[str, tuple[float, str]]) -> dict[str, float]:
    """Prices of the types of families, by the price of `large` and the sizes."""
    return {
        f"{family}.{size}": float(f"{large * (_LARGES.get(size) or 2 * int(size.removesuffix('xlarge'))):.9g}")
        for family, (large, sizes) in families.items()
        for size in sizes.split()
    }


class _Use(NamedTuple):
    """So much of something, which costs the product of some prices: of units, or of an instance type."""

    part: str
    amount: float
    priced: tuple[str, ...]


def _used(model: Model, load: Load, trace: Trace) -> Iterator[_Use]:
    """What a run uses. A booted node pulls an image, through the NAT gateway where there is one. The fee of Managed
    Instances is one of On-Demand, also for those on Spot.

    Capacity units of the balancer: the most of new connections (25 a second), bytes (1 GB an hour) and rules
    (none here), hour by hour. https://aws.amazon.com/elasticloadbalancing/pricing/
    Fargate: vCPUs and GB of a task, by the second; Spot is of the tasks above the base.
    https://aws.amazon.com/fargate/pricing/
    Requests of a queue: https://aws.amazon.com/sqs/pricing/; the free million of a month is not taken off.
    Metrics of 20 s that something scales by, and alarms: two for each target tracking policy, one for each step policy.
    https://aws.amazon.com/cloudwatch/pricing/
    """
    seconds, requests = len(trace.requests), trace.requests
    hours, nodes = seconds / 3600, model.nodes
    months = hours / _HOURS_A_MONTH
    node_hours, task_hours = trace.node_seconds / 3600, trace.task_seconds / 3600
    if isinstance(model.pool, Fargate):
        spot = model.pool.spot_percent / 100 * _above(trace, "running", model.pool.on_demand_base)
        for share, also in ((1 - spot, ()), (spot, ("fargate_spot_share",))):
            for amount, sold in ((model.task.cpu_units, "vcpu"), (model.task.memory_mib, "gb")):
                used = task_hours * share * amount / 1024
                yield _Use("fargate", used, (f"fargate_{model.pool.architecture}_{sold}_hour", *also))
    if nodes:
        spot = nodes.spot_percent / 100 * _above(trace, "size", nodes.on_demand_base)
        for type, share in (trace.types or {nodes.instance_type: 1.0}).items():
            yield _Use("instances", share * node_hours * (1 - spot), (type,))
            yield _Use("instances", share * node_hours * spot, (type, "spot_share"))
            if nodes.managed:
                yield _Use("fees", share * node_hours, (type, "managed_instances_share"))
        if above := surplus(model, load, trace):
            yield _Use("credits", above[0], (above[1],))
        disk_months = (node_hours + trace.stopped_seconds / 3600) / _HOURS_A_MONTH
        yield _Use("disks", disk_months * nodes.disk_gib, ("gp3_gib_month",))
    network = model.network
    yield _Use("load_balancer", network.load_balancers * hours, ("load_balancer_hour",))
    if model.health_check_interval_s is not None:
        whole = np.add.reduceat(requests, np.arange(0, seconds, 3600))
        lcu = np.maximum(whole / 3600 / load.requests_per_connection / 25, whole * load.response_kib * 1024 / 1e9).sum()
        yield _Use("load_balancer", float(lcu), ("load_balancer_lcu_hour",))
    if network.nat_gateways:
        yield _Use("nat", network.nat_gateways * hours, ("nat_gateway_hour",))
        yield _Use("nat", _IMAGE_GIB * trace.launches, ("nat_gateway_gib",))
    if model.backlog:
        # Sent, received and deleted one by one; and who finds nothing asks again.
        worked_s = (requests.sum() - trace.dropped.sum()) / load.task_rps
        polls = max(0.0, trace.task_seconds - worked_s) / _POLL_S
        yield _Use("queue", (3 * float(requests.sum()) + polls) / 1e6, ("sqs_million_requests",))
    yield _Use("endpoints", network.endpoint_addresses * hours, ("endpoint_hour",))
    public = (node_hours if nodes else task_hours) if network.public_nodes else 0.0
    yield _Use("addresses", network.public_addresses * hours + public, ("public_ipv4_hour",))
    yield _Use("registry", _IMAGE_GIB * months, ("ecr_gb_month",))
    scaling = model.scaling
    stepped = {policy.metric for policy in scaling.step_policies}
    by_use = [name for name in ("cpu", "memory") if getattr(scaling, name).enabled or name in stepped]
    metrics = scaling.high_resolution * len(by_use) + bool(scaling.pulse)
    fast = sum(policy.period_s < 60 for policy in scaling.step_policies)
    slow = len(scaling.step_policies) - fast + 2 * (scaling.requests.enabled + bool(scaling.pulse))
    tracked = 2 * (scaling.cpu.enabled + scaling.memory.enabled)
    fast, slow = (fast + tracked, slow) if scaling.high_resolution else (fast, slow + tracked)
    if model.backlog:
        # An alarm of metric math is paid for each metric: messages that wait and in work, and tasks.
        slow += 2 * 3 + 2 * (model.backlog.first_cooldown_s is not None)
    yield _Use("metrics", metrics * months, ("custom_metric_month",))
    yield _Use("metrics", slow * months, ("alarm_month",))
    yield _Use("metrics", fast * months, ("high_resolution_alarm_month",))
    if scaling.pulse:
        yield _Use("metrics", task_hours * 3600 / PERIOD_S * _PULSE_BYTES / 1e9, ("logs_gb",))


def _above(trace: Trace, count: str, base: int) -> float:
    """The share of a count over time that is above a base."""
    if not base:
        return 1.0
    times = np.diff([state.time for state in trace.states] + [len(trace.requests)])
    counts = np.array([getattr(state, count) for state in trace.states])
    total = float((counts * times).sum())
    return float((np.maximum(counts - base, 0) * times).sum()) / total if total else 0.0


def cost(model: Model, load: Load, prices: Prices, trace: Trace) -> Costs:
    """What a run costs, by what is paid for. Raises UsageError for an instance type without a price."""
    return _priced(model, load, prices, trace)[0]


def between(model: Model, load: Load, prices: Prices, trace: Trace) -> tuple[float, float, float]:
    """What a run costs in all, and the least and the most of it by the prices' bands."""
    costs, low, high = _priced(model, load, prices, trace)
    return costs.total, low, high


def _priced(model: Model, load: Load, prices: Prices, trace: Trace) -> tuple[Costs, float, float]:
    parts = {part.name: 0.0 for part in fields(Costs)}
    least = most = 0.0
    for use in _used(model, load, trace):
        low, usd, high = use.amount, use.amount, use.amount
        for name in use.priced:
            price = _price(prices, name)
            band = prices.bands.get(name, (price, price))
            low, usd, high = low * band[0], usd * price, high * band[1]
        parts[use.part] += usd
        least, most = least + low, most + high
    return Costs(**parts), least, most


def _price(prices: Prices, name: str) -> float:
    price = prices.units.get(name, prices.instances.get(name))
    if price is None:
        raise UsageError(
            f'instance type {name}: no price of {prices.as_of} for it in {prices.region}; add it under "instances" of a'
            " copy of the price file, or run prices refresh"
        )
    return price


def refresh(aws: Aws, region: str, old: Prices, as_of: str) -> Prices:
    """The prices as of today, by the Price List API, which answers in a few regions only, for all of them.

    What the list does not have stays as it is, with its source: EC2 Spot, whose price moves, and the fee of Managed
    Instances. Raises UsageError for a region without prices, AccessError or ApiError where AWS refuses.
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
    """
    instances = dict(_on_demand(aws, region))
    if not instances:
        raise UsageError(f"region {region}: the Price List has no instance prices for it; give a region's code")
    source = f"{region}: AWS Price List API, {as_of}"
    found = dict(_units(aws, region))
    kept = old.sources
    if old.region != region:
        kept = {name: f"not known of {region}: {source}" for name, source in old.sources.items()}
    sources = {**kept, **dict.fromkeys(found, source), "instances": f"Linux, On-Demand, {source}"}
    bands = {name: band for name, band in old.bands.items() if name not in found}
    return Prices(region, as_of, sources, {**old.units, **found}, instances, bands)


def _on_demand(aws: Aws, region: str) -> Iterator[tuple[str, float]]:
    wanted = {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    for attributes, price, unit in _products(aws, "AmazonEC2", {"regionCode": region, **wanted}):
        if unit == "Hrs":
            yield attributes["instanceType"], price


def _units(aws: Aws, region: str) -> Iterator[tuple[str, float]]:
    """Units and their prices, each family of products asked for once."""
    vcpus: dict[str, float] = {}
    for service, family in dict.fromkeys((unit.service, unit.family) for unit in UNITS.values() if unit.service):
        wanted = {"regionCode": region, **({"productFamily": family} if family else {})}
        for attributes, price, _ in _products(aws, service, wanted):
            # EU-NatGateway-Hours, APS2-NatGateway-Hours; in us-east-1 some have no prefix.
            usage = re.sub(r"^[A-Z]{2,4}[0-9]?-", "", attributes.get("usagetype", ""))
            vcpus[usage] = price
            for name, unit in UNITS.items():
                if (unit.service, unit.family, unit.usage) == (service, family, usage):
                    yield name, price * unit.per
    spot, on_demand = vcpus.get("SpotUsage-Fargate-vCPU-Hours:perCPU"), vcpus.get("Fargate-vCPU-Hours:perCPU")
    if spot and on_demand:
        yield "fargate_spot_share", spot / on_demand


def _products(aws: Aws, service: str, wanted: Mapping[str, str]) -> Iterator[tuple[dict[str, str], float, str]]:
    """Attributes, USD On-Demand and their unit of products that have some attributes; of tiers the first paid one."""
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    for page in aws.pages("pricing", "get_products", ServiceCode=service, Filters=filters):
        for text in page["PriceList"]:
            product: dict[str, Any] = json.loads(text)
            for term in product["terms"].get("OnDemand", {}).values():
                tiers = sorted(term["priceDimensions"].values(), key=lambda tier: float(tier.get("beginRange", 0)))
                paid = [(float(tier["pricePerUnit"].get("USD", 0)), str(tier["unit"])) for tier in tiers]
                for price, unit in [tier for tier in paid if tier[0]][:1]:
                    yield product["product"]["attributes"], price, unit


def as_json_text(prices: Prices) -> str:
    """A price file's text."""
    return json.dumps(vars(prices), indent=1, sort_keys=True) + "\n"


_DAY_S = 86400
#: What a vCPU may use on average without surplus, by the instance's size: the same of t3, t3a and t4g.
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html
_BASELINES = {
    "nano": 0.05,
    "micro": 0.1,
    "small": 0.2,
    "medium": 0.2,
    "large": 0.3,
    "xlarge": 0.4,
    "2xlarge": 0.4,
}
_PRICED_AS = {"t3": "t3_surplus_vcpu_hour", "t3a": "t3_surplus_vcpu_hour", "t4g": "t4g_surplus_vcpu_hour"}
"""By family; t2's credits are limited by default, so that it is slowed down and not billed."""


def surplus(model: Model, load: Load, trace: Trace) -> tuple[float, str] | None:
    """The vCPU-hours above the baseline, billed beside the hours, and what by; None on instances without credits.

    An instance may be above its baseline for a while: what counts is its average over a day, or its life where that is
    shorter. Nodes share the work evenly; those that are there all day are one kind, those that come and go another.
    What the system, the agent and other services use is not counted.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode-concepts.html
    """
    nodes = model.nodes
    if not nodes or not trace.states:
        return None
    family, _, size = nodes.instance_type.partition(".")
    if family not in _PRICED_AS:
        return None
    each = nodes.cpu_units / 1024 * _BASELINES[size]
    times = [state.time for state in trace.states] + [len(trace.requests)]
    there = np.repeat(np.array([float(state.nodes) for state in trace.states]), np.diff(times))
    of_a_task = model.task.cpu_units / 1024 * load.cpu_at_capacity / 100
    used = (trace.requests - trace.dropped) / load.task_rps * of_a_task
    hours = 0.0
    for day in range(0, len(used), _DAY_S):
        count, work = there[day : day + _DAY_S], used[day : day + _DAY_S]
        lasting = count.min()
        share = np.divide(lasting, count, out=np.zeros_like(count), where=count > 0)
        for part, kind in ((work * share, lasting * len(count)), (work * (1 - share), (count - lasting).sum())):
            hours += max(0.0, float(part.sum()) - each * float(kind)) / 3600
    return hours, _PRICED_AS[family]
