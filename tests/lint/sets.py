"""A small set without a mistake, and the means to put one in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaleout_cfn.templates.reading import load

Set = dict[str, dict[str, Any]]

TEXTS = {
    "root.yaml": """\
Description: The root of a small set.
Parameters:
  TemplatesUrl:
    Type: String
    Default: https://bucket.s3.amazonaws.com/templates
  ImageUri:
    Type: String
    Default: ''
  MinTasks: {Type: Number, Default: 2}
  MaxTasks: {Type: Number, Default: 10}
Conditions:
  HasImage: !Not [!Equals [!Ref ImageUri, '']]
Resources:
  Network:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub ${TemplatesUrl}/network.yaml
      Parameters:
        Cidr: 10.0.0.0/16
  Balancer:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub ${TemplatesUrl}/balancer.yaml
      Parameters:
        VpcId: !GetAtt Network.Outputs.VpcId
        Subnets: !GetAtt Network.Outputs.Subnets
        TargetType: ip
  Cluster:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub ${TemplatesUrl}/cluster.yaml
      Parameters:
        Subnets: !Join [',', [!GetAtt Network.Outputs.SubnetOne, !GetAtt Network.Outputs.SubnetTwo]]
        MinNodes: 1
        MaxNodes: '4'
  Service:
    Type: AWS::CloudFormation::Stack
    Condition: HasImage
    Properties:
      TemplateURL: !Sub ${TemplatesUrl}/service.yaml
      Parameters:
        ImageUri: !Ref ImageUri
        VpcId: !GetAtt Network.Outputs.VpcId
        Subnets: !GetAtt Network.Outputs.Subnets
        Cluster: !GetAtt Cluster.Outputs.Cluster
        TargetGroup: !GetAtt Balancer.Outputs.TargetGroup
        Listener: !GetAtt Balancer.Outputs.Listener
        LabelOfRequests: !GetAtt Balancer.Outputs.LabelOfRequests
        BalancerGroup: !GetAtt Balancer.Outputs.Group
        Port: 8080
        MinTasks: !Ref MinTasks
        MaxTasks: !Ref MaxTasks
Outputs:
  Url:
    Value: !Sub http://${Balancer.Outputs.DnsName}/
""",
    "network.yaml": """\
Parameters:
  Cidr:
    Type: String
    AllowedPattern: \\d+\\.\\d+\\.\\d+\\.\\d+/\\d+
    MaxLength: 18
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: !Ref Cidr
  One:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      AvailabilityZone: !Select [0, !GetAZs '']
      CidrBlock: !Select [0, !Cidr [!GetAtt Vpc.CidrBlock, 2, 8]]
  Two:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      AvailabilityZone: !Select [1, !GetAZs '']
      CidrBlock: !Select [1, !Cidr [!GetAtt Vpc.CidrBlock, 2, 8]]
Outputs:
  VpcId:
    Value: !Ref Vpc
  Subnets:
    Value: !Join [',', [!Ref One, !Ref Two]]
  SubnetOne:
    Value: !Ref One
  SubnetTwo:
    Value: !GetAtt Two.SubnetId
""",
    "balancer.yaml": """\
Parameters:
  VpcId: {Type: 'AWS::EC2::VPC::Id'}
  Subnets: {Type: 'List<AWS::EC2::Subnet::Id>'}
  TargetType:
    Type: String
    AllowedValues: [instance, ip]
  CertificateArn:
    Type: String
    Default: arn:aws-cn:acm:cn-north-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab
Resources:
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: Clients.
      VpcId: !Ref VpcId
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}
  Balancer:
    Type: AWS::ElasticLoadBalancingV2::LoadBalancer
    Properties:
      Subnets: !Ref Subnets
      SecurityGroups: [!GetAtt Group.GroupId]
      LoadBalancerAttributes:
        - {Key: routing.http2.enabled, Value: 'true'}
  Targets:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties:
      VpcId: !Ref VpcId
      Port: 80
      Protocol: HTTP
      TargetType: !Ref TargetType
      HealthCheckIntervalSeconds: 10
      HealthCheckTimeoutSeconds: 5
      HealthCheckPort: traffic-port
      TargetGroupAttributes:
        - {Key: deregistration_delay.timeout_seconds, Value: '30'}
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Balancer
      Port: 443
      Protocol: HTTPS
      SslPolicy: ELBSecurityPolicy-TLS13-1-2-2021-06
      Certificates:
        - CertificateArn: !Ref CertificateArn
      DefaultActions:
        - Type: forward
          TargetGroupArn: !Ref Targets
Outputs:
  TargetGroup:
    Value: !Ref Targets
  Listener:
    Value: !Ref Listener
  DnsName:
    Value: !GetAtt Balancer.DNSName
  Group:
    Value: !GetAtt Group.GroupId
  LabelOfRequests:
    Value: !Sub ${Balancer.LoadBalancerFullName}/${Targets.TargetGroupFullName}
""",
    "cluster.yaml": """\
Parameters:
  Subnets: {Type: 'List<AWS::EC2::Subnet::Id>'}
  MinNodes: {Type: Number, MinValue: 0}
  MaxNodes: {Type: Number, MaxValue: 100}
  Image:
    Type: AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>
    Default: /aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id
