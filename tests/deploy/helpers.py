"""A small set with data and a service in nested stacks, and a deployer that runs in a World."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from troposphere import Equals, Not, Tags, applicationautoscaling, dynamodb, ecr, ecs, ssm
from troposphere import elasticloadbalancingv2 as elb

from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.deploy import deployment, publish
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.messages import Message, Note, Outcome, Planned, Watched
from scaleout_cfn.deploy.start import Wish
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import Text

from .cloudformation import GROUPS
from .world import World

PLACE = publish.Bucket("artifacts", "https://artifacts.s3.eu-west-1.amazonaws.com")


@dataclass(frozen=True)
class Small:
    """What the small set can be told. `retain` is the UpdateReplacePolicy and DeletionPolicy of the table; `more` the
    number of further nested stacks, of which each word changes one resource; `services` that of further services,
    each in two stacks, of which one holds data; `mark` says that the word holds data; `most` is the most tasks of each
    service, where they are scaled; `named` is the name of the table; `rule` the path of a listener rule between two
    target groups, of these weights, and of its test rule; `strategy` that of the service, empty with one target
    group, whose rule and groups are in a stack of their own then; `owner` a tag of the rules."""

    key: str = "id"
    retain: bool = False
    with_data: bool = True
    secret: bool = False
    word: str = "one"
    more: int = 0
    services: int = 0
    mark: bool = False
    most: int = 0
    named: str = ""
    rule: str = ""
    weights: tuple[int, int] = (100, 0)
    strategy: str | None = None
    owner: str = ""


@dataclass(frozen=True)
class DataOutputs:
    table: Text


@dataclass(frozen=True)
class ServiceOutputs:
    name: Text


@dataclass(frozen=True)
class MoreOutputs:
    word: Text


@dataclass(frozen=True)
class Outputs:
    table: Text | None
    repository_uri: Text
    service_name: Text
    web_strategy: Text | None


def published(small: Small | None = None) -> publish.Published:
    """The small set, as `prepare` gives it."""
    return _published(small or Small())


@functools.cache
def _published(small: Small) -> publish.Published:
    def data(stack: Stack, config: Config) -> DataOutputs:
        """Data."""
        table = dynamodb.Table(
            "Table",
            AttributeDefinitions=[dynamodb.AttributeDefinition(AttributeName=small.key, AttributeType="S")],
            KeySchema=[dynamodb.KeySchema(AttributeName=small.key, KeyType="HASH")],
            BillingMode="PAY_PER_REQUEST",
        )
        if small.named:
            table.TableName = small.named
        if small.retain:
            table.DeletionPolicy = table.UpdateReplacePolicy = "Retain"
        stack.add(table)
        return DataOutputs(Text(table.ref()))

    def service(stack: Stack, config: Config, *, image_uri: Text) -> ServiceOutputs:
        """Service."""
        definition = stack.add(
            ecs.TaskDefinition(
                "TaskDefinition",
                Family="web",
                ContainerDefinitions=[ecs.ContainerDefinition(Name="web", Image=image_uri, Memory=128)],
            )
        )
        one = stack.add(ecs.Service("Service", TaskDefinition=definition.ref(), LaunchType="EC2"))
        if small.strategy is not None:
            strategy = (small.strategy or "rolling").upper().replace("-", "_")
            one.DeploymentConfiguration = ecs.DeploymentConfiguration(Strategy=strategy)
        if small.most:
            target = applicationautoscaling.ScalableTarget("ScalableTarget", MinCapacity=2, MaxCapacity=small.most)
            target.ServiceNamespace, target.ScalableDimension = "ecs", "ecs:service:DesiredCount"
            target.ResourceId = "service/main/web"
            stack.add(target)
        return ServiceOutputs(Text(one.get_att("Name")))

    def more(stack: Stack, config: Config) -> MoreOutputs:
        """One more."""
        return MoreOutputs(Text(stack.add(ssm.Parameter("Word", Type="String", Value=small.word)).ref()))

    def foundation(stack: Stack, config: Config) -> MoreOutputs:
        """What outlives a version of a service."""
        return MoreOutputs(Text(stack.add(ecr.Repository("Repository")).ref()))

    def balancing(stack: Stack, config: Config) -> MoreOutputs:
        """What of the load balancer is a service's."""
        titles = ["TargetGroup", "AlternateTargetGroup"] if small.strategy else ["TargetGroup"]
        groups = [stack.add(elb.TargetGroup(title, Port=80, Protocol="HTTP", VpcId="vpc")) for title in titles]
        return MoreOutputs(Text(rule(stack, "Rule", 1, "/a", [group.ref() for group in groups])))

    def rule(stack: Stack, title: str, priority: int, path: str, groups: Sequence[object]) -> object:
        forward = elb.ForwardConfig(
            TargetGroups=[
                elb.TargetGroupTuple(TargetGroupArn=group, Weight=weight)
                for group, weight in zip(groups, small.weights, strict=False)
            ]
        )
        properties: dict[str, Any] = {"ListenerArn": "listener", "Priority": priority}
        if small.owner:
            properties["Tags"] = Tags(owner=small.owner)
        conditions = [elb.Condition(Field="path-pattern", Values=[path])]
        actions = [elb.ListenerRuleAction(Type="forward", ForwardConfig=forward)]
        return stack.add(elb.ListenerRule(title, Conditions=conditions, Actions=actions, **properties)).ref()

    def root(stack: Stack, config: Config) -> Outputs:
        """A small set."""
        image_uri = stack.ask("services.web.image_uri", Text)
        kept = stack.nest("Data", data, config) if small.with_data else None
        there = stack.add(ssm.Parameter("Word", Type="String", Value=small.word))
        if small.mark:
            there_is = stack.template.resources["Word"]
            there_is.Metadata = {"scaleout:stateful": True}
        if small.rule:
            for priority, title in enumerate(("TestRule", "Rule"), 1):
                rule(stack, title, priority, small.rule, GROUPS)
        if small.strategy is not None:
            stack.nest("WebFoundation", balancing, config)
        for number in range(small.more):
            stack.nest(f"More{number}", more, config)
        for number in range(small.services):
            stack.nest(f"S{number}Foundation", foundation, config)
            stack.nest(f"S{number}Service", service, config, image_uri=Text("api:1"))
        has_image = stack.condition("HasImage", Not(Equals(image_uri, "")))
        web = stack.nest_if(
            has_image, "Service" if small.strategy is None else "WebService", service, config, image_uri=image_uri
        )
        if small.secret:
            from troposphere import Parameter

            stack.template.add_parameter(Parameter("Password", Type="String", NoEcho=True))
        return Outputs(
            kept.table if kept else None, Text(there.ref()), web.name, Text(small.strategy) if small.strategy else None
        )

    return publish.prepare(compose(Config(), root), PLACE)


