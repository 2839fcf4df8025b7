"""Taking a set down: what is asked before, in what order it goes, and what is left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from hypothesis import given
from hypothesis import strategies as st
from local import helpers
from local.conftest import Faults, _faulty, account, emulator, faults, faulty  # noqa: F401
from local.helpers import Account

import scaleout_cfn as sc
from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Pace, Patience
from scaleout_cfn.cli import main
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.changes.stateful import is_stateful
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.deploy.teardown.destroy import destroy
from scaleout_cfn.deploy.teardown.inventory import EMPTIED, PROTECTING, Inventory, held_back, inventory_of
from scaleout_cfn.errors import BusyError, RefusedError, UsageError

from .operations import Operator, wider, with_resource
from .world import Fault, Killed

TABLE = "Data/Table"
STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web/id"
TARGET = "service/main/Service|ecs:service:DesiredCount|ecs"
WRITES = (
    "RegisterScalableTarget",
    "UpdateService",
    "SetInstanceProtection",
    "BatchDeleteImage",
    "DeleteObjects",
    "DeleteStack",
)


def destroyed(deployer: Operator, *empty: str, agree: bool = True, wait_s: float | None = None) -> Outcome:
    deployer.said = []
    aws = deployer.world.aws()
    return destroy(aws, deployer.stack, empty or [TABLE], deployer.said.append, lambda _: agree, Patience(wait_s))


def whole(**world: Any) -> Operator:
    """A set with everything in it that a deletion has to think of."""
    deployer = wider(**world)
    with_resource(deployer, "Target", "AWS::ApplicationAutoScaling::ScalableTarget", TARGET)
    with_resource(deployer, "Nodes", "AWS::AutoScaling::AutoScalingGroup", "web-Nodes")
    with_resource(deployer, "Repository", "AWS::ECR::Repository", "web-images", "RetainExceptOnCreate")
    with_resource(deployer, "Bucket", "AWS::S3::Bucket", "web-bucket")
    with_resource(deployer, "Logs", "AWS::Logs::LogGroup", "web-logs")
    return deployer


def test_a_set_goes_and_what_is_retained_is_listed() -> None:
    deployer = whole()
    outcome = destroyed(deployer)
    assert (outcome.exit_code, outcome.end, outcome.status) == (0, "destroyed", "DELETE_COMPLETE")
    assert outcome.reason == "retained: Repository web-images"
    assert deployer.status() == "none"


def test_a_rehearsal_goes_with_all_that_is_in_it_and_asks_for_no_consent() -> None:
    deployer = whole(stored_bytes=10, versions=[("a", "1")])
    aws, told = deployer.world.aws(), deployer.said.append
    outcome = destroy(aws, deployer.stack, (), told, lambda _: True, Patience(None), rehearsal=True)
    assert (outcome.exit_code, deployer.status()) == (0, "none")


def test_the_stock_is_told_before_anything_is_asked() -> None:
    deployer = whole(images=["sha256:1"], stored_bytes=10)
    with pytest.raises(RefusedError):
        destroyed(deployer, TABLE, "Logs", agree=False)
    (told,) = [one for one in deployer.said if isinstance(one, Fact)]
    assert sorted(one["path"] for one in told.data["lost"]) == [TABLE, "Logs"]
    assert told.data["retained"] == [
        {"path": "Repository", "type": "AWS::ECR::Repository", "physical_id": "web-images", "holds": "1 images"}
    ]
    assert deployer.world.sent(*WRITES) == []


def test_scaling_stops_before_the_service_is_drained_and_all_that_before_the_deletion() -> None:
    deployer = whole(guarded=["i-1"])
    destroyed(deployer)
    order = ["RegisterScalableTarget", "UpdateService", "SetInstanceProtection", "DeleteStack"]
    assert deployer.world.sent(*WRITES) == order
    assert (deployer.world.bounds, deployer.world.desired) == ({"min": 0, "max": 0}, 0)
    assert deployer.world.still_running == 0


def test_the_deletion_waits_until_the_tasks_have_ended() -> None:
    deployer = whole(still_running=5)
    counts: list[int] = []

    def look(operation: str) -> None:
        if operation == "DeleteStack":
            counts.append(deployer.world.still_running)

    deployer.world.at_call = look
    destroyed(deployer)
    assert counts == [0]


def test_more_protected_instances_than_one_call_takes_are_released() -> None:
    deployer = whole(guarded=[f"i-{number}" for number in range(120)])
    destroyed(deployer)
    assert deployer.world.guarded == []
    assert deployer.world.sent("SetInstanceProtection") == ["SetInstanceProtection"] * 3


def test_data_goes_only_with_consent_by_its_path() -> None:
    deployer = whole(versions=[("a", "1")])
    with pytest.raises(RefusedError) as caught:
        destroyed(deployer)
    assert command_line(caught.value.next).endswith("--empty Bucket")
    assert deployer.world.sent(*WRITES) == []
    assert destroyed(deployer, TABLE, "Bucket").exit_code == 0


def test_only_what_is_named_is_emptied() -> None:
    deployer = whole(images=["sha256:1"], versions=[("a", "1"), ("a", "2"), ("b", "1")])
    destroyed(deployer, TABLE, "Bucket")
    assert (deployer.world.versions, deployer.world.images) == ([], ["sha256:1"])


def test_a_repository_is_emptied_also_of_images_that_others_name() -> None:
    deployer = whole(images=["part-1", "part-2", *(f"sha256:{number}" for number in range(120))])
    destroyed(deployer, TABLE, "Repository")
    assert deployer.world.images == []
    assert "retained: Repository" in destroyed_reason(deployer)


def destroyed_reason(deployer: Operator) -> str:
    return "".join(f"retained: {one.data['retained'][0]['path']}" for one in deployer.said if isinstance(one, Fact))


def test_what_cannot_be_looked_into_counts_as_full() -> None:
    deployer = whole()
    deployer.world.faults.append(Fault("ListObjectVersions", "AccessDenied", status=403))
    with pytest.raises(RefusedError) as caught:
        destroyed(deployer)
    assert "Bucket holds what we may not look at" in str(caught.value)


def test_a_template_that_cannot_be_read_keeps_nothing_for_safe() -> None:
    deployer = whole(images=["sha256:1"])
    deployer.world.faults.append(Fault("GetTemplate", "ValidationError", times=9))
    aws = deployer.world.aws()
    with pytest.raises(RefusedError) as caught:
        destroy(aws, "web", [TABLE], deployer.said.append, lambda _: True, Patience(), adopt=True)
    assert "Repository holds 1 images and would be deleted" in str(caught.value)


def test_a_name_that_means_nothing_is_refused() -> None:
    deployer = whole()
    for path in ("Word", "Data", "Nothing"):
        with pytest.raises(UsageError):
            destroyed(deployer, TABLE, path)
    assert deployer.world.sent(*WRITES) == []


def _declaring(deployer: Operator, title: str, properties: str) -> None:
    stack = deployer.root
    stack.text = stack.text.replace(f"  {title}:\n", f"  {title}:\n    Properties: {properties}\n", 1)


@pytest.mark.parametrize(
    ("kind", "properties", "protected"),
    [
        ("AWS::RDS::DBInstance", "{DeletionProtection: true}", True),
        ("AWS::RDS::DBInstance", "{DeletionProtection: 'false'}", False),
        ("AWS::RDS::DBInstance", "{DeletionProtection: !Ref WebImageUri}", True),  # it has a value
        ("AWS::DynamoDB::Table", "{DeletionProtectionEnabled: 'true'}", True),
        ("AWS::Cognito::UserPool", "{DeletionProtection: ACTIVE}", True),
        ("AWS::Cognito::UserPool", "{DeletionProtection: INACTIVE}", False),
        ("AWS::VerifiedPermissions::PolicyStore", "{DeletionProtection: {Mode: ENABLED}}", True),
        ("AWS::EC2::Instance", "{DisableApiTermination: true}", True),
        ("AWS::AutoScaling::AutoScalingGroup", "{DeletionProtection: none}", False),
        (
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "{LoadBalancerAttributes: [{Key: deletion_protection.enabled, Value: 'true'}]}",
            True,
        ),
        (
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "{LoadBalancerAttributes: [{Key: deletion_protection.enabled, Value: 'false'}]}",
            False,
        ),
    ],
)
def test_what_is_protected_from_deletion_is_met_before_anything_is_drained(
    kind: str, properties: str, protected: bool
) -> None:
    deployer = whole()
    with_resource(deployer, "Guarded", kind, "guarded")
    _declaring(deployer, "Guarded", properties)
    if not protected:
        assert destroyed(deployer, TABLE, *(["Guarded"] if is_stateful(kind) else [])).exit_code == 0
        return
    with pytest.raises(RefusedError, match=r"Guarded is not to be deleted: .* is on") as caught:
        destroyed(deployer)
    assert caught.value.exit_code == 6
    assert deployer.world.sent(*WRITES) == []


def test_every_property_that_protects_from_deletion_is_known() -> None:
    """Of all resource schemas. AppConfig's checks only whether a configuration is in use."""
    named = set()
    for kind in PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1"):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        named |= {name for name in schema.get("properties", {}) if re.search("(?i)(delet|terminat).*protect", name)}
    assert {name for name in named if not PROTECTING.fullmatch(name)} == {"DeletionProtectionCheck"}


