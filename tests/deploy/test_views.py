"""What is shown, at three widths: golden files under golden/. `GOLDEN=write pytest tests/deploy/test_views.py` makes
them anew; the diff then shows what changed."""

from __future__ import annotations

import io
import json
import os
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from scaleout_cfn.cli.draw import Screen, cut, duration, event_line, outcome_lines, plan_lines
from scaleout_cfn.cli.tree import TreeView
from scaleout_cfn.cli.views import JsonView, LinesView, confirmed
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Plan, Property
from scaleout_cfn.deploy.diagnose import diagnose
from scaleout_cfn.deploy.messages import Blocked, Message, Note, Outcome, Planned, Rollout, Started, Uploaded, Watched
from scaleout_cfn.deploy.outcome import outcome_of_error
from scaleout_cfn.deploy.watch.events import Progress
from scaleout_cfn.errors import RefusedError, Stopped

from .helpers import Deployer, Small, running
from .test_waiting import answering, moving

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = [80, 120, 200]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/scfn-set-0123456789abcdef-01234567/1"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web@sha256:"


def plan() -> Plan:
    containers = [json.dumps([{"Name": "web", "Image": IMAGE + one * 64, "Memory": 128}]) for one in "19"]
    definition = Property("ContainerDefinitions", containers[0], containers[1], "certain")
    port = Property("Port", "80", "81", "certain")
    key = Property("KeySchema", '[{"AttributeName": "id"}]', '[{"AttributeName": "pk"}]', "certain")
    group = Property("VpcId", "vpc-1", UNKNOWN, "possible", follows="Network/Vpc", unchanged=True)
    arn = Property("LoadBalancerArn", "arn:1", UNKNOWN, "possible")
    balancer = "AWS::ElasticLoadBalancingV2"
    changes = (
        Change("Api", "AWS::CloudFormation::Stack", "Modify"),
        Change("Api/SecurityGroup", "AWS::EC2::SecurityGroup", "Modify", properties=(group,)),
        Change("Web", "AWS::CloudFormation::Stack", "Modify"),
        Change("Web/SecurityGroup", "AWS::EC2::SecurityGroup", "Modify", properties=(group,)),
        Change("Web/TargetGroup", f"{balancer}::TargetGroup", "Modify", "certain", properties=(port,)),
        Change("Web/Listener", f"{balancer}::Listener", "Modify", "possible", properties=(arn,)),
        Change("Service", "AWS::CloudFormation::Stack", "Modify"),
        Change("Service/TaskDefinition", "AWS::ECS::TaskDefinition", "Modify", "certain", properties=(definition,)),
        Change("Service/HighLatency", "AWS::CloudWatch::Alarm", "Add"),
        Change("Data", "AWS::CloudFormation::Stack", "Modify"),
        Change("Data/Table", "AWS::DynamoDB::Table", "Modify", "certain", "ReplaceAndDelete", True, properties=(key,)),
        Change("Data/Logs", "AWS::Logs::LogGroup", "Remove", policy="Retain", stateful=True),
        Change("Cache", "AWS::CloudFormation::Stack", "Remove"),
    )
    return Plan("web", "arn:x", ARN, False, "", changes, ("validation: the repository holds 14 images",))


