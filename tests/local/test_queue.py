"""A worker with a real queue: made, sent to, counted, changed, and kept when the set is deleted."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace
from stacks.test_queue import computed

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_recreation import described

IMAGES = {"WebImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:v1"}
QUEUE = sc.Queue(latency_s=10, seconds_per_message=0.5, max_receives=2)
MAILER = sc.WorkerService(
    image_of="web", command=("mail",), memory_mib=512, queue=QUEUE, scaling=sc.Scaling(min_tasks=0, max_tasks=3)
)


def of(mailer: sc.WorkerService) -> sc.Config:
    web = sc.WebService(memory_mib=512, sends_to=("mailer",), scaling=sc.Scaling(max_tasks=3))
    return sc.Config(
        services={"web": web, "mailer": mailer},
        capacity={"air": sc.FargateCapacity()},
        registry=sc.Registry(empty_on_delete=True),
    )


def deployed(account: Account, config: sc.Config, **values: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What a deployment planned, by resource, and the stack that there is then."""
    url = helpers.upload(account, sc.render(sc.compose(config), format="json"))
    exists = bool(account.client("cloudformation").list_stacks()["StackSummaries"])
    change = helpers.change_set(
        account,
        "web",
        f"{url}/root.json",
        {"TemplatesUrl": url, **IMAGES, **values},
        kind="UPDATE" if exists else "CREATE",
    )
    plan = {
        name: str(row.get("Replacement") or row["Action"])
        for name, row in described(account, change["ChangeSetId"]).items()
    }
    stack = helpers.execute(account, change)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), helpers.failures(account)
    return plan, stack


def test_a_queue_is_made_sent_to_counted_changed_and_kept(account: Account) -> None:
    before = helpers.leftovers(account)
    _, stack = deployed(account, of(MAILER))
    url = helpers.outputs(stack)["MailerQueueUrl"]
    sqs = account.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["SqsManagedSseEnabled"].lower()) == ("120", "true")
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert (statement["Sid"], statement["Resource"]) == ("TlsOnly", [attributes["QueueArn"]])

    for number in range(30):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)["Messages"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    waiting = int(counts["ApproximateNumberOfMessages"])
    in_work = int(counts["ApproximateNumberOfMessagesNotVisible"])
    assert (waiting, in_work) == (30 - len(received), len(received))
    policies = {
        policy["PolicyName"].rpartition("-")[2]: policy
        for policy in account.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")[
            "ScalingPolicies"
        ]
    }
    tracking = policies["BacklogTracking"]["TargetTrackingScalingPolicyConfiguration"]
    queries = {query["Id"]: query for query in tracking["CustomizedMetricSpecification"]["Metrics"]}
    named = queries["waiting"]["MetricStat"]["Metric"]["Dimensions"]
    assert named == [{"Name": "QueueName", "Value": url.rpartition("/")[2]}]
    # Two tasks: 15 messages each, where 10 s by half a second a message allow 20.
    assert computed(queries["backlog"]["Expression"], waiting=waiting, in_work=in_work, tasks=2) == 15
    assert tracking["TargetValue"] == 20

    # What was received in vain as often as allowed is in the other queue.
    dead = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
    dead_url = sqs.get_queue_url(QueueName=dead)["QueueUrl"]
    for _ in range(3):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", []):
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    given_up = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["All"])["Attributes"]
    assert int(given_up["ApproximateNumberOfMessages"]) > 0

    plan, _ = deployed(account, of(MAILER), WebImageUri=IMAGES["WebImageUri"].replace("v1", "v2"))
    assert {name.partition("/")[0] for name in plan} == {"WebService", "MailerService"}

    slower = replace(MAILER, queue=replace(QUEUE, visibility_s=600, retention_days=14))
    plan, _ = deployed(account, of(slower))
    assert plan["MailerFoundation/Queue"] == "False"
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "600"

    helpers.delete(account, stack["StackId"])
    left = set(helpers.leftovers(account)) - set(before)
    assert left == {f"QueueUrls: {url}", f"QueueUrls: {dead_url}"}
