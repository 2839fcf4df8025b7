"""Jobs: tasks that run to their end, at a time, before a new version of a service, or by hand."""

from typing import Annotated

from scaleout_cfn.config.containers import Task
from scaleout_cfn.config.tunables import tunable


def _problem_of_schedule(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_schedule  # here, for most sets have no job

    return problem_of_schedule(text, "scheduler") if text else ""


def _problem_of_timezone(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_timezone

    return problem_of_timezone(text)


class Job(Task, frozen=True, kw_only=True):
    """A task that runs to its end, by a schedule of EventBridge Scheduler, before a service's new image, or by hand.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/tasks-scheduled-eventbridge-scheduler.html
    """

    at: Annotated[
        str,
        tunable(
            "When it runs: cron(minute hour day month weekday year), rate(n unit) or at(yyyy-mm-ddThh:mm:ss); empty for"
            " by hand only.",
            pattern=r"^$|^(cron\([^()]+\)|rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|at\([0-9T:-]+\))$",
            problem_of=_problem_of_schedule,
        ),
    ] = ""
    timezone: Annotated[
        str,
        tunable("A name of the tz database.", pattern="^[A-Za-z0-9_+/-]{1,64}$", problem_of=_problem_of_timezone),
    ] = "UTC"
    retries: Annotated[
        int,
        tunable("How often a start that AWS refused is tried again; a command that fails is not.", ge=0, le=185),
    ] = 10
    retry_within_s: Annotated[
        int,
        tunable("How long a start is tried; then it is in the dead-letter queue.", unit="seconds", ge=60, le=86400),
    ] = 3600
    overlap: Annotated[
        bool,
        tunable("Whether it begins while an earlier run goes on; with false it is left out then, by Step Functions."),
    ] = True
    success_within_h: Annotated[
        int,
        tunable("Hours without a run that ended well which raise an alarm; 0 for none.", unit="hours", ge=0, le=168),
    ] = 0
    before: Annotated[
        str,
        tunable(
            "The service before whose new image it runs with that image, as a migration does; it fails, and the service"
            " keeps the old one.",
            pattern="^[a-z0-9-]*$",
            allowed="the name of a service, or nothing",
        ),
    ] = ""
