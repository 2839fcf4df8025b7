"""A job: the task that it runs, when it is started and by whom, and who is told when it fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts
from stacks.helpers import at, att, made, of_type, properties, ref

AIR: dict[str, Any] = {"air": sc.FargateCapacity(spot_percent=50)}
WEB = sc.WebService(memory_mib=512, scaling=sc.Scaling(max_tasks=3))
NIGHTLY = sc.Job(
    image_of="web", memory_mib=512, command=("report",), at="cron(0 3 * * ? *)", timezone="Europe/Berlin", retries=4
)
MIGRATE = sc.Job(before="web", memory_mib=512, command=("migrate",))


def of(job: sc.Job = NIGHTLY, **parts: Any) -> sc.Config:
    return sc.Config(**{"services": {"web": WEB}, "jobs": {"nightly": job}, "capacity": AIR, **parts})


def job(title: str, settings: sc.Job = NIGHTLY, **parts: Any) -> dict[str, Any]:
    return properties(made(of(settings, **parts)), "nightly-job", title)


def test_a_job_runs_the_image_of_a_service_by_its_own_command_and_is_there_while_that_is() -> None:
    (container,) = job("TaskDefinition")["ContainerDefinitions"]
    assert (container["Name"], container["Command"], container["Image"]) == ("nightly", ["report"], ref("ImageUri"))
    root = made(of())["root.yaml"]
    assert root["Resources"]["NightlyJob"]["Condition"] == "HasWebImage"
    assert root["Resources"]["NightlyJob"]["Properties"]["Parameters"]["ImageUri"] == ref("WebImageUri")
    assert "NightlyImageUri" not in root["Parameters"]
    own = made(of(replace(NIGHTLY, image_of="", image_uri="public.ecr.aws/x/report:1")))["root.yaml"]
    assert own["Parameters"]["NightlyImageUri"]["Default"] == "public.ecr.aws/x/report:1"
    assert own["Resources"]["NightlyJob"]["Condition"] == "HasNightlyImage"


def test_nothing_takes_an_output_of_a_job_s_stack() -> None:
    root = made(of())["root.yaml"]
    assert "NightlyJob.Outputs" not in json.dumps(root)
    assert "NightlyJob" not in json.dumps({key: body for key, body in root["Resources"].items() if key != "NightlyJob"})


def test_a_schedule_starts_it_in_its_time_zone_on_its_pool_and_keeps_what_could_not_be_started() -> None:
    schedule = job("Schedule")
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]) == (NIGHTLY.at, "Europe/Berlin")
    assert schedule["GroupName"] == ref("ScheduleGroup")
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedule["Target"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 4, "MaximumEventAgeInSeconds": 3600}
    assert target["DeadLetterConfig"] == {"Arn": att("DeadLetterQueue", "Arn")}
    assert target["EcsParameters"]["TaskDefinitionArn"] == ref("TaskDefinition")
    assert target["EcsParameters"]["CapacityProviderStrategy"] == [
        {"CapacityProvider": "FARGATE", "Weight": 50},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 50},
    ]
    network = at(target, "EcsParameters.NetworkConfiguration.AwsvpcConfiguration")
    assert network == {"Subnets": ref("Subnets"), "SecurityGroups": [ref("SecurityGroup")]}
    assert "SecurityGroupIngress" not in job("SecurityGroup")
    dead = properties(made(of()), "nightly-job", "NotStarted")
    assert (dead["MetricName"], dead["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 0)


def test_who_starts_it_may_run_its_task_in_the_cluster_pass_its_roles_and_nothing_else() -> None:
    role = job("ScheduleRole")
    statements = {
        statement["Sid"]: statement
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    }
    assert {sid: statement["Action"] for sid, statement in statements.items()} == {
        "Run": ["ecs:RunTask"],
        "Tag": ["ecs:TagResource"],
        "PassRoles": ["iam:PassRole"],
        "Send": ["sqs:SendMessage"],
    }
    assert json.dumps(statements["Run"]["Resource"]).endswith(':task-definition/${AWS::StackName}:*"}]')
    assert "ecs:cluster" in statements["Run"]["Condition"]["ArnEquals"]
    assert statements["PassRoles"]["Resource"] == [att("ExecutionRole", "Arn"), att("TaskRole", "Arn")]
    assert statements["Send"]["Resource"] == [att("DeadLetterQueue", "Arn")]
    assert at(role, "AssumeRolePolicyDocument.Statement.0.Principal") == {"Service": "scheduler.amazonaws.com"}


def asked(settings: sc.Job = NIGHTLY, **parts: Any) -> dict[str, Any]:
    """What the stack tells that RunTask is asked."""
    text, known = made(of(settings, **parts))["nightly-job.yaml"]["Outputs"]["RunTask"]["Value"]["Fn::Sub"]
    for name in known:
        text = text.replace(f"${{{name}}}", f"<{name}>")
    found: dict[str, Any] = json.loads(text)
    return found


def test_its_stack_tells_what_run_task_takes_as_the_schedule_asks_it() -> None:
    assert asked() == {
        "cluster": "<Cluster>",
        "taskDefinition": "<Definition>",
        "capacityProviderStrategy": [
            {"capacityProvider": "FARGATE", "weight": 50},
            {"capacityProvider": "FARGATE_SPOT", "weight": 50},
        ],
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["<Subnets>"], "securityGroups": ["<Group>"]}},
    }
    on_nodes = asked(capacity={"nodes": sc.Ec2Capacity(max_nodes=8)})
    assert on_nodes["capacityProviderStrategy"] == [{"capacityProvider": "<Provider>", "weight": 1}]
    assert "networkConfiguration" not in on_nodes
    public = asked(network=sc.NewVpc(egress="public-subnets"))
    assert at(public, "networkConfiguration.awsvpcConfiguration.assignPublicIp") == "ENABLED"


def test_without_a_time_nothing_starts_it() -> None:
    template = made(of(replace(NIGHTLY, at="", timezone="UTC")))["nightly-job.yaml"]
    kinds = {body["Type"] for body in template["Resources"].values()}
    assert not {kind for kind in kinds if "Scheduler" in kind or "SQS" in kind}
    assert "AWS::ECS::TaskDefinition" in kinds


def machine(settings: sc.Job) -> dict[str, Any]:
    text, _ = job("Guard", settings)["DefinitionString"]["Fn::Sub"]
    found: dict[str, Any] = json.loads(text)["States"]
    return found


def test_one_that_may_not_overlap_is_left_out_while_a_task_of_it_runs() -> None:
    alone = replace(NIGHTLY, overlap=False)
    assert job("Schedule", alone)["Target"]["Arn"] == ref("Guard")
    assert "EcsParameters" not in job("Schedule", alone)["Target"]
    states = machine(alone)
    assert states["LookForTasks"]["Parameters"] == {"Cluster": "${Cluster}", "Family": "${AWS::StackName}"}
    assert states["IsRunning"]["Choices"][0]["Next"] == "LeaveOut"
    assert states["LeaveOut"]["Type"] == "Succeed"
    assert states[states["IsRunning"]["Default"]]["Resource"].endswith(":aws-sdk:ecs:runTask")
    # Each state leads to one that is there, or ends.
    follow = {state.get("Next") or state.get("Default") for state in states.values()} - {None}
    assert follow <= set(states)
    roles = of_type(made(of(alone))["nightly-job.yaml"], "IAM::Role")
    assert at(roles["ScheduleRole"], "Policies.0.PolicyDocument.Statement.0.Action") == ["states:StartExecution"]
    assert {policy["PolicyName"] for policy in roles["GuardRole"]["Policies"]} == {"look-for-tasks", "run-task"}
    assert properties(made(of(alone)), "nightly-job", "GuardFailed")["MetricName"] == "ExecutionsFailed"
    assert "Guard" not in made(of())["nightly-job.yaml"]["Resources"]


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as these rules use it.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
    """
    if isinstance(pattern, list):
        values = event if isinstance(event, list) else [event]
        return any(
            value is not None and (value not in rule["anything-but"] if isinstance(rule, dict) else value == rule)
            for value in values
            for rule in pattern
        )
    if isinstance(event, list):
        return any(matches(pattern, item) for item in event)
    return isinstance(event, dict) and all(
        any(matches(choice, event) for choice in wanted) if name == "$or" else matches(wanted, event.get(name))
        for name, wanted in pattern.items()
    )


