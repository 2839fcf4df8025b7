"""An account with a service that can be watched: versions, tasks and logs, as a script of what each read finds.

RunTask gives the same task again for the same clientToken:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
GetLogEvents gives at the end of a stream the token that it was given, FilterLogEvents may give empty pages:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .cloudformation import Refused
from .world import World

ECS = "arn:aws:ecs:eu-west-1:123456789012"
SERVICE = f"{ECS}:service/main/web"
TASK = f"{ECS}:task/main/0123456789abcdef0123456789abcdef"
TARGETS = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
OUTPUTS = {"ClusterName": "main", "WebLogGroupName": "/web"}


@dataclass
class Stack:
    """The one stack of the account, as far as it is asked for here."""

    world: World
    outputs: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))
    services: tuple[str, ...] = ("web",)
    status: str = "UPDATE_COMPLETE"
    made_by: str = "scaleout_cfn"

    def advance(self) -> None:
        """Nothing is at work."""

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        if StackName not in ("web", "arn:x"):
            raise Refused("ValidationError", f"Stack with id {StackName} does not exist")
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        one = {"StackId": "arn:x", "StackName": "web", "StackStatus": self.status, "Outputs": outputs}
        return {"Stacks": [{**one, "CreationTime": self.world.now}]}

    def GetTemplate(self, StackName: str, TemplateStage: str) -> dict[str, Any]:
        resources = "Resources: {Topic: {Type: 'AWS::SNS::Topic'}}"
        return {"TemplateBody": f"Metadata: {{RenderedBy: {self.made_by}}}\n{resources}"}

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        rows = [
            {"LogicalResourceId": name, "ResourceType": "AWS::ECS::Service", "PhysicalResourceId": SERVICE[:-3] + name}
            for name in self.services
        ]
        state = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        return {"StackResourceSummaries": [{**row, **state} for row in rows]}


@dataclass
class Services(World):
    """`service` and `deployments` are as AWS gives them. Each list is a script: one answer a read, the last stays."""

    service: dict[str, Any] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    health: list[str] = field(default_factory=lambda: ["healthy"])
    missing: bool = False
    failures: list[str] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    streams: dict[str, list[str]] = field(default_factory=dict)
    written: list[tuple[int, str, str]] = field(default_factory=list)
    empty_pages: int = 0
    unseen: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn: Any = Stack(self)
        self.begun: dict[str, dict[str, Any]] = {}

    def ecs_DescribeServices(self, services: list[str], **_: Any) -> dict[str, Any]:
        if self.missing:
            return {"services": []}
        one: dict[str, Any] = {
            "status": "ACTIVE",
            "taskDefinition": f"{ECS}:task-definition/web:2",
        }
        balancers = [{"targetGroupArn": TARGETS, "containerName": "web", "containerPort": 8080}]
        primary = {"status": "PRIMARY", "taskDefinition": one["taskDefinition"], "rolloutState": "COMPLETED"}
        counts = {"runningCount": 1, "pendingCount": 0, "desiredCount": 1, "failedTasks": 0}
        one = {**one, "loadBalancers": balancers, "deployments": [{**primary, **counts}], **self.service}
        return {"services": [{"serviceArn": arn, "serviceName": arn.rpartition("/")[2], **one} for arn in services]}

    def ecs_ListServiceDeployments(self, **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": [{"serviceDeploymentArn": "arn:aws:ecs:d"}] if self.states else []}

    def ecs_DescribeServiceDeployments(self, **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": [self.states.pop(0) if len(self.states) > 1 else self.states[0]]}

    def ecs_ListTasks(self, nextToken: str = "0", **_: Any) -> dict[str, Any]:
        number = int(nextToken)
        more = {"nextToken": str(number + 1)} if number + 1 < len(self.tasks) else {}
        return {"taskArns": [one["taskArn"] for one in self.tasks[number : number + 1]], **more}

    def ecs_DescribeTasks(self, tasks: list[str], **_: Any) -> dict[str, Any]:
        assert 0 < len(tasks) <= 100
        if self.unseen:
            self.unseen -= 1
            return {"tasks": []}
        if self.begun and self.ends:
            state = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
            return {"tasks": [{**next(iter(self.begun.values())), **state}]}
        return {"tasks": [one for one in self.tasks if one["taskArn"] in tasks or one["taskArn"].endswith(tasks[0])]}

    def ecs_DescribeTaskDefinition(self, taskDefinition: str) -> dict[str, Any]:
        options = {"awslogs-group": "/web", "awslogs-stream-prefix": "web"}
        log = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
        return {"taskDefinition": {"containerDefinitions": [{"name": "proxy"}, {"name": "web", **log}]}}

    def ecs_RunTask(self, clientToken: str, **asked: Any) -> dict[str, Any]:
        if self.failures:
            return {"tasks": [], "failures": [{"reason": one} for one in self.failures]}
        task = {"taskArn": TASK, "lastStatus": "PROVISIONING", "overrides": asked["overrides"]}
        self.begun.setdefault(clientToken, task)
        return {"tasks": [self.begun[clientToken]], "failures": []}

    def elbv2_DescribeTargetHealth(self, TargetGroupArn: str) -> dict[str, Any]:
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": one}} for one in self.health]}

    def logs_GetLogEvents(self, logStreamName: str, nextToken: str = "f/0", **_: Any) -> dict[str, Any]:
        if logStreamName not in self.streams:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        first = int(nextToken.partition("/")[2])
        lines = self.streams[logStreamName][first : first + 2]
        events = [{"message": line, "timestamp": 1} for line in lines]
        return {"events": events, "nextForwardToken": f"f/{first + len(lines)}"}

    def logs_FilterLogEvents(self, logGroupName: str, startTime: int, nextToken: str = "0") -> dict[str, Any]:
        if logGroupName != "/web":
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        number = int(nextToken)
        if number < self.empty_pages:
            return {"events": [], "nextToken": str(number + 1)}
        page = number - self.empty_pages
        now = int(self.seconds * 1000)
        found = [
            {"eventId": f"{when} {text}", "timestamp": when, "logStreamName": f"web/web/{task}", "message": text + "\n"}
            for when, task, text in self.written
            if startTime <= when <= now
        ]
        more = {"nextToken": str(number + 1)} if 2 * page + 2 < len(found) else {}
        return {"events": found[2 * page : 2 * page + 2], **more}
