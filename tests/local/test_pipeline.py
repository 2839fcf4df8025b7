"""Sets with a pipeline live on the emulator, and its script deploys there with the real AWS command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import scaleout_cfn as sc
from scaleout_cfn.config import GitHubPipeline, NoPipeline, RegistryPipeline, SourcePipeline
from scaleout_cfn.stacks.pipeline import script

from . import helpers
from .conftest import Faults
from .helpers import Account
from .test_service_set import running_image

AWS = shutil.which("aws", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
MACHINE_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
FLOATING = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web"
DIGESTS = [f"sha256:{digit * 64}" for digit in "123"]

CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/0a1b2c3d-0000-4000-8000-0123456789ab"
KINDS: dict[str, SourcePipeline | RegistryPipeline | GitHubPipeline] = {
    "source": SourcePipeline(connection_arn=CONNECTION, repository="shop/web"),
    "registry": RegistryPipeline(approval=True),
    "github": GitHubPipeline(repository="shop/web"),
}


def config(pipeline: SourcePipeline | RegistryPipeline | GitHubPipeline | NoPipeline) -> sc.Config:
    return sc.Config(
        registry=sc.Registry(empty_on_delete=True, mutable_tags=("latest",)),
        capacity={"nodes": sc.Ec2Capacity(machine_image=MACHINE_IMAGE)},
        services={"web": sc.WebService(pipeline=pipeline)},
    )


def created(account: Account, config: sc.Config) -> dict[str, str]:
    """Create the set, and return the parameters that it was given."""
    url = helpers.upload(account, sc.render(sc.compose(config)))
    # The emulator knows no version of the machine image.
    values = {"TemplatesUrl": url, "NodesMachineImage": FLOATING}
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    return values


def deploy(account: Account, digest: str) -> subprocess.CompletedProcess[str]:
    """Run the script as CodeBuild and GitHub Actions do."""
    assert AWS is not None
    environment = {
        "PATH": os.pathsep.join((str(Path(AWS).parent), os.environ["PATH"])),
        "HOME": "/nonexistent",
        "STACK": "web",
        "PARAMETER": "WebImageUri",
        "REPOSITORY_URI": REPOSITORY,
        "IMAGE_DIGEST": digest,
        **account.environment(),
    }
    # The emulator takes milliseconds for what the script waits ten seconds for.
    return subprocess.run(
        ["bash", "-c", "sleep() { :; }\n" + script("pipeline_deploy.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_with_a_pipeline_is_made_before_there_is_an_image_changed_and_deleted(
    kind: str, account: Account
) -> None:
    values = created(account, config(KINDS[kind]))
    stack = helpers.described(account, "web")
    made = helpers.children(account, stack["StackId"])
    assert "WebPipeline" in made and "WebService" not in made
    outputs = helpers.outputs(stack)
    if kind == "github":
        assert outputs["WebGithubBuildRole"] != outputs["WebGithubDeployRole"]
        assert "WebPipelineName" not in outputs
    else:
        assert outputs["WebPipelineName"]
        assert "WebGithubBuildRole" not in outputs

    pipeline = msgspec.structs.replace(KINDS[kind], approval=not KINDS[kind].approval)
    changed = sc.render(sc.compose(config(pipeline)))
    for name, text in changed.items():
        account.client("s3").put_object(Bucket=account.bucket, Key=f"v2/{name}", Body=text)
    values["TemplatesUrl"] += "/v2"
    stack = helpers.deploy(account, "web", f"{values['TemplatesUrl']}/root.yaml", values)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)

    # Away with it again, and nothing else is touched.
    for name, text in sc.render(sc.compose(config(NoPipeline()))).items():
        account.client("s3").put_object(Bucket=account.bucket, Key=f"v3/{name}", Body=text)
    values["TemplatesUrl"] = values["TemplatesUrl"].replace("/v2", "/v3")
    stack = helpers.deploy(account, "web", f"{values['TemplatesUrl']}/root.yaml", values)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)
    assert "WebPipeline" not in helpers.children(account, stack["StackId"])

    assert helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    kept = helpers.leftovers(account)
    assert len(kept) == (0 if kind == "github" else 1)
    assert all(name.startswith("bucket: ") for name in kept)


@pytest.mark.skipif(AWS is None, reason="the AWS command line is not installed")
def test_the_script_brings_the_first_image_and_the_next_and_changes_nothing_else(account: Account) -> None:
    created(account, config(KINDS["source"]))
    before = parameters(account)
    for digest in DIGESTS[:2]:
        done = deploy(account, digest)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{REPOSITORY}@{digest} is deployed" in done.stdout
        assert "TaskDefinition" in done.stdout  # what would change was shown, nested stacks included
        assert running_image(account) == f"{REPOSITORY}@{digest}"
        assert parameters(account) == {**before, "WebImageUri": f"{REPOSITORY}@{digest}"}
        assert "RoleARN" not in helpers.described(account, "web")
    again = deploy(account, DIGESTS[1])
    assert again.returncode == 0
    assert "deployed already" in again.stdout


@pytest.mark.skipif(AWS is None, reason="the AWS command line is not installed")
def test_the_script_fails_when_the_stack_rolls_back(faulty: Account, faults: Faults) -> None:
    created(faulty, config(KINDS["source"]))
    assert deploy(faulty, DIGESTS[0]).returncode == 0
    faults({"resource": "TaskDefinition", "operation": "update", "stack": "web-WebService", "times": 1})
    done = deploy(faulty, DIGESTS[1])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "is not deployed: stack web is in state UPDATE_ROLLBACK_COMPLETE" in done.stderr
    assert "scaleout-cfn diagnose --stack web" in done.stderr
    assert running_image(faulty) == f"{REPOSITORY}@{DIGESTS[0]}"


def parameters(account: Account) -> dict[str, str]:
    return {one["ParameterKey"]: one["ParameterValue"] for one in helpers.described(account, "web")["Parameters"]}
