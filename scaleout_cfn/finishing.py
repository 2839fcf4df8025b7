"""What holds for every resource of a set: the boundary of roles, and tags."""

from __future__ import annotations

from typing import Any

from troposphere import AWSObject, Sub, Tags, autoscaling, cloudformation, ec2, iam
from troposphere.validators.autoscaling import Tags as GroupTags

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack

__all__ = ["finish"]

#: What tags are called where they are not called Tags.
OTHER_TAGS = {"AWS::EFS::AccessPoint": "AccessPointTags", "AWS::EFS::FileSystem": "FileSystemTags"}


def finish(stack: Stack, config: Config) -> None:
    """What holds for every resource: the boundary of roles, and tags wherever CloudFormation takes them."""
    for title, resource in stack.template.resources.items():
        if config.permissions_boundary and isinstance(resource, iam.Role):
            resource.PermissionsBoundary = config.permissions_boundary
        named = {"Name": Sub("${AWS::StackName}/" + title), **config.tags}
        if isinstance(resource, cloudformation.Stack):
            # CloudFormation hands these on to what is inside. A Name there would be the same for all.
            if config.tags:
                resource.Tags = Tags(config.tags)
        elif isinstance(resource, autoscaling.AutoScalingGroup):
            own = {tag["Key"]: tag["Value"] for tag in resource.properties.get("Tags", GroupTags()).tags}
            resource.Tags = GroupTags(**{**named, **own})
        elif isinstance(resource, ec2.LaunchTemplate):
            resource.TagSpecifications = [ec2.TagSpecifications(ResourceType="launch-template", Tags=Tags(named))]
            # The group tags its instances; what comes with an instance is tagged by the template.
            resource.LaunchTemplateData.TagSpecifications = [
                ec2.TagSpecifications(ResourceType=kind, Tags=Tags(named)) for kind in ("volume", "network-interface")
            ]
        elif "Tags" in resource.props:
            resource.Tags = _with_own(resource, named)
        elif resource.resource_type in OTHER_TAGS:
            setattr(resource, OTHER_TAGS[resource.resource_type], Tags(named))


def _with_own(resource: AWSObject, named: dict[str, Any]) -> Any:
    """Our tags and those that the resource brings, which win, in the form that its type wants."""
    own = resource.properties.get("Tags")
    if resource.props["Tags"][0] is dict:
        return {**named, **(own or {})}
    return Tags({**named, **{tag["Key"]: tag["Value"] for tag in (own.tags if own else [])}})
