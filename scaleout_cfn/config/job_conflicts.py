"""What single bounds cannot say of jobs: what they name, and when they run."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import Config, Job
from scaleout_cfn.config.service_conflicts import work_conflicts
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import JobUnit, names_of, owners_of_images

QUARTER_WEEKS = 13


def named_by_jobs(config: Config) -> Iterator[Conflict]:
    """Whether all that jobs call by name is there, and their names are their own."""
    for name, settings in sorted(config.jobs.items()):
        key = f"jobs.{name}"
        if name in config.services:
            yield Conflict(key, "is called as a service is, and parameters would be, too; rename it")
        if settings.capacity and settings.capacity not in config.capacity:
            yield Conflict(f"{key}.capacity", f"got {settings.capacity!r}; the pools are {names_of(config.capacity)}")
        elif not settings.capacity and len(config.capacity) > 1:
            yield Conflict(
                f"{key}.capacity", f"there are several pools, {names_of(config.capacity)}; say on which it runs"
            )
        yield from _image(config, key, settings)


def _image(config: Config, key: str, settings: Job) -> Iterator[Conflict]:
    services = names_of(config.services)
    if settings.before and settings.before not in config.services:
        yield Conflict(f"{key}.before", f"got {settings.before!r}; the services are {services}")
        return
    if settings.image_of and settings.image_of not in config.services:
        yield Conflict(f"{key}.image_of", f"got {settings.image_of!r}; the services are {services}")
        return
    owner = config.services[settings.image_of].image_of if settings.image_of else ""
    if owner:
        yield Conflict(f"{key}.image_of", f"{settings.image_of} has no image of its own; name {owner}, whose it runs")
    elif settings.before:
        its = config.services[settings.before].image_of or settings.before
        if settings.image_of not in ("", its):
            yield Conflict(
                f"{key}.image_of",
                f"got {settings.image_of}, and before {settings.before} it runs the image of {its}; leave it out",
            )
        if settings.image_uri:
            yield Conflict(
                f"{key}.image_uri", f"goes not with before, where it runs the new image of {its}; leave it out"
            )
    elif settings.image_of and settings.image_uri:
        yield Conflict(f"{key}.image_uri", f"goes not with image_of = {settings.image_of!r}; keep one of the two")
    elif not settings.image_of and not settings.image_uri and len(owners_of_images(config)) > 1:
        yield Conflict(
            f"{key}.image_of",
            f"is empty, and several services have an image of their own; say whose it runs: {services}; or give"
            " image_uri",
        )


def job_conflicts(job: JobUnit) -> Iterator[Conflict]:
    """What of a job excludes each other, and what its pool cannot do for it."""
    settings, key = job.settings, job.key
    yield from work_conflicts(job)
    if not settings.at and not settings.overlap:
        yield Conflict(f"{key}.overlap", "nothing starts it by itself, so that nothing is left out; give at, or true")
    if not settings.at and settings.timezone != "UTC":
        yield Conflict(f"{key}.timezone", "is that of a schedule, and there is none; give at, or leave it out")
    if settings.success_within_h and (apart := _longest_apart_h(settings)) >= settings.success_within_h:
        yield Conflict(
            f"{key}.success_within_h",
            f"got {settings.success_within_h}, where runs are up to {apart:g} hours apart, so that it would go on all"
            " the time; give more",
        )


def _longest_apart_h(settings: Job) -> float:
    """How far apart the runs of a schedule can be, in hours; 0 where it runs once."""
    from datetime import UTC, datetime, timedelta, timezone
    from itertools import pairwise
    from zoneinfo import ZoneInfo

    from scaleout_cfn.schedules import At, Rate, firings, parsed

    if not settings.at:
        return 0
    expression = parsed(settings.at, "scheduler")
    if isinstance(expression, Rate):
        return expression.seconds / 3600
    if isinstance(expression, At):
        return 0
    zone: ZoneInfo | timezone = UTC if settings.timezone == "UTC" else ZoneInfo(settings.timezone)
    # Any quarter of a year, the same each time, in which most clocks go back: a day then has 25 hours.
    start = datetime(2026, 9, 1, tzinfo=UTC)
    times = [firing.time for firing in firings(expression, zone, start, start + timedelta(weeks=QUARTER_WEEKS))]
    if len(times) < 2:
        return 24.0 * 7 * QUARTER_WEEKS
    return max((after - before).total_seconds() for before, after in pairwise(times)) / 3600
