"""The answers to a deployment: it goes on from a pause, or is taken back. Given again, they finish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Note, Outcome
from scaleout_cfn.deploy.services.promote import Asked, carry_on, take_back
from scaleout_cfn.deploy.services.service import asked_for, follow_rollouts
from scaleout_cfn.errors import AccessError, ApiError, BusyError, RefusedError, UsageError

from .shifting import Plan, Shifting
from .world import Fault, Killed

PAUSE = "POST_TEST_TRAFFIC_SHIFT"
LATER = "POST_PRODUCTION_TRAFFIC_SHIFT"


def at_pause(*names: str, since: float = 120.0, **plan: Any) -> Shifting:
    """An account in which the deployments of these services, or of the only one, wait at a pause, begun so long ago."""
    world = Shifting(names=names or ("web",), plan=Plan(**{"pauses": (PAUSE,), "bake_min": 1, **plan}))
    for name in names or ("web",):
        world.begin(name)
    world.seconds += since
    return world


def given(
    answer: Callable[..., Outcome], world: Shifting, name: str = "", **options: Any
) -> tuple[Outcome, list[Message]]:
    said: list[Message] = []
    asked: dict[str, Any] = {"end": None, "confirm": lambda sentence: True, **options}
    return answer(Asked(world.aws(), "web", name, said.append, **asked)), said


def heard(sentences: list[str]) -> Callable[[str], bool]:
    """Somebody who agrees to everything, and remembers to what."""

    def agree(sentence: str) -> bool:
        sentences.append(sentence)
        return True

    return agree


def facts(said: list[Message]) -> list[Fact]:
    return [message for message in said if isinstance(message, Fact)]


def test_a_deployment_goes_on_from_its_pause_and_is_watched_to_its_end() -> None:
    world = at_pause()
    sentences: list[str] = []
    outcome, said = given(carry_on, world, confirm=heard(sentences))
    assert sentences == [f"web waits at {PAUSE}: the deployment goes on from there"]
    assert (outcome.exit_code, outcome.what) == (0, "web: the deployment is complete")
    assert world.sent("ContinueServiceDeployment", "StopServiceDeployment") == ["ContinueServiceDeployment"]
    assert {fact.data["stage"] for fact in facts(said)} >= {"PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"}


@pytest.mark.parametrize("paused", [True, False])
def test_a_deployment_is_taken_back_at_its_pause_and_while_it_bakes(paused: bool) -> None:
    world = at_pause(pauses=(PAUSE,) if paused else (), bake_min=60)
    outcome, _ = given(take_back, world)
    assert (outcome.end, outcome.exit_code) == ("recovered", 0)
    assert outcome.what == "web: taken back; the version before serves alone"
    sent = world.sent("ContinueServiceDeployment", "StopServiceDeployment")
    assert sent == ["ContinueServiceDeployment" if paused else "StopServiceDeployment"]
    assert world.traffic.weights("web") == (0, 100)


def test_to_take_back_says_how_much_traffic_the_new_version_has() -> None:
    world = at_pause(pauses=(), strategy="CANARY", step=5.0, step_min=60)
    sentences: list[str] = []
    given(take_back, world, confirm=heard(sentences))
    assert sentences == ["web is at PRODUCTION_TRAFFIC_SHIFT: the new version, which has 5 % of traffic, is given up, "
                         "and the one before serves alone"]  # fmt: skip


def test_at_the_next_pause_it_ends_with_9_and_the_two_answers() -> None:
    world = at_pause(pauses=(PAUSE, LATER))
    outcome, _ = given(carry_on, world)
    assert (outcome.exit_code, outcome.what) == (9, f"web: it waits for an answer again, at {LATER}")
    assert command_line(outcome.next) == (
        "scaleout-cfn rollout continue --service web, or scaleout-cfn rollout back --service web"
    )
    assert given(carry_on, world)[0].exit_code == 0


def test_what_nobody_confirms_is_not_sent() -> None:
    for answer in (carry_on, take_back):
        world = at_pause()
        with pytest.raises(RefusedError, match="not confirmed: web ") as refusal:
            given(answer, world, confirm=lambda sentence: False)
        assert command_line(refusal.value.next) == "the same command again, with --yes"
        assert not world.sent("ContinueServiceDeployment", "StopServiceDeployment")


def test_of_several_services_the_only_one_that_waits_is_meant_and_else_a_name_is_asked_for() -> None:
    world = at_pause("api", "web")
    for answer, what in ((carry_on, "waits for an answer"), (take_back, "is being deployed")):
        with pytest.raises(UsageError, match=f"each of api, web {what}; say which by --service NAME"):
            given(answer, world)
    assert given(carry_on, world, "api")[0].exit_code == 0
    assert given(carry_on, world)[0].what == "web: the deployment is complete"
    assert not any(hook["status"] != "SUCCEEDED" for one in world.traffic.deployments["web"] for hook in one.hooks)


def test_where_nothing_waits_what_runs_is_watched_and_what_has_ended_is_told() -> None:
    world = at_pause(pauses=())
    outcome, said = given(carry_on, world)
    assert outcome.exit_code == 0
    (note,) = [message.text for message in said if isinstance(message, Note)]
    assert note == "web: nothing waits for an answer; the deployment goes on, and is watched"
    outcome, _ = given(carry_on, world)
    assert (outcome.end, outcome.what) == ("no_change", "web: no deployment waits; what was deployed last serves")
    world = at_pause(rings="TEST_TRAFFIC_SHIFT", pauses=())
    world.seconds += 120
    outcome, _ = given(carry_on, world)
    assert (outcome.exit_code, outcome.reason) == (4, "web: alarm detected: web-5xx")
    assert not world.sent("ContinueServiceDeployment", "StopServiceDeployment")


def test_after_the_end_the_command_that_brings_the_image_before_is_named() -> None:
    world = at_pause(pauses=(), bake_min=1)
    world.seconds += 600
    with pytest.raises(RefusedError, match="web: nothing is being deployed, and only that can be taken back") as late:
        given(take_back, world)
    assert command_line(late.value.next) == f"scaleout-cfn deploy --image web=repo@sha256:01{'a' * 60}"
    assert late.value.exit_code == 6
    assert not world.sent("ContinueServiceDeployment", "StopServiceDeployment")


def test_what_was_taken_back_already_is_well_and_what_goes_back_is_watched() -> None:
    world = at_pause()
    assert given(take_back, world)[0].exit_code == 0
    outcome, _ = given(take_back, world)
    assert (outcome.end, outcome.exit_code, outcome.what) == ("no_change", 0, "web: taken back already")
    world = at_pause(rings=PAUSE, pauses=(), since=55)
    outcome, _ = given(take_back, world, confirm=lambda sentence: pytest.fail("nothing is to be confirmed"))
    assert (outcome.end, outcome.reason) == ("recovered", "alarm detected: web-5xx")
    assert not world.sent("StopServiceDeployment")


def test_the_way_back_of_a_stack_is_not_taken_back() -> None:
    world = at_pause()
    world.cfn.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    with pytest.raises(BusyError, match="this deployment of web is the way back already") as refusal:
        given(take_back, world)
    assert command_line(refusal.value.next) == "scaleout-cfn rollout continue --service web"
    assert given(carry_on, world)[0].exit_code == 0


def test_a_first_deployment_has_nothing_to_go_back_to() -> None:
    world = Shifting(names=("web",))
    world.traffic.deployments.clear()
    world.begin()
    with pytest.raises(RefusedError, match="it is its first deployment"):
        given(take_back, world)


def test_one_that_ends_while_it_is_confirmed_is_too_late_to_take_back() -> None:
    world = at_pause(pauses=(), bake_min=1)

    def slow(sentence: str) -> bool:
        world.seconds += 600
        return True

    with pytest.raises(RefusedError, match="only that can be taken back"):
        given(take_back, world, confirm=slow)


def test_a_pause_whose_time_ends_while_it_is_confirmed_is_told_as_it_ended() -> None:
    world = at_pause(timeout_min=5)

    def slow(sentence: str) -> bool:
        world.seconds += 3600
        return True

    assert given(carry_on, world, confirm=slow)[0].exit_code == 4


@pytest.mark.parametrize("answer", [carry_on, take_back])
def test_a_lost_answer_is_settled_by_reading(answer: Callable[..., Outcome]) -> None:
    for carried_out in (True, False):
        world = at_pause()
        world.faults.append(Fault("ContinueServiceDeployment", "ServerException", status=500, carried_out=carried_out))
        assert given(answer, world)[0].exit_code == 0
        assert len(world.sent("ContinueServiceDeployment")) == 1 if carried_out else 2


def test_an_answer_that_ecs_shows_later_is_sent_once() -> None:
    world = at_pause(lag_s=20.0)
    assert given(carry_on, world)[0].exit_code == 0
    assert len(world.sent("ContinueServiceDeployment")) == 1


def test_a_permission_that_lacks_and_a_refusal_are_told() -> None:
    for code, kind in (("AccessDeniedException", AccessError), ("InvalidParameterException", ApiError)):
        world = at_pause()
        world.faults.append(Fault("ContinueServiceDeployment", code, times=9))
        with pytest.raises(kind):
            given(carry_on, world)


def test_a_stack_that_is_not_ours_is_left_alone() -> None:
    for answer in (carry_on, take_back):
        world = at_pause()
        world.cfn.made_by = "somebody"
        with pytest.raises(RefusedError):
            given(answer, world)
        assert given(answer, world, adopt=True)[0].exit_code == 0


@pytest.mark.parametrize("answer", [carry_on, take_back])
@pytest.mark.parametrize("later", [0.0, 900.0], ids=["at once", "after ECS is done"])
def test_the_same_answer_after_a_crash_ends_in_the_same_state(answer: Callable[..., Outcome], later: float) -> None:
    """The crash matrix: before or during each of its calls the process dies, and the command is given again."""
    quick = {"bake_min": 0, "stage_s": 3.0}
    whole = at_pause(**quick)
    code = given(answer, whole)[0].exit_code
    wanted = whole.traffic.weights("web")
    for number in range(1, len(whole.calls) + 1):
        for when in ("before", "during"):
            world = at_pause(**quick)
            world.killed_at = (number, when)
            with pytest.raises(Killed):
                given(answer, world)
            world.killed_at = None
            answered = any(hook["status"] == "SUCCEEDED" for hook in world.traffic.deployments["web"][-1].hooks)
            world.seconds += later if answered else 1.0
            outcome, _ = given(answer, world)
            assert outcome.exit_code == code, f"killed {when} call {number}"
            assert world.traffic.weights("web") == wanted
            assert len(world.traffic.deployments["web"]) == 2


def test_while_it_is_watched_stages_weights_and_what_it_waits_for_are_shown() -> None:
    world = at_pause(since=0)
    said: list[Message] = []
    aws = world.aws()
    services = asked_for(aws, require(aws, "web"), "")
    outcome = follow_rollouts(aws, services, said.append, end=world.seconds + 90, now=lambda: world.now)
    last = facts(said)[-1]
    assert last.lines == (
        f"web  ECS IN_PROGRESS  BLUE_GREEN  {PAUSE}",
        "  new  web:2  2 of 2 running, 0 % of traffic, 100 % of tests  sha256:02aaaaaaaaaa  in blue",
        "  old  web:1  2 of 2 running, 100 % of traffic  sha256:01aaaaaaaaaa  in green",
        "  circuit breaker  0 of 3 failures",
        "  targets  blue  weight 0  1 healthy",
        "  targets  green  weight 100  1 healthy",
        "  waits for an answer, until 13:30:40Z, 29 min left, then it goes back",
        "  a request with port 8443 and the header x-test: green gets the new version",
        "  watched by web-5xx",
    )
    assert command_line(last.next).startswith("scaleout-cfn rollout continue --service web")
    assert (outcome.exit_code, command_line(outcome.next)) == (9, command_line(last.next))


def test_how_long_it_stays_so_is_told_while_a_step_or_the_whole_bakes() -> None:
    world = at_pause(strategy="CANARY", step=5.0, step_min=30, pauses=(), bake_min=10)
    _, said = given(carry_on, world)
    waits = {(fact.data["stage"], f"{fact.data['until']:%H:%M:%S}") for fact in facts(said) if fact.data["until"]}
    assert waits == {("PRODUCTION_TRAFFIC_SHIFT", "13:30:50"), ("BAKE_TIME", "13:41:10")}
    assert all(("stays so until about" in "".join(fact.lines)) is bool(fact.data["until"]) for fact in facts(said))
