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


def test_of_the_hardened_config_stays_what_it_says_itself() -> None:
    listener = sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")
    config = sc.Config(
        network=sc.NewVpc(zones=3, cidr="10.9.0.0/16"),
        load_balancer=sc.NewLoadBalancer(listener=listener, waf=sc.NewWebAcl(mode="block")),
        encryption=sc.GivenKey(key_arn="arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"),
        observability=sc.Observability(log_retention_days=731, alarm_email="ops@example.com"),
    )
    hard = sc.hardened(config)
    assert (hard.network.zones, hard.network.cidr) == (3, "10.9.0.0/16")  # type: ignore[union-attr]
    assert hard.load_balancer.listener == listener  # type: ignore[union-attr]
    assert hard.load_balancer.waf == sc.NewWebAcl(mode="block")  # type: ignore[union-attr]
    assert hard.encryption == config.encryption
    assert (hard.observability.log_retention_days, hard.observability.alarm_email) == (731, "ops@example.com")
    given = sc.Config(network=sc.ExistingVpc(vpc_id="vpc-0123456789abcdef0"))
    assert sc.hardened(given).network == given.network
    assert sc.hardened(hard) == hard