def patient(options: dict[str, Any]) -> dict[str, Any]:
    """`wait_s` and `access_s` of a command's options as its patience, and `image` as the images of its only service."""
    if (image := options.pop("image", None)) is not None:
        options["images"] = {"WebImageUri": image}
    given = {name: options.pop(name) for name in ("wait_s", "access_s") if name in options}
    return {**options, **({"patience": Patience(**given)} if given else {})}


@dataclass
class Deployer:
    """Somebody who types commands. `said` is all that the last one told."""

    world: World = field(default_factory=World)
    said: list[Message] = field(default_factory=list)
    confirm: Callable[[Plan], bool] = lambda plan: True
    stack: str = "web"

    def wish(self, small: Small | None = None, **options: Any) -> Wish:
        return Wish(self.stack, published(small), **patient(options))

    def deploy(self, small: Small | None = None, *, aws: Aws | None = None, **options: Any) -> Outcome:
        """The command, from the beginning: nothing is kept from the one before."""
        self.said = []
        aws = aws or self.world.aws()
        return deployment.deploy(aws, aws.identity(), self.wish(small, **options), self.said.append, self.confirm)

    def plan(self, small: Small | None = None, *, keep: bool = True, **options: Any) -> Outcome:
        self.said = []
        aws = self.world.aws()
        return deployment.plan(aws, aws.identity(), self.wish(small, **options), self.said.append, keep=keep)

    def apply(self, arn: str, **options: Any) -> Outcome:
        self.said = []
        aws = self.world.aws()
        return deployment.apply(aws, aws.identity(), arn, self.said.append, **options)

    @property
    def plans(self) -> list[Plan]:
        return [one.plan for one in self.said if isinstance(one, Planned)]

    @property
    def notes(self) -> str:
        return "\n".join(one.text for one in self.said if isinstance(one, Note))

    @property
    def paths(self) -> list[str]:
        return [event.path for one in self.said if isinstance(one, Watched) for event in one.events]

    def status(self) -> str:
        stack = self.world.cfn.live(self.stack)
        return stack.status if stack else "none"

    def state(self) -> Any:
        """Everything that a deployment is to bring about, without ids and times."""
        cfn = self.world.cfn

        def shown(stack: Any) -> Any:
            inner = {
                title: shown(cfn.stacks[one["physical"]]) if "CloudFormation" in one["type"] else one["type"]
                for title, one in stack.resources.items()
            }
            return stack.status, dict(stack.parameters), inner, stack.policy

        stack = cfn.live(self.stack)
        return shown(stack) if stack else None


def running() -> Deployer:
    """A deployer whose set runs already, with the image web:1; its calls so far are forgotten."""
    deployer = Deployer()
    assert deployer.deploy(image="web:1").exit_code == 0
    deployer.world.calls.clear()
    deployer.world.cfn.executions = 0
    return deployer
