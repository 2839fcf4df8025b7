"""A worker's queue: what is sent to it, how long that may take, and how many tasks that asks for."""

from typing import Annotated

from scaleout_cfn.config.tunables import Section, tunable


class Queue(Section, frozen=True, kw_only=True):
    """An SQS queue with a dead-letter queue. How much of it waits moves the number of the worker's tasks.

    The acceptable backlog of a task is the latency that is accepted by the time that a message takes:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
    """

    fifo: Annotated[
        bool, tunable("In order, and each message once. A change makes the queue anew, and keeps the old one.")
    ] = False
    visibility_s: Annotated[
        int,
        tunable(
            "Time that a received message is hidden from other tasks; one that was not deleted by then comes again.",
            unit="seconds",
            ge=1,
            le=43200,
        ),
    ] = 120
    retention_days: Annotated[
        int, tunable("How long a message waits at most; the dead-letter queue keeps 14.", unit="days", ge=1, le=14)
    ] = 4
    max_receives: Annotated[
        int, tunable("How often a message is received before it goes to the dead-letter queue.", ge=1, le=1000)
    ] = 5
    latency_s: Annotated[
        float,
        tunable("How long a message may wait, as tasks are added for it.", unit="seconds", gt=0, le=43200),
    ] = 60
    seconds_per_message: Annotated[
        float, tunable("How long a task works on a message, on average.", unit="seconds", gt=0, le=43200)
    ] = 1
    oldest_s: Annotated[
        int, tunable("Age of the oldest message that raises an alarm.", unit="seconds", ge=60, le=43200)
    ] = 900

    @property
    def messages_per_task(self) -> float:
        """The backlog of a task that its latency allows: what scaling keeps."""
        return round(self.latency_s / self.seconds_per_message, 3)
