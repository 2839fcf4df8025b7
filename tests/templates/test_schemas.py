"""What the resource schemas say: what replaces a resource, what its tags are, and what stays while it stays."""

from __future__ import annotations

import pytest

from scaleout_cfn.templates.schemas import has_attribute, is_identity, is_known, is_tag, recreation

TABLE, SERVICE, BUCKET = "AWS::DynamoDB::Table", "AWS::ECS::Service", "AWS::S3::Bucket"
TASKS = "AWS::ECS::TaskDefinition"


@pytest.mark.parametrize(
    ("kind", "path", "word"),
    [
        (TABLE, ("TableName",), "Always"),
        (TABLE, ("KeySchema",), "Conditionally"),
        (TABLE, ("KeySchema", "0", "AttributeName"), "Conditionally"),
        (TABLE, ("BillingMode",), "Never"),
        (TABLE, (), "Never"),
        (SERVICE, ("ServiceName",), "Always"),
        (SERVICE, ("DesiredCount",), "Never"),
        (TASKS, ("ContainerDefinitions", "0", "Image"), "Always"),
        # What holds one that is create-only, and what only begins as one does.
        ("AWS::RDS::DBInstance", ("DBName",), "Always"),
        ("AWS::RDS::DBInstance", ("DBNam",), "Never"),
        ("Custom::Thing", ("Any",), "Conditionally"),
        ("AWS::CloudFormation::CustomResource", ("Any",), "Conditionally"),
        ("AWS::Not::Known", ("Any",), "Conditionally"),
    ],
)
def test_a_property_replaces_a_resource_as_the_lists_of_its_schema_say(
    kind: str, path: tuple[str, ...], word: str
) -> None:
    assert recreation(kind, path) == word


@pytest.mark.parametrize(
    ("kind", "path", "tag"),
    [
        (BUCKET, ("Tags", "0", "Value"), True),
        (BUCKET, ("BucketName",), False),
        ("AWS::CloudFormation::WaitConditionHandle", ("Tags",), False),
        ("AWS::Not::Known", ("Tags",), False),
    ],
)
def test_tags_are_where_the_schema_says(kind: str, path: tuple[str, ...], tag: bool) -> None:
    assert is_tag(kind, path) is tag


@pytest.mark.parametrize(
    ("kind", "known"),
    [(TABLE, True), ("AWS::Not::Known", False), ("Custom::Thing", False)],
)
def test_a_type_is_known_where_it_has_a_schema(kind: str, known: bool) -> None:
    assert is_known(kind) is known


@pytest.mark.parametrize(
    ("kind", "name", "there"),
    [
        (TABLE, "Arn", True),
        (TABLE, "TableName", False),
        (TABLE, "Nothing", False),
        ("AWS::RDS::DBInstance", "Endpoint.Address", True),
        ("AWS::Not::Known", "Arn", False),
    ],
)
def test_an_attribute_is_what_only_aws_sets(kind: str, name: str, there: bool) -> None:
    assert has_attribute(kind, name) is there


@pytest.mark.parametrize(
    ("kind", "name", "stays"),
    [
        (TABLE, "TableName", True),  # its primary identifier
        (TABLE, "Arn", True),
        (SERVICE, "Name", True),
        (SERVICE, "ServiceName", True),  # create-only
        (SERVICE, "DesiredCount", False),
        (TABLE, "StreamArn", False),
        ("AWS::StepFunctions::StateMachine", "StateMachineRevisionId", False),
        ("AWS::RDS::DBInstance", "MasterUserSecret.SecretArn", False),
        ("AWS::EC2::Instance", "PublicDnsName", False),
        ("AWS::IAM::Role", "RoleId", True),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerFullName", True),
        ("AWS::RDS::DBInstance", "Endpoint.Address", False),
        ("AWS::Not::Known", "Arn", False),
    ],
)
def test_a_name_an_arn_or_an_id_is_another_only_when_the_resource_is(kind: str, name: str, stays: bool) -> None:
    assert is_identity(kind, name) is stays
