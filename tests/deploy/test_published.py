"""What `publish` uploads is a set like any other: from the URL printed the AWS command line carries it, and sceptre."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from scaleout_cfn.local import Emulator, running

from .test_local import IMAGE, Shell

AWS = shutil.which("aws", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
#: Its dependencies are older than ours, so tox installs it beside: see tox.ini.
SCEPTRE = shutil.which(os.environ.get("SCEPTRE", "sceptre"))
MOST_POLLS = 5000  # each is a request of some milliseconds: a bound against hanging, not a timeout


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as found:
        yield found


def publish(emulator: Emulator, home: Path) -> str:
    """Run `publish` as a user does. Returns the root's URL."""
    (home / "scaleout-cfn").mkdir()
    (home / "scaleout-cfn" / "local.json").write_text(f'{{"endpoint_url": "{emulator.endpoint_url}"}}')
    done = Shell(home).run("publish", "--local", "--json")
    assert done.code == 0, done.err
    return str(done.lines[-1]["outputs"]["TemplateUrl"])


def aws(emulator: Emulator, *arguments: str) -> None:
    assert AWS is not None
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **emulator.environment()}
    command = [AWS, "cloudformation", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def until(done: Callable[[dict[str, Any]], bool], read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read until it is done. The command line's own waiters look once and then every 30 s."""
    for _ in range(MOST_POLLS):
        if done(found := read()):
            return found
    raise AssertionError(f"it never was: {found}")


@pytest.mark.skipif(AWS is None, reason="the AWS command line is not installed")
def test_the_aws_command_line_creates_and_updates_the_published_set(emulator: Emulator, tmp_path: Path) -> None:
    url = publish(emulator, tmp_path)
    name = ("--stack-name", "web", "--change-set-name")
    client = boto3.client(
        "cloudformation",
        endpoint_url=emulator.endpoint_url,
        region_name=emulator.region,
        aws_access_key_id=emulator.account_id,
        aws_secret_access_key="local",
    )
    for number, (kind, image, end) in enumerate(
        (("CREATE", "", "CREATE_COMPLETE"), ("UPDATE", f"{IMAGE}:1", "UPDATE_COMPLETE"))
    ):
        aws(
            emulator,
            *("create-change-set", *name, f"set-{number}", "--change-set-type", kind, "--template-url", url),
            *("--include-nested-stacks", "--capabilities", "CAPABILITY_IAM"),
            *("--parameters", f"ParameterKey=WebImageUri,ParameterValue={image}"),
        )
        made = until(
            lambda found: found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"),
            partial(client.describe_change_set, StackName="web", ChangeSetName=f"set-{number}"),
        )
        assert made["Status"] == "CREATE_COMPLETE", made.get("StatusReason")
        aws(emulator, "execute-change-set", *name, f"set-{number}")
        executed = until(
            lambda found: found["ExecutionStatus"] in ("EXECUTE_COMPLETE", "EXECUTE_FAILED"),
            partial(client.describe_change_set, StackName="web", ChangeSetName=made["ChangeSetId"]),
        )
        assert executed["ExecutionStatus"] == "EXECUTE_COMPLETE"
        stack = client.describe_stacks(StackName="web")["Stacks"][0]
        assert stack["StackStatus"] == end
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert outputs["WebUrl"].startswith("http://")


@pytest.mark.skipif(SCEPTRE is None, reason="sceptre is not on PATH; tox installs it")
def test_sceptre_creates_updates_and_deletes_the_published_set(emulator: Emulator, tmp_path: Path) -> None:
    url = publish(emulator, tmp_path)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.yaml").write_text(f"project_code: published\nregion: {emulator.region}\n")

    def sceptre(verb: str, image: str, *, yes: bool = True) -> str:
        template = f"template: {{type: http, url: '{url}'}}\n"
        (folder / "sceptred.yaml").write_text(
            f"{template}stack_name: sceptred\nparameters: {{WebImageUri: '{image}'}}\n"
        )
        assert SCEPTRE is not None
        done = subprocess.run(
            [SCEPTRE, verb, *(["-y"] if yes else []), "sceptred.yaml"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **emulator.environment()},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "sceptred AWS::CloudFormation::Stack CREATE_COMPLETE" in sceptre("launch", "")
    assert "sceptred AWS::CloudFormation::Stack UPDATE_COMPLETE" in sceptre("launch", f"{IMAGE}:1")
    assert '"sceptred": "UPDATE_COMPLETE"' in sceptre("status", f"{IMAGE}:1", yes=False)
    assert "delete complete" in sceptre("delete", f"{IMAGE}:1")
