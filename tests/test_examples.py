"""The examples do what they say, and what they make lints clean."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from scaleout_cfn.lint import lint_folder
from scaleout_cfn.lint.reading import read_folder

EXAMPLES = Path(__file__).parents[1] / "examples"


def rendered(name: str, folder: Path) -> dict[str, dict[str, object]]:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    module.main(folder)
    return read_folder(folder)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_every_example_renders_a_set_without_findings(name: str, tmp_path: Path) -> None:
    rendered(name, tmp_path)
    assert lint_folder(tmp_path) == []


def test_numbers_of_ones_own_reach_the_templates(tmp_path: Path) -> None:
    templates = rendered("other_numbers", tmp_path)
    assert templates["root.yaml"]["Parameters"]["MaxTasks"]["Default"] == 30  # type: ignore[index]
    assert "PrivateSubnet3" in templates["network.yaml"]["Resources"]  # type: ignore[operator]


def test_a_stack_of_ones_own_is_nested_and_wired(tmp_path: Path) -> None:
    templates = rendered("own_stack", tmp_path)
    wires = templates["root.yaml"]["Resources"]["Cache"]["Properties"]["Parameters"]  # type: ignore[index]
    assert wires["Subnets"] == {"Fn::GetAtt": ["Network", "Outputs.NodeSubnets"]}
    assert templates["cache.yaml"]["Parameters"]["Subnets"]["Type"] == "List<AWS::EC2::Subnet::Id>"  # type: ignore[index]


def test_a_single_property_overridden_stands_in_the_text(tmp_path: Path) -> None:
    rendered("one_property", tmp_path)
    assert "zonal_shift.config.enabled" in (tmp_path / "load-balancer.yaml").read_text()
    assert "MaxInstanceLifetime: 1209600" in (tmp_path / "cluster.yaml").read_text()
