"""What holds for every resource of a set: how roles are named and bounded, what groups let out, and tags."""

from __future__ import annotations

from typing import Any

from awacs.aws import PolicyDocument
from troposphere import AWSObject, Ref, Select, Split, Sub, Tags, autoscaling, cloudformation, ec2, iam
from troposphere.validators.autoscaling import Tags as GroupTags

from scaleout_cfn.config import Config, NewVpc
from scaleout_cfn.errors import SetError
from scaleout_cfn.iam import INLINE_CHARACTERS, characters, in_parts
from scaleout_cfn.stack import Stack, pascal

#: Of a role's name: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_NAME_CHARACTERS = 64
#: Managed policies of a role, before the quota is raised, as that page says.
ATTACHED = 10
#: Actions and resources of which no role's policies get too long.
FEW_PARTS = 30
#: What tags are called where they are not called Tags.
OTHER_TAGS = {
    "AWS::EFS::AccessPoint": "AccessPointTags",
    "AWS::EFS::FileSystem": "FileSystemTags",
    "AWS::Route53::HealthCheck": "HealthCheckTags",
}


def finish(stack: Stack, config: Config) -> None:
    """What holds for every resource: the rules of the house, and tags wherever CloudFormation takes them."""
    for title, resource in list(stack.template.resources.items()):
        if isinstance(resource, iam.Role):
            _finish_role(stack, resource, config)
        elif isinstance(resource, iam.InstanceProfile) and config.roles.path != "/":
            resource.Path = config.roles.path
        elif isinstance(resource, ec2.SecurityGroup):
            _finish_group(resource, config)
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


def _finish_role(stack: Stack, role: iam.Role, config: Config) -> None:
    if config.permissions_boundary:
        role.PermissionsBoundary = config.permissions_boundary
    if config.roles.path != "/":
        role.Path = config.roles.path
    if config.roles.prefix:
        begins = f"{config.roles.prefix}{stack.title}-{role.title}-"
        if len(begins) + 8 > ROLE_NAME_CHARACTERS:
            raise SetError(
                [
                    f"roles.prefix: with it the role {role.title} of {stack.title} has a name of {len(begins) + 8}"
                    f" characters, and {ROLE_NAME_CHARACTERS} are allowed; give a shorter one"
                ]
            )
        # Of the stack's own id, so that two sets in an account have different ones.
        own = Select(0, Split("-", Select(2, Split("/", Ref("AWS::StackId")))))
        role.RoleName = Sub(f"{begins}${{Own}}", Own=own)
    if config.roles.inline_policies:
        _count_policies(stack, role)
    else:
        _manage_policies(stack, role, config)


def _count_policies(stack: Stack, role: iam.Role) -> None:
    """Refuse what IAM would not take of a role's inline policies."""
    documents = [policy.PolicyDocument for policy in role.properties.get("Policies", [])]
    # Somebody's own may be plain dicts.
    documents = [document for document in documents if isinstance(document, PolicyDocument)]
    statements = [statement.properties for document in documents for statement in document.Statement]
    # Most are short, and to count takes its time.
    if sum(len(statement.get(part, ())) for statement in statements for part in ("Action", "Resource")) < FEW_PARTS:
        return
    if (size := sum(map(characters, documents))) > INLINE_CHARACTERS:
        raise SetError(
            [
                f"{role.title} of {stack.title}: its policies come to {size} characters, and those of a role to"
                f" {INLINE_CHARACTERS} at most; allow less, by wildcards or by a policy of your own in"
                " managed_policies, or set roles.inline_policies = false"
            ]
        )


def _manage_policies(stack: Stack, role: iam.Role, config: Config) -> None:
    """The same policies as managed ones, which the role names: it may do nothing before it may all."""
    attached = list(role.properties.get("ManagedPolicyArns", []))
    for policy in role.properties.pop("Policies", []):
        for number, document in enumerate(in_parts(policy.PolicyDocument), 1):
            title = f"{role.title}{pascal(policy.PolicyName)}{number if number > 1 else ''}"
            managed = iam.ManagedPolicy(title, PolicyDocument=document)
            if config.roles.path != "/":
                managed.Path = config.roles.path
            attached.append(stack.add(managed).ref())
    if len(attached) > ATTACHED:
        raise SetError(
            [
                f"roles.inline_policies: {role.title} in {stack.title} would have {len(attached)} managed"
                f" policies, and an account begins with {ATTACHED} a role; set it to true, or name fewer of your own"
            ]
        )
    if attached:
        role.ManagedPolicyArns = attached


def _finish_group(group: ec2.SecurityGroup, config: Config) -> None:
    network = config.network
    if not isinstance(network, NewVpc) or not network.explicit_egress or "SecurityGroupEgress" in group.properties:
        return
    rules = [
        ec2.SecurityGroupRule(
            Description="To the VPC's own addresses", IpProtocol="tcp", FromPort=0, ToPort=65535, CidrIp=network.cidr
        ),
        ec2.SecurityGroupRule(
            Description="HTTPS to anywhere", IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0"
        ),
    ]
    if network.ipv6:
        rules.append(
            ec2.SecurityGroupRule(
                Description="HTTPS to anywhere", IpProtocol="tcp", FromPort=443, ToPort=443, CidrIpv6="::/0"
            )
        )
    group.SecurityGroupEgress = rules


def _with_own(resource: AWSObject, named: dict[str, Any]) -> Any:
    """Our tags and those that the resource brings, which win, in the form that its type wants."""
    own = resource.properties.get("Tags")
    if resource.props["Tags"][0] is dict:
        return {**named, **(own or {})}
    return Tags({**named, **{tag["Key"]: tag["Value"] for tag in (own.tags if own else [])}})
