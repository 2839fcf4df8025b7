"""The commands as a user gives them: subprocesses, a builder that only writes down how it was called, and the emulator,
whose registry takes the pushes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

import scaleout_cfn
from scaleout_cfn.cli import main
from scaleout_cfn.local import running

from .helpers import Fakes, folder

HERE = Path(scaleout_cfn.__file__).parents[1]
#: What the emulator's GetAuthorizationToken gives.
PASSWORD = "ministack-auth-token"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def image_uri(self) -> str:
        return str(self.lines[-1]["outputs"]["WebImageUri"])


@dataclass(frozen=True)
class Shell:
    """A user with a kept emulator and a fake docker, in a folder with an app."""

    home: Path
    endpoint_url: str

    @property
    def fakes(self) -> Fakes:
        return Fakes(self.home)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GITHUB_", "DOCKER"))}
        own = {
            "XDG_RUNTIME_DIR": str(self.home),
            "PYTHONPATH": str(HERE),
            "CI": "true",
            "TMPDIR": str(self.home / "tmp"),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "scaleout_cfn", *arguments],
            env={**kept, **own, **self.fakes.environment},
            cwd=self.home,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        assert PASSWORD not in out + err
        return Done(process.returncode, out, err)

    def deploy(self, stack: str, *arguments: str) -> Done:
        return self.run("deploy", "--local", "--yes", "--stack", stack, *arguments)

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "123456789012", "aws_secret_access_key": "local"}
        return boto3.client(service, endpoint_url=self.endpoint_url, region_name="us-east-1", **keys)

    def running_image(self, stack: str) -> str:
        """The image of the task definition that the service of a stack has."""
        outputs = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        named = {one["OutputKey"]: one["OutputValue"] for one in outputs}
        ecs = self.client("ecs")
        service = ecs.describe_services(
            cluster=named["ClusterName"], services=ecs.list_services(cluster=named["ClusterName"])["serviceArns"]
        )["services"][0]
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        return str(definition["containerDefinitions"][0]["image"])


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    with running() as emulator:
        for name in ("scaleout-cfn", "tmp", "user"):
            (home / name).mkdir()
        (home / "scaleout-cfn" / "local.json").write_text(json.dumps({"endpoint_url": emulator.endpoint_url}))
        yield Shell(home, emulator.endpoint_url)


@pytest.fixture(autouse=True)
def builder(shell: Shell) -> None:
    shell.fakes.install("docker")
    shell.fakes.plan(registry=True)
    shell.fakes.forget()
    (shell.home / "images.json").unlink(missing_ok=True)
    folder(shell.home)


@pytest.fixture
def here(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in the process of the test, where nothing depends on a process of their own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shell.home))
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(shell.home)


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def web(shell: Shell) -> str:
    """A stack that `deploy --build` made from nothing."""
    shell.fakes.install("docker")
    shell.fakes.plan(registry=True)
    folder(shell.home)
    done = shell.deploy("web", "--build", "app")
    assert done.code == 0, done.err
    # Built before anything is made, pushed between the phases.
    places = [done.err.index(words) for words in ("building app", "phase 1 of 2", "phase 2 of 2", "pushing 1234")]
    assert places == sorted(places)
    return "web"


def test_what_runs_is_the_digest_of_what_was_pushed(shell: Shell, web: str) -> None:
    pushed = shell.run("image", "push", "app", "--local", "--json")
    assert pushed.lines[-1]["next_command"].startswith("scaleout-cfn deploy --local --image ")
    tag = pushed.lines[-1]["what"].split()[0].rpartition(":")[2]
    manifest = json.dumps({"schemaVersion": 2, "of": tag}).encode()
    assert shell.running_image(web) == pushed.image_uri
    assert pushed.image_uri.endswith("@sha256:" + hashlib.sha256(manifest).hexdigest())


def test_the_same_command_again_builds_and_pushes_and_changes_nothing(shell: Shell, web: str) -> None:
    done = shell.deploy(web, "--build", "app")
    assert done.code == 0, done.err
    assert "nothing to do" in done.err
    assert shell.fakes.calls == []


@pytest.mark.usefixtures("here")
def test_an_older_image_comes_back_by_digest_or_by_tag(shell: Shell, web: str) -> None:
    before = shell.running_image(web)
    folder(shell.home, {"main.py": "print('new')\n"})
    assert shell.deploy(web, "--build", "app").code == 0
    after = shell.running_image(web)
    assert after != before
    listed = shell.run("image", "list", "--local", "--json").lines
    images = {one["uri"]: one for one in listed if one["type"] == "image"}
    assert {uri: one["current"] for uri, one in images.items()} == {before: False, after: True}
    assert shell.deploy(web, "--image", images[before]["tags"][0]).code == 0
    assert shell.running_image(web) == before
    assert code_of("diff", "--local", "--image", before.partition("@")[2], "--exit-code") == 0


@pytest.fixture
def regions(shell: Shell) -> Iterator[tuple[str, ...]]:
    """The options of two environments, each in a region of its own."""
    path = shell.home / "regions.toml"
    path.write_text('[environments.eu]\nregion = "eu-west-1"\n\n[environments.us]\nregion = "us-east-1"\n')
    yield "-c", str(path), "--env", "eu,us"
    path.unlink()


def ends(done: Done) -> dict[str, str]:
    """How each environment ended."""
    (summary,) = (line for line in done.lines if line["type"] == "environments")
    return {row["environment"]: row["outcome"] for row in summary["environments"]}


def test_an_image_is_built_once_and_pushed_to_each_region(shell: Shell, regions: tuple[str, ...]) -> None:
    done = shell.run("deploy", "--local", "--yes", "--json", *regions, "--build", "app")
    assert done.code == 0, done.out
    assert ends(done) == {"eu": "done", "us": "done"}
    assert (len(shell.fakes.argvs("build")), len(shell.fakes.argvs("push"))) == (1, 2)
    uris = {name: done.lines[-1]["outputs"][f"{name}.WebRepositoryUri"] for name in ("eu", "us")}
    listed = shell.run("image", "list", "--local", "--json", "-c", regions[1], "--env", "us").lines
    (image,) = (line for line in listed if line["type"] == "image")
    # By the URI of one region's repository: each has it, and each runs it already.
    again = shell.run("deploy", "--local", "--yes", "--json", *regions, "--image", f"{uris['us']}@{image['digest']}")
    assert ends(again) == {"eu": "no_change", "us": "no_change"}
    by_tag = shell.run("deploy", "--local", "--yes", "--json", *regions, "--image", image["tags"][0])
    assert ends(by_tag) == {"eu": "no_change", "us": "no_change"}


def test_a_dockerfile_that_does_not_build_makes_no_stack(shell: Shell) -> None:
    shell.fakes.plan(fail={"build": "Error: unknown instruction: FORM"})
    done = shell.deploy("unbuilt", "--build", "app")
    assert done.code == 2
    assert "unknown instruction: FORM" in done.err
    assert "there is none" in shell.run("outputs", "--local", "--stack", "unbuilt").err


def test_after_a_push_that_failed_the_same_command_finishes(shell: Shell) -> None:
    shell.fakes.plan(fail={"push": "connection reset by peer"})
    done = shell.deploy("twice", "--build", "app", "--json")
    result = done.lines[-1]
    assert (done.code, result["exit"]) == (1, 1)
    assert "connection reset by peer" in result["what"] and "what runs is as it was" in result["reason"]
    shell.fakes.plan(registry=True)
    again = shell.deploy("twice", "--build", "app")
    assert again.code == 0, again.err
    assert "is built already" in again.err and "phase 1 of 2" not in again.err
    assert "@sha256:" in shell.running_image("twice")


def test_a_builder_is_ended_with_us(shell: Shell) -> None:
    os.mkfifo(shell.home / "gate")
    shell.fakes.plan(hang=True)
    process = shell.start("image", "build", "app", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if "step 1 of 1" in line:
            break
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    (shell.home / "gate").unlink()
    assert process.returncode == 143, err
    assert json.loads(out.splitlines()[-1])["exit"] == 143
    assert not Path(f"/proc/{child}").exists()


def test_a_build_needs_no_account_and_passes_arguments_on(shell: Shell) -> None:
    done = shell.run("image", "build", "app", "--tag", "v1", "--", "--build-arg", "A=1")
    assert (done.code, done.out.split()) == (0, ["LocalImage", "web:v1"])
    assert shell.fakes.argvs("build")[0][-3:] == ["--build-arg", "A=1", "app"]
    # What is to be pushed is what was built.
    assert "next   scaleout-cfn image push --tag v1 app -- --build-arg A=1\n" in done.err
    again = shell.run("image", "build", "--set", "stack_name=web", "app")
    same = "--set stack_name=web"
    assert f"next   scaleout-cfn image push {same} app, or scaleout-cfn deploy {same} --build app\n" in again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy", "--local", "--build", "app", "--image", "v1"], "web is built, too; give one of the two"),
        (["deploy", "--local", "--build"], "webapp: there is no such folder"),
        (["deploy", "--local", "--build", "."], ".: there is no Dockerfile"),
        (["image", "build", "app", "--tag", "a b"], "--tag: got 'a b'"),
        (["deploy", "--local", "--image", "v1", "--stack", "none"], "has no repository of web yet"),
        (["deploy", "--local", "--image", "v1"], "there is none in"),
        (["plan", "--local", "--image", "sha256:12"], "64 hex digits"),
        (["image", "push", "app", "--local", "--stack", "none"], "there is none"),
        (["image", "list", "--local", "--stack", "none"], "there is none"),
        (["rollout", "--local", "--stack", "none"], "there is none"),
        (["logs", "--local", "--since", "soon"], "give 30s, 10m"),
        (["exec", "--local"], "the emulator runs no container"),
        (["exec", "--json"], "exec has no --json"),
        (["run", "--local", "--", "id"], "the emulator runs no container"),
        (["run", "--local"], "give a command"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_wrong_use_is_told_with_exit_code_2(
    web: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_rollout_and_logs_show_what_the_emulator_has(web: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("rollout", "--local", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (seen,) = [one for one in lines if one["type"] == "versions"]
    assert [(one["role"], one["running"], one["desired"]) for one in seen["versions"]] == [("new", 2, 2)]
    assert code_of("logs", "--local", "--since", "1h") == 0
    assert "the emulator runs no container" in capsys.readouterr().err
