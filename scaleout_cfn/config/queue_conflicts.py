"""What single bounds cannot say of queues, and of those that send to them."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import Config, WorkerService
from scaleout_cfn.config.containers import Task
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit, Work, names_of, queue_variable, with_queue


def receivers(config: Config) -> Iterator[Conflict]:
    """Whether all that is sent to has a queue."""
    queues = with_queue(config)
    senders: list[tuple[str, Task]] = [(f"services.{name}", one) for name, one in sorted(config.services.items())]
    senders += [(f"jobs.{name}", one) for name, one in sorted(config.jobs.items())]
    for place, settings in senders:
        key = f"{place}.sends_to"
        for other in settings.sends_to:
            if isinstance(config.services.get(other), WorkerService) and other not in queues:
                yield Conflict(key, f"{other} has no queue; write [services.{other}.queue]")
            elif other not in queues:
                what = "is no worker" if other in config.services else "is not there"
                yield Conflict(key, f"{other} {what}; the workers with a queue are {names_of(queues)}")
        if len(set(settings.sends_to)) < len(settings.sends_to):
            yield Conflict(key, "a service is named twice; name each once")


def addresses(work: Work) -> Iterator[Conflict]:
    """Whether a variable that tells the address of a queue is given by the config, too."""
    settings = work.settings
    told = {queue_variable(name) for name in settings.sends_to}
    if isinstance(work, Unit) and work.queue:
        told.add("QUEUE_URL")
    for name in sorted(told & (set(settings.environment) | set(settings.secrets))):
        section = "environment" if name in settings.environment else "secrets"
        yield Conflict(f"{work.key}.{section}.{name}", "is what the set tells the address of a queue by; leave it out")


def queue_conflicts(unit: Unit) -> Iterator[Conflict]:
    """What of a queue goes not with the tasks that receive from it."""
    settings, queue, key = unit.settings, unit.queue, f"{unit.key}.queue"
    if queue is None:
        return
    if queue.visibility_s < settings.stop_timeout_s:
        yield Conflict(
            f"{key}.visibility_s",
            f"got {queue.visibility_s}, less than {unit.key}.stop_timeout_s = {settings.stop_timeout_s}: another task"
            " would get a message while the one that is being stopped still works on it; give"
            f" {settings.stop_timeout_s} or more",
        )
    if queue.visibility_s < queue.seconds_per_message:
        yield Conflict(
            f"{key}.visibility_s",
            f"got {queue.visibility_s}, less than seconds_per_message = {queue.seconds_per_message:g}: messages would"
            " come again while they are worked on; give several times as much",
        )
    if queue.latency_s < queue.seconds_per_message:
        yield Conflict(
            f"{key}.latency_s",
            f"got {queue.latency_s:g}, less than seconds_per_message = {queue.seconds_per_message:g}, which no number"
            " of tasks makes shorter; give as much or more",
        )
    if queue.oldest_s < queue.latency_s:
        yield Conflict(
            f"{key}.oldest_s",
            f"got {queue.oldest_s}, less than latency_s = {queue.latency_s:g}, so that the alarm would tell of what is"
            " accepted; give more",
        )
