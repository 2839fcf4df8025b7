"""What a run costs: instances and all that is paid for beside them. The file is dated and can be replaced.

`refresh` asks the AWS Price List for the current prices: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaleout_cfn.config.pulse import PERIOD_S
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Fargate, Load, Model

if TYPE_CHECKING:
    from scaleout_cfn.aws.client import Aws
    from scaleout_cfn.simulator.run import Trace

__all__ = ["DEFAULT_FILE", "Costs", "Prices", "cost", "load_prices", "refresh"]

DEFAULT_FILE = Path(__file__).parent.parent / "data" / "prices.json"
_HOURS_A_MONTH = 730
_PULSE_BYTES = 300  # of a line, with the 26 that CloudWatch Logs adds to each
_UNITS = {
    "alarm_month",
    "high_resolution_alarm_month",
    "logs_gb",
    "load_balancer_hour",
    "load_balancer_lcu_hour",
    "nat_gateway_hour",
    "nat_gateway_gib",
    "endpoint_hour",
    "fargate_arm64_gb_hour",
    "fargate_arm64_vcpu_hour",
    "fargate_x86_64_gb_hour",
    "fargate_x86_64_vcpu_hour",
    "public_ipv4_hour",
    "gp3_gib_month",
    "custom_metric_month",
}


@dataclass(frozen=True)
class Prices:
    """USD, by unit and by instance type and hour; `sources` says of each unit, and of the instances, where from."""

    region: str
    as_of: str
    sources: dict[str, str]
    units: dict[str, float]
    instances: dict[str, float]


@dataclass(frozen=True)
class Costs:
    """USD of one run."""

    instances: float
    fargate: float
    disks: float
    load_balancer: float
    nat: float
    endpoints: float
    addresses: float
    metrics: float

    @property
    def total(self) -> float:
        return math.fsum(vars(self).values())


def load_prices(path: Path | None = None) -> Prices:
    """A price file. Raises UsageError where it is none."""
    path = path or DEFAULT_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        units = {name: float(data["units"][name]) for name in _UNITS}
        instances = {str(name): float(value) for name, value in data["instances"].items()}
        sources = {name: str(data["sources"][name]) for name in ("instances", *units)}
        prices = Prices(str(data["region"]), str(data["as_of"]), sources, units, instances)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a price file") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: no price file ({error}); start from a copy of {DEFAULT_FILE}") from None
    for name, value in {**units, **instances}.items():
        if not math.isfinite(value) or value < 0:
            raise UsageError(f"{path}: {name} costs {value}; give USD of 0 or more")
    return prices


def cost(model: Model, load: Load, prices: Prices, trace: Trace) -> Costs:
    """What a run costs. A booted node pulls 0.1 GiB, through the NAT gateway where there is one.

    Capacity units of the balancer: the most of new connections (25 a second), bytes (1 GB an hour) and rules
    (none here), hour by hour. https://aws.amazon.com/elasticloadbalancing/pricing/
    Fargate: vCPUs and GB of a task, by the second. Its Spot price changes and is in no file: a task on Spot counts as
    On-Demand, and the model's notes say so. https://aws.amazon.com/fargate/pricing/
    A pulse: its metric, its alarms of 10 s, the two that target tracking makes, and the lines that come with the logs.
    https://aws.amazon.com/cloudwatch/pricing/
    """
    seconds, requests = len(trace.requests), trace.requests
    hours, unit, nodes = seconds / 3600, prices.units, model.nodes
    node_hours, task_hours = trace.node_seconds / 3600, trace.task_seconds / 3600
    instances = fargate = disks = 0.0
    if nodes is None:
        sold = f"fargate_{model.pool.architecture}" if isinstance(model.pool, Fargate) else ""
        an_hour = model.task_cpu_units / 1024 * unit[f"{sold}_vcpu_hour"]
        an_hour += model.task_memory_mib / 1024 * unit[f"{sold}_gb_hour"]
        fargate = task_hours * an_hour
    elif nodes.instance_type not in prices.instances:
        raise UsageError(
            f'instance type {nodes.instance_type}: no price of {prices.as_of} for it; add it under "instances" of a'
            " copy of the price file, or run prices refresh"
        )
    else:
        instances = node_hours * prices.instances[nodes.instance_type]
        disks = (node_hours + trace.stopped_seconds / 3600) * nodes.disk_gib * unit["gp3_gib_month"] / _HOURS_A_MONTH
    whole = np.add.reduceat(requests, np.arange(0, len(requests), 3600))
    lcu = np.maximum(whole / 3600 / load.requests_per_connection / 25, whole * load.response_kib * 1024 / 1e9).sum()
    network = model.network
    month = (2 if model.scaling.high_resolution else 0) * unit["custom_metric_month"]
    told = 0.0
    if model.scaling.pulse:
        alarms = sum(policy.metric == "pulse" for policy in model.scaling.step_policies)
        month += unit["custom_metric_month"] + 2 * unit["alarm_month"] + alarms * unit["high_resolution_alarm_month"]
        told = task_hours * 3600 / PERIOD_S * _PULSE_BYTES / 1e9 * unit["logs_gb"]
    public = node_hours if nodes else task_hours
    return Costs(
        instances=instances,
        fargate=fargate,
        disks=disks,
        load_balancer=network.load_balancers * (hours * unit["load_balancer_hour"])
        + (0.0 if model.health_check_interval_s is None else float(lcu) * unit["load_balancer_lcu_hour"]),
        nat=network.nat_gateways * hours * unit["nat_gateway_hour"]
        + (0.1 * trace.launches * unit["nat_gateway_gib"] if network.nat_gateways else 0.0),
        endpoints=network.endpoint_addresses * hours * unit["endpoint_hour"],
        addresses=(network.public_addresses * hours + (public if network.public_nodes else 0.0))
        * unit["public_ipv4_hour"],
        metrics=month * hours / _HOURS_A_MONTH + told,
    )


def refresh(aws: Aws, region: str, old: Prices, as_of: str) -> Prices:
    """The same prices as of today, by the Price List API, which answers in a few regions only, for all of them.

    Only instance types are asked for; the units are kept as they are, with their sources. Raises UsageError for a
    region without prices, AccessError or ApiError where AWS refuses.
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
    """
    instances = dict(_on_demand(aws, region))
    if not instances:
        raise UsageError(f"region {region}: the Price List has no instance prices for it; give a region's code")
    sources = {**old.sources, "instances": f"{region}, Linux, On-Demand: AWS Price List API, {as_of}"}
    return Prices(region, as_of, sources, old.units, instances)


def _on_demand(aws: Aws, region: str) -> Iterator[tuple[str, float]]:
    wanted = {
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    for page in aws.pages("pricing", "get_products", ServiceCode="AmazonEC2", Filters=filters):
        for text in page["PriceList"]:
            product = json.loads(text)
            for term in product["terms"].get("OnDemand", {}).values():
                for dimension in term["priceDimensions"].values():
                    price = float(dimension["pricePerUnit"].get("USD", 0))
                    if price and dimension["unit"] == "Hrs":
                        yield product["product"]["attributes"]["instanceType"], price


def as_json(prices: Prices) -> str:
    """A price file's text."""
    return json.dumps(vars(prices), indent=1, sort_keys=True) + "\n"