def test_termination_protection_is_never_switched_off() -> None:
    deployer = whole()
    deployer.world.cfn.protected = True
    with pytest.raises(RefusedError) as caught:
        destroyed(deployer)
    assert "--no-enable-termination-protection" in command_line(caught.value.next)
    assert deployer.world.sent(*WRITES, "UpdateTerminationProtection") == []


def test_a_stack_that_is_being_updated_is_left_alone() -> None:
    deployer = whole()
    deployer.world.cfn._own(deployer.root, "UPDATE_IN_PROGRESS", "somebody")
    with pytest.raises(BusyError) as caught:
        destroyed(deployer)
    assert command_line(caught.value.next) == "scaleout-cfn cancel"


def test_a_deletion_that_runs_is_watched_and_a_stack_that_is_gone_is_nothing_to_do() -> None:
    deployer = whole(still_running=0)
    assert destroyed(deployer, wait_s=0).exit_code == 9
    assert deployer.root.status == "DELETE_IN_PROGRESS"
    assert destroyed(deployer).end == "destroyed"
    assert destroyed(deployer).end == "no_change"
    assert deployer.world.sent("DeleteStack") == ["DeleteStack"]


def test_a_step_that_fails_is_told_and_the_deletion_goes_on() -> None:
    deployer = whole()
    deployer.world.faults.append(Fault("RegisterScalableTarget", "AccessDeniedException"))
    deployer.world.faults.append(Fault("UpdateService", "ServiceNotFoundException"))
    assert destroyed(deployer).exit_code == 0
    assert "not done, Target" in deployer.notes
    assert "not done, Service" not in deployer.notes  # it is gone already


