"""Nothing runs at night: no node is needed, and alarms tell nobody meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from troposphere import AWSObject, Tags, autoscaling

from scaleout_cfn.config.scaling import Night, fields
from scaleout_cfn.stack import Stack

WEEK = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
DAY_MIN = 24 * 60


class AlarmMuteRule(AWSObject):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarmmuterule.html"""

    resource_type = "AWS::CloudWatch::AlarmMuteRule"
    props = {
        "Description": (str, False),
        "MuteTargets": (dict, False),
        "Name": (str, False),
        "Rule": (dict, True),
        "Tags": (Tags, False),
    }


def nodes(stack: Stack, night: Night, titles: tuple[str, str], group: AWSObject, least: int) -> None:
    """The fewest nodes of a group: none at night, when the capacity provider takes away those without tasks."""
    days = ",".join(str((WEEK.index(day) + 1) % 7) for day in night.days)
    for title, recurrence, size in zip(
        titles, (f"{fields(night.stop)} * * *", f"{fields(night.start)} * * {days}"), (0, least), strict=True
    ):
        stack.add(
            autoscaling.ScheduledAction(
                title,
                AutoScalingGroupName=group.ref(),
                MinSize=size,
                Recurrence=recurrence,
                TimeZone=night.timezone,
            )
        )


def mute(stack: Stack, night: Night, kind: str = "AWS::CloudWatch::Alarm") -> None:
    """Alarms of a stack tell nobody while nothing runs: requests that nobody answers, messages that wait.

    One rule for nights of one length, for a rule has one duration.
    """
    alarms = [
        resource.ref()
        for resource in stack.template.resources.values()
        if resource.resource_type == kind and "Condition" not in resource.resource
    ]
    for number, (minutes, days) in enumerate(_nights(night) if alarms else (), 1):
        hours, rest = divmod(minutes, 60)
        schedule = {
            "Expression": f"cron({fields(night.stop)} * * {','.join(days)})",
            "Duration": f"PT{hours}H{rest}M" if rest else f"PT{hours}H",
            "Timezone": night.timezone,
        }
        stack.add(
            AlarmMuteRule(f"MuteAtNight{number}", Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": alarms})
        )


def _nights(night: Night) -> Iterator[tuple[int, list[str]]]:
    """The lengths of the nights in minutes, each with the days on which such a night begins."""
    stop, start = _minutes(night.stop), _minutes(night.start)
    begins = sorted(WEEK.index(day) * DAY_MIN + start for day in night.days)
    lengths: dict[int, list[str]] = {}
    for begin, following in zip(begins, [*begins[1:], begins[0] + 7 * DAY_MIN], strict=True):
        end = begin + (stop - start) % DAY_MIN
        lengths.setdefault(following - end, []).append(WEEK[end // DAY_MIN % 7])
    yield from sorted(lengths.items())


def _minutes(time: str) -> int:
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)
