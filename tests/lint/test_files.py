"""Templates in files: the set-level rules and cfn-lint together, with lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint import RULES, check_set
from scaleout_cfn.lint.cfn_lint import Answer, CfnLint
from scaleout_cfn.lint.files import lint_files
from scaleout_cfn.lint.rules.base import Faults
from scaleout_cfn.templates.reading import read_folder
from scaleout_cfn.templates.sets import StackSet

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


TOPIC = "Resources:\n  T: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: [x]}}\n"


def nesting(url: str, **more: str) -> str:
    """A template that nests another, which wants a parameter that it is not given."""
    parameters = "".join(f"  {name}: {{Type: String, Default: {default}}}\n" for name, default in more.items())
    stack = f"  N: {{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: {url}}}}}\n"
    return f"Parameters:\n  Unknown: {{Type: String}}\n{parameters}Resources:\n{stack}"


CHILD_OF_ONE = "Parameters: {Name: {Type: String}}\nResources: {T: {Type: 'AWS::SNS::Topic'}}\n"


@pytest.mark.parametrize(
    ("root", "child", "text"),
    [
        ("root.yaml", "fa-1-vpc.yaml", nesting("!Sub 'https://b.s3.amazonaws.com/${P}/${P}-vpc.yaml'", P="fa-1")),
        ("root.yaml", "x-vpc.yaml", nesting("!Sub 'https://b.s3.amazonaws.com/${Unknown}-vpc.yaml'")),
        ("root.yaml", "vpc.yaml", nesting("!Join ['/', ['https://b.s3.amazonaws.com', !Ref F]]", F="vpc.yaml")),
        ("root.yaml", "vpc.yaml", nesting("!If [C, 'https://a/x/vpc.yaml', 'https://b/y/vpc.yaml']")),
        ("quick/root.yaml", "modules/net/vpc.yaml", nesting("!Sub 'https://b/${U}modules/net/vpc.yaml'", U="v1/")),
        ("quick/root.yaml", "modules/net/vpc.yaml", nesting("../modules/net/vpc.yaml")),
        ("root.yaml", "deep/down/vpc.yaml", nesting("!Sub 'https://b.s3.amazonaws.com/${Unknown}/vpc.yaml'")),
    ],
)
def test_a_nested_stack_is_followed_wherever_its_file_lies(tmp_path: Path, root: str, child: str, text: str) -> None:
    for name, content in ((root, text), (child, CHILD_OF_ONE)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    report = lint_files(tmp_path)
    assert (report.followed, report.unfollowed) == (1, [])
    assert [(f.file, f.rule) for f in report.findings if f.rule < "T" and f.rule.startswith("S1")] == [(root, "S104")]


def test_both_templates_of_a_choice_are_followed(tmp_path: Path) -> None:
    text = nesting("!If [C, 'https://a/x/one.yaml', 'https://a/x/two.yaml']")
    (tmp_path / "root.yaml").write_text(text + "Conditions: {C: !Equals [!Ref Unknown, a]}\n", encoding="utf-8")
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(CHILD_OF_ONE, encoding="utf-8")
    report = lint_files(tmp_path)
    assert report.followed == 2
    told = {finding.message.partition(", which ")[2][:8] for finding in report.findings if finding.rule == "S104"}
    assert told == {"one.yaml", "two.yaml"}


@pytest.mark.parametrize("noted", ["metadata", "manifest"])
def test_what_cdk_has_published_under_a_digest_is_followed(tmp_path: Path, noted: str) -> None:
    digest = "0f" * 32
    stack: dict[str, object] = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": {"Fn::Sub": f"https://s3.${{AWS::Region}}.amazonaws.com/assets/{digest}.json"}},
    }
    if noted == "metadata":
        stack["Metadata"] = {"aws:asset:path": "Child.nested.template.json", "aws:asset:property": "TemplateURL"}
    destination = {"current": {"bucketName": "b", "objectKey": f"{digest}.json"}}
    manifest = {"files": {digest: {"source": {"path": "Child.nested.template.json"}, "destinations": destination}}}
    child = {"Parameters": {"Name": {"Type": "String"}}, "Resources": {"T": {"Type": "AWS::SNS::Topic"}}}
    written = {"App.template.json": {"Resources": {"N": stack}}, "Child.nested.template.json": child}
    if noted == "manifest":
        written["App.assets.json"] = manifest
    for name, body in written.items():
        (tmp_path / name).write_text(json.dumps(body, indent=1), encoding="utf-8")
    report = lint_files(tmp_path)
    assert (len(report.templates), report.followed) == (2, 1)
    assert "S104" in {finding.rule for finding in report.findings}


def test_a_report_says_why_a_nested_stack_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text(nesting("!Sub 'https://b/${Unknown}'"), encoding="utf-8")
    (stack,) = lint_files(tmp_path / "root.yaml").unfollowed
    assert (stack.file, stack.line, stack.logical_id) == ("root.yaml", 4, "N")
    assert stack.why == "its TemplateURL ends in Unknown, which has no default"


def test_a_template_on_which_cfn_lint_crashes_is_one_finding_and_the_others_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("AWSTemplateFormatVersion: 2010-09-09\nResources: [a]\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(TOPIC, encoding="utf-8")
    found = [(finding.file, finding.rule) for finding in lint_files(tmp_path).findings]
    assert found == [("a.yaml", "E3001"), ("b.yaml", "E3012")]


def test_a_template_on_which_cfn_lint_does_not_end_is_one_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "".join(f"  C{n}: !And [!Condition C{n - 1}, !Equals [!Ref P{n}, x]]\n" for n in range(1, 20))
    (tmp_path / "a.yaml").write_text(TOPIC + f"Conditions:\n{slow}", encoding="utf-8")
    monkeypatch.setattr("scaleout_cfn.lint.cfn_lint.TIME_S", 0.0)
    (finding,) = (finding for finding in lint_files(tmp_path).findings if finding.rule == "E0002")
    assert (finding.file, "longer than" in finding.message) == ("a.yaml", True)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "E3012" in {finding.rule for finding in lint_files(tmp_path).findings}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="CPU time has no bound here")
def test_the_bound_of_a_template_is_of_cpu_time_not_of_how_busy_the_machine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(TOPIC, encoding="utf-8")
    monkeypatch.setattr("scaleout_cfn.lint.files.cfn_lint", CfnLint())
    monkeypatch.setattr("scaleout_cfn.lint.cfn_lint.TIME_S", 0.01)  # less than cfn-lint takes to load
    monkeypatch.setattr("scaleout_cfn.lint.cfn_lint.BUSY", 1e6)
    (finding,) = (finding for finding in lint_files(tmp_path).findings if finding.rule == "E0002")
    assert "longer than 0.01 s" in finding.message


def test_a_rule_of_ours_that_fails_is_one_finding_and_hides_no_other_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = next(rule for rule in RULES if rule.id == "S308")

    def fragile(stacks: StackSet) -> Faults:
        if "a.yaml" in stacks.facts:
            raise KeyError("x")
        yield from rule.judge(stacks)

    monkeypatch.setattr("scaleout_cfn.lint.files.RULES", (replace(rule, judge=fragile),))
    for name in ("a.yaml", "b.yaml"):
        text = "Resources: {Old: {Type: 'AWS::AutoScaling::LaunchConfiguration'}}\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {(f.file, f.rule) for f in lint_files(tmp_path).findings if f.rule in ("S308", "E0002")}
    assert found == {("a.yaml", "E0002"), ("b.yaml", "S308")}


@pytest.mark.parametrize("place", ["template", "resource", ".cfnlintrc"])
@pytest.mark.parametrize(("switched_off", "silent"), [("S308", True), ("S301", False)])
def test_rules_of_ours_are_switched_off_as_cfn_lints_are(
    tmp_path: Path, place: str, switched_off: str, silent: bool
) -> None:
    metadata = f"Metadata: {{cfn-lint: {{config: {{ignore_checks: [{switched_off}]}}}}}}"
    resource = metadata if place == "resource" else "Metadata: {}"
    text = f"Resources:\n  Old:\n    Type: AWS::AutoScaling::LaunchConfiguration\n    {resource}\n"
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.yaml").write_text(text + (metadata if place == "template" else ""), encoding="utf-8")
    if place == ".cfnlintrc":
        (folder / ".cfnlintrc").write_text(f"ignore_checks: [{switched_off}]\n", encoding="utf-8")
    assert ("S308" not in {finding.rule for finding in lint_files(folder).findings}) is silent


def test_files_that_the_settings_ignore_are_followed_but_not_judged(tmp_path: Path) -> None:
    """As cfn-lint's ignore_templates, by globs from the folder of the settings; broken ones, too."""
    folder = tmp_path / "set"
    (folder / "old").mkdir(parents=True)
    for name in ("a.yaml", "old/b.yaml", "c.yaml"):
        (folder / name).write_text("Resources: {Old: {Type: 'AWS::AutoScaling::LaunchConfiguration'}}\n", "utf-8")
    (folder / "old" / "broken.yaml").write_text("Resources: {{ jinja }}\n", "utf-8")
    assert {finding.rule for finding in lint_files(folder).findings} >= {"E0000", "S308", "E3003"}
    (folder / ".cfnlintrc").write_text("ignore_templates: [c.yaml, 'old/**']\n", "utf-8")
    report = lint_files(folder)
    assert {Path(finding.file).name for finding in report.findings} == {"a.yaml"}
    assert not any(finding.copies for finding in report.findings)


