"""By type of resource: what is lost with one, be it data or a state that no template brings back; what users see."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: What is lost, and with which types, without `AWS::`. Not here are types of which a template says all that there is
#: (policies, roles, functions), and those that only lead to what others hold (proxies, attachments, access points).
_LOST = {
    "the rows, documents or keys in it": """
        Cassandra::Keyspace Cassandra::Table CloudFront::KeyValueStore Connect::DataTable Connect::DataTableRecord
        DSQL::Cluster DocDB::DBCluster DocDB::DBInstance DocDB::GlobalCluster DocDBElastic::Cluster
        DynamoDB::GlobalTable DynamoDB::Table FinSpace::Environment Lightsail::Database ManagedBlockchain::Member
        ManagedBlockchain::Node Neptune::DBCluster Neptune::DBInstance Neptune::GlobalCluster NeptuneGraph::Graph
        ODB::CloudAutonomousVmCluster ODB::CloudExadataInfrastructure ODB::CloudVmCluster QLDB::Ledger
        RDS::CustomDBEngineVersion RDS::DBCluster RDS::DBInstance RDS::DBShardGroup RDS::GlobalCluster
        Redshift::Cluster RedshiftServerless::Namespace SDB::Domain SageMaker::FeatureGroup Serverless::SimpleTable
        Timestream::Database Timestream::InfluxDBCluster Timestream::InfluxDBInstance Timestream::Table""",
    "what is cached in it, and what is kept nowhere else": """
        ElastiCache::CacheCluster ElastiCache::GlobalReplicationGroup ElastiCache::ReplicationGroup
        ElastiCache::ServerlessCache MemoryDB::Cluster MemoryDB::MultiRegionCluster""",
    "the documents and vectors that are indexed in it": """
        Bedrock::KnowledgeBase BedrockAgentCore::Memory Elasticsearch::Domain Kendra::Index
        OpenSearchServerless::Collection OpenSearchServerless::CollectionIndex OpenSearchServerless::Index
        OpenSearchService::Domain QBusiness::Application QBusiness::Index S3Vectors::Index S3Vectors::VectorBucket
        Wisdom::Content Wisdom::KnowledgeBase""",
    "the objects in it": """
        Lightsail::Bucket MediaPackage::Asset MediaStore::Container S3::Bucket S3Express::DirectoryBucket
        S3Outposts::Bucket S3Tables::Namespace S3Tables::Table S3Tables::TableBucket SecurityLake::DataLake""",
    "the files on it": """
        Cloud9::EnvironmentEC2 EC2::Instance EC2::Volume EFS::FileSystem EMR::Cluster EVS::Environment FSx::FileCache
        FSx::FileSystem FSx::StorageVirtualMachine FSx::Volume Lightsail::Disk Lightsail::Instance OpsWorks::Volume
        S3Files::FileSystem SageMaker::Domain SageMaker::NotebookInstance SageMaker::Space SageMaker::UserProfile
        StorageGateway::Tape StorageGateway::TapePool StorageGateway::Volume WorkSpaces::Workspace
        WorkspacesInstances::Volume WorkspacesInstances::WorkspaceInstance""",
    "the copies that are kept in it": """
        Backup::BackupVault Backup::LogicallyAirGappedBackupVault DocDBElastic::ClusterSnapshot DynamoDB::Backup
        ElastiCache::ServerlessCacheSnapshot ElastiCache::Snapshot Events::Archive FSx::Backup FSx::Snapshot
        Lightsail::DatabaseSnapshot Lightsail::DiskSnapshot Lightsail::InstanceSnapshot MemoryDB::Snapshot
        NeptuneGraph::GraphSnapshot RDS::ClusterSnapshot RDS::DBSnapshot Redshift::Snapshot
        RedshiftServerless::Snapshot Timestream::InfluxDBBackup""",
    "the messages and jobs that wait in it": """
        AmazonMQ::Broker Batch::JobQueue Chime::AppInstance Chime::Channel Deadline::Farm Deadline::Queue
        EMR::WALWorkspace Kinesis::Stream KinesisVideo::Stream MSK::Cluster MSK::ServerlessCluster MSK::Topic
        MediaConvert::Queue SQS::Queue""",
    "the images, packages or sources in it": """
        CodeArtifact::Domain CodeArtifact::Repository CodeCommit::Repository ECR::PublicRepository ECR::Repository
        ImageBuilder::Image""",
    "the key, and with it what was encrypted or signed by it": """
        ACMPCA::CertificateAuthority CloudHSM::Cluster EC2::KeyPair KMS::Key KMS::ReplicaKey PaymentCryptography::Key
        SecretsManager::Secret Transfer::HostKey""",
    "the users and groups in it, with their passwords": """
        Cognito::IdentityPool Cognito::UserPool Cognito::UserPoolReplica Cognito::UserPoolUser
        DirectoryService::MicrosoftAD DirectoryService::SimpleAD IdentityStore::Group IdentityStore::User
        Organizations::Account Organizations::Organization SSO::Instance Transfer::Server
        VerifiedPermissions::PolicyStore Wickr::Network""",
    "the logs, measurements and findings in it": """
        APS::Workspace AuditManager::Assessment CloudTrail::EventDataStore Detective::Graph GuardDuty::Detector
        Logs::LogGroup Logs::LogStream Macie::Session SSMIncidents::ReplicationSet SecurityHub::Hub SecurityHub::HubV2
        WellArchitected::Workload""",
    "what is collected in it": """
        BedrockAgentCore::Dataset Cases::Case Cases::Domain CleanRooms::Collaboration CleanRooms::IntermediateTable
        CleanRooms::Membership Connect::Instance CustomerProfiles::Domain DataExchange::DataSet DataZone::Domain
        DataZone::Project Forecast::Dataset Forecast::DatasetGroup FraudDetector::EventType HealthImaging::Datastore
        HealthLake::FHIRDatastore IoT::Thing IoTAnalytics::Channel IoTAnalytics::Dataset IoTAnalytics::Datastore
        IoTSiteWise::Asset IoTSiteWise::Dataset IoTTwinMaker::Entity IoTTwinMaker::Workspace
        Location::GeofenceCollection Location::Tracker Omics::AnnotationStore Omics::ReferenceStore
        Omics::SequenceStore Omics::VariantStore Personalize::Dataset Personalize::DatasetGroup Pinpoint::App
        Rekognition::Collection Rekognition::Dataset SCN::Dataset SCN::Instance SES::ContactList
        SES::MailManagerAddressList SES::MailManagerArchive SMSVOICE::OptOutList VoiceID::Domain""",
    "what was trained or recorded in it": """
        Comprehend::DocumentClassifier Comprehend::EntityRecognizer Comprehend::Flywheel LookoutVision::Project
        Personalize::Solution Rekognition::Project SageMaker::Experiment SageMaker::Hub SageMaker::MlflowApp
        SageMaker::MlflowTrackingServer SageMaker::ModelCard SageMaker::ModelPackage SageMaker::ModelPackageGroup
        SageMaker::TrialComponent Textract::Adapter""",
    "the tables and schemas that are listed in it": """
        EventSchemas::Registry Glue::Catalog Glue::Database Glue::Registry Glue::Schema Glue::Table""",
    "the state that it keeps": """
        DMS::ReplicationConfig DMS::ReplicationTask EKS::Cluster ElasticBeanstalk::Environment Grafana::Workspace
        MWAA::Environment""",
    "all that is in its stacks": """
        CloudFormation::StackSet ServiceCatalog::CloudFormationProvisionedProduct""",
    "the number, which is given back": """
        Connect::PhoneNumber SMSVOICE::PhoneNumber""",
}

HELD: Final[Mapping[str, str]] = MappingProxyType(
    {f"AWS::{name}": lost for lost, names in _LOST.items() for name in names.split()}
)
"""Type to what is lost with a resource of it."""


def is_stateful(kind: str) -> bool:
    return kind in HELD


def held_by(kind: str) -> str:
    """What is lost with a resource, in words; a type that is not here may still be marked as holding data."""
    return HELD.get(kind, "what it holds")


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
