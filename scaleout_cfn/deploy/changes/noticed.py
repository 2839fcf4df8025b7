"""What users see of a resource that is replaced or removed, the worst first; nothing is lost with most of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Of a replacement CloudFormation makes the successor first and deletes the old one when all is updated:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
_SENTENCES = {
    "the address that clients know answers no more, until DNS leads them to another one": """
        ElasticLoadBalancingV2::LoadBalancer ElasticLoadBalancing::LoadBalancer CloudFront::Distribution
        ApiGatewayV2::Api ApiGateway::RestApi""",
    "connections to its port are refused until another listener answers there": "ElasticLoadBalancingV2::Listener",
    "requests get 503 until tasks are healthy in another target group": "ElasticLoadBalancingV2::TargetGroup",
    "requests to its hosts and paths get what other rules answer until its successor stands": """
        ElasticLoadBalancingV2::ListenerRule""",
    "its services and tasks stop, and start anew in another cluster": "ECS::Cluster EKS::Cluster",
    "all its tasks stop; requests fail unless others are healthy by then": "ECS::Service ECS::TaskSet",
    "the service goes on with an empty database at another address, or with none": """
        RDS::DBInstance RDS::DBCluster RDS::GlobalCluster DocDB::DBCluster Neptune::DBCluster DSQL::Cluster
        DynamoDB::Table DynamoDB::GlobalTable""",
    "its names resolve no more until the domain points to other name servers": "Route53::HostedZone",
    "the name resolves no more, or leads elsewhere, once caches have forgotten it": """
        Route53::RecordSet Route53::RecordSetGroup""",
    "nobody can sign in: its users and their passwords are gone": "Cognito::UserPool",
    "what is cached or kept in it is gone: sessions end, and its address is another one": """
        ElastiCache::ReplicationGroup ElastiCache::CacheCluster ElastiCache::ServerlessCache MemoryDB::Cluster""",
    "the files are gone for its tasks, which mount an empty file system, or none": "EFS::FileSystem FSx::FileSystem",
    "its objects are not found where they were": "S3::Bucket",
    "messages that wait are lost, and senders fail until they know another queue": "SQS::Queue",
    "what was encrypted under it can no longer be read once it is gone": "KMS::Key",
    "tasks that start find another secret, or none and fail": "SecretsManager::Secret",
    "connections that it lets through are refused until all that uses it has another group": "EC2::SecurityGroup",
    "all that is in it is made anew, with other addresses": "EC2::VPC EC2::Subnet",
    "what goes out by it comes from another address, which others may not let in": "EC2::EIP EC2::NatGateway",
    "services do not find each other by name until all are registered anew": """
        ServiceDiscovery::HttpNamespace ServiceDiscovery::PrivateDnsNamespace ServiceDiscovery::Service""",
    "its nodes go, and the tasks on them start anew on others": "AutoScaling::AutoScalingGroup",
    "tasks that it would place wait until another provider places them": "ECS::CapacityProvider",
    "no task can start until its image is in another repository": "ECR::Repository",
    "what was logged so far is gone, and running tasks log nothing until they have another group": "Logs::LogGroup",
    "nobody is told of anything until subscriptions to another topic are confirmed": "SNS::Topic",
    "requests are let through unfiltered until another one is attached": "WAFv2::WebACL",
}

NOTICED: Final[Mapping[str, str]] = MappingProxyType(
    {f"AWS::{name}": sentence for sentence, names in _SENTENCES.items() for name in names.split()}
)
"""Type to what users see."""