@pytest.mark.parametrize(
    "settings",
    ["ignore_checks: E3002", "nonsense: 1", "ignore_checks: [E3002", "- a", "append_rules: [no_such_module]"],
)
def test_settings_that_cfn_lint_cannot_take_are_said_in_a_sentence(tmp_path: Path, settings: str) -> None:
    (tmp_path / "a.yaml").write_text(TOPIC, encoding="utf-8")
    (tmp_path / ".cfnlintrc").write_text(settings, encoding="utf-8")
    with pytest.raises(ValueError, match=r"ignore_checks|nonsense|expected|cfnlintrc|no_such_module") as caught:
        lint_files(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")
def test_a_file_that_can_be_read_once_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/stdin")):
        with pytest.raises(UsageError, match="read twice"):
            lint_files(path)


def test_what_cfn_lint_says_of_one_place_again_and_again_is_told_once_with_a_count(tmp_path: Path) -> None:
    text = (
        "Resources:\n  A: {Type: 'AWS::SNS::Topic'}\n  R:\n    Type: AWS::SNS::TopicPolicy\n    DependsOn: [A]\n"
        "    Properties: {Topics: [!Ref A, !Ref A, !Ref A], PolicyDocument: {Statement: []}}\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    (finding,) = (finding for finding in lint_files(tmp_path).findings if finding.rule == "W3005")
    assert finding.count == 3


def test_a_circle_of_nested_stacks_is_told_once(tmp_path: Path) -> None:
    nested = (
        "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: c.yaml, Parameters: {P: !GetAtt %s.Outputs.O}}}"
    )
    text = f"Resources:\n  A: {nested % 'B'}\n  B: {nested % 'A'}\n"
    (tmp_path / "root.yaml").write_text(text, encoding="utf-8")
    child = (
        "Parameters: {P: {Type: String}}\nResources: {T: {Type: 'AWS::SNS::Topic'}}\nOutputs: {O: {Value: !Ref P}}\n"
    )
    (tmp_path / "c.yaml").write_text(child, encoding="utf-8")
    found = [finding.rule for finding in lint_files(tmp_path).findings if finding.severity == "error"]
    assert found == ["S110"]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Resources: [a]\n", ["E3001"]),
        ("Parameters: [a]\nResources: {A: {Type: 'AWS::SNS::Topic'}}\n", ["E2001"]),
        ("Resources: {A: text}\n", ["E3001"]),
    ],
)
def test_a_part_of_the_wrong_shape_is_told_without_the_rules_that_stumble_over_it(
    tmp_path: Path, text: str, rules: list[str]
) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert [finding.rule for finding in lint_files(tmp_path / "a.yaml").findings] == rules


