"""A job: the task that runs to its end, when it is started, and who is told when it fails.

It changes with each image, and nobody takes an output of it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from msgspec import Struct
from troposphere import Join, Ref, Sub, cloudwatch, ec2, ecs, events, iam, logs, scheduler

from scaleout_cfn.config import FargateCapacity, NewVpc
from scaleout_cfn.config.units import JobUnit, queue_variable
from scaleout_cfn.iam import assumed_by, cluster_arn, look_for_tasks, run_task, send_messages, start_guard, use_key
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import EVENTS, STATES, dimensions
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.stacks.queue import dead_letter_queue
from scaleout_cfn.stacks.service import execution_role, own_container, strategy, task_definition, task_role
from scaleout_cfn.values import (
    CapacityProviderName,
    ClusterName,
    KeyArn,
    LogGroupName,
    QueueArn,
    QueueUrl,
    RepositoryArn,
    SecurityGroupId,
    SubnetIds,
    Text,
    TopicArn,
    VpcId,
)


class Outputs(Struct, frozen=True):
    run_task: Annotated[Text, "What `aws ecs run-task --cli-input-json` takes to run it now."]


def build(
    stack: Stack,
    unit: JobUnit,
    *,
    image_uri: Text,
    repository_arn: RepositoryArn | None,
    cluster_name: ClusterName,
    capacity_provider: CapacityProviderName | None,
    vpc_id: VpcId | None,
    subnets: SubnetIds | None,
    topic: TopicArn,
    key: KeyArn | None,
    sent_url: dict[str, QueueUrl],
    sent_arn: dict[str, QueueArn],
) -> Outputs:
    observability, settings = unit.config.observability, unit.settings
    policy = "Retain" if observability.keep_logs else "Delete"
    log_group = logs.LogGroup(
        "Logs",
        RetentionInDays=observability.log_retention_days,
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )
    stack.add(under_key(log_group, key))
    log_group_name = LogGroupName(log_group.ref())
    agent = execution_role(stack, unit, repository_arn, log_group_name, key)
    application = task_role(stack, unit, log_group_name, None, sent_arn, key, None, {})
    told = {queue_variable(name): url for name, url in sent_url.items()}
    container = own_container(unit, image_uri, log_group_name, told)
    definition = stack.add(task_definition(unit, agent, application, [container]))
    group = None
    if unit.network_mode == "awsvpc":
        assert vpc_id is not None and subnets is not None
        made = stack.add(ec2.SecurityGroup("SecurityGroup", GroupDescription="Tasks; nobody is let in.", VpcId=vpc_id))
        group = SecurityGroupId(made.ref())
    items = strategy(unit, capacity_provider)
    shown = _RunTask(unit, cluster_name, definition, items, subnets, group)
    if settings.at:
        _schedule(stack, unit, shown, [agent, application], topic, key)
    _alarms(stack, unit, cluster_name, topic)
    return Outputs(Text(Sub(json.dumps(shown.request(), separators=(",", ":")), shown.known())))


class _RunTask(Struct, frozen=True):
    """What RunTask is asked, by whomever: the schedule, its guard, or somebody's hand."""

    unit: JobUnit
    cluster_name: ClusterName
    definition: ecs.TaskDefinition
    items: list[ecs.CapacityProviderStrategyItem]
    subnets: SubnetIds | None
    group: SecurityGroupId | None

    @property
    def has_public_address(self) -> bool:
        network = self.unit.config.network
        return isinstance(network, NewVpc) and network.egress == "public-subnets"

    def known(self) -> dict[str, object]:
        """The values that stand in `request`."""
        known: dict[str, object] = {"Cluster": self.cluster_name, "Definition": self.definition.ref()}
        if not isinstance(self.unit.pool, FargateCapacity):
            known["Provider"] = self.items[0].CapacityProvider
        if self.group is not None:
            known |= {"Subnets": Join('","', self.subnets), "Group": self.group}
        return known

    def request(self) -> dict[str, Any]:
        """The request in the words of ECS, with the names of values that are known later."""
        asked: dict[str, Any] = {
            "cluster": "${Cluster}",
            "taskDefinition": "${Definition}",
            "capacityProviderStrategy": [
                {
                    "capacityProvider": item.CapacityProvider
                    if isinstance(self.unit.pool, FargateCapacity)
                    else "${Provider}",
                    **{name.lower(): value for name, value in item.properties.items() if name != "CapacityProvider"},
                }
                for item in self.items
            ],
            "enableECSManagedTags": True,
            "propagateTags": "TASK_DEFINITION",
        }
        if self.group is not None:
            addresses: dict[str, Any] = {"subnets": ["${Subnets}"], "securityGroups": ["${Group}"]}
            if self.has_public_address:
                addresses["assignPublicIp"] = "ENABLED"
            asked["networkConfiguration"] = {"awsvpcConfiguration": addresses}
        return asked

    def target(self) -> scheduler.EcsParameters:
        parameters = scheduler.EcsParameters(
            TaskDefinitionArn=self.definition.ref(),
            TaskCount=1,
            CapacityProviderStrategy=[scheduler.CapacityProviderStrategyItem(**item.properties) for item in self.items],
            EnableECSManagedTags=True,
            PropagateTags="TASK_DEFINITION",
        )
        if self.group is not None:
            addresses = scheduler.AwsVpcConfiguration(Subnets=self.subnets, SecurityGroups=[self.group])
            if self.has_public_address:
                addresses.AssignPublicIp = "ENABLED"
            parameters.NetworkConfiguration = scheduler.NetworkConfiguration(AwsvpcConfiguration=addresses)
        return parameters


