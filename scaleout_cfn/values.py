"""Values that are known only at deploy time, each with a kind.

A kind is what may cross a stack border: it names the parameter type that the receiving template declares, and
the type checker refuses one kind where another is asked for. Every kind fits any troposphere property.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from troposphere import AWSHelperFn, Join


class Value(AWSHelperFn):
    """One string that CloudFormation fills in. `data` is the intrinsic function, or a literal string."""

    parameter_type: ClassVar[str] = "String"
    meaning: ClassVar[str] = "A value from another stack of the set."

    def __init__(self, data: Any, *, condition: str | None = None) -> None:
        self.data = data
        #: The condition of the nested stack that this value comes out of, if it has one.
        self.condition = condition

    def crossing(self) -> Any:
        """What stands in an Output or in a nested stack's Parameters: always a string."""
        return self.data


class Values(Value):
    """A list of strings. Between stacks everything is a string: it leaves joined by commas and arrives whole."""

    parameter_type = "CommaDelimitedList"

    def __init__(self, data: Iterable[Any] | AWSHelperFn, *, condition: str | None = None) -> None:
        super().__init__(data if isinstance(data, AWSHelperFn) else list(data), condition=condition)

    def crossing(self) -> Any:
        # What comes out of a nested stack is joined already; all other lists are not.
        return self.data if _is_nested_output(self.data) else Join(",", self.data)


def _is_nested_output(data: Any) -> bool:
    _, attribute = data.to_dict().get("Fn::GetAtt", ("", "")) if isinstance(data, AWSHelperFn) else ("", "")
    return str(attribute).startswith("Outputs.")


class Text(Value):
    """Any string."""


class Number(Value):
    """A whole number."""

    parameter_type = "Number"
    meaning = "A number from the root stack."


class Flag(Value):
    """Either "true" or "false": CloudFormation has no boolean parameters."""

    meaning = "true or false."


class VpcId(Value):
    parameter_type = "AWS::EC2::VPC::Id"
    meaning = "The VPC."


class SubnetIds(Values):
    parameter_type = "List<AWS::EC2::Subnet::Id>"
    meaning = "Subnets, one in each zone."


class SubnetId(Value):
    parameter_type = "AWS::EC2::Subnet::Id"
    meaning = "A subnet of one zone."


class SecretArn(Value):
    meaning = "A secret of Secrets Manager."


class SecurityGroupId(Value):
    parameter_type = "AWS::EC2::SecurityGroup::Id"
    meaning = "A security group."


class ImageId(Value):
    parameter_type = "AWS::EC2::Image::Id"
    meaning = "The machine image of the container instances."


class LatestImage(ImageId):
    """A machine image named by a public SSM parameter, which CloudFormation reads at each deployment."""

    parameter_type = "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"


class KeyArn(Value):
    meaning = "The KMS key that what is at rest is encrypted by."


class ListenerArn(Value):
    meaning = "The listener that the rules of services belong to."


class ListenerRuleArn(Value):
    meaning = "The rule whose weights ECS moves during a deployment."


class DnsName(Value):
    meaning = "The load balancer's own host name."


class HostedZoneId(Value):
    meaning = "The hosted zone of the load balancer's own host name, as alias records want it."


class HealthCheckId(Value):
    meaning = "The health check of this region, by which Route 53 tells whether its records answer."


class NamespaceArn(Value):
    meaning = "The Cloud Map namespace in which services find each other by name."


class TargetGroupArn(Value):
    meaning = "The target group that the service joins."


class TargetGroupName(Value):
    """The last part of a target group's ARN, as metrics want it: `targetgroup/name/id`."""

    meaning = "The target group as CloudWatch names it."


class LoadBalancerName(Value):
    """The last part of a load balancer's ARN, as metrics want it: `app/name/id`."""

    meaning = "The load balancer as CloudWatch names it."


class BucketName(Value):
    meaning = "The bucket that what is asked of buckets is logged to."


class ClusterName(Value):
    meaning = "The ECS cluster."


class CapacityProviderName(Value):
    meaning = "The capacity provider, associated with the cluster."


class GroupName(Value):
    meaning = "The Auto Scaling group of the container instances."


class ServiceName(Value):
    meaning = "The ECS service."


class RepositoryArn(Value):
    meaning = "The ECR repository that the image is pulled from."


class RepositoryName(Value):
    meaning = "The ECR repository that the image is pushed to."


class QueueUrl(Value):
    meaning = "Where messages for a worker are sent to."


class QueueArn(Value):
    meaning = "A worker's SQS queue."


class QueueName(Value):
    """A queue's name, as metrics want it."""

    meaning = "The queue as CloudWatch names it."


class ResourceArn(Value):
    meaning = "What lies beside a service, and is used by it."


class RoleArn(Value):
    meaning = "An IAM role."


class StackName(Value):
    meaning = "The root stack, which deployments of images update."


class FileSystemId(Value):
    meaning = "The EFS file system of a volume."


class AccessPointId(Value):
    meaning = "The access point that a volume is mounted by."


class LogGroupName(Value):
    meaning = "The log group of the containers."


class TopicArn(Value):
    meaning = "The SNS topic that alarms are sent to."


class AlarmNames(Values):
    meaning = "CloudWatch alarms that roll a deployment back."


class EmailAddress(Value):
    meaning = "Who is told of alarms; empty for nobody."
