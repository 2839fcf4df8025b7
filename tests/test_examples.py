"""The examples do what they say, and what they make lints clean."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout_cfn.lint.files import lint_files
from scaleout_cfn.templates.reading import read_folder

EXAMPLES = Path(__file__).parents[1] / "examples"
EXAMPLE_NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an example as a program, in a folder without a config file."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> int:
        path = EXAMPLES / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return end.value.code  # type: ignore[return-value]

    return run


def rendered(run: Run, name: str, folder: Path, *options: str) -> dict[str, dict[str, object]]:
    assert run(name, "render", "-o", str(folder), *options) == 0
    return read_folder(folder)


@pytest.mark.parametrize("name", EXAMPLE_NAMES)
def test_every_example_renders_a_set_without_findings(run: Run, name: str, tmp_path: Path) -> None:
    rendered(run, name, tmp_path)
    assert lint_files(tmp_path).findings == []


def test_numbers_of_ones_own_reach_the_templates(run: Run, tmp_path: Path) -> None:
    templates = rendered(run, "other_numbers", tmp_path)
    assert templates["root.yaml"]["Parameters"]["WebScalingMaxTasks"]["Default"] == 30  # type: ignore[index]
    assert "PrivateSubnet3" in templates["network.yaml"]["Resources"]  # type: ignore[operator]


def test_a_stack_of_ones_own_is_nested_and_wired(run: Run, tmp_path: Path) -> None:
    templates = rendered(run, "own_stack", tmp_path)
    wires = templates["root.yaml"]["Resources"]["Cache"]["Properties"]["Parameters"]  # type: ignore[index]
    assert wires["Subnets"] == {"Fn::GetAtt": ["Network", "Outputs.NodeSubnets"]}
    assert templates["cache.yaml"]["Parameters"]["Subnets"]["Type"] == "List<AWS::EC2::Subnet::Id>"  # type: ignore[index]


FARGATE = '[capacity.fargate]\nkind = "fargate"\n[services.web]\ncapacity = "fargate"\nmemory_mib = 512\n'


@pytest.mark.parametrize("config", ["", FARGATE])
def test_the_cache_lets_in_the_tasks_alone_and_the_tasks_know_where_it_is(
    run: Run, tmp_path: Path, config: str
) -> None:
    (tmp_path / "scaleout.toml").write_text(config)
    templates: dict[str, Any] = rendered(run, "own_stack", tmp_path / "out")
    assert lint_files(tmp_path / "out").findings == []
    group = templates["cache.yaml"]["Resources"]["SecurityGroup"]["Properties"]
    assert "SecurityGroupIngress" not in group
    service = templates["web-service.yaml"]["Resources"]
    (rule,) = (body for body in service.values() if body["Type"] == "AWS::EC2::SecurityGroupIngress")
    assert rule["Properties"] == {
        "Description": "web to cache",
        "GroupId": {"Ref": "CacheAttachmentSecurityGroup"},
        "IpProtocol": "tcp",
        "FromPort": 11211,
        "ToPort": 11211,
        "SourceSecurityGroupId": {"Ref": "SecurityGroup"},
    }
    (container,) = service["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert container["Environment"] == [
        {"Name": "CACHE_HOST", "Value": {"Ref": "CacheAttachmentHost"}},
        {"Name": "CACHE_PORT", "Value": {"Ref": "CacheAttachmentPort"}},
    ]
    wires = templates["root.yaml"]["Resources"]["WebService"]["Properties"]["Parameters"]
    assert wires["CacheAttachmentHost"] == {"Fn::GetAtt": ["Cache", "Outputs.HostEnvironment"]}
    assert wires["CacheAttachmentSecurityGroup"] == {"Fn::GetAtt": ["Cache", "Outputs.SecurityGroup"]}


def test_under_bridge_the_cache_is_not_attached_but_the_cure_is_told(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scaleout.toml").write_text('[services.web]\nnetwork_mode = "bridge"\n')
    assert run("own_stack", "render", "-o", str(tmp_path / "out")) == 2
    assert 'set services.web.network_mode = "awsvpc"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_database_is_reached_by_its_user_alone_and_nothing_of_it_is_written_down(run: Run, tmp_path: Path) -> None:
    templates: dict[str, Any] = rendered(run, "database", tmp_path)
    assert len((EXAMPLES / "database.py").read_text(encoding="utf-8").splitlines()) < 40
    api = templates["api-service.yaml"]["Resources"]
    (container,) = api["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert [variable["Name"] for variable in container["Secrets"]] == ["ORDERS_PASSWORD", "ORDERS_USERNAME"]
    assert {variable["Name"] for variable in container["Environment"]} == {
        *("ORDERS_HOST", "ORDERS_PORT", "ORDERS_NAME", "ORDERS_SECRET_ARN")
    }
    assert "OrdersAttachmentIngress" in api
    assert "Orders" not in str(templates["web-service.yaml"])


@pytest.mark.parametrize("name", EXAMPLE_NAMES)
def test_examples_need_the_public_names_alone(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert "import scaleout_cfn as sc\n" in text
    assert "scaleout_cfn." not in text


def test_a_single_property_overridden_stands_in_the_text(run: Run, tmp_path: Path) -> None:
    rendered(run, "one_property", tmp_path)
    assert "zonal_shift.config.enabled" in (tmp_path / "load-balancer.yaml").read_text()
    assert "MaxInstanceLifetime: 1209600" in (tmp_path / "capacity.yaml").read_text()


def test_a_config_in_python_lies_under_what_the_command_line_says(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scaleout.toml").write_text("[services.web.scaling]\nmin_tasks = 5\n")
    templates = rendered(run, "other_numbers", tmp_path / "out", "--set", "services.web.scaling.max_tasks=24")
    parameters: dict[str, dict[str, object]] = templates["root.yaml"]["Parameters"]  # type: ignore[assignment]
    assert (parameters["WebScalingMinTasks"]["Default"], parameters["WebScalingMaxTasks"]["Default"]) == (5, 24)
    assert "PrivateSubnet3" in templates["network.yaml"]["Resources"]  # type: ignore[operator]


def test_each_of_three_services_has_its_stacks_and_the_worker_runs_the_web_image(run: Run, tmp_path: Path) -> None:
    templates: dict[str, Any] = rendered(run, "three_services", tmp_path)
    root = templates["root.yaml"]
    assert {"WebImageUri", "ApiImageUri"} == {name for name in root["Parameters"] if name.endswith("ImageUri")}
    wires = root["Resources"]["MailerService"]["Properties"]["Parameters"]
    assert wires["ImageUri"] == {"Ref": "WebImageUri"}
    assert "ReachApi" in templates["web-service.yaml"]["Resources"]


def test_a_root_of_ones_own_repeats_nothing_of_ours(run: Run, tmp_path: Path) -> None:
    root: dict[str, Any] = rendered(run, "own_root", tmp_path)["root.yaml"]
    assert {"WebUrl", "OrdersUrl"} <= root["Outputs"].keys()
    assert {"WebImageUri", "AlarmEmail"} <= root["Parameters"].keys()


def test_a_host_has_its_rule_and_its_certificate(run: Run, tmp_path: Path) -> None:
    resources: dict[str, Any] = rendered(run, "by_host", tmp_path)["admin-foundation.yaml"]["Resources"]  # type: ignore[assignment]
    (rule,) = (body for body in resources.values() if body["Type"].endswith("::ListenerRule"))
    assert "admin.example.com" in str(rule["Properties"]["Conditions"])
    assert any(body["Type"] == "AWS::CertificateManager::Certificate" for body in resources.values())


def test_on_fargate_there_are_no_nodes(run: Run, tmp_path: Path) -> None:
    templates: dict[str, Any] = rendered(run, "fargate", tmp_path)
    types = {body["Type"] for template in templates.values() for body in template["Resources"].values()}
    assert not types & {"AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::LaunchTemplate"}
