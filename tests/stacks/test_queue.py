"""A worker with a queue: what the queue is, who may send and receive, and how its backlog moves the number of tasks."""

from __future__ import annotations

import re
from math import ceil
from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts
from stacks.helpers import at, att, made, of_type, properties, ref, resource

QUEUE = sc.Queue(latency_s=10, seconds_per_message=0.1)
MAILER = sc.WorkerService(image_of="web", queue=QUEUE, scaling=sc.Scaling(min_tasks=0, max_tasks=6))
WEB = sc.WebService(sends_to=("mailer",), scaling=sc.Scaling(max_tasks=6))


def of(mailer: sc.WorkerService = MAILER, web: sc.WebService = WEB, **parts: Any) -> sc.Config:
    return sc.Config(services={"web": web, "mailer": mailer}, **parts)


def queue(title: str, **settings: Any) -> dict[str, Any]:
    return properties(made(of(replace(MAILER, queue=replace(QUEUE, **settings)))), "mailer-foundation", title)


def test_a_queue_is_encrypted_reached_by_tls_alone_and_kept_with_what_is_in_it() -> None:
    foundation = made(of())["mailer-foundation.yaml"]
    queues = of_type(foundation, "SQS::Queue")
    assert set(queues) == {"Queue", "DeadLetterQueue"}
    for title, body in queues.items():
        assert body["SqsManagedSseEnabled"] is True
        assert resource(made(of()), "mailer-foundation", title)["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource(made(of()), "mailer-foundation", title)["UpdateReplacePolicy"] == "Retain"
        policy = properties(made(of()), "mailer-foundation", f"{title}Policy")
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert policy["Queues"] == [ref(title)]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", ["sqs:*"])
        assert statement["Resource"] == [att(title, "Arn")]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("days", [1, 4, 14])
def test_what_is_received_in_vain_goes_to_a_queue_that_keeps_it_for_as_long_at_least(days: int) -> None:
    source, dead = queue("Queue", retention_days=days, max_receives=3), queue("DeadLetterQueue", retention_days=days)
    assert source["RedrivePolicy"] == {"deadLetterTargetArn": att("DeadLetterQueue", "Arn"), "maxReceiveCount": 3}
    assert source["MessageRetentionPeriod"] == days * 24 * 60 * 60 <= dead["MessageRetentionPeriod"]
    assert "RedrivePolicy" not in dead


def test_a_queue_in_order_has_a_dead_letter_queue_in_order_and_each_change_of_it_makes_a_new_one() -> None:
    for title in ("Queue", "DeadLetterQueue"):
        assert queue(title, fifo=True)["FifoQueue"] is queue(title, fifo=True)["ContentBasedDeduplication"] is True
        assert "FifoQueue" not in queue(title)
        # Nobody gave it a name, so that the new one can be made beside the old.
        assert "QueueName" not in queue(title, fifo=True)


def variables(name: str, config: sc.Config | None = None) -> dict[str, Any]:
    definition = properties(made(config or of()), f"{name}-service", "TaskDefinition")
    return {entry["Name"]: entry["Value"] for entry in definition["ContainerDefinitions"][0].get("Environment", [])}


def granted(name: str) -> dict[str, tuple[list[str], list[Any]]]:
    role = properties(made(of()), f"{name}-service", "TaskRole")
    documents = {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in role.get("Policies", [])}
    return {title: (one["Action"], one["Resource"]) for title, (one,) in documents.items()}


def test_a_worker_is_told_where_its_queue_is_and_may_receive_and_nothing_else() -> None:
    assert variables("mailer") == {"QUEUE_URL": ref("QueueUrl")}
    actions = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"]
    assert granted("mailer") == {"receive-messages": ([f"sqs:{action}" for action in actions], [ref("QueueArn")])}
    root = made(of())["root.yaml"]
    assert root["Resources"]["MailerService"]["Properties"]["Parameters"]["QueueUrl"] == att(
        "MailerFoundation", "Outputs.QueueUrl"
    )
    assert root["Outputs"]["MailerQueueUrl"]["Value"] == att("MailerFoundation", "Outputs.QueueUrl")


def test_who_sends_is_told_where_and_may_send_there_alone() -> None:
    assert variables("web") == {"MAILER_QUEUE_URL": ref("MailerSentUrl")}
    assert granted("web") == {"send-messages": (["sqs:SendMessage"], [ref("MailerSentArn")])}
    given = properties(made(of()), "root", "WebService")["Parameters"]
    assert given["MailerSentArn"] == att("MailerFoundation", "Outputs.QueueArn")
    both = of(web=replace(WEB, environment={"MODE": "prod"}))
    assert variables("web", both) == {"MAILER_QUEUE_URL": ref("MailerSentUrl"), "MODE": "prod"}


def test_under_a_key_of_the_set_s_own_who_sends_or_receives_may_use_it_in_queues_alone() -> None:
    files = made(of(encryption=sc.OwnKey()))
    for title in ("Queue", "DeadLetterQueue"):
        body = properties(files, "mailer-foundation", title)
        assert (body["KmsMasterKeyId"], "SqsManagedSseEnabled" in body) == (ref("Key"), False)
    for name in ("web", "mailer"):
        documents = properties(files, f"{name}-service", "TaskRole")["Policies"]
        (using,) = [policy["PolicyDocument"]["Statement"] for policy in documents if policy["PolicyName"] == "use-key"]
        assert [statement["Resource"] for statement in using] == [[ref("Key")]]
        via = using[0]["Condition"]["StringEquals"]["kms:ViaService"]
        assert via == [{"Fn::Sub": "sqs.${AWS::Region}.amazonaws.com"}]


# --- scaling


def computed(expression: str, **metrics: float | None) -> float:
    """What CloudWatch's metric math gives for one minute: a metric that has no sample then is None.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """

    def fill(value: float | None, instead: float) -> float:
        return instead if value is None else value

    def choose(condition: float, then: float, otherwise: float) -> float:
        return then if condition else otherwise

    assert re.fullmatch(r"[\w(),.+*/<>\s-]+", expression)
    known = {"FILL": fill, "IF": choose, "__builtins__": {}}
    return float(eval(expression, known, metrics))


def tracking(config: sc.Config | None = None) -> dict[str, Any]:
    policy = properties(made(config or of()), "mailer-service", "BacklogTracking")
    found: dict[str, Any] = policy["TargetTrackingScalingPolicyConfiguration"]
    return found


def backlog(**metrics: float | None) -> float:
    queries = {query["Id"]: query for query in at(tracking(), "CustomizedMetricSpecification.Metrics")}
    assert [name for name, query in queries.items() if query["ReturnData"]] == ["backlog"]
    assert set(metrics) == set(queries) - {"backlog"}
    return computed(queries["backlog"]["Expression"], **metrics)


def test_the_backlog_of_a_task_is_that_of_aws_s_own_example() -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html

    1,500 messages for 10 instances that take 0.1 s for each, where 10 s are accepted: 100 are acceptable, 150 are
    there, and five instances more bring that into proportion.
    """
    acceptable = tracking()["TargetValue"]
    assert acceptable == 10 / 0.1 == 100
    there = backlog(waiting=1500, in_work=None, tasks=10)
    assert there == 150
    assert ceil(10 * there / acceptable) == 15


@pytest.mark.parametrize(
    ("metrics", "messages"),
    [
        ({"waiting": 0, "in_work": None, "tasks": 2}, 0),
        ({"waiting": 30, "in_work": 10, "tasks": 2}, 20),
        # The last message is still worked on: its task is not one too many.
        ({"waiting": 0, "in_work": 1, "tasks": 1}, 1),
        # No task: nothing is divided by nothing, and nobody has metrics but the queue.
        ({"waiting": 7, "in_work": 0, "tasks": None}, 7),
        ({"waiting": 7, "in_work": None, "tasks": 0}, 7),
    ],
)
def test_what_has_no_sample_is_none_and_what_is_in_work_counts(
    metrics: dict[str, float | None], messages: float
) -> None:
    assert backlog(**metrics) == messages


@pytest.mark.parametrize(
    ("level", "count"),
    [
        ("disabled", ("AWS/ECS", "CPUUtilization", "SampleCount")),
        ("enabled", ("ECS/ContainerInsights", "RunningTaskCount", "Average")),
        ("enhanced", ("ECS/ContainerInsights", "RunningTaskCount", "Average")),
    ],
)
def test_tasks_are_counted_by_a_metric_that_is_there(level: Any, count: tuple[str, str, str]) -> None:
    config = of(cluster=sc.Cluster(container_insights=level))
    (tasks,) = [
        query for query in at(tracking(config), "CustomizedMetricSpecification.Metrics") if query["Id"] == "tasks"
    ]
    metric = tasks["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"], tasks["MetricStat"]["Stat"]) == count
    assert [dimension["Name"] for dimension in metric["Dimensions"]] == ["ClusterName", "ServiceName"]
    # A sample a minute and task: of metrics of every 20 s nobody says how many there are.
    assert "Monitoring" not in properties(made(config), "mailer-service", "Service")


def test_out_of_no_task_a_step_adds_the_first_while_messages_wait_and_no_other() -> None:
    files = made(of())
    alarm = properties(files, "mailer-service", "FirstTaskAlarm")
    (stranded,) = [query["Expression"] for query in alarm["Metrics"] if query.get("ReturnData")]
    assert computed(stranded, waiting=1, tasks=None) == 1 > alarm["Threshold"] == 0
    assert computed(stranded, waiting=1, tasks=0) > 0
    assert computed(stranded, waiting=5000, tasks=1) == 0
    assert computed(stranded, waiting=None, tasks=None) == 0
    assert alarm["AlarmActions"] == [ref("FirstTaskSteps")]
    steps = properties(files, "mailer-service", "FirstTaskSteps")["StepScalingPolicyConfiguration"]
    assert steps["AdjustmentType"] == "ChangeInCapacity"
    assert steps["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    parameter = files["root.yaml"]["Parameters"]["MailerScalingMinTasks"]
    assert (parameter["Default"], parameter["MinValue"]) == (0, 0)


ALONE = replace(WEB, sends_to=())


def policies(mailer: sc.WorkerService) -> set[str]:
    return set(of_type(made(of(mailer, ALONE))["mailer-service.yaml"], "ApplicationAutoScaling::ScalingPolicy"))


def test_a_queue_s_worker_follows_its_backlog_and_cpu_only_where_somebody_said_how() -> None:
    assert policies(MAILER) == {"BacklogTracking", "FirstTaskSteps"}
    own = replace(MAILER.scaling, cpu=sc.TargetTracking(enabled=True, target=80))
    assert policies(replace(MAILER, scaling=own)) == {"BacklogTracking", "FirstTaskSteps", "CpuTracking"}
    assert policies(replace(MAILER, queue=None)) == {"CpuTracking"}
    # To use all CPU is what its tasks are for.
    assert "CpuHigh" not in made(of())["mailer-service.yaml"]["Resources"]
    assert "CpuHigh" in made(of(replace(MAILER, queue=None), ALONE))["mailer-service.yaml"]["Resources"]


# --- alarms and dashboard


def test_somebody_is_told_when_the_oldest_message_is_too_old_or_one_was_given_up() -> None:
    files = made(of(replace(MAILER, queue=replace(QUEUE, oldest_s=300))))
    oldest, dead = (properties(files, "mailer-foundation", title) for title in ("OldestMessage", "DeadLetters"))
    assert (oldest["MetricName"], oldest["Threshold"]) == ("ApproximateAgeOfOldestMessage", 300)
    assert oldest["Dimensions"] == [{"Name": "QueueName", "Value": att("Queue", "QueueName")}]
    assert (dead["MetricName"], dead["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 0)
    assert dead["Dimensions"] == [{"Name": "QueueName", "Value": att("DeadLetterQueue", "QueueName")}]
    for alarm in (oldest, dead):
        assert alarm["Namespace"] == "AWS/SQS"
        assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("GreaterThanThreshold", "notBreaching")
        assert alarm["AlarmActions"] == [ref("Topic")]


def test_the_dashboard_shows_what_waits_and_how_long() -> None:
    body, known = properties(made(of()), "dashboard", "Dashboard")["DashboardBody"]["Fn::Sub"]
    assert known["MailerQueue"] == ref("MailerQueueName")
    for metric in ("MessagesVisible", "MessagesNotVisible", "AgeOfOldestMessage"):
        assert re.search(rf'"AWS/SQS","Approximate\w*{metric}","QueueName","\$\{{MailerQueue\}}"', body)


# --- what is refused


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            of(replace(MAILER, stop_timeout_s=60, queue=replace(QUEUE, visibility_s=59))),
            "services.mailer.queue.visibility_s: got 59, less than services.mailer.stop_timeout_s = 60",
        ),
        (
            of(replace(MAILER, queue=sc.Queue(visibility_s=30, seconds_per_message=31))),
            "services.mailer.queue.visibility_s: got 30, less than seconds_per_message = 31",
        ),
        (
            of(replace(MAILER, queue=sc.Queue(latency_s=2, seconds_per_message=3))),
            "services.mailer.queue.latency_s: got 2, less than seconds_per_message = 3",
        ),
        (
            of(replace(MAILER, queue=sc.Queue(latency_s=600, oldest_s=599))),
            "services.mailer.queue.oldest_s: got 599, less than latency_s = 600",
        ),
        (
            of(replace(MAILER, environment={"QUEUE_URL": "x"})),
            "services.mailer.environment.QUEUE_URL: is what the set tells the address of a queue by; leave it out",
        ),
        (
            of(web=replace(WEB, secrets={"MAILER_QUEUE_URL": "arn:aws:ssm:eu-west-1:123456789012:parameter/q"})),
            "services.web.secrets.MAILER_QUEUE_URL: is what the set tells",
        ),
        (
            of(replace(MAILER, queue=None)),
            "services.web.sends_to: mailer has no queue; write [services.mailer.queue]",
        ),
        (
            of(web=replace(WEB, sends_to=("mail",))),
            "services.web.sends_to: mail is not there; the workers with a queue are mailer",
        ),
        (
            of(web=replace(WEB, sends_to=("web",))),
            "services.web.sends_to: web is no worker; the workers with a queue are mailer",
        ),
        (of(web=replace(WEB, sends_to=("mailer", "mailer"))), "services.web.sends_to: a service is named twice"),
    ],
)
def test_what_goes_not_together_is_refused_with_the_cure(config: sc.Config, said: str) -> None:
    (found,) = map(str, conflicts(config))
    assert found.startswith(said)


def test_at_their_bounds_they_go_together() -> None:
    least = sc.Queue(visibility_s=60, seconds_per_message=60, latency_s=60, oldest_s=60)
    assert conflicts(of(replace(MAILER, stop_timeout_s=60, queue=least))) == []
    itself = replace(MAILER, sends_to=("mailer",))
    assert conflicts(of(itself)) == []
    assert set(variables("mailer", of(itself))) == {"QUEUE_URL", "MAILER_QUEUE_URL"}
