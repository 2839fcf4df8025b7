"""The network: who has which addresses, and which way out."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import PARAMETER, SECRET, Template, att, made, of_type, properties, ref, resource

WAYS_OUT = ("nat-per-zone", "single-nat", "regional-nat", "public-subnets", "endpoints")
SHAPES = [(egress, zones, ipv6) for egress in WAYS_OUT for zones in (2, 3, 4) for ipv6 in (False, True)]
shapes = pytest.mark.parametrize(("egress", "zones", "ipv6"), SHAPES)


def network(egress: Any = "single-nat", zones: int = 2, ipv6: bool = False, **more: Any) -> Template:
    service = more.pop("service", sc.WebService())
    return made(network=sc.NewVpc(egress=egress, zones=zones, ipv6=ipv6, **more), service=service)["network.yaml"]


def ranges(template: Template) -> dict[str, ipaddress.IPv4Network]:
    """The IPv4 range of each subnet, as Fn::Cidr cuts it."""
    found = {}
    for title, subnet in of_type(template, "EC2::Subnet").items():
        index, cut = subnet["CidrBlock"]["Fn::Select"]
        block, count, host_bits = cut["Fn::Cidr"]
        parts = list(ipaddress.IPv4Network(block).subnets(new_prefix=32 - int(host_bits)))
        assert len(parts) >= int(count) > int(index)
        found[title] = parts[int(index)]
    return found


def routes(template: Template, subnet: str) -> dict[str, dict[str, Any]]:
    """Where a subnet's default routes lead, by range."""
    (table,) = (
        association["RouteTableId"]
        for association in of_type(template, "EC2::SubnetRouteTableAssociation").values()
        if association["SubnetId"] == ref(subnet)
    )
    found = {}
    for route in of_type(template, "EC2::Route").values():
        if route["RouteTableId"] == table:
            range_ = route.get("DestinationCidrBlock") or route["DestinationIpv6CidrBlock"]
            assert range_ not in found
            found[range_] = {k: v for k, v in route.items() if k.endswith("GatewayId")}
    return found


# --- addresses


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.31.0.0/20", "192.168.7.0/24"])
@pytest.mark.parametrize("zones", [2, 4])
def test_subnets_are_disjoint_eighths_of_the_vpc(cidr: str, zones: int) -> None:
    template = network(cidr=cidr, zones=zones)
    assert properties({"network.yaml": template}, "network", "Vpc")["CidrBlock"] == cidr
    subnets = list(ranges(template).values())
    assert len(set(subnets)) == 2 * zones
    whole = ipaddress.IPv4Network(cidr)
    assert all(subnet.subnet_of(whole) and subnet.prefixlen == whole.prefixlen + 3 for subnet in subnets)


def test_a_zone_added_later_moves_nobody_s_addresses() -> None:
    for egress in WAYS_OUT:
        small, large = (ranges(network(egress, zones)) for zones in (2, 4))
        assert small.items() < large.items()


@shapes
def test_there_are_a_public_and_a_private_subnet_in_each_zone(egress: str, zones: int, ipv6: bool) -> None:
    template = network(egress, zones, ipv6)
    subnets = of_type(template, "EC2::Subnet")
    kinds = ["Public"] if egress == "public-subnets" else ["Public", "Private"]
    assert set(subnets) == {f"{kind}Subnet{zone}" for kind in kinds for zone in range(1, zones + 1)}
    for title, subnet in subnets.items():
        # The names of a region's zones, in their order.
        assert subnet["AvailabilityZone"] == {"Fn::Select": [int(title[-1]) - 1, {"Fn::GetAZs": ""}]}
        assert subnet["VpcId"] == ref("Vpc")


@pytest.mark.parametrize("egress", WAYS_OUT)
def test_every_subnet_has_an_ipv6_range_of_64_bits_of_its_own(egress: str) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html: a /64 of the VPC's /56."""
    template = network(egress, 4, True)
    numbers = []
    for title, subnet in of_type(template, "EC2::Subnet").items():
        number, cut = subnet["Ipv6CidrBlock"]["Fn::Select"]
        block, count, bits = cut["Fn::Cidr"]
        assert block == {"Fn::Select": [0, att("Vpc", "Ipv6CidrBlocks")]}
        assert (128 - int(bits), int(number) < int(count) <= 256) == (64, True)
        assert subnet["AssignIpv6AddressOnCreation"] is True
        # The VPC has no IPv6 range before it is associated.
        assert resource({"network.yaml": template}, "network", title)["DependsOn"] == "Ipv6Range"
        numbers.append(int(number))
    assert len(set(numbers)) == len(numbers)
    assert of_type(template, "EC2::VPCCidrBlock") == {
        "Ipv6Range": {"VpcId": ref("Vpc"), "AmazonProvidedIpv6CidrBlock": True}
    }