@pytest.mark.parametrize(
    ("ended", "failed", "succeeded"),
    [
        ({"containers": [{"exitCode": 0}], "stopCode": "EssentialContainerExited"}, False, True),
        ({"containers": [{"exitCode": 3}], "stopCode": "EssentialContainerExited"}, True, False),
        ({"containers": [{"exitCode": 137}], "stopCode": "UserInitiated"}, True, False),
        ({"containers": [{}], "stopCode": "TaskFailedToStart"}, True, False),
    ],
)
def test_runs_that_fail_and_that_end_well_are_told_apart(ended: dict[str, Any], failed: bool, succeeded: bool) -> None:
    watched = replace(NIGHTLY, success_within_h=26)
    for title, matched in (("Failed", failed), ("Succeeded", succeeded)):
        detail = dict(job(title, watched)["EventPattern"]["detail"])
        where = {"clusterArn": detail["clusterArn"][0], "group": detail["group"][0]}
        assert where["group"] == {"Fn::Sub": "family:${AWS::StackName}"}
        event = {**ended, "lastStatus": "STOPPED"}
        pattern = {name: rule for name, rule in detail.items() if name not in where}
        assert matches(pattern, event) == matched
        assert not matches(pattern, {**event, "lastStatus": "RUNNING"})


def test_somebody_is_told_of_a_run_that_failed_and_of_none_that_ended_well_for_long() -> None:
    watched = replace(NIGHTLY, success_within_h=26)
    failed, none = (job(title, watched) for title in ("RunFailed", "NoSuccess"))
    assert failed["Dimensions"] == [{"Name": "RuleName", "Value": ref("Failed")}]
    assert (failed["ComparisonOperator"], failed["TreatMissingData"]) == ("GreaterThanThreshold", "notBreaching")
    assert none["Dimensions"] == [{"Name": "RuleName", "Value": ref("Succeeded")}]
    assert (none["Period"] * none["EvaluationPeriods"], none["TreatMissingData"]) == (26 * 3600, "breaching")
    assert (none["ComparisonOperator"], none["Threshold"]) == ("LessThanThreshold", 1)
    assert "NoSuccess" not in made(of())["nightly-job.yaml"]["Resources"]


