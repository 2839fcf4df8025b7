"""Templates in files: the set-level rules and cfn-lint together, with lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint import RULES, check_set
from scaleout_cfn.lint.files import lint_files
from scaleout_cfn.templates.reading import read_folder

from .sets import TEXTS, write

BROKEN = """\
Parameters:
  Unused: {Type: String}
  TemplatesUrl: {Type: String, Default: 'https://it'}
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BuckeName: it
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: '2008-10-17', Statement: []}
  Old:
    Type: AWS::AutoScaling::LaunchConfiguration
    Properties: {ImageId: ami-0a1, InstanceType: t2.micro}
  Nodes:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      MinSize: 4
      MaxSize: 2
      LaunchConfigurationName: !Ref Old
      VPCZoneIdentifier: [!Ref Nowhere]
  Child:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: ./child.yaml
      Parameters: {Nmae: a, Zones: [a, b]}
  Other:
    Type: AWS::CloudFormation::Stack
    DependsOn: [Child, Child]
    Properties:
      TemplateURL: !Sub ${TemplatesUrl}/${Missing}/x.yaml
Outputs:
  One:
    Value: !GetAtt Child.Outputs.Gone
  Two:
    Value: !Sub ${Child.Outputs.Gone}
"""
CHILD = """\
Parameters:
  Name: {Type: String}
  Zones: {Type: CommaDelimitedList}
Resources:
  W: {Type: 'AWS::SNS::Topic'}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named relative to the current directory."""
    monkeypatch.chdir(tmp_path)


def test_a_good_set_has_no_finding(tmp_path: Path) -> None:
    write(tmp_path)
    assert lint_files(tmp_path, regions=("us-east-1", "eu-central-1")).findings == []


def test_set_level_findings_are_those_of_check_set_with_lines(tmp_path: Path) -> None:
    write(tmp_path, lambda name, text: text.replace("MaxNodes: '4'", "MaxNodes: 0").replace("Port: 8080", "Port: 80\n"))
    (tmp_path / "service.yaml").write_text(TEXTS["service.yaml"].replace("ContainerName: web", "ContainerName: wbe"))
    found = lint_files(tmp_path).findings
    expected = check_set(read_folder(tmp_path))
    assert {replace(finding, line=None) for finding in found} == set(expected)
    lines = {(f.file, f.rule): f.line for f in found}
    assert lines["cluster.yaml", "S302"] == 1 + TEXTS["cluster.yaml"].splitlines().index("      MaxSize: !Ref MaxNodes")
    assert lines["service.yaml", "S201"] == 1 + TEXTS["service.yaml"].splitlines().index("        - ContainerName: web")


def test_everything_that_the_cfn_lint_command_reports_is_reported(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text(BROKEN)
    (tmp_path / "child.yaml").write_text(CHILD)
    run = "from cfnlint.runner import main; main()"
    command = subprocess.run(
        [sys.executable, "-c", run, "--format", "json", "root.yaml", "child.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = lint_files(tmp_path).findings
    ours = {(f.file, f.rule, f.line, f.message) for f in found}
    overlaps = {rule.id: rule.overlaps for rule in RULES}
    rules = set()
    for entry in json.loads(command.stdout):
        file, rule, path = entry["Filename"], entry["Rule"]["Id"], ".".join(map(str, entry["Location"]["Path"] or ()))
        line = entry["Location"]["Start"]["LineNumber"]
        # What a set-level rule says of the same place, with a cure, is said once.
        said = any(
            rule in overlaps.get(f.rule, ()) and f.file == file and (f.path.startswith(path) or path.startswith(f.path))
            for f in found
        )
        assert said or (file, rule, line, entry["Message"]) in ours
        rules.add(rule)
    assert rules >= {"E1019", "E1020", "E3002", "E3043", "E3706", "E6101", "W2001", "W2511", "W3002", "W3697"}
    assert all(f.cure and f.source.startswith("https://") for f in found)


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text(BROKEN)
    (tmp_path / "child.yaml").write_text(CHILD)
    rules = {f.rule for f in lint_files(tmp_path).findings}
    assert {"S103", "S104", "S105", "S106", "S302", "S308"} <= rules
    assert not rules & {"E3043", "E6101", "W3697", "E3706"}


@pytest.mark.parametrize("url", ["./child.yaml", "!Sub ${TemplatesUrl}/child.yaml"])
def test_the_form_of_a_location_hides_no_wrong_wire(tmp_path: Path, url: str) -> None:
    (tmp_path / "root.yaml").write_text(BROKEN.replace("./child.yaml", url))
    (tmp_path / "child.yaml").write_text(CHILD)
    found = {(f.rule, f.path) for f in lint_files(tmp_path).findings if f.rule.startswith("S10")}
    assert found == {
        ("S103", "Resources.Child.Properties.Parameters.Nmae"),
        ("S104", "Resources.Child.Properties.Parameters"),
        ("S105", "Outputs.One.Value"),
        ("S105", "Outputs.Two.Value"),
        ("S106", "Resources.Child.Properties.Parameters.Zones"),
    }


def test_a_broken_file_is_one_finding_and_the_others_are_checked(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "more.yaml").write_text("Resources:\n  A: {Type: 'AWS::SNS::Topic'}\n  A: {Type: 'AWS::SNS::Topic'}\n")
    (tmp_path / "half.yaml").write_text("Resources:\n  A: {Type: \n")
    (tmp_path / "root.yaml").write_text(TEXTS["root.yaml"].replace("        Port: 8080\n", ""))
    assert [(f.file, f.line, f.rule) for f in lint_files(tmp_path).findings] == [
        ("half.yaml", 3, "E0000"),
        ("more.yaml", 3, "E0000"),
        ("root.yaml", 1 + TEXTS["root.yaml"].splitlines().index("        ImageUri: !Ref ImageUri") - 1, "S104"),
    ]


def test_text_that_is_not_utf8_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("Resources: {}\nDescription: caf\u00e9\n".encode("latin-1"))
    (finding,) = lint_files(tmp_path).findings
    assert (finding.rule, finding.file) == ("E0000", "latin.yaml")
    assert "UTF-8" in finding.message


def test_a_root_too_large_to_be_sent_as_text_is_a_warning_and_a_huge_child_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "root.yaml").write_text(TEXTS["root.yaml"] + "#" * 51_200)
    (tmp_path / "network.yaml").write_text(TEXTS["network.yaml"] + "#" * 999_999)
    assert [(f.file, f.rule, f.severity) for f in lint_files(tmp_path).findings] == [
        ("network.yaml", "E1002", "error"),
        ("root.yaml", "S404", "warning"),
    ]


def test_a_folder_without_templates_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no templates in it"):
        lint_files(tmp_path)
    with pytest.raises(FileNotFoundError):
        lint_files(tmp_path / "nowhere")


def test_an_unknown_region_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match="mars-1"):
        lint_files(tmp_path, regions=("mars-1",))


def test_checking_a_set_imports_neither_yaml_nor_cfn_lint() -> None:
    check = "import sys, scaleout_cfn.lint as it; it.check_set({'a.yaml': {}})"
    code = f"{check}; print({{'yaml', 'cfnlint'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