Resources:
  Cluster:
    Type: AWS::ECS::Cluster
  Template:
    Type: AWS::EC2::LaunchTemplate
    Properties:
      LaunchTemplateData:
        ImageId: !Ref Image
        InstanceType: m7i.large
        IamInstanceProfile: {Name: ecsInstanceRole}
  Nodes:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      VPCZoneIdentifier: !Ref Subnets
      MinSize: !Ref MinNodes
      MaxSize: !Ref MaxNodes
      LaunchTemplate:
        LaunchTemplateId: !Ref Template
        Version: !GetAtt Template.LatestVersionNumber
  Provider:
    Type: AWS::ECS::CapacityProvider
    Properties:
      AutoScalingGroupProvider:
        AutoScalingGroupArn: !Ref Nodes
        ManagedScaling: {Status: ENABLED, MinimumScalingStepSize: 1, MaximumScalingStepSize: 10}
        ManagedTerminationProtection: DISABLED
Outputs:
  Cluster:
    Value: !Ref Cluster
""",
    "service.yaml": """\
Parameters:
  ImageUri: {Type: String, MinLength: 1}
  VpcId: {Type: 'AWS::EC2::VPC::Id'}
  Subnets: {Type: 'List<AWS::EC2::Subnet::Id>'}
  Cluster: {Type: String}
  TargetGroup: {Type: String}
  Listener: {Type: String}
  LabelOfRequests: {Type: String}
  BalancerGroup: {Type: 'AWS::EC2::SecurityGroup::Id'}
  Port: {Type: Number}
  MinTasks: {Type: Number}
  MaxTasks: {Type: Number}
Resources:
  Tasks:
    Type: AWS::ECS::TaskDefinition
    Properties:
      NetworkMode: awsvpc
      ContainerDefinitions:
        - Name: web
          Image: !Ref ImageUri
          Memory: 256
          Environment:
            - {Name: LISTENER, Value: !Ref Listener}
          PortMappings:
            - {ContainerPort: !Ref Port}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: The balancer alone.
      VpcId: !Ref VpcId
  Ingress:
    Type: AWS::EC2::SecurityGroupIngress
    Properties:
      GroupId: !GetAtt Group.GroupId
      IpProtocol: tcp
      FromPort: !Ref Port
      ToPort: !Ref Port
      SourceSecurityGroupId: !Ref BalancerGroup
  Service:
    Type: AWS::ECS::Service
    Properties:
      Cluster: !Ref Cluster
      TaskDefinition: !Ref Tasks
      AvailabilityZoneRebalancing: ENABLED
      DeploymentConfiguration: {MinimumHealthyPercent: 100, MaximumPercent: 200}
      PlacementStrategies:
        - {Type: spread, Field: 'attribute:ecs.availability-zone'}
        - {Type: binpack, Field: memory}
      NetworkConfiguration:
        AwsvpcConfiguration:
          Subnets: !Ref Subnets
          SecurityGroups: [!GetAtt Group.GroupId]
      LoadBalancers:
        - ContainerName: web
          ContainerPort: !Ref Port
          TargetGroupArn: !Ref TargetGroup
  Scaling:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    Properties:
      ServiceNamespace: ecs
      ScalableDimension: ecs:service:DesiredCount
      ResourceId: !Sub service/${Cluster}/${Service.Name}
      MinCapacity: !Ref MinTasks
      MaxCapacity: !Ref MaxTasks
  Requests:
    Type: AWS::ApplicationAutoScaling::ScalingPolicy
    Properties:
      PolicyName: requests
      PolicyType: TargetTrackingScaling
      ScalingTargetId: !Ref Scaling
      TargetTrackingScalingPolicyConfiguration:
        TargetValue: 1000
        PredefinedMetricSpecification:
          PredefinedMetricType: ALBRequestCountPerTarget
          ResourceLabel: !Ref LabelOfRequests
  Dashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties:
      DashboardBody: !Sub |
        {"widgets": [{"type": "text", "width": ${Port}, "properties": {"markdown": "${Service.Name} ${!kept}"}}]}
""",
}


def good() -> Set:
    """The set, parsed anew."""
    return {name: load(text, name).body for name, text in TEXTS.items()}


def beside(first: Set, second: Set) -> Set:
    """Two sets as one, in folders a and b."""
    return {f"{folder}/{name}": body for folder, each in (("a", first), ("b", second)) for name, body in each.items()}


def properties(templates: Set, file: str, logical_id: str) -> dict[str, Any]:
    """The properties of one resource, to be changed in place."""
    found: dict[str, Any] = templates[f"{file}.yaml"]["Resources"][logical_id]["Properties"]
    return found


def passed(templates: Set, nested: str) -> dict[str, Any]:
    """What the root passes one nested stack, to be changed in place."""
    found: dict[str, Any] = properties(templates, "root", nested)["Parameters"]
    return found


def write(folder: Path, change: Callable[[str, str], str] = lambda name, text: text) -> None:
    """The set as files, each text changed first."""
    for name, text in TEXTS.items():
        (folder / name).write_text(change(name, text), encoding="utf-8")