def test_one_before_a_service_has_a_parameter_of_its_own_and_the_service_s_repository() -> None:
    root = made(of(MIGRATE))["root.yaml"]
    assert root["Parameters"]["NightlyImageUri"]["Default"] == ""
    given = root["Resources"]["NightlyJob"]["Properties"]["Parameters"]
    assert given["ImageUri"] == ref("NightlyImageUri")
    assert given["RepositoryArn"] == att("WebFoundation", "Outputs.RepositoryArn")
    assert root["Resources"]["NightlyJob"]["Condition"] == "HasNightlyImage"


def test_it_sends_to_a_queue_as_a_service_does() -> None:
    mailer = sc.WorkerService(image_of="web", memory_mib=512, queue=sc.Queue(), scaling=sc.Scaling(max_tasks=3))
    services = {"web": WEB, "mailer": mailer}
    (container,) = job("TaskDefinition", replace(NIGHTLY, sends_to=("mailer",)), services=services)[
        "ContainerDefinitions"
    ]
    assert container["Environment"] == [{"Name": "MAILER_QUEUE_URL", "Value": ref("MailerSentUrl")}]
    role = job("TaskRole", replace(NIGHTLY, sends_to=("mailer",)), services=services)
    assert [policy["PolicyName"] for policy in role["Policies"]] == ["send-messages"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (of(replace(NIGHTLY, image_of="api")), "jobs.nightly.image_of: got 'api'; the services are web"),
        (
            of(replace(NIGHTLY, image_of=""), services={"web": WEB, "mailer": sc.WorkerService(memory_mib=512)}),
            "jobs.nightly.image_of: is empty, and several services have an image of their own; say whose it runs",
        ),
        (of(replace(NIGHTLY, image_uri="x/y:1")), "jobs.nightly.image_uri: goes not with image_of = 'web'"),
        (of(replace(MIGRATE, before="api")), "jobs.nightly.before: got 'api'; the services are web"),
        (of(replace(MIGRATE, image_uri="x/y:1")), "jobs.nightly.image_uri: goes not with before"),
        (of(replace(NIGHTLY, capacity="nodes")), "jobs.nightly.capacity: got 'nodes'; the pools are air"),
        (of(replace(NIGHTLY, sends_to=("web",))), "jobs.nightly.sends_to: web is no worker"),
        (of(replace(MIGRATE, overlap=False)), "jobs.nightly.overlap: nothing starts it by itself"),
        (of(replace(MIGRATE, timezone="Europe/Berlin")), "jobs.nightly.timezone: is that of a schedule"),
        (of(replace(NIGHTLY, memory_mib=300)), "jobs.nightly.memory_mib: Fargate does not sell"),
        (of(replace(NIGHTLY, network_mode="bridge")), 'jobs.nightly.network_mode: "bridge" is for EC2 nodes'),
        (
            of(replace(NIGHTLY, success_within_h=24)),
            "jobs.nightly.success_within_h: got 24, where runs are up to 25 hours apart",
        ),
        (
            of(replace(NIGHTLY, timezone="UTC", success_within_h=24)),
            "jobs.nightly.success_within_h: got 24, where runs are up to 24 hours apart",
        ),
        (sc.Config(jobs={"web": replace(NIGHTLY, memory_mib=128)}), "jobs.web: is called as a service is"),
    ],
)
def test_what_goes_not_together_is_refused_with_the_cure(config: sc.Config, said: str) -> None:
    (found,) = map(str, conflicts(config))
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"at": "cron(0 3 * * *)"}, "at"),
        ({"at": "rate(1 week)"}, "at"),
        ({"timezone": "Berlin"}, "did you mean Europe/Berlin"),
    ],
)
def test_times_and_zones_are_checked_as_the_scheduler_takes_them(settings: dict[str, str], said: str) -> None:
    with pytest.raises(sc.ConfigError, match=said):
        sc.compose(of(replace(NIGHTLY, **settings)))


def test_a_task_that_no_node_of_its_pool_holds_is_refused() -> None:
    large = replace(NIGHTLY, memory_mib=100_000)
    with pytest.raises(sc.SetError, match=r"jobs.nightly: a task of .* does not fit on t3.small"):
        sc.compose(of(large, capacity={"nodes": sc.Ec2Capacity(max_nodes=8)}))
