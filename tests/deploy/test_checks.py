"""What is looked at before anything is uploaded, and the next command that an end gives."""

from __future__ import annotations

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.outcome import interrupted
from scaleout_cfn.errors import Next, SetError

from .helpers import Deployer, Small


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


def test_the_next_deployment_brings_the_same_image_from_the_same_bucket() -> None:
    carried = {"--image": "web:2", "--bucket": "mine"}
    assert command_line(Next("deploy"), carried=carried) == "scaleout-cfn deploy --image web:2 --bucket mine"
    assert command_line(Next("status"), carried=carried) == "scaleout-cfn status"
    given = Next("deploy", ("--build", "FOLDER"))
    assert command_line(given, carried=carried) == "scaleout-cfn deploy --build FOLDER --bucket mine"
