"""[night]: no task and no node from evening to morning, and alarms that tell nobody meanwhile."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config, Ec2Capacity, Night, Scaling, Schedule, WebService, WorkerService
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.scaling import schedules_of
from scaleout_cfn.config.services import Queue
from scaleout_cfn.rendering import set_of
from scaleout_cfn.schedules import Cron, firings, parsed

TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda time: f"{time[0]:02}:{time[1]:02}")
WEEK = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
START = datetime(2026, 11, 23, tzinfo=UTC)  # a Monday


def shop(night: Night | None, **changes: Any) -> Config:
    mailer = WorkerService(image_of="web", queue=Queue())
    services: dict[str, Any] = {"web": WebService(scaling=Scaling(max_tasks=4)), "mailer": mailer}
    return Config(night=night, services=services, capacity={"nodes": Ec2Capacity(max_nodes=9)}, **changes)


def resources(config: Config, kind: str) -> dict[str, Any]:
    return {
        f"{name}/{title}": one["Properties"]
        for name, template in set_of(compose(config)).items()
        for title, one in template["Resources"].items()
        if one["Type"] == kind
    }


def test_every_service_goes_to_no_task_and_back_to_the_bounds_that_it_has() -> None:
    targets = resources(shop(Night(timezone="Europe/Berlin")), "AWS::ApplicationAutoScaling::ScalableTarget")
    assert len(targets) == 2
    for target in targets.values():
        night, morning = target["ScheduledActions"]
        assert (night["Schedule"], night["Timezone"]) == ("cron(0 20 * * ? *)", "Europe/Berlin")
        assert night["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
        assert morning["Schedule"] == "cron(0 7 ? * MON,TUE,WED,THU,FRI *)"
        assert morning["ScalableTargetAction"] == {name: target[name] for name in ("MinCapacity", "MaxCapacity")}


def test_pools_need_no_node_at_night_and_those_that_never_need_one_are_left_alone() -> None:
    actions = resources(shop(Night(days=("SUN", "MON"))), "AWS::AutoScaling::ScheduledAction")
    assert [(one["MinSize"], one["Recurrence"]) for one in actions.values()] == [(0, "0 20 * * *"), (2, "0 7 * * 0,1")]
    without = shop(Night())
    without = msgspec.structs.replace(without, capacity={"nodes": Ec2Capacity(min_nodes=0, max_nodes=9)})
    assert resources(without, "AWS::AutoScaling::ScheduledAction") == {}


def test_alarms_on_requests_and_queues_are_muted_for_nights_and_weekends() -> None:
    rules = resources(shop(Night()), "AWS::CloudWatch::AlarmMuteRule")
    schedules = {tuple(sorted(one["Rule"]["Schedule"].items())) for one in rules.values()}
    assert {(dict(each)["Expression"], dict(each)["Duration"]) for each in schedules} == {
        ("cron(0 20 * * MON,TUE,WED,THU)", "PT11H"),
        ("cron(0 20 * * FRI)", "PT59H"),
    }
    muted = {alarm["Ref"] for one in rules.values() for alarm in one["MuteTargets"]["AlarmNames"]}
    assert {"LoadBalancerErrors", "TargetErrors", "OldestMessage"} <= muted


def test_without_it_nothing_of_it_is_there() -> None:
    for kind in ("AWS::CloudWatch::AlarmMuteRule", "AWS::AutoScaling::ScheduledAction"):
        assert resources(shop(None), kind) == {}


@given(TIMES, TIMES, st.lists(st.sampled_from(WEEK), min_size=1, unique=True))
def test_alarms_are_silent_whenever_the_schedule_has_nothing_run_and_at_no_other_time(
    stop: str, start: str, days: list[Any]
) -> None:
    from scaleout_cfn.stacks.night import _nights

    night = Night(stop=stop, start=start, days=tuple(days))
    if stop == start:
        return
    config = shop(night)
    moves = []
    for schedule in schedules_of(config, Scaling()):
        expression = parsed(schedule.at)
        assert isinstance(expression, Cron)
        fired = firings(expression, ZoneInfo("UTC"), START, START + timedelta(days=28))
        moves += [(one.time, schedule.max_tasks > 0) for one in fired]
    moves.sort()
    hour, minute = map(int, stop.split(":"))
    windows = []
    for minutes, begins in _nights(night):
        for day in range(28):
            begin = START + timedelta(days=day, hours=hour, minutes=minute)
            if WEEK[begin.weekday()] in begins:
                windows.append((begin, begin + timedelta(minutes=minutes)))
    for (time, runs), (following, _) in itertools.pairwise(moves):
        if time < START + timedelta(days=8) or time > START + timedelta(days=20):
            continue
        middle = time + (following - time) / 2
        assert any(begin <= middle < end for begin, end in windows) is not runs, (time, runs)


@pytest.mark.parametrize(
    ("config", "key", "words"),
    [
        (shop(Night(stop="07:00")), "night.start", "got 07:00, which is when it stops"),
        (shop(Night(days=("MON", "MON"))), "night.days", "a day is named twice"),
        (
            Config(
                night=Night(),
                services={
                    "web": WebService(
                        scaling=Scaling(
                            max_tasks=4,
                            schedules=(Schedule(name="noon", at="cron(0 12 * * ? *)", min_tasks=1, max_tasks=4),),
                        )
                    )
                },
            ),
            "services.web.scaling.schedules",
            "would start tasks at night",
        ),
    ],
)
def test_what_does_not_go_together_is_told(config: Config, key: str, words: str) -> None:
    (found,) = conflicts(config)
    assert found.key == key
    assert words in found.what


def test_the_policies_of_cloudformations_role_let_it_mute_the_sets_alarms_alone() -> None:
    from scaleout_cfn.permissions.grants import Scope, plain
    from scaleout_cfn.permissions.service_role import service_role

    place = Scope("web", "artifacts", "123456789012", "eu-west-1")
    statements = plain(service_role(set_of(compose(shop(Night()))), place))
    mute = [one for one in statements if "cloudwatch:PutAlarmMuteRule" in one["Action"]]
    allowed = {resource for one in mute for resource in one["Resource"]}
    begins = "arn:aws:cloudwatch:eu-west-1:123456789012:"
    assert {f"{begins}alarm:web-*", f"{begins}alarm-mute-rule:web-*"} <= allowed and "*" not in allowed
