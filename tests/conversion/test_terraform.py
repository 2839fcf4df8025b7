"""`import http-scale-out`: what becomes of its Terraform files."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaleout_cfn.config import Ec2Capacity, WebService
from scaleout_cfn.conversion.terraform import read_hcl, read_terraform
from scaleout_cfn.errors import UsageError

from .accounts import FATES, finished, lines

FILES = {
    "main.tf": """\
provider "aws" {
  access_key = "${var.access_key}"  # a file of keys
  region     = var.region
}
variable "access_key" {}
variable "region" { default = "us-east-2" }
resource "aws_launch_configuration" "nodes" {
  instance_type = "t2.micro"
  user_data     = <<EOF
#!/bin/bash
echo } >> /etc/ecs/ecs.config
EOF
}
resource "aws_autoscaling_group" "nodes" {
  min_size = 1
  max_size = 5
}
resource "aws_autoscaling_policy" "nodes" {
  target_tracking_configuration { target_value = 30.0 }
}
""",
    "service.tf": """\
resource "aws_ecs_task_definition" "api" {
  container_definitions = "${file("tasks/api.json")}"
}
resource "aws_ecs_service" "api" {
  desired_count = 1
  ordered_placement_strategy {
    type  = "binpack"
    field = "cpu"
  }
}
resource "aws_appautoscaling_target" "api" {
  max_capacity = 20
  min_capacity = 1
}
resource "aws_appautoscaling_policy" "api" {
  target_tracking_scaling_policy_configuration {
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
    target_value = 80.0
  }
}
resource "aws_lb" "api" {
  subnets = ["a",
             "b"]
  enable_deletion_protection = true
}
resource "aws_sns_topic" "other" {
  name = "x"
}
""",
    "tasks/api.json": '[{"name": "api", "cpu": 256,\n "memory": 256, "portMappings": [{"containerPort": 80}]}]',
    "secrets.tfvars": 'access_key = "AKIA"\nregion = "us-west-2"\n',
}


def folder_of(tmp_path: Path, files: dict[str, str]) -> Path:
    """A checkout with these files in terraform/."""
    for name, text in files.items():
        path = tmp_path / "terraform" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_its_numbers_are_taken_and_those_that_do_not_fit_are_changed(tmp_path: Path) -> None:
    imported, config = finished(read_terraform(folder_of(tmp_path, FILES)), tmp_path)
    web, nodes = config.services["web"], config.capacity["nodes"]
    assert isinstance(web, WebService) and isinstance(nodes, Ec2Capacity)
    assert (config.region, web.container_port, web.cpu_units, web.memory_mib) == ("us-west-2", 80, 256, 256)
    assert (web.scaling.min_tasks, web.scaling.max_tasks, web.scaling.cpu.target) == (1, 20, 80)
    assert (web.placement, nodes.instance_types, nodes.min_nodes, nodes.max_nodes) == ("binpack", ("t2.micro",), 1, 7)
    page = lines(imported)
    assert page["resource.aws_autoscaling_group.nodes.max_size"] == (
        "main.tf:16",
        "changed",
        "capacity.nodes.max_nodes = 7: 5 do not hold 20 tasks",
    )
    assert page["[0].memory"][:2] == ("tasks/api.json:2", "taken")
    for key in ("aws_sns_topic.other.name", "aws_launch_configuration.nodes.user_data"):
        assert page[f"resource.{key}"][1] == "no place"
    assert all(fate in FATES and words for _, fate, words in page.values())
    assert "AKIA" not in imported.page + imported.config


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('resource "a" "b" {\n', r"x.tf:1: resource.a.b has no end; this is not HCL"),
        ("}\n", r"x.tf:1: a brace closes what none has opened"),
        ("a b\n", r"x.tf:1: a.b is followed by neither = nor a brace"),
    ],
)
def test_what_is_no_hcl_is_said_with_its_line(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.tf").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=what):
        read_hcl(tmp_path / "x.tf", "x.tf")


def test_a_folder_without_a_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \.tf file"):
        read_terraform(tmp_path)
    with pytest.raises(UsageError, match="makes no aws_ecs_service"):
        read_terraform(folder_of(tmp_path, {"main.tf": FILES["main.tf"]}))
