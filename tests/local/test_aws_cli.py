"""The AWS command line carries a set of local files to the emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn as sc

from . import helpers, sets
from .helpers import Account
from .test_rendered_sets import SETS, three

AWS = shutil.which("aws", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
WEB, API = (f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}:1" for name in ("web", "api"))
pytestmark = pytest.mark.skipif(AWS is None, reason="the AWS command line is not installed")


def aws(account: Account, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert AWS is not None
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **account.environment()}
    command = [AWS, "cloudformation", *arguments]
    while True:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        # It names change sets by the second, and the emulator takes less than that for each.
        if "already exists" not in done.stderr:
            return done


def local_set(folder: Path) -> Path:
    """Write the pair with local paths as template URLs, as `package` wants it. Returns the root's file."""
    files: dict[str, Any] = dict(sets.pair())
    for name in ("First", "Second"):
        files["root.json"]["Resources"][name]["Properties"]["TemplateURL"] = "child.json"
    for name, template in files.items():
        (folder / name).write_text(json.dumps(template))
    return folder / "root.json"


def test_package_and_deploy_create_change_and_find_nothing_to_change(account: Account, tmp_path: Path) -> None:
    root, packaged = local_set(tmp_path), tmp_path / "packaged.json"
    helpers.upload(account, {})
    files = ("--template-file", str(root), "--output-template-file", str(packaged), "--s3-bucket", account.bucket)
    done = aws(account, "package", *files, "--use-json")
    assert done.returncode == 0, done.stderr
    url = json.loads(packaged.read_text())["Resources"]["First"]["Properties"]["TemplateURL"]
    assert account.bucket in url

    def deploy(word: str, *more: str) -> subprocess.CompletedProcess[str]:
        values = ("--parameter-overrides", f"Word={word}", "Url=unused")
        return aws(
            account,
            *("deploy", "--stack-name", "demo", "--template-file", str(packaged), "--capabilities", "CAPABILITY_IAM"),
            *values,
            *more,
        )

    # The command's own waiter looks once and then every 30 s, so the change set is executed here.
    for word in ("one", "two"):
        done = deploy(word, "--no-execute-changeset")
        assert done.returncode == 0, done.stderr
        cfn = account.client("cloudformation")
        made = [s for s in cfn.list_change_sets(StackName="demo")["Summaries"] if s["ExecutionStatus"] == "AVAILABLE"]
        stack = helpers.execute(account, cfn.describe_change_set(ChangeSetName=made[0]["ChangeSetId"]))
        assert helpers.outputs(stack)["Second"].startswith(f"{word} ")
    done = deploy("two", "--no-fail-on-empty-changeset")
    assert done.returncode == 0
    assert "No changes to deploy. Stack demo is up to date" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("config", "images", "services"),
    [
        (SETS["default"], {"WebImageUri": WEB}, [WEB]),
        (three("ec2"), {"WebImageUri": WEB, "ApiImageUri": API}, [API, WEB, WEB]),
    ],
    ids=["default", "three services"],
)
def test_the_rendered_set_is_deployed_by_the_command_line(
    config: sc.Config, images: dict[str, str], services: list[str], account: Account, tmp_path: Path
) -> None:
    sc.write(tmp_path, sc.render(sc.compose(config), url=sc.local_url))
    helpers.upload(account, {})
    packaged = tmp_path / "packaged.template"
    files = ("--template-file", str(tmp_path / "root.yaml"), "--output-template-file", str(packaged))
    done = aws(account, "package", *files, "--s3-bucket", account.bucket)
    assert done.returncode == 0, done.stderr
    given = tuple(f"{parameter}={image}" for parameter, image in images.items())
    for values, running in (((), []), (("--parameter-overrides", *given), services)):
        done = aws(
            account,
            *("deploy", "--stack-name", "web", "--template-file", str(packaged), "--capabilities", "CAPABILITY_IAM"),
            *("--no-execute-changeset", *values),
        )
        assert done.returncode == 0, done.stderr
        cfn = account.client("cloudformation")
        made = [s for s in cfn.list_change_sets(StackName="web")["Summaries"] if s["ExecutionStatus"] == "AVAILABLE"]
        stack = helpers.execute(account, cfn.describe_change_set(ChangeSetName=made[0]["ChangeSetId"]))
        assert stack["StackStatus"].endswith("_COMPLETE") and "ROLLBACK" not in stack["StackStatus"]
        assert running_images(account, helpers.outputs(stack)["ClusterName"]) == running
    helpers.delete(account, stack["StackId"])
    assert helpers.leftovers(account) == []


def running_images(account: Account, cluster: str) -> list[str]:
    """The image of each service of a cluster, sorted."""
    ecs = account.client("ecs")
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    services = ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
    definitions = [ecs.describe_task_definition(taskDefinition=each["taskDefinition"]) for each in services]
    return sorted(each["taskDefinition"]["containerDefinitions"][0]["image"] for each in definitions)
