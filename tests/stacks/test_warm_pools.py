"""Warm pools: nodes that have booted once and stand by."""

from __future__ import annotations

import email
import os
import re
import subprocess
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import Templates, made, properties, ref, resource


def with_warm_pool(**settings: Any) -> Templates:
    return made(nodes=sc.Ec2Capacity(warm_pool=sc.WarmPool(**settings)))


def parts(templates: Templates) -> dict[str, str]:
    """What user data consists of, by content type, with what Fn::Sub puts in."""
    data = properties(templates, "capacity", "NodesLaunchTemplate")["LaunchTemplateData"]["UserData"]
    text, given = data["Fn::Base64"]["Fn::Sub"]
    for name, value in given.items():
        text = text.replace(f"${{{name}}}", value if isinstance(value, str) else value["Ref"])
    message: Message = email.message_from_string(text)
    found = message.get_payload()
    assert isinstance(found, list)
    return {part.get_content_type(): str(part.get_payload()) for part in found if isinstance(part, Message)}


def test_a_set_without_a_warm_pool_has_none() -> None:
    assert "NodesWarmPool" not in made()["capacity.yaml"]["Resources"]


def test_a_warm_pool_is_its_group_s_as_large_as_that_lets_it_be() -> None:
    assert properties(with_warm_pool(), "capacity", "NodesWarmPool") == {
        "AutoScalingGroupName": ref("NodesGroup"),
        "MinSize": 0,
        "PoolState": "Stopped",
    }
    asked = with_warm_pool(state="running", min_nodes=2, max_prepared_nodes=4)
    # No nodes are taken back, which ECS does not allow:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-warm-pool.html
    assert properties(asked, "capacity", "NodesWarmPool") == {
        "AutoScalingGroupName": ref("NodesGroup"),
        "MinSize": 2,
        "MaxGroupPreparedCapacity": 4,
        "PoolState": "Running",
    }


def test_a_node_that_stands_by_joins_the_cluster_only_once_it_goes_in_service() -> None:
    assert "\nECS_WARM_POOLS_CHECK=true\n" in parts(with_warm_pool())["text/x-shellscript"]
    plain = properties(made(), "capacity", "NodesLaunchTemplate")
    assert "ECS_WARM_POOLS_CHECK" not in str(plain)


def test_user_data_runs_at_each_boot_of_a_node_that_stands_by() -> None:
    config = parts(with_warm_pool())["text/cloud-config"]
    assert config.startswith("#cloud-config\n") and "- [scripts-user, always]" in config


def test_a_second_boot_sets_the_agent_up_no_second_time_and_signals_again(tmp_path: Path) -> None:
    script = parts(with_warm_pool())["text/x-shellscript"]
    for folder in ("/etc/ecs", "/usr/local/bin"):
        (tmp_path / folder[1:]).mkdir(parents=True)
        script = script.replace(folder, f"{tmp_path}{folder}")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemd-run").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/started\n')
    (tools / "systemd-run").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(["bash", "-c", script], check=True, env=environment)
    settings = (tmp_path / "etc/ecs/ecs.config").read_text()
    assert re.findall(r"^(ECS_CLUSTER|ECS_WARM_POOLS_CHECK)=(.*)$", settings, re.M) == [
        ("ECS_CLUSTER", "ClusterName"),
        ("ECS_WARM_POOLS_CHECK", "true"),
    ]
    assert len((tmp_path / "started").read_text().splitlines()) == 2


def test_an_update_of_the_nodes_still_waits_until_each_has_registered() -> None:
    group = resource(with_warm_pool(), "capacity", "NodesGroup")
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["WaitOnResourceSignals"] is True


@pytest.mark.parametrize(
    ("pool", "key", "said"),
    [
        (sc.Ec2Capacity(warm_pool=sc.WarmPool(), spot_percent=1), "spot_percent", "On-Demand nodes alone; set 0"),
        (
            sc.Ec2Capacity(warm_pool=sc.WarmPool(max_prepared_nodes=6)),
            "warm_pool.max_prepared_nodes",
            "got 6, more than max_nodes = 5; give that, or -1",
        ),
        (
            sc.Ec2Capacity(warm_pool=sc.WarmPool(max_prepared_nodes=2)),
            "warm_pool.min_nodes",
            "none would ever stand by; give 1 or more",
        ),
        (
            sc.Ec2Capacity(warm_pool=sc.WarmPool(), min_nodes=5),
            "warm_pool.min_nodes",
            "none would ever stand by; give 1 or more",
        ),
    ],
)
def test_what_a_warm_pool_cannot_be_is_told_with_the_cure(pool: sc.Ec2Capacity, key: str, said: str) -> None:
    with pytest.raises(sc.ConfigError) as refused:
        sc.compose(sc.Config(capacity={"nodes": pool}))
    assert f"capacity.nodes.{key}" in str(refused.value) and said in str(refused.value)


def test_a_warm_pool_may_hold_some_beside_a_group_that_is_at_its_maximum() -> None:
    pool = sc.Ec2Capacity(min_nodes=5, max_nodes=5, warm_pool=sc.WarmPool(min_nodes=1, max_prepared_nodes=5))
    assert sc.compose(sc.Config(capacity={"nodes": pool}))
