"""`lint` for whoever uses nothing else of this: formats, baselines, single rules, explanations, and other programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn import compose, render
from scaleout_cfn.cli import cli, deploy
from scaleout_cfn.config import Config
from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint import RULES, check_set
from scaleout_cfn.lint.explain import merged
from scaleout_cfn.lint.files import Report, lint_files
from scaleout_cfn.lint.formats import FORMATS, Baseline
from scaleout_cfn.templates.values import Finding

from .sets import good, write

REPOSITORY = Path(__file__).parents[2]
PARENT = """
Resources:
  Child: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: b.yaml, Parameters: {Nmae: x}}}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicNmae: x}}
"""
CHILD = "Parameters: {Name: {Type: String, Default: a}}\nResources: {Topic: {Type: AWS::SNS::Topic}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two templates and two mistakes, and the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.yaml").write_text(PARENT, encoding="utf-8")
    (tmp_path / "set" / "b.yaml").write_text(CHILD, encoding="utf-8")
    return tmp_path


def lint(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["lint", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def findings(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(lint("--format", "json", *arguments)[1])["findings"]
    return found


TEXTS = st.text(alphabet=st.characters(codec="utf-16", categories=None) | st.sampled_from("%:,\r\n\0<&]]>"))
REPORTS = st.builds(
    Report,
    findings=st.lists(
        st.builds(
            Finding,
            file=TEXTS,
            line=st.none() | st.integers(1, 99),
            path=TEXTS,
            rule=st.sampled_from(["S101", "E3012", "W1"]),
            severity=st.sampled_from(["error", "warning", "info"]),
            message=TEXTS,
            cure=TEXTS,
            source=TEXTS,
        ),
        max_size=3,
    ),
    templates=st.lists(TEXTS, max_size=2),
    followed=st.just(0),
    unfollowed=st.just([]),
)


@given(REPORTS)
def test_any_finding_can_be_written_in_any_format_and_read_again(report: Report) -> None:
    failures = sum(finding.severity != "info" for finding in report.findings)
    assert len(json.loads(FORMATS["json"](report))["findings"]) == len(report.findings)
    (run,) = json.loads(FORMATS["sarif"](report))["runs"]
    assert [result["ruleId"] for result in run["results"]] == [finding.rule for finding in report.findings]
    suites = ElementTree.fromstring(FORMATS["junit"](report))
    assert len(suites.findall("testsuite/testcase/failure")) == failures
    assert sum(int(suite.attrib["failures"]) for suite in suites) == failures
    lines = FORMATS["github"](report).split("\n") if report.findings else []
    assert len(lines) == len(report.findings)
    assert all(re.match(r"::(error|warning|notice) file=[^:,]*,line=\d+,title=\w+::", line) for line in lines)


def test_sarif_is_of_its_schema(here: Path) -> None:
    """The parts of SARIF 2.1.0's schema that are required, and those that GitHub asks for."""
    code, out, err = lint("--format", "sarif", "set")
    assert code == 10
    assert "errors" in err
    sarif = json.loads(out)
    place = {
        "type": "object",
        "required": ["physicalLocation"],
        "properties": {
            "physicalLocation": {
                "type": "object",
                "required": ["artifactLocation", "region"],
                "properties": {
                    "artifactLocation": {"properties": {"uri": {"type": "string", "pattern": "^set/[ab].yaml$"}}},
                    "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
                },
            }
        },
    }
    result = {
        "type": "object",
        "required": ["ruleId", "level", "message", "locations", "partialFingerprints"],
        "properties": {
            "level": {"enum": ["none", "note", "warning", "error"]},
            "message": {"type": "object", "required": ["text"]},
            "locations": {"type": "array", "minItems": 1, "items": place},
        },
    }
    jsonschema.validate(sarif["runs"][0]["results"], {"type": "array", "minItems": 2, "items": result})
    assert sarif["version"] == "2.1.0"
    driver = sarif["runs"][0]["tool"]["driver"]
    for found in sarif["runs"][0]["results"]:
        assert driver["rules"][found["ruleIndex"]]["id"] == found["ruleId"]
    assert all(rule["helpUri"].startswith("https://") for rule in driver["rules"])


def test_annotations_and_junit_name_the_file_and_the_line(here: Path) -> None:
    assert re.search(r"^::error file=set/a.yaml,line=\d,title=S103::.*Nmae", lint("--format", "github", "set")[1], re.M)
    suites = ElementTree.fromstring(lint("--format", "junit", "set")[1])
    (failure, *_) = suites.findall("testsuite[@name='set/a.yaml']/testcase/failure")
    assert failure.text is not None
    assert failure.text.startswith("set/a.yaml:")


