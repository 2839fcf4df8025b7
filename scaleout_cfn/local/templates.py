"""What a template may refer to: template URLs of every S3 form, and the ECS images' public parameters."""

from __future__ import annotations

import re
from typing import Any, Final

from ministack.services import ssm
from ministack.services.cloudformation import helpers

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