def test_a_deletion_that_fails_says_what_stopped_it_and_the_same_command_finishes_it() -> None:
    deployer = whole()
    deployer.world.cfn.stuck["Bucket"] = ("The bucket you tried to delete is not empty", 1)
    outcome = destroyed(deployer)
    assert (outcome.exit_code, outcome.status) == (5, "DELETE_FAILED")
    assert command_line(outcome.next) == "scaleout-cfn destroy --empty Bucket"
    # The table that was consented to is gone already: its name is no mistake.
    assert destroyed(deployer, TABLE, "Bucket").exit_code == 0


def test_the_cause_of_a_failed_deletion_is_found_in_a_nested_stack() -> None:
    deployer = whole()
    deployer.world.cfn.stuck["Service/Service"] = ("the service cannot be stopped", 1)
    outcome = destroyed(deployer)
    assert outcome.cause is not None
    assert (outcome.cause.path, outcome.reason) == ("Service/Service", "the service cannot be stopped")


def left_behind(deployer: Operator, *retain: str) -> Outcome:
    aws = deployer.world.aws()
    empty = ("Data/Table",) if "Data/Table" not in retain else ()
    return destroy(aws, "web", empty, deployer.said.append, lambda sentence: True, Patience(), "", retain)


def test_what_cannot_be_deleted_is_left_behind_by_its_path_also_in_a_nested_stack() -> None:
    deployer = wider()
    deployer.world.cfn.stuck = {"Data/Table": ("it is in use", 99), "Word": ("it is in use, too", 99)}
    outcome = destroyed(deployer, "Data/Table")
    assert (outcome.exit_code, outcome.status) == (5, "DELETE_FAILED")
    assert "--retain " in command_line(outcome.next)
    table = deployer.world.cfn.physical_id("Table")
    outcome = left_behind(deployer, "Data/Table", "Word")
    assert (outcome.exit_code, outcome.end) == (0, "destroyed")
    assert f"Data/Table {table}" in outcome.reason and "Word " in outcome.reason
    sent = [given for _, name, given in deployer.world.calls if name == "DeleteStack" and "RetainResources" in given]
    assert [given["RetainResources"] for given in sent] == [["Table"], ["Word"]]


def test_to_leave_something_behind_is_no_way_to_begin() -> None:
    with pytest.raises(UsageError, match="only a stack in DELETE_FAILED can leave something behind"):
        left_behind(wider(), "Data/Table")


