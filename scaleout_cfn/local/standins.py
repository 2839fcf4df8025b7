"""What a set takes as given, in the emulator: whatever is not there is refused, as AWS refuses it, and what a
rehearsal needs is made to stand in for it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ministack.core.responses import set_request_region
from ministack.services import ec2, route53, ssm
from ministack.services.cloudformation import changesets, engine, handlers, helpers

from scaleout_cfn.local.differences import UNKNOWN_PARAMETER
from scaleout_cfn.local.types.registry import query

_RESOURCE_ID: Final = re.compile(r"(?:List<)?AWS::EC2::(?P<kind>VPC|Subnet)::Id>?")
_ZONES: Final = "abcdef"
_SECRETS: Final[set[str]] = set()
"""ARNs of the secrets that somebody stands in for."""


def network_parameters() -> None:
    """MiniStack takes any id for a parameter of the types AWS::EC2::VPC::Id and AWS::EC2::Subnet::Id. AWS "validates
    the input values against existing values in a customer's account" (cloudformation-supplied-parameter-types)."""
    resolve = engine._resolve_parameters

    def resolve_checking(template: Mapping[str, Any], *rest: Any) -> Any:
        resolved = resolve(template, *rest)
        there = {"VPC": ec2._vpcs, "Subnet": ec2._subnets}
        for name, definition in (template.get("Parameters") or {}).items():
            declared = _RESOURCE_ID.fullmatch(str(definition.get("Type")))
            if declared is None:
                continue
            for value in map(str.strip, str(resolved[name]["Value"]).split(",")):
                if value not in there[declared["kind"]] and not value.startswith(UNKNOWN_PARAMETER):
                    raise ValueError(
                        f"Parameter validation failed: parameter value {value} for parameter name {name} does not exist"
                    )
        return resolved

    for module in (engine, changesets, handlers):
        module._resolve_parameters = resolve_checking


def given_secrets() -> None:
    """MiniStack reads a dynamic reference from secrets of its own account only, and a config names whatever is there
    on AWS."""
    resolve = engine._resolve_dynamic_reference

    def resolve_given(literal: str) -> str:
        if any(literal.startswith(f"{{{{resolve:secretsmanager:{arn}:") for arn in _SECRETS):
            return "stand-in"
        return str(resolve(literal))

    engine._resolve_dynamic_reference = resolve_given


def stand_in(
    hosted_zones: Mapping[str, str], vpcs: Mapping[str, Sequence[str]], secrets: Sequence[str] = (), region: str = ""
) -> None:
    """Make hosted zones (id -> name) and VPCs (id -> ids of its subnets) of a region, where they are not there yet, and
    have a text read from secrets (ARNs)."""
    set_request_region(region or None)
    _SECRETS.update(secrets)
    for zone_id, name in hosted_zones.items():
        if zone_id not in route53._zones:
            zone = {"id": zone_id, "name": f"{name}.", "caller_reference": zone_id, "comment": "", "private": False}
            route53._zones[zone_id] = {**zone, "vpcs": []}
            route53._records[zone_id] = route53._default_records(f"{name}.")
    for vpc_id, subnet_ids in vpcs.items():
        if vpc_id not in ec2._vpcs:
            _make_vpc(vpc_id, subnet_ids)


def _make_vpc(vpc_id: str, subnet_ids: Sequence[str]) -> None:
    block = ipaddress.ip_network("10.0.0.0/16")
    answer = query(ec2._ACTION_MAP, "CreateVpc", CidrBlock=str(block))
    made = answer.findtext(".//{*}vpcId")
    for table in (ec2._network_acls, ec2._route_tables, ec2._security_groups):
        for record in table.values():
            if record["VpcId"] == made:
                record["VpcId"] = vpc_id
    ec2._vpcs[vpc_id] = {**ec2._vpcs.pop(made), "VpcId": vpc_id}
    for number, (subnet_id, part) in enumerate(zip(subnet_ids, block.subnets(new_prefix=24), strict=False)):
        zone = f"{ec2.get_region()}{_ZONES[number % len(_ZONES)]}"
        answer = query(ec2._ACTION_MAP, "CreateSubnet", VpcId=vpc_id, CidrBlock=str(part), AvailabilityZone=zone)
        made = answer.findtext(".//{*}subnetId")
        ec2._subnets[subnet_id] = {**ec2._subnets.pop(made), "SubnetId": subnet_id}


_VIRTUAL_HOST: Final = re.compile(
    r"https://(?P<bucket>[a-z0-9][a-z0-9.-]*?)\.s3[.-](?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?/(?P<key>.+)"
)
_ECS_IMAGES: Final = "/aws/service/ecs/optimized-ami/amazon-linux-2023"


def template_url_hosts() -> None:
    """MiniStack reads a template from a path-style URL only. AWS documents, and most tools write,
    https://BUCKET.s3.REGION.amazonaws.com/KEY."""
    resolve = helpers._resolve_document

    def resolve_any(params: Any, body_key: str, url_key: str, label: str) -> Any:
        match = _VIRTUAL_HOST.fullmatch(helpers._p(params, url_key) or "")
        if match:
            params = {**params, url_key: [f"https://s3.amazonaws.com/{match['bucket']}/{match['key']}"]}
        return resolve(params, body_key, url_key, label)

    helpers._resolve_document = resolve_any


def ami_parameters() -> None:
    """MiniStack serves AWS's public image parameters, but not those of the ECS-optimized images."""
    ssm._PUBLIC_AMI_PARAMETERS.update(
        {
            f"{_ECS_IMAGES}/recommended/image_id": "ami-0ec5a2023000a8664",
            f"{_ECS_IMAGES}/arm64/recommended/image_id": "ami-0ec5a2023000a2464",
            f"{_ECS_IMAGES}/gpu/recommended/image_id": "ami-0ec5a20230009b00a",
        }
    )