def test_only_and_ignore_choose_rules_by_how_they_begin(here: Path) -> None:
    every = {finding["rule"] for finding in findings("set")}
    assert {"S103", "E3002"} <= every
    assert {finding["rule"] for finding in findings("--only", "S", "set")} == {rule for rule in every if rule[0] == "S"}
    assert {finding["rule"] for finding in findings("--ignore", "S1", "set")} == every - {"S103"}
    assert findings("--only", "S103", "--ignore", "S103", "set") == []
    assert findings("--only", "s1, E3002", "set") == findings("--only", "S1", "--only", "E3002", "set")
    for option in ("--only", "--ignore"):
        with pytest.raises(UsageError, match=f"{option} S4711: no rule begins so; docs/rules.md lists ours"):
            lint(option, "S4711", "set")


def test_a_baseline_leaves_old_findings_out_and_shows_new_ones(here: Path) -> None:
    code, out, err = lint("--baseline", "known.json", "--update-baseline", "set")
    assert (code, out) == (0, "")
    assert "known.json knows" in err
    before = (here / "known.json").read_text(encoding="utf-8")
    code, out, err = lint("--baseline", "known.json", "set")
    assert (code, out) == (0, "")
    assert "more that known.json knows" in err
    # Lines may move, and a second mistake is new.
    (here / "set" / "a.yaml").write_text("\n\n" + PARENT + "  Other: {Type: AWS::SNS::Topic, Properties: {No: 1}}\n")
    code, out, err = lint("--baseline", "known.json", "set")
    assert code == 10
    assert "Resources.Other" in out
    assert "Nmae" not in out
    (here / "set" / "a.yaml").write_text("Resources: {Topic: {Type: AWS::SNS::Topic}}\n", encoding="utf-8")
    assert "are gone: --update-baseline forgets them" in lint("--baseline", "known.json", "set")[2]
    lint("--baseline", "known.json", "--update-baseline", "set")
    assert (here / "known.json").read_text(encoding="utf-8") != before


@given(REPORTS, st.integers(0, 3))
def test_a_baseline_knows_what_it_was_made_of_and_nothing_else(report: Report, more: int) -> None:
    baseline = Baseline.of(report.findings)
    assert baseline.new(report.findings) == []
    assert baseline.gone(report.findings) == 0
    assert baseline.new([*report.findings, *report.findings[:more]]) == report.findings[:more]
    assert baseline.gone([]) == sum(1 + len(finding.copies) for finding in report.findings)