def test_only_what_could_not_be_deleted_is_left_behind() -> None:
    deployer = wider()
    deployer.world.cfn.stuck = {"Word": ("it is in use", 99)}
    with_resource(deployer, "Other", "AWS::SNS::Topic", "topic")
    deployer.world.cfn.stuck["Other"] = ("so is this", 1)
    assert destroyed(deployer, "Data/Table").status == "DELETE_FAILED"
    deployer.root.resources["Other"]["status"] = "CREATE_COMPLETE"
    with pytest.raises(UsageError, match="--retain Other: it is CREATE_COMPLETE; give one of: Word"):
        left_behind(deployer, "Other")


def test_a_marked_resource_goes_only_with_consent() -> None:
    deployer = wider()
    stack = deployer.root
    stack.text = stack.text.replace("  Word:\n", '  Word:\n    Metadata:\n      "scaleout:stateful": true\n')
    with pytest.raises(RefusedError, match="Word holds data and would be deleted"):
        destroyed(deployer, "Data/Table")
    assert destroyed(deployer, "Data/Table", "Word").exit_code == 0


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_unclear_answer_is_settled_by_reading(carried_out: bool) -> None:
    deployer = whole()
    fault = Fault("DeleteStack", "" if carried_out else "InternalFailure", status=500, carried_out=carried_out)
    deployer.world.faults.append(fault)
    assert destroyed(deployer).exit_code == 0
    assert len(deployer.world.cfn.begun) == 1


def test_an_interrupt_before_the_deletion_says_that_the_stack_is_there() -> None:
    deployer = whole(still_running=9)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    deployer.world.at_sleep = interrupt
    outcome = destroyed(deployer)
    assert (outcome.exit_code, outcome.end, deployer.status()) == (130, "interrupted", "UPDATE_COMPLETE")
    deployer.world.at_sleep = None
    assert destroyed(deployer).exit_code == 0


def test_an_interrupt_while_one_watches_says_that_it_goes_on() -> None:
    deployer = whole(still_running=0)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    deployer.world.at_sleep = interrupt
    outcome = destroyed(deployer)
    assert (outcome.exit_code, outcome.end) == (130, "still_running")
    assert deployer.root.status == "DELETE_IN_PROGRESS"


