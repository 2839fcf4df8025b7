"""`import ecs` on services that the emulator runs: it reads back what this project deployed, over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.config import Config, FargateCapacity, InternalService, Rolling, WebService

from .helpers import Account

DEPLOYED = """
[capacity.fargate]
kind = "fargate"
[capacity.nodes]
kind = "ec2"
max_nodes = 6
[services.web]
capacity = "nodes"
image_uri = "nginx:1"
user = "101"
stop_timeout_s = 20
placement = "binpack"
zone_rebalancing = false
capabilities = ["DEFAULT", "NET_BIND_SERVICE"]
tmpfs_mib = {"/tmp" = 32, "/run" = 8}
ulimits = {nofile = 4096}
environment = {LEVEL = "info"}
health_command = ["/bin/true"]
reaches = ["stock"]
[services.web.route]
paths = ["/shop/*"]
[services.web.scaling]
max_tasks = 7
high_resolution = false
[services.web.scaling.memory]
enabled = true
target = 70
scale_in = false
[services.web.deployment]
failure_threshold = 5
minimum_healthy_percent = 50
[services.web.health_check]
path = "/up"
interval_s = 12
[services.stock]
kind = "internal"
capacity = "fargate"
image_uri = "stock:1"
cpu_units = 512
memory_mib = 1024
container_port = 9000
ephemeral_storage_gib = 40
"""


@pytest.fixture
def deployed(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a cluster on which the services above run."""
    monkeypatch.chdir(tmp_path)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    Path("scaleout.toml").write_text(DEPLOYED, encoding="utf-8")
    account.client("s3").create_bucket(Bucket=account.bucket)
    ended = CliRunner().invoke(cli, ["deploy", "--yes", "--bucket", account.bucket])
    assert ended.exit_code == 0, ended.output
    (cluster,) = (line.split()[1] for line in ended.output.splitlines() if line.startswith("ClusterName"))
    return cluster


def test_what_was_deployed_is_read_back(deployed: str) -> None:
    ended = CliRunner().invoke(cli, ["import", "ecs", "--cluster", deployed, "-o", "read.toml"])
    assert ended.exit_code == 0, ended.output
    was, got = sc.load("scaleout.toml"), sc.load("read.toml")
    web, stock = (named(got, kind) for kind in (WebService, InternalService))
    mine = was.services["web"]
    assert isinstance(web, WebService) and isinstance(mine, WebService) and isinstance(web.deployment, Rolling)
    for tunable in (
        "image_uri", "user", "stop_timeout_s", "placement", "zone_rebalancing", "capabilities", "tmpfs_mib", "ulimits",
        "environment", "health_command", "read_only", "cpu_units", "memory_mib", "container_port", "health_check",
        "deployment", "scaling", "capacity",
    ):  # fmt: skip
        assert getattr(web, tunable) == getattr(mine, tunable), tunable
    assert web.route.paths == ("/shop/*",)
    theirs = was.services["stock"]
    for tunable in ("image_uri", "cpu_units", "memory_mib", "container_port", "ephemeral_storage_gib", "scaling"):
        assert getattr(stock, tunable) == getattr(theirs, tunable), tunable
    assert isinstance(got.capacity[stock.capacity], FargateCapacity)
    page = Path("read.import.md").read_text(encoding="utf-8")
    assert "nothing here reads it" not in page, page


def named(config: Config, kind: type[WebService | InternalService]) -> WebService | InternalService:
    """The one service of a kind."""
    (found,) = (service for service in config.services.values() if isinstance(service, kind))
    return found