def test_without_ipv6_there_is_none() -> None:
    assert "Ipv6" not in str(network("nat-per-zone", 3))


@shapes
def test_nodes_have_public_addresses_only_where_these_are_their_way_out(egress: str, zones: int, ipv6: bool) -> None:
    for title, subnet in of_type(network(egress, zones, ipv6), "EC2::Subnet").items():
        assert subnet["MapPublicIpOnLaunch"] is (egress == "public-subnets" and title.startswith("Public"))


# --- ways out


@shapes
def test_public_subnets_lead_to_the_internet(egress: str, zones: int, ipv6: bool) -> None:
    template = network(egress, zones, ipv6)
    everywhere = {"0.0.0.0/0", "::/0"} if ipv6 else {"0.0.0.0/0"}
    for zone in range(1, zones + 1):
        out = routes(template, f"PublicSubnet{zone}")
        assert out == {range_: {"GatewayId": ref("InternetGateway")} for range_ in everywhere}
    attachment = of_type(template, "EC2::VPCGatewayAttachment")
    assert attachment == {"GatewayAttachment": {"VpcId": ref("Vpc"), "InternetGatewayId": ref("InternetGateway")}}
    for title, route in of_type(template, "EC2::Route").items():
        if "GatewayId" in route:
            # A route to a gateway that is not attached is refused.
            assert resource({"network.yaml": template}, "network", title)["DependsOn"] == "GatewayAttachment"


@shapes
def test_nodes_lead_where_egress_says(egress: str, zones: int, ipv6: bool) -> None:
    template = network(egress, zones, ipv6)
    gateways = of_type(template, "EC2::NatGateway")
    used = set()
    for zone in range(1, zones + 1):
        if egress == "public-subnets":
            continue
        out = routes(template, f"PrivateSubnet{zone}")
        if egress == "endpoints":
            assert out == {}
            continue
        ((kind, gateway),) = out.pop("0.0.0.0/0").items()
        assert kind == "NatGatewayId"
        used.add(gateway["Ref"])
        if egress == "nat-per-zone":
            assert gateways[gateway["Ref"]]["SubnetId"] == ref(f"PublicSubnet{zone}")
        assert out == ({"::/0": {"EgressOnlyInternetGatewayId": ref("EgressOnlyGateway")}} if ipv6 else {})
    assert used == set(gateways)
    assert len(gateways) == {"nat-per-zone": zones, "single-nat": 1, "regional-nat": 1}.get(egress, 0)
    has_gateway = ipv6 and "nat" in egress
    wanted = {"EgressOnlyGateway": {"VpcId": ref("Vpc")}} if has_gateway else {}
    assert of_type(template, "EC2::EgressOnlyInternetGateway") == wanted


@pytest.mark.parametrize("egress", ["nat-per-zone", "single-nat"])
def test_a_nat_gateway_has_a_fixed_address_and_a_subnet_that_leads_out(egress: str) -> None:
    template = network(egress, 3)
    addresses: set[str] = set()
    for title, gateway in of_type(template, "EC2::NatGateway").items():
        assert title == f"NatGateway{len(addresses) + 1}"
        address, attribute = gateway["AllocationId"]["Fn::GetAtt"]
        assert attribute == "AllocationId"
        body = resource({"network.yaml": template}, "network", address)
        assert (body["Type"], body["Properties"]["Domain"]) == ("AWS::EC2::EIP", "vpc")
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-eip.html
        assert body["DependsOn"] == ["PublicDefaultRoute"]
        assert gateway["SubnetId"]["Ref"].startswith("PublicSubnet")
        addresses.add(address)
    assert addresses == set(of_type(template, "EC2::EIP"))


def test_a_regional_nat_gateway_belongs_to_the_vpc_and_brings_its_own_addresses() -> None:
    template = network("regional-nat", 3)
    (gateway,) = of_type(template, "EC2::NatGateway").values()
    assert gateway == {"AvailabilityMode": "regional", "ConnectivityType": "public", "VpcId": ref("Vpc")}
    assert resource({"network.yaml": template}, "network", "NatGateway")["DependsOn"] == ["PublicDefaultRoute"]
    assert not of_type(template, "EC2::EIP")


