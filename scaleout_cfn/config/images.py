"""Which images a task may have: what there is a way to, and what its role lets it pull."""

from __future__ import annotations

from scaleout_cfn.config import Config, NewVpc
from scaleout_cfn.config.units import Unit
from scaleout_cfn.grammars import arn_of, ecr_repository


def unreachable(
    config: Config, image: str, region: str, cure: str = "push it to the service's repository by `image push`"
) -> str:
    """Why no task of a set in this region, empty where it is not known, has a way to the registry of an image.

    An interface endpoint for ECR leads to that of its own region:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    if not isinstance(config.network, NewVpc) or config.network.egress != "endpoints":
        return ""
    repository = arn_of(ecr_repository(image))
    if repository and (not region or repository.region == region):
        return ""
    where = f"to ECR in {repository.region}" if repository else "to a registry other than ECR"
    return (
        f'got {image}, where network.egress = "endpoints" leaves tasks no way {where}; {cure}, or choose another'
        ' egress, as "single-nat"'
    )


def may_pull(unit: Unit, image: str) -> bool:
    """Whether a service's tasks may pull an image: its own, one that pull_from lets in, or one that is not in ECR."""
    repository = ecr_repository(image)
    given = [*unit.settings.pull_from, ecr_repository(unit.settings.image_uri)]
    return not repository or any(
        repository.startswith(arn[:-1]) if arn.endswith("*") else repository == arn for arn in given
    )
