"""The network: a VPC over several zones, its subnets and the way out of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from troposphere import AWSObject, Cidr, GetAtt, GetAZs, Select, Sub, ec2, iam, logs

from scaleout_cfn.config import AwsKeys, Config, NewVpc, Postgres, Table
from scaleout_cfn.config.units import Work, jobs_of, units, with_queue
from scaleout_cfn.iam import assumed_by, write_flow_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import KeyArn, SubnetId, SubnetIds, VpcId

# Public subnets take the first four ranges, private ones the last four, whatever the number of zones: a zone
# added later moves nobody's addresses.
RANGES = 8
PRIVATE = 4
FLOW_LOG_RETENTION_DAYS = 30
ANYWHERE, ANYWHERE_IPV6 = "0.0.0.0/0", "::/0"


class Outputs(Struct, frozen=True):
    vpc_id: VpcId
    public_subnets: SubnetIds
    node_subnets: SubnetIds
    #: By zone, where a file system is to be reached in each.
    node_subnet: dict[str, SubnetId] = {}


def build(stack: Stack, config: Config, *, key: KeyArn | None) -> Outputs:
    network = config.network
    assert isinstance(network, NewVpc)
    vpc = stack.add(ec2.VPC("Vpc", CidrBlock=network.cidr, EnableDnsSupport=True, EnableDnsHostnames=True))
    ipv6 = (
        stack.add(ec2.VPCCidrBlock("Ipv6Range", VpcId=vpc.ref(), AmazonProvidedIpv6CidrBlock=True))
        if network.ipv6
        else None
    )
    gateway = stack.add(ec2.InternetGateway("InternetGateway"))
    attached = stack.add(
        ec2.VPCGatewayAttachment("GatewayAttachment", VpcId=vpc.ref(), InternetGatewayId=gateway.ref())
    )

    public_routes = stack.add(ec2.RouteTable("PublicRoutes", VpcId=vpc.ref()))
    to_internet = [
        stack.add(
            ec2.Route(
                "PublicDefaultRoute",
                RouteTableId=public_routes.ref(),
                DestinationCidrBlock=ANYWHERE,
                GatewayId=gateway.ref(),
                DependsOn=attached.title,
            )
        )
    ]
    if ipv6:
        stack.add(
            ec2.Route(
                "PublicDefaultRouteIpv6",
                RouteTableId=public_routes.ref(),
                DestinationIpv6CidrBlock=ANYWHERE_IPV6,
                GatewayId=gateway.ref(),
                DependsOn=attached.title,
            )
        )
    public = [_subnet(stack, network, vpc, ipv6, zone, public=True) for zone in range(network.zones)]
    for subnet in public:
        _associate(stack, subnet, public_routes)

    if network.egress == "public-subnets":
        node_subnets, route_tables = public, [public_routes]
    else:
        node_subnets = [_subnet(stack, network, vpc, ipv6, zone, public=False) for zone in range(network.zones)]
        route_tables = [
            stack.add(ec2.RouteTable(f"PrivateRoutes{zone}", VpcId=vpc.ref())) for zone in range(1, network.zones + 1)
        ]
        for subnet, routes in zip(node_subnets, route_tables, strict=True):
            _associate(stack, subnet, routes)
        if network.egress == "endpoints":
            _interface_endpoints(stack, config, vpc, node_subnets)
        else:
            _nat(stack, network, vpc, public, route_tables, to_internet)
            if ipv6:
                _egress_only_gateway(stack, vpc, route_tables)

    # Free, and it carries the layers of every image that is pulled.
    stack.add(
        ec2.VPCEndpoint(
            "S3Endpoint",
            VpcId=vpc.ref(),
            ServiceName=Sub("com.amazonaws.${AWS::Region}.s3"),
            VpcEndpointType="Gateway",
            RouteTableIds=[routes.ref() for routes in route_tables],
        )
    )
    if any(isinstance(section, Table) for section in config.attachments.values()) or _intend(config, "uses_table"):
        # Free, too.
        stack.add(
            ec2.VPCEndpoint(
                "DynamoDbEndpoint",
                VpcId=vpc.ref(),
                ServiceName=Sub("com.amazonaws.${AWS::Region}.dynamodb"),
                VpcEndpointType="Gateway",
                RouteTableIds=[routes.ref() for routes in route_tables],
            )
        )
    if network.flow_logs:
        _flow_logs(stack, vpc, key)
    # One by one only where somebody asks for them so.
    single = any(unit.file_systems for unit in units(config))
    return Outputs(
        VpcId(vpc.ref()),
        SubnetIds([subnet.ref() for subnet in public]),
        SubnetIds([subnet.ref() for subnet in node_subnets]),
        {f"zone{zone}": SubnetId(subnet.ref()) for zone, subnet in enumerate(node_subnets, 1)} if single else {},
    )


def _subnet(
    stack: Stack, network: NewVpc, vpc: ec2.VPC, ipv6: AWSObject | None, zone: int, *, public: bool
) -> ec2.Subnet:
    host_bits = 32 - (int(network.cidr.rpartition("/")[2]) + RANGES.bit_length() - 1)
    index = zone if public else PRIVATE + zone
    subnet = ec2.Subnet(
        f"{'Public' if public else 'Private'}Subnet{zone + 1}",
        VpcId=vpc.ref(),
        AvailabilityZone=Select(zone, GetAZs("")),
        CidrBlock=Select(index, Cidr(network.cidr, RANGES, host_bits)),
        # Nodes are given public addresses only where that is their way out.
        MapPublicIpOnLaunch=public and network.egress == "public-subnets",
    )
    if ipv6:
        subnet.Ipv6CidrBlock = Select(index, Cidr(Select(0, GetAtt(vpc, "Ipv6CidrBlocks")), RANGES, 64))
        subnet.AssignIpv6AddressOnCreation = True
        subnet.DependsOn = ipv6.title
    return stack.add(subnet)


def _associate(stack: Stack, subnet: ec2.Subnet, routes: ec2.RouteTable) -> None:
    stack.add(
        ec2.SubnetRouteTableAssociation(f"{subnet.title}Routes", SubnetId=subnet.ref(), RouteTableId=routes.ref())
    )


def _nat(
    stack: Stack,
    network: NewVpc,
    vpc: ec2.VPC,
    public: Sequence[ec2.Subnet],
    route_tables: Sequence[ec2.RouteTable],
    to_internet: Sequence[ec2.Route],
) -> None:
    """A default route from each private route table to a NAT gateway: its own, the only one, or the regional one."""
    internet = [route.title for route in to_internet]
    if network.egress == "regional-nat":
        # It spans the zones of the VPC by itself and brings its own addresses.
        # https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html
        gateways = [
            stack.add(
                ec2.NatGateway(
                    "NatGateway",
                    AvailabilityMode="regional",
                    ConnectivityType="public",
                    VpcId=vpc.ref(),
                    DependsOn=internet,
                )
            )
        ]
    else:
        subnets = public if network.egress == "nat-per-zone" else public[:1]
        gateways = []
        for number, subnet in enumerate(subnets, 1):
            address = stack.add(ec2.EIP(f"NatAddress{number}", Domain="vpc", DependsOn=internet))
            gateways.append(
                stack.add(
                    ec2.NatGateway(
                        f"NatGateway{number}", SubnetId=subnet.ref(), AllocationId=address.get_att("AllocationId")
                    )
                )
            )
    for number, routes in enumerate(route_tables, 1):
        gateway = gateways[number - 1] if len(gateways) == len(route_tables) else gateways[0]
        stack.add(
            ec2.Route(
                f"PrivateDefaultRoute{number}",
                RouteTableId=routes.ref(),
                DestinationCidrBlock=ANYWHERE,
                NatGatewayId=gateway.ref(),
            )
        )


def _egress_only_gateway(stack: Stack, vpc: ec2.VPC, route_tables: Sequence[ec2.RouteTable]) -> None:
    gateway = stack.add(ec2.EgressOnlyInternetGateway("EgressOnlyGateway", VpcId=vpc.ref()))
    for number, routes in enumerate(route_tables, 1):
        stack.add(
            ec2.Route(
                f"PrivateDefaultRouteIpv6{number}",
                RouteTableId=routes.ref(),
                DestinationIpv6CidrBlock=ANYWHERE_IPV6,
                EgressOnlyInternetGatewayId=gateway.ref(),
            )
        )


def _interface_endpoints(stack: Stack, config: Config, vpc: ec2.VPC, subnets: Sequence[ec2.Subnet]) -> None:
    """The AWS services that nodes and tasks talk to, without a way to anything else.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html
    """
    group = stack.add(
        ec2.SecurityGroup(
            "EndpointsSecurityGroup",
            GroupDescription="HTTPS from the VPC to the interface endpoints.",
            VpcId=vpc.ref(),
            SecurityGroupIngress=[
                ec2.SecurityGroupRule(
                    Description="HTTPS from the VPC", IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp=_cidr(config)
                )
            ],
        )
    )
    services = {
        "Ecs": "ecs",
        "EcsAgent": "ecs-agent",
        "EcsTelemetry": "ecs-telemetry",
        "EcrApi": "ecr.api",
        "EcrImages": "ecr.dkr",
        "Logs": "logs",
        # Session Manager, ECS Exec, and secrets that are SSM parameters.
        "Ssm": "ssm",
        "SsmMessages": "ssmmessages",
        # A node signals here that it has registered.
        "CloudFormation": "cloudformation",
    }
    works: list[Work] = [*units(config), *jobs_of(config)]
    named = any(":secretsmanager:" in arn for work in works for arn in work.secrets.values())
    if named or any(isinstance(section, Postgres) for section in config.attachments.values()):
        services["SecretsManager"] = "secretsmanager"
    if not isinstance(config.encryption, AwsKeys) and any(unit.exec for unit in config.services.values()):
        # Sessions of ECS Exec are encrypted in the task.
        services["Kms"] = "kms"
    if _intend(config, "uses_key"):
        services["Kms"] = "kms"
    if with_queue(config) or _intend(config, "sends_to_queue"):
        services["Sqs"] = "sqs"
    if _intend(config, "publishes_to"):
        services["Sns"] = "sns"
    for title, service in services.items():
        stack.add(
            ec2.VPCEndpoint(
                f"{title}Endpoint",
                VpcId=vpc.ref(),
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                VpcEndpointType="Interface",
                PrivateDnsEnabled=True,
                SubnetIds=[subnet.ref() for subnet in subnets],
                SecurityGroupIds=[group.ref()],
            )
        )


def _intend(config: Config, intent: str) -> bool:
    works = (*config.services.values(), *config.jobs.values())
    return any(work.permissions is not None and getattr(work.permissions, intent) for work in works)


def _cidr(config: Config) -> str:
    assert isinstance(config.network, NewVpc)
    return config.network.cidr


def _flow_logs(stack: Stack, vpc: ec2.VPC, key: KeyArn | None) -> None:
    group = logs.LogGroup(
        "FlowLogs",
        RetentionInDays=FLOW_LOG_RETENTION_DAYS,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
    )
    stack.add(under_key(group, key))
    role = stack.add(
        iam.Role(
            "FlowLogsRole",
            AssumeRolePolicyDocument=assumed_by("vpc-flow-logs"),
            Policies=[iam.Policy(PolicyName="flow-logs", PolicyDocument=write_flow_logs(group.get_att("Arn")))],
        )
    )
    stack.add(
        ec2.FlowLog(
            "FlowLog",
            ResourceId=vpc.ref(),
            ResourceType="VPC",
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
            LogGroupName=group.ref(),
            DeliverLogsPermissionArn=role.get_att("Arn"),
        )
    )