def test_the_end_of_patience_while_tasks_end_deletes_nothing() -> None:
    deployer = whole(still_running=9)
    with pytest.raises(Exception, match="still ending") as caught:
        destroyed(deployer, wait_s=0)
    assert caught.value.exit_code == 9  # type: ignore[attr-defined]
    assert deployer.world.sent("DeleteStack") == []


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after AWS is done"])
@pytest.mark.parametrize("fails", [False, True], ids=["goes well", "fails once"])
def test_the_same_command_after_a_crash_ends_with_the_stack_gone(
    later: bool, fails: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin() -> Operator:
        deployer = whole(guarded=["i-1"], versions=[("a", "1"), ("b", "1"), ("c", "1")], images=["sha256:1"])
        if fails:
            deployer.world.cfn.stuck["Data/Table"] = ("throttled", 1)
        return deployer

    def run(deployer: Operator) -> Outcome:
        return destroyed(deployer, TABLE, "Bucket", "Repository")

    first = begin()
    assert run(first).exit_code == (5 if fails else 0)
    cases = 0
    for number in range(1, len(first.world.calls) + 1):
        for when in ("before", "during"):
            deployer = begin()
            world = deployer.world
            world.killed_at = (number, when)
            with pytest.raises(Killed):
                run(deployer)
            cases += 1
            world.killed_at = None
            if later:
                world.cfn.finish()
            world.seconds += 1
            world.cfn.advance()
            context = f"killed {when} call {number}, {(world.sent() or ['the first'])[-1]}"
            outcome = run(deployer)
            if fails and outcome.exit_code == 5:
                outcome = run(deployer)
            assert outcome.exit_code == 0, context
            assert deployer.root.status == "DELETE_COMPLETE", context
            assert (world.versions, world.images, world.guarded) == ([], [], []), context
            assert len(world.cfn.begun) <= 1 + fails, context
    with capsys.disabled():
        print(f" {cases} crashes", end="")


kinds = st.sampled_from(
    [
        NESTED,
        "AWS::SNS::Topic",
        "AWS::S3::Bucket",
        "AWS::ECR::Repository",
        "AWS::DynamoDB::Table",
        "AWS::Logs::LogGroup",
    ]
)
policies = st.sampled_from([None, "Delete", "Retain", "RetainExceptOnCreate", "Snapshot"])


@st.composite
def stocks(draw: st.DrawFn) -> Inventory:
    drawn = draw(st.lists(st.tuples(kinds, policies, st.booleans()), max_size=8))
    resources, declared, held = [], {}, {}
    for number, (kind, policy, full) in enumerate(drawn):
        path = f"R{number}"
        resources.append(Resource(path, kind, path.lower(), "CREATE_COMPLETE", STACK_ID))
        declared[path] = {"Type": kind, **({"DeletionPolicy": policy} if policy else {})}
        if full and is_stateful(kind):
            held[path] = "data"
    return inventory_of(resources, {STACK_ID: {"Resources": declared}}, held)


@given(stocks(), st.data())
def test_nothing_with_data_goes_unnamed(taken: Inventory, data: st.DataObject) -> None:
    able = [
        item.resource.path
        for item in taken.items
        if item.resource.type in EMPTIED or (is_stateful(item.resource.type) and not item.kept)
    ]
    named = data.draw(st.lists(st.sampled_from(able), unique=True) if able else st.just([]))
    held = {item.resource.path for item in held_back(taken, named)}
    for item in taken.items:
        goes_with_data = bool(item.holds) and not item.kept
        assert (item.resource.path in held) == (goes_with_data and item.resource.path not in named)
    # Consent to all of it holds nothing back, and what outlives the stack needs none.
    assert held_back(taken, able) == []
    for path in {item.resource.path for item in taken.items} - set(able):
        with pytest.raises(UsageError):
            held_back(taken, [path])


# Over HTTP, against the emulator.


def over_http(one: Account, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    for name, value in one.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Pace, "wait", lambda pace: None)  # the emulator answers at once
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--stack", "web", "--endpoint-url", one.emulator.endpoint_url])
    return caught.value.code if isinstance(caught.value.code, int) else 0


def a_set(one: Account) -> str:
    """The default set with an image, and an image in its repository. Returns the repository's name."""
    url = helpers.upload(one, sc.render(sc.compose()))
    values = {"TemplatesUrl": url, "WebImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "1" * 64}
    stack = helpers.deploy(one, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(one)
    ecr = one.client("ecr")
    (repository,) = ecr.describe_repositories()["repositories"]
    name: str = repository["repositoryName"]
    ecr.put_image(repositoryName=name, imageManifest='{"schemaVersion": 2}', imageTag="v1")
    return name


def test_over_http_the_default_set_goes_but_for_its_repository(
    account: Account,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = a_set(account)
    assert over_http(account, monkeypatch, "destroy") == 6
    assert over_http(account, monkeypatch, "destroy", "--yes") == 0
    assert f"WebFoundation/Repository {repository}" in capsys.readouterr().err
    assert helpers.leftovers(account) == [f"repositories: {repository}"]
    assert len(account.client("ecr").list_images(repositoryName=repository)["imageIds"]) == 1


def test_over_http_a_repository_that_is_named_is_emptied(
    account: Account,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = a_set(account)
    arguments = ("destroy", "--yes", "--json", "--empty", "WebFoundation/Repository")
    assert over_http(account, monkeypatch, *arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[-1]["type"], lines[-1]["outcome"], lines[-1]["exit"]) == ("result", "destroyed", 0)
    assert account.client("ecr").list_images(repositoryName=repository)["imageIds"] == []


def test_over_http_a_deletion_that_fails_is_finished_by_the_same_command(
    faulty: Account,  # noqa: F811
    faults: Faults,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_set(faulty)
    faults(
        {"stack": "-Capacity-", "resource": "NodesGroup", "operation": "delete", "times": 1, "message": "still in use"}
    )
    assert over_http(faulty, monkeypatch, "destroy", "--yes") == 5
    said = capsys.readouterr().err
    assert "cause  Capacity/NodesGroup" in said and "in use" in said
    assert over_http(faulty, monkeypatch, "destroy", "--yes") == 0


def test_over_http_a_protected_stack_stays(
    account: Account,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_set(account)
    change: Callable[..., Any] = account.client("cloudformation").update_termination_protection
    change(StackName="web", EnableTerminationProtection=True)
    assert over_http(account, monkeypatch, "destroy", "--yes") == 6
    change(StackName="web", EnableTerminationProtection=False)
    assert over_http(account, monkeypatch, "destroy", "--yes") == 0