def messages() -> list[Message]:
    """An update that fails, as the fake tells it."""
    deployer = running()
    deployer.world.cfn.failures["Service/Service"] = ("ECS Deployment Circuit Breaker was triggered", 1)
    outcome = deployer.deploy(image="web:2")
    started = Started("deploy", "web", "123456789012", "eu-west-1", "arn:aws:iam::123456789012:user/ci")
    return [started, *deployer.said, outcome]


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    text = re.sub(r"(scfn-[a-z]+)-[0-9a-f]{16}-[0-9a-f]{8}", r"\1-FINGERPRINT", text)  # of the templates
    text = re.sub(r"templates/[0-9a-f]{64}", "templates/HASH", text)
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_looks_like_this(width: int) -> None:
    lines = plan_lines(plan(), width, ())
    assert max(map(len, lines)) <= width
    golden(f"plan-{width}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_with_what_aws_cannot_tell_looks_like_this(width: int) -> None:
    lines = plan_lines(plan(), width, (), verbose=True)
    assert max(map(len, lines)) <= width
    golden(f"plan-verbose-{width}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_that_takes_in_what_is_there_looks_like_this(width: int) -> None:
    changes = (
        Change("WebFoundation", "AWS::CloudFormation::Stack", "Add"),
        Change("WebFoundation/Repository", "AWS::ECR::Repository", "Import", stateful=True),
        Change("WebFoundation/Logs", "AWS::Logs::LogGroup", "Import", stateful=True),
        Change("WebFoundation/TargetErrors", "AWS::CloudWatch::Alarm", "Add"),
    )
    lines = plan_lines(Plan("web", "arn:x", ARN, True, "", changes), width)
    assert max(map(len, lines)) <= width
    golden(f"plan-import-{width}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_that_sets_back_what_drifted_looks_like_this(width: int) -> None:
    days = Property("RetentionInDays", "7", "30", drifted=True, template="30")
    policies = [json.dumps([{"Name": "read", "Actions": [action]}]) for action in ("s3:*", "s3:GetObject")]
    policy = Property("Policies", policies[0], policies[1], drifted=True, template=policies[1])
    tag = Property("Description", "by hand", "by the set", drifted=True)
    changes = (
        Change("WebFoundation", "AWS::CloudFormation::Stack", "Modify"),
        Change("WebFoundation/Logs", "AWS::Logs::LogGroup", "Modify", properties=(days,), drift="MODIFIED"),
        Change("WebFoundation/TooFewHealthy", "AWS::CloudWatch::Alarm", "Add", drift="DELETED"),
        Change("WebService", "AWS::CloudFormation::Stack", "Modify"),
        Change("WebService/TaskRole", "AWS::IAM::Role", "Modify", properties=(policy, tag), drift="MODIFIED"),
    )
    lines = plan_lines(Plan("web", "arn:x", ARN, False, "", changes), width)
    assert max(map(len, lines)) <= width
    golden(f"plan-drift-{width}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_tree_looks_like_this(width: int) -> None:
    screen, drawn = Screen(stack="web"), []
    for message in messages():
        if isinstance(message, (Watched, Rollout)):
            screen = screen.take(message)
            drawn += [*screen.lines(width), ""]
    assert max(map(len, drawn)) <= width
    golden(f"tree-{width}.txt", "\n".join(drawn))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_deployment_that_waits_at_a_pause_looks_like_this_in_both_views(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines say what changes and no more; the tree has what is now."""
    deployer = moving(pauses=("POST_TEST_TRAFFIC_SHIFT",), strategy="CANARY", step=5.0, bake_min=3)
    outcome = answering(deployer, "CONTINUE")
    view = LinesView(now=lambda: NOW, width=width)
    screen, drawn = Screen(stack="web"), []
    for message in [*deployer.said, outcome]:
        view.tell(message)
        if isinstance(message, (Watched, Rollout)):
            screen = screen.take(message)
            drawn += [line for line in screen.lines(width)[3:-1] if line not in drawn]
    assert max(map(len, drawn)) <= width
    shown = capsys.readouterr()
    out = re.sub(r"(\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\dZ), [\d a-z]+ left", r"\2, SPAN left", shown.out)
    golden(f"pause-{width}.txt", "\n".join([shown.err, out, *drawn]) + "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_look_like_this(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    view = LinesView(now=lambda: NOW, width=width)
    for message in messages():
        view.tell(message)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err
    assert "ServiceName" in shown.out  # data on stdout
    golden(f"lines-{width}.txt", shown.err)


def test_json_looks_like_this_and_ends_with_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView()
    for message in messages():
        view.tell(message)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["v"] for line in lines} == {1}
    assert (lines[0]["type"], lines[-1]["type"], lines[-1]["exit"]) == ("start", "result", 4)
    assert lines[-1]["cause"]["path"] == "Service/Service"
    golden("lines.json", "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


def test_every_message_has_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    every: list[Message] = [
        Started("x", "web", "1", "r", "a"), Uploaded(1, 2, "u"), Planned(plan()), Blocked({"A": "b"}), Note("n"),
        Rollout("web", "s", "PENDING"), Outcome("done", "w"), outcome_of_error(RefusedError("no", state="s")),
    ]  # fmt: skip
    for message in every:
        assert json.loads(JsonView().line(message))["v"] == 1


def test_a_heartbeat_comes_while_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    deployer = Deployer()
    deployer.world.cfn.resource_s = 200
    deployer.deploy()
    view = LinesView(now=lambda: NOW, width=120)
    for message in deployer.said:
        view.tell(message)
    beats = [line for line in capsys.readouterr().err.splitlines() if "heartbeat" in line]
    assert 4 <= len(beats) <= 9
    assert "at work: Data/Table" in beats[0]


def test_over_the_pause_of_a_day_a_line_comes_every_ten_minutes_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    view = LinesView(now=lambda: NOW, width=120)
    looks = range(0, 24 * 3600, 5)
    told = []
    for elapsed_s in looks:
        view.tell(Watched("UPDATE_IN_PROGRESS", (), Progress(1, 2, ("Service",)), float(elapsed_s)))
        told += [elapsed_s] * len(capsys.readouterr().err.splitlines())
    gaps = [later - earlier for earlier, later in pairwise([0, *told])]
    assert gaps[:6] == [30, 60, 120, 240, 480, 600]
    assert set(gaps[5:]) == {600}


def test_without_a_terminal_each_resource_is_told_when_it_has_ended_and_by_events_also_when_it_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    deployer = Deployer()
    deployer.deploy()
    events = [event for message in deployer.said if isinstance(message, Watched) for event in message.events]
    for command, told in (
        ("deploy", [event for event in events if not event.path or not event.running]),
        ("events", events),
    ):
        view = LinesView(now=lambda: NOW, width=120)
        view.tell(Started(command, "web", "1", "r", "a"))
        view.tell(Watched("", tuple(events), Progress(0, 0, ()), 0))
        lines = capsys.readouterr().err.splitlines()[1:]
        told = [event for event in told if not (event.of_stack and event.path)]
        assert lines == [f"{event.time:%H:%M:%SZ} {event_line(event, 'web')}" for event in told]


def test_a_diagnosis_tells_its_cause_once(capsys: pytest.CaptureFixture[str]) -> None:
    deployer = Deployer()
    deployer.world.cfn.failures["Word"] = ("no such luck", 1)
    deployer.deploy()
    view = LinesView(now=lambda: NOW, width=120)
    aws = deployer.world.aws()
    capsys.readouterr()
    view.tell(diagnose(aws, "web", view.tell))
    said = capsys.readouterr()
    assert (said.out + said.err).count("no such luck") == 1
    assert "web: Word failed first" in said.err


def test_a_reason_with_control_codes_does_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    LinesView(now=lambda: NOW, width=80).tell(Note("a\x1b[2Jb"))
    assert "\x1b" not in capsys.readouterr().err


def test_in_github_plan_and_events_fold_away_and_a_failure_is_one_annotation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    view = LinesView(now=lambda: NOW, width=120)
    for message in [*messages()[:-1], Note("100% full", "warning"), messages()[-1]]:
        view.tell(message)
    lines = capsys.readouterr().err.splitlines()
    commands = [line for line in lines if line.startswith("::")]
    assert commands[:4] == [
        "::group::changes to web",
        "::endgroup::",
        "::group::events of web",
        "::warning::100%25 full",
    ]
    assert commands[4] == "::endgroup::"
    (error,) = commands[5:]
    assert error.startswith("::error::✗ web: the update failed and was rolled back")
    assert "%0A  cause  Service/Service" in error and "%0A  next   scaleout-cfn diagnose" in error
    assert error == lines[-1]


def test_elsewhere_there_are_no_workflow_commands(capsys: pytest.CaptureFixture[str]) -> None:
    view = LinesView(now=lambda: NOW, width=120)
    for message in messages():
        view.tell(message)
    assert "::" not in re.sub("AWS::[A-Za-z0-9]+::|[a-z]::", "", capsys.readouterr().err)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tree_on_a_terminal_ends_with_what_failed_and_what_to_do(width: int) -> None:
    out = io.StringIO()
    view = TreeView(console=Console(file=out, width=width, height=30, force_terminal=True, no_color=True))
    for message in messages():
        view.tell(message)
    view.close()
    text = out.getvalue()
    assert "UPDATE_ROLLBACK_COMPLETE" in text
    assert "scaleout-cfn diagnose" in text
    assert "✗ ERROR web/Service/Service" in text
    assert "\x1b[3" not in text  # no colour


@pytest.fixture
def shown_outcome() -> list[str]:
    deployer = running()
    deployer.world.cfn.failures["Word"] = ("no", 1)
    return outcome_lines(deployer.deploy(Small(word="x")), 80)


def test_an_outcome_names_cause_state_next_command_and_code(shown_outcome: list[str]) -> None:
    text = "\n".join(shown_outcome)
    assert all(word in text for word in ("cause  Word", "why", "next   scaleout-cfn", "exit   4", "✗ web:"))


def test_what_goes_on_has_no_mark_of_a_failure() -> None:
    assert outcome_lines(Outcome("still_running", "web: stopped watching"), 80)[0] == "… web: stopped watching"


def test_what_is_too_long_keeps_both_ends() -> None:
    assert cut("arn:aws:ecs:eu-west-1:service/web", 16) == "arn:aws:…ice/web"
    assert duration(3723) == "1:02:03"


@pytest.mark.parametrize(
    ("typed", "answer"),
    [(["y"], True), (["yes"], True), (["maybe", "Y"], True), (["n"], False), ([""], False), ([], False)],
)
def test_only_a_yes_is_one(monkeypatch: pytest.MonkeyPatch, typed: list[str], answer: bool) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    assert confirmed("Apply this?") is answer


def test_a_signal_at_a_question_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> str:
        raise Stopped(15)

    monkeypatch.setattr("builtins.input", stopped)
    with pytest.raises(Stopped) as stop:
        confirmed("Apply this?")
    assert stop.value.number == 15
