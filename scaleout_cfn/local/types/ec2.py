"""EC2: addresses, NAT gateways, security group rules, flow logs, IPv6."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ministack.services import ec2
from ministack.services.cloudformation import _stacks, provisioners

from scaleout_cfn.local.types.registry import Properties, query, register

_CALL = ec2._ACTION_MAP


def elastic_ip() -> None:
    """AWS::EC2::EIP is unknown to MiniStack, whose EC2 has addresses. Ref is the public address."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        answer = query(_CALL, "AllocateAddress", Domain=properties.get("Domain", "vpc"))
        allocation_id, address = _text_at(answer, "allocationId"), _text_at(answer, "publicIp")
        provisioners._ec2_apply_tags(allocation_id, properties)
        return address, {"AllocationId": allocation_id, "PublicIp": address}

    def delete(physical_id: str, properties: Properties) -> None:
        for allocation_id, record in list(ec2._addresses.items()):
            if record["PublicIp"] == physical_id:
                query(_CALL, "ReleaseAddress", AllocationId=allocation_id)

    register("AWS::EC2::EIP", create=create, delete=delete, tagged=True)


def nat_gateway() -> None:
    """AWS::EC2::NatGateway is unknown to MiniStack, whose EC2 has zonal gateways.

    A regional one (AvailabilityMode: regional) names a VPC instead of a subnet; it is made from the same call.
    """

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        allocation_id = properties.get("AllocationId")
        if allocation_id is not None and allocation_id not in ec2._addresses:
            raise ValueError(f"Elastic IP address {allocation_id} could not be found.")
        regional = properties.get("AvailabilityMode") == "regional"
        if regional and "SubnetId" in properties:
            raise ValueError("A regional NAT gateway takes a VpcId and no SubnetId.")
        answer = query(
            _CALL,
            "CreateNatGateway",
            SubnetId="regional" if regional else properties.get("SubnetId"),
            AllocationId=allocation_id,
            ConnectivityType=properties.get("ConnectivityType"),
        )
        gateway_id = _text_at(answer, "natGatewayId")
        if regional:
            ec2._nat_gateways[gateway_id].update(SubnetId="", VpcId=properties.get("VpcId", ""))
        provisioners._ec2_apply_tags(gateway_id, properties)
        return gateway_id, {"NatGatewayId": gateway_id}

    def delete(physical_id: str, properties: Properties) -> None:
        query(_CALL, "DeleteNatGateway", NatGatewayId=physical_id)

    register("AWS::EC2::NatGateway", create=create, delete=delete, tagged=True)


def security_group_rules() -> None:
    """AWS::EC2::SecurityGroupIngress and -Egress are unknown to MiniStack, which takes rules inline only."""
    for direction, peer in (("Ingress", "Source"), ("Egress", "Destination")):
        _security_group_rule(direction, peer)


def _security_group_rule(direction: str, peer: str) -> None:
    def members(properties: Properties) -> dict[str, object]:
        rule = "IpPermissions.1"
        return {
            "GroupId": properties["GroupId"],
            f"{rule}.IpProtocol": properties["IpProtocol"],
            f"{rule}.FromPort": properties.get("FromPort"),
            f"{rule}.ToPort": properties.get("ToPort"),
            f"{rule}.IpRanges.1.CidrIp": properties.get("CidrIp"),
            f"{rule}.Ipv6Ranges.1.CidrIpv6": properties.get("CidrIpv6"),
            f"{rule}.PrefixListIds.1.PrefixListId": properties.get(f"{peer}PrefixListId"),
            f"{rule}.Groups.1.GroupId": properties.get(f"{peer}SecurityGroupId"),
        }

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        other = properties.get(f"{peer}SecurityGroupId")
        if other is not None and other not in ec2._security_groups:
            raise ValueError(f"The security group '{other}' does not exist (Error Code: InvalidGroup.NotFound)")
        answer = query(_CALL, f"AuthorizeSecurityGroup{direction}", **members(properties))
        rule_id = _text_at(answer, "securityGroupRuleId")
        return rule_id, {"Id": rule_id}

    def delete(physical_id: str, properties: Properties) -> None:
        if properties["GroupId"] in ec2._security_groups:
            query(_CALL, f"RevokeSecurityGroup{direction}", **members(properties))

    register(f"AWS::EC2::SecurityGroup{direction}", create=create, delete=delete)


