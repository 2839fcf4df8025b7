"""The pulse of the sample: how many requests a second it has, as a metric in its log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scaleout_cfn.config.pulse import DIMENSION, METRIC, NAMESPACE, PERIOD_S, VARIABLE

from .helpers import Server, eventually
from .test_entry import entry


def test_a_line_is_what_the_set_s_alarms_look_at() -> None:
    pulse = entry.Pulse("web-1")
    assert pulse.beat(10, 1700000009) == ""
    line = json.loads(pulse.beat(261, 1700000012))
    assert line[METRIC] == 25 and line[DIMENSION] == "web-1"
    assert line["_aws"]["Timestamp"] == 1700000000000
    (told,) = line["_aws"]["CloudWatchMetrics"]
    assert (told["Namespace"], told["Dimensions"]) == (NAMESPACE, [[DIMENSION]])
    assert told["Metrics"] == [{"Name": METRIC, "Unit": "Count/Second", "StorageResolution": 1}]
    assert entry.PULSE_S == PERIOD_S


@pytest.mark.parametrize(
    ("counts", "rates"),
    [((1, 2, 13), [0, 1]), ((None, 5, None, 9, 10), [0]), ((100, 1), [0])],
)
def test_what_nginx_does_not_say_is_no_rate_and_none_is_below_0(counts: Any, rates: list[float]) -> None:
    pulse = entry.Pulse("web-1")
    lines = [pulse.beat(count, 1700000000 + 10 * number) for number, count in enumerate(counts)]
    assert [json.loads(line)[METRIC] for line in lines if line] == rates


def test_nginx_counts_every_request_and_says_so_to_nobody_outside(server: Server) -> None:
    before = entry.requests(server.folder / "status.sock")
    for _ in range(20):
        server.get("/api")
    assert entry.requests(server.folder / "status.sock") >= before + 21
    assert server.get("/nginx_status").status == 404
    assert entry.requests(server.folder / "nothing.sock") is None


def test_a_service_that_is_told_its_name_prints_its_pulse_and_another_does_not(
    start: Callable[..., Server], server: Server
) -> None:
    told = start(entry=("PULSE_S = 10", "PULSE_S = 1"), **{VARIABLE: "web-1"})
    eventually(lambda: any(line.get(DIMENSION) == "web-1" for line in told.log()), "a line with the rate", 10)
    assert not any(DIMENSION in line for line in server.log())