def test_a_baseline_knows_the_copies_of_a_file_by_their_own_names(here: Path) -> None:
    wrong, right = (
        "Resources: {T: {Type: AWS::SNS::Topic, Properties: {No: 1}}}\n",
        "Resources: {T: {Type: AWS::SNS::Topic}}\n",
    )
    for name in ("a.yaml", "b.yaml"):
        (here / "set" / name).write_text(wrong, encoding="utf-8")
    lint("--baseline", "known.json", "--update-baseline", "set")
    assert lint("--baseline", "known.json", "set")[0] == 0
    (here / "set" / "a.yaml").write_text(right, encoding="utf-8")
    assert lint("--baseline", "known.json", "set")[0] == 0
    (here / "set" / "c.yaml").write_text(wrong, encoding="utf-8")
    assert lint("--baseline", "known.json", "set")[0] == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "writes it anew"),
        ("{}", "writes it anew"),
        ('{"findings": [1]}', "writes it anew"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_baseline_is_told_before_the_work(here: Path, text: str | None, says: str) -> None:
    if text is not None:
        (here / "known.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        lint("--baseline", "known.json", "nowhere")
    with pytest.raises(UsageError, match="--update-baseline: goes with --baseline FILE"):
        lint("--update-baseline", "set")


def test_several_folders_and_globs_are_one_set(here: Path) -> None:
    assert findings("set/*.yaml") == findings("set") == findings("s*/a.yaml", "set/b.yaml")
    assert findings("**/*.yaml") == findings("set")
    with pytest.raises(UsageError, match=r"stacks/\*.yaml: nothing is of this form"):
        lint("stacks/*.yaml")


def test_cdks_output_is_linted_and_copies_are_told_once(here: Path) -> None:
    """A stage has a folder of its own; manifests, trees and assets beside the templates are no templates."""
    out = here / "cdk.out"
    (out / "assembly-Prod").mkdir(parents=True)
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicNmae": "x"}}}}
    for place in ("Web.template.json", "assembly-Prod/Web.template.json"):
        (out / place).write_text(json.dumps(topic), encoding="utf-8")
    for place in ("tree.json", "Web.assets.json"):
        (out / place).write_text(json.dumps({"version": "48.0.0", "artifacts": {}, "files": {}}), encoding="utf-8")
    web = {"Web": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "Web.template.json"}}}
    stage = {"Prod": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Prod"}}}
    for folder, artifacts in ((out, web | stage), (out / "assembly-Prod", web)):
        manifest = json.dumps({"version": "48.0.0", "artifacts": artifacts})
        (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    (found,) = findings("cdk.out")
    assert found["file"] == "cdk.out/Web.template.json"
    assert found["copies"] == ["cdk.out/assembly-Prod/Web.template.json"]
    assert "So too in cdk.out/assembly-Prod/Web.template.json, of the same text." in lint("cdk.out")[1]


def test_every_rule_is_explained_by_a_wrong_and_a_right_template() -> None:
    path = REPOSITORY / "scaleout_cfn" / "data" / "rule_examples.json"
    examples = json.loads(path.read_text(encoding="utf-8"))
    data = examples["rules"]
    # Two hundred parameters, and a template of a megabyte.
    assert {rule.id for rule in RULES} - set(data) == {"S403", "S404"}
    for rule in RULES:
        code, out, _ = lint("--explain", rule.id)
        assert code == 0
        assert out.startswith(f"{rule.id}, ")
        assert rule.source in out
        assert ("Wrong:" in out and "Right:" in out) == (rule.id in data)
        if rule.id in data:
            assert check_set(merged(examples["set"], data[rule.id]["right"])) == []
            wrong, _, right = out.partition("Wrong:\n")[2].partition("Right:")
            assert re.search("^  > ", wrong + right, flags=re.M)
            plain = re.sub("^  [> ] ", "", wrong, flags=re.M)
            assert all(yaml.safe_load(text) for text in re.split("^# .*$", plain, flags=re.M)[1:])


def test_cfn_lints_rules_are_explained_and_no_rule_is_told() -> None:
    assert lint("--explain", "e3012")[1].startswith("E3012, of cfn-lint: ")
    with pytest.raises(UsageError, match="--explain S4711: no rule; ours are S101 to"):
        lint("--explain", "S4711")


def cfn_lint(*arguments: str, cwd: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", "import cfnlint.runner; cfnlint.runner.main()", "--format", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def test_cfn_lint_shows_our_rules_of_single_templates_at_their_place(tmp_path: Path) -> None:
    checked = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 9}
    properties: dict[str, Any] = {"Port": 80, "Protocol": "HTTP", "VpcId": "vpc-1", **checked}
    group = {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": properties}
    (tmp_path / "t.json").write_text(json.dumps({"Resources": {"Group": group}}, indent=1), encoding="utf-8")
    ours = ["--append-rules", "scaleout_cfn.lint.cfn_lint_rules"]
    (found,) = [one for one in cfn_lint(*ours, "-t", "t.json", cwd=tmp_path) if one["Rule"]["Id"] == "ES208"]
    assert (found["Level"], found["Location"]["Path"][:2]) == ("Error", ["Resources", "Group"])
    assert found["Location"]["Start"]["LineNumber"] > 2
    assert not [one for one in cfn_lint("-t", "t.json", cwd=tmp_path) if one["Rule"]["Id"] == "ES208"]


def test_settings_that_cfn_lint_cannot_take_stop_a_deployment_in_a_sentence(here: Path) -> None:
    (here / ".cfnlintrc").write_text("nonsense: 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"\.cfnlintrc: Invalid configuration key 'nonsense'"):
        deploy._lint(compose(Config()))


def test_settings_that_add_our_rules_to_cfn_lint_make_lint_say_nothing_twice(here: Path) -> None:
    before = findings("set")
    (here / ".cfnlintrc").write_text("append_rules: [scaleout_cfn.lint.cfn_lint_rules]\n", encoding="utf-8")
    assert findings("set") == before


def test_no_template_of_the_good_set_breaks_a_rule_of_single_templates_by_itself() -> None:
    for name, template in good().items():
        alone = [finding for finding in check_set({name: template}) if not finding.rule.startswith("S1")]
        assert [finding for finding in alone if finding.severity == "error"] == []


def test_the_hook_and_the_action_run_lint(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (tmp_path / "templates_out").mkdir()
    write(tmp_path / "templates_out")
    done = subprocess.run(
        [sys.executable, "-m", "scaleout_cfn", *hook["entry"].split()[1:], *hook["args"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 11), done.stdout + done.stderr
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
    *_, step = action["runs"]["steps"]
    assert "${{" not in step["run"]
    schema = ["--builtin-schema", "vendor.github-actions", str(REPOSITORY / "action.yml")]
    command = [sys.executable, "-m", "check_jsonschema", *schema]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_actions_script_passes_each_line_as_a_path(here: Path) -> None:
    *_, step = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    (here / "bin").mkdir()
    command = here / "bin" / "scaleout-cfn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scaleout_cfn "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{here / 'bin'}:{os.environ['PATH']}",
        "PATHS": "set/a.yaml\n\nset/*.yaml\n",
        "FORMAT": "github",
        "BASELINE": "",
    }
    done = subprocess.run(["bash", "-c", step["run"]], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    assert "::error file=set/a.yaml" in done.stdout


def test_a_report_of_ours_is_clean_in_every_format(tmp_path: Path) -> None:
    for name, text in render(compose()).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    report = lint_files(tmp_path)
    assert FORMATS["github"](report) == ""
    assert "<failure" not in FORMATS["junit"](report)
    assert json.loads(FORMATS["sarif"](report))["runs"][0]["results"] == []
