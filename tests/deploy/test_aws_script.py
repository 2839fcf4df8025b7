"""The script for a real account: it is not run here, but its commands and its config are ours to get right."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import click
import pytest

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.config.file import load
from scaleout_cfn.local import running

FOLDER = Path(__file__).parents[1] / "aws"


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it without consent and without credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCALEOUT_"))}
    command = [sys.executable, str(FOLDER / "live.py"), "--region", "eu-west-1", "--bucket", "artifacts", *arguments]
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=60, check=False)


def parsed(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that a line names, and its options. Nothing is carried out. Raises ClickException."""
    context, path = click.Context(cli, info_name="scaleout-cfn"), list[str]()
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert name and found
        path.append(name)
        if isinstance(found, click.Group):
            context, command = click.Context(found, info_name=name, parent=context), found
            continue
        return " ".join(path), found.make_context(name, arguments, parent=context).params
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("scenario", "services"), [("nodes", ("Web",)), ("fargate", ("Web", "Api"))], ids=["nodes", "fargate"]
)
def test_the_command_line_accepts_every_command_that_it_would_run(scenario: str, services: tuple[str, ...]) -> None:
    done = script("--dry-run", "--scenario", scenario)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("scaleout-cfn ")]
    commands = [parsed(shlex.split(line)[1:]) for line in lines]
    assert {name for name, _ in commands} == {"deploy", "image push", "rollback", "status", "cancel", "destroy"}
    (stack,) = {options["stack"] for _, options in commands}
    assert stack.startswith("live-")
    assert [options["folder"] for name, options in commands if name == "image push"] == [
        *[str(FOLDER.parents[1] / "webapp")] * 2,
        str(FOLDER / "broken"),
    ]
    emptied = next(options["empty"] for name, options in commands if name == "destroy")
    assert emptied == tuple(f"{name}Foundation/{what}" for what in ("Repository", "Logs") for name in services)
    assert commands[-1][1]["empty"] == ()


@pytest.mark.parametrize(("scenario", "services"), [("nodes", ("web",)), ("fargate", ("web", "api"))])
def test_what_it_empties_is_in_the_set_and_the_set_is_cheap_and_tagged(
    scenario: str, services: tuple[str, ...]
) -> None:
    config = load(FOLDER / f"{scenario}.toml", environment=None, overrides=())
    files = sc.render(sc.compose(config), url=sc.local_url)
    assert "NatGateway" not in "\n".join(files.values())
    assert config.tags == {"purpose": "scaleout-cfn-live"}
    assert tuple(config.services) == services
    for name in services:
        assert "Repository:" in files[f"{name}-foundation.yaml"]
        assert "Logs:" in files[f"{name}-foundation.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "SCALEOUT_AWS=1"),
        (("--scenario", "fargate"), "SCALEOUT_AWS=1"),
        (("--dry-run", "--max-usd", "0.01"), "nothing was begun"),
        (("--dry-run", "--scenario", "fargate", "--max-usd", "0.01"), "nothing was begun"),
    ],
)
def test_without_consent_to_the_cost_nothing_is_begun(arguments: tuple[str, ...], said: str) -> None:
    done = script(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "USD" in done.stdout


@pytest.mark.parametrize("scenario", ["nodes", "fargate"])
def test_a_step_that_fails_is_told_and_the_stack_is_taken_down(scenario: str, tmp_path: Path) -> None:
    """Against the emulator, from where nothing can be built: the second step fails, and what the first made goes."""
    with running() as emulator:
        environment = {**emulator.environment(), "HOME": str(tmp_path), "PATH": str(Path(sys.executable).parent)}
        bootstrap = [sys.executable, "-m", "scaleout_cfn", "bootstrap", "--bucket", "artifacts"]
        here = {**environment, "PYTHONPATH": str(FOLDER.parents[1])}
        subprocess.run(bootstrap, env=here, cwd=tmp_path, capture_output=True, timeout=60, check=True)
        command = [sys.executable, str(FOLDER / "live.py")]
        done = subprocess.run(
            [*command, "--region", emulator.region, "--bucket", "artifacts", "--scenario", scenario],
            env={**environment, "SCALEOUT_AWS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        client = boto3.client(
            "cloudformation",
            endpoint_url=emulator.endpoint_url,
            region_name=emulator.region,
            aws_access_key_id=emulator.account_id,
            aws_secret_access_key="local",
        )
        left = [one for one in client.list_stacks()["StackSummaries"] if one["StackStatus"] != "DELETE_COMPLETE"]
    assert done.returncode == 1, done.stderr
    assert re.search("FAILED: push .*: exit code 2, expected 0", done.stderr)
    assert left == []
