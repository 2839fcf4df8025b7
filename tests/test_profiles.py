"""What `init --profile hardened` writes, and what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import scaleout_cfn as sc
from scaleout_cfn.cli import cli


@pytest.mark.parametrize("arguments", [[], ["--short"], ["--services", "web,api:internal", "--capacity", "fargate"]])
def test_a_hardened_config_is_written_rendered_and_lints_clean(arguments: list[str], tmp_path: Path) -> None:
    path, folder = tmp_path / "scaleout.toml", tmp_path / "out"
    done = CliRunner().invoke(cli, ["init", str(path), "--profile", "hardened", *arguments])
    assert (done.exit_code, "load_balancer.listener" in done.output) == (0, True), done.output
    config = sc.load(path)
    assert config == sc.hardened(config)
    for command in (["render", "-c", str(path), "-o", str(folder)], ["lint", str(folder)]):
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, done.output


def test_of_the_hardened_config_services_and_capacity_are_those_that_were_there() -> None:
    config = sc.Config(
        services={"mailer": sc.WorkerService(memory_mib=512)},
        capacity={"air": sc.FargateCapacity()},
        region="eu-west-1",
    )
    hard = sc.hardened(config)
    assert (hard.services, hard.capacity, hard.region) == (config.services, config.capacity, "eu-west-1")
    assert hard.services["mailer"].scaling == sc.Scaling()
