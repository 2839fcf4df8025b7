"""What `publish` uploads is a set like any other: from the URL printed the AWS command line carries it, and sceptre."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from scaleout_cfn.local import Emulator, running

from .test_local import IMAGE, THREE, Shell

AWS = shutil.which("aws", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
#: Its dependencies are older than ours, so tox installs it beside: see tox.ini.
SCEPTRE = shutil.which(os.environ.get("SCEPTRE", "sceptre"))
MOST_POLLS = 5000  # each is a request of some milliseconds: a bound against hanging, not a timeout


@dataclass(frozen=True)
class Set:
    """A set as its user writes it, and the images that it is given once all else is there."""

    name: str
    config: str
    images: Mapping[str, str]
    #: The images of its services, as they run then.
    running: list[str] = field(default_factory=list)

    @property
    def phases(self) -> tuple[tuple[Mapping[str, str], list[str]], ...]:
        return (dict.fromkeys(self.images, ""), []), (self.images, self.running)


WEB, API = f"{IMAGE}:1", IMAGE.replace("/web", "/api:1")
SETS = (
    Set("default", "", {"WebImageUri": WEB}, [WEB]),
    Set(
        "three",
        THREE,
        {"WebImageUri": WEB, "ApiImageUri": API},
        [API, WEB, WEB],
    ),
)
every_set = pytest.mark.parametrize("one", SETS, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as found:
        yield found


def publish(emulator: Emulator, home: Path, config: str) -> str:
    """Run `publish` as a user does. Returns the root's URL."""
    (home / "scaleout.toml").write_text(config)
    (home / "scaleout-cfn").mkdir()
    (home / "scaleout-cfn" / "local.json").write_text(f'{{"endpoint_url": "{emulator.endpoint_url}"}}')
    done = Shell(home).run("publish", "--local", "--json")
    assert done.code == 0, done.err
    return str(done.lines[-1]["outputs"]["TemplateUrl"])


def client(emulator: Emulator, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=emulator.endpoint_url,
        region_name=emulator.region,
        aws_access_key_id=emulator.account_id,
        aws_secret_access_key="local",
    )


def outputs(emulator: Emulator, name: str) -> dict[str, str]:
    (stack,) = client(emulator, "cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def images(emulator: Emulator, name: str) -> list[str]:
    """The images of the services that run in a set, sorted."""
    ecs, cluster = client(emulator, "ecs"), outputs(emulator, name)["ClusterName"]
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    services = ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
    definitions = [ecs.describe_task_definition(taskDefinition=each["taskDefinition"]) for each in services]
    return sorted(each["taskDefinition"]["containerDefinitions"][0]["image"] for each in definitions)


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


@every_set
@pytest.mark.skipif(AWS is None, reason="the AWS command line is not installed")
def test_the_aws_command_line_creates_and_updates_the_published_set(
    emulator: Emulator, tmp_path: Path, one: Set
) -> None:
    url = publish(emulator, tmp_path, one.config)
    name = ("--stack-name", one.name, "--change-set-name")
    cloudformation = client(emulator, "cloudformation")
    for kind, (given, services) in zip(("CREATE", "UPDATE"), one.phases, strict=True):
        parameters = (f"ParameterKey={parameter},ParameterValue={image}" for parameter, image in given.items())
        aws(
            emulator,
            *("create-change-set", *name, kind, "--change-set-type", kind, "--template-url", url),
            *("--include-nested-stacks", "--capabilities", "CAPABILITY_IAM"),
            *("--parameters", *parameters),
        )
        made = until(
            lambda found: found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"),
            partial(cloudformation.describe_change_set, StackName=one.name, ChangeSetName=kind),
        )
        assert made["Status"] == "CREATE_COMPLETE", made.get("StatusReason")
        aws(emulator, "execute-change-set", *name, kind)
        executed = until(
            lambda found: found["ExecutionStatus"] in ("EXECUTE_COMPLETE", "EXECUTE_FAILED"),
            partial(cloudformation.describe_change_set, StackName=one.name, ChangeSetName=made["ChangeSetId"]),
        )
        assert executed["ExecutionStatus"] == "EXECUTE_COMPLETE"
        (stack,) = cloudformation.describe_stacks(StackName=one.name)["Stacks"]
        assert stack["StackStatus"] == f"{kind}_COMPLETE"
        assert images(emulator, one.name) == services
    assert outputs(emulator, one.name)["WebUrl"].startswith("http://")


@every_set
@pytest.mark.skipif(SCEPTRE is None, reason="sceptre is not on PATH; tox installs it")
def test_sceptre_creates_updates_and_deletes_the_published_set(emulator: Emulator, tmp_path: Path, one: Set) -> None:
    url = publish(emulator, tmp_path, one.config)
    name = f"sceptred-{one.name}"
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.yaml").write_text(f"project_code: published\nregion: {emulator.region}\n")

    def sceptre(verb: str, given: Mapping[str, str], *, yes: bool = True) -> str:
        template = f"template: {{type: http, url: '{url}'}}\n"
        parameters = "".join(f"  {parameter}: '{image}'\n" for parameter, image in given.items())
        (folder / "sceptred.yaml").write_text(f"{template}stack_name: {name}\nparameters:\n{parameters}")
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

    for kind, (given, services) in zip(("CREATE", "UPDATE"), one.phases, strict=True):
        assert f" {name} AWS::CloudFormation::Stack {kind}_COMPLETE" in sceptre("launch", given)
        assert images(emulator, name) == services
    assert '"sceptred": "UPDATE_COMPLETE"' in sceptre("status", one.images, yes=False)
    assert "delete complete" in sceptre("delete", one.images)
