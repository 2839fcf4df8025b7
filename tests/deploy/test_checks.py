"""What is looked at before anything is uploaded, and the next command that an end gives."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import click
import pytest

from scaleout_cfn.cli.deploy import images_of, wish_of
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.cli.status import status
from scaleout_cfn.cli.work import Work
from scaleout_cfn.config.file import load
from scaleout_cfn.deploy.messages import Fact
from scaleout_cfn.deploy.outcome import interrupted
from scaleout_cfn.deploy.start import Wish
from scaleout_cfn.errors import ConfigError, Next, SetError, UsageError

from .helpers import Deployer, Small, running

if TYPE_CHECKING:
    from scaleout_cfn.cli.views import View


def refuse() -> None:
    raise SetError(["root.yaml: Ref NoSuch is nowhere [E1020]"])


def test_a_set_that_lint_refuses_is_not_uploaded() -> None:
    deployer = Deployer()
    for act in (deployer.deploy, deployer.plan):
        with pytest.raises(SetError):
            act(check=refuse)
    assert deployer.world.sent("PutObject", "CreateChangeSet") == []


def test_a_set_that_is_deployed_already_is_not_linted_again() -> None:
    deployer = Deployer()
    deployer.deploy(image="web:1")
    assert deployer.deploy(image="web:2", check=refuse).exit_code == 0
    with pytest.raises(SetError):
        deployer.deploy(Small(word="two"), check=refuse)


def test_only_an_update_that_runs_is_offered_to_be_cancelled() -> None:
    for updating in (True, False):
        step = interrupted(KeyboardInterrupt(), "web", running=True, updating=updating).next
        assert ("cancel" in command_line(step)) == updating


OTHER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app"
OTHER_ARN = "arn:aws:ecr:eu-west-1:123456789012:repository/team/app"


def wished(deployer: Deployer, image: str | None, *overrides: str, bucket: str = "") -> Wish:
    """What `deploy` asks for with --image, --set and --bucket; what it says before is in the deployer's notes."""
    deployer.said, aws = [], deployer.world.aws()
    view = SimpleNamespace(tell=deployer.said.append)
    work = Work(load(overrides=overrides), "web", aws, aws.identity(), cast("View", view), local=False)
    with click.Context(click.Command("deploy")):
        return wish_of(work, images_of(work, [image] if image else []), bucket)


@pytest.mark.parametrize("end", [":v1", "@sha256:" + "0" * 64])
def test_an_image_that_tasks_may_not_pull_is_told_with_the_key_that_lets_them(end: str) -> None:
    for deployer in (Deployer(), running()):
        given = OTHER + end
        wished(deployer, given)
        assert f'services.web.pull_from = ["{OTHER_ARN}"]' in deployer.notes
        for allowed in (OTHER_ARN, OTHER_ARN.replace("app", "*")):
            wished(deployer, given, f'services.web.pull_from=["{allowed}"]')
            assert not deployer.notes
        for similar in (f"{OTHER_ARN}2", OTHER_ARN[:-1], OTHER_ARN.replace("team", "tea")):
            wished(deployer, given, f'services.web.pull_from=["{similar}"]')
            assert "pull_from" in deployer.notes


def test_images_of_the_stack_s_own_repository_and_of_open_registries_are_taken_without_a_word() -> None:
    deployer = running()
    web = deployer.world.cfn.live("web")
    assert web is not None
    web.outputs["WebRepositoryUri"] = OTHER
    for image in (f"{OTHER}:v1", f"{OTHER}@sha256:{'0' * 64}", "ghcr.io/team/app:v1", None):
        wished(deployer, image)
        assert not deployer.notes
    wished(deployer, f"{OTHER}2:v1")
    assert "pull_from" in deployer.notes


@pytest.mark.parametrize("image", ["ghcr.io/team/app:v1", OTHER.replace("eu-west-1", "eu-west-2") + ":v1"])
def test_an_image_that_nodes_without_a_way_out_cannot_reach_is_refused_at_render_and_at_deploy(image: str) -> None:
    closed = ("network.egress=endpoints", f'services.web.pull_from=["{OTHER_ARN.replace("eu-west-1", "eu-west-2")}"]')
    with pytest.raises(UsageError, match=r"--image: got .* no way to .*; push it to .* or choose another egress"):
        wished(Deployer(), image, *closed)
    with pytest.raises(ConfigError, match=r"services.web.image_uri.*: got .* no way to .*; push it to"):
        load(overrides=(*closed, "region=eu-west-1", f"services.web.image_uri={image}"))
    load(overrides=("network.egress=endpoints", f"services.web.image_uri={OTHER}:v1", "region=eu-west-1"))


def test_a_watched_status_is_shown_again_when_it_changes_with_the_time_that_it_was_seen_at() -> None:
    deployer = running()
    deployer.said, aws = [], deployer.world.aws()
    view = SimpleNamespace(tell=deployer.said.append)
    work = Work(load(), "web", aws, aws.identity(), cast("View", view), local=False)
    turns = iter(range(5))

    def turn(seconds: float) -> None:
        number = next(turns)
        web = deployer.world.cfn.live("web")
        assert web is not None
        if number == 2:
            web.status = "UPDATE_IN_PROGRESS"
        if number == 4:
            raise KeyboardInterrupt

    deployer.world.at_sleep = turn
    shown = status.callback.__wrapped__  # type: ignore[union-attr]
    # To stop is how it ends.
    assert shown(work, service="", watch=True).exit_code == 0
    first, second = (message for message in deployer.said if isinstance(message, Fact))
    assert (first.lines[0], second.lines[0]) == (f"{'web':<16} UPDATE_COMPLETE", f"{'web':<16} UPDATE_IN_PROGRESS")
    for fact in (first, second):
        seen = datetime.fromisoformat(fact.data["seen"])
        assert fact.lines[-1] == f"seen  {seen:%Y-%m-%d %H:%M:%SZ}"
    deployer.world.at_sleep = None
    shown(work, service="", watch=False)
    assert not any(isinstance(message, Fact) and "seen" in message.data for message in deployer.said[2:])


def test_the_bucket_is_that_of_the_option_else_of_the_config_else_what_bootstrap_makes() -> None:
    deployer = Deployer()
    assert wished(deployer, None).published.bucket.name == "scaleout-123456789012-eu-west-1"
    assert wished(deployer, None, "bucket=mine").published.bucket.name == "mine"
    assert wished(deployer, None, "bucket=mine", bucket="other").published.bucket.name == "other"


def test_what_is_looked_at_is_agreed_to_by_the_next_command_as_it_stands() -> None:
    deployer = running()
    for keep, verb in ((True, "apply"), (False, "deploy")):
        following = deployer.plan(Small(key="other"), keep=keep).next
        assert following is not None and following.verb == verb
        assert following.options[-2:] == ("--allow-replace", "Data/Table")


def test_the_next_deployment_brings_the_same_image_from_the_same_bucket() -> None:
    carried = [("--image", "web:2"), ("--bucket", "mine")]
    assert command_line(Next("deploy"), carried=carried) == "scaleout-cfn deploy --image web:2 --bucket mine"
    assert command_line(Next("status"), carried=carried) == "scaleout-cfn status"
    agreed = [("--image", "web:2"), ("--adopt", "")]
    assert command_line(Next("plan"), carried=agreed) == "scaleout-cfn plan --image web:2 --adopt"
    given = Next("deploy", ("--build", "FOLDER"))
    assert command_line(given, carried=carried) == "scaleout-cfn deploy --build FOLDER --bucket mine"