@shapes
def test_layers_of_images_come_by_s3_s_gateway_in_every_table_of_the_nodes(egress: str, zones: int, ipv6: bool) -> None:
    template = network(egress, zones, ipv6)
    endpoint = properties({"network.yaml": template}, "network", "S3Endpoint")
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"] == {"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"}
    node_kind = "Public" if egress == "public-subnets" else "Private"
    tables = {
        association["RouteTableId"]["Ref"]
        for association in of_type(template, "EC2::SubnetRouteTableAssociation").values()
        if association["SubnetId"]["Ref"].startswith(node_kind)
    }
    assert {table["Ref"] for table in endpoint["RouteTableIds"]} == tables
    # A NAT gateway of one zone is no use to a table of all.
    assert len(tables) == (1 if egress == "public-subnets" else zones)


# --- no way out but to AWS


def interface_endpoints(template: Template) -> dict[str, dict[str, Any]]:
    """Interface endpoints by the service that they lead to."""
    return {
        endpoint["ServiceName"]["Fn::Sub"].removeprefix("com.amazonaws.${AWS::Region}."): endpoint
        for endpoint in of_type(template, "EC2::VPCEndpoint").values()
        if endpoint["VpcEndpointType"] == "Interface"
    }


def test_without_a_way_out_there_is_an_endpoint_for_all_that_nodes_and_tasks_call() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html"""
    ecs, ecr = {"ecs", "ecs-agent", "ecs-telemetry"}, {"ecr.api", "ecr.dkr"}
    called = ecs | ecr | {"logs", "ssm", "ssmmessages", "cloudformation"}
    assert set(interface_endpoints(network("endpoints"))) == called
    for egress in WAYS_OUT[:-1]:
        assert not interface_endpoints(network(egress))


@pytest.mark.parametrize(
    ("secrets", "wanted"),
    [({}, False), ({"KEY": PARAMETER}, False), ({"DB": SECRET}, True), ({"DB": SECRET + ":a::"}, True)],
)
def test_secrets_manager_has_an_endpoint_where_a_secret_is_read_from_it(secrets: dict[str, str], wanted: bool) -> None:
    template = network("endpoints", service=sc.WebService(secrets=secrets))
    assert ("secretsmanager" in interface_endpoints(template)) == wanted


@pytest.mark.parametrize("zones", [2, 3])
def test_endpoints_are_found_by_the_services_own_names_and_let_in_the_vpc(zones: int) -> None:
    template = network("endpoints", zones, cidr="10.7.0.0/16")
    vpc = properties({"network.yaml": template}, "network", "Vpc")
    # https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html: private names need both of the VPC.
    assert vpc["EnableDnsSupport"] is vpc["EnableDnsHostnames"] is True
    for endpoint in interface_endpoints(template).values():
        assert endpoint["PrivateDnsEnabled"] is True
        assert endpoint["SubnetIds"] == [ref(f"PrivateSubnet{zone}") for zone in range(1, zones + 1)]
        assert endpoint["SecurityGroupIds"] == [ref("EndpointsSecurityGroup")]
        assert endpoint["VpcId"] == ref("Vpc")
    (rule,) = properties({"network.yaml": template}, "network", "EndpointsSecurityGroup")["SecurityGroupIngress"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == ("tcp", 443, 443, "10.7.0.0/16")


# --- what it tells, and logs


@shapes
def test_nodes_are_put_into_private_subnets_where_there_are_any(egress: str, zones: int, ipv6: bool) -> None:
    outputs = network(egress, zones, ipv6)["Outputs"]
    kinds = {"PublicSubnets": "Public", "NodeSubnets": "Public" if egress == "public-subnets" else "Private"}
    for output, kind in kinds.items():
        subnets = [ref(f"{kind}Subnet{zone}") for zone in range(1, zones + 1)]
        assert outputs[output]["Value"] == {"Fn::Join": [",", subnets]}
    assert outputs["VpcId"]["Value"] == ref("Vpc")


def test_all_traffic_is_logged_for_a_month_where_it_is_asked_for() -> None:
    template = network(flow_logs=True)
    log = properties({"network.yaml": template}, "network", "FlowLog")
    assert (log["ResourceId"], log["ResourceType"], log["TrafficType"]) == (ref("Vpc"), "VPC", "ALL")
    assert (log["LogDestinationType"], log["LogGroupName"]) == ("cloud-watch-logs", ref("FlowLogs"))
    assert log["DeliverLogsPermissionArn"] == att("FlowLogsRole", "Arn")
    group = resource({"network.yaml": template}, "network", "FlowLogs")
    assert group["Properties"]["RetentionInDays"] == 30
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == "Delete"
    role = properties({"network.yaml": template}, "network", "FlowLogsRole")
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"][0]["Resource"] == [att("FlowLogs", "Arn")]
    assert not of_type(network(), "EC2::FlowLog")