def _schedule(
    stack: Stack, unit: JobUnit, task: _RunTask, roles: list[iam.Role], topic: TopicArn, key: KeyArn | None
) -> None:
    """When it is started. What AWS could not start goes to a dead-letter queue.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
    """
    settings = unit.settings
    dead = dead_letter_queue(
        stack, "NotStarted", "AWS could not start the job: the messages of its dead-letter queue say why.", topic, key
    )
    running = run_task(cluster_arn(task.cluster_name), task.cluster_name, [role.get_att("Arn") for role in roles])
    policies = [
        iam.Policy(PolicyName="tell-of-failures", PolicyDocument=send_messages([dead.get_att("Arn")])),
    ]
    if key is not None:
        policies.append(iam.Policy(PolicyName="use-key", PolicyDocument=use_key(key, "sqs")))
    if settings.overlap:
        policies.insert(0, iam.Policy(PolicyName="run-task", PolicyDocument=running))
        target: dict[str, Any] = {"Arn": cluster_arn(task.cluster_name), "EcsParameters": task.target()}
    else:
        guard = _guard(stack, task, iam.Policy(PolicyName="run-task", PolicyDocument=running), topic)
        policies.insert(0, iam.Policy(PolicyName="start-guard", PolicyDocument=start_guard(guard)))
        target = {"Arn": guard}
    role = stack.add(iam.Role("ScheduleRole", AssumeRolePolicyDocument=assumed_by("scheduler"), Policies=policies))
    group = stack.add(scheduler.ScheduleGroup("ScheduleGroup"))
    stack.add(
        scheduler.Schedule(
            "Schedule",
            GroupName=group.ref(),
            ScheduleExpression=settings.at,
            ScheduleExpressionTimezone=settings.timezone,
            FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
            State="ENABLED",
            Target=scheduler.Target(
                RoleArn=role.get_att("Arn"),
                DeadLetterConfig=scheduler.DeadLetterConfig(Arn=dead.get_att("Arn")),
                RetryPolicy=scheduler.RetryPolicy(
                    MaximumRetryAttempts=settings.retries, MaximumEventAgeInSeconds=settings.retry_within_s
                ),
                **target,
            ),
        )
    )