def flow_log() -> None:
    """AWS::EC2::FlowLog is unknown to MiniStack, whose EC2 has flow logs."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        members = {
            "ResourceId.1": properties["ResourceId"],
            "ResourceType": properties["ResourceType"],
            "TrafficType": properties.get("TrafficType"),
            "LogDestinationType": properties.get("LogDestinationType"),
            "LogDestination": properties.get("LogDestination"),
            "LogGroupName": properties.get("LogGroupName"),
        }
        flow_log_id = _text_at(query(_CALL, "CreateFlowLogs", **members), "flowLogIdSet/{*}item")
        provisioners._ec2_apply_tags(flow_log_id, properties)
        return flow_log_id, {"Id": flow_log_id}

    def delete(physical_id: str, properties: Properties) -> None:
        query(_CALL, "DeleteFlowLogs", **{"FlowLogId.1": physical_id})

    register("AWS::EC2::FlowLog", create=create, delete=delete, tagged=True)


def egress_only_internet_gateway() -> None:
    """AWS::EC2::EgressOnlyInternetGateway is unknown to MiniStack, whose EC2 has them."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        answer = query(_CALL, "CreateEgressOnlyInternetGateway", VpcId=properties["VpcId"])
        gateway_id = _text_at(answer, "egressOnlyInternetGatewayId")
        provisioners._ec2_apply_tags(gateway_id, properties)
        return gateway_id, {"Id": gateway_id}

    def delete(physical_id: str, properties: Properties) -> None:
        query(_CALL, "DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=physical_id)

    register("AWS::EC2::EgressOnlyInternetGateway", create=create, delete=delete, tagged=True)


def cidr_blocks() -> None:
    """AWS::EC2::VPCCidrBlock and SubnetCidrBlock are unknown to MiniStack, and its EC2 knows no IPv6.

    They are kept as they are; a block for a VPC appears in the VPC's Ipv6CidrBlocks, from which subnets
    take theirs by Fn::Cidr.
    """

    def create_for_vpc(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        vpc_id = properties["VpcId"]
        if vpc_id not in ec2._vpcs:
            raise ValueError(f"The vpc ID '{vpc_id}' does not exist (Error Code: InvalidVpcID.NotFound)")
        association_id = f"vpc-cidr-assoc-{uuid4().hex[:17]}"
        if properties.get("CidrBlock"):
            return association_id, {"Id": association_id}
        # A /56 of the documentation prefix 2001:db8::/32, told apart by the VPC's id.
        number = int(vpc_id.removeprefix("vpc-")[:6], 16)
        block = str(ipaddress.ip_network(((0x20010DB8 << 96) + (number << 72), 56)))
        for record in _stacks[stack_name]["_resources"].values():
            if record["PhysicalResourceId"] == vpc_id:
                record["Attributes"]["Ipv6CidrBlocks"] = [block]
        return association_id, {"Id": association_id, "Ipv6CidrBlock": block}

    def create_for_subnet(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        subnet_id = properties["SubnetId"]
        if subnet_id not in ec2._subnets:
            raise ValueError(f"The subnet ID '{subnet_id}' does not exist (Error Code: InvalidSubnetID.NotFound)")
        association_id = f"subnet-cidr-assoc-{uuid4().hex[:17]}"
        return association_id, {"Id": association_id}

    register("AWS::EC2::VPCCidrBlock", create=create_for_vpc)
    register("AWS::EC2::SubnetCidrBlock", create=create_for_subnet)


def vpc_attributes() -> None:
    """MiniStack's AWS::EC2::VPC lacks the attributes CidrBlock and Ipv6CidrBlocks."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::EC2::VPC"]

    def with_blocks(make: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., tuple[str, dict[str, Any]]]:
        def made(*arguments: Any) -> tuple[str, dict[str, Any]]:
            vpc_id, attributes = make(*arguments)
            known = {"CidrBlock": ec2._vpcs[vpc_id]["CidrBlock"]}
            for stack in _stacks.values():
                for record in stack.get("_resources", {}).values():
                    if record["PhysicalResourceId"] == vpc_id and "Ipv6CidrBlocks" in record["Attributes"]:
                        known["Ipv6CidrBlocks"] = record["Attributes"]["Ipv6CidrBlocks"]
            return vpc_id, {**attributes, **known}

        return made

    handler["create"] = with_blocks(handler["create"])
    handler["update"] = with_blocks(handler["update"])


def _text_at(answer: Any, path: str) -> str:
    text = answer.findtext(f".//{{*}}{path}")
    if not text:
        raise ValueError(f"the emulator's answer has no {path}")
    return str(text)