def test_files_are_named_as_a_terminal_can_open_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.yaml").write_text(TOPIC, encoding="utf-8")
    assert {finding.file for finding in lint_files("set").findings} == {"set/a.yaml"}
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert {finding.file for finding in lint_files("../set").findings} == {str(tmp_path / "set" / "a.yaml")}


def test_linting_imports_neither_troposphere_nor_boto3_nor_rich(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TOPIC, encoding="utf-8")
    code = (
        "import sys; from scaleout_cfn.cli import main\n"
        "try: main()\n"
        "finally: print({'boto3', 'botocore', 'troposphere', 'awacs', 'rich', 'cfnlint'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code, "lint", "a.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 10
    assert done.stdout.endswith("set()\n")


class Counting(CfnLint):
    """cfn-lint, and what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Path] = []

    def __call__(self, template: Path, settings: Path, regions: Sequence[str], read: bool = True) -> Answer:
        self.asked.append(template)
        return super().__call__(template, settings, regions, read)


def test_files_of_one_folder_with_one_text_are_checked_once_and_each_is_named_by_its_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    monkeypatch.setattr("scaleout_cfn.lint.files.cfn_lint", counting)
    parent = f"{TOPIC}  N: {{Type: 'AWS::CloudFormation::Stack', Properties: {{TemplateURL: child.yaml}}}}\n"
    for folder, child in (("a", "Parameters: {P: {Type: String}}\n"), ("b", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "child.yaml").write_text(child + TOPIC, encoding="utf-8")
        for name in ("one.yaml", "two.yaml"):
            (tmp_path / folder / name).write_text(parent, encoding="utf-8")
    found = lint_files(tmp_path).findings
    assert len(counting.asked) == 4
    one, two, other = (
        {replace(finding, file="", copies=()) for finding in found if file in (finding.file, *finding.copies)}
        for file in ("a/one.yaml", "a/two.yaml", "b/one.yaml")
    )
    assert one == two != other
    assert "E3012" in {finding.rule for finding in other}


def test_cfn_lint_makes_no_class_of_validators_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN, encoding="utf-8")
    worker = Path(sys.modules[CfnLint.__module__].__file__ or "").with_name("worker.py")
    code = f"""
import runpy
from cfnlint.jsonschema import validators
worker, make, made = runpy.run_path({str(worker)!r}), validators.create, []
validators.create = lambda **parts: made.append(parts) or make(**parts)
worker["make_validators_once"]()
for _ in range(2):
    said = worker["answer"]({{"settings": ".", "template": "a.yaml", "regions": [], "read": True}})
    print(len(made), len(said["found"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    assert first == second
    assert int(first.split()[0]) > 0