def _guard(stack: Stack, task: _RunTask, running: iam.Policy, topic: TopicArn) -> object:
    """A state machine that begins a task where none of the job runs: neither ECS nor the schedule asks for that.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    from troposphere import stepfunctions  # here, for most jobs have none

    asked = {name[0].upper() + name[1:]: value for name, value in task.request().items()}
    asked["CapacityProviderStrategy"] = [_capitals(item) for item in asked["CapacityProviderStrategy"]]
    if network := asked.pop("NetworkConfiguration", None):
        addresses = _capitals(network["awsvpcConfiguration"])
        asked["NetworkConfiguration"] = {"AwsvpcConfiguration": addresses}
    states = {
        "LookForTasks": {
            "Type": "Task",
            "Resource": "arn:${AWS::Partition}:states:::aws-sdk:ecs:listTasks",
            "Parameters": {"Cluster": "${Cluster}", "Family": "${AWS::StackName}"},
            "Next": "IsRunning",
        },
        "IsRunning": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.TaskArns[0]", "IsPresent": True, "Next": "LeaveOut"}],
            "Default": "Run",
        },
        "LeaveOut": {"Type": "Succeed", "Comment": "An earlier run goes on."},
        "Run": {
            "Type": "Task",
            "Resource": "arn:${AWS::Partition}:states:::aws-sdk:ecs:runTask",
            "Parameters": asked,
            "Next": "HasBegun",
        },
        "HasBegun": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.Failures[0]", "IsPresent": True, "Next": "NotBegun"}],
            "Default": "Begun",
        },
        "NotBegun": {"Type": "Fail", "Error": "NotBegun", "Cause": "ECS has no place for the task"},
        "Begun": {"Type": "Succeed"},
    }
    looking = iam.Policy(PolicyName="look-for-tasks", PolicyDocument=look_for_tasks(cluster_arn(task.cluster_name)))
    policies = [looking, running]
    role = stack.add(iam.Role("GuardRole", AssumeRolePolicyDocument=assumed_by("states"), Policies=policies))
    text = json.dumps({"StartAt": "LookForTasks", "States": states}, separators=(",", ":"))
    machine = stepfunctions.StateMachine("Guard", RoleArn=role.get_att("Arn"), DefinitionString=Sub(text, task.known()))
    stack.add(machine)
    stack.add(
        cloudwatch.Alarm(
            "GuardFailed",
            AlarmDescription="The job was not begun: the executions of its state machine say why.",
            Namespace=STATES,
            MetricName="ExecutionsFailed",
            Dimensions=dimensions({"StateMachineArn": machine.ref()}),
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
        )
    )
    return machine.ref()


def _capitals(words: dict[str, Any]) -> dict[str, Any]:
    return {name[0].upper() + name[1:]: value for name, value in words.items()}


def _alarms(stack: Stack, unit: JobUnit, cluster_name: ClusterName, topic: TopicArn) -> None:
    """Who is told of runs that fail, and that none has ended well for long. Rules count what ECS tells of its tasks.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    """
    failed = [{"containers": {"exitCode": [{"anything-but": [0]}]}}, {"stopCode": ["TaskFailedToStart"]}]
    rule = _rule(stack, "Failed", cluster_name, {"$or": failed})
    _alarm(
        stack,
        "RunFailed",
        "A run of the job failed: its command did not end with 0, or its task could not be started.",
        rule,
        topic,
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    if hours := unit.settings.success_within_h:
        rule = _rule(stack, "Succeeded", cluster_name, {"containers": {"exitCode": [0]}})
        _alarm(
            stack,
            "NoSuccess",
            f"No run of the job has ended well for {hours} hours.",
            rule,
            topic,
            Period=3600,
            EvaluationPeriods=hours,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
            OKActions=[topic],
        )


def _rule(stack: Stack, title: str, cluster_name: ClusterName, ended: dict[str, Any]) -> events.Rule:
    """A rule without a target: what it matches is counted."""
    return stack.add(
        events.Rule(
            title,
            Description=f"Runs of the job that ended: {title.lower()}.",
            State="ENABLED",
            EventPattern={
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [cluster_arn(cluster_name)],
                    "group": [Sub("family:${AWS::StackName}")],
                    "lastStatus": ["STOPPED"],
                    **ended,
                },
            },
        )
    )


def _alarm(stack: Stack, title: str, why: str, rule: events.Rule, topic: TopicArn, **settings: Any) -> None:
    stack.add(
        cloudwatch.Alarm(
            title,
            AlarmDescription=why,
            Namespace=EVENTS,
            MetricName="MatchedEvents",
            Dimensions=dimensions({"RuleName": Ref(rule)}),
            Statistic="Sum",
            AlarmActions=[topic],
            **settings,
        )
    )
