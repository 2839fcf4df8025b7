"""Traffic of an existing balancer, by CloudWatch's own shapes: botocore checks what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from click.testing import CliRunner

from scaleout_cfn.aws.client import Aws, Target
from scaleout_cfn.cli import cli
from scaleout_cfn.errors import EXIT_CODES, AccessError, UsageError
from scaleout_cfn.simulator.access_logs import from_cloudwatch

METRIC = "AWS/ApplicationELB/RequestCount"
BALANCER = {"LoadBalancer": "app/web/50dc6c495c0c9188"}
NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def aws() -> Aws:
    return Aws(Target(region="eu-west-1", keys=("a", "b")))


@pytest.fixture
def stub(aws: Aws) -> Iterator[Stubber]:
    with Stubber(aws.client("cloudwatch")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def _page(points: dict[datetime, float], **more: Any) -> dict[str, Any]:
    result = {"Id": "requests", "Timestamps": list(points), "Values": list(points.values()), "StatusCode": "Complete"}
    return {"MetricDataResults": [result], **more}


def _asked(period_s: int, start: datetime, **more: Any) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "RequestCount",
        "Dimensions": [{"Name": "LoadBalancer", "Value": "app/web/50dc6c495c0c9188"}],
    }
    return {
        "MetricDataQueries": [{"Id": "requests", "MetricStat": {"Metric": metric, "Period": period_s, "Stat": "Sum"}}],
        "StartTime": start,
        "EndTime": ANY,
        "ScanBy": "TimestampAscending",
        **more,
    }


def test_sums_become_requests_a_second_and_what_is_missing_had_none(aws: Aws, stub: Stubber) -> None:
    start = NOW.replace(second=0) - timedelta(days=1)
    first, second = start + timedelta(minutes=2), start + timedelta(minutes=3)
    stub.add_response("get_metric_data", _page({first: 600.0}, NextToken="more"), _asked(60, start))
    stub.add_response("get_metric_data", _page({second: 60.0}), _asked(60, start, NextToken="more"))
    traffic = from_cloudwatch(aws, METRIC, BALANCER, 1, NOW)
    assert traffic.start == start
    assert len(traffic.requests) == 86400
    assert traffic.requests[:120].sum() == 0
    assert traffic.requests[120:180].tolist() == [10.0] * 60
    assert traffic.requests[180:240].tolist() == [1.0] * 60
    assert traffic.requests.sum() == 660
    assert "2 of 1440 sums over 60 s" in traffic.notes[0]


@pytest.mark.parametrize(("days", "period_s"), [(15, 60), (16, 300), (63, 300), (64, 3600)])
def test_the_finest_period_that_is_still_kept_is_asked_for(aws: Aws, stub: Stubber, days: int, period_s: int) -> None:
    end = NOW.replace(second=0)
    start = end - timedelta(days=days)
    stub.add_response("get_metric_data", _page({start: float(period_s)}), _asked(period_s, start))
    traffic = from_cloudwatch(aws, METRIC, BALANCER, days, NOW)
    assert traffic.requests[:period_s].tolist() == [1.0] * period_s
    assert traffic.bin_s == period_s


def _metrics(*dimensions: dict[str, str]) -> dict[str, Any]:
    return {
        "Metrics": [
            {
                "Namespace": "AWS/ApplicationELB",
                "MetricName": "RequestCount",
                "Dimensions": [{"Name": name, "Value": value} for name, value in one.items()],
            }
            for one in dimensions
        ]
    }


def test_without_a_dimension_the_only_balancer_is_taken(aws: Aws, stub: Stubber) -> None:
    asked = {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount"}
    by_zone = {"AvailabilityZone": "eu-west-1a", **BALANCER}
    stub.add_response("list_metrics", _metrics(by_zone, BALANCER), asked)
    start = NOW.replace(second=0) - timedelta(days=1)
    stub.add_response("get_metric_data", _page({start: 60.0}), _asked(60, start))
    assert "app/web/50dc6c495c0c9188" in from_cloudwatch(aws, METRIC, {}, 1, NOW).name


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "no balancer in eu-west-1 has it; give --dimension LoadBalancer=app/NAME/ID"),
        ([{"LoadBalancer": "app/a/1"}, {"LoadBalancer": "app/b/2"}], r"2 balancers have it \(app/a/1, app/b/2\)"),
    ],
)
def test_none_or_several_balancers_want_a_dimension(
    aws: Aws, stub: Stubber, found: list[dict[str, str]], says: str
) -> None:
    stub.add_response("list_metrics", _metrics(*found), {"Namespace": ANY, "MetricName": ANY})
    with pytest.raises(UsageError, match=says):
        from_cloudwatch(aws, METRIC, {}, 1, NOW)


def test_a_metric_without_a_point_is_told_with_where_it_was_looked_for(aws: Aws, stub: Stubber) -> None:
    stub.add_response("get_metric_data", _page({}), None)
    with pytest.raises(
        UsageError, match="no point with LoadBalancer=app/web/50dc6c495c0c9188 in the last 3 days in eu-"
    ):
        from_cloudwatch(aws, METRIC, BALANCER, 3, NOW)


def test_a_name_without_a_namespace_is_refused(aws: Aws) -> None:
    with pytest.raises(UsageError, match="give NAMESPACE/METRIC"):
        from_cloudwatch(aws, "RequestCount", BALANCER, 3, NOW)


def test_a_missing_permission_is_one_message_with_exit_code_8(aws: Aws, stub: Stubber) -> None:
    stub.add_client_error("get_metric_data", "AccessDenied", "not authorized to perform: cloudwatch:GetMetricData", 403)
    with pytest.raises(AccessError, match=r"cloudwatch get_metric_data: AccessDenied: .*GetMetricData") as error:
        from_cloudwatch(aws, METRIC, BALANCER, 1, NOW)
    assert error.value.exit_code == 8
    assert EXIT_CODES[8] == "credentials or permissions"


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "--cloudwatch", METRIC, "--region", "eu-west-1", "--task-rps", "50"],
        ["prices", "refresh", "prices.json"],
    ],
)
def test_missing_credentials_are_one_message_with_exit_code_8(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    # A set that is there, for it is read first; nothing is written where nothing was got.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates_out").symlink_to(Path(__file__).parents[2] / "templates_out")
    with pytest.raises(AccessError, match="Unable to locate credentials") as error:
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert error.value.exit_code == 8
    assert not (tmp_path / "prices.json").exists()


@pytest.mark.parametrize("text", ["LoadBalancer", "=x", "LoadBalancer="])
def test_a_dimension_is_a_name_and_a_value(text: str) -> None:
    arguments = ["simulate", "--cloudwatch", METRIC, "--dimension", text, "--task-rps", "50"]
    with pytest.raises(UsageError, match="give NAME=VALUE"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
