"""The registry: one ECR repository for the image of the service."""

from __future__ import annotations

import json

from msgspec import Struct
from troposphere import ecr

from scaleout_cfn.config import Config, RegistryPipeline
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import RepositoryArn, RepositoryName, Text


class Outputs(Struct, frozen=True):
    repository_uri: Text
    repository_arn: RepositoryArn
    #: For a pipeline that starts at a push, and nobody else.
    repository_name: RepositoryName | None


def build(stack: Stack, config: Config) -> Outputs:
    registry = config.registry
    repository = ecr.Repository(
        "Repository",
        ImageTagMutability="IMMUTABLE_WITH_EXCLUSION" if registry.mutable_tags else "IMMUTABLE",
        EncryptionConfiguration=ecr.EncryptionConfiguration(EncryptionType=registry.encryption),
        LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=_keep(registry.keep_images)),
        EmptyOnDelete=registry.empty_on_delete,
        # Images are what a rollback needs. A repository that a failed first deployment made holds none.
        DeletionPolicy="Delete" if registry.empty_on_delete else "RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
    )
    if registry.mutable_tags:
        repository.ImageTagMutabilityExclusionFilters = [
            ecr.ImageTagMutabilityExclusionFilter(
                ImageTagMutabilityExclusionFilterType="WILDCARD", ImageTagMutabilityExclusionFilterValue=tag
            )
            for tag in registry.mutable_tags
        ]
    stack.add(repository)
    watched = isinstance(config.pipeline, RegistryPipeline)
    return Outputs(
        Text(repository.get_att("RepositoryUri")),
        RepositoryArn(repository.get_att("Arn")),
        RepositoryName(repository.ref()) if watched else None,
    )


def _keep(images: int) -> str:
    """By count of tagged images, never by age: the image that runs may be old.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
    """
    rule = {
        "rulePriority": 1,
        "description": f"Keep the newest {images} tagged images",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["*"],
            "countType": "imageCountMoreThan",
            "countNumber": images,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]}, indent=1)
