"""cost: the bill by the set's own tag, by parts that the simulator knows, and what is in no simulation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from scaleout_cfn.cli.figures import HOW, _problem_of_month, _simulated
from scaleout_cfn.cli.views import LinesView
from scaleout_cfn.deploy.cost import PARTS, Simulated, bill_of, compared, tag_of
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Note, Outcome
from scaleout_cfn.errors import AccessError, NeedsHandError, UsageError
from scaleout_cfn.simulator.prices import Costs

from .services import Services, Stack
from .test_views import NOW, WIDTHS, golden
from .world import Fault

OCTOBER, TODAY = date(2026, 10, 1), date(2026, 11, 23)
LINES = [
    ("Amazon Elastic Compute Cloud - Compute", "EU-BoxUsage:t3.small", 40.0),
    ("EC2 - Other", "EU-NatGateway-Hours", 33.0),
    ("EC2 - Other", "EU-NatGateway-Bytes", 2.0),
    ("EC2 - Other", "EU-EBS:VolumeUsage.gp3", 5.0),
    ("EC2 - Other", "EU-DataTransfer-Out-Bytes", 1.5),
    ("Amazon Elastic Load Balancing", "EU-LoadBalancerUsage", 18.0),
    ("Amazon Virtual Private Cloud", "EU-PublicIPv4:InUseAddress", 3.6),
    ("Amazon Elastic Container Service", "EU-Fargate-vCPU-Hours:perCPU", 7.0),
    ("AmazonCloudWatch", "EU-CW:MetricMonitorUsage", 0.6),
    ("AmazonCloudWatch", "EU-DataProcessing-Bytes", 4.0),
    ("AWS Key Management Service", "eu-west-1-KMS-Requests", 0.3),
]


class Tagged(Stack):
    tags: dict[str, str] = {"team": "shop"}

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        answer = super().DescribeStacks(StackName)
        answer["Stacks"][0]["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return answer


@dataclass
class Account(Services):
    """An account with a bill of one month, two lines a page."""

    active: tuple[str, ...] = ("team",)
    lines: list[tuple[str, str, float]] = field(default_factory=lambda: list(LINES))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Tagged(self)

    def ce_ListCostAllocationTags(self, TagKeys: list[str]) -> dict[str, Any]:
        return {
            "CostAllocationTags": [
                {"TagKey": key, "Type": "UserDefined", "Status": "Active" if key in self.active else "Inactive"}
                for key in TagKeys
            ]
        }

    def ce_GetCostAndUsage(
        self, Filter: dict[str, Any], TimePeriod: dict[str, str], NextPageToken: str = "0", **_: Any
    ) -> dict[str, Any]:
        assert Filter == {"Tags": {"Key": "team", "Values": ["shop"]}}
        first = int(NextPageToken)
        groups = [
            {"Keys": [service, usage], "Metrics": {"UnblendedCost": {"Amount": str(usd), "Unit": "USD"}}}
            for service, usage, usd in self.lines[first : first + 2]
        ]
        more = {"NextPageToken": str(first + 2)} if first + 2 < len(self.lines) else {}
        return {"ResultsByTime": [{"TimePeriod": TimePeriod, "Groups": groups, "Total": {}}], **more}


def told(
    world: Account, simulated: Simulated | None = None, month: date = OCTOBER
) -> tuple[Outcome, list[str], list[Message]]:
    said: list[Message] = []
    live = require(world.aws(), "web")
    tag = tag_of(live, "")
    bill = bill_of(world.aws(), tag, month, TODAY, said.append)
    outcome = compared(live, tag, bill, simulated, said.append)
    return outcome, [line for one in said if isinstance(one, Fact) for line in one.lines], said


def test_the_bill_is_told_by_the_parts_that_a_simulation_knows_and_the_rest_by_service() -> None:
    outcome, lines, said = told(Account())
    assert lines == [
        "EC2 instances                             40.00",
        "Fargate                                    7.00",
        "disks of the nodes                         5.00",
        "load balancer                             18.00",
        "NAT gateways                              35.00",
        "public addresses                           3.60",
        "metrics and alarms                         0.60",
        "AmazonCloudWatch                           4.00  not in the model",
        "EC2 - Other                                1.50  not in the model",
        "AWS Key Management Service                 0.30  not in the model",
    ]
    assert outcome.what == "web: 115.00 USD billed of 2026-10, 31 days, by team=shop; 5% of it is in no simulation"
    assert [one.text for one in said if isinstance(one, Note)] == ["7 requests of Cost Explorer, 0.07 USD"]


def test_beside_it_is_what_was_simulated_for_as_many_days() -> None:
    outcome, lines, said = told(Account(), Simulated({"instances": 1.0, "nat": 0.5, "endpoints": 0.1}, 24 * 3600))
    assert lines[0] == "EC2 instances                             40.00      31.00      +9.00"
    assert "VPC endpoints                              0.00       3.10      -3.10" in lines
    assert outcome.what.endswith("; 49.60 USD simulated for as many days")
    (first, *_) = [one.data for one in said if isinstance(one, Fact)]
    assert first == {"part": "EC2 instances", "billed_usd": 40.0, "modelled": True, "simulated_usd": 31.0}
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("compares", [False, True])
def test_a_bill_looks_like_this(compares: bool, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    simulated = Simulated({"instances": 1.0, "nat": 0.5, "endpoints": 0.1}, 24 * 3600) if compares else None
    outcome, _, said = told(Account(), simulated)
    view = LinesView(now=lambda: NOW, width=width)
    for message in [*([] if compares else [Note(HOW)]), *said]:
        view.tell(message)
    view.ended(outcome)
    shown = capsys.readouterr()
    golden(f"cost-{'compared-' if compares else ''}{width}.txt", shown.out + shown.err)


def test_the_month_that_runs_is_told_to_yesterday() -> None:
    outcome, _, _ = told(Account(), month=date(2026, 11, 1))
    assert "of 2026-11, 22 days" in outcome.what
    with pytest.raises(UsageError, match="nothing is billed of 2026-12 yet"):
        told(Account(), month=date(2026, 12, 1))


def test_a_tag_that_is_not_activated_is_told_with_what_to_do_and_what_was_paid() -> None:
    with pytest.raises(NeedsHandError, match="the tag team is no active cost allocation tag") as caught:
        told(Account(active=()))
    assert caught.value.next and "activate team in the billing console" in caught.value.next.words
    world = Account(active=())
    with pytest.raises(NeedsHandError):
        told(world)
    assert not world.sent("GetCostAndUsage")


def test_nothing_billed_says_when_a_tag_counts() -> None:
    outcome, lines, _ = told(Account(lines=[]))
    assert (outcome.exit_code, lines) == (0, [])
    assert outcome.next and "counts from its activation" in outcome.next.words


def test_the_tag_is_the_environments_or_the_only_one_and_has_to_be_the_stacks() -> None:
    world = Account()
    world.cfn.tags = {"team": "shop", "scaleout:environment": "prod"}
    live = require(world.aws(), "web")
    assert tag_of(live, "") == ("scaleout:environment", "prod")
    assert tag_of(live, "team") == ("team", "shop")
    for tags, asked in (({}, ""), ({"a": "1", "b": "2"}, ""), ({"a": "1"}, "c")):
        world.cfn.tags = tags
        with pytest.raises(UsageError, match=r"--tag.*stack web has (none|a, b|a)\."):
            tag_of(require(world.aws(), "web"), asked)


def test_whoever_may_not_read_the_bill_is_told() -> None:
    with pytest.raises(AccessError):
        told(Account(faults=[Fault("GetCostAndUsage", "AccessDeniedException")]))


def test_every_part_of_the_simulators_costs_has_its_place_on_the_bill() -> None:
    assert set(PARTS) == set(Costs.__dataclass_fields__)


@pytest.mark.parametrize("text", ["2026-13", "october", "2026-10-01", ""])
def test_a_month_is_a_month(text: str) -> None:
    assert _problem_of_month(text)
    assert not _problem_of_month("2026-10")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"costs_usd": {"nat": 1}, "seconds": 0}', '{"costs_usd": 1}'])
def test_what_no_simulation_printed_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "simulated.json"
    with pytest.raises(UsageError, match="No such file"):
        _simulated(path)
    path.write_text(text)
    with pytest.raises(UsageError, match="--simulated"):
        _simulated(path)
    path.write_text(json.dumps({"costs_usd": {"nat": 1}, "seconds": 60}))
    assert _simulated(path) == Simulated({"nat": 1.0}, 60.0)
