"""What the fake of `cloudformation.py` needs besides for going back, cancelling and deleting, and services to look at.

RollbackStack takes CREATE_FAILED and UPDATE_FAILED, ContinueUpdateRollback UPDATE_ROLLBACK_FAILED, CancelUpdateStack
UPDATE_IN_PROGRESS, and nothing else:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackStack.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html
DeleteStack refuses a protected stack and one that is being updated, and RetainResources before DELETE_FAILED:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cloudformation import CloudFormation, Refused, Stack
from .helpers import Deployer
from .world import World

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
TARGETS = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"


class Operations(CloudFormation):
    """`stuck` maps a logical path to why its deletion or rollback fails, so many times; `protected` is the stack."""

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.stuck: dict[str, tuple[str, int]] = {}
        self.protected = False
        self.begun: list[str] = []
        self.skipped: list[str] = []

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        answer = super().DescribeStacks(StackName)
        answer["Stacks"][0]["EnableTerminationProtection"] = self.protected
        return answer

    def RollbackStack(self, StackName: str, ClientRequestToken: str, **_: Any) -> dict[str, Any]:
        stack = self._taken(StackName, ClientRequestToken, "CREATE_FAILED", "UPDATE_FAILED")
        created = stack.status == "CREATE_FAILED"
        self._start(self._back(stack, ClientRequestToken, "" if created else "UPDATE_", empty=created))
        return {"StackId": stack.id}

    def ContinueUpdateRollback(
        self,
        StackName: str,
        ClientRequestToken: str,
        ResourcesToSkip: Sequence[str] = (),
        **_: Any,
    ) -> dict[str, Any]:
        stack = self._taken(StackName, ClientRequestToken, "UPDATE_ROLLBACK_FAILED")
        self.skipped = list(ResourcesToSkip)
        self._start(self._back(stack, ClientRequestToken, "UPDATE_"))
        return {}

    def CancelUpdateStack(self, StackName: str, ClientRequestToken: str) -> dict[str, Any]:
        stack = self._taken(StackName, ClientRequestToken, "UPDATE_IN_PROGRESS")
        self._jobs.clear()
        self._start(self._back(stack, ClientRequestToken, "UPDATE_"))
        return {}

    def DeleteStack(
        self, StackName: str, ClientRequestToken: str = "", RetainResources: Sequence[str] = (), **_: Any
    ) -> dict[str, Any]:
        stack = self.live(StackName)
        if stack is None or stack.status in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            return {}
        if self.protected:
            raise Refused("ValidationError", f"Stack [{stack.id}] cannot be deleted while TerminationProtection is on")
        if stack.status.startswith("UPDATE") and stack.status.endswith("_IN_PROGRESS"):
            raise Refused("ValidationError", f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
        if RetainResources and stack.status != "DELETE_FAILED":
            raise Refused("ValidationError", f"Invalid operation on stack [{stack.id}]. It is in {stack.status}")
        if unknown := set(RetainResources) - stack.resources.keys():
            raise Refused("ValidationError", f"the stack does not hold {unknown}")
        self._once(ClientRequestToken)
        for title in RetainResources:
            one = stack.resources.pop(title)
            self._event(stack, title, one["type"], "DELETE_SKIPPED", one["physical"], token=ClientRequestToken)
        self._start(self._deleting(stack, ClientRequestToken))
        return {}

    def _taken(self, name: str, token: str, *statuses: str) -> Stack:
        stack = self._there(name)
        if stack.status not in statuses:
            raise Refused("ValidationError", f"Stack [{stack.id}] is in {stack.status} state")
        self._once(token)
        return stack

    def _once(self, token: str) -> None:
        if token in self.begun:
            raise Refused("TokenAlreadyExistsException", f"A client request token already exists for {token}")
        self.begun.append(token)

    def _back(self, stack: Stack, token: str, prefix: str, *, empty: bool = False) -> Iterator[float]:
        self._own(stack, f"{prefix}ROLLBACK_IN_PROGRESS", token)
        yield self.resource_s
        for path, (reason, times) in self.stuck.items():
            if times and not any(one.endswith(path.rpartition("/")[2]) for one in self.skipped):
                self.stuck[path] = (reason, times - 1)
                title = path.rpartition("/")[2]
                self._event(stack, title, "AWS::SNS::Topic", "UPDATE_FAILED", "it", reason, token)
                self._own(stack, f"{prefix}ROLLBACK_FAILED", token)
                return
        if empty:
            for title in list(stack.resources):
                yield from self._delete(stack, title, token)
        self._own(stack, f"{prefix}ROLLBACK_COMPLETE", token)

    def _deleting(self, stack: Stack, token: str) -> Iterator[float]:
        self._own(stack, "DELETE_IN_PROGRESS", token)
        yield self.resource_s
        failed = []
        for title in list(stack.resources):
            path = f"{stack.path}/{title}".lstrip("/")
            reason, times = self.stuck.get(path, ("", 0))
            one = stack.resources[title]
            if times:
                self.stuck[path] = (reason, times - 1)
                self._event(stack, title, one["type"], "DELETE_FAILED", one["physical"], reason, token)
                one["status"] = "DELETE_FAILED"
                failed.append(title)
                continue
            yield from self._delete(stack, title, token)
            child = self.stacks.get(one["physical"])
            if child and child.status == "DELETE_FAILED":
                stack.resources[title] = {**one, "status": "DELETE_FAILED"}
                self._event(stack, title, one["type"], "DELETE_FAILED", child.id, f"Embedded stack {child.id}", token)
                failed.append(title)
        reason = f"The following resource(s) failed to delete: {failed}." if failed else ""
        self._own(stack, "DELETE_FAILED" if failed else "DELETE_COMPLETE", token, reason)


@dataclass
class Wider(World):
    """An account with services that can be looked at. `tasks` are stopped ones; a service drains within some reads."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    health: list[dict[str, str]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)
    stored_bytes: int = 0
    desired: int = 2
    still_running: int = 2
    roles: set[str] = field(default_factory=lambda: {"AWSServiceRoleForECS"})
    denied: set[str] = field(default_factory=set)
    bounds: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn: Operations = Operations(self)

    def ecs_DescribeServices(self, services: list[str], **_: Any) -> dict[str, Any]:
        if self.desired == 0 and self.still_running:
            self.still_running -= 1
        one = super().ecs_DescribeServices(services)["services"][0]
        one |= {"runningCount": self.still_running, "pendingCount": 0, "desiredCount": self.desired}
        one["events"] = [{"message": text, "createdAt": self.now} for text in self.messages]
        one["loadBalancers"] = [{"targetGroupArn": TARGETS}]
        return {"services": [one]}

    def ecs_UpdateService(self, desiredCount: int, **_: Any) -> dict[str, Any]:
        self.desired = desiredCount
        return {}

    def ecs_ListServiceDeployments(self, **_: Any) -> dict[str, Any]:
        brief = ("serviceDeploymentArn", "status", "statusReason", "createdAt")
        return {
            "serviceDeployments": [
                {key: value for key, value in one.items() if key in brief} for one in self.deployments
            ]
        }

    def ecs_DescribeServiceDeployments(self, serviceDeploymentArns: Sequence[str] = (), **_: Any) -> dict[str, Any]:
        return {
            "serviceDeployments": [
                one for one in self.deployments if one["serviceDeploymentArn"] in serviceDeploymentArns
            ]
        }

    def ecs_ListTasks(self, **_: Any) -> dict[str, Any]:
        return {"taskArns": [one["taskArn"] for one in self.tasks]}

    def ecs_DescribeTasks(self, tasks: list[str], **_: Any) -> dict[str, Any]:
        return {"tasks": [one for one in self.tasks if one["taskArn"] in tasks]}

    def ecs_DescribeTaskDefinition(self, taskDefinition: str) -> dict[str, Any]:
        options = {"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "web"}
        container = {"name": "web", "logConfiguration": {"logDriver": "awslogs", "options": options}}
        return {"taskDefinition": {"containerDefinitions": [container]}}

    def logs_GetLogEvents(self, logStreamName: str, limit: int, **_: Any) -> dict[str, Any]:
        if logStreamName not in self.logs:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        return {"events": [{"message": line, "timestamp": 1} for line in self.logs[logStreamName][-limit:]]}

    def logs_DescribeLogGroups(self, logGroupNamePrefix: str) -> dict[str, Any]:
        return {"logGroups": [{"logGroupName": logGroupNamePrefix, "storedBytes": self.stored_bytes}]}

    def elbv2_DescribeTargetHealth(self, TargetGroupArn: str) -> dict[str, Any]:
        return {"TargetHealthDescriptions": [{"TargetHealth": one} for one in self.health]}

    def ecr_ListImages(self, repositoryName: str) -> dict[str, Any]:
        images = [{"imageDigest": one, "imageTag": tag} for one in self.images for tag in ("a", "b")]
        return {"imageIds": images} if images else {}

    def ecr_BatchDeleteImage(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:
        named = {one["imageDigest"] for one in imageIds}
        # What an image of several platforms names goes after it.
        last = {one for one in named if one.startswith("part") and any(not x.startswith("part") for x in self.images)}
        self.images = [one for one in self.images if one not in named - last]
        failure = {"failureCode": "ImageReferencedByManifestList", "failureReason": "it is named"}
        return {"failures": [{"imageId": {"imageDigest": one}, **failure} for one in last]}

    def s3_ListObjectVersions(self, MaxKeys: int, **_: Any) -> dict[str, Any]:
        versions = [{"Key": key, "VersionId": version} for key, version in self.versions[:2]]
        return {"Versions": versions[:1], "DeleteMarkers": versions[1:], "IsTruncated": len(self.versions) > 2}

    def s3_DeleteObjects(self, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        gone = {(one["Key"], one["VersionId"]) for one in Delete["Objects"]}
        self.versions = [one for one in self.versions if one not in gone]
        return {}

    def s3_HeadBucket(self, Bucket: str, **_: Any) -> dict[str, Any]:
        if Bucket not in self.buckets:
            raise Refused("404", "Not Found", 404)
        return {}

    def s3_GetBucketVersioning(self, **_: Any) -> dict[str, Any]:
        return {"Status": "Enabled"}

    def s3_GetPublicAccessBlock(self, **_: Any) -> dict[str, Any]:
        kinds = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        return {"PublicAccessBlockConfiguration": dict.fromkeys(kinds, True)}

    def iam_GetRole(self, RoleName: str) -> dict[str, Any]:
        if RoleName not in self.roles:
            raise Refused("NoSuchEntity", f"The role with name {RoleName} cannot be found.", 404)
        arn = f"arn:aws:iam::123456789012:role/{RoleName}"
        when = {"Path": "/", "RoleName": RoleName, "RoleId": "AROAEXAMPLEEXAMPLE", "CreateDate": self.now}
        return {"Role": {"Arn": arn, **when}}

    def iam_SimulatePrincipalPolicy(self, ActionNames: list[str], **_: Any) -> dict[str, Any]:
        results = [
            {"EvalActionName": one, "EvalDecision": "implicitDeny" if one in self.denied else "allowed"}
            for one in ActionNames
        ]
        return {"EvaluationResults": results, "IsTruncated": False}

    def __getattr__(self, name: str) -> Any:
        # A service with a hyphen in its name cannot be a method.
        if name == "application-autoscaling_RegisterScalableTarget":
            return self._register
        raise AttributeError(name)

    def _register(self, ResourceId: str, MinCapacity: int, MaxCapacity: int, **_: Any) -> dict[str, Any]:
        self.bounds = {"min": MinCapacity, "max": MaxCapacity}
        return {}

    def autoscaling_DescribeAutoScalingGroups(self, AutoScalingGroupNames: list[str]) -> dict[str, Any]:
        instances = [
            {
                "InstanceId": one,
                "AvailabilityZone": "eu-west-1a",
                "LifecycleState": "InService",
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": True,
            }
            for one in self.guarded
        ]
        group = {"AutoScalingGroupName": AutoScalingGroupNames[0], "MinSize": 0, "MaxSize": 9, "DesiredCapacity": 1}
        group |= {"DefaultCooldown": 1, "AvailabilityZones": [], "HealthCheckType": "EC2", "CreatedTime": self.now}
        return {"AutoScalingGroups": [{**group, "Instances": instances}]}

    def autoscaling_SetInstanceProtection(
        self, InstanceIds: list[str], ProtectedFromScaleIn: bool, **_: Any
    ) -> dict[str, Any]:
        assert len(InstanceIds) <= 50
        self.guarded = [one for one in self.guarded if one not in InstanceIds]
        return {}


@dataclass
class Operator(Deployer):
    """Somebody who types commands in a wider account."""

    world: Wider = field(default_factory=Wider)

    @property
    def root(self) -> Stack:
        """The root stack, also once it is gone."""
        return next(stack for stack in self.world.cfn.stacks.values() if stack.name == self.stack)


def wider(**world: Any) -> Operator:
    """An operator whose set runs, with the image web:1."""
    deployer = Operator(Wider(**world))
    assert deployer.deploy(image="web:1").exit_code == 0
    deployer.world.calls.clear()
    return deployer


def with_resource(deployer: Operator, title: str, kind: str, physical: str, policy: str = "Delete") -> None:
    """Another resource in the root, as if its template had it."""
    stack = deployer.root
    stack.resources[title] = {"type": kind, "physical": physical, "properties": {}, "status": "CREATE_COMPLETE"}
    head, _, tail = stack.text.partition("Resources:\n")
    stack.text = f"{head}Resources:\n  {title}:\n    Type: {kind}\n    DeletionPolicy: {policy}\n{tail}"
